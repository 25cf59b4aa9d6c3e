"""The compiled arithmetic of the served bundles: what `heads`, `scores`, `uplift_head` and the bundles say, for all of them at once.

Each function says a part of the law in plain loops; the tests hold them to the plain classes on every kind of part. A row's sums are made
in one order, whatever stands beside it: one contact and a million get the same numbers. A table is one array of records: every
array that is handed to compiled code costs a third of a microsecond.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from estimators.arrays import FloatArray
from estimators.calibration import SMALLEST
from estimators.compiling import compiled, inlined
from estimators.curves import WIDEST
from estimators.encoding_numbers import CLIP
from estimators.forest_layout import INT32

NUMBER, MISSING, CATEGORY = range(3)
NO_CALIBRATOR, PLATT, ISOTONIC = range(3)
OF_LINEAR, OF_TREES, OF_MIX = range(3)
NONE = -1


COLUMN = np.dtype([("kind", "i4"), ("source", "i4"), ("log_unit", "f8"), ("centre", "f8"), ("scale", "f8")])
"""A column of a linear matrix: what it is, and which column of a row it reads. Of an indicator `centre` is the share; of a category `scale`
is the code."""

RESPONSE = np.dtype(
    [("constant", "f8"), ("linear_weight", "f8"), ("tree_weight", "f8"), ("shift", "f8"), ("intercept", "f8"), ("slope", "f8")]
    + [("linear", "i4"), ("trees", "i4"), ("calibrator", "i4"), ("start", "i4"), ("end", "i4")]
)
"""A `ResponseHead`: the places of its scores (`NONE` where a part has no weight), and its calibrator; knots from `start` to `end`."""

ARM = np.dtype([("offset", "f8"), ("opt_out_offset", "f8"), ("response", "i4"), ("opt_out", "i4"), ("effect", "i4"), ("place", "i4")])
"""An arm that is asked about: its response and opt-out heads with their offsets, its effect, and the place of its channel there."""

EFFECT = np.dtype(
    [("average", "f8"), ("trust", "f8"), ("unexposed", "i4"), *((name, "i4") for name in ("member", "members", "place", "places"))]
)
"""An `UpliftHead`: its first member and how many it has, its first channel and how many it knows."""

MEMBER = np.dtype([("weight", "f8"), ("centre", "f8"), ("kind", "i4"), ("score", "i4")])
PLACE = np.dtype([("share", "f8"), ("exposed", "i4")])

VALUE = np.dtype([("mean", "f8"), ("back", "f8"), ("low", "f8"), ("high", "f8"), ("linear", "i4")])
"""A `ValueHead`; `linear` is `NONE` where the mean alone is served."""

Records = npt.NDArray[Any]


class Design(NamedTuple):
    """The columns of the linear matrices of all encoders, then the squares of some of them.

    Parameters
    ----------
    columns : array of COLUMN, shape (m,)
    bent : array of int, shape (k,)
        The columns that have a square.
    coef : array, shape (m + k, s)
        Of s scores.
    intercept : array, shape (s,)
    """

    columns: Records
    bent: INT32
    coef: FloatArray
    intercept: FloatArray


class Tables(NamedTuple):
    """What the bundles know, as the kernel reads it: arrays of RESPONSE, ARM, EFFECT, MEMBER, PLACE and VALUE, and calibrators' knots."""

    responses: Records
    knots: FloatArray
    levels: FloatArray
    arms: Records
    effects: Records
    members: Records
    places: Records
    values: Records


@compiled
def linear_scores(rows: FloatArray, design: Design, out: FloatArray) -> None:
    """All linear scores of contacts, `rows` of shape (n, d), into `out` of shape (n, s)."""
    columns, coef, intercept, bent = design.columns, design.coef, design.intercept, design.bent
    m = len(columns)
    x = np.empty(m + len(bent))
    for row in range(len(rows)):
        for j in range(m):
            x[j] = _encoded(rows[row, columns[j].source], columns, j)
        for k in range(len(bent)):
            x[m + k] = (min(x[bent[k]] ** 2, WIDEST**2) - 1.0) / math.sqrt(2.0)
        for s in range(len(intercept)):
            out[row, s] = intercept[s]
        for j in range(len(x)):
            for s in range(len(intercept)):
                out[row, s] += x[j] * coef[j, s]


@compiled
def linear_rows(rows: FloatArray, design: Design, first: int, out: FloatArray) -> None:
    """The columns of the design from `first` on into `out`, shape (n, m): an encoder's linear matrix."""
    for row in range(len(rows)):
        for j in range(out.shape[1]):
            out[row, j] = _encoded(rows[row, design.columns[first + j].source], design.columns, first + j)


