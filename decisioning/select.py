"""Which of the ranked candidates are shown? A slate: an action at most once, a placement at most once, and together within caps and limits.

For several placements the slate is the assignment of actions to placements of the greatest total (Kuhn, The Hungarian method for the
assignment problem, 1955): an action that fits two places leaves the better one to whoever has no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from decisioning.compiled_catalog import CompiledCatalog
from decisioning.contact_policy import Room
from decisioning.limits import ROUNDING
from decisioning.vocabulary import BoolArray, FloatArray, IntArray


@dataclass
class Slate:
    """What has been chosen for one contact, and what may still stand beside it.

    Parameters
    ----------
    catalog : CompiledCatalog
    placements : sequence of str
        The request's; with them a treatment takes its own placement, so there are never more answers than placements.
    limit : int
        How many may be chosen.
    rooms : sequence of Room
        What the caps still allow this contact.
    uses, left : arrays, shapes (n_treatments, n_constraints) and (n_constraints,)
        What each candidate uses of the constraints, and what is left of them.
    """

    catalog: CompiledCatalog
    placements: Sequence[str]
    limit: int
    rooms: Sequence[Room] = ()
    uses: FloatArray | None = None
    left: FloatArray | None = None
    chosen: list[int] = field(default_factory=list)

    def free(self, ranked: IntArray) -> IntArray:
        """Those of `ranked` (treatment columns, best first) that may be taken next."""
        if len(self.chosen) == self.limit:
            return ranked[:0]
        if not self.chosen and not self.placements:
            return ranked
        return ranked[self._open()[ranked]]

    def take(self, column: int) -> None:
        """Choose the treatment in `column`."""
        self.chosen.append(column)

    def _open(self) -> BoolArray:
        """Which treatments may stand beside the chosen ones, shape (n_treatments,)."""
        free = self._in_free_placements()
        for column in self.chosen:
            free &= self.catalog.action_of != self.catalog.action_of[column]
        for room in self.rooms:
            unit = int(room.unit_of[0])
            if unit >= 0 and room.members[self.chosen].sum() >= room.left[unit]:
                free &= ~room.members
        return free & self._within_limits() if self.chosen else free

    def _in_free_placements(self) -> BoolArray:
        if not self.placements:
            return np.ones(len(self.catalog.treatments), dtype=np.bool_)
        taken = {self.catalog.treatments[column][1].placement for column in self.chosen}
        free = np.zeros(len(self.catalog.treatments), dtype=np.bool_)
        for name in self.placements:
            if name not in taken and name in self.catalog.in_placement:
                free[self.catalog.in_placement[name]] = True
        return free

    def _within_limits(self) -> BoolArray:
        if self.uses is None or self.left is None:
            return np.ones(len(self.catalog.treatments), dtype=np.bool_)
        together = self.uses[self.chosen].sum(axis=0) + self.uses
        return np.asarray(((together <= self.left * (1 + ROUNDING)) | ~(self.uses > 0)).all(axis=1), dtype=np.bool_)


def select(ranked: IntArray, slate: Slate) -> list[int]:
    """The best of `ranked` (treatment columns, best first) that may stand together, best first."""
    while len(free := slate.free(ranked)):
        slate.take(int(free[0]))
    return slate.chosen


def by_best_slate(ranked: IntArray, worth: FloatArray, slate: Slate) -> IntArray:
    """`ranked`, with those of the best assignment of actions to the request's placements moved to the front, in their order.

    `worth` (shape (n_treatments,)) is what they are ranked by. With one placement, or a limit below the number of placements, the order
    stays: the first come first.
    """
    if len(slate.placements) < 2 or slate.limit < len(slate.placements) or len(ranked) < 2:
        return ranked
    best = _best_cells(ranked, slate)
    if not best:
        return ranked
    actions = list(dict.fromkeys(action for _, action in best))
    places = list(dict.fromkeys(place for place, _ in best))
    floor = min(0.0, float(worth[list(best.values())].min()))
    matrix = np.zeros((len(places), len(actions)))
    for (place, action), column in best.items():
        matrix[places.index(place), actions.index(action)] = worth[column] - floor
    rows, columns = linear_sum_assignment(matrix, maximize=True)
    pairs = [(places[row], actions[column]) for row, column in zip(rows, columns, strict=True)]
    assigned = {best[pair] for pair in pairs if pair in best}
    front = [column for column in ranked.tolist() if column in assigned]
    return np.array(front + [column for column in ranked.tolist() if column not in assigned], dtype=np.int64)


def _best_cells(ranked: IntArray, slate: Slate) -> dict[tuple[str, str], int]:
    """The first of `ranked` for each (placement, action)."""
    best: dict[tuple[str, str], int] = {}
    for column in ranked.tolist():
        action, treatment = slate.catalog.treatments[column]
        if treatment.placement in slate.placements:
            best.setdefault((str(treatment.placement), action.id), column)
    return best
