"""The last part of an ingest: checked tables to sorted parquet files, and those over the earlier ones, the manifest last."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from features.sources import literal, quoted
from features.tables import TABLES, TableSpec


def write(
    connection: duckdb.DuckDBPyConnection,
    spec: TableSpec,
    columns: Mapping[str, list[str]],
    behaviours: Mapping[str, str | None],
    folder: Path,
) -> None:
    """`staging.good_<table>` as ``<table>.parquet`` in `folder`, sorted by the table's order and then by every other column.

    Parameters
    ----------
    columns : mapping of str to list of str
        The columns of every checked table.
    behaviours : mapping of str to str or None
        The catalog's outcomes: what `behaviour` is where the source does not say.
    """
    kept = list(columns[spec.name])
    selected = f"SELECT {', '.join(map(quoted, kept))} FROM staging.good_{spec.name}"
    if spec.name == "outcomes":
        selected = _completed_outcomes(kept, "interactions" in columns, behaviours)
        kept = list(dict.fromkeys([*kept, "behaviour"]))
    order = [part for name in spec.order if name in kept for part in _sort_keys(spec, name)]
    order += [quoted(name) for name in kept if name not in spec.order]
    path = literal(str(folder / f"{spec.name}.parquet"))
    connection.execute(f"COPY (SELECT * FROM ({selected}) ORDER BY {', '.join(order)}) TO {path} (FORMAT parquet, COMPRESSION zstd)")


def newest(connection: duckdb.DuckDBPyConnection, columns: Mapping[str, list[str]]) -> datetime | None:
    """The newest time at which anything happened in the checked tables; None where nothing has a time."""
    found: list[datetime] = []
    for name in columns:
        time = TABLES[name].time
        if time:
            row = connection.execute(f"SELECT max({time}) FROM staging.good_{name}").fetchone()
            found += [row[0].replace(tzinfo=UTC)] if row and row[0] else []
    return max(found, default=None)


def publish(staging_dir: Path, data_dir: Path, rows: Mapping[str, int], *, newest_at: datetime | None, now: datetime) -> None:
    """Move the finished files over the earlier ones; a table without a source loses its file. The manifest comes last.

    Parameters
    ----------
    rows : mapping of str to int
        Rows of each written table.
    """
    manifest = {
        "ingested_at": iso(now),
        "tables": {name: {"rows": count, "sha256": _sha256(staging_dir / f"{name}.parquet")} for name, count in rows.items()},
        "newest_at": iso(newest_at),
    }
    (staging_dir / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    (data_dir / "quarantine").mkdir(exist_ok=True)
    for name in [*(f"quarantine/{name}.parquet" for name in TABLES), *(f"{name}.parquet" for name in TABLES), "manifest.json"]:
        made = staging_dir / name
        if made.exists():
            with open(made, "rb") as file:
                os.fsync(file.fileno())
            os.replace(made, data_dir / name)
        else:
            (data_dir / name).unlink(missing_ok=True)


def iso(at: datetime | None) -> str | None:
    """A time as ISO 8601 in UTC.

    Examples
    --------
    >>> iso(datetime(2026, 11, 22, 10, tzinfo=UTC))
    '2026-11-22T10:00:00Z'
    """
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _sort_keys(spec: TableSpec, name: str) -> tuple[str, ...]:
    column = spec.column(name)
    if column is not None and column.kind == "id":
        return (f"length({quoted(name)})", quoted(name))  # "9" before "10"
    return (quoted(name),)


def _completed_outcomes(columns: list[str], with_interactions: bool, behaviours: Mapping[str, str | None]) -> str:
    """Outcomes with the contact of their interaction, and the behaviour that the catalog gives, where the source left them out."""
    words = " ".join(f"WHEN {literal(name)} THEN {literal(word)}" for name, word in behaviours.items() if word is not None)
    behaviour = f"CASE t.outcome {words} END" if words else "CAST(NULL AS VARCHAR)"
    given = {"behaviour": f"coalesce(t.behaviour, {behaviour})" if "behaviour" in columns else behaviour}
    joined = ""
    if with_interactions:
        given["contact_id"] = "coalesce(t.contact_id, i.contact_id)"
        joined = " LEFT JOIN staging.good_interactions i ON t.interaction_id = i.interaction_id"
    names = dict.fromkeys([*columns, "behaviour"])
    parts = [f"{given.get(name, 't.' + quoted(name))} AS {quoted(name)}" for name in names]
    return f"SELECT {', '.join(parts)} FROM staging.good_outcomes t{joined}"


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
