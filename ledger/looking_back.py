"""The newest decisions and what came after them: what policies are judged on."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Connection, Row, Select, bindparam, select

from ledger import codec
from ledger.outcomes import OutcomeRecord
from ledger.schema import DECISIONS, OUTCOMES, PRICES

_FIELDS = tuple(field.name for field in fields(OutcomeRecord))
_CHUNK = 5_000  # ids in one IN list: below the parameter limits of both databases


def newest_between(conn: Connection, since: datetime, until: datetime, limit: int) -> list[str]:
    """The ids of the newest decisions with ``since <= decided_at < until``, newest first."""
    values = {"since": codec.micros(since), "until": codec.micros(until), "limit": limit}
    return list(conn.execute(_NEWEST, values).scalars())


def outcomes_between(conn: Connection, contact_ids: Collection[str], since: datetime, until: datetime) -> list[OutcomeRecord]:
    """What happened to these contacts with ``since <= occurred_at < until``, oldest first for each contact."""
    values = {"since": codec.micros(since), "until": codec.micros(until)}
    chunks = codec.chunks(sorted(contact_ids), _CHUNK)
    return [_outcome(row) for chunk in chunks for row in conn.execute(_OUTCOMES, {**values, "ids": chunk})]


def book_of(conn: Connection, plan_id: str) -> dict[str, Any] | None:
    """The price book that a plan published, None where it published none."""
    books = (json.loads(book) for book in conn.execute(_BOOKS).scalars())
    return next((dict(book) for book in books if book.get("id") == plan_id), None)


def _outcome(row: Row[Any]) -> OutcomeRecord:
    kept = {name: getattr(row, name) for name in _FIELDS}
    return OutcomeRecord(**kept | {name: codec.moment(kept[name]) for name in ("occurred_at", "received_at")})


# Built once: composing a statement costs more than running it.
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_NEWEST: Select[Any] = (
    select(DECISIONS.c.decision_id)
    .where(DECISIONS.c.decided_at >= bindparam("since"), DECISIONS.c.decided_at < bindparam("until"))
    .order_by(DECISIONS.c.decided_at.desc(), DECISIONS.c.decision_id.desc())
    .limit(bindparam("limit"))
)
_OUTCOMES: Select[Any] = (
    select(OUTCOMES)
    .where(OUTCOMES.c.contact_id.in_(_IDS), OUTCOMES.c.occurred_at >= bindparam("since"), OUTCOMES.c.occurred_at < bindparam("until"))
    .order_by(OUTCOMES.c.contact_id, OUTCOMES.c.occurred_at, OUTCOMES.c.event_id)
)
_BOOKS: Select[Any] = select(PRICES.c.book).order_by(PRICES.c.id.desc())
