"""What was done to the ledger itself, as links of a stream of its own: erasures, removals by age, joined identities, consents."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import Connection, select

from ledger import chain, codec
from ledger.schema import DEEDS

Personal: TypeAlias = tuple[str, Mapping[str, Any]]


def add(
    conn: Connection, deed: str, done_at: datetime, about: Mapping[str, Any], *, of: tuple[str, Mapping[str, Any]] | None = None
) -> None:
    """Keep a deed; the last thing to do in its transaction.

    Parameters
    ----------
    about : mapping
        What was done, without anything personal.
    of : (contact_id, details), optional
        To whom, and what of it is theirs: both go when the contact is erased.
    """
    row = {
        "deed_id": uuid.uuid4().hex,
        "deed": deed,
        "done_at": codec.micros(done_at),
        "about": codec.to_json(about),
        "contact_id": None if of is None else of[0],
        "details": None if of is None else codec.to_json(of[1]),
    }
    conn.execute(DEEDS.insert(), row)
    chain.extend(conn, "deeds", [chain.deed_content(row)])


def of_contact(conn: Connection, contact_id: str) -> list[dict[str, Any]]:
    """A contact's deeds, oldest first, as rows of plain values."""
    found = conn.execute(select(DEEDS).where(DEEDS.c.contact_id == contact_id).order_by(DEEDS.c.done_at, DEEDS.c.deed_id))
    return [dict(zip(row._fields, row, strict=True)) for row in found]
