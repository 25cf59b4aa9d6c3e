"""The compiled walks over `forest_layout`'s arrays.

LightGBM's own decisions (`Tree::NumericalDecision`, `Tree::CategoricalDecision` and the copy of a row that `Predictor` makes, version 4)
are followed to the letter, and its sums are made in its order, so that the scores are its scores to the last bit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from estimators.arrays import FloatArray
from estimators.compiling import compiled
from estimators.forest_layout import (
    CATEGORIES,
    INT32,
    NAN_IS_ZERO,
    NAN_LEFT,
    NAN_RIGHT,
    TOGETHER,
    ZERO_LEFT,
    Records,
    SlotArrays,
    TreeArrays,
)

BLOCK = 32
"""So many rows walk one tree before the next: the tree stays in the nearest cache."""

FEW = 3
"""Up to so many rows are walked one after the other, each down eight trees at a time: sooner done than eight rows down each tree."""

_ZERO = float(np.float32(1e-35))  # LightGBM's kZeroThreshold
_MOST = float(np.finfo(np.float64).max)
_FIRST_BEYOND_INT = 2147483648.0


@compiled
def prepare(row: FloatArray, slots: SlotArrays, out: FloatArray) -> None:
    """A contact's features by slot, into `out` of shape (n_slots,); `row` has the slots' features as columns."""
    out[0] = -math.inf
    bits = slots.bits
    for r in range(len(slots.runs)):
        run = slots.runs[r]
        value = row[run.feature]
        if -_ZERO <= value <= _ZERO:
            value = 0.0
        if run.rule != CATEGORIES:
            out[run.low] = _number(value, run.rule)
            continue
        code = int(value) if -1.0 < value < _FIRST_BEYOND_INT else -1
        word, bit, n = code >> 5, np.uint32(code & 31), run.high - run.low
        if 0 <= word < run.words:
            for k in range(n):
                out[run.low + k] = -math.inf if (bits[run.start + word * n + k] >> bit) & np.uint32(1) else math.inf
        else:
            out[run.low : run.high] = math.inf


@compiled
def _number(value: float, rule: int) -> float:
    if math.isnan(value):
        if rule == NAN_IS_ZERO:
            return 0.0
        return -math.inf if rule in (NAN_LEFT, ZERO_LEFT) else math.inf
    if value == 0.0 and rule not in (NAN_IS_ZERO, NAN_LEFT, NAN_RIGHT):
        return -math.inf if rule == ZERO_LEFT else math.inf
    return min(max(value, -_MOST), _MOST)


@compiled
def step(nodes: Records, prepared: FloatArray, at: Any) -> Any:
    """One walk's next node."""
    node = nodes[at]
    return node.first + np.uint32(not (prepared[node.slot] <= node.value))


@compiled
def score(rows: FloatArray, slots: SlotArrays, trees: TreeArrays, out: FloatArray) -> None:
    """The scores of contacts, `rows` of shape (n, d), into `out` of shape (n, n_models)."""
    if len(rows) > FEW:
        _score_many(rows, slots, trees, out)
        return
    prepared, added = np.empty(slots.n_slots), np.empty(len(trees.trees))
    for row in range(len(rows)):
        prepare(rows[row], slots, prepared)
        _walk_trees(trees.nodes, trees.trees, trees.order, prepared, added)
        for model in range(len(trees.starts) - 1):
            total = 0.0
            for tree in range(trees.starts[model], trees.starts[model + 1]):
                total += added[tree]
            out[row, model] = total


@compiled
def _walk_trees(nodes: Records, trees: Records, order: INT32, prepared: FloatArray, out: FloatArray) -> None:
    """What each tree adds for one contact, into `out`; trees of like depth stand together in `order`, whose length is a multiple of 8."""
    for low in range(0, len(order), TOGETHER):
        a: Any = np.uint64(trees[order[low]].root)
        b, c, d = np.uint64(trees[order[low + 1]].root), np.uint64(trees[order[low + 2]].root), np.uint64(trees[order[low + 3]].root)
        e, f, g, h = (
            np.uint64(trees[order[low + 4]].root),
            np.uint64(trees[order[low + 5]].root),
            np.uint64(trees[order[low + 6]].root),
            np.uint64(trees[order[low + 7]].root),
        )
        for _ in range(trees[order[low]].depth):
            a, b, c, d = step(nodes, prepared, a), step(nodes, prepared, b), step(nodes, prepared, c), step(nodes, prepared, d)
            e, f, g, h = step(nodes, prepared, e), step(nodes, prepared, f), step(nodes, prepared, g), step(nodes, prepared, h)
        out[order[low]], out[order[low + 1]] = nodes[a].value, nodes[b].value
        out[order[low + 2]], out[order[low + 3]] = nodes[c].value, nodes[d].value
        out[order[low + 4]], out[order[low + 5]] = nodes[e].value, nodes[f].value
        out[order[low + 6]], out[order[low + 7]] = nodes[g].value, nodes[h].value


@compiled
def _score_many(rows: FloatArray, slots: SlotArrays, trees: TreeArrays, out: FloatArray) -> None:
    """As `score`, a block of rows at a time: they walk one tree before the next."""
    nodes, starts = trees.nodes, trees.starts
    prepared, totals = np.empty((BLOCK, slots.n_slots)), np.empty(BLOCK)
    for low in range(0, len(rows), BLOCK):
        many = min(BLOCK, len(rows) - low)
        walked = (many + TOGETHER - 1) // TOGETHER * TOGETHER
        for r in range(walked):  # what is walked together and not full repeats its last row
            prepare(rows[low + min(r, many - 1)], slots, prepared[r])
        for model in range(len(starts) - 1):
            totals[:] = 0.0
            for tree in range(starts[model], starts[model + 1]):
                _add_tree(nodes, prepared, trees.trees[tree].root, trees.trees[tree].depth, totals[:walked])
            out[low : low + many, model] = totals[:many]


@compiled
def _add_tree(nodes: Records, prepared: FloatArray, root: int, depth: int, totals: FloatArray) -> None:
    start: Any = np.uint64(root)
    for r in range(0, len(totals), TOGETHER):
        a, b, c, d, e, f, h, i = start, start, start, start, start, start, start, start
        for _ in range(depth):
            a, b = step(nodes, prepared[r], a), step(nodes, prepared[r + 1], b)
            c, d = step(nodes, prepared[r + 2], c), step(nodes, prepared[r + 3], d)
            e, f = step(nodes, prepared[r + 4], e), step(nodes, prepared[r + 5], f)
            h, i = step(nodes, prepared[r + 6], h), step(nodes, prepared[r + 7], i)
        totals[r] += nodes[a].value
        totals[r + 1] += nodes[b].value
        totals[r + 2] += nodes[c].value
        totals[r + 3] += nodes[d].value
        totals[r + 4] += nodes[e].value
        totals[r + 5] += nodes[f].value
        totals[r + 6] += nodes[h].value
        totals[r + 7] += nodes[i].value
