"""Whole offers out of a small programme, by two searches one after the other.

First branch and bound on its linear relaxation (Land, Doig, An automatic method of solving discrete programming problems, 1960), deepest
first and only a few branches: it finds something good. Then, at the prices of the relaxation, every offer has a reduced value, and giving
it against its sign costs that much: what costs more than is left to win is settled, and the rest is tried, all of it where it is little.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array

from decisioning.allocation.program import Program
from decisioning.vocabulary import BoolArray, FloatArray, IntArray

_BRANCHES = 25
_TRIALS = 500_000
_TRIED_OFFERS = 64
_WHOLE = 1e-6
_BETTER = 1e-9
_MARGIN = 1e-6


class Found(NamedTuple):
    """The offers of the best whole solution, None where none was found, and whether it is proven that there is no better one."""

    offers: IntArray | None
    proven: bool


@dataclass
class _Tree:
    """Branch and bound under way: the programme as inequalities, the best whole solution so far, and how many branches are left."""

    worth: FloatArray
    matrix: csr_array
    right: FloatArray
    accept: Callable[[BoolArray], bool]
    branches: int = _BRANCHES
    best: float = -np.inf
    chosen: BoolArray | None = None
    exact: bool = True
    open: list[tuple[float, FloatArray, FloatArray]] = field(default_factory=list)

    def run(self) -> None:
        """Follow the branches, the one that was opened last first."""
        self.open.append((np.inf, np.zeros(len(self.worth)), np.ones(len(self.worth))))
        while self.open and self.branches > 0:
            bound, low, high = self.open.pop()
            if bound > self.best + _BETTER:
                self._look_into(low, high)

    def hold(self, whole: BoolArray) -> None:
        """Keep a whole solution that is better than the best so far, if it is accepted."""
        value = float(self.worth @ whole)
        if value <= self.best:
            return
        if self.accept(whole):
            self.best, self.chosen = value, whole
        else:
            self.exact = False

    def _look_into(self, low: FloatArray, high: FloatArray) -> None:
        self.branches -= 1
        found = linprog(-self.worth, A_ub=self.matrix, b_ub=self.right, bounds=np.column_stack([low, high]), method="highs")
        if not found.success or -found.fun <= self.best + _BETTER:
            return
        divided = np.flatnonzero((found.x > _WHOLE) & (found.x < 1 - _WHOLE))
        if not len(divided):
            self.hold(np.asarray(found.x > 0.5, dtype=np.bool_))
            return
        split = divided[np.argmax(found.x[divided])]
        without, having = high.copy(), low.copy()
        without[split], having[split] = 0.0, 1.0
        self.open.append((-found.fun, low, without))
        self.open.append((-found.fun, having, high))


def search(program: Program, accept: Callable[[IntArray], bool]) -> Found:
    """The best whole solution that is found.

    `accept` has the last word on whether offers keep to the limits: exactly, while a linear programme tolerates a hair. Where the hair
    matters, the limits are held a hair tighter.
    """
    which = program.which
    if not len(which):
        return Found(which if accept(which) else None, True)
    for margin in (0.0, _MARGIN):
        matrix, right = program.inequalities(margin)
        tree = _Tree(program.worth, matrix, right, lambda whole: accept(which[whole]))
        tree.run()
        proven = not tree.open or _try_the_rest(tree)
        if tree.chosen is not None:
            return Found(which[tree.chosen], proven and tree.exact)
        if proven and tree.exact:
            return Found(None, True)
    return Found(None, False)


def _try_the_rest(tree: _Tree) -> bool:
    """Try the offers that are not settled at the root's prices; whether no better solution can be left."""
    from decisioning.allocation import kernels as allocation_kernels

    root = linprog(-tree.worth, A_ub=tree.matrix, b_ub=tree.right, bounds=(0.0, 1.0), method="highs")
    if not root.success:
        return True
    price = np.maximum(-root.ineqlin.marginals, 0.0)
    gain = tree.worth - tree.matrix.T @ price
    to_win = -root.fun - tree.best
    doubtful = np.flatnonzero(np.abs(gain) < to_win)
    doubtful = doubtful[np.argsort(np.abs(gain[doubtful]), kind="stable")]
    tried = doubtful[:_TRIED_OFFERS][::-1]
    settled = np.asarray(root.x > 0.5, dtype=np.bool_)
    settled[tried] = False
    uses = np.ascontiguousarray(tree.matrix[:, tried].toarray().T)
    trial = allocation_kernels.Trial(uses, tree.right - tree.matrix @ settled, price, gain[tried])
    pattern, loss, rest = allocation_kernels.try_all(trial, to_win, _TRIALS)
    if loss < to_win:
        settled[tried] = pattern
        tree.hold(settled)
    return bool(rest > 0 and len(tried) == len(doubtful))
