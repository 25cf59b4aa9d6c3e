"""Whole offers out of a small programme: branch and bound on its linear relaxation (Land, Doig, An automatic method of solving discrete
programming problems, 1960), deepest first, with a limit on the number of branches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array

from decisioning.allocation_program import Program
from decisioning.vocabulary import FloatArray, IntArray

_NODES = 150
_WHOLE = 1e-6
_BETTER = 1e-9
_MARGIN = 1e-6


@dataclass
class _Tree:
    """A search under way: the programme as inequalities, the best whole solution so far, and how many branches are left."""

    worth: FloatArray
    matrix: csr_array
    right: FloatArray
    accept: Callable[[FloatArray], bool]
    nodes: int = _NODES
    best: float = -np.inf
    chosen: FloatArray | None = None
    open: list[tuple[float, FloatArray, FloatArray]] = field(default_factory=list)

    def run(self) -> None:
        """Follow the branches, the one that was opened last first."""
        nothing = np.zeros(len(self.worth))
        self.open.append((np.inf, nothing, np.ones(len(self.worth))))
        while self.open and self.nodes > 0:
            bound, low, high = self.open.pop()
            if bound > self.best + _BETTER:
                self._look_into(low, high)

    def _look_into(self, low: FloatArray, high: FloatArray) -> None:
        self.nodes -= 1
        bounds = np.column_stack([low, high])
        found = linprog(-self.worth, A_ub=self.matrix, b_ub=self.right, bounds=bounds, method="highs")
        if not found.success or -found.fun <= self.best + _BETTER:
            return
        divided = np.flatnonzero((found.x > _WHOLE) & (found.x < 1 - _WHOLE))
        if not len(divided):
            self._hold(np.round(found.x))
            return
        split = divided[np.argmin(np.abs(found.x[divided] - 0.6))]
        without, having = high.copy(), low.copy()
        without[split], having[split] = 0.0, 1.0
        self.open.append((-found.fun, low, without))
        self.open.append((-found.fun, having, high))

    def _hold(self, whole: FloatArray) -> None:
        if self.accept(whole):
            self.best, self.chosen = float(self.worth @ whole), whole


def search(program: Program, accept: Callable[[IntArray], bool]) -> IntArray | None:
    """The best whole solution that is found, as offers; None where none is.

    `accept` has the last word on whether offers keep to the limits: exactly, while a linear programme tolerates a hair. Where the hair
    matters, the limits are held a hair tighter.
    """
    which = program.which
    if not len(which):
        return which if accept(which) else None
    for margin in (0.0, _MARGIN):
        matrix, right = program.inequalities(margin)
        tree = _Tree(program.worth, matrix, right, lambda whole: accept(which[whole > 0.5]))
        tree.run()
        if tree.chosen is not None:
            return which[tree.chosen > 0.5]
    return None
