"""Events and consents that came in otherwise than by an ingest, put beside the ingested ones: once each.

A source may tell the same. An event is left out where an ingested one has its event_id, or has none and is of the same contact, type and
time; a consent where an ingested one says the same of the same contact, purpose and time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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

CONSENT_SCHEMA = pa.schema([*((name, pa.string()) for name in ("contact_id", "purpose", "status")), ("changed_at", pa.timestamp("us"))])
"""The columns of consents that are merged; times are UTC."""

Rows = Iterable[pa.Table]


@dataclass(frozen=True)
class Told:
    """A contract table whose rows come in otherwise too.

    Parameters
    ----------
    table : str
    schema : pyarrow.Schema
        The columns of the rows that come in.
    moment : str
        The column with the time.
    same : tuple of str
        The columns that tell a row from another where there is no id.
    identity : str or None
        The column with an id, where the table has one.
    order : str
        The order of the file.
    """

    table: str
    schema: pa.Schema
    moment: str
    same: tuple[str, ...]
    identity: str | None
    order: str

    def known(self, ingested: set[str]) -> str:
        """SQL of the rows of `beside` that are not among those of `ingested`, whose columns these are."""
        has_id = self.identity in ingested
        alike = " AND ".join(f"i.{name} = b.{name}" for name in self.same)
        without = f"i.{self.identity} IS NULL AND " if has_id else ""
        by_id = f"AND NOT EXISTS (SELECT 1 FROM ingested i WHERE i.{self.identity} = b.{self.identity})" if has_id else ""
        return f"SELECT b.* FROM beside b WHERE NOT EXISTS (SELECT 1 FROM ingested i WHERE {without}{alike}) {by_id}"


INGESTED_UNTIL = "ingested_until"
"""In the manifest: the newest time of what was ingested, where what came in since goes on; else `newest_at` is."""

EVENTS = Told(
    "events",
    EVENT_SCHEMA,
    "occurred_at",
    ("contact_id", "event_type", "occurred_at"),
    "event_id",
    "occurred_at, length(contact_id), contact_id, event_type, event_id",
)
CONSENTS = Told(
    "consents",
    CONSENT_SCHEMA,
    "changed_at",
    ("contact_id", "purpose", "status", "changed_at"),
    None,
    "changed_at, length(contact_id), contact_id, purpose, status",
)


def merge_events(workspace_dir: Path, events: Rows) -> int:
    """Put events beside the ingested ones in ``data/events.parquet``: `merge_told`."""
    return merge_told(workspace_dir, EVENTS, events)


def merge_told(workspace_dir: Path, told: Told, rows: Rows) -> int:
    """Put what came in beside what was ingested, in ``data/<table>.parquet``; returns how many rows were not there yet.

    Parameters
    ----------
    rows : iterable of pyarrow.Table
        With the columns of `told.schema`.

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
        made, path = data / f".{told.table}.{os.getpid()}.parquet", data / f"{told.table}.parquet"
        try:
            new = write_merged(told, path, rows, made, unchanged=False)
            if new:
                onto_disk(made)
                os.replace(made, path)
                _write_manifest(manifest, told, path)
        finally:
            made.unlink(missing_ok=True)
    return new


def write_merged(told: Told, ingested: Path, rows: Rows, into: Path, *, unchanged: bool = True) -> int:
    """Write what was ingested and those rows beside it that it does not have; returns how many those are.

    Parameters
    ----------
    ingested : Path
        May be missing.
    unchanged : bool
        Write also where there is nothing new: sorting millions of events again takes longer than looking for news among them.
    """
    beside = into.with_name(f"{into.name}.beside")
    try:
        with pq.ParquetWriter(beside, told.schema) as writer:
            for table in rows:
                writer.write_table(table)
        with connect(into.parent) as connection:
            new = _new(connection, told, ingested, beside)
            if new or unchanged:
                _write(connection, told, into)
            return new
    finally:
        beside.unlink(missing_ok=True)


def _new(connection: duckdb.DuckDBPyConnection, told: Told, ingested: Path, beside: Path) -> int:
    """What is not known yet, as table `new` beside the view `ingested`; returns its rows."""
    distinct = "DISTINCT " if told.identity is None else ""
    connection.execute(f"CREATE VIEW beside AS SELECT {distinct}* FROM read_parquet({literal(str(beside))})")
    if ingested.exists():
        connection.execute(f"CREATE VIEW ingested AS SELECT * FROM read_parquet({literal(str(ingested))})")
    else:
        connection.execute("CREATE VIEW ingested AS SELECT * FROM beside WHERE false")
    told_rows = connection.execute("SELECT count(*) FROM beside").fetchall()
    columns = {row[0] for row in connection.execute("DESCRIBE ingested").fetchall()}
    # Nothing is looked for among millions of events where nothing was told.
    connection.execute(f"CREATE TEMP TABLE new AS {told.known(columns) if told_rows != [(0,)] else 'SELECT * FROM beside'}")
    [(new,)] = connection.execute("SELECT count(*) FROM new").fetchall()
    return int(new)


def _write(connection: duckdb.DuckDBPyConnection, told: Told, into: Path) -> None:
    """The ingested rows and the new ones, in order."""
    connection.execute(
        f"""COPY (SELECT * FROM (SELECT * FROM ingested UNION ALL BY NAME SELECT * FROM new) ORDER BY {told.order})
        TO {literal(str(into))} (FORMAT parquet, COMPRESSION zstd)"""
    )


def _write_manifest(path: Path, told: Told, file: Path) -> None:
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    with connect(path.parent) as connection:
        counted = f"SELECT count(*), max({told.moment}) FROM read_parquet({literal(str(file))})"
        [(rows, last)] = connection.execute(counted).fetchall()
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    manifest["tables"][told.table] = {**manifest["tables"].get(told.table, {}), "rows": int(rows), "sha256": digest}
    manifest.setdefault(INGESTED_UNTIL, manifest.get("newest_at"))
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
