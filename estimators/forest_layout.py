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

TOGETHER = 8
"""So many walks go side by side: each waits for memory while the others go on."""

INT32 = npt.NDArray[np.int32]
_MOST = float(np.finfo(np.float64).max)


RUN = np.dtype([(name, np.int32) for name in ("feature", "rule", "low", "high", "start", "words")])
"""Slots of one feature and one rule, from `low` to `high`; of categories, `start` is where their bits begin, and each has so many words."""

TREE = np.dtype([("root", np.int32), ("depth", np.int32)])
"""Where a tree begins, and the steps to its lowest leaf."""

Records = npt.NDArray[Any]


class SlotArrays(NamedTuple):
    """The slots as the kernels read them.

    Parameters
    ----------
    runs : array of RUN
    bits : array of uint32
        Which categories go left: of each run, the first word of all its slots, then the second of all of them, and so on.
    n_slots : int
        How long a prepared row is, slot 0 included.
    """

    runs: Records
    bits: npt.NDArray[np.uint32]
    n_slots: int


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
        runs: list[tuple[int, ...]] = []
        bits: list[int] = []
        low = 1
        for (feature, rule), keys in groupby(self._place, key=lambda key: key[:2]):
            categories = [key[2] for key in keys]
            words = max(map(len, categories))
            runs.append((feature, rule, low, low + len(categories), len(bits), words))
            bits += _by_word(categories, words)
            low += len(categories)
        return SlotArrays(np.array(runs, dtype=RUN), np.array(bits, dtype=np.uint32), low)


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
    trees : array of TREE
    starts : array of int, shape (n_models + 1,)
        The first tree of each model.
    order : array of int, a multiple of `TOGETHER` long
        The trees by depth, so that those that walk side by side take as many steps; filled up with the last one.
    """

    nodes: Records
    trees: Records
    starts: INT32
    order: INT32


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
    trees: list[tuple[int, int]] = []
    for model, columns in models:
        for tree in model.trees:
            trees.append((len(nodes), _append(nodes, tree, columns, slots)))
    starts = np.cumsum([0, *(len(model.trees) for model, _ in models)]).astype(np.int32)
    laid = np.array(trees, dtype=TREE)
    by_depth = np.argsort(-laid["depth"], kind="stable").astype(np.int32)
    order = np.concatenate([by_depth, np.repeat(by_depth[-1:], -len(by_depth) % TOGETHER)])
    return TreeArrays(np.array(nodes, dtype=NODE), laid, starts, order)


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
    return min(max(split.threshold, -_MOST), _MOST)
