"""A decision as the JSON of the API."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np

from decisioning.candidates import Situation
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.decide import Decision
from decisioning.explanation import NoAction, explain_choice, explain_filtered, explain_no_action, explain_nothing, segment_name
from decisioning.explanation.explain import explain_decision
from decisioning.lines import line_of
from decisioning.one_catalog import places_of
from decisioning.one_worth import OneAppraisal
from decisioning.quiet_hours import next_allowed, to_datetime
from decisioning.stages import House
from ledger.candidates import OF_SCORED

FALLBACK = "fallback"


def number(value: object) -> float | None:
    """A float for JSON: NULL for what is not finite."""
    plain = float(value)  # type: ignore[arg-type]
    return plain if math.isfinite(plain) else None


@lru_cache(maxsize=256)  # the decisions of a batch are of one moment
def iso(moment: datetime) -> str:
    """UTC in ISO 8601 with a Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def chosen_actions(decision: Decision, catalog: CompiledCatalog) -> list[dict[str, Any]]:
    """The actions of an answer, best first."""
    return [
        {"rank": rank, **_action(decision, catalog, column), "selection_prob": probability}
        for rank, (column, probability) in enumerate(zip(decision.chosen, decision.selection_probs, strict=True), start=1)
    ]


def _action(decision: Decision, catalog: CompiledCatalog, column: int) -> dict[str, Any]:
    action, treatment = catalog.treatments[column]
    line = line_of(decision.seen, catalog, column)
    return {
        "action_id": action.id,
        "issue": action.issue,
        "group": action.group,
        "treatment_id": treatment.id,
        "channel": treatment.channel,
        "placement": treatment.placement,
        "content_id": treatment.content,
        "propensity": number(line.propensity),
        "baseline": number(line.baseline),
        "uplift": number(line.uplift),
        "value": number(line.value),
        "clv": number(line.clv),
        "opt_out_risk": number(line.opt_out_risk),
        "cost": number(line.cost),
        "shadow_cost": number(line.shadow_cost),
        "context_weight": number(line.context_weight),
        "lever": action.lever,
        "expected_profit": number(line.profit),
        "priority": number(line.priority),
        "segment": segment_name(line.segment),
        "traffic": line.traffic,
        "send_at": send_at(decision.seen.situation, catalog, column),
        "reasons": explain_choice(line, catalog, column),
    }


def send_at(situation: Situation, catalog: CompiledCatalog, column: int) -> str | None:
    """When an outbound treatment may go out, outside the quiet hours of the contact's time zone; None for inbound."""
    if not catalog.outbound[column]:
        return None
    _, treatment = catalog.treatments[column]
    zone = situation.columns.get("time_zone")
    own_zone = None if zone is None or zone[0] is None else str(zone[0])
    quiet = catalog.catalog.channels[treatment.channel].quiet_hours
    return iso(next_allowed(to_datetime(situation.now), quiet, own_zone, catalog.catalog.time_zone))


def no_action(decision: Decision, catalog: CompiledCatalog) -> dict[str, Any] | None:
    """Why there is no action, and the probability with which none was chosen; None where there is one."""
    if decision.chosen:
        return None
    seen = decision.seen
    if seen.alive if isinstance(seen, OneAppraisal) else seen.candidates.alive[0].any():
        why = NoAction("explored", "doing nothing was drawn, to learn what happens without a touch")
    else:
        why = explain_nothing(seen) if isinstance(seen, OneAppraisal) else explain_no_action(seen, catalog, 0)
    return {"reason": why.reason, "detail": why.detail, "selection_prob": decision.no_action_prob}


def filtered(decision: Decision, catalog: CompiledCatalog) -> list[dict[str, str]]:
    """Every candidate that a stage took out, with its rule and what the rule saw."""
    return [asdict(one) for one in explain_filtered(decision.appraisal, catalog, 0)]


def explanation(house: House, decision: Decision) -> dict[str, Any]:
    """Why this and not that, and what would change it; every candidate is scored once more for it."""
    plain: dict[str, Any] = _finite(asdict(explain_decision(house, decision)))
    return plain


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return number(value) if isinstance(value, float) else value


def fallback_actions(catalog: CompiledCatalog, channel: str | None, placements: tuple[str, ...]) -> list[dict[str, Any]]:
    """What the catalogue shows in a placement when no decision could be made: said to be a fallback, chosen by no model."""
    shown = catalog.catalog.fallback.get(channel or "", {})
    wanted = [name for name in (placements or tuple(shown)) if name in shown]
    return [_fallback(catalog, rank, channel, name, shown[name]) for rank, name in enumerate(wanted, start=1)]


def _fallback(catalog: CompiledCatalog, rank: int, channel: str | None, placement: str, treatment_id: str) -> dict[str, Any]:
    column = catalog.column_of.get(treatment_id)
    action, treatment = catalog.treatments[column] if column is not None else (None, None)
    unknown = dict.fromkeys(
        ("propensity", "baseline", "uplift", "value", "clv", "opt_out_risk", "expected_profit", "priority", "segment", "send_at")
    )
    return {
        "rank": rank,
        "action_id": action.id if action else FALLBACK,
        "issue": action.issue if action else None,
        "group": action.group if action else None,
        "treatment_id": treatment_id,
        "channel": channel,
        "placement": placement,
        "content_id": treatment.content if treatment else treatment_id,
        **unknown,
        "cost": 0.0,
        "shadow_cost": 0.0,
        "context_weight": 1.0,
        "lever": 1.0,
        "traffic": FALLBACK,
        "reasons": ["no decision could be made: the catalogue's fallback for this placement"],
        "selection_prob": 1.0,
    }


def candidate_columns(decision: Decision, catalog: CompiledCatalog) -> dict[str, Any]:
    """Every candidate with its scores and the rule that took it out, as `ledger.candidates` says: what a decision can be audited from.

    A number that is not finite is left as it is: `ledger.codec.to_json` writes it as null.
    """
    seen = decision.seen
    if isinstance(seen, OneAppraisal):
        removed = _places_by_rule([(f"{one.stage}: {one.rule}", places_of(bits)) for bits, one in seen.taken])
        numbers = [_picked(seen.scored, part) for part in (seen.scores.propensity, seen.scores.uplift, seen.profit, seen.priority)]
        scored, value = seen.scored, seen.scores.value
    else:
        removed_by = seen.candidates.removed_by[0]
        words = [f"{one.stage}: {one.rule}" for one in seen.candidates.removals]
        removed = _places_by_rule((word, np.flatnonzero(removed_by == place).tolist()) for place, word in enumerate(words))
        parts = [part[0] for part in (seen.scores.propensity, seen.scores.uplift, seen.economics.profit, seen.economics.priority)]
        known = np.flatnonzero(~np.isnan(np.array(parts)).all(axis=0))
        scored, numbers, value = tuple(known.tolist()), [part[known].tolist() for part in parts], seen.scores.value[0].tolist()
    return {
        "treatment_id": catalog.treatment_ids,
        "removed_by": removed,
        "value": value,
        "scored": scored,
        **dict(zip(OF_SCORED, numbers, strict=True)),
    }


def _places_by_rule(taken: Iterable[tuple[str, Sequence[int]]]) -> dict[str, Sequence[int]]:
    """Which places each rule took; one that took some several times stands once."""
    pairs = [pair for pair in taken if pair[1]]
    found = dict(pairs)
    if len(found) < len(pairs):
        found = {word: [place for again, places in pairs if again == word for place in places] for word in found}
    return found


def _picked(places: Sequence[int], numbers: list[float]) -> list[float]:
    return [numbers[place] for place in places]
