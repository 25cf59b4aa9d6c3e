"""A business of any size with forty features a contact, for the benchmarks of the feature store."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from features.sources import connect, literal

AS_OF = np.datetime64("2026-01-01T00:00:00", "us")
FEATURES = 40

_ATTRIBUTES = [
    *(f"hash(i, {n}) % 1000000 / 997.0 AS amount_{n}" for n in range(9)),
    *(f"CAST(hash(i, {n}, 1) % 1000 AS INTEGER) AS number_{n}" for n in range(4)),
    "['warszawa', 'kraków', 'gdańsk', NULL][CAST(1 + hash(i, 2) % 4 AS INTEGER)] AS city",
    "['gold', 'silver', 'none'][CAST(1 + hash(i, 3) % 3 AS INTEGER)] AS tier",
    "hash(i, 4) % 3 = 0 AS subscribed",
    "DATE '1950-01-01' + CAST(hash(i, 5) % 20000 AS INTEGER) AS born",
]


def write_world(folder: Path, *, contacts: int, events: int) -> None:
    """Write ``data/contacts.parquet`` and ``data/events.parquet`` of a workspace; events in the two years before `AS_OF`."""
    data = folder / "data"
    data.mkdir(parents=True)
    with connect(folder) as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(
            f"""COPY (SELECT 'contact-' || i AS contact_id, {", ".join(_ATTRIBUTES)} FROM range({contacts}) t(i))
            TO {literal(str(data / "contacts.parquet"))} (FORMAT parquet)"""
        )
        connection.execute(
            f"""COPY (SELECT 'contact-' || hash(i, 7) % {contacts} AS contact_id,
                ['view', 'search', 'cart', 'login', 'call'][CAST(1 + hash(i, 8) % 5 AS INTEGER)] AS event_type,
                TIMESTAMP {literal(str(AS_OF))} - to_microseconds(CAST(hash(i, 9) % 63072000000000 AS BIGINT)) AS occurred_at,
                ['web', 'app'][CAST(1 + hash(i, 10) % 2 AS INTEGER)] AS channel
                FROM range({events}) t(i))
            TO {literal(str(data / "events.parquet"))} (FORMAT parquet)"""
        )
