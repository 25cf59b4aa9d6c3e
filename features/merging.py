"""Events that came in otherwise than by an ingest, put beside the ingested ones: once each, told by their event_id.

A source may tell the same events, with ids of its own or with none. An event is left out where an ingested one has its event_id, or has
none and is of the same contact, type and time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from features.forgetting import locked, onto_disk
from features.ingest_write import iso
from features.sources import connect, literal

EVENT_SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("contact_id", pa.string()),
        ("event_type", pa.string()),
        ("occurred_at", pa.timestamp("us")),
        *((name, pa.string()) for name in ("channel", "session_id", "content_id", "anonymous_id")),
        ("value", pa.float64()),
    ]
)
"""The columns of events that are merged; times are UTC."""

Rows = Iterable[pa.Table]


def merge_events(workspace_dir: Path, events: Rows) -> int:
    """Put events beside the ingested ones in ``data/events.parquet``; returns how many were not there yet.

    Parameters
    ----------
    events : iterable of pyarrow.Table
        With the columns of `EVENT_SCHEMA`.

    Raises
    ------
    Conflict
        An ingest is running.
    """
    data = workspace_dir / "data"
    manifest = data / "manifest.json"
    if not manifest.exists():
        return 0
    with locked(data / ".ingest.lock", "an ingest of this workspace is running"):
        made = data / f".events.{os.getpid()}.parquet"
        try:
            new = write_merged(data / "events.parquet", events, made)
            if new:
                _publish(made, data / "events.parquet", manifest)
        finally:
            made.unlink(missing_ok=True)
    return new


def write_merged(ingested: Path, events: Rows, into: Path) -> int:
    """Write the ingested events and those beside them that they do not have; returns how many those are. `ingested` may be missing."""
    beside = into.with_name(f"{into.name}.beside")
    try:
        with pq.ParquetWriter(beside, EVENT_SCHEMA) as writer:
            for table in events:
                writer.write_table(table)
        with connect(into.parent) as connection:
            return _merged(connection, ingested, beside, into)
    finally:
        beside.unlink(missing_ok=True)


def _merged(connection: duckdb.DuckDBPyConnection, ingested: Path, beside: Path, into: Path) -> int:
    connection.execute(f"CREATE VIEW beside AS SELECT * FROM read_parquet({literal(str(beside))})")
    if ingested.exists():
        connection.execute(f"CREATE VIEW ingested AS SELECT * FROM read_parquet({literal(str(ingested))})")
    else:
        connection.execute("CREATE VIEW ingested AS SELECT * FROM beside WHERE false")
    has_ids = "event_id" in {row[0] for row in connection.execute("DESCRIBE ingested").fetchall()}
    event_id = "i.event_id" if has_ids else "NULL"
    connection.execute(
        f"""CREATE TEMP TABLE new AS SELECT b.* FROM beside b
        WHERE NOT EXISTS (SELECT 1 FROM ingested i WHERE {event_id} = b.event_id)
        AND NOT EXISTS (SELECT 1 FROM ingested i WHERE {event_id} IS NULL AND i.contact_id = b.contact_id
            AND i.event_type = b.event_type AND i.occurred_at = b.occurred_at)"""
    )
    [(new,)] = connection.execute("SELECT count(*) FROM new").fetchall()
    order = "occurred_at, length(contact_id), contact_id, event_type, event_id"
    connection.execute(
        f"""COPY (SELECT * FROM (SELECT * FROM ingested UNION ALL BY NAME SELECT * FROM new) ORDER BY {order})
        TO {literal(str(into))} (FORMAT parquet, COMPRESSION zstd)"""
    )
    return int(new)


def _publish(made: Path, events: Path, manifest: Path) -> None:
    onto_disk(made)
    os.replace(made, events)
    _write_manifest(manifest, events)


def _write_manifest(path: Path, events: Path) -> None:
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    with connect(path.parent) as connection:
        [(rows, last)] = connection.execute(f"SELECT count(*), max(occurred_at) FROM read_parquet({literal(str(events))})").fetchall()
    with events.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    manifest["tables"]["events"] = {**manifest["tables"].get("events", {}), "rows": int(rows), "sha256": digest}
    manifest["newest_at"] = _newest(manifest, last)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    os.replace(unfinished, path)


def _newest(manifest: Mapping[str, Any], last: datetime | None) -> str | None:
    """The newest time of all tables; data without times stays without."""
    known = manifest.get("newest_at")
    if known is None or last is None:
        return None if known is None else str(known)
    return iso(max(datetime.fromisoformat(str(known).replace("Z", "+00:00")), last.replace(tzinfo=UTC)))
