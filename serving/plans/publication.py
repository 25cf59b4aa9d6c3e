"""A plan becomes binding: its decisions are kept with what they reserve, and its shadow prices are handed to real time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from decisioning.price_book import Line, PriceBook
from ledger.records import Claim, DecisionRecord, Selection
from ledger.store import Ledger
from serving.plans.planner import PlannedPopulation
from serving.realtime.answers import number
from serving.realtime.decision_records import Chosen, selection_of
from serving.realtime.feature_rows import to_datetime64
from serving.realtime.price_books import to_json
from serving.realtime.running_period import EXPLORATION
from serving.realtime.situations import account_ids_of, asks_for_accounts

ECONOMICS = ("propensity", "baseline", "uplift", "value", "cost", "profit")
DECISIONS_AT_ONCE = 20_000
"""Decisions of a plan in one transaction: others wait less than a second for it, and memory does not grow with the plan."""

_PRICES_ONLY = "-prices"
RACED = "raced: another decision touched this contact or its account while the plan was made"


def publish(planned: PlannedPopulation, ledger: Ledger) -> PlannedPopulation:
    """Keep every decision of the plan, and publish its shadow prices for real time. Doing it again changes nothing.

    Returns the plan as it holds: a contact who was touched while the plan was made keeps its caps and gets nothing from it.
    """
    ledger.keep_catalog(planned.snapshot.catalog_key, planned.snapshot.catalog_body)
    raced: dict[str, DecisionRecord] = {}
    for records in _at_once(planned):
        held = ledger.record_decisions(records)
        raced |= {record.contact_id: record for record, kept in zip(records, held, strict=True) if kept is None}
    if raced:
        planned = without(planned, set(raced))
        instead = [record for record in plan_records(planned) if record.contact_id in raced]
        ledger.record_decisions([_instead_of(raced[record.contact_id], record) for record in instead])
    publish_prices(planned, ledger)
    return planned


def _at_once(planned: PlannedPopulation) -> Iterator[list[DecisionRecord]]:
    """The decisions, as many at once as are written in one transaction; a plan that is killed in between goes on when it is made again.

    The caps of an account count what others have sent it: all of the plan's own must then be seen together.
    """
    records = plan_records(planned)
    if asks_for_accounts(planned.snapshot.catalog.catalog):
        yield list(records)
        return
    while some := list(itertools.islice(records, DECISIONS_AT_ONCE)):
        yield some


def _instead_of(chosen: DecisionRecord, nothing: DecisionRecord) -> DecisionRecord:
    """`nothing`, with what the plan had chosen, so that the plan can be made again and compared."""
    return replace(nothing, trace=nothing.trace | {"raced": as_planned(chosen)})


def as_planned(record: DecisionRecord) -> dict[str, Any]:
    """What a plan chose for a contact, whether or not it was raced: what making the plan again must find."""
    if "raced" in record.trace:
        return dict(record.trace["raced"])
    return {
        "control_group": record.control_group,
        "treatments": [[one.treatment_id, one.rank, one.selection_prob, one.cost] for one in record.selections],
        "economics": record.trace["economics"],
        "no_action": record.trace.get("no_action"),
    }


def publish_prices(planned: PlannedPopulation, ledger: Ledger, *, reserved: bool = True) -> None:
    """Publish the plan's shadow prices alone; with `reserved`, what the plan has reserved counts in the first period.

    A plan opens a new period. Prices alone do not: what the running one has used so far is used in theirs. A book that holds already goes
    on: its period does not begin again.
    """
    book, spent = price_book(planned, reserved=reserved), planned.plan.expected_cost
    if (ledger.prices() or {}).get("id") == book.id:
        return
    if not reserved:
        used = _used_so_far(planned, ledger)
        lines = {name: replace(line, planned=used.get(name, 0.0)) for name, line in book.lines.items()}
        book, spent = replace(book, lines=lines), used.get(EXPLORATION, 0.0)
    ledger.set_prices(to_json(book), meters=(f"{book.id}/0", {EXPLORATION: spent} if spent > 0 else {}))


def _used_so_far(planned: PlannedPopulation, ledger: Ledger) -> dict[str, float]:
    """What the meters of the running period show at the plan's making."""
    book = planned.snapshot.book
    period = book.period(to_datetime64(planned.created_at))
    return {**book.used_at_first(period.number), **ledger.meters(f"{book.id}/{period.number}")}


