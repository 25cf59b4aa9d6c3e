"""Pareto/NBD: a buyer buys at his own rate until he leaves, at any moment; from x, t_x and T like BG/NBD.

The likelihood holds the integral of (alpha + u)^-(r + x) (beta + u)^-(s + 1) over the times u in [t_x, T] at which he may have left. The
published form writes it as a difference of two Gauss hypergeometric functions, which loses its digits for busy buyers; here it is done by
quadrature, in logs, with the exact gradient beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import gammaln, psi
from sklearn.base import BaseEstimator

from estimators.arrays import FloatArray
from estimators.clv_likelihood import check_histories, climb, group_histories, identified

_STARTS = np.log([[0.5, 0.5, 0.5, 0.5], [1.0, 1.0, 1.0, 1.0], [0.3, 0.1, 2.0, 5.0], [3.0, 3.0, 0.3, 0.1]])
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(28)
NODES = (_NODES + 1.0) / 2.0
LOG_WEIGHTS = np.log(NODES * _WEIGHTS)
FOLDS = 40.0
"""Beyond so many e-folds the integrand adds nothing."""

_CHUNK = 4_096  # rows at once: the temporaries stay in the cache


@dataclass(frozen=True)
class ParetoNbdParams:
    """Purchase rate ~ Gamma(r, rate alpha), rate of leaving ~ Gamma(s, rate beta), independent over buyers.

    References
    ----------
    Schmittlein, Morrison and Colombo, "Counting Your Customers: Who Are They and What Will They Do Next?", 1987; Fader and Hardie, "A Note
    on Deriving the Pareto/NBD Model and Related Expressions", 2005.
    """

    kind: ClassVar[str] = "pareto_nbd"

    r: float
    alpha: float
    s: float
    beta: float

    def log_likelihoods(self, repeat: FloatArray, last_gap: FloatArray, age: FloatArray) -> FloatArray:
        """ln L of each buyer, shape (n,)."""
        return self._of(repeat, last_gap, age)[0]

    def probability_alive(self, repeat: FloatArray, last_gap: FloatArray, age: FloatArray) -> FloatArray:
        """P(still a buyer | x, t_x, T), shape (n,)."""
        x, t_x, span = np.broadcast_arrays(*(np.asarray(values, dtype=np.float64) for values in (repeat, last_gap, age)))
        total = self._of(x, t_x, span)[1]
        return np.exp(-(self.r + x) * np.log(self.alpha + span) - self.s * np.log(self.beta + span) - total)

    def expected_transactions(self, horizon: FloatArray | float, repeat: FloatArray, last_gap: FloatArray, age: FloatArray) -> FloatArray:
        """E[purchase days in the next `horizon` | x, t_x, T], broadcast over all arguments."""
        alive = self.probability_alive(repeat, last_gap, age)
        return alive * self.expected_if_alive(horizon, repeat, age)

    def expected_if_alive(self, horizon: FloatArray | float, repeat: FloatArray, age: FloatArray) -> FloatArray:
        """E[purchase days in the next `horizon` | x, T, still a buyer].

        (r + x) / (alpha + T) * (beta + T) * (1 - ((beta + T) / (beta + T + t))^(s - 1)) / (s - 1), whose limit at s = 1 is a logarithm.
        """
        x, span = np.asarray(repeat, dtype=np.float64), np.asarray(age, dtype=np.float64)
        longer = np.log1p(horizon / (self.beta + span))
        power = self.s - 1.0
        grown = longer if abs(power) < 1e-9 else -np.expm1(-power * longer) / power
        return np.asarray((self.r + x) / (self.alpha + span) * (self.beta + span) * grown, dtype=np.float64)

    def to_dict(self) -> dict[str, float]:
        """The parameters as JSON values."""
        return {"r": self.r, "alpha": self.alpha, "s": self.s, "beta": self.beta}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ParetoNbdParams:
        """The parameters that `to_dict` wrote."""
        return cls(*(float(data[name]) for name in ("r", "alpha", "s", "beta")))

    def _of(self, repeat: FloatArray, last_gap: FloatArray, age: FloatArray) -> tuple[FloatArray, FloatArray]:
        x, t_x, span = np.broadcast_arrays(*(np.atleast_1d(np.asarray(values, dtype=np.float64)) for values in (repeat, last_gap, age)))
        params = np.array([self.r, self.alpha, self.s, self.beta])
        parts = [_total(params, x[k : k + _CHUNK], t_x[k : k + _CHUNK], span[k : k + _CHUNK]) for k in range(0, len(x), _CHUNK)]
        total = np.concatenate(parts) if parts else np.zeros(0)
        values = _common(params, x) + total
        shape = np.broadcast_shapes(np.shape(repeat), np.shape(last_gap), np.shape(age))
        return values.reshape(shape), total.reshape(shape)


class ParetoNbd(BaseEstimator):
    """Maximum likelihood of Pareto/NBD, on grouped histories, from several starts.

    Parameters
    ----------
    max_iter : int
        Of each start.

    Attributes
    ----------
    params_ : ParetoNbdParams
    log_likelihood_ : float
        Of all buyers.
    """

    def __init__(self, max_iter: int = 500) -> None:
        self.max_iter = max_iter

    def fit(self, repeat: FloatArray, last_gap: FloatArray, age: FloatArray) -> ParetoNbd:
        """Fit on one row a buyer.

        Parameters
        ----------
        repeat, last_gap, age : arrays, shape (n,)
            x >= 0, 0 <= t_x <= T, T > 0; t_x = 0 where x = 0.

        Raises
        ------
        ValueError
            If the rows are not such, or do not identify the four parameters: where hardly anybody leaves, or everybody at once, s and beta
            run to an edge. BG/NBD may still be fitted there.
        """
        check_histories(repeat, last_gap, age)
        histories = group_histories(repeat, last_gap, age)
        solution = climb("Pareto/NBD", pareto_likelihood, histories, list(_STARTS), self.max_iter)
        if not identified(solution[2:]):
            raise ValueError("Pareto/NBD: the purchases do not identify when buyers leave: s or beta runs to an edge. Hint: use BG/NBD")
        r, alpha, s, beta = np.exp(solution).tolist()
        scale = histories.scale
        self.params_ = ParetoNbdParams(r, alpha * scale, s, beta * scale)
        values = self.params_.log_likelihoods(histories.repeat, histories.last_gap, histories.age)
        self.log_likelihood_ = float(histories.counts @ values)
        return self


def pareto_likelihood(params: FloatArray, x: FloatArray, t_x: FloatArray, age: FloatArray) -> tuple[FloatArray, FloatArray]:
    """ln L of each row, shape (n,), and its gradient in (r, alpha, s, beta), shape (4, n)."""
    parts = [_with_gradient(params, x[k : k + _CHUNK], t_x[k : k + _CHUNK], age[k : k + _CHUNK]) for k in range(0, len(x), _CHUNK)]
    return np.concatenate([values for values, _ in parts]), np.concatenate([gradient for _, gradient in parts], axis=1)


def _common(params: FloatArray, x: FloatArray) -> FloatArray:
    r, alpha, s, beta = params
    return np.asarray(gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta), dtype=np.float64)


def _total(params: FloatArray, x: FloatArray, t_x: FloatArray, age: FloatArray) -> FloatArray:
    """ln of (the density of still being a buyer + the density of having left)."""
    r, alpha, s, beta = params
    alive = -(r + x) * np.log(alpha + age) - s * np.log(beta + age)
    return np.asarray(np.logaddexp(alive, np.log(s) + _leaving(params, x, t_x, age)[0]), dtype=np.float64)


def _leaving(params: FloatArray, x: FloatArray, t_x: FloatArray, age: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """ln of the integral, and its integrand at the nodes: weights that add up to 1, alpha + u, beta + u, each of shape (n, nodes).

    With m the smaller of alpha and beta the variable is y = ln((m + u) / (m + t_x)), in which the integrand falls at least as e^-(k y); the
    nodes are dense where it is large: y = Y q^2, Gauss-Legendre in q.
    """
    r, alpha, s, beta = params
    m = min(alpha, beta)
    start = m + t_x
    falls = (r + x) * start / (alpha + t_x) + (s + 1.0) * start / (beta + t_x) - 1.0
    reach = np.minimum(np.log((m + age) / start), FOLDS / np.maximum(falls, 1e-12))
    reach = np.maximum(reach, 1e-300)
    y = reach[:, None] * NODES**2
    near = start[:, None] * np.exp(y)
    far = near + abs(alpha - beta)
    log_near, log_far = np.log(start)[:, None] + y, np.log(far)
    by_rate, by_leaving = (log_near, log_far) if alpha <= beta else (log_far, log_near)
    logs = log_near + LOG_WEIGHTS - (r + x)[:, None] * by_rate - (s + 1.0) * by_leaving
    top = logs.max(axis=1)
    weights = np.exp(logs - top[:, None])
    sums = weights.sum(axis=1)
    weights /= sums[:, None]
    return top + np.log(sums) + np.log(reach), weights, by_rate, by_leaving


def _with_gradient(params: FloatArray, x: FloatArray, t_x: FloatArray, age: FloatArray) -> tuple[FloatArray, FloatArray]:
    r, alpha, s, beta = params
    log_integral, weights, by_rate, by_leaving = _leaving(params, x, t_x, age)
    alive = -(r + x) * np.log(alpha + age) - s * np.log(beta + age)
    total = np.logaddexp(alive, np.log(s) + log_integral)
    share = np.exp(alive - total)
    left = 1.0 - share

    def mean(values: FloatArray) -> FloatArray:
        return np.asarray(np.einsum("ij,ij->i", weights, values), dtype=np.float64)

    by_r = psi(r + x) - psi(r) + np.log(alpha) - share * np.log(alpha + age) - left * mean(by_rate)
    by_alpha = r / alpha - (r + x) * (share / (alpha + age) + left * mean(np.exp(-by_rate)))
    by_s = np.log(beta) - share * np.log(beta + age) + left * (1.0 / s - mean(by_leaving))
    by_beta = s / beta - share * s / (beta + age) - left * (s + 1.0) * mean(np.exp(-by_leaving))
    return _common(params, x) + total, np.stack([by_r, by_alpha, by_s, by_beta])
