"""`nudge report channels`: what each channel brings in, and which one you would drop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from decisioning.catalog import Action, Catalog, Constraint, Exploration
from decisioning.compiled_catalog import compile_catalog
from decisioning.errors import Infeasible
from ledger.store import Ledger
from measurement.channels import PlanPart, drops
from nudge.reports.facts import Facts, Span
from nudge.reports.roi import lift_document, number, period_of, rows_of
from nudge.reports.tallies import STAGES, prepare, tally
from nudge.reports.worth import Logged, compare, read_logged
from serving.plans.planner import PLANS, PlannedPopulation, planned
from serving.plans.population import Population, gather_population
from serving.realtime.snapshot import Snapshot

Say = Callable[[str], None]


def measured_channels(facts: Facts, span: Span) -> dict[str, Any]:
    """Each channel's figures, and what its logged touches were worth against the controls of the same contacts, by funnel stage as well."""
    prepare(facts, span)
    logged = read_logged(facts, span)
    rows = []
    for row in rows_of(tally(facts, "channel")):
        name = str(row["name"])
        stages = {stage: _compared(logged, name, stage) for stage in STAGES}
        rows.append({"channel": name, **row, "incremental": _compared(logged, name), "stages": {k: v for k, v in stages.items() if v}})
    return {"report": "channels", **period_of(facts, span), "currency": facts.catalog.currency, "channels": rows}


def _compared(logged: Logged | None, channel: str, stage: str | None = None) -> dict[str, Any] | None:
    if logged is None:
        return None
    touches = logged.of_row["channel"] == channel
    if stage is not None:
        touches &= logged.of_row["stage"] == stage
    found = compare(logged, touches)
    return None if found is None else {**lift_document(found.profit, found.revenue), "randomised": found.randomised}


def without_each(snapshot: Snapshot, population: Population, ledger: Ledger, share: float, say: Say) -> dict[str, Any]:
    """Which channel would you drop? The plan of these contacts with all channels, and made again without each.

    Parameters
    ----------
    snapshot : Snapshot
    population : Population
        Everybody, or a sample of them.
    ledger : Ledger
    share : float
        The fraction of everybody that they are: limits are scaled by it.
    """
    now = datetime.now(UTC)
    catalog = _scaled(snapshot.catalog.catalog, share)
    whole_plan = _planned(catalog, snapshot, population, ledger, now)
    if whole_plan is None:
        return {"contacts": len(population.contact_ids), "share": share, "whole": None, "drops": [], "infeasible": sorted(catalog.channels)}
    used = sorted({treatment.channel for _, treatment in catalog.treatments})
    parts = {name: _part(whole_plan, name) for name in used}
    without, infeasible = {}, []
    for name in used:
        say(f"planning without {name}")
        left = _leave_out(catalog, name)
        made = _planned(left, snapshot, population, ledger, now) if left is not None else None
        if left is not None and made is None:
            infeasible.append(name)
        else:
            without[name] = PlanPart(0.0) if made is None else _part(made, None)
    whole = _part(whole_plan, None)
    return {
        "contacts": len(population.contact_ids),
        "share": share,
        "whole": vars(whole),
        "drops": [
            {
                "channel": one.channel,
                "now": vars(one.now),
                "without": vars(one.without),
                "loss": one.loss,
                "earned_elsewhere": one.earned_elsewhere,
                "kept_share": None if one.kept_share is None else number(one.kept_share),
            }
            for one in drops(whole, parts, without)
        ],
        "infeasible": infeasible,
    }


def _planned(catalog: Catalog, snapshot: Snapshot, population: Population, ledger: Ledger, now: datetime) -> PlannedPopulation | None:
    """The plan under another catalogue; None where its constraints cannot be met. Nothing is written."""
    compiled = compile_catalog(catalog, snapshot.dtypes)
    other = replace(snapshot, catalog=compiled, scorer=replace(snapshot.scorer, catalog=compiled))
    found = gather_population(population, other, ledger, now, excluding_plan=PLANS)
    try:
        made = planned(compiled, other.scorer, found, population.contact_ids)
    except Infeasible:
        return None
    return PlannedPopulation("", now, population, other, made, population.contact_ids, found)


def _part(plan: PlannedPopulation, channel: str | None) -> PlanPart:
    chosen = plan.chosen
    if channel is not None:
        on = np.array([treatment.channel == channel for _, treatment in plan.snapshot.catalog.treatments] + [False])
        chosen = chosen & on[plan.plan.treatment]
    profit, cost = (np.where(chosen, np.nan_to_num(plan.plan.factors[name]), 0.0).sum() for name in ("profit", "cost"))
    return PlanPart(float(profit), float(cost), len(np.unique(plan.plan.contact[chosen])))


def _scaled(catalog: Catalog, share: float) -> Catalog:
    """The catalogue with its limits for so large a part of everybody; what it explores changes nothing here and is left out."""

    def of(limit: Constraint) -> Constraint:
        most, least = (None if one is None else one * share for one in (limit.max, limit.min))
        return limit.model_copy(update={"max": most, "min": least})

    return _changed(catalog, constraints=tuple(of(one) for one in catalog.constraints), exploration=Exploration())


def _changed(catalog: Catalog, **changes: Any) -> Catalog:
    """A catalogue with other parts; built anew, because what a catalogue looked up is remembered with it."""
    return Catalog.model_validate({name: getattr(catalog, name) for name in Catalog.model_fields} | changes)


def _leave_out(catalog: Catalog, channel: str) -> Catalog | None:
    """The catalogue without a channel; None where nothing is left to propose. What counts only on that channel goes with it."""

    def of(action: Action) -> Action | None:
        kept = tuple(one for one in action.treatments if one.channel != channel)
        return action.model_copy(update={"treatments": kept}) if kept else None

    actions = tuple(kept for kept in map(of, catalog.actions) if kept is not None)
    if not actions:
        return None
    ids, treatments = {one.id for one in actions}, {one.id for action in actions for one in action.treatments}

    def stays(entry: Any) -> bool:
        on_channel = entry.channel == channel
        action = getattr(entry, "action", None)
        return not on_channel and action in (None, "*", *ids) and getattr(entry, "treatment", None) in (None, *treatments)

    return _changed(
        catalog,
        actions=actions,
        constraints=tuple(one for one in catalog.constraints if stays(one)),
        contact_policy=tuple(one for one in catalog.contact_policy if stays(one)),
    )
