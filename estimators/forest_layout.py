"""Trees as flat arrays, so that every decision of every kind is one comparison: `prepared[slot] <= value`.

What differs between splits (where NaN goes, what counts as zero, which categories go left) is settled once a contact, when its features are
prepared: a slot is one feature under one such rule. A leaf compares slot 0, which is minus infinity, with what the leaf adds, and so always
leads to itself: a walk of more steps than a tree is deep ends in the same leaf, and many walks go side by side without a branch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from estimators.forest_text import MISSING_NAN, MISSING_NONE, Split, Tree, Trees

NODE = np.dtype([("value", np.float64), ("slot", np.uint32), ("first", np.uint32)])
"""`value` is the threshold, or what a leaf adds; the left child is `first`, the right one the next."""

NAN_IS_ZERO, NAN_LEFT, NAN_RIGHT, ZERO_LEFT, ZERO_RIGHT, CATEGORIES = range(6)
"""The rules of slots; the last but one pair sends NaN the way of zero."""

INT32 = npt.NDArray[np.int32]


class SlotArrays(NamedTuple):
    """The slots as the kernels read them: runs of one feature and one rule.

    Parameters
    ----------
    feature, rule : arrays of int, shape (n_runs,)
    begin : array of int, shape (n_runs + 1,)
        The first slot of each run; the last number is how many slots there are, slot 0 included.
    start, words : arrays of int, shape (n_runs,)
        Of a run of categories: where its bits begin, and how many words each of its slots has.
    bits : array of uint32
        Which categories go left: of each run, the first word of all its slots, then the second of all of them, and so on.
    """

    feature: INT32
    rule: INT32
    begin: INT32
    start: INT32
    words: INT32
    bits: npt.NDArray[np.uint32]

    @property
    def n_slots(self) -> int:
        """How long a prepared row is."""
        return int(self.begin[-1])


class Slots:
    """The distinct (feature, rule, categories) of some splits, by feature; slot 0 is the leaves'.

    Parameters
    ----------
    found : iterable of (Split, column that its feature stands in)
    """

    def __init__(self, found: Iterable[tuple[Split, int]]) -> None:
        keys = sorted({_key(split, column) for split, column in found})
        self._place = {key: place for place, key in enumerate(keys, start=1)}

    def of(self, split: Split, column: int) -> int:
        """The slot of a split; 0 where there is none."""
        return self._place.get(_key(split, column), 0)

    def arrays(self) -> SlotArrays:
        """The slots by runs."""
        runs = [(feature, rule, [key[2] for key in keys]) for (feature, rule), keys in groupby(self._place, key=lambda key: key[:2])]
        words = [max(map(len, categories)) for _, _, categories in runs]
        blocks = [_by_word(categories, width) for (_, _, categories), width in zip(runs, words, strict=True)]
        counts, sizes = [len(categories) for _, _, categories in runs], [len(block) for block in blocks]
        bits = np.array([word for block in blocks for word in block], dtype=np.uint32)
        numbers = [[run[0] for run in runs], [run[1] for run in runs], np.cumsum([1, *counts]), np.cumsum([0, *sizes])[:-1], words]
        feature, rule, begin, start, width = (np.array(values, dtype=np.int32) for values in numbers)
        return SlotArrays(feature, rule, begin, start, width, bits)


def _by_word(categories: list[tuple[int, ...]], width: int) -> list[int]:
    """The first word of all, then the second of all, and so on; absent words hold nobody."""
    return [one[word] if word < len(one) else 0 for word in range(width) for one in categories]


def _key(split: Split, column: int) -> tuple[int, int, tuple[int, ...]]:
    return column, _rule(split), split.categories or ()


def _rule(split: Split) -> int:
    if split.categories is not None:
        return CATEGORIES
    if split.missing == MISSING_NONE:
        return NAN_IS_ZERO
    if split.missing == MISSING_NAN:
        return NAN_LEFT if split.default_left else NAN_RIGHT
    return ZERO_LEFT if split.default_left else ZERO_RIGHT


class TreeArrays(NamedTuple):
    """The trees of some models, one after the other.

    Parameters
    ----------
    nodes : array of NODE
    root, depth : arrays of int, shape (n_trees,)
        Where each tree begins, and the steps to its lowest leaf.
    starts : array of int, shape (n_models + 1,)
        The first tree of each model.
    """

    nodes: npt.NDArray[Any]
    root: INT32
    depth: INT32
    starts: INT32


Placed: TypeAlias = tuple[Trees, Mapping[int, int] | None]
"""A model, with the column that each of its features stands in; None: in their own places."""


def splits_of(models: Iterable[Placed]) -> Iterator[tuple[Split, int]]:
    """Every split of some models with the column that it reads."""
    for model, columns in models:
        for tree in model.trees:
            for split in tree.splits:
                yield split, _column(split, columns)


def lay_out(models: Sequence[Placed], slots: Slots) -> TreeArrays:
    """Some models as arrays."""
    nodes: list[tuple[float, int, int]] = []
    roots, depths = [], []
    for model, columns in models:
        for tree in model.trees:
            roots.append(len(nodes))
            depths.append(_append(nodes, tree, columns, slots))
    starts = np.cumsum([0, *(len(model.trees) for model, _ in models)])
    root, depth, first = (np.array(values, dtype=np.int32) for values in (roots, depths, starts))
    return TreeArrays(np.array(nodes, dtype=NODE), root, depth, first)


def _append(nodes: list[tuple[float, int, int]], tree: Tree, columns: Mapping[int, int] | None, slots: Slots) -> int:
    """Add one tree level by level, so that two children stand side by side; returns its depth."""
    level = [(0 if tree.splits else -1, len(nodes))]
    nodes.append((0.0, 0, 0))
    depth = -1
    while level:
        below: list[tuple[int, int]] = []
        for child, place in level:
            if child < 0:
                nodes[place] = (tree.leaves[-child - 1], 0, place)
                continue
            split, first = tree.splits[child], len(nodes)
            nodes[place] = (threshold(split), slots.of(split, _column(split, columns)), first)
            nodes += [(0.0, 0, 0), (0.0, 0, 0)]
            below += [(split.left, first), (split.right, first + 1)]
        level, depth = below, depth + 1
    return depth


def _column(split: Split, columns: Mapping[int, int] | None) -> int:
    """The column that a split's feature stands in."""
    return split.feature if columns is None else columns[split.feature]


def threshold(split: Split) -> float:
    """What a prepared feature is compared with; categories that go left are prepared as minus infinity."""
    if split.categories is not None:
        return 0.0
    return float(np.clip(split.threshold, -np.finfo(np.float64).max, np.finfo(np.float64).max))