@inlined
def _encoded(value: float, columns: Records, j: int) -> float:
    column = columns[j]
    encoded = 0.0  # NULL is the mean
    if column.kind == MISSING:
        encoded = 2.0 * ((1.0 if math.isnan(value) else 0.0) - column.centre)
    elif column.kind == CATEGORY:
        encoded = 2.0 * ((1.0 if value == column.scale else 0.0) - column.centre)
    elif not math.isnan(value):
        scaled = value if column.log_unit <= 0.0 else math.copysign(math.log1p(abs(value) / column.log_unit), value)
        encoded = min(max((scaled - column.centre) / column.scale, -CLIP), CLIP)
    return encoded


@compiled
def answers(linear: FloatArray, trees: FloatArray, tables: Tables, out: FloatArray) -> None:
    """Propensity, opt-out risk and uplift of K arms, then v values, into `out` of shape (n, 3 K + v); NaN where nothing is known."""
    arms, values = tables.arms, tables.values
    k = len(arms)
    p, differences, taus = np.empty(len(tables.responses)), np.empty(len(tables.places)), np.empty(len(tables.effects))
    for row in range(len(out)):
        for head in range(len(p)):
            p[head] = _response(linear, trees, row, tables, head)
        for head in range(len(taus)):
            taus[head] = _effect(linear, trees, row, tables, head, differences)
        for a in range(k):
            arm = arms[a]
            out[row, a] = _shifted(p[arm.response], arm.offset) if arm.response >= 0 else math.nan
            out[row, k + a] = _shifted(p[arm.opt_out], arm.opt_out_offset) if arm.opt_out >= 0 else math.nan
            tau = taus[arm.effect] + (differences[arm.place] if arm.place >= 0 else 0.0) if arm.effect >= 0 else math.nan
            out[row, 2 * k + a] = _within(tau, out[row, a])
        for v in range(len(values)):
            value = values[v]
            money = value.mean
            if value.linear >= 0:
                money = min(max(value.back + (money - value.back) * math.exp(linear[row, value.linear]), value.low), value.high)
            out[row, 3 * k + v] = money


@inlined
def _expit(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


@inlined
def _logit(p: float) -> float:
    kept = min(max(p, SMALLEST), 1.0 - SMALLEST)
    return math.log(kept / (1.0 - kept))


@inlined
def _shifted(p: float, offset: float) -> float:
    return p if offset == 0.0 else _expit(_logit(p) + offset)


@inlined
def _response(linear: FloatArray, trees: FloatArray, row: int, tables: Tables, h: int) -> float:
    head = tables.responses[h]
    p = head.constant
    if head.linear >= 0:
        p += head.linear_weight * _expit(linear[row, head.linear])
    if head.trees >= 0:
        p += head.tree_weight * _expit(trees[row, head.trees])
    p = _shifted(min(max(p, 0.0), 1.0), head.shift)
    if head.calibrator == PLATT:
        p = _expit(head.intercept + head.slope * _logit(p))
    elif head.calibrator == ISOTONIC:
        p = _between(p, tables.knots, tables.levels, head.start, head.end)
    return p


@compiled
def _between(p: float, knots: FloatArray, levels: FloatArray, low: int, end: int) -> float:
    """Linear between the knots from `low` to `end`, flat outside, as `numpy.interp`."""
    if p <= knots[low]:
        return float(levels[low])
    if p >= knots[end - 1]:
        return float(levels[end - 1])
    after = low + np.searchsorted(knots[low:end], p, side="right")
    slope = (levels[after] - levels[after - 1]) / (knots[after] - knots[after - 1])
    return float(slope * (p - knots[after - 1]) + levels[after - 1])


@inlined
def _effect(linear: FloatArray, trees: FloatArray, row: int, tables: Tables, h: int, differences: FloatArray) -> float:
    """The effect over the mix of channels; what each channel adds to it, into `differences`."""
    head, places, members = tables.effects[h], tables.places, tables.members
    first, end = head.place, head.place + head.places
    mix = 0.0
    if head.unexposed >= 0:
        before = _expit(linear[row, head.unexposed])
        for place in range(first, end):
            differences[place] = _expit(linear[row, places[place].exposed]) - before
            mix += places[place].share * differences[place]
        for place in range(first, end):
            differences[place] -= mix
    total = 0.0
    for m in range(head.member, head.member + head.members):
        member = members[m]
        score = mix
        if member.kind == OF_LINEAR:
            score = linear[row, member.score]
        elif member.kind == OF_TREES:
            score = trees[row, member.score]
        total += member.weight * (score - member.centre)
    return float(head.average + head.trust * total)


@inlined
def _within(tau: float, propensity: float) -> float:
    """Within [-1, 1], and so that propensity and propensity - uplift are both probabilities."""
    if not math.isnan(tau):
        tau = min(max(tau, -1.0), 1.0)
        if not math.isnan(propensity):
            tau = min(max(tau, propensity - 1.0), propensity)
    return tau
