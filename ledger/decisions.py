"""Decisions with their selections, and the one decision of a `request_id` within a day.

`request_claims` holds one row a request_id: the decision that answers it. The claim, the decision and its selections are written in one
transaction, so of two simultaneous calls with the same request_id one decides and the other gets its decision.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import BindParameter, Connection, Row, Select, bindparam, delete, select

from ledger import chain, codec
from ledger.answers import NAMED_ALREADY
from ledger.claims import keep_meters, open_grants
from ledger.database import upsert
from ledger.prepared import InsertNew, Prepared, named_values
from ledger.records import DecisionRecord, Selection
from ledger.schema import DECISIONS, REQUEST_CLAIMS, SELECTIONS

REQUEST_WINDOW = timedelta(days=1)
"""How long a request_id keeps its decision."""

_CHUNK = 5_000  # ids in one IN list: below the parameter limits of both databases


def record(conn: Connection, records: Sequence[DecisionRecord]) -> list[DecisionRecord | None]:
    """Write the decisions; returns, in order, the decision that holds for each.

    That is the record itself, or the earlier decision of the same request_id, or None where what it counted on no longer holds. A
    decision_id that is already there stays as it was.
    """
    grants = open_grants(conn, records)
    winners = _claim(conn, [record for record in records if record.request_id is not None])
    own = [record for record in records if winners.get(record.request_id, record.decision_id) == record.decision_id]
    known = _known(conn, own)
    granted = [record for record in own if record.decision_id in known or grants.grant(record)]
    keep_meters(conn, grants)
    _insert(conn, granted)
    held: dict[str, DecisionRecord] = {record.decision_id: record for record in granted}
    refused = {record.decision_id: record.request_id for record in own if record.decision_id not in held}
    _give_up(conn, [request_id for request_id in refused.values() if request_id is not None])
    held |= by_id(conn, [decision_id for decision_id in winners.values() if decision_id not in held and decision_id not in refused])
    return [held.get(winners.get(record.request_id, record.decision_id)) for record in records]


def _known(conn: Connection, records: Sequence[DecisionRecord]) -> set[str]:
    """Those that are in the ledger already, of the records that claim something: they took it when they were written."""
    claiming = [record.decision_id for record in records if record.claim is not None]
    return {row[0] for chunk in codec.chunks(claiming, _CHUNK) for row in _KNOWN.rows(conn, {"ids": chunk})}


def _give_up(conn: Connection, request_ids: Sequence[str]) -> None:
    """Leave the request_ids of refused decisions to those that are made in their place."""
    for chunk in codec.chunks(request_ids, _CHUNK):
        _UNCLAIM.execute(conn, {"ids": chunk})


def by_id(conn: Connection, decision_ids: Iterable[str]) -> dict[str, DecisionRecord]:
    """The decisions with these ids; unknown ids are left out."""
    found: dict[str, DecisionRecord] = {}
    for chunk in codec.chunks(decision_ids, _CHUNK):
        found.update((record.decision_id, record) for record in _records(conn, conn.execute(_BY_ID, {"ids": chunk}).all()))
    return found


def by_requests(conn: Connection, request_ids: Collection[str], since: datetime) -> dict[str, DecisionRecord]:
    """request_id -> the decision that answers it, if it was decided at `since` or later."""
    found: dict[str, DecisionRecord] = {}
    for chunk in codec.chunks(request_ids, _CHUNK):
        rows = _BY_REQUEST.rows(conn, {"ids": chunk, "since": codec.micros(since)})
        answering = {decision_id: request_id for request_id, decision_id in rows}
        found.update((answering[one.decision_id], one) for one in by_id(conn, answering).values())
    return found


def newest_plan(conn: Connection, beginning: str) -> str | None:
    """The id of the newest plan whose id begins so; `beginning` holds no wildcard of LIKE."""
    return conn.execute(_NEWEST_PLAN, {"beginning": f"{beginning}%"}).scalar_one_or_none()


def of_contact(conn: Connection, contact_id: str, limit: int) -> list[DecisionRecord]:
    """A contact's decisions, newest first."""
    return _records(conn, conn.execute(_OF_CONTACT, {"contact_id": contact_id, "limit": limit}).all())


def _claim(conn: Connection, records: Sequence[DecisionRecord]) -> dict[str | None, str]:
    """Claim each record's request_id; returns request_id -> the decision_id that answers it."""
    if not records:
        return {}
    claims: list[dict[str, Any]] = [
        {"request_id": r.request_id, "decision_id": r.decision_id, "decided_at": codec.micros(r.decided_at)} for r in records
    ]
    claims.sort(key=itemgetter("request_id"))  # two writers with the same ids wait for each other in one order, never in a circle
    _claim_statement(conn.dialect.name).execute_many(conn, claims)
    winners: dict[str | None, str] = {}
    for chunk in codec.chunks(dict.fromkeys(r.request_id for r in records), _CHUNK):
        winners.update(_WINNERS.rows(conn, {"ids": chunk}))
    return winners


@cache
def _claim_statement(dialect: str) -> Prepared:
    """A new claim wins where there is none, or where the one there is a day old."""
    insert = upsert(dialect, REQUEST_CLAIMS).values(named_values(REQUEST_CLAIMS))
    newest = insert.excluded
    expired = REQUEST_CLAIMS.c.decided_at <= newest.decided_at - REQUEST_WINDOW // timedelta(microseconds=1)
    return Prepared(
        insert.on_conflict_do_update(
            index_elements=[REQUEST_CLAIMS.c.request_id],
            set_={"decision_id": newest.decision_id, "decided_at": newest.decided_at},
            where=expired,
        )
    )


