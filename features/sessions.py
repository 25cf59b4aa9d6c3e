"""The visit that a contact is in: its events of one session_id.

The current session is that of the newest event that names one: its events with that session_id within the day until its newest. Of two with
an event at one moment it is the one with more events, then the longer. Half an hour after its newest event a session is over, and there is
none.
"""

from __future__ import annotations

import hashlib

import duckdb

from features.contract import FeatureSpec
from features.shapes import NOTHING, StandardFeatures, WindowFeature, exists
from features.streams import Measure, Stream, Total

MINUTE = 60_000_000
"""Microseconds of a minute."""

OVER_AFTER = 1_800_000_000
"""Microseconds after its newest event for which a session goes on."""

LONGEST = 86_400_000_000
"""Microseconds before its newest event that belong to a session."""

SOURCE = "events.session_id"
NAMED = "session_id <> ''"
"""SQL of an event that names a session."""

_LAST, _EVENTS, _LENGTH = Total("sessions", "last"), Total("sessions", "events"), Total("sessions", "length")
_RULE = "NULL: in no session"

_STREAM = Stream(
    "sessions",
    "contact_id",
    f"""SELECT contact_id, moment, newest.events AS events, newest.length AS length FROM (
        SELECT contact_id, moment, max({{'events': events, 'length': length}}) AS newest FROM (
            SELECT contact_id, moment, count(*) OVER session AS events, epoch_us(moment) - epoch_us(min(moment) OVER session) AS length
            FROM (SELECT contact_id, occurred_at AS moment, session_id FROM events WHERE {NAMED} AND occurred_at IS NOT NULL)
            WINDOW session AS (
                PARTITION BY contact_id, session_id ORDER BY moment RANGE BETWEEN INTERVAL {LONGEST} MICROSECOND PRECEDING AND CURRENT ROW))
        GROUP BY contact_id, moment)""",
    (Measure("last", "last"), Measure("events", "last", value="events"), Measure("length", "last", value="length")),
)


def sessions(connection: duckdb.DuckDBPyConnection) -> StandardFeatures:
    """The current session: how many events, for how long, and for how long nothing happened in it."""
    if not exists(connection, "events", f"{NAMED} AND occurred_at IS NOT NULL"):
        return NOTHING
    since = f"epoch_us(e.as_of) - epoch_us({_LAST.sql})"
    features = (
        _feature("session_events", "count", since, _EVENTS.sql, "Events of the current session"),
        _feature(
            "session_minutes",
            "minutes",
            since,
            f"({since} + {_LENGTH.sql}) / {MINUTE}.0",
            "From the first event of the current session to as_of",
        ),
        _feature(
            "session_idle_minutes", "minutes", since, f"({since}) / {MINUTE}.0", "From the newest event of the current session to as_of"
        ),
    )
    return StandardFeatures(features, (_STREAM,))


def _feature(name: str, unit: str, since: str, sql: str, description: str) -> WindowFeature:
    spec = FeatureSpec(name, "int" if unit == "count" else "float", unit, _RULE, None, SOURCE, description)
    return WindowFeature(spec, f"CASE WHEN {since} <= {OVER_AFTER} THEN {sql} END", (_LAST, _EVENTS, _LENGTH))


def session_code(session_id: str) -> int:
    """The number under which a session is kept online; `SESSION_CODE` is the same in SQL.

    Examples
    --------
    >>> session_code("s-1")
    744513168062904168
    """
    return int(hashlib.md5(session_id.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()[:15], 16)


SESSION_CODE = "CAST('0x' || substr(md5(session_id), 1, 15) AS BIGINT)"
"""SQL of `session_code`."""
