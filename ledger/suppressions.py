"""What is switched off for a contact until a date: an action, a channel, or everything."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, delete, insert

from ledger import codec
from ledger.schema import SUPPRESSIONS


@dataclass(frozen=True)
class SuppressionRecord:
    """An action, a channel, both together, or where both are None everything, switched off until an aware UTC time, exclusive."""

    contact_id: str
    until: datetime
    set_at: datetime
    action_id: str | None = None
    channel: str | None = None
    reason: str | None = None


def put(conn: Connection, item: SuppressionRecord) -> None:
    """Switch off; an earlier suppression of the same contact, action and channel is replaced, so that an end in the past lifts it."""
    row = SUPPRESSIONS.c
    conn.execute(
        delete(SUPPRESSIONS).where(
            and_(
                row.contact_id == item.contact_id,
                row.action_id.is_not_distinct_from(item.action_id),
                row.channel.is_not_distinct_from(item.channel),
            )
        )
    )
    conn.execute(
        insert(SUPPRESSIONS),
        {
            "contact_id": item.contact_id,
            "action_id": item.action_id,
            "channel": item.channel,
            "until": codec.micros(item.until),
            "reason": item.reason,
            "set_at": codec.micros(item.set_at),
        },
    )
