"""A plan becomes binding: its decisions are kept with what they reserve, and its shadow prices are handed to real time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from msgspec import structs

from decisioning.allocation.problem import blocks
from decisioning.coded import Coded
from decisioning.price_book import Line, PriceBook
from decisioning.quiet_hours import to_datetime
from ledger import bulk
from ledger.records import DecisionRecord
from ledger.store import Ledger
from serving.plans.crew import ALONE, Crew
from serving.plans.pieces import Piece, Recording
from serving.plans.planner import PlannedPopulation, exact_sum
from serving.realtime.decision_records import Chosen, selection_of
from serving.realtime.feature_rows import to_datetime64
from serving.realtime.price_books import to_json
from serving.realtime.running_period import EXPLORATION
from serving.realtime.situations import asks_for_accounts

ECONOMICS = ("propensity", "baseline", "uplift", "value", "cost", "profit")
DECISIONS_AT_ONCE = 20_000
"""Decisions of a plan in one transaction: others wait less than a second for it, and memory does not grow with the plan."""

_PRICES_ONLY = "-prices"
RACED = "raced: another decision touched this contact or its account while the plan was made"


def publish(
    planned: PlannedPopulation, ledger: Ledger, crew: Crew = ALONE, progress: Callable[[int], None] = lambda kept: None
) -> PlannedPopulation:
    """Keep every decision of the plan, and publish its shadow prices for real time. Doing it again changes nothing.

    A plan that is killed in between goes on when it is made again. The `crew` makes decisions ready, a batch each; they are written here,
    and `progress` is told how many are.
    Returns the plan as it holds: a contact who was touched while the plan was made keeps its caps and gets nothing from it.
    """
    ledger.keep_catalog(planned.snapshot.catalog_key, planned.snapshot.catalog_body)
    written, raced, kept = bulk.Written(), set[str](), 0
    for batch in crew.in_order(recording_of(planned).made_ready, pieces(planned)):
        raced |= ledger.bulk.record(batch, written)
        kept += len(batch.decisions)
        progress(kept)
    if raced:
        chosen = {place: one for place, one in enumerate(plan_records(planned)) if one.decision_id in raced}
        planned = without(planned, list(chosen))
        instead = [_instead_of(chosen[place], one) for place, one in enumerate(plan_records(planned)) if place in chosen]
        ledger.record_decisions(instead)
    publish_prices(planned, ledger)
    return planned


def _instead_of(chosen: DecisionRecord, nothing: DecisionRecord) -> DecisionRecord:
    """`nothing`, with what the plan had chosen, so that the plan can be made again and compared."""
    return structs.replace(nothing, trace=nothing.trace | {"raced": as_planned(chosen)})


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
            planned=exact_sum(uses[held]),
        )
    book_id = planned.plan_id if reserved else f"{planned.plan_id}{_PRICES_ONLY}"
    return PriceBook(book_id, to_datetime64(planned.created_at), catalog.catalog.period_days, lines)


def plan_records(planned: PlannedPopulation) -> Iterator[DecisionRecord]:
    """One decision a contact, with a selection for each of its rows."""
    recording = recording_of(planned)
    for piece in pieces(planned):
        yield from recording.records(piece)


def recording_of(planned: PlannedPopulation) -> Recording:
    """What all decisions of a plan have in common."""
    catalog, now = planned.snapshot.catalog, planned.created_at
    anyhow = Chosen(rank=0, expected_profit=0.0, selection_prob=0.0)
    return Recording(
        plan_id=planned.plan_id,
        moment=to_datetime(planned.population.moment),
        created_at=now,
        versions=planned.snapshot.versions,
        selections=tuple(selection_of(catalog, column, now, anyhow) for column in range(len(catalog.treatments))),
        claims=any(policy.max is not None for policy in catalog.catalog.contact_policy),
        by_account=asks_for_accounts(catalog.catalog),
    )


def pieces(planned: PlannedPopulation) -> Iterator[Piece]:
    """All rows of a plan, `DECISIONS_AT_ONCE` contacts at a time."""
    rank, contacts = planned.plan.rank, len(planned.decision_ids)
    starts = np.append(np.flatnonzero(rank == 1), len(rank))
    for some in blocks(contacts, DECISIONS_AT_ONCE):
        yield piece_of(planned, some, starts[some.start : some.stop + 1])


def piece_of(planned: PlannedPopulation, contacts: slice, starts: np.ndarray) -> Piece:
    """The rows of some contacts, which begin at `starts`, and last where they end."""
    made, found, some = planned.plan, planned.gathered, slice(int(starts[0]), int(starts[-1]))
    contact_ids = planned.population.contact_ids[contacts].tolist()
    accounts = planned.population.columns.get("account_id")
    known = [None] * len(contact_ids) if accounts is None else accounts[contacts].tolist()
    account_ids = [None if one is None else str(one) for one in known]
    return Piece(
        starts=(starts - some.start).tolist(),
        contact_id=contact_ids,
        account_id=account_ids,
        control_group=made.control_group[starts[:-1]].tolist(),
        seen_contact=[found.seen_contacts.get(one, 0) for one in contact_ids],
        seen_account=[0 if one is None else found.seen_accounts.get(one, 0) for one in account_ids],
        treatment=made.treatment[some].tolist(),
        rank=made.rank[some].tolist(),
        selection_prob=made.selection_prob[some].tolist(),
        reason=made.reason[some].tolist(),
        factors={name: made.factors[name][some].tolist() for name in ECONOMICS},
    )


def without(planned: PlannedPopulation, contacts: Sequence[int]) -> PlannedPopulation:
    """The plan without what it chose for these contacts (their places), who then get no action."""
    made = planned.plan
    out = np.isin(made.contact, contacts)
    keep = ~out | (made.rank == 1)
    dropped = out[keep]
    raced = np.where(dropped, len(made.reason.texts), made.reason.codes[keep])

    def kept(values: Any, otherwise: Any) -> Any:
        return np.where(dropped, otherwise, np.asarray(values)[keep])

    plan = replace(
        made,
        contact=made.contact[keep],
        rank=made.rank[keep],
        clv=made.clv[keep],
        control_group=made.control_group[keep],
        segment=made.segment[keep],
        reason=Coded(raced, (*made.reason.texts, RACED)),
        treatment=kept(made.treatment, -1).astype(np.int64),
        factors={name: kept(values, np.nan) for name, values in made.factors.items()},
        priority=kept(made.priority, 0.0),
        shadow_cost=kept(made.shadow_cost, 0.0),
        selection_prob=made.selection_prob[keep],
    )
    return replace(planned, plan=plan)
