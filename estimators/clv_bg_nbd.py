"""BG/NBD: how often a buyer will buy again, and whether he still does, from three numbers a buyer.

For each buyer: `repeat` x (days with a purchase after the first), `last_gap` t_x (first to last purchase) and `age` T (first purchase to
now). Times may be in any one unit; Nudge uses days, the published figures use weeks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln, hyp2f1, psi
from sklearn.base import BaseEstimator

from estimators.arrays import FloatArray

FEWEST_REPEAT_BUYERS = 10
"""Below so many buyers with a second purchase nothing is estimated."""

_EDGE = 9.0  # bound of every log parameter, with time in units of the mean age
_STARTS = np.log([[0.5, 0.5, 0.5, 2.0], [1.0, 1.0, 1.0, 1.0], [0.2, 0.1, 1.0, 5.0], [3.0, 3.0, 0.3, 3.0]])


@dataclass(frozen=True)
class BetaGeoParams:
    """Purchase rate ~ Gamma(r, rate alpha) over buyers; after each purchase a buyer is lost with probability ~ Beta(a, b).

    References
    ----------
    Fader, Hardie and Lee, "'Counting Your Customers' the Easy Way: An Alternative to the Pareto/NBD Model", 2005.
    """

    r: float
    alpha: float
    a: float
    b: float

    def log_likelihoods(self, repeat: FloatArray, last_gap: FloatArray, age: FloatArray) -> FloatArray:
        """ln L of each buyer, shape (n,)."""
        return _log_likelihoods(np.array([self.r, self.alpha, self.a, self.b]), repeat, last_gap, age)[0]

    def probability_alive(self, repeat: FloatArray, last_gap: FloatArray, age: FloatArray) -> FloatArray:
        """P(still a buyer | x, t_x, T), shape (n,); 1 for a buyer of one purchase, as the model has it."""
        x = np.asarray(repeat, dtype=np.float64)
        lost = np.log(self.a) - np.log(np.maximum(self.b + x - 1.0, 1e-12))
        lost = lost + (self.r + x) * np.log((self.alpha + age) / (self.alpha + last_gap))
        return np.where(x > 0, 1.0 / (1.0 + np.exp(np.minimum(lost, 700.0))), 1.0)

    def expected_transactions(self, horizon: FloatArray | float, repeat: FloatArray, last_gap: FloatArray, age: FloatArray) -> FloatArray:
        """E[purchase days in the next `horizon` | x, t_x, T], broadcast over all arguments.

        The published formula holds a Gauss hypergeometric function that overflows for busy buyers; Euler's transformation
        2F1(A, B; C; z) = (1 - z)^(C - A - B) 2F1(C - A, C - B; C; z) leaves small parameters and no power of the purchase count.
        """
        x = np.asarray(repeat, dtype=np.float64)
        a = self.a if abs(self.a - 1.0) > 1e-6 else 1.0 + 1e-6  # the limit at a = 1 exists, the formula does not
        z = horizon / (self.alpha + age + horizon)
        tail = (1.0 - z) ** (a - 1.0) * hyp2f1(a + self.b - 1.0 - self.r, a - 1.0, a + self.b + x - 1.0, z)
        expected = (a + self.b + x - 1.0) / (a - 1.0) * (1.0 - tail)
        expected = np.maximum(expected, 0.0) * self.probability_alive(repeat, last_gap, age)
        return np.asarray(expected, dtype=np.float64)

    def to_dict(self) -> dict[str, float]:
        """The parameters as JSON values."""
        return {"r": self.r, "alpha": self.alpha, "a": self.a, "b": self.b}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BetaGeoParams:
        """The parameters that `to_dict` wrote."""
        return cls(*(float(data[name]) for name in ("r", "alpha", "a", "b")))


class BetaGeo(BaseEstimator):
    """Maximum likelihood of BG/NBD, on grouped statistics, from several starts.

    Parameters
    ----------
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

    def __init__(self, max_iter: int = 500) -> None:
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
        scale = float(np.mean(age))
        rows = np.column_stack([repeat, np.asarray(last_gap) / scale, np.asarray(age) / scale]).astype(np.float64)
        unique, counts = np.unique(rows, axis=0, return_counts=True)
        solution = self._climb(unique, counts / len(rows))
        if abs(solution[0]) > _EDGE - 0.5 or abs(solution[1]) > _EDGE - 0.5:
            raise ValueError(
                "BG/NBD: the purchases do not identify the purchase rate: r or alpha runs to an edge. Hint: use the LightGBM model"
            )
        r, alpha, a, b = np.exp(solution).tolist()
        self.params_ = BetaGeoParams(r, alpha * scale, a, b)
        self.dropout_identified_ = bool(np.all(np.abs(solution[2:]) < _EDGE - 0.5))
        unscaled = self.params_.log_likelihoods(unique[:, 0], unique[:, 1] * scale, unique[:, 2] * scale)
        self.log_likelihood_ = float(counts @ unscaled)
        return self

    def _climb(self, unique: FloatArray, weights: FloatArray) -> FloatArray:
        x, t_x, age = unique.T

        def loss(log_params: FloatArray) -> tuple[float, FloatArray]:
            values, gradient = _log_likelihoods(np.exp(log_params), x, t_x, age)
            return -float(weights @ values), -(gradient @ weights) * np.exp(log_params)

        options = {"maxiter": self.max_iter, "ftol": 1e-14, "gtol": 1e-8}
        bounds = [(-_EDGE, _EDGE)] * 4
        climbs = [minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options) for start in _STARTS]
        best = min(climbs, key=lambda climb: float(climb.fun))
        inside = np.abs(best.x) < _EDGE - 1e-6
        if not np.isfinite(best.fun) or np.abs(np.where(inside, best.jac, 0.0)).max() > 1e-4:
            raise ValueError("BG/NBD: the likelihood did not converge from any start. Hint: more buyers, or the LightGBM model")
        return np.asarray(best.x, dtype=np.float64)


