"""The compiled walk of one contact's candidates: every tree once, with a mask of the candidates that are still together."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from estimators.arrays import FloatArray
from estimators.compiling import compiled, inlined
from estimators.forest_kernels import prepare, step
from estimators.forest_layout import INT32, TOGETHER, Records, SlotArrays

WORD = 64
"""Candidates a word of a mask."""

_NOBODY, _ONE, _EVERYBODY = np.uint64(0), np.uint64(1), np.uint64(0xFFFFFFFFFFFFFFFF)

Masks = npt.NDArray[np.uint64]
Places = npt.NDArray[np.uint32]


FORK = np.dtype([("steps", np.int32), ("mask", np.int32), ("first", np.uint32)])
"""What a walk of candidates asks of a node: the most steps from there to where a walk ends, the row of `masks` that the node divides the
candidates by (-1 where it does not), and the left child of a node that divides; the right one is the next."""


class SharedTrees(NamedTuple):
    """A model's trees as a group of candidates walks them.

    Parameters
    ----------
    nodes : array of NODE
        A node that divides the candidates leads to itself, as a leaf does: there a walk ends.
    forks : array of FORK
        Of the same nodes.
    root : array of int, shape (n_trees,)
    masks : array, shape (n_masks, n_words)
        Who goes left, a bit each; the bits behind the last candidate's are as his.
    """

    nodes: Records
    forks: Records
    root: INT32
    masks: Masks


class Groups(NamedTuple):
    """Groups of candidates on their way: where each is, in which tree, who belongs to it, and the group before it in a leaf there."""

    at: Places
    tree: INT32
    who: Masks
    before: INT32


@compiled
def share_rows(rows: FloatArray, slots: SlotArrays, trees: SharedTrees, out: FloatArray) -> None:
    """The scores of contacts, `rows` of shape (n, d), for all candidates, into `out` of shape (n, n_candidates)."""
    words, most = trees.masks.shape[1], len(trees.nodes) + 1
    at, tree = np.empty(most, dtype=np.uint32), np.empty(most, dtype=np.int32)
    groups = Groups(at, tree, np.empty((most, words), dtype=np.uint64), np.empty(most, dtype=np.int32))
    newest = np.empty(len(trees.root), dtype=np.int32)
    prepared, scores = np.empty(slots.n_slots), np.empty(WORD * words)
    for row in range(len(rows)):
        prepare(rows[row], slots, prepared)
        _share(prepared, trees, groups, newest)
        _add_up(trees.nodes, groups, newest, scores)
        out[row] = scores[: out.shape[1]]


@compiled
def _share(prepared: FloatArray, trees: SharedTrees, groups: Groups, newest: INT32) -> None:
    """Walk all groups, then divide those that a candidate's feature divides into those who go left and right, until each is in a leaf."""
    at, in_tree, who, before = groups.at, groups.tree, groups.who, groups.before
    forks, masks = trees.forks, trees.masks
    low, many = 0, len(trees.root)
    for tree in range(many):
        at[tree], in_tree[tree], newest[tree] = trees.root[tree], tree, -1
        for w in range(masks.shape[1]):
            who[tree, w] = _EVERYBODY
    while low < many:
        end = many
        _walk_all(prepared, trees.nodes, forks, at, low, end)
        for g in range(low, end):
            fork = forks[np.uint64(at[g])]
            if fork.mask < 0:
                before[g] = newest[in_tree[g]]
                newest[in_tree[g]] = g
                continue
            for side in range(2):
                at[many], in_tree[many] = fork.first + np.uint32(side), in_tree[g]
                many += _part(who, g, many, masks, fork.mask, side)
        low = end


@inlined
def _part(who: Masks, group: int, part: int, masks: Masks, mask: int, side: int) -> int:
    """Who of a group goes left (side 0) or right, into `who[part]`; 0 where that is nobody, else 1."""
    anybody = _NOBODY
    for w in range(masks.shape[1]):
        left = masks[mask, w]
        here = who[group, w] & (left if side == 0 else ~left)
        who[part, w] = here
        anybody |= here
    return 1 if anybody != _NOBODY else 0


@compiled
def _walk_all(prepared: FloatArray, nodes: Records, forks: Records, at: Places, low: int, end: int) -> None:
    """The groups from `low` on to where their walks end, eight side by side."""
    for g in range(low, end - TOGETHER + 1, TOGETHER):
        _walk(prepared, nodes, forks, at, g)
    for g in range(end - (end - low) % TOGETHER, end):
        place: Any = np.uint64(at[g])
        for _ in range(forks[place].steps):
            place = step(nodes, prepared, place)
        at[g] = place


@inlined
def _walk(prepared: FloatArray, nodes: Records, forks: Records, at: Places, low: int) -> None:
    """Eight groups to where their walks end, side by side: each waits for memory while the others go on."""
    most = 0
    for k in range(low, low + TOGETHER):
        most = max(most, forks[at[k]].steps)
    a: Any = np.uint64(at[low])
    b, c, d = np.uint64(at[low + 1]), np.uint64(at[low + 2]), np.uint64(at[low + 3])
    e, f, g, h = np.uint64(at[low + 4]), np.uint64(at[low + 5]), np.uint64(at[low + 6]), np.uint64(at[low + 7])
    for _ in range(most):
        a, b, c, d = step(nodes, prepared, a), step(nodes, prepared, b), step(nodes, prepared, c), step(nodes, prepared, d)
        e, f, g, h = step(nodes, prepared, e), step(nodes, prepared, f), step(nodes, prepared, g), step(nodes, prepared, h)
    at[low], at[low + 1], at[low + 2], at[low + 3] = a, b, c, d
    at[low + 4], at[low + 5], at[low + 6], at[low + 7] = e, f, g, h


@compiled
def _add_up(nodes: Records, groups: Groups, newest: INT32, scores: FloatArray) -> None:
    """Each candidate's sum over the trees, in their order: a group's leaf counts for whoever belongs to it, 0 for the others."""
    at, who, before = groups.at, groups.who, groups.before
    scores[:] = 0.0
    for tree in range(len(newest)):
        group = newest[tree]
        while group >= 0:
            _add_to(who, group, nodes[np.uint64(at[group])].value, scores)
            group = before[group]


@inlined
def _add_to(who: Masks, group: int, value: float, scores: FloatArray) -> None:
    for w in range(who.shape[1]):
        word = who[group, w]
        if word == _EVERYBODY:
            for k in range(WORD):
                scores[WORD * w + k] += value
        elif word != _NOBODY:
            for k in range(WORD):
                scores[WORD * w + k] += value if (word >> np.uint64(k)) & _ONE else 0.0
