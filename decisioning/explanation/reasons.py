"""Why this and not that? Words for what the stages did. Every answer has a value and a reason."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from decisioning.arbitration import NO_MODEL, NO_NUMBER, NO_VALUE, SEGMENTS, segment_of
from decisioning.candidates import Removal
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.control import HOLDOUT
from decisioning.lines import Line
from decisioning.one_catalog import OneRule, places_of
from decisioning.one_worth import OneAppraisal
from decisioning.stages import Appraisal
from decisioning.vocabulary import IntArray

NORMAL_95 = 1.96

_TRAFFIC = {
    "propensity": "no uplift is known (no control arm was logged): ranked by response, so this profit is not incremental",
    "cold_start": "nothing is learned of this action yet: its cold-start prior stands in",
}

_UNKNOWN = {NO_MODEL.rule: "no model", NO_VALUE.rule: "value not known", NO_NUMBER.rule: "no finite worth"}


@dataclass(frozen=True)
class NoAction:
    """Why nothing is proposed: a word for machines and a sentence for people."""

    reason: str
    detail: str


_HELD_OUT = NoAction(HOLDOUT, "this contact is in the universal control group and receives no action")
_NOT_WORTH_IT = ("not_worth_it", "doing nothing is worth more than any action that may be proposed")
LIMITED = ("limits", "what it would use of the budgets and capacities is worth more elsewhere")


@dataclass(frozen=True)
class Filtered:
    """One candidate, the stage and rule that took it out, and what the rule saw."""

    treatment_id: str
    stage: str
    rule: str
    detail: str
    action_id: str
    channel: str


def segment_name(index: int) -> str | None:
    """The segment's name; None where no uplift is known."""
    return None if index < 0 else SEGMENTS[index]


def segments(appraisal: Appraisal) -> IntArray:
    """The segment index of every candidate, see `segment_of`."""
    return segment_of(appraisal.scores, appraisal.economics)


def explain_choice(line: Line, catalog: CompiledCatalog, column: int) -> list[str]:
    """Why this treatment: the arithmetic of its profit and priority, where it stands in for knowledge, and what comes next."""
    lever = catalog.for_one.lever[column]
    reasons = [_profit(line, catalog)]
    if lever != 1 or line.context_weight != 1 or line.shadow_cost != 0:
        factors = f"lever {lever:g}, context weight {line.context_weight:g}, shadow cost {line.shadow_cost:.2f}"
        reasons.append(f"priority {line.priority:.2f}: {factors}")
    mandatory = catalog.for_one.mandatory
    if mandatory[column]:
        reasons.append("mandatory: it is sent whatever its worth")
    if line.traffic in _TRAFFIC:
        reasons.append(_TRAFFIC[line.traffic])
    doubt = _doubt(line)
    if doubt is not None:
        reasons.append(doubt)
    if line.runner_up is not None:
        second, priority = line.runner_up
        name = catalog.treatment_ids[second]
        if mandatory[column] and not mandatory[second]:
            reasons.append(f"ahead of {name}, which is not mandatory")
        else:
            reasons.append(f"ahead of {name} by {line.priority - priority:.2f} {catalog.catalog.currency} of priority")
    return reasons


def _profit(line: Line, catalog: CompiledCatalog) -> str:
    money, value, profit, cost = catalog.catalog.currency, line.value, line.profit, line.cost
    gain = line.effect * value
    if math.isnan(gain):
        return f"its gain is not known; cost {cost:.2f} {money}"
    name = "propensity" if math.isnan(line.uplift) else "uplift"
    risk = gain - cost - profit
    return f"{name} {line.effect:.4f} x value {value:.2f} - opt-out risk x CLV {risk:.2f} - cost {cost:.2f} = {profit:.2f} {money} expected"


def _doubt(line: Line) -> str | None:
    """That the uplift is not sure to pay for the contact, where its 95 % interval reaches below what that takes."""
    error, uplift, value = line.uplift_error, line.uplift, line.value
    if not math.isfinite(error) or not value > 0:
        return None
    needed = uplift - line.profit / value
    low, high = uplift - NORMAL_95 * error, uplift + NORMAL_95 * error
    if low > needed:
        return None
    return f"not enough evidence to be sure: uplift {low:+.4f} to {high:+.4f} (95 %), and it pays above {needed:+.4f}"


