"""Everything that the ledger holds about a contact (RODO/GDPR article 15), as rows of plain values with times as ISO text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Connection, Table, select

from ledger import codec, erasure
from ledger.history_queries import current_generation
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

_TABLES: Mapping[str, Table] = {
    "decisions": DECISIONS,
    "selections": SELECTIONS,
    "outcomes": OUTCOMES,
    "events": EVENTS,
    "webhook_messages": WEBHOOK_MESSAGES,
    "trigger_entries": TRIGGER_ENTRIES,
    "suppressions": SUPPRESSIONS,
    "identities": IDENTITIES,
    "deeds": DEEDS,
    "leads": LEADS,
    "ingested_touches": HISTORY_TOUCHES,
    "ingested_outcomes": HISTORY_OUTCOMES,
    "consents": HISTORY_CONSENTS,
    "accounts": HISTORY_MEMBERS,
}
_TIMES = (
    *("decided_at", "occurred_at", "received_at", "reserved_until", "until", "set_at"),
    *("done_at", "joined_at", "changed_at", "created_at", "due_at", "settled_at", "entered_at", "at"),
    *("handed_over_at", "accepted_at", "contacted_at", "rejected_at", "won_at", "lost_at", "accept_by", "contact_by"),
)
_JSON = ("trace", "about", "details", "extra", "body", "features")
_OF_THE_LEDGER = ("id", "generation", "leased_until", "answered")


def held(conn: Connection, contact_id: str) -> dict[str, list[dict[str, Any]]]:
    """Rows by table, oldest first; a table without any is left out."""
    ids = erasure.identities_of(conn, contact_id)
    found = {name: _rows(conn, table, ids) for name, table in _TABLES.items()}
    return {name: rows for name, rows in found.items() if rows}


def _rows(conn: Connection, table: Table, ids: list[str]) -> list[dict[str, Any]]:
    these = select(table).where(table.c.contact_id.in_(ids))
    if "generation" in table.c:
        these = these.where(table.c.generation >= current_generation())
    order: list[Column[Any]] = [table.c[name] for name in _TIMES if name in table.c][:1] + list(table.primary_key.columns)
    rows = conn.execute(these.order_by(*order))
    return [{name: _plain(name, value) for name, value in zip(row._fields, row, strict=True) if name not in _OF_THE_LEDGER} for row in rows]


def _plain(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _TIMES:
        return codec.moment(value).isoformat().replace("+00:00", "Z")
    return json.loads(value) if name in _JSON else value
