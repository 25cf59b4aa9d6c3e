"""Why this and not that? Words for what the stages did. Every answer has a value and a reason."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from decisioning.arbitration import SEGMENTS, segment_of
from decisioning.candidates import Scores
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.control import HOLDOUT
from decisioning.stages import Appraisal

_TRAFFIC = {
    "propensity": "no uplift is known (no control arm was logged): ranked by response, so this profit is not incremental",
    "cold_start": "nothing is learned of this action yet: its cold-start prior stands in",
}


@dataclass(frozen=True)
class NoAction:
    """Why nothing is proposed: a word for machines and a sentence for people."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Filtered:
    """One candidate, the stage and rule that took it out, and what the rule saw."""

    treatment_id: str
    stage: str
    rule: str
    detail: str


def segment_name(index: int) -> str | None:
    """The segment's name; None where no uplift is known."""
    return None if index < 0 else SEGMENTS[index]


def segments(appraisal: Appraisal) -> np.ndarray:
    """The segment index of every candidate, see `segment_of`."""
    return segment_of(appraisal.scores, appraisal.economics)


def explain_choice(appraisal: Appraisal, catalog: CompiledCatalog, row: int, column: int) -> list[str]:
    """Why this treatment: the arithmetic of its profit, where it stands in for knowledge, and what came second."""
    scores, economics = appraisal.scores, appraisal.economics
    money = catalog.catalog.currency
    effect_name = "propensity" if np.isnan(scores.uplift[row, column]) else "uplift"
    risk = float(np.nan_to_num(scores.opt_out_risk[row, column])) * float(np.nan_to_num(scores.clv[row]))
    sum_text = f"{effect_name} {economics.effect[row, column]:.4f} x value {scores.value[row, column]:.2f}"
    sum_text += f" - opt-out risk x CLV {risk:.2f} - cost {economics.cost[row, column]:.2f}"
    reasons = [f"{sum_text} = {economics.profit[row, column]:.2f} {money} expected"]
    if catalog.mandatory[column]:
        reasons.append("mandatory: it is sent whatever its worth")
    if scores.traffic[column] in _TRAFFIC:
        reasons.append(_TRAFFIC[scores.traffic[column]])
    second = _runner_up(appraisal, row, column)
    if second is not None:
        name = catalog.treatments[second][1].id
        lead = economics.priority[row, column] - economics.priority[row, second]
        reasons.append(f"ahead of {name} by {lead:.2f} {money} of priority")
    return reasons


def _runner_up(appraisal: Appraisal, row: int, column: int) -> int | None:
    others = appraisal.candidates.alive[row].copy()
    others[column] = False
    if not others.any():
        return None
    return int(np.argmax(np.where(others, appraisal.economics.priority[row], -np.inf)))


def explain_no_action(appraisal: Appraisal, catalog: CompiledCatalog, row: int) -> NoAction:
    """Why nothing is proposed to this contact."""
    if appraisal.held_out[row]:
        return NoAction(HOLDOUT, "this contact is in the universal control group and receives no action")
    stages = [removal.stage for column in range(len(catalog.treatments)) if (removal := appraisal.candidates.removal(row, column))]
    if "arbitrate" in stages:
        best = float(np.nanmax(appraisal.economics.priority[row]))
        return NoAction("not_worth_it", f"doing nothing is worth more than any action that may be proposed; the best has priority {best:.2f}")
    named = [stage for stage in stages if stage != "placement"]
    if not named:
        return NoAction("no_candidate", "no treatment is rendered for this channel and placement")
    counts = ", ".join(f"{named.count(stage)} by {stage}" for stage in dict.fromkeys(named))
    return NoAction("all_filtered", f"every treatment was taken out: {counts}")


def explain_filtered(appraisal: Appraisal, catalog: CompiledCatalog, row: int) -> list[Filtered]:
    """Each candidate that was taken out and why, in the catalogue's order; other placements than the request's are left out."""
    found = []
    for column, (_, treatment) in enumerate(catalog.treatments):
        removal = appraisal.candidates.removal(row, column)
        if removal is not None and removal.stage != "placement":
            found.append(Filtered(treatment.id, removal.stage, removal.rule, removal.detail(row)))
    return found


def traffic_of(scores: Scores, column: int) -> str:
    """What stands behind the scores of a treatment: `model`, `propensity` or `cold_start`."""
    return scores.traffic[column]