def explain_nothing(seen: OneAppraisal) -> NoAction:
    """`explain_no_action` of one contact that nothing is left for."""
    if seen.held_out:
        return _HELD_OUT
    by_word: dict[str, int] = {}
    for bits, removal in seen.taken:
        by_word[_taken_by(removal)] = by_word.get(_taken_by(removal), 0) | bits
    losers = places_of(by_word.get("arbitrate", 0))
    if losers:
        best = max(seen.priority[column] for column in losers)
        free = max(seen.priority[column] + seen.shadow_cost[column] for column in losers)
        return _loses(best, free, seen.catalog)
    inorder = sorted(by_word, key=lambda word: by_word[word] & -by_word[word])  # by the first treatment that each took out
    return _all_filtered({word: by_word[word].bit_count() for word in inorder})


def _loses(best: float, free: float, catalog: CompiledCatalog) -> NoAction:
    reason, detail = LIMITED if free > 0 else _NOT_WORTH_IT
    return NoAction(reason, f"{detail}; the best has priority {best:.2f} {catalog.catalog.currency}")


def explain_no_action(appraisal: Appraisal, catalog: CompiledCatalog, row: int) -> NoAction:
    """Why nothing is proposed to this contact."""
    return explain_no_actions(appraisal, catalog, np.array([row], dtype=np.int64))[0]


def explain_no_actions(appraisal: Appraisal, catalog: CompiledCatalog, rows: IntArray) -> list[NoAction]:
    """Why nothing is proposed to each of the contacts `rows`."""
    removed_by, removals = appraisal.candidates.removed_by[rows], appraisal.candidates.removals
    losers = np.array([*(removal.stage == "arbitrate" for removal in removals), False])[removed_by]
    priority, shadow_cost = appraisal.economics.priority[rows], appraisal.economics.shadow_cost[rows]
    best = np.where(losers, priority, -np.inf).max(axis=1, initial=-np.inf)
    free = np.where(losers, priority + shadow_cost, -np.inf).max(axis=1, initial=-np.inf)
    counted: dict[bytes, NoAction] = {}
    answers = []
    held_out, loses = appraisal.held_out[rows].tolist(), np.atleast_1d(losers.any(axis=1)).tolist()
    for place in range(len(rows)):
        if held_out[place]:
            answers.append(_HELD_OUT)
        elif loses[place]:
            answers.append(_loses(best[place], free[place], catalog))
        else:
            pattern = removed_by[place].tobytes()
            if pattern not in counted:
                counted[pattern] = _all_filtered(Counter(_taken_by(removals[index]) for index in removed_by[place].tolist() if index >= 0))
            answers.append(counted[pattern])
    return answers


def _taken_by(removal: Removal | OneRule) -> str:
    """The stage, and where it could not tell what a treatment is worth, why not."""
    return removal.stage if removal.stage != "score" else f"score ({_UNKNOWN[removal.rule]})"


def _all_filtered(taken: Mapping[str, int]) -> NoAction:
    """How many treatments each stage took out, in the order in which the catalogue's treatments meet them."""
    counts = ", ".join(f"{count} by {word}" for word, count in taken.items() if word != "placement")
    if not counts:
        return NoAction("no_candidate", "no treatment is rendered for this channel and placement")
    return NoAction("all_filtered", f"every treatment was taken out: {counts}")


def explain_filtered(appraisal: Appraisal, catalog: CompiledCatalog, row: int) -> list[Filtered]:
    """Each candidate that was taken out and why, in the catalogue's order; other placements than the request's are left out."""
    found = []
    for column, (action, treatment) in enumerate(catalog.treatments):
        removal = appraisal.candidates.removal(row, column)
        if removal is not None and removal.stage != "placement":
            found.append(Filtered(treatment.id, removal.stage, removal.rule, removal.detail(row), action.id, treatment.channel))
    return found
