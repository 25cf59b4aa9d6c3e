"""A contact is forgotten in the ingested tables and in what was built from them; what happened stays as happened to nobody.

Rows of `contacts` and `consents` go. Rows of `interactions`, `outcomes` and `events` get the tombstone and keep what the sums are made of:
action, channel, time, money. Their other columns are emptied, ids that spell the contact's out are replaced, and rows of built features
go. Each file is replaced in one step, the manifest last, as after an ingest.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias

import duckdb

from decisioning.errors import Conflict
from features.sources import connect, literal, quoted
from features.tables import TABLES, TableSpec

_REMOVED = ("contacts", "consents")
_EMPTIED = ("session_id", "anonymous_id", "content_id")
_IDS = ("interaction_id", "event_id")
_Query: TypeAlias = Callable[[str, Mapping[str, str]], str]
"""SQL of the new rows, from a source and its columns with their types."""


def forget(workspace_dir: Path, names: Mapping[str, str]) -> dict[str, int]:
    """Forget contacts; returns the rows that were removed or are nobody's now, by table, without tables that had none.

    Parameters
    ----------
    names : mapping of contact_id to tombstone

    Raises
    ------
    Conflict
        An ingest is running, or features are being built.
    """
    data = workspace_dir / "data"
    counts: dict[str, int] = {}
    if not names or not data.is_dir():
        return counts
    with locked(data / ".ingest.lock", "an ingest of this workspace is running"), connect() as connection:
        _name(connection, names)
        for spec in TABLES.values():
            how = None if spec.name in _REMOVED else partial(_nobodys, spec)
            counts[spec.name] = _rewrite(connection, data / f"{spec.name}.parquet", how)
            counts[f"quarantine/{spec.name}"] = _rewrite(connection, data / "quarantine" / f"{spec.name}.parquet", None)
        _write_manifest(data, {name for name, rows in counts.items() if rows})
    counts["features"] = _forget_built(workspace_dir, names)
    return {name: rows for name, rows in counts.items() if rows}


def join(workspace_dir: Path, names: Mapping[str, str]) -> dict[str, int]:
    """Give the rows of visitors to the contacts that they became; returns the rows by table. A visitor's own row of `contacts` goes.

    Parameters
    ----------
    names : mapping of anonymous_id to contact_id

    Raises
    ------
    Conflict
        An ingest is running.
    """
    data = workspace_dir / "data"
    counts: dict[str, int] = {}
    if not names or not data.is_dir():
        return counts
    with locked(data / ".ingest.lock", "an ingest of this workspace is running"), connect() as connection:
        _name(connection, names)
        for spec in (one for one in TABLES.values() if _has(one)):
            how = _contacts if spec.name != "contacts" else None
            counts[spec.name] = _rewrite(connection, data / f"{spec.name}.parquet", how)
        _write_manifest(data, {name for name, rows in counts.items() if rows})
    return {name: rows for name, rows in counts.items() if rows}


def held(workspace_dir: Path, ids: list[str]) -> dict[str, list[dict[str, object]]]:
    """Every ingested row of these contacts, by table, as plain values."""
    found: dict[str, list[dict[str, object]]] = {}
    with connect() as connection:
        _name(connection, dict.fromkeys(ids, ""))
        paths = {spec.name: workspace_dir / "data" / f"{spec.name}.parquet" for spec in TABLES.values()}
        paths |= {f"quarantine/{name}": path.parent / "quarantine" / path.name for name, path in paths.items()}
        for name, path in paths.items():
            if path.exists() and "contact_id" in _columns(connection, path):
                rows = connection.execute(f"SELECT t.* FROM read_parquet({literal(str(path))}) t WHERE {_THEIRS}")
                header = [column[0] for column in rows.description or ()]
                found[name] = [dict(zip(header, row, strict=True)) for row in rows.fetchall()]
    return {name: rows for name, rows in found.items() if rows}


_THEIRS = "CAST(t.contact_id AS VARCHAR) IN (SELECT contact_id FROM forgotten)"


def _name(connection: duckdb.DuckDBPyConnection, names: Mapping[str, str]) -> None:
    connection.execute("CREATE OR REPLACE TEMP TABLE forgotten (contact_id VARCHAR, tombstone VARCHAR)")
    connection.executemany("INSERT INTO forgotten VALUES (?, ?)", [list(pair) for pair in names.items()])


def _has(spec: TableSpec) -> bool:
    return spec.column("contact_id") is not None


def _rewrite(connection: duckdb.DuckDBPyConnection, path: Path, how: _Query | None) -> int:
    """Write a file again as `how` says, without the rows of `forgotten` where it says nothing; returns how many those are."""
    if not path.exists():
        return 0
    columns = _columns(connection, path)
    if "contact_id" not in columns:
        return 0
    source = f"read_parquet({literal(str(path))}) t"
    row = connection.execute(f"SELECT count(*) FROM {source} WHERE {_THEIRS}").fetchone()
    theirs = int(row[0]) if row else 0
    if theirs:
        query = f"SELECT * FROM {source} WHERE NOT coalesce({_THEIRS}, false)" if how is None else how(source, columns)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        connection.execute(f"COPY ({query}) TO {literal(str(unfinished))} (FORMAT parquet, COMPRESSION zstd)")
        onto_disk(unfinished)
        os.replace(unfinished, path)
    return theirs


def _contacts(source: str, columns: Mapping[str, str]) -> str:
    """The rows, those of a visitor as the contact's."""
    names = [f"coalesce(f.tombstone, t.{quoted(one)}) AS {quoted(one)}" if one == "contact_id" else f"t.{quoted(one)}" for one in columns]
    return f"SELECT {', '.join(names)} FROM {source} LEFT JOIN forgotten f ON t.contact_id = f.contact_id"


