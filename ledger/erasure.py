"""A contact is erased (RODO/GDPR article 17): nothing here leads to the person any more, and every sum and every chain stays.

Identity becomes a tombstone; features, requests and traces go, and so do the salts, without which the digests that stay in the chain say
nothing. What is kept is what happened at which time to nobody: treatments, probabilities, money, outcomes. Who was erased is remembered
as a salted digest alone, so that the next ingest of the same sources does not bring them back.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, delete, or_, select, update

from decisioning.vocabulary import Columns
from ledger import answers, codec, deeds
from ledger.schema import (
    CHAIN_ENTRIES,
    DECISIONS,
    DEEDS,
    ERASURES,
    EVENTS,
    HISTORY_CONSENTS,
    HISTORY_MEMBERS,
    HISTORY_OUTCOMES,
    HISTORY_TOUCHES,
    IDENTITIES,
    LEADS,
    OPEN_EVENTS,
    OUTCOMES,
    REQUEST_CLAIMS,
    SELECTIONS,
    SUPPRESSIONS,
    TRIGGER_ENTRIES,
    WEBHOOK_MESSAGES,
)
from ledger.verify import TOMBSTONE

ERASED_TRACE = '{"erased":true}'
"""What stands in the place of an erased contact's trace."""

_REMOVED = (SUPPRESSIONS, HISTORY_TOUCHES, HISTORY_OUTCOMES, HISTORY_CONSENTS, HISTORY_MEMBERS, WEBHOOK_MESSAGES, TRIGGER_ENTRIES)


@dataclass(frozen=True)
class Erased:
    """What an erasure did.

    Attributes
    ----------
    ids : tuple of str
        The contact's id, and the anonymous ids that were joined to it.
    tombstone : str
        What stands in their place.
    counts : mapping of str to int
        Rows without a person from now on (decisions, outcomes, events, deeds, leads), and removed rows by table.
    """

    ids: tuple[str, ...]
    tombstone: str
    counts: dict[str, int]


def erase(conn: Connection, contact_id: str, now: datetime) -> Erased:
    """Erase a contact and the visitors that were joined to it, whichever is named. Doing it again erases what has come since."""
    if conn.dialect.name == "sqlite":
        conn.exec_driver_sql("PRAGMA secure_delete = ON")  # what is deleted is overwritten in the file, too
    ids = identities_of(conn, contact_id)
    tombstone = _tombstone(conn, ids, now)
    counts = {
        "decisions": _blank_decisions(conn, ids, tombstone),
        "outcomes": _blank_named(conn, OUTCOMES, ids, {"contact_id": tombstone}),
        "events": _blank_events(conn, ids, tombstone),
        "deeds": _blank(conn, DEEDS, ids, {"contact_id": tombstone, "details": None}),
        "leads": _blank(conn, LEADS, ids, {"contact_id": tombstone, "reason": None, "details": None}),
    }
    _forget_salts(conn, tombstone)
    removed = {table.name: _remove(conn, table, ids) for table in _REMOVED}
    conn.execute(delete(IDENTITIES).where(or_(IDENTITIES.c.contact_id.in_(ids), IDENTITIES.c.anonymous_id.in_(ids))))
    deeds.add(conn, "erasure", now, {"tombstone": tombstone, **counts})
    return Erased(tuple(ids), tombstone, counts | removed)


def identities_of(conn: Connection, contact_id: str) -> list[str]:
    """The contact's id, and the anonymous ids that were joined to it; of a joined visitor, those of the contact that it became."""
    row = IDENTITIES.c
    who = conn.execute(select(row.contact_id).where(row.anonymous_id == contact_id)).scalar_one_or_none() or contact_id
    return [who, *conn.execute(select(row.anonymous_id).where(row.contact_id == who).order_by(row.anonymous_id)).scalars()]


def erased_among(conn: Connection, contact_ids: Iterable[str]) -> dict[str, str]:
    """Those of `contact_ids` who were erased, and their tombstones."""
    tombstones = {bytes(row.digest): row.tombstone for row in conn.execute(select(ERASURES))}
    if not tombstones:
        return {}
    salt = _salt(conn)
    found = ((contact_id, tombstones.get(_digest(salt, contact_id))) for contact_id in contact_ids)
    return {contact_id: tombstone for contact_id, tombstone in found if tombstone is not None}


