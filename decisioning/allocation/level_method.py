"""The minimum of a convex function of few unknowns that is not smooth: a level method.

Every evaluation gives a cut that bounds the function from below; the next point is the nearest one whose cuts promise enough (Lemarechal,
Nemirovskii, Nesterov, New variants of bundle methods, 1995), here within a box that widens while the best point lies at its wall.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linprog

from decisioning.vocabulary import FloatArray

_LEVEL = 0.3
_CLOSE_ENOUGH = 1e-6
_WIDER = 8.0
_WIDEST = 1e6
_NEAR_THE_WALL = 0.99

Oracle = Callable[[FloatArray], tuple[float, FloatArray]]


@dataclass
class _Cuts:
    """What is known of the function: `slopes @ x - heights` lies below it everywhere; the best point so far and its value."""

    best_at: FloatArray
    best: float = np.inf
    slopes: list[FloatArray] = field(default_factory=list)
    heights: list[float] = field(default_factory=list)

    def add(self, at: FloatArray, value: float, slope: FloatArray) -> None:
        self.slopes.append(slope)
        self.heights.append(float(slope @ at) - value)
        if value < self.best:
            self.best, self.best_at = value, at

    def floor(self, wall: float) -> float | None:
        """The least that the cuts allow within [0, wall]."""
        cuts, n = np.array(self.slopes), len(self.best_at)
        rows = np.column_stack([cuts, -np.ones(len(cuts))])
        bounds = [(0.0, wall)] * n + [(None, None)]
        found = linprog(np.append(np.zeros(n), 1.0), A_ub=rows, b_ub=np.array(self.heights), bounds=bounds, method="highs")
        return float(found.fun) if found.success else None

    def nearest(self, level: float, wall: float) -> FloatArray | None:
        """The point nearest to the best, by the sum of distances, at which no cut is above `level`."""
        cuts, n = np.array(self.slopes), len(self.best_at)
        eye = np.eye(n)
        rows = np.block([[cuts, np.zeros((len(cuts), n))], [eye, -eye], [-eye, -eye]])
        right = np.concatenate([np.array(self.heights) + level, self.best_at, -self.best_at])
        bounds = [(0.0, wall)] * n + [(0.0, None)] * n
        found = linprog(np.append(np.zeros(n), np.ones(n)), A_ub=rows, b_ub=right, bounds=bounds, method="highs")
        return np.clip(found.x[:n], 0.0, wall) if found.success else None


def minimise(oracle: Oracle, start: FloatArray, steps: int) -> FloatArray:
    """The best point >= 0 that `steps` evaluations find, from `start`.

    Parameters
    ----------
    oracle : function
        The value of a convex function at a point, and one of its subgradients there.
    start : array >= 0
    steps : int

    Examples
    --------
    >>> minimise(lambda x: (abs(x[0] - 2.0) + abs(x[1] + 1.0), np.sign(x - [2.0, -1.0])), np.zeros(2), 40).round(3).tolist()
    [2.0, 0.0]
    """
    cuts, at, wall = _Cuts(start), start, max(1.0, 2.0 * float(start.max(initial=0.0)))
    for _ in range(steps):
        cuts.add(at, *oracle(at))
        floor = cuts.floor(wall)
        if floor is None:
            break
        if cuts.best - floor <= _CLOSE_ENOUGH * max(abs(cuts.best), 1.0):
            if cuts.best_at.max(initial=0.0) < _NEAR_THE_WALL * wall or wall >= _WIDEST:
                break
            wall *= _WIDER
            continue
        nearest = cuts.nearest(floor + _LEVEL * (cuts.best - floor), wall)
        if nearest is None:
            break
        at = nearest
    return cuts.best_at
