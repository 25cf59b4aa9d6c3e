"""The population's decisions under budgets: gathers what `decisioning.plan` needs, keeps what it decides, publishes its prices."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from decisioning.candidates import Situation
from decisioning.history import History
from decisioning.plan import Plan, plan
from decisioning.quiet_hours import to_datetime
from decisioning.stages import House
from decisioning.vocabulary import NO_ACTION, Columns
from ledger.decisions import DecisionRecord, Selection
from ledger.store import Ledger
from serving.answers import number
from serving.decision_ids import derived_decision_id
from serving.decision_records import selection_of
from serving.situations import empty_history, granted, longest_window_days
from serving.snapshot import Snapshot

CHUNK_CONTACTS = 20_000
_ECONOMICS = ("propensity", "baseline", "uplift", "value", "cost", "profit")


@dataclass(frozen=True)
class Population:
    """Whom to plan for, with what is known of them.

    Attributes
    ----------
    contact_ids : array of str, shape (n_contacts,)
    columns : Columns
        Their features as of the plan's moment.
    moment : numpy.datetime64
        When the plan is for, UTC: contact policies, validity and quiet hours are seen from here.
    fingerprint : str
        Changes with the data and the seed, so that the plan's id does.
    """

    contact_ids: np.ndarray
    columns: Columns
    moment: np.datetime64
    fingerprint: str


@dataclass(frozen=True)
class PlannedPopulation:
    """A plan with its identity: the same inputs give the same `plan_id` and `decision_ids`."""

    plan_id: str
    created_at: datetime
    population: Population
    snapshot: Snapshot
    plan: Plan
    decision_ids: tuple[str, ...]


def make_plan(
    population: Population, snapshot: Snapshot, ledger: Ledger, now: datetime, progress: Callable[[int], None] = lambda done: None
) -> PlannedPopulation:
    """Plan for a population; nothing is written.

    Raises
    ------
    Unavailable
        The ledger does not answer.
    """
    base = _base_id(population, snapshot)
    situation, history = gather_population(population, snapshot, ledger, now, excluding_plan=base)
    plan_id = f"{base}-{_state(situation, history)}"
    made = plan(House(snapshot.catalog, snapshot.scorer), _chunks(situation, history, progress))
    moment = to_datetime(population.moment)
    ids = tuple(derived_decision_id(moment, plan_id, str(contact_id)) for contact_id in made.contact_ids)
    earlier = ledger.decision(ids[0]) if ids else None
    return PlannedPopulation(plan_id, earlier.decided_at if earlier else now, population, snapshot, made, ids)


def publish(planned: PlannedPopulation, ledger: Ledger) -> None:
    """Keep every decision of the plan, and publish its shadow prices for real time. Doing it again changes nothing."""
    ledger.record_decisions(list(_records(planned)))
    constraints = planned.snapshot.catalog.catalog.constraints
    prices = {one.id: float(price) for one, price in zip(constraints, planned.plan.allocation.shadow_prices, strict=True)}
    ledger.set_prices({"id": planned.plan_id, "prices": prices, "as_of": str(planned.population.moment)})


def gather_population(
    population: Population, snapshot: Snapshot, ledger: Ledger, now: datetime, *, excluding_plan: str | None = None
) -> tuple[Situation, History]:
    """What is known about everyone: features, consents as they stand now, and the past that the contact policies look at.

    What happened after the plan's moment counts as if it were then. `excluding_plan` leaves out the plans whose id begins so.
    """
    catalog, moment = snapshot.catalog.catalog, to_datetime(population.moment)
    permitted = granted(ledger.consents(None), population.contact_ids)
    situation = Situation(population.contact_ids, population.columns, population.moment, permitted)
    days = longest_window_days(catalog)
    if days == 0:
        return situation, empty_history()
    past = ledger.policy_history(None, since=moment - timedelta(days=days), now=max(now, moment), excluding_plan=excluding_plan)
    history = History.of(population.contact_ids.tolist(), past.touches, past.outcomes)
    touches, outcomes = _until(history.touches, population), _until(history.outcomes, population)
    return situation, History(history.touch_row, touches, history.outcome_row, outcomes)


def _base_id(population: Population, snapshot: Snapshot) -> str:
    """The part of a plan's id that its own reservations do not change."""
    versions = snapshot.versions
    inputs = [population.fingerprint, versions["catalog"], versions["models"], versions["features"], str(population.moment)]
    everyone = _digest(*population.contact_ids.tolist())
    return f"plan-{str(population.moment)[:10].replace('-', '')}-{_digest(*inputs, everyone)[:12]}"


