"""One contact against many candidates by one LightGBM model that has the action, the channel or the exposure among its features.

All candidates of a contact share the contact's features. A tree is walked once for all of them: a split on a contact's feature sends them
all one way, a split on a candidate's feature divides them, by a mask that is computed once for all contacts. So no matrix of candidates is
ever built, and a contact costs little more for a hundred candidates than for one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from estimators.arrays import FloatArray
from estimators.compiling import entry_point
from estimators.forest import ROWS_A_THREAD, scored
from estimators.forest_candidate_kernels import FORK, WORD, Masks, SharedTrees, share_rows
from estimators.forest_kernels import prepare
from estimators.forest_layout import INT32, Placed, SlotArrays, Slots, TreeArrays, lay_out, splits_of
from estimators.forest_text import read_trees


@dataclass(frozen=True, eq=False)
class CandidateForest:
    """A LightGBM model with the candidates' features filled in.

    Parameters
    ----------
    trees : SharedTrees
    slots : SlotArrays
        Of the contact's features.
    n_candidates, n_columns : int
        `n_columns` of a row, the candidates' columns included: what stands there is not read.
    """

    trees: SharedTrees
    slots: SlotArrays
    n_candidates: int
    n_columns: int

    @classmethod
    def of_text(cls, text: str, columns: Sequence[int], candidates: FloatArray) -> CandidateForest:
        """The model that LightGBM's text describes, for some candidates.

        Parameters
        ----------
        text : str
        columns : sequence of int, length c
            The features that belong to the candidate.
        candidates : array, shape (K, c)
            Their values.

        Raises
        ------
        NotUnderstood
            The text says what the kernel does not do: ask LightGBM.
        ValueError
            If the candidates have another shape, or there are none.
        """
        values = np.asarray(candidates, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(columns) or not len(values):
            raise ValueError(f"the candidates; got shape {values.shape}; allowed: (1 or more, {len(columns)})")
        model, theirs = read_trees(text), set(columns)
        models: list[Placed] = [(model, None)]
        of_contact = Slots(found for found in splits_of(models) if found[1] not in theirs)
        of_candidate = Slots(found for found in splits_of(models) if found[1] in theirs)
        rows = np.full((len(values), model.n_features), np.nan)
        rows[:, list(columns)] = values
        walked, dividing = lay_out(models, of_contact), lay_out(models, of_candidate)
        mask, masks = _masks(dividing, of_candidate.arrays(), rows)
        return cls(_shared(walked, mask, masks), of_contact.arrays(), len(values), model.n_features)

    def scores(self, rows: FloatArray, *, threads: int = 1) -> FloatArray:
        """The raw scores of n contacts for K candidates, shape (n, K), of rows of shape (n, n_columns).

        Raises
        ------
        ValueError
            If the rows have another number of columns.
        """
        return scored(self._score, rows, (self.n_columns, self.n_candidates), threads if len(rows) >= ROWS_A_THREAD else 1)

    def _score(self, rows: FloatArray, out: FloatArray) -> None:
        self._entry(rows, self.slots, self.trees, out)

    @cached_property
    def _entry(self) -> Callable[..., None]:
        return entry_point(share_rows, np.empty((1, 1)), self.slots, self.trees, np.empty((1, 1)))


def _shared(trees: TreeArrays, mask: INT32, masks: Masks) -> SharedTrees:
    """The trees with the nodes that divide the candidates as ends of walks."""
    nodes = trees.nodes.copy()
    forks = np.zeros(len(nodes), dtype=FORK)
    forks["first"], forks["mask"] = nodes["first"], mask
    divides = np.flatnonzero(mask >= 0)
    nodes["first"][divides] = divides
    steps = forks["steps"]
    for node in range(len(nodes) - 1, -1, -1):  # a child stands behind its parent
        below = int(nodes["first"][node])
        if below != node:
            steps[node] = 1 + max(steps[below], steps[below + 1])
    return SharedTrees(nodes, forks, trees.trees["root"].copy(), masks)


def _masks(trees: TreeArrays, slots: SlotArrays, rows: FloatArray) -> tuple[INT32, Masks]:
    """For each node the number of its mask, -1 where the contact decides, and the masks: each distinct division once."""
    prepared = np.empty((len(rows), slots.n_slots))
    for k in range(len(rows)):
        prepare(rows[k], slots, prepared[k])
    words = -(-len(rows) // WORD)
    numbers: dict[bytes, int] = {}
    mask = np.full(len(trees.nodes), -1, dtype=np.int32)
    for node in np.flatnonzero(trees.nodes["slot"] > 0).tolist():
        left = prepared[:, int(trees.nodes["slot"][node])] <= trees.nodes["value"][node]
        mask[node] = numbers.setdefault(_packed(left, words), len(numbers))
    return mask, np.frombuffer(b"".join(numbers), dtype="<u8").reshape(len(numbers), words).astype(np.uint64)


def _packed(left: npt.NDArray[np.bool_], words: int) -> bytes:
    padded = np.pad(left, (0, words * WORD - len(left)), mode="edge")  # nobody walks for the padding alone
    return np.packbits(padded, bitorder="little").tobytes()