def _nobodys(spec: TableSpec, source: str, columns: Mapping[str, str]) -> str:
    """The rows, the person's without anything that is theirs."""
    parts = []
    for name, sql_type in columns.items():
        column = f"t.{quoted(name)}"
        if name == "contact_id":
            mine = "f.tombstone"
        elif name in _IDS:
            mine = f"CASE WHEN contains({column}, f.contact_id) THEN f.tombstone || '-' || md5(f.tombstone || {column}) ELSE {column} END"
        elif spec.column(name) is None or name in _EMPTIED:
            mine = f"CAST(NULL AS {sql_type})"
        else:
            mine = column
        parts.append(column if mine == column else f"CASE WHEN f.contact_id IS NULL THEN {column} ELSE {mine} END AS {quoted(name)}")
    return f"SELECT {', '.join(parts)} FROM {source} LEFT JOIN forgotten f ON t.contact_id = f.contact_id"


def _columns(connection: duckdb.DuckDBPyConnection, path: Path) -> dict[str, str]:
    described = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({literal(str(path))})").fetchall()
    return {str(name): str(sql_type) for name, sql_type, *_ in described}


def _write_manifest(data: Path, changed: set[str]) -> None:
    path = data / "manifest.json"
    if not changed or not path.exists():
        return
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for name in changed & manifest["tables"].keys():
        file = data / f"{name}.parquet"
        with connect() as connection:
            row = connection.execute(f"SELECT count(*) FROM read_parquet({literal(str(file))})").fetchone()
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        manifest["tables"][name] = {**manifest["tables"][name], "rows": int(row[0]) if row else 0, "sha256": digest}
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    os.replace(unfinished, path)


def _forget_built(workspace_dir: Path, names: Mapping[str, str]) -> int:
    home = workspace_dir / "state" / "features"
    if not home.is_dir():
        return 0
    with locked(home / ".lock", "features are being built"), connect() as connection:
        _name(connection, names)
        return sum(_rewrite(connection, path, None) for path in sorted(home.glob("*/*.parquet")))


@contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Hold the lock of a file.

    Raises
    ------
    Conflict
        Another process holds it: `busy`.
    """
    with path.open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict(busy, field=str(path.parent), hint="try again when it has ended") from error
        yield


def onto_disk(path: Path) -> None:
    """Return when the file is on disk, whatever becomes of the machine."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
