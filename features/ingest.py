"""Sources into contract tables: run each source's SQL, check every row, and only then replace the data, all tables or none.

The rows pass through a DuckDB of its own on disk, so a table need not fit in memory. Files are written beside the data and moved over it
at the end: an ingest that fails, or is killed, leaves the earlier data as it was.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import duckdb

from decisioning.errors import Conflict, DataError, nearest
from features.ingest_checks import Check, Known, checks, refusal
from features.ingest_notes import notes
from features.ingest_sql import ROW, connect, make_typed, stage
from features.ingest_write import iso, newest, publish, write
from features.sources import literal, quoted
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
            "newest_at": iso(self.newest_at),
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
        newest_at = newest(shop.connection, shop.columns)
        for name in shop.columns:
            say(f"writing {name}")
            write(shop.connection, TABLES[name], shop.columns, known.outcomes, shop.staging_dir)
        rows = {name: table.rows for name, table in shop.tables.items()}
        publish(shop.staging_dir, shop.workspace_dir / "data", rows, newest_at=newest_at, now=now)
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
    kept = ", ".join(quoted(column) for column in columns)
    run(f"CREATE VIEW staging.good_{name} AS SELECT {kept} FROM staging.typed_{name} ANTI JOIN staging.bad_{name} USING ({ROW})")
    rows = int(run(f"SELECT count(*) FROM staging.good_{name}").fetchall()[0][0])
    quarantined = sum(counts[place] for place in refused)
    if not rows and spec.required_rows and (quarantined or name == "contacts"):  # interactions may be still to come
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
