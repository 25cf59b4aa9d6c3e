"""What contacts did, once per `event_id`; and which of it is not settled yet.

An event that is accepted is open in the same transaction: whoever settles it (online features, triggers) says so afterwards, and what a
killed process left open is found and settled by the next.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, Select, delete, exists, select

from ledger import chain, codec, outbox
from ledger.database import Database
from ledger.outbox import Message
from ledger.prepared import InsertNew
from ledger.schema import EVENTS, OPEN_EVENTS
from ledger.verify import TOMBSTONE

TRIGGERED = "trigger:"
"""How the request_id of a decision begins that an event called for."""

_AT_ONCE = 1_000


@dataclass(frozen=True)
class EventRecord:
    """One event of a contact; `value` is money, times are aware UTC, `extra` is what came along beside the contract's columns."""

    event_id: str
    contact_id: str
    event_type: str
    occurred_at: datetime
    received_at: datetime
    value: float | None = None
    channel: str | None = None
    session_id: str | None = None
    content_id: str | None = None
    anonymous_id: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OpenEvent:
    """An event that is not settled yet, and how its contact stood before it."""

    record: EventRecord
    before: Mapping[str, Any]


class Events:
    """The verbs about events; each is one transaction, durable on return, and raises `Unavailable` where the database cannot answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self, records: Sequence[EventRecord], before: Mapping[str, Mapping[str, Any]] | None = None
    ) -> list[Literal["accepted", "duplicate"]]:
        """Write the events whose event_id is new, and leave them open; one word a record, in order. The first arrival holds.

        `before` says by contact_id how the contact stood before any of them.
        """
        if not records:
            return []
        with self._database.writing() as conn:
            return _record(conn, records, before or {})

    def open_among(self, event_ids: Collection[str]) -> list[OpenEvent]:
        """Those of these events that are not settled yet, in the order in which they came."""
        with self._database.reading() as conn:
            return [one for some in codec.chunks(event_ids, _AT_ONCE) for one in _open(conn, _OPEN.where(EVENTS.c.event_id.in_(some)))]

    def open_before(self, received_before: datetime, limit: int) -> list[OpenEvent]:
        """The oldest events that came before a time and are not settled yet."""
        with self._database.reading() as conn:
            return _open(conn, _OPEN.where(OPEN_EVENTS.c.received_at < codec.micros(received_before)).limit(limit))

    def settle(self, event_ids: Collection[str], messages: Sequence[Message] = ()) -> None:
        """Let events be settled, and put into the outbox what has to go out because of them: both or neither."""
        with self._database.writing() as conn:
            outbox.put(conn, messages)
            for some in codec.chunks(event_ids, _AT_ONCE):
                conn.execute(delete(OPEN_EVENTS).where(OPEN_EVENTS.c.event_id.in_(some)))

    def of_contact(self, contact_id: str, limit: int) -> list[EventRecord]:
        """A contact's events, newest first."""
        row = EVENTS.c
        newest = select(EVENTS).where(row.contact_id == contact_id).order_by(row.occurred_at.desc(), row.event_id.desc()).limit(limit)
        with self._database.reading() as conn:
            return [_event(one) for one in conn.execute(newest)]

    def settled_pages(self, size: int) -> Iterator[list[EventRecord]]:
        """Every settled event of somebody, in the order of the event_ids, at most `size` at a time; each page is its own transaction."""
        row, last = EVENTS.c, ""
        is_open = exists().where(OPEN_EVENTS.c.event_id == row.event_id)
        while True:
            some = select(EVENTS).where(row.event_id > last, ~is_open).order_by(row.event_id).limit(size)
            with self._database.reading() as conn:
                found = [_event(one) for one in conn.execute(some)]
            if not found:
                return
            yield [one for one in found if not one.contact_id.startswith(TOMBSTONE)]
            last = found[-1].event_id


def _record(
    conn: Connection, records: Sequence[EventRecord], before: Mapping[str, Mapping[str, Any]]
) -> list[Literal["accepted", "duplicate"]]:
    rows = [_row(item) for item in records]
    new = _INSERT.insert(conn, rows)
    words: list[Literal["accepted", "duplicate"]] = []
    accepted = []
    for row in rows:
        fresh = row["event_id"] in new
        words.append("accepted" if fresh else "duplicate")
        if fresh:
            new.discard(row["event_id"])
            accepted.append(row)
    _OPEN_NEW.insert(conn, [_open_row(row, before.get(row["contact_id"])) for row in accepted])
    chain.extend(conn, "events", [chain.event_content(row) for row in accepted])
    return words


def _open_row(row: Mapping[str, Any], before: Mapping[str, Any] | None) -> dict[str, Any]:
    stood = codec.to_json(before) if before else None
    return {"event_id": row["event_id"], "received_at": row["received_at"], "before": stood}


def _open(conn: Connection, statement: Select[Any]) -> list[OpenEvent]:
    found = conn.execute(statement).all()
    return [OpenEvent(_event(row), json.loads(row.before) if row.before else {}) for row in found]


def _row(item: EventRecord) -> dict[str, Any]:
    return {
        "event_id": item.event_id,
        "contact_id": item.contact_id,
        "event_type": item.event_type,
        "occurred_at": codec.micros(item.occurred_at),
        "received_at": codec.micros(item.received_at),
        "value": codec.finite(item.value),
        "channel": item.channel,
        "session_id": item.session_id,
        "content_id": item.content_id,
        "anonymous_id": item.anonymous_id,
        "extra": codec.to_json(item.extra) if item.extra else None,
    }


def _event(row: Row[Any]) -> EventRecord:
    return EventRecord(
        event_id=row.event_id,
        contact_id=row.contact_id,
        event_type=row.event_type,
        occurred_at=codec.moment(row.occurred_at),
        received_at=codec.moment(row.received_at),
        value=row.value,
        channel=row.channel,
        session_id=row.session_id,
        content_id=row.content_id,
        anonymous_id=row.anonymous_id,
        extra=json.loads(row.extra) if row.extra else {},
    )


_INSERT = InsertNew(EVENTS)
_OPEN_NEW = InsertNew(OPEN_EVENTS)
_OPEN: Select[Any] = (
    select(EVENTS, OPEN_EVENTS.c.before)
    .join(OPEN_EVENTS, OPEN_EVENTS.c.event_id == EVENTS.c.event_id)
    .order_by(OPEN_EVENTS.c.received_at, EVENTS.c.occurred_at, EVENTS.c.event_id)
)
