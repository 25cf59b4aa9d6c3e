"""The whole log, some rows at a time, in the order of their ids: for exports that need not fit in memory."""

from __future__ import annotations

from sqlalchemy import Connection, select

from ledger.decisions import by_id
from ledger.outcomes import OutcomeRecord, by_event
from ledger.records import DecisionRecord
from ledger.schema import DECISIONS, OUTCOMES


def decisions(conn: Connection, after: str, limit: int) -> list[DecisionRecord]:
    """The next decisions whose ids come after `after`, in the order of their ids."""
    key = DECISIONS.c.decision_id
    ids = list(conn.execute(select(key).where(key > after).order_by(key).limit(limit)).scalars())
    found = by_id(conn, ids)
    return [found[one] for one in ids]


def outcomes(conn: Connection, after: str, limit: int) -> list[OutcomeRecord]:
    """The next outcomes whose event_ids come after `after`, in their order."""
    key = OUTCOMES.c.event_id
    return by_event(conn, list(conn.execute(select(key).where(key > after).order_by(key).limit(limit)).scalars()))