def _state(situation: Situation, history: History) -> str:
    """The part of a plan's id that consents, touches and outcomes change."""
    consents = [[purpose, np.packbits(yes).tobytes().hex()] for purpose, yes in sorted(situation.granted.items())]
    return _digest(consents, _content(history.touches), _content(history.outcomes))[:8]


def _until(columns: Columns, population: Population) -> Columns:
    return {**columns, "at": np.minimum(columns["at"], population.moment.astype("datetime64[us]"))}


def _chunks(everyone: Situation, history: History, progress: Callable[[int], None]) -> Iterator[tuple[Situation, History]]:
    total = len(everyone.contact_ids)
    for start in range(0, total, CHUNK_CONTACTS):
        rows = slice(start, min(start + CHUNK_CONTACTS, total))
        situation = Situation(
            contact_ids=everyone.contact_ids[rows],
            columns={name: column[rows] for name, column in everyone.columns.items()},
            now=everyone.now,
            granted={purpose: yes[rows] for purpose, yes in everyone.granted.items()},
        )
        yield situation, _part(history, rows)
        progress(rows.stop)


def _part(history: History, rows: slice) -> History:
    def within(place: np.ndarray) -> np.ndarray:
        return (place >= rows.start) & (place < rows.stop)

    touch, outcome = within(history.touch_row), within(history.outcome_row)
    return History(
        history.touch_row[touch] - rows.start,
        {name: column[touch] for name, column in history.touches.items()},
        history.outcome_row[outcome] - rows.start,
        {name: column[outcome] for name, column in history.outcomes.items()},
    )


def _records(planned: PlannedPopulation) -> Iterator[DecisionRecord]:
    made, versions = planned.plan, planned.snapshot.versions
    factors = {name: made.factors[name].tolist() for name in _ECONOMICS}
    for row, contact_id in enumerate(made.contact_ids.tolist()):
        selection = _selection(planned, row, factors)
        economics = {name: number(values[row]) for name, values in factors.items()} if selection else {}
        trace: dict[str, Any] = {"plan_id": planned.plan_id, "versions": versions, "economics": economics}
        if not selection:
            trace["no_action"] = made.reason[row]
        yield DecisionRecord(
            decision_id=planned.decision_ids[row],
            contact_id=str(contact_id),
            decided_at=planned.created_at,
            control_group=str(made.control_group[row]),
            selections=(selection,) if selection else (),
            plan_id=planned.plan_id,
            trace=trace,
        )


def _selection(planned: PlannedPopulation, row: int, factors: dict[str, list[float]]) -> Selection | None:
    column = int(planned.plan.treatment[row])
    if column < 0:
        return None
    return selection_of(planned.snapshot.catalog, column, planned.created_at, rank=1, expected_profit=factors["profit"][row])


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _content(columns: Columns) -> str:
    """A digest of columns that does not depend on the order of their rows."""
    names = sorted(columns)
    rows = sorted(zip(*[columns[name].astype(str).tolist() for name in names], strict=True)) if names else []
    return _digest(*rows)


def treatment_names(planned: PlannedPopulation) -> list[str | None]:
    """The treatment_id of each contact, None for `no_action`."""
    treatments = planned.snapshot.catalog.treatments
    return [treatments[column][1].id if column >= 0 else None for column in planned.plan.treatment.tolist()]


def action_names(planned: PlannedPopulation) -> list[str]:
    """The action_id of each contact, `no_action` included."""
    treatments = planned.snapshot.catalog.treatments
    return [treatments[column][0].id if column >= 0 else NO_ACTION for column in planned.plan.treatment.tolist()]
