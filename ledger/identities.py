"""An anonymous visitor becomes a contact: from then on what was theirs is the contact's, decisions, touches, caps and outcomes.

Rows get the contact's id; the chain remembers the id under which they were written. A visitor is joined once: to the same contact again
changes nothing, to another is refused, and so is whatever would go round in a circle.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Connection, Table, delete, select, update

from decisioning.errors import Conflict, RequestError
from decisioning.vocabulary import Columns
from ledger import answers, codec, deeds
from ledger.schema import (
    DECISIONS,
    DEEDS,
    EVENTS,
    HISTORY_CONSENTS,
    HISTORY_MEMBERS,
    HISTORY_OUTCOMES,
    HISTORY_TOUCHES,
    IDENTITIES,
    LEADS,
    OUTCOMES,
    SELECTIONS,
    SUPPRESSIONS,
    TRIGGER_ENTRIES,
    WEBHOOK_MESSAGES,
)

_OWN = (
    *(SUPPRESSIONS, HISTORY_TOUCHES, HISTORY_OUTCOMES, HISTORY_CONSENTS, HISTORY_MEMBERS),
    *(DEEDS, EVENTS, LEADS, WEBHOOK_MESSAGES),
)
_READ = 1_000


@dataclass(frozen=True)
class Joined:
    """What joining did: rows that are the contact's from now on; `again` where nothing was left to do."""

    contact_id: str
    anonymous_id: str
    decisions: int
    outcomes: int
    again: bool


def join(conn: Connection, anonymous_id: str, contact_id: str, now: datetime) -> Joined:
    """Join a visitor to a contact.

    Raises
    ------
    RequestError
        Both ids are the same.
    Conflict
        The visitor was joined to another contact; the contact is itself a visitor who was joined; or the visitor is a contact to whom
        others were joined.
    """
    if anonymous_id == contact_id:
        raise RequestError("a visitor cannot be joined to itself", field="anonymous_id", got=anonymous_id)
    known = resolve(conn, [anonymous_id, contact_id])
    if known.get(anonymous_id) == contact_id:
        return Joined(contact_id, anonymous_id, *_move_all(conn, anonymous_id, contact_id), again=True)
    if anonymous_id in known:
        raise Conflict(
            "this visitor was joined to another contact", field="anonymous_id", got=anonymous_id, hint="a visitor becomes one contact, once"
        )
    if contact_id in known:
        raise Conflict(
            "this contact is a visitor who was joined to a contact", field="contact_id", got=contact_id, hint="name that contact"
        )
    if conn.execute(select(IDENTITIES.c.contact_id).where(IDENTITIES.c.contact_id == anonymous_id).limit(1)).first() is not None:
        raise Conflict("other visitors were joined to this one: it is a contact", field="anonymous_id", got=anonymous_id)
    conn.execute(IDENTITIES.insert(), {"anonymous_id": anonymous_id, "contact_id": contact_id, "joined_at": codec.micros(now)})
    decisions, outcomes = _move_all(conn, anonymous_id, contact_id)
    about = {"decisions": decisions, "outcomes": outcomes}
    deeds.add(conn, "identity", now, about, of=(contact_id, {"anonymous_id": anonymous_id, "contact_id": contact_id}))
    return Joined(contact_id, anonymous_id, decisions, outcomes, again=False)


def resolve(conn: Connection, ids: Collection[str]) -> dict[str, str]:
    """The contact of each of `ids` that is a joined visitor; the others are left out."""
    found: dict[str, str] = {}
    row = IDENTITIES.c
    if len(ids) > _READ:  # more than one question: few visitors are joined, so all of them are read
        names = everyone(conn)
        return {one: names[one] for one in ids if one in names}
    for some in codec.chunks(dict.fromkeys(ids), _READ):
        found.update((one, of) for one, of in conn.execute(select(row.anonymous_id, row.contact_id).where(row.anonymous_id.in_(some))))
    return found


def anybody(conn: Connection) -> bool:
    """Whether any visitor ever became a contact."""
    return conn.execute(select(IDENTITIES.c.contact_id).limit(1)).first() is not None


def everyone(conn: Connection) -> dict[str, str]:
    """Every joined visitor, and who it is."""
    row = IDENTITIES.c
    return {one.anonymous_id: one.contact_id for one in conn.execute(select(row.anonymous_id, row.contact_id))}


def renamed(columns: Columns, names: dict[str, str]) -> Columns:
    """The columns with each contact_id that stands in `names` replaced."""
    if not names or "contact_id" not in columns:
        return columns
    ids: Sequence[str | None] = columns["contact_id"].tolist()
    new = np.empty(len(ids), dtype=object)
    new[:] = [one if one is None else names.get(one, one) for one in ids]
    return {**columns, "contact_id": new}


def _move_all(conn: Connection, anonymous_id: str, contact_id: str) -> tuple[int, int]:
    """Give everything of the visitor to the contact, also what came after they were joined; returns decisions and outcomes."""
    conn.execute(delete(TRIGGER_ENTRIES).where(TRIGGER_ENTRIES.c.contact_id == anonymous_id))  # the contact is looked at for itself
    answers.hold(conn, SELECTIONS.c.contact_id == anonymous_id)
    for table in (SELECTIONS, *_OWN):
        _move(conn, table, anonymous_id, contact_id)
    return _move(conn, DECISIONS, anonymous_id, contact_id), _move(conn, OUTCOMES, anonymous_id, contact_id)


def _move(conn: Connection, table: Table, anonymous_id: str, contact_id: str) -> int:
    return conn.execute(update(table).where(table.c.contact_id == anonymous_id).values(contact_id=contact_id)).rowcount
