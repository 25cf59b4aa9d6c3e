"""A plan under other limits beside the plan under those of now: the same contacts, the same state, nothing kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from decisioning.quiet_hours import to_datetime
from ledger.store import Ledger
from nudge.verbs.what_if import LimitChange, of_everyone, with_limits
from serving.plans.audiences import summary
from serving.plans.planner import PLANS, PlannedPopulation, planned
from serving.plans.population import GatheredPopulation, Population, gather_population
from serving.realtime.snapshot import Snapshot


def beside(
    changes: Sequence[LimitChange], everybody: int, population: Population, snapshot: Snapshot, ledger: Ledger, now: datetime
) -> dict[str, Any]:
    """{now, then}: both plans as their manifests would say them, estimated for `everybody` where the population is a part of it.

    Both are made as if they took the place of every plan before: what plans have reserved does not count.

    Raises
    ------
    RequestError
        A changed limit is not in the catalogue.
    Infeasible
        The limits contradict one another.
    """
    part = len(population.contact_ids) / everybody if everybody else 1.0
    found = gather_population(population, snapshot, ledger, now, excluding_plan=PLANS)
    made = {name: _summary(limits, min(part, 1.0), population, snapshot, found) for name, limits in (("now", ()), ("then", tuple(changes)))}
    return {name: of_everyone(one, everybody) if part < 1.0 else one for name, one in made.items()}


def _summary(
    limits: Sequence[LimitChange], share: float, population: Population, snapshot: Snapshot, found: GatheredPopulation
) -> dict[str, Any]:
    changed, ids = replace(snapshot.catalog, catalog=with_limits(snapshot.catalog.catalog, limits, share=share)), population.contact_ids
    plan, moment = planned(changed, snapshot.scorer, found, ids), to_datetime(population.moment)
    return summary(PlannedPopulation("", moment, population, replace(snapshot, catalog=changed), plan, ids, found))
