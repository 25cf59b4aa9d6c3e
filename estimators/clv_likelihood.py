"""Maximum likelihood of the buy-till-you-die models: buyers grouped by what the models see of them, climbed from several starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from estimators.arrays import FloatArray, IntArray

FEWEST_REPEAT_BUYERS = 10
"""Below so many buyers with a second purchase nothing is estimated."""

EDGE = 9.0
"""Bound of every log parameter, with time in units of the mean age: beyond it a parameter says nothing that the edge does not say."""

_NEAR_EDGE = EDGE - 0.5
_SUMMIT, _NEWTON_STEPS = 1e-7, 12
_FLAT = 1e-4  # a gradient below this, in nats a buyer, is a summit
_SCOUTS = 4_000
"""So many groups are climbed from every start; all of them only from the best one."""

Likelihood: TypeAlias = Callable[..., tuple[FloatArray, FloatArray]]
"""(params, x, t_x, T), or what else a row holds -> ln L of each row, shape (n,), and its gradient in the parameters, shape (p, n)."""


@dataclass(frozen=True, eq=False)
class Histories:
    """Buying histories, equal ones once.

    Parameters
    ----------
    repeat, last_gap, age : arrays, shape (g,)
        x, t_x and T of the distinct histories, in the caller's unit of time.
    counts : array, shape (g,)
        How many buyers have each.
    inverse : array of int, shape (n,)
        Each buyer's group.
    """

    repeat: FloatArray
    last_gap: FloatArray
    age: FloatArray
    counts: FloatArray
    inverse: IntArray

    @property
    def scale(self) -> float:
        """Mean age: the unit of time in which the parameters are near 1."""
        return float(np.average(self.age, weights=self.counts))

    def scaled(self, scale: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """x, t_x and T with time in units of `scale`."""
        return self.repeat, self.last_gap / scale, self.age / scale


def group_histories(repeat: FloatArray, last_gap: FloatArray, age: FloatArray) -> Histories:
    """Distinct histories and how many buyers have each: a million buyers have far fewer.

    Examples
    --------
    >>> found = group_histories(np.array([0.0, 2.0, 0.0]), np.array([0.0, 5.0, 0.0]), np.array([9.0, 9.0, 9.0]))
    >>> found.counts.tolist(), found.inverse.tolist()
    ([2.0, 1.0], [0, 1, 0])
    """
    columns = [np.asarray(values, dtype=np.float64) for values in (repeat, last_gap, age)]
    key = np.zeros(len(columns[0]), dtype=np.int64)
    for values in columns:
        levels, codes = np.unique(values, return_inverse=True)
        key = key * len(levels) + codes
        _, key = np.unique(key, return_inverse=True)  # below n again: the product of three counts may pass 2^63
    _, first, inverse, counts = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    x, t_x, span = (values[first] for values in columns)
    return Histories(x, t_x, span, counts.astype(np.float64), inverse)


def check_histories(repeat: FloatArray, last_gap: FloatArray, age: FloatArray) -> None:
    """Refuse buying histories that no buy-till-you-die model can read or learn from.

    Raises
    ------
    ValueError
        With what is wrong and in how many rows.
    """
    x, t_x, span = (np.asarray(values, dtype=np.float64) for values in (repeat, last_gap, age))
    if not len(x) == len(t_x) == len(span):
        raise ValueError(f"buying histories differ in length; got {len(x)}, {len(t_x)}, {len(span)}; allowed: one length")
    wrong = ~((x >= 0) & (t_x >= 0) & (t_x <= span) & (span > 0) & np.isfinite(span) & np.isfinite(x)) | ((x == 0) & (t_x > 0))
    if wrong.any():
        raise ValueError(f"buying histories: {int(wrong.sum())} rows break 0 <= t_x <= T, T > 0, x >= 0 (t_x = 0 where x = 0)")
    if int((x > 0).sum()) < FEWEST_REPEAT_BUYERS:
        raise ValueError(
            f"buying histories: too few buyers bought twice; got {int((x > 0).sum())}; allowed: {FEWEST_REPEAT_BUYERS} or more"
        )


def climb(name: str, likelihood: Likelihood, histories: Histories, starts: Sequence[FloatArray], max_iter: int) -> FloatArray:
    """The log parameters of the highest likelihood, with time in units of `histories.scale`, shape (p,).

    See `summit`; that the summit is flat is checked.

    Raises
    ------
    ValueError
        If no start leads to a summit, or the first two parameters (the purchase rate) run to an edge.
    """
    best = summit(likelihood, histories.scaled(histories.scale), histories.counts, starts, max_iter=max_iter)
    inside = np.abs(best.x) < EDGE - 1e-6
    if not np.isfinite(best.fun) or np.abs(np.where(inside, best.jac, 0.0)).max() > _FLAT:
        raise ValueError(f"{name}: the likelihood did not converge from any start. Hint: more buyers, or the LightGBM model")
    if np.abs(best.x[:2]).max() > _NEAR_EDGE:
        raise ValueError(
            f"{name}: the purchases do not identify the purchase rate: r or alpha runs to an edge. Hint: use the LightGBM model"
        )
    return np.asarray(best.x, dtype=np.float64)


def summit(
    likelihood: Likelihood,
    rows: tuple[FloatArray, ...],
    counts: FloatArray,
    starts: Sequence[FloatArray],
    *,
    max_iter: int,
    edge: float = EDGE,
) -> OptimizeResult:
    """The best summit found in the log parameters, as scipy gives it: minus ln L a buyer.

    Every start is climbed on a systematic sample of the rows by L-BFGS-B with exact gradients, the best of them on all.
    """
    thin = slice(None, None, max(1, len(counts) // _SCOUTS))
    sample = _Loss(likelihood, tuple(values[thin] for values in rows), counts[thin])
    scouts = [_climb_once(sample, start, max_iter, edge) for start in starts]
    best = min(scouts, key=lambda found: float(found.fun) if np.isfinite(found.fun) else np.inf)
    if thin.step > 1:
        whole = _Loss(likelihood, rows, counts)
        best = _newton(whole, sample, best.x, edge) or _climb_once(whole, best.x, max_iter, edge)
    return best


def identified(log_params: FloatArray) -> bool:
    """Whether none of these parameters ran to an edge."""
    return bool(np.abs(log_params).max() < _NEAR_EDGE)


@dataclass(frozen=True, eq=False)
class _Loss:
    """- ln L a buyer and its gradient, in the log parameters."""

    likelihood: Likelihood
    rows: tuple[FloatArray, ...]
    counts: FloatArray

    def __call__(self, log_params: FloatArray) -> tuple[float, FloatArray]:
        params, weights = np.exp(log_params), self.counts / self.counts.sum()
        values, gradient = self.likelihood(params, *self.rows)
        return -float(weights @ values), -(gradient @ weights) * params


def _climb_once(loss: _Loss, start: FloatArray, max_iter: int, edge: float) -> OptimizeResult:
    options = {"maxiter": max_iter, "ftol": 1e-14, "gtol": 1e-8}
    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(-edge, edge)] * len(start), options=options)


def _newton(loss: _Loss, sample: _Loss, start: FloatArray, edge: float) -> OptimizeResult | None:
    """From the sample's summit to that of all rows by steps with the sample's curvature: a handful of passes over the rows, or None."""
    step = 1e-5
    sides = [(sample(start + step * unit)[1], sample(start - step * unit)[1]) for unit in np.eye(len(start))]
    curvature = np.array([(up - down) / (2.0 * step) for up, down in sides])
    curvature = (curvature + curvature.T) / 2.0
    if np.linalg.eigvalsh(curvature).min() <= 1e-9:
        return None
    at = np.array(start)
    for _ in range(_NEWTON_STEPS):
        value, gradient = loss(at)
        if np.abs(gradient).max() < _SUMMIT:
            return OptimizeResult(x=at, fun=value, jac=gradient)
        move = np.linalg.solve(curvature, gradient)
        if not np.isfinite(move).all() or np.abs(move).max() > 1.0:
            return None
        at = np.clip(at - move, -edge, edge)
    return None
