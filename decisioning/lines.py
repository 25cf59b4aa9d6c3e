"""One candidate's numbers as plain floats, whoever appraised it: what an answer says of a choice is read off its line."""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct

from decisioning.arbitration import DO_NOT_DISTURB, SEGMENTS, ranking
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.one_worth import OneAppraisal
from decisioning.stages import Appraisal

_PERSUADABLE, _SURE_THING, _LOST_CAUSE = (SEGMENTS.index(name) for name in ("persuadable", "sure_thing", "lost_cause"))


class Line(Struct, frozen=True):
    """The scores and the economics of one candidate; NaN where nothing is known. Names as in `Scores` and `Economics`.

    `uplift_error` is NaN where it is not known, `runner_up` the next of the living and the priority it has.
    """

    propensity: float
    uplift: float
    value: float
    opt_out_risk: float
    clv: float
    base_rate: float
    traffic: str
    uplift_error: float
    effect: float
    context_weight: float
    cost: float
    shadow_cost: float
    profit: float
    priority: float
    runner_up: tuple[int, float] | None

    @property
    def baseline(self) -> float:
        """As `Scores.baseline`."""
        return min(max(self.propensity - self.uplift, 0.0), 1.0)

    @property
    def segment(self) -> int:
        """As `arbitration.segment_of`."""
        if math.isnan(self.uplift):
            return -1
        if self.profit > 0:
            return _PERSUADABLE
        if self.profit + self.cost < 0:
            return DO_NOT_DISTURB
        return _SURE_THING if self.baseline > self.base_rate else _LOST_CAUSE


def line_of(seen: Appraisal | OneAppraisal, catalog: CompiledCatalog, column: int, row: int = 0) -> Line:
    """The line of a candidate of the contact in `row`, which of a `OneAppraisal` is the only one."""
    return _of_one(seen, catalog, column) if isinstance(seen, OneAppraisal) else _of_arrays(seen, catalog, column, row)


def _of_one(seen: OneAppraisal, catalog: CompiledCatalog, column: int) -> Line:
    scores, second = seen.scores, seen.after(column)
    return Line(
        propensity=scores.propensity[column],
        uplift=scores.uplift[column],
        value=scores.value[column],
        opt_out_risk=scores.opt_out_risk[column],
        clv=scores.clv,
        base_rate=float(scores.base_rate[column]),
        traffic=scores.traffic[column],
        uplift_error=math.nan if scores.uplift_error is None else scores.uplift_error(0, column),
        effect=seen.effect[column],
        context_weight=seen.context_weight[column],
        cost=catalog.for_one.cost[column],
        shadow_cost=seen.shadow_cost[column],
        profit=seen.profit[column],
        priority=seen.priority[column],
        runner_up=None if second is None else (second, seen.priority[second]),
    )


def _of_arrays(seen: Appraisal, catalog: CompiledCatalog, column: int, row: int) -> Line:
    scores, economics = seen.scores, seen.economics

    def number(part: np.ndarray) -> float:
        return float(part[row, column])

    return Line(
        propensity=number(scores.propensity),
        uplift=number(scores.uplift),
        value=number(scores.value),
        opt_out_risk=number(scores.opt_out_risk),
        clv=float(scores.clv[row]),
        base_rate=float(scores.base_rate[column]),
        traffic=scores.traffic[column],
        uplift_error=math.nan if scores.uplift_error is None else scores.uplift_error(row, column),
        effect=number(economics.effect),
        context_weight=number(economics.context_weight),
        cost=number(economics.cost),
        shadow_cost=number(economics.shadow_cost),
        profit=number(economics.profit),
        priority=number(economics.priority),
        runner_up=_runner_up(seen, catalog, column, row),
    )


def _runner_up(seen: Appraisal, catalog: CompiledCatalog, column: int, row: int) -> tuple[int, float] | None:
    ranked = ranking(seen.candidates.alive[row], catalog.mandatory, seen.economics.priority[row]).tolist()
    after = ranked[ranked.index(column) + 1 :] if column in ranked else []
    return (after[0], float(seen.economics.priority[row, after[0]])) if after else None
