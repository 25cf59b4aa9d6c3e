"""BG/NBD and MBG/NBD: how often a buyer will buy again, and whether he still does, from three numbers a buyer.

For each buyer: `repeat` x (days with a purchase after the first), `last_gap` t_x (first to last purchase) and `age` T (first purchase to
now). Times may be in any one unit; Nudge uses days, the published figures use weeks.

A buyer may be lost after each repeat purchase (BG/NBD), or after the first one too (MBG/NBD). In every formula the second model is the
first with x + 1 chances to be lost instead of x, and with buyers of one purchase among those who may be gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln, hyp2f1, psi
from sklearn.base import BaseEstimator

from estimators.arrays import FloatArray
from estimators.clv_likelihood import Likelihood, check_histories, climb, group_histories, identified

_STARTS = np.log([[0.5, 0.5, 0.5, 2.0], [1.0, 1.0, 1.0, 1.0], [0.2, 0.1, 1.0, 5.0], [3.0, 3.0, 0.3, 3.0]])
_HAIR = 1e-6


@dataclass(frozen=True)
class BetaGeoParams:
    """Purchase rate ~ Gamma(r, rate alpha) over buyers; after each purchase a buyer is lost with probability ~ Beta(a, b).

    Parameters
    ----------
    r, alpha, a, b : float
    modified : bool
        MBG/NBD: a buyer may be lost after his first purchase too.

    References
    ----------
    Fader, Hardie and Lee, "'Counting Your Customers' the Easy Way: An Alternative to the Pareto/NBD Model", 2005; Batislam, Denizel and
    Filiztekin, "Empirical Validation and Comparison of Models for Customer Base Analysis", 2007 (MBG/NBD).
    """

    r: float
    alpha: float
    a: float
    b: float
    modified: bool = False

    @property
    def kind(self) -> str:
        """bg_nbd or mbg_nbd."""
        return "mbg_nbd" if self.modified else "bg_nbd"

    def log_likelihoods(self, repeat: FloatArray, last_gap: FloatArray, age: FloatArray) -> FloatArray:
        """ln L of each buyer, shape (n,)."""
        return _log_likelihoods(np.array([self.r, self.alpha, self.a, self.b]), repeat, last_gap, age, self.modified)[0]

    def probability_alive(self, repeat: FloatArray, last_gap: FloatArray, age: FloatArray) -> FloatArray:
        """P(still a buyer | x, t_x, T), shape (n,); BG/NBD gives a buyer of one purchase 1, as that model has it."""
        x = np.asarray(repeat, dtype=np.float64)
        lost = np.log(self.a) - np.log(np.maximum(self.b + x - 1.0 + self.modified, 1e-12))
        lost = lost + (self.r + x) * (np.log(self.alpha + age) - np.log(self.alpha + last_gap))
        alive = 1.0 / (1.0 + np.exp(np.minimum(lost, 700.0)))
        return np.asarray(alive if self.modified else np.where(x > 0, alive, 1.0), dtype=np.float64)

    def expected_transactions(self, horizon: FloatArray | float, repeat: FloatArray, last_gap: FloatArray, age: FloatArray) -> FloatArray:
        """E[purchase days in the next `horizon` | x, t_x, T], broadcast over all arguments."""
        return self.probability_alive(repeat, last_gap, age) * self.expected_if_alive(horizon, repeat, age)

    def expected_if_alive(self, horizon: FloatArray | float, repeat: FloatArray, age: FloatArray) -> FloatArray:
        """E[purchase days in the next `horizon` | x, T, still a buyer].

        The published formula holds a Gauss hypergeometric function that overflows for busy buyers; Euler's transformation
        2F1(A, B; C; z) = (1 - z)^(C - A - B) 2F1(C - A, C - B; C; z) leaves small parameters and no power of the purchase count.
        """
        x = np.asarray(repeat, dtype=np.float64)
        a = self.a if abs(self.a - 1.0) > _HAIR else 1.0 + _HAIR  # the limit at a = 1 exists, the formula does not
        both = a + self.b + self.modified - 1.0
        both = both if abs(both) > _HAIR else _HAIR  # nor at x = 0 and a + b = 1
        z = horizon / (self.alpha + age + horizon)
        tail = (1.0 - z) ** (a - 1.0) * hyp2f1(both - self.r, a - 1.0, both + x, z)
        return np.asarray(np.maximum((both + x) / (a - 1.0) * (1.0 - tail), 0.0), dtype=np.float64)

    def to_dict(self) -> dict[str, float]:
        """The parameters as JSON values."""
        return {"r": self.r, "alpha": self.alpha, "a": self.a, "b": self.b}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, modified: bool = False) -> BetaGeoParams:
        """The parameters that `to_dict` wrote."""
        r, alpha, a, b = (float(data[name]) for name in ("r", "alpha", "a", "b"))
        return cls(r, alpha, a, b, modified)


class BetaGeo(BaseEstimator):
    """Maximum likelihood of BG/NBD or MBG/NBD, on grouped histories, from several starts.

    Parameters
    ----------
    modified : bool
        MBG/NBD.
    max_iter : int
        Of each start.

    Attributes
    ----------
    params_ : BetaGeoParams
    log_likelihood_ : float
        Of all buyers.
    dropout_identified_ : bool
        False where hardly a buyer is ever lost: then (a, b) ran to an edge, which predictions do not mind.
    """

    def __init__(self, modified: bool = False, max_iter: int = 500) -> None:
        self.modified = modified
        self.max_iter = max_iter

    def fit(self, repeat: FloatArray, last_gap: FloatArray, age: FloatArray) -> BetaGeo:
        """Fit on one row a buyer.

        Parameters
        ----------
        repeat, last_gap, age : arrays, shape (n,)
            x >= 0, 0 <= t_x <= T, T > 0; t_x = 0 where x = 0.

        Raises
        ------
        ValueError
            If the rows are not such, or do not identify the purchase rate.
        """
        check_histories(repeat, last_gap, age)
        histories = group_histories(repeat, last_gap, age)
        name = "MBG/NBD" if self.modified else "BG/NBD"
        solution = climb(name, beta_geo_likelihood(modified=self.modified), histories, list(_STARTS), self.max_iter)
        r, alpha, a, b = np.exp(solution).tolist()
        self.params_ = BetaGeoParams(r, alpha * histories.scale, a, b, self.modified)
        self.dropout_identified_ = identified(solution[2:])
        values = self.params_.log_likelihoods(histories.repeat, histories.last_gap, histories.age)
        self.log_likelihood_ = float(histories.counts @ values)
        return self


def beta_geo_likelihood(*, modified: bool) -> Likelihood:
    """(params, x, t_x, T) -> ln L of each row and its gradient in (r, alpha, a, b)."""
    return lambda params, x, t_x, age: _log_likelihoods(params, x, t_x, age, modified)


def _log_likelihoods(params: FloatArray, x: FloatArray, t_x: FloatArray, age: FloatArray, modified: bool) -> tuple[FloatArray, FloatArray]:
    r, alpha, a, b = params
    chances = x + modified
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    common = common + gammaln(a + b) + gammaln(b + chances) - gammaln(b) - gammaln(a + b + chances)
    alive = -(r + x) * np.log(alpha + age)
    beyond = np.maximum(b + chances - 1.0, 1e-12)
    lost = np.where(chances > 0, np.log(a) - np.log(beyond) - (r + x) * np.log(alpha + t_x), -np.inf)
    total = np.logaddexp(alive, lost)
    share = np.exp(alive - total)
    by_r = psi(r + x) - psi(r) + np.log(alpha) - share * np.log(alpha + age) - (1 - share) * np.log(alpha + t_x)
    by_alpha = r / alpha - (r + x) * (share / (alpha + age) + (1 - share) / (alpha + t_x))
    by_a = psi(a + b) - psi(a + b + chances) + (1 - share) / a
    by_b = psi(a + b) + psi(b + chances) - psi(b) - psi(a + b + chances) - (1 - share) / beyond
    return common + total, np.stack([by_r, by_alpha, by_a, by_b])
