"""The funnel report: what becomes of the population's candidates, stage by stage, as one JSON document for the API and the command line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias

from decisioning.compiled_catalog import CompiledCatalog
from decisioning.control import GROUPS
from decisioning.explanation.funnel import SPREAD, STAGES, Funnel, funnel_of
from decisioning.explanation.sensitivity import CHANGES, NEUTRAL
from decisioning.quiet_hours import to_datetime
from decisioning.stages import House, appraise_candidates
from ledger.store import Ledger
from serving.plans.planner import PLANS
from serving.plans.population import Chunks, Population, gather_population
from serving.realtime.answers import iso
from serving.realtime.snapshot import Snapshot

Sample: TypeAlias = Callable[[Snapshot, int], Population]
"""Reads so many contacts of the population, always the same ones, for what a snapshot decides."""

_REQUESTED = STAGES[1:]
"""A population asks for no placement, so that this stage takes nothing out."""


def funnel_report(
    population: Population, snapshot: Snapshot, ledger: Ledger, now: datetime, progress: Callable[[int], None] = lambda done: None
) -> dict[str, Any]:
    """The funnel of a population as the next plan would find it, at the prices that the last one published.

    What running plans have reserved does not count, and neither does what the running period has used up: the report is about rules and
    worth. One chunk of candidates is in memory at a time.

    Raises
    ------
    Unavailable
        The ledger does not answer.
    """
    found = gather_population(population, snapshot, ledger, now, excluding_plan=PLANS)
    house = House(snapshot.catalog, snapshot.scorer, {name: line.price for name, line in snapshot.book.lines.items()})
    counted = Funnel()
    for situation, history in Chunks(found.situation, found.history, progress):
        counted += funnel_of(appraise_candidates(house, situation, history), house.catalog)
    as_of = iso(to_datetime(population.moment))
    return {"report": "funnel", "as_of": as_of, "versions": snapshot.versions, **funnel_document(counted, snapshot.catalog)}


def funnel_document(funnel: Funnel, catalog: CompiledCatalog) -> dict[str, Any]:
    """The figures of the report.

    Returns
    -------
    dict
        `contacts`, `candidates`; `stages` with their `rules`; `actions` and `channels`; `without_action`, `control_groups`,
        `optionality`, `sensitivity`. Counts are candidates unless their name says contacts; shares are fractions.
    """
    treatments = [(action.id, treatment.channel, treatment.id) for action, treatment in catalog.treatments]
    everything = [name for _, _, name in treatments]
    contacts = funnel.of("contacts")
    return {
        "currency": catalog.catalog.currency,
        "contacts": contacts,
        "candidates": contacts * len(treatments),
        "stages": _stages(funnel, everything),
        "actions": [
            {"action_id": one.id, **_group(funnel, [name for action, _, name in treatments if action == one.id], ("action", one.id))}
            for one in catalog.catalog.actions
        ],
        "channels": [
            {"channel": channel, **_group(funnel, [name for _, on, name in treatments if on == channel], ("channel", channel))}
            for channel in catalog.catalog.channels
        ],
        "without_action": _without_action(funnel),
        "control_groups": [
            {"control_group": group, "contacts": funnel.of("group", group), "without_action": _number(funnel, "nothing", group)}
            for group in GROUPS
            if funnel.of("group", group)
        ],
        "optionality": {what.replace(" ", "_"): _spread(funnel, what) for what in ("actions", "treatments", "relevant actions")},
        "sensitivity": _sensitivity(funnel),
    }


def _stages(funnel: Funnel, treatment_ids: list[str]) -> list[dict[str, Any]]:
    total = available = funnel.of("contacts") * len(treatment_ids)
    rows = []
    for place, stage in enumerate(_REQUESTED):
        filtered = sum(funnel.of("taken", stage, name) for name in treatment_ids)
        following = _REQUESTED[place + 1] if place + 1 < len(_REQUESTED) else None
        left = funnel.of("before", following) if following else funnel.of("after")
        rows.append(
            {
                "stage": stage,
                "available": available,
                "filtered": filtered,
                "passing": available - filtered,
                "remaining": _share(available - filtered, total),
                "contacts_available": funnel.of("before", stage),
                "contacts_passing": left,
                "rules": _rules(funnel, stage),
            }
        )
        available -= filtered
    return rows


def _rules(funnel: Funnel, stage: str) -> list[dict[str, Any]]:
    found = [(key[2], number) for key, number in funnel.counts.items() if key[:2] == ("rule", stage)]
    return [
        {"rule": rule, "filtered": number, "contacts": funnel.of("rule contacts", stage, rule)}
        for rule, number in sorted(found, key=lambda one: (-one[1], one[0]))
    ]


def _group(funnel: Funnel, treatment_ids: list[str], key: tuple[str, str]) -> dict[str, Any]:
    """An action's or a channel's part of the funnel."""
    available = funnel.of("contacts") * len(treatment_ids)
    filtered = {stage: sum(funnel.of("taken", stage, name) for name in treatment_ids) for stage in _REQUESTED}
    passing = available - sum(filtered.values())
    return {
        "available": available,
        "filtered": filtered,
        "passing": passing,
        "remaining": _share(passing, available),
        "contacts": funnel.of(*key),
        "first_choice": sum(funnel.of("chosen", name) for name in treatment_ids),
    }


def _without_action(funnel: Funnel) -> dict[str, Any]:
    reasons: dict[str, int] = {}
    for key, number in funnel.counts.items():
        if key[0] == "nothing":
            reasons[key[2]] = reasons.get(key[2], 0) + number
    contacts = sum(reasons.values())
    ordered = sorted(reasons.items(), key=lambda one: (-one[1], one[0]))
    return {
        "contacts": contacts,
        "share": _share(contacts, funnel.of("contacts")),
        "reasons": [{"reason": reason, "contacts": number} for reason, number in ordered],
    }


def _spread(funnel: Funnel, what: str) -> list[dict[str, Any]]:
    contacts = funnel.of("contacts")
    return [
        {"left": name, "contacts": funnel.of("left", what, name), "share": _share(funnel.of("left", what, name), contacts)}
        for name in SPREAD
    ]


def _sensitivity(funnel: Funnel) -> dict[str, Any]:
    comparable = funnel.of("comparable")
    rows = []
    for factor, neutral in NEUTRAL.items():
        becomes = {change: funnel.of("swayed", factor, change) for change in CHANGES}
        changed = sum(becomes.values())
        rows.append({"factor": factor, "neutral": neutral, "contacts": changed, "share": _share(changed, comparable), "becomes": becomes})
    return {"contacts": comparable, "factors": sorted(rows, key=lambda one: -int(one["contacts"]))}


def _number(funnel: Funnel, *prefix: str) -> int:
    return sum(number for key, number in funnel.counts.items() if key[: len(prefix)] == prefix)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
