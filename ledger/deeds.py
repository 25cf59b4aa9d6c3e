"""What was done to the ledger itself, as links of a stream of its own: erasures, removals by age, joined identities, consents, leads."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Connection, select

from ledger import chain, codec
from ledger.schema import DEEDS

Personal: TypeAlias = tuple[str, Mapping[str, Any]]


class Deed(NamedTuple):
    """A deed to keep.

    about : what was done, without anything personal
    of : (contact_id, details): to whom, and what of it is theirs; both go when the contact is erased
    """

    deed: str
    done_at: datetime
    about: Mapping[str, Any]
    of: Personal | None = None


def add(conn: Connection, deed: str, done_at: datetime, about: Mapping[str, Any], *, of: Personal | None = None) -> None:
    """Keep a deed (`Deed`); the last thing to do in its transaction."""
    add_all(conn, [Deed(deed, done_at, about, of)])


def add_all(conn: Connection, done: Sequence[Deed]) -> None:
    """Keep deeds, in their order; the last thing to do in their transaction."""
    rows = [
        {
            "deed_id": uuid.uuid4().hex,
            "deed": one.deed,
            "done_at": codec.micros(one.done_at),
            "about": codec.to_json(one.about),
            "contact_id": None if one.of is None else one.of[0],
            "details": None if one.of is None else codec.to_json(one.of[1]),
        }
        for one in done
    ]
    if rows:
        conn.execute(DEEDS.insert(), rows)
        chain.extend(conn, "deeds", [chain.deed_content(row) for row in rows])


def of_contact(conn: Connection, contact_id: str) -> list[dict[str, Any]]:
    """A contact's deeds, oldest first, as rows of plain values."""
    found = conn.execute(select(DEEDS).where(DEEDS.c.contact_id == contact_id).order_by(DEEDS.c.done_at, DEEDS.c.deed_id))
    return [dict(zip(row._fields, row, strict=True)) for row in found]
