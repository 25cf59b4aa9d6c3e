"""The population's decisions under budgets: gathers what `decisioning.plan` needs and gives the plan its identity. Nothing is written."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import numpy as np
from msgspec import structs

from decisioning.allocation.problem import blocks
from decisioning.catalog import Constraint
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.plan import Each, Plan, plan
from decisioning.plan_offers import Shelf
from decisioning.quiet_hours import to_datetime
from decisioning.stages import House
from decisioning.vocabulary import Columns, FloatArray, TextArray
from features.stored_columns import ROWS_AT_ONCE
from ledger.store import Ledger
from serving.plans.population import Chunks, GatheredPopulation, Population, gather_population
from serving.realtime.decision_ids import DerivedIds
from serving.realtime.scorer import Scorer
from serving.realtime.snapshot import Snapshot

PLANS = "plan-"
"""Every plan's id begins so."""

SHARE_OF_EXPLORATION = 0.5
"""The part of a period's exploration budget that a plan may give up; the rest is for real time."""


def _unheard(done: int) -> None:
    """Nobody is told."""


@dataclass(frozen=True)
class Means:
    """With what a plan is made: who hears how many contacts are done, where offers are kept, and by whom each chunk is worked at."""

    progress: Callable[[int], None] = _unheard
    shelf: Callable[[], Shelf] = Shelf
    each: Each = map


@dataclass(frozen=True)
class PlannedPopulation:
    """A plan with its identity: the same inputs give the same `plan_id` and `decision_ids` (texts, one a contact)."""

    plan_id: str
    created_at: datetime
    population: Population
    snapshot: Snapshot
    plan: Plan
    decision_ids: TextArray | DerivedIds
    gathered: GatheredPopulation

    @property
    def chosen(self) -> np.ndarray:
        """Which rows of the plan are a treatment, shape (n_rows,)."""
        return np.asarray(self.plan.treatment >= 0, dtype=np.bool_)

    def uses_of(self, constraint: Constraint) -> FloatArray:
        """What each row uses of a constraint, shape (n_rows,)."""
        made, catalog = self.plan, self.snapshot.catalog
        of_row = np.where(self.chosen, catalog.use_per_contact[constraint.id][made.treatment], 0.0)
        if constraint.market is None:
            return of_row
        markets = self.population.columns.get("market")
        if markets is None:
            return np.zeros(len(of_row))
        inside = np.zeros(len(self.decision_ids), dtype=np.bool_)
        for some in blocks(len(inside), ROWS_AT_ONCE):
            inside[some] = markets[some] == constraint.market
        return np.where(inside[made.contact], of_row, 0.0)


def exact_sum(values: FloatArray) -> float:
    """The sum, correctly rounded."""
    return math.fsum(one for some in blocks(len(values), ROWS_AT_ONCE) for one in values[some].tolist())


def make_plan(
    population: Population,
    snapshot: Snapshot,
    ledger: Ledger,
    now: datetime,
    means: Means = Means(),
    *,
    in_place: bool = False,
) -> PlannedPopulation:
    """Plan for a population; nothing is written.

    `in_place`: as if it took the place of every plan before, whose reservations then do not count.

    Raises
    ------
    Infeasible
        The constraints contradict one another.
    Unavailable
        The ledger does not answer.
    """
    plan_id, found = _in_place(population, snapshot, ledger, now) if in_place else _identified(population, snapshot, ledger, now)
    ids = decision_ids(plan_id, population)
    made = planned(snapshot.catalog, snapshot.scorer, found, ids, means)
    earlier = ledger.decision(ids[0]) if ids else None
    created_at = earlier.decided_at if earlier else now
    return PlannedPopulation(plan_id, created_at, population, snapshot, made, ids, found)


def _in_place(population: Population, snapshot: Snapshot, ledger: Ledger, now: datetime) -> tuple[str, GatheredPopulation]:
    found = gather_population(population, snapshot, ledger, now, excluding_plan=PLANS)
    return f"{_base_id(population, snapshot)}-{_state(found)}", found


def _identified(population: Population, snapshot: Snapshot, ledger: Ledger, now: datetime) -> tuple[str, GatheredPopulation]:
    """The plan's id, and what is known of everyone.

    What earlier plans have reserved counts, be it for the same data and moment: their audiences may be on their way. A plan does not see
    its own reservations, though: where without those of the newest such plan everything is as it was, this is that plan again.
    """
    base = _base_id(population, snapshot)
    newest = ledger.newest_plan(base)
    if newest is not None:
        found = gather_population(population, snapshot, ledger, now, excluding_plan=newest)
        if newest == f"{base}-{_state(found)}":
            return newest, found
    found = gather_population(population, snapshot, ledger, now)
    return f"{base}-{_state(found)}", found


def decision_ids(plan_id: str, population: Population) -> DerivedIds:
    """The id of each contact's decision in a plan."""
    return DerivedIds(to_datetime(population.moment), (plan_id,), population.contact_ids)


def planned(
    catalog: CompiledCatalog, scorer: Scorer, found: GatheredPopulation, seeds: TextArray | DerivedIds, means: Means = Means()
) -> Plan:
    """The plan for what was gathered; every random draw of a contact derives from its seed, which is its decision's id."""
    seeded = structs.replace(found.situation, seeds=cast(TextArray, seeds))
    house = House(catalog, scorer, allowance=SHARE_OF_EXPLORATION * catalog.catalog.exploration.budget)
    return plan(house, Chunks(seeded, found.history, means.progress), shelf=means.shelf(), each=means.each)


def _base_id(population: Population, snapshot: Snapshot) -> str:
    """The part of a plan's id that nothing in the ledger changes."""
    versions = snapshot.versions
    inputs = [population.fingerprint, versions["catalog"], versions["models"], versions["features"], str(population.moment)]
    everyone = _digest_of_texts(population.contact_ids)
    return f"{PLANS}{str(population.moment)[:10].replace('-', '')}-{_digest(*inputs, everyone)[:12]}"


def _state(found: GatheredPopulation) -> str:
    """The part of a plan's id that consents, touches, outcomes and suppressions change."""
    consents = [[purpose, np.packbits(yes).tobytes().hex()] for purpose, yes in sorted(found.situation.granted.items())]
    history, firms = found.history, found.history.firms
    colleagues = [] if firms is None else [_content(firms.touches.columns), _content(firms.outcomes.columns)]
    off: list[Any] = sorted([row, str(action), str(channel), str(until)] for row, action, channel, until in history.suppressions)
    return _digest(consents, _content(history.touches), _content(history.outcomes), *colleagues, *([off] if off else []))[:8]


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _digest_of_texts(texts: TextArray) -> str:
    """`_digest` of many texts, some at a time."""
    found, between = hashlib.sha256(b"["), ""
    for some in blocks(len(texts), ROWS_AT_ONCE):
        found.update(f"{between}{json.dumps(texts[some].tolist())[1:-1]}".encode())
        between = ", "
    found.update(b"]")
    return found.hexdigest()


def _content(columns: Columns) -> str:
    """A digest of columns that does not depend on the order of their rows."""
    names = sorted(columns)
    rows = sorted(zip(*[columns[name].astype(str).tolist() for name in names], strict=True)) if names else []
    return _digest(*rows)
