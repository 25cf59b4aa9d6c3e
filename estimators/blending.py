"""Weights of several models of one probability, chosen by their out-of-fold log loss."""

from __future__ import annotations

from itertools import product

import numpy as np

from estimators.arrays import FloatArray
from estimators.calibration import log_losses


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
