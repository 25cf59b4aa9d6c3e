"""What has to go out to another system: kept until it arrived, in order per contact, each by one sender at a time.

A message is taken for a while (a lease); whoever took it says what became of it. One whose sender was killed is free again when its lease
is over, so a message arrives at least once, always under the same id. A contact's later message waits for the earlier one, until that one
arrived or was given up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, exists, func, select, update

from ledger import codec
from ledger.database import Database, serialise, upsert
from ledger.schema import WEBHOOK_MESSAGES

WAITING, DELIVERED, DEAD = "waiting", "delivered", "dead"


@dataclass(frozen=True)
class Message:
    """Something that has to go out: its id (the receiver tells repeats by it), whom it is about, and its body."""

    message_id: str
    contact_id: str
    body: str
    created_at: datetime


@dataclass(frozen=True)
class Sending:
    """A message as it stands in the outbox; `attempts` have begun so far, `problem` is what the last one met."""

    message: Message
    state: str
    attempts: int
    due_at: datetime
    problem: str | None
    settled_at: datetime | None


def put(conn: Connection, messages: Sequence[Message]) -> None:
    """Put messages into the outbox; one whose id is there already stays as it is."""
    if not messages:
        return
    serialise(conn, {one.contact_id for one in messages})  # numbers are given in the order in which a contact's messages are committed
    insert = upsert(conn.dialect.name, WEBHOOK_MESSAGES).on_conflict_do_nothing(index_elements=[WEBHOOK_MESSAGES.c.message_id])
    for one in messages:
        at = codec.micros(one.created_at)
        row = {"message_id": one.message_id, "contact_id": one.contact_id, "created_at": at, "body": one.body}
        conn.execute(insert, {**row, "state": WAITING, "attempts": 0, "due_at": at, "leased_until": 0})


class Outbox:
    """The verbs of the outbox; each is one transaction and raises `Unavailable` where the database cannot answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, now: datetime, *, lease: timedelta, limit: int) -> list[Sending]:
        """Take messages that are due and lead their contact's queue, oldest first; nobody else gets them before the lease is over."""
        row, earlier = WEBHOOK_MESSAGES.c, WEBHOOK_MESSAGES.alias()
        waits = exists().where(and_(earlier.c.contact_id == row.contact_id, earlier.c.state == WAITING, earlier.c.id < row.id))
        at = codec.micros(now)
        due = select(row.id).where(row.state == WAITING, row.due_at <= at, row.leased_until <= at, ~waits).order_by(row.id).limit(limit)
        with self._database.reading() as conn:  # most looks find nothing, and need not queue as a writer
            if conn.execute(due.limit(1)).first() is None:
                return []
        with self._database.writing() as conn:
            ids = list(conn.execute(due.with_for_update(skip_locked=True)).scalars())
            mine = row.id.in_(ids)
            until = codec.micros(now + lease)
            conn.execute(update(WEBHOOK_MESSAGES).where(mine).values(leased_until=until, attempts=row.attempts + 1))
            return [_sending(one) for one in conn.execute(select(WEBHOOK_MESSAGES).where(mine).order_by(row.id))]

    def delivered(self, message_id: str, now: datetime) -> None:
        """A message arrived."""
        self._set(message_id, state=DELIVERED, settled_at=codec.micros(now), leased_until=0, problem=None)

    def failed(self, message_id: str, problem: str, *, again_at: datetime) -> None:
        """A message did not arrive, and is due again at a time."""
        self._set(message_id, due_at=codec.micros(again_at), leased_until=0, problem=problem)

    def give_up(self, message_id: str, problem: str, now: datetime) -> None:
        """A message is a dead letter: nobody sends it until it is put back, and the contact's next one goes."""
        self._set(message_id, state=DEAD, settled_at=codec.micros(now), leased_until=0, problem=problem)

    def resend(self, now: datetime, message_id: str | None = None) -> int:
        """Put a message, or with None every dead letter, back to be sent, with all its attempts before it; returns how many."""
        row = WEBHOOK_MESSAGES.c
        which = row.state == DEAD if message_id is None else and_(row.message_id == message_id, row.state != WAITING)
        again = {"state": WAITING, "attempts": 0, "due_at": codec.micros(now), "leased_until": 0, "settled_at": None}
        with self._database.writing() as conn:
            return conn.execute(update(WEBHOOK_MESSAGES).where(which).values(**again)).rowcount

    def listed(self, *, state: str | None = None, limit: int = 100) -> list[Sending]:
        """The newest messages, of one state or of all."""
        row = WEBHOOK_MESSAGES.c
        newest = select(WEBHOOK_MESSAGES).order_by(row.id.desc()).limit(limit)
        with self._database.reading() as conn:
            return [_sending(one) for one in conn.execute(newest if state is None else newest.where(row.state == state))]

    def counts(self) -> dict[str, int]:
        """How many messages are waiting, delivered and dead."""
        with self._database.reading() as conn:
            rows = conn.execute(select(WEBHOOK_MESSAGES.c.state, func.count()).group_by(WEBHOOK_MESSAGES.c.state))
            found = {state: int(count) for state, count in rows}
        return {state: found.get(state, 0) for state in (WAITING, DELIVERED, DEAD)}

    def _set(self, message_id: str, **values: Any) -> None:
        with self._database.writing() as conn:
            conn.execute(update(WEBHOOK_MESSAGES).where(WEBHOOK_MESSAGES.c.message_id == message_id).values(**values))


def _sending(row: Row[Any]) -> Sending:
    message = Message(row.message_id, row.contact_id, row.body, codec.moment(row.created_at))
    settled = None if row.settled_at is None else codec.moment(row.settled_at)
    return Sending(message, row.state, row.attempts, codec.moment(row.due_at), row.problem, settled)
