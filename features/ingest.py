"""Sources into contract tables: run each source's SQL, check every row, and only then replace the data, all tables or none.

The rows pass through a DuckDB of its own on disk, so a table need not fit in memory. Files are written beside the data and moved over it
at the end: an ingest that fails, or is killed, leaves the earlier data as it was.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import duckdb

from decisioning.errors import Conflict, DataError, nearest
from features.ingest_checks import Check, Known, checks, refusal
from features.ingest_notes import notes
from features.ingest_sql import ROW, connect, literal, make_typed, quote, stage
from features.tables import TABLES, TableSpec


class OutcomeLike(Protocol):
    """An outcome of the catalog, as far as the data asks."""

    @property
    def behaviour(self) -> str:
        """positive, negative or neutral."""


@dataclass(frozen=True)
class TableReport:
    """What became of one source: rows written, rows set aside, copies of earlier rows dropped."""

    rows: int
    quarantined: int
    copies_dropped: int


@dataclass(frozen=True)
class IngestReport:
    """What an ingest wrote, and what a person should look at."""

    tables: dict[str, TableReport]
    warnings: tuple[str, ...]
    newest_at: datetime | None

    def to_json(self) -> dict[str, Any]:
        """As the JSON document of ``nudge ingest --json``."""
        return {
            "tables": {name: vars(table).copy() for name, table in self.tables.items()},
            "warnings": list(self.warnings),
            "newest_at": _iso(self.newest_at),
        }


@dataclass
class _Workshop:
    """One run: its database, its folder, and what it found so far."""

    workspace_dir: Path
    staging_dir: Path
    connection: duckdb.DuckDBPyConnection
    known: Known
    quarantine: bool
    tables: dict[str, TableReport] = field(default_factory=dict)
    columns: dict[str, list[str]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def ingest(  # noqa: PLR0913 - what the catalog knows, the clock and the door to the screen are all given
    workspace_dir: Path,
    sources: Mapping[str, str],
    *,
    outcomes: Mapping[str, OutcomeLike],
    actions: Collection[str],
    quarantine: bool = False,
    now: datetime,
    progress: Callable[[str], None] | None = None,
) -> IngestReport:
    """Check every source and replace `data/`.

    Parameters
    ----------
    sources : mapping of str to str
        Contract table -> DuckDB SQL. Relative paths start at the workspace, wherever the command was started.
    outcomes, actions
        What the catalog knows: an outcome's behaviour stands where the source gives none. ``no_action`` is always known.
    quarantine : bool
        Move bad rows to ``data/quarantine/<table>.parquet`` with a ``_reason`` and go on, instead of refusing the table.
    now : datetime
        Goes into the manifest; times after it are warned about.
    progress : callable, optional
        Gets one line per step.

    Raises
    ------
    DataError
        A source fails or a row breaks the contract: table, column, row count and three example rows are named. Nothing was replaced.
    Conflict
        Another ingest of this workspace is running.
    """
    say = progress or (lambda _: None)
    known = Known(frozenset(actions), {name: getattr(outcome, "behaviour", None) for name, outcome in outcomes.items()})
    _check_names(sources)
    with _workshop(workspace_dir.resolve(), known, quarantine) as shop:
        for spec in (spec for spec in TABLES.values() if spec.name in sources):
            say(f"reading {spec.name}")
            stage(shop.connection, spec.name, sources[spec.name], shop.workspace_dir)
            _check(shop, spec)
        shop.warnings += notes(shop.connection, shop.columns, now)
        for name in shop.columns:
            say(f"writing {name}")
            _write(shop, TABLES[name])
        newest_at = _newest(shop)
        _publish(shop, newest_at, now)
        return IngestReport(dict(shop.tables), tuple(shop.warnings), newest_at)


def _check_names(sources: Mapping[str, str]) -> None:
    for name in sources:
        if name not in TABLES:
            raise DataError("unknown table", field=f"sources.{name}", allowed=", ".join(TABLES), hint=nearest(name, TABLES))
    if "contacts" not in sources:
        raise DataError("there is no source of contacts: nobody to decide for", field="sources.contacts")


@contextlib.contextmanager
def _workshop(workspace_dir: Path, known: Known, quarantine: bool) -> Iterator[_Workshop]:
    """A folder and a database for one run, gone afterwards; one run a workspace at a time."""
    data_dir = workspace_dir / "data"
    data_dir.mkdir(parents=True, exist_ok=True)
    with open(data_dir / ".ingest.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict("another ingest of this workspace is running", field=str(workspace_dir)) from error
        staging_dir = data_dir / ".ingest"
        shutil.rmtree(staging_dir, ignore_errors=True)  # of a run that was killed
        (staging_dir / "quarantine").mkdir(parents=True)
        try:
            with connect(staging_dir) as connection:
                yield _Workshop(workspace_dir, staging_dir, connection, known, quarantine)
        except duckdb.Error as error:
            raise DataError(f"the data cannot be read: {str(error).splitlines()[0][:300]}") from error
        finally:
            shutil.rmtree(staging_dir, ignore_errors=True)


def _check(shop: _Workshop, spec: TableSpec) -> None:
    """Judge one staged table and make `staging.good_<table>` of the rows that hold."""
    name, run = spec.name, shop.connection.execute
    columns = make_typed(shop.connection, spec)
    found = checks(shop.connection, spec, columns, shop.known)
    cases = " ".join(f"WHEN {check.bad} THEN {place}" for place, check in enumerate(found))
    run(
        f"CREATE TABLE staging.bad_{name} AS SELECT * FROM "
        f"(SELECT {ROW}, CASE {cases} END AS place FROM staging.typed_{name}) WHERE place IS NOT NULL"
    )
    counts: dict[int, int] = dict(run(f"SELECT place, count(*) FROM staging.bad_{name} GROUP BY place ORDER BY place").fetchall())
    refused = [place for place in counts if not found[place].drops]
    if refused and not shop.quarantine:
        bad_rows = f"{ROW} IN (SELECT {ROW} FROM staging.bad_{name} WHERE place = {refused[0]})"
        raise refusal(shop.connection, spec, found[refused[0]], bad_rows)
    kept = ", ".join(quote(column) for column in columns)
    run(f"CREATE VIEW staging.good_{name} AS SELECT {kept} FROM staging.typed_{name} ANTI JOIN staging.bad_{name} USING ({ROW})")
    rows = int(run(f"SELECT count(*) FROM staging.good_{name}").fetchall()[0][0])
    quarantined = sum(counts[place] for place in refused)
    if not rows and spec.required_rows:
        raise DataError("no rows" if not quarantined else f"no row is left: all {quarantined:,} are bad", field=f"sources.{name}")
    shop.tables[name] = TableReport(rows, quarantined, sum(counts.values()) - quarantined)
    shop.columns[name] = columns
    shop.warnings += _counted(name, shop.tables[name])
    if quarantined:
        _set_aside(shop, spec, found, refused)


def _counted(table: str, report: TableReport) -> Iterator[str]:
    if report.quarantined:
        yield f"{table}: {report.quarantined:,} bad rows set aside in data/quarantine/{table}.parquet"
    if report.copies_dropped:
        yield f"{table}: {report.copies_dropped:,} rows repeat an earlier row in every column and were dropped"
    if not report.rows:
        yield f"{table}: the source gives no rows"


def _set_aside(shop: _Workshop, spec: TableSpec, found: list[Check], refused: list[int]) -> None:
    """Bad rows as they came, each with the reason."""
    reasons = " ".join(f"WHEN {place} THEN {literal(f'{found[place].column}: {found[place].what}')}" for place in refused)
    path = shop.staging_dir / "quarantine" / f"{spec.name}.parquet"
    rows = f"SELECT r.* EXCLUDE ({ROW}), CASE b.place {reasons} END AS _reason FROM staging.raw_{spec.name} r"
    bad = f"(SELECT * FROM staging.bad_{spec.name} WHERE place IN ({', '.join(map(str, refused))}))"
    shop.connection.execute(f"COPY ({rows} JOIN {bad} b USING ({ROW}) ORDER BY r.{ROW}) TO {literal(str(path))} (FORMAT parquet)")


def _write(shop: _Workshop, spec: TableSpec) -> None:
    """One table as parquet, sorted by its order and then by every other column."""
    columns = shop.columns[spec.name]
    selected = f"SELECT {', '.join(f't.{quote(c)}' for c in columns)} FROM staging.good_{spec.name} t"
    if spec.name == "outcomes":
        selected = _completed_outcomes(shop)
    order = [part for name in spec.order if name in columns for part in _sort_keys(spec, name)]
    order += [quote(name) for name in columns if name not in spec.order]
    path = shop.staging_dir / f"{spec.name}.parquet"
    options = "FORMAT parquet, COMPRESSION zstd"
    shop.connection.execute(f"COPY (SELECT * FROM ({selected}) ORDER BY {', '.join(order)}) TO {literal(str(path))} ({options})")


def _sort_keys(spec: TableSpec, name: str) -> tuple[str, ...]:
    column = spec.column(name)
    if column is not None and column.kind == "id":
        return (f"length({quote(name)})", quote(name))  # "9" before "10"
    return (quote(name),)


def _completed_outcomes(shop: _Workshop) -> str:
    """Outcomes with the contact of their interaction, and the behaviour that the catalog gives, where the source left them out."""
    columns = list(shop.columns["outcomes"])
    words = " ".join(f"WHEN {literal(n)} THEN {literal(b)}" for n, b in shop.known.outcomes.items() if b is not None)
    behaviour = f"CASE t.outcome {words} END" if words else "CAST(NULL AS VARCHAR)"
    given = {"behaviour": f"coalesce(t.behaviour, {behaviour})" if "behaviour" in columns else behaviour}
    joined = ""
    if "interactions" in shop.columns:
        given["contact_id"] = "coalesce(t.contact_id, i.contact_id)"
        joined = " LEFT JOIN staging.good_interactions i ON t.interaction_id = i.interaction_id"
    if "behaviour" not in columns:
        columns.append("behaviour")
    shop.columns["outcomes"] = columns
    parts = [f"{given.get(name, 't.' + quote(name))} AS {quote(name)}" for name in columns]
    return f"SELECT {', '.join(parts)} FROM staging.good_outcomes t{joined}"


def _newest(shop: _Workshop) -> datetime | None:
    """The newest time at which anything happened; None where nothing has a time."""
    newest: list[datetime] = []
    for name in shop.columns:
        column = TABLES[name].time
        if column:
            row = shop.connection.execute(f"SELECT max({column}) FROM staging.good_{name}").fetchone()
            newest += [row[0].replace(tzinfo=UTC)] if row and row[0] else []
    return max(newest, default=None)


def _publish(shop: _Workshop, newest_at: datetime | None, now: datetime) -> None:
    """Move the finished files over the earlier ones; a table without a source loses its file. The manifest comes last."""
    data_dir = shop.workspace_dir / "data"
    manifest = {
        "ingested_at": _iso(now),
        "tables": {n: {"rows": t.rows, "sha256": _sha256(shop.staging_dir / f"{n}.parquet")} for n, t in shop.tables.items()},
        "newest_at": _iso(newest_at),
    }
    (shop.staging_dir / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    (data_dir / "quarantine").mkdir(exist_ok=True)
    names = [*(f"quarantine/{name}.parquet" for name in TABLES), *(f"{name}.parquet" for name in TABLES), "manifest.json"]
    for name in names:
        made = shop.staging_dir / name
        if made.exists():
            with open(made, "rb") as file:
                os.fsync(file.fileno())
            os.replace(made, data_dir / name)
        else:
            (data_dir / name).unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")
