"""The population's decisions under budgets: gathers what `decisioning.plan` needs, keeps what it decides, publishes its prices."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from decisioning.candidates import Situation
from decisioning.history import History
from decisioning.plan import Plan, plan
from decisioning.price_book import Line, PriceBook
from decisioning.quiet_hours import to_datetime
from decisioning.stages import House
from decisioning.vocabulary import NO_ACTION, Columns
from ledger.decisions import DecisionRecord, Selection
from ledger.history import Whose
from ledger.store import Ledger
from serving.answers import number
from serving.decision_ids import derived_decision_id
from serving.decision_records import selection_of
from serving.price_books import to_json
from serving.situations import asks_for_accounts, granted, history_of, longest_window_days, to_datetime64
from serving.snapshot import Snapshot

CHUNK_CONTACTS = 20_000
PLANS = "plan-"
"""Every plan's id begins so."""

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


class GatheredPopulation(NamedTuple):
    """What is known about everyone, and how many outbound selections each contact and account has had."""

    situation: Situation
    history: History
    seen_contacts: Mapping[str, int]
    seen_accounts: Mapping[str, int]


@dataclass(frozen=True)
class PlannedPopulation:
    """A plan with its identity: the same inputs give the same `plan_id` and `decision_ids`."""

    plan_id: str
    created_at: datetime
    population: Population
    snapshot: Snapshot
    plan: Plan
    decision_ids: tuple[str, ...]
    gathered: GatheredPopulation


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
    found = gather_population(population, snapshot, ledger, now, excluding_plan=base)
    plan_id = f"{base}-{_state(found)}"
    moment = to_datetime(population.moment)
    ids = tuple(derived_decision_id(moment, plan_id, str(contact_id)) for contact_id in population.contact_ids)
    seeded = replace(found.situation, seeds=np.array(ids, dtype=object))
    made = plan(House(snapshot.catalog, snapshot.scorer), chunks(seeded, found.history, progress))
    earlier = ledger.decision(ids[0]) if ids else None
    created_at = earlier.decided_at if earlier else now
    return PlannedPopulation(plan_id, created_at, population, snapshot, made, ids, found)


def publish(planned: PlannedPopulation, ledger: Ledger) -> None:
    """Keep every decision of the plan, and publish its shadow prices for real time. Doing it again changes nothing."""
    ledger.keep_catalog(planned.snapshot.catalog_key, planned.snapshot.catalog_body)
    ledger.record_decisions(list(_records(planned)))
    ledger.set_prices(to_json(price_book(planned)))


def price_book(planned: PlannedPopulation) -> PriceBook:
    """The prices that the plan hands to real time, valid from its making, with what it has reserved itself."""
    made, catalog = planned.plan, planned.snapshot.catalog
    uses = _use_of_choices(planned)
    outbound = (made.treatment >= 0) & catalog.outbound[made.treatment]
    lines = {}
    for place, (one, price) in enumerate(zip(catalog.catalog.constraints, made.allocation.shadow_prices.tolist(), strict=True)):
        worth, used = float(made.factors["profit"][uses[:, place] > 0].sum()), float(uses[:, place].sum())
        scale = max(abs(price), worth / used if used > 0 else 0.0)
        lines[one.id] = Line(
            np.inf if one.max is None else one.max, one.min or 0.0, price, scale, math.fsum(uses[outbound, place].tolist())
        )
    begins_at = to_datetime64(planned.created_at)
    return PriceBook(planned.plan_id, begins_at, catalog.catalog.period_days, lines)


def _use_of_choices(planned: PlannedPopulation) -> np.ndarray:
    """What each row of the plan uses of each constraint, shape (n_contacts, n_constraints)."""
    made, catalog = planned.plan, planned.snapshot.catalog
    situation, has = planned.gathered.situation, made.treatment >= 0
    uses = np.zeros((len(has), len(catalog.catalog.constraints)))
    for place, constraint in enumerate(catalog.catalog.constraints):
        in_market = np.ones(len(has))
        if constraint.market is not None:
            markets = situation.columns.get("market")
            in_market = np.zeros(len(has)) if markets is None else np.asarray(markets == constraint.market, dtype=float)
        uses[has, place] = in_market[has] * catalog.use_per_contact[constraint.id][made.treatment[has]]
    return uses


def gather_population(
    population: Population, snapshot: Snapshot, ledger: Ledger, now: datetime, *, excluding_plan: str | None = None
) -> GatheredPopulation:
    """What is known about everyone: features, consents as they stand now, and the past that the contact policies look at.

    What happened after the plan's moment counts as if it were then. `excluding_plan` leaves out the plans whose id begins so.
    """
    sources, moment = replace(snapshot.sources(ledger), plan_id=None), to_datetime(population.moment)
    permitted = granted(ledger.consents(None), population.contact_ids)
    situation = Situation(population.contact_ids, population.columns, population.moment, permitted)
    everyone = Whose(None, None if asks_for_accounts(sources.catalog) else ())
    since = moment - timedelta(days=longest_window_days(sources.catalog))
    past = ledger.policy_history(everyone, since=since, now=max(now, moment), excluding_plan=excluding_plan)
    return GatheredPopulation(situation, history_of(past, situation, sources), past.seen_contacts, past.seen_accounts)


def _base_id(population: Population, snapshot: Snapshot) -> str:
    """The part of a plan's id that its own reservations do not change."""
    versions = snapshot.versions
    inputs = [population.fingerprint, versions["catalog"], versions["models"], versions["features"], str(population.moment)]
    everyone = _digest(*population.contact_ids.tolist())
    return f"{PLANS}{str(population.moment)[:10].replace('-', '')}-{_digest(*inputs, everyone)[:12]}"


def _state(found: GatheredPopulation) -> str:
    """The part of a plan's id that consents, touches, outcomes and suppressions change."""
    consents = [[purpose, np.packbits(yes).tobytes().hex()] for purpose, yes in sorted(found.situation.granted.items())]
    history, firms = found.history, found.history.firms
    colleagues = [] if firms is None else [_content(firms.touches.columns), _content(firms.outcomes.columns)]
    off = sorted([row, str(action), str(channel), str(until)] for row, action, channel, until in history.suppressions)
    return _digest(consents, _content(history.touches), _content(history.outcomes), *colleagues, *([off] if off else []))[:8]


def chunks(everyone: Situation, history: History, progress: Callable[[int], None]) -> Iterator[tuple[Situation, History]]:
    """The contacts with their past, `CHUNK_CONTACTS` at a time; `progress` is told how many are done."""
    total = len(everyone.contact_ids)
    for start in range(0, total, CHUNK_CONTACTS):
        rows = slice(start, min(start + CHUNK_CONTACTS, total))
        situation = Situation(
            contact_ids=everyone.contact_ids[rows],
            columns={name: column[rows] for name, column in everyone.columns.items()},
            now=everyone.now,
            granted={purpose: yes[rows] for purpose, yes in everyone.granted.items()},
            seeds=everyone.seeds_or_ids[rows],
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
        firms=None if history.firms is None else replace(history.firms, unit=history.firms.unit[rows]),
        suppressions=tuple(one._replace(row=one.row - rows.start) for one in history.suppressions if rows.start <= one.row < rows.stop),
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
    profit = factors["profit"][row]
    return selection_of(planned.snapshot.catalog, column, planned.created_at, rank=1, expected_profit=profit, selection_prob=1.0)


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