def _insert(conn: Connection, records: Sequence[DecisionRecord]) -> None:
    rows = [(_decision_row(record), record) for record in records]
    new = _INSERT.insert(conn, [row for row, _ in rows])
    selections: list[dict[str, Any]] = []
    links = []
    for row, item in rows:
        if item.decision_id in new:
            new.discard(item.decision_id)  # a decision_id twice in one call: the first holds
            mine = list({one.rank: _selection_row(item, one) for one in reversed(item.selections)}.values())
            mine.sort(key=itemgetter("rank"))
            selections += mine
            links.append(chain.decision_content(row, mine))
    _insert_selections(conn.dialect.name).execute_many(conn, selections)
    chain.extend(conn, "decisions", links)


@cache
def _insert_selections(dialect: str) -> Prepared:
    values = {**named_values(SELECTIONS), "answered": NAMED_ALREADY}
    return Prepared(upsert(dialect, SELECTIONS).values(values).on_conflict_do_nothing())


def _decision_row(item: DecisionRecord) -> dict[str, Any]:
    return {
        "decision_id": item.decision_id,
        "contact_id": item.contact_id,
        "request_id": item.request_id,
        "decided_at": codec.micros(item.decided_at),
        "channel": item.channel,
        "plan_id": item.plan_id,
        "control_group": item.control_group,
        "degraded": item.degraded,
        "trace": codec.json_bytes(item.trace),
    }


def _selection_row(item: DecisionRecord, chosen: Selection) -> dict[str, Any]:
    return {
        "decision_id": item.decision_id,
        "rank": chosen.rank,
        "contact_id": item.contact_id,
        "decided_at": codec.micros(item.decided_at),
        "plan_id": item.plan_id,
        "action_id": chosen.action_id,
        "treatment_id": chosen.treatment_id,
        "channel": chosen.channel,
        "direction": chosen.direction,
        "placement": chosen.placement,
        "selection_prob": codec.finite(chosen.selection_prob),
        "expected_profit": codec.finite(chosen.expected_profit),
        "cost": codec.finite(chosen.cost),
        "reserved_until": None if chosen.reserved_until is None else codec.micros(chosen.reserved_until),
        "account_id": chosen.account_id,
        "redeems": chosen.redeems,
        "book": chosen.book,
    }


def _records(conn: Connection, found: Sequence[Row[Any]]) -> list[DecisionRecord]:
    if not found:
        return []
    chosen: dict[str, list[Selection]] = defaultdict(list)
    for row in conn.execute(_SELECTIONS, {"ids": [row.decision_id for row in found]}):
        chosen[row.decision_id].append(_selection(row))
    return [_decision(row, tuple(chosen[row.decision_id])) for row in found]


def _decision(row: Row[Any], selections: tuple[Selection, ...]) -> DecisionRecord:
    return DecisionRecord(
        decision_id=row.decision_id,
        contact_id=row.contact_id,
        decided_at=codec.moment(row.decided_at),
        control_group=row.control_group,
        selections=selections,
        request_id=row.request_id,
        channel=row.channel,
        plan_id=row.plan_id,
        degraded=row.degraded,
        trace=json.loads(row.trace),
    )


def _selection(row: Row[Any]) -> Selection:
    return Selection(
        rank=row.rank,
        action_id=row.action_id,
        treatment_id=row.treatment_id,
        channel=row.channel,
        direction=row.direction,
        placement=row.placement,
        selection_prob=_number(row.selection_prob),
        expected_profit=_number(row.expected_profit),
        cost=_number(row.cost),
        reserved_until=None if row.reserved_until is None else codec.moment(row.reserved_until),
        account_id=row.account_id,
        redeems=row.redeems,
        book=row.book,
    )


def _number(kept: float | None) -> float:
    return math.nan if kept is None else kept


# Built once: composing a statement costs more than running it.
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_INSERT = InsertNew(DECISIONS, as_bytes=("trace",))
_KNOWN = Prepared(select(DECISIONS.c.decision_id).where(DECISIONS.c.decision_id.in_(_IDS)))
_UNCLAIM = Prepared(delete(REQUEST_CLAIMS).where(REQUEST_CLAIMS.c.request_id.in_(_IDS)))
_BY_ID: Select[Any] = select(DECISIONS).where(DECISIONS.c.decision_id.in_(_IDS))
_BY_REQUEST = Prepared(
    select(REQUEST_CLAIMS.c.request_id, REQUEST_CLAIMS.c.decision_id).where(
        REQUEST_CLAIMS.c.request_id.in_(_IDS), REQUEST_CLAIMS.c.decided_at >= bindparam("since")
    )
)
_NEWEST_PLAN: Select[Any] = (
    select(DECISIONS.c.plan_id)
    .where(DECISIONS.c.plan_id.like(bindparam("beginning")))
    .order_by(DECISIONS.c.decided_at.desc(), DECISIONS.c.plan_id)
    .limit(1)
)
_OF_CONTACT: Select[Any] = (
    select(DECISIONS)
    .where(DECISIONS.c.contact_id == bindparam("contact_id"))
    .order_by(DECISIONS.c.decided_at.desc(), DECISIONS.c.decision_id.desc())
    .limit(bindparam("limit"))
)
_WINNERS = Prepared(select(REQUEST_CLAIMS.c.request_id, REQUEST_CLAIMS.c.decision_id).where(REQUEST_CLAIMS.c.request_id.in_(_IDS)))
_SELECTIONS: Select[Any] = select(SELECTIONS).where(SELECTIONS.c.decision_id.in_(_IDS)).order_by(SELECTIONS.c.rank)
