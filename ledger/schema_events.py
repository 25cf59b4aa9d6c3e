"""The tables of contact events, of what is looked at by time, and of what goes out because of both."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, String, Table, Text

from ledger.schema_base import METADATA, SERIAL

EVENTS = Table(
    "events",
    METADATA,
    Column("event_id", String, primary_key=True),
    Column("contact_id", String, nullable=False),
    Column("event_type", String, nullable=False),
    Column("occurred_at", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("value", Float),
    Column("channel", String),
    Column("session_id", String),
    Column("content_id", String),
    Column("anonymous_id", String),
    Column("extra", Text),
    Index("events_of_contact", "contact_id", "occurred_at"),
)
"""What contacts did, as it was acknowledged; append-only and in the chain. `extra` is JSON of what else came along."""

OPEN_EVENTS = Table(
    "open_events",
    METADATA,
    Column("event_id", String, primary_key=True),
    Column("received_at", BigInteger, nullable=False),
    Column("before", Text),
    Index("open_events_by_age", "received_at"),
)
"""Events that are kept and not yet settled: not in the online features, or their triggers not decided. `before` is JSON of how the contact
stood just before, for triggers that ask what an event changed."""

WEBHOOK_MESSAGES = Table(
    "webhook_messages",
    METADATA,
    Column("id", SERIAL, primary_key=True),
    Column("message_id", String, nullable=False, unique=True),
    Column("contact_id", String, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("leased_until", BigInteger, nullable=False),
    Column("settled_at", BigInteger),
    Column("problem", Text),
    Index("webhook_messages_by_state", "state", "due_at"),
    Index("webhook_messages_of_contact", "contact_id", "id"),
)
"""What has to go out: `state` is waiting, delivered or dead. A contact's messages go in the order of their ids."""

TRIGGER_LOOKS = Table(
    "trigger_looks",
    METADATA,
    Column("trigger_id", String, primary_key=True),
    Column("asks", String, nullable=False),
    Column("looked_at", BigInteger),
    Column("began_at", BigInteger, nullable=False),
    Column("leased_until", BigInteger, nullable=False),
)
"""When each trigger that is looked at by time was last looked at, to the end; `asks` tells what it asked then. Null: never to the
end. `began_at` names the look that is under way until `leased_until`."""

TRIGGER_ENTRIES = Table(
    "trigger_entries",
    METADATA,
    Column("trigger_id", String, primary_key=True),
    Column("contact_id", String, primary_key=True),
    Column("entered_at", BigInteger, nullable=False),
    Column("is_open", Integer, nullable=False),
    Column("features", Text),
    Index("trigger_entries_of_contact", "contact_id"),
    Index("trigger_entries_by_state", "is_open", "entered_at"),
)
"""Who is inside a trigger's condition, since which look; open (1) where that is not decided yet. `features`: JSON of what it read then."""