def check_histories(repeat: FloatArray, last_gap: FloatArray, age: FloatArray) -> None:
    """Refuse buying histories that BG/NBD cannot read or learn from.

    Raises
    ------
    ValueError
        With what is wrong and in how many rows.
    """
    x, t_x, span = (np.asarray(values, dtype=np.float64) for values in (repeat, last_gap, age))
    if not len(x) == len(t_x) == len(span):
        raise ValueError(f"BG/NBD: the three arrays differ in length; got {len(x)}, {len(t_x)} and {len(span)}")
    wrong = ~((x >= 0) & (t_x >= 0) & (t_x <= span) & (span > 0) & np.isfinite(span))
    if wrong.any():
        raise ValueError(f"BG/NBD: {int(wrong.sum())} rows break repeat >= 0 and 0 <= last_gap <= age and age > 0")
    repeaters = int((x > 0).sum())
    if repeaters < FEWEST_REPEAT_BUYERS:
        raise ValueError(
            f"BG/NBD: too few buyers bought twice; got {repeaters}; allowed: {FEWEST_REPEAT_BUYERS} or more. Hint: a longer history"
        )


def _log_likelihoods(params: FloatArray, x: FloatArray, t_x: FloatArray, age: FloatArray) -> tuple[FloatArray, FloatArray]:
    """ln L of each row, shape (n,), and its gradient in (r, alpha, a, b), shape (4, n)."""
    r, alpha, a, b = params
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    common = common + gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
    alive = -(r + x) * np.log(alpha + age)
    beyond = np.maximum(b + x - 1.0, 1e-12)
    lost = np.where(x > 0, np.log(a) - np.log(beyond) - (r + x) * np.log(alpha + t_x), -np.inf)
    total = np.logaddexp(alive, lost)
    share = np.exp(alive - total)
    by_r = psi(r + x) - psi(r) + np.log(alpha) - share * np.log(alpha + age) - (1 - share) * np.log(alpha + t_x)
    by_alpha = r / alpha - (r + x) * (share / (alpha + age) + (1 - share) / (alpha + t_x))
    by_a = psi(a + b) - psi(a + b + x) + (1 - share) / a
    by_b = psi(a + b) + psi(b + x) - psi(b) - psi(a + b + x) - (1 - share) / beyond
    return common + total, np.stack([by_r, by_alpha, by_a, by_b])
