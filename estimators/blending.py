"""Weights of several models of one probability, chosen by their out-of-fold log loss."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from estimators.arrays import FloatArray
from estimators.calibration import log_losses, t_statistic

SMALLEST_WEIGHT = 0.05
"""A member with less weight is not worth serving."""


def simplex_grid(members: int, parts: int) -> list[tuple[float, ...]]:
    """All non-negative weights in steps of 1 / parts that add up to 1.

    Examples
    --------
    >>> simplex_grid(2, 2)
    [(0.0, 1.0), (0.5, 0.5), (1.0, 0.0)]
    """
    return [tuple(part / parts for part in shares) for shares in product(range(parts + 1), repeat=members) if sum(shares) == parts]


def best_blend(y: FloatArray, members: list[FloatArray], *, sample_weight: FloatArray, parts: int = 4) -> tuple[float, ...]:
    """The weights on a grid of the simplex with the lowest weighted log loss.

    Parameters
    ----------
    y : array, shape (n,)
        0 or 1.
    members : list of arrays, each of shape (n,)
        Out-of-fold probabilities; put the safest first, it wins ties.
    sample_weight : array, shape (n,)
    parts : int
        The grid's step is 1 / parts.
    """
    stacked = np.stack(members)
    grid = sorted(simplex_grid(len(members), parts), reverse=True)
    losses = [float(sample_weight @ log_losses(y, np.array(weights) @ stacked)) for weights in grid]
    return grid[int(np.argmin(losses))]


def sure_blend(y: FloatArray, members: list[FloatArray], *, sample_weight: FloatArray) -> tuple[float, ...]:
    """`best_blend`, moved back to the first member as far as its gain over that is not sure: best counts by max(0, 1 - 1 / t^2).

    t is the gain in its standard errors; this is the positive part of James and Stein's estimator.

    Parameters
    ----------
    y : array, shape (n,)
        0 or 1.
    members : list of arrays, each of shape (n,)
        Out-of-fold probabilities, the safest first.
    sample_weight : array, shape (n,)

    References
    ----------
    James and Stein, "Estimation with Quadratic Loss", 1961.
    """
    best = best_blend(y, members, sample_weight=sample_weight)
    gain = sample_weight * (log_losses(y, members[0]) - log_losses(y, np.array(best) @ np.stack(members)))
    safest = (1.0, *(0.0 for _ in members[1:]))
    t = t_statistic(gain)
    return moved_weights(safest, best, max(0.0, 1.0 - 1.0 / t**2) if t > 0 else 0.0)


def moved_weights(safe: Sequence[float], better: Sequence[float], trust: float) -> tuple[float, ...]:
    """safe + trust * (better - safe), without members of little weight.

    Examples
    --------
    >>> moved_weights((1.0, 0.0), (0.0, 1.0), 0.75), moved_weights((1.0, 0.0), (0.0, 1.0), 0.01)
    ((0.25, 0.75), (1.0, 0.0))
    """
    mixed = np.asarray(safe) + trust * (np.asarray(better) - np.asarray(safe))
    kept = np.where(mixed < SMALLEST_WEIGHT, 0.0, mixed)
    return tuple((kept / kept.sum()).tolist())
