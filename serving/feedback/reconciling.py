"""Decided, delivered, seen and responded, as one document with its gaps named; and the default outcome of a choice nobody answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from decisioning.catalog import Catalog
from ledger.outcomes import OutcomeRecord
from ledger.reconciliation import DayOfChannel, Reading
from ledger.records import DecisionRecord
from ledger.store import Ledger
from serving.realtime.answers import iso

NO_RESPONSE = "no_response"
"""The default outcome: the window of the action's goal is over, and nobody answered."""

_ANSWERS = ("conversion", "response", "opt_out")


def windows(catalog: Catalog) -> dict[str, timedelta]:
    """How long an action waits for a response: the window of its goal; an action without a goal waits for none."""
    return {one.id: timedelta(days=catalog.outcomes[one.goal].window_days) for one in catalog.actions if one.goal is not None}


def answers_of(catalog: Catalog) -> frozenset[str]:
    """The outcomes that are an answer: conversions, responses and opt-outs."""
    return frozenset(name for name, one in catalog.outcomes.items() if one.kind in _ANSWERS)


def unanswered(record: DecisionRecord, outcomes: Sequence[OutcomeRecord], catalog: Catalog, now: datetime) -> list[dict[str, Any]]:
    """The default outcome of each choice of a decision whose window is over without an answer: derived, never written."""
    answers, waits = answers_of(catalog), windows(catalog)
    answered = {one.treatment_id for one in outcomes if one.outcome in answers}
    found = []
    for chosen in record.selections:
        wait = waits.get(chosen.action_id)
        if wait is None or record.decided_at + wait > now or not answered.isdisjoint({chosen.treatment_id, None}):
            continue
        over = iso(record.decided_at + wait)
        plain = {"event_id": None, "treatment_id": chosen.treatment_id, "value": None, "late": False}
        found.append({**plain, "outcome": NO_RESPONSE, "behaviour": "neutral", "occurred_at": over})
    return found


def reconcile(ledger: Ledger, catalog: Catalog, now: datetime, span: tuple[datetime | None, datetime | None]) -> dict[str, Any]:
    """What became of every choice: {days, channels, orphans, gaps}; counts are choices, of UTC days.

    A gap is a channel's day on which something is missing that other days of the channel have, or that must have been: choices that were
    sent out but never delivered, responses to what was never delivered.
    """
    by_kind = {kind: {name for name, one in catalog.outcomes.items() if one.kind == kind} for kind in ("delivery", "impression")}
    answers = answers_of(catalog)
    since, until = span
    bounced = {name for name in by_kind["delivery"] if catalog.outcomes[name].behaviour == "negative"}
    how = Reading(
        by_kind["delivery"] - bounced,
        bounced,
        by_kind["impression"],
        answers,
        windows(catalog),
        now,
        since,
        until,
    )
    days, strays = ledger.reconciled(how)
    names = dict.fromkeys(one.channel for one in days)
    return {
        "as_of": iso(now),
        "days": [asdict(one) for one in days],
        "channels": [_added(channel, [one for one in days if one.channel == channel]) for channel in names],
        "orphans": strays,
        "gaps": [*_gaps(days), *(f"{number:,} outcomes: {what}" for what, number in strays.items() if what != "after its window")],
    }


def _added(channel: str, days: Sequence[DayOfChannel]) -> dict[str, Any]:
    names = ("decided", "delivered", "seen", "responded", "no_response", "open")
    return {"channel": channel, "direction": days[0].direction, **{name: sum(getattr(one, name) for one in days) for name in names}}


def _gaps(days: Sequence[DayOfChannel]) -> list[str]:
    reporting: Mapping[str, bool] = {one.channel: True for one in days if one.delivered}
    found = []
    for one in days:
        where = f"{one.channel} {one.day}"
        if one.direction == "outbound" and reporting.get(one.channel) and not one.delivered:
            found.append(f"{where}: {one.decided:,} decided, none delivered, though the channel reports deliveries on other days")
        elif one.direction == "outbound" and one.delivered < one.responded and reporting.get(one.channel):
            found.append(f"{where}: {one.responded:,} responded, only {one.delivered:,} delivered")
    silent = {one.channel for one in days if one.direction == "outbound"} - reporting.keys()
    found += [f"{channel}: no delivery was ever reported" for channel in sorted(silent)]
    return found
