"""The compiled walks over `forest_layout`'s arrays.

LightGBM's own decisions (`Tree::NumericalDecision`, `Tree::CategoricalDecision` and the copy of a row that `Predictor` makes, version 4)
are followed to the letter, and its sums are made in its order, so that the scores are its scores to the last bit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.arrays import FloatArray
from estimators.compiling import compiled
from estimators.forest_layout import CATEGORIES, INT32, NAN_IS_ZERO, NAN_LEFT, NAN_RIGHT, ZERO_LEFT, SlotArrays, TreeArrays

Nodes = npt.NDArray[Any]

TOGETHER = 8
"""So many walks go side by side: each waits for memory while the others go on."""

BLOCK = 32
"""So many rows walk one tree before the next: the tree stays in the nearest cache."""

_ZERO = float(np.float32(1e-35))  # LightGBM's kZeroThreshold
_MOST = float(np.finfo(np.float64).max)
_FIRST_BEYOND_INT = 2147483648.0


@compiled
def prepare(row: FloatArray, slots: SlotArrays, out: FloatArray) -> None:
    """A contact's features by slot, into `out` of shape (n_slots,); `row` has the slots' features as columns."""
    out[0] = -math.inf
    for run in range(len(slots.feature)):
        value = row[slots.feature[run]]
        if -_ZERO <= value <= _ZERO:
            value = 0.0
        low, high = slots.begin[run], slots.begin[run + 1]
        if slots.rule[run] != CATEGORIES:
            out[low] = _number(value, slots.rule[run])
            continue
        code = int(value) if -1.0 < value < _FIRST_BEYOND_INT else -1
        word, bit = code >> 5, np.uint32(code & 31)
        if 0 <= word < slots.words[run]:
            start = slots.start[run] + word * (high - low)
            for slot in range(low, high):
                goes_left = (slots.bits[start + slot - low] >> bit) & np.uint32(1)
                out[slot] = -math.inf if goes_left else math.inf
        else:
            out[low:high] = math.inf


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
def step(nodes: Nodes, prepared: FloatArray, at: Any) -> Any:
    """One walk's next node."""
    node = nodes[at]
    return node.first + np.uint32(not (prepared[node.slot] <= node.value))


@compiled
def walk_trees(trees: TreeArrays, prepared: FloatArray, order: INT32, out: FloatArray) -> None:
    """What each tree adds for one contact, into `out`; trees of like depth stand together in `order`, whose length is a multiple of 8."""
    nodes, root, depth = trees.nodes, trees.root, trees.depth
    for g in range(0, len(order), TOGETHER):
        a, b, c, d = (root[order[g]], root[order[g + 1]], root[order[g + 2]], root[order[g + 3]])
        e, f, h, i = (root[order[g + 4]], root[order[g + 5]], root[order[g + 6]], root[order[g + 7]])
        a, b, c, d, e, f, h, i = (
            np.uint64(a),
            np.uint64(b),
            np.uint64(c),
            np.uint64(d),
            np.uint64(e),
            np.uint64(f),
            np.uint64(h),
            np.uint64(i),
        )
        for _ in range(depth[order[g]]):
            a, b = step(nodes, prepared, a), step(nodes, prepared, b)
            c, d = step(nodes, prepared, c), step(nodes, prepared, d)
            e, f = step(nodes, prepared, e), step(nodes, prepared, f)
            h, i = step(nodes, prepared, h), step(nodes, prepared, i)
        out[order[g]], out[order[g + 1]] = nodes[a].value, nodes[b].value
        out[order[g + 2]], out[order[g + 3]] = nodes[c].value, nodes[d].value
        out[order[g + 4]], out[order[g + 5]] = nodes[e].value, nodes[f].value
        out[order[g + 6]], out[order[g + 7]] = nodes[h].value, nodes[i].value


@compiled
def add_up(added: FloatArray, starts: INT32, out: FloatArray) -> None:
    """Each model's score: the sum of its trees `starts[m]` to `starts[m + 1]`, in order."""
    for model in range(len(starts) - 1):
        total = 0.0
        for tree in range(starts[model], starts[model + 1]):
            total += added[tree]
        out[model] = total


@compiled
def score_rows(rows: FloatArray, slots: SlotArrays, trees: TreeArrays, out: FloatArray) -> None:
    """The scores of many contacts, `rows` of shape (n, d), into `out` of shape (n, n_models)."""
    nodes, starts = trees.nodes, trees.starts
    prepared = np.empty((BLOCK, slots.begin[-1]))
    for low in range(0, len(rows), BLOCK):
        many = min(BLOCK, len(rows) - low)
        for r in range(BLOCK):  # a block that is not full repeats its last row
            prepare(rows[low + min(r, many - 1)], slots, prepared[r])
        totals = np.zeros(BLOCK)
        for model in range(len(starts) - 1):
            totals[:] = 0.0
            for tree in range(starts[model], starts[model + 1]):
                _add_tree(nodes, prepared, trees.root[tree], trees.depth[tree], totals)
            out[low : low + many, model] = totals[:many]


@compiled
def _add_tree(nodes: Nodes, prepared: FloatArray, root: int, depth: int, totals: FloatArray) -> None:
    start: Any = np.uint64(root)
    for r in range(0, BLOCK, TOGETHER):
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