def price_book(planned: PlannedPopulation, *, reserved: bool = True) -> PriceBook:
    """The prices that the plan hands to real time, valid from its making, with what it has reserved itself.

    The outbound choices of a plan are reserved; a banner is counted when it is shown. Prices alone are a book of another name, whose
    meters are its own: it knows of no reservation.
    """
    made, catalog = planned.plan, planned.snapshot.catalog
    profit = np.nan_to_num(planned.plan.factors["profit"])
    held = planned.chosen & catalog.outbound[made.treatment] & reserved
    lines = {}
    for one, price in zip(catalog.catalog.constraints, made.allocation.shadow_prices.tolist(), strict=True):
        uses = planned.uses_of(one)
        used, worth = float(uses.sum()), float(profit[uses > 0].sum())
        lines[one.id] = Line(
            most=np.inf if one.max is None else one.max,
            least=one.min or 0.0,
            price=price,
            scale=max(abs(price), worth / used if used > 0 else 0.0),
            planned=math.fsum(uses[held].tolist()),
        )
    book_id = planned.plan_id if reserved else f"{planned.plan_id}{_PRICES_ONLY}"
    return PriceBook(book_id, to_datetime64(planned.created_at), catalog.catalog.period_days, lines)


def plan_records(planned: PlannedPopulation) -> Iterator[DecisionRecord]:
    """One decision a contact, with a selection for each of its rows."""
    accounts, rank = account_ids_of(planned.gathered.situation), planned.plan.rank
    starts = np.append(np.flatnonzero(rank == 1), len(rank))
    for first in range(0, len(starts) - 1, DECISIONS_AT_ONCE):
        yield from _records_of(planned, accounts, starts[first : first + DECISIONS_AT_ONCE + 1].tolist())


def _records_of(planned: PlannedPopulation, accounts: np.ndarray, starts: Sequence[int]) -> Iterator[DecisionRecord]:
    """The decisions of some contacts, whose rows begin at `starts`; the last of these is where they end."""
    made, versions, offset = planned.plan, planned.snapshot.versions, starts[0]
    some = slice(offset, starts[-1])
    factors = {name: made.factors[name][some].tolist() for name in ECONOMICS}
    treatment = made.treatment[some].tolist()
    for begin, end in itertools.pairwise(starts):
        contact = int(made.contact[begin])
        contact_id, account_id = str(made.contact_ids[begin]), accounts[contact]
        chosen = [row for row in range(begin, end) if treatment[row - offset] >= 0]
        selections = tuple(_selection(planned, row, factors["profit"][row - offset], account_id) for row in chosen)
        economics = [{name: number(values[row - offset]) for name, values in factors.items()} for row in chosen]
        trace: dict[str, Any] = {"plan_id": planned.plan_id, "versions": versions, "economics": economics}
        if not selections:
            trace |= {"no_action": made.reason[begin], "selection_prob": float(made.selection_prob[begin])}
        yield DecisionRecord(
            decision_id=planned.decision_ids[contact],
            contact_id=contact_id,
            decided_at=planned.created_at,
            control_group=str(made.control_group[begin]),
            selections=selections,
            plan_id=planned.plan_id,
            trace=trace,
            claim=_claim(planned, contact_id, selections),
        )


def _selection(planned: PlannedPopulation, row: int, profit: float, account_id: object) -> Selection:
    made = planned.plan
    chosen = Chosen(
        rank=int(made.rank[row]),
        expected_profit=profit,
        selection_prob=float(made.selection_prob[row]),
        account_id=None if account_id is None else str(account_id),
    )
    return selection_of(planned.snapshot.catalog, int(made.treatment[row]), planned.created_at, chosen)


def _claim(planned: PlannedPopulation, contact_id: str, selections: Sequence[Selection]) -> Claim | None:
    """That nobody else has touched the contact, or its account, since the plan read their past; None where no cap asks."""
    catalog, found = planned.snapshot.catalog.catalog, planned.gathered
    if not selections or not any(policy.max is not None for policy in catalog.contact_policy):
        return None
    account_id = selections[0].account_id if asks_for_accounts(catalog) else None
    of_account = None if account_id is None else found.seen_accounts.get(account_id, 0)
    return Claim(planned.plan_id, (), found.seen_contacts.get(contact_id, 0), of_account, together=True)


def without(planned: PlannedPopulation, contact_ids: set[str]) -> PlannedPopulation:
    """The plan without what it chose for these contacts, who then get no action."""
    made = planned.plan
    out = np.isin(made.contact_ids.astype(str), sorted(contact_ids))
    keep = ~out | (made.rank == 1)
    dropped = out[keep]

    def kept(values: Any, otherwise: Any) -> Any:
        return np.where(dropped, otherwise, np.asarray(values)[keep])

    plan = replace(
        made,
        contact=made.contact[keep],
        rank=made.rank[keep],
        contact_ids=made.contact_ids[keep],
        clv=made.clv[keep],
        control_group=made.control_group[keep],
        segment=tuple(one for one, stays in zip(made.segment, keep, strict=True) if stays),
        reason=tuple(RACED if gone else why for why, gone in zip(np.array(made.reason, dtype=object)[keep], dropped, strict=True)),
        treatment=kept(made.treatment, -1).astype(np.int64),
        factors={name: kept(values, np.nan) for name, values in made.factors.items()},
        priority=kept(made.priority, 0.0),
        shadow_cost=kept(made.shadow_cost, 0.0),
        selection_prob=made.selection_prob[keep],
    )
    return replace(planned, plan=plan)
