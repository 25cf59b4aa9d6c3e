"""The newest status per contact and purpose. Absence is never consent: what is not here was not granted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

import numpy as np
from sqlalchemy import Connection, bindparam, case, func, or_, select

from decisioning.vocabulary import Columns
from ledger import codec, deeds
from ledger.history_queries import current_generation
from ledger.prepared import Prepared
from ledger.schema import HISTORY_CONSENTS

_READ_CONTACTS = 1_000  # contacts in one IN list
_ROWS_HELD = 10_000
_EVER = 2**63 - 1
_TOLD = 2**62  # the generation of what contacts told us ourselves: no ingest replaces it


@dataclass(frozen=True)
class ConsentChange:
    """What a contact said about a purpose; times are aware UTC."""

    contact_id: str
    purpose: str
    status: Literal["granted", "denied", "revoked"]
    changed_at: datetime
    source: str | None = None


def put(conn: Connection, change: ConsentChange, now: datetime) -> None:
    """Keep a change, and the evidence of it in the chain."""
    row = {"generation": _TOLD, "contact_id": change.contact_id, "purpose": change.purpose}
    conn.execute(HISTORY_CONSENTS.insert(), {**row, "granted": change.status == "granted", "changed_at": codec.micros(change.changed_at)})
    deeds.add(conn, "consent", now, {}, of=(change.contact_id, asdict(change)))


def told(conn: Connection, now: datetime, after: int, limit: int) -> list[tuple[int, ConsentChange]]:
    """What contacts told us themselves that holds from `now` or earlier, in the order in which it came, with its number."""
    row = HISTORY_CONSENTS.c
    here = (row.generation == _TOLD, row.id > after, row.changed_at <= codec.micros(now))
    rows = conn.execute(select(HISTORY_CONSENTS).where(*here).order_by(row.id).limit(limit))
    return [(one.id, ConsentChange(one.contact_id, one.purpose, _status(one.granted), codec.moment(one.changed_at))) for one in rows]


def _status(granted: bool) -> Literal["granted", "revoked"]:
    return "granted" if granted else "revoked"


def newest(conn: Connection, contact_ids: Sequence[str] | None, *, now: datetime | None) -> Columns:
    """contact_id, purpose (strings), granted (0/1), changed_at (timestamp): one row a contact and purpose.

    Of two statuses at the same moment the refusal holds. Changes after `now` do not count yet.
    """
    rows = newest_rows(conn, contact_ids, now=now)
    contact, purpose, granted, changed_at = list(zip(*rows, strict=True)) or [()] * 4
    return {
        "contact_id": codec.text_column(contact),
        "purpose": codec.text_column(purpose),
        "granted": np.array(granted, dtype=np.float64),
        "changed_at": codec.time_column(changed_at),
    }


def newest_rows(conn: Connection, contact_ids: Sequence[str] | None, *, now: datetime | None) -> list[Any]:
    """The same as rows: (contact_id, purpose, granted, changed_at in microseconds)."""
    span = {"now": _EVER if now is None else codec.micros(now)}
    rows: list[Any] = []
    if contact_ids is None:
        rows += _OF_ALL.rows(conn, span)
    else:
        for chunk in codec.chunks(dict.fromkeys(contact_ids), _READ_CONTACTS):
            rows += _OF.rows(conn, {**span, "contacts": chunk})
    return rows


def granted_purposes(conn: Connection, contact_ids: Sequence[str], *, now: datetime) -> dict[str, frozenset[str]]:
    """contact_id -> the purposes that stand granted, by the rules of `newest`; for few contacts faster than ranking rows in SQL."""
    last: dict[tuple[str, str], tuple[int, bool]] = {}
    for chunk in codec.chunks(dict.fromkeys(contact_ids), _READ_CONTACTS):
        for contact_id, purpose, granted, changed_at in _TOLD_OF.rows(conn, {"now": codec.micros(now), "contacts": chunk}):
            status = (changed_at, not granted)
            if status >= last.get((contact_id, purpose), status):
                last[contact_id, purpose] = status
    found: defaultdict[str, set[str]] = defaultdict(set)
    for (contact_id, purpose), (_, refused) in last.items():
        if not refused:
            found[contact_id].add(purpose)
    return {contact_id: frozenset(purposes) for contact_id, purposes in found.items()}


def _that_count() -> tuple[Any, ...]:
    """The conditions of the changes that count by the moment `now`."""
    row = HISTORY_CONSENTS.c
    return or_(row.generation == current_generation(), row.generation == _TOLD), row.changed_at <= bindparam("now")


def _of_some() -> Any:
    row = HISTORY_CONSENTS.c
    columns = (row.contact_id, row.purpose, row.granted, row.changed_at)
    return select(*columns).where(*_that_count(), row.contact_id.in_(bindparam("contacts", expanding=True)))


class ConsentRows(NamedTuple):
    """Some of the newest statuses, a list each."""

    contact_id: Sequence[str]
    purpose: Sequence[str]
    granted: Sequence[bool]


def of_everyone(conn: Connection) -> Iterator[ConsentRows]:
    """The newest status of each contact and purpose, as it comes from the database: nothing is held but some rows."""
    for rows in _NEWEST_OF_ALL.pages(conn, _ROWS_HELD):
        contacts, purposes, newest = zip(*rows, strict=True)
        yield ConsentRows(contacts, purposes, [one % 2 == 0 for one in newest])


def _statement(*, everyone: bool) -> Any:
    row = HISTORY_CONSENTS.c
    order = (row.changed_at.desc(), row.granted)
    place = func.row_number().over(partition_by=(row.contact_id, row.purpose), order_by=order).label("place")
    ranked = select(row.contact_id, row.purpose, row.granted, row.changed_at, place).where(*_that_count())
    if not everyone:
        ranked = ranked.where(row.contact_id.in_(bindparam("contacts", expanding=True)))
    last = ranked.subquery()
    columns = (last.c.contact_id, last.c.purpose, last.c.granted, last.c.changed_at)
    return select(*columns).where(last.c.place == 1).order_by(last.c.contact_id, last.c.purpose)


def _newest_of_all() -> Any:
    """Without ranking and sorting: of a contact and purpose the last moment counts, of one moment the refusal, which is the odd number."""
    row = HISTORY_CONSENTS.c
    newest = func.max(row.changed_at * 2 + case((row.granted, 0), else_=1))
    found = select(row.contact_id, row.purpose, newest).where(or_(row.generation == current_generation(), row.generation == _TOLD))
    return found.group_by(row.contact_id, row.purpose)


# Built once: composing a statement costs more than running it.
_OF_ALL, _OF, _TOLD_OF = Prepared(_statement(everyone=True)), Prepared(_statement(everyone=False)), Prepared(_of_some())
_NEWEST_OF_ALL = Prepared(_newest_of_all())