def without_erased(conn: Connection, columns: Columns) -> Columns:
    """The rows of contacts who were not erased."""
    if "contact_id" not in columns:
        return columns
    gone = erased_among(conn, {one for one in columns["contact_id"].tolist() if one is not None})
    if not gone:
        return columns
    keep = np.array([one not in gone for one in columns["contact_id"].tolist()], dtype=np.bool_)
    return {name: column[keep] for name, column in columns.items()}


def _tombstone(conn: Connection, ids: Sequence[str], now: datetime) -> str:
    """The tombstone of these ids; one that was erased before keeps its own."""
    known = erased_among(conn, ids)
    tombstone = known.get(ids[0]) or f"{TOMBSTONE}{uuid.uuid4().hex}"
    salt = _salt(conn)
    same = {"salt": salt, "tombstone": tombstone, "erased_at": codec.micros(now)}
    new = [{"digest": _digest(salt, one), **same} for one in ids if one not in known]
    if new:
        conn.execute(ERASURES.insert(), new)
    return tombstone


def _salt(conn: Connection) -> bytes:
    """The ledger's salt of erasures, drawn with the first of them."""
    kept = conn.execute(select(ERASURES.c.salt).limit(1)).scalar_one_or_none()
    return os.urandom(32) if kept is None else bytes(kept)


def _digest(salt: bytes, contact_id: str) -> bytes:
    return sha256(salt + contact_id.encode("utf-8", "surrogatepass")).digest()


def _blank_decisions(conn: Connection, ids: Collection[str], tombstone: str) -> int:
    mine = select(DECISIONS.c.decision_id).where(DECISIONS.c.contact_id.in_(ids))
    conn.execute(delete(REQUEST_CLAIMS).where(REQUEST_CLAIMS.c.decision_id.in_(mine)))
    answers.hold(conn, SELECTIONS.c.contact_id.in_(ids))
    _blank(conn, SELECTIONS, ids, {"contact_id": tombstone, "account_id": None})
    return _blank(conn, DECISIONS, ids, {"contact_id": tombstone, "request_id": None, "trace": ERASED_TRACE})


def _blank_events(conn: Connection, ids: Collection[str], tombstone: str) -> int:
    theirs = select(EVENTS.c.event_id).where(EVENTS.c.contact_id.in_(ids))
    conn.execute(delete(OPEN_EVENTS).where(OPEN_EVENTS.c.event_id.in_(theirs)))
    gone = dict.fromkeys(("session_id", "content_id", "anonymous_id", "extra"))
    return _blank_named(conn, EVENTS, ids, {"contact_id": tombstone, **gone})


def _blank_named(conn: Connection, table: Table, ids: Collection[str], values: dict[str, Any]) -> int:
    """Outcomes or events of nobody; an event_id that spells the contact's id out gets another one."""
    row = table.c
    named = [one for one in conn.execute(select(row.event_id).where(row.contact_id.in_(ids))).scalars() if any(i in one for i in ids)]
    for event_id in named:
        other = f"{TOMBSTONE}{uuid.uuid4().hex}"
        conn.execute(update(table).where(row.event_id == event_id).values(event_id=other))
        entry = CHAIN_ENTRIES.c
        conn.execute(update(CHAIN_ENTRIES).where(entry.key == event_id, entry.stream.like(f"{table.name}/%")).values(key=other))
    return _blank(conn, table, ids, values)


def _blank(conn: Connection, table: Table, ids: Collection[str], values: dict[str, Any]) -> int:
    return conn.execute(update(table).where(table.c.contact_id.in_(ids)).values(**values)).rowcount


def _remove(conn: Connection, table: Table, ids: Collection[str]) -> int:
    return conn.execute(delete(table).where(table.c.contact_id.in_(ids))).rowcount


def _forget_salts(conn: Connection, tombstone: str) -> None:
    entry = CHAIN_ENTRIES.c
    for table, key, kind in (
        (DECISIONS, DECISIONS.c.decision_id, "decisions"),
        (OUTCOMES, OUTCOMES.c.event_id, "outcomes"),
        (EVENTS, EVENTS.c.event_id, "events"),
        (DEEDS, DEEDS.c.deed_id, "deeds"),
    ):
        theirs = select(key).where(table.c.contact_id == tombstone)
        conn.execute(update(CHAIN_ENTRIES).where(entry.stream.like(f"{kind}/%"), entry.key.in_(theirs)).values(salt=None))
