"""The data audit: what is in the contract tables, and what looks odd although no rule forbids it.

Rows, NULLs, identical rows, orphans, time range and constant columns of every ingested table, and **suspicious leakage** (`leakage.py`): an
attribute that predicts an outcome too well was most likely written down after the outcome.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from features.attributes import ACCOUNT_PREFIX, attribute_features
from features.ingest import IngestReport
from features.leakage import Leak, find_leaks
from features.leakage_signs import MIN_OF_EACH
from features.leakage_words import leak_warnings
from features.sources import connect, literal, open_tables, quoted
from features.tables import TABLES, TableSpec

MOST_NAMED = 20
"""Renamed columns of a table that are named; the others are counted."""


@dataclass(frozen=True)
class ColumnAudit:
    """One column: its type, its NULLs, and whether it says the same in every row."""

    type: str
    nulls: int
    constant: bool


@dataclass(frozen=True)
class TableAudit:
    """One table. `duplicates` repeat another row in every column; `orphans` refer to a contact or interaction that is not there."""

    rows: int
    duplicates: int
    orphans: int
    first_at: datetime | None
    last_at: datetime | None
    columns: dict[str, ColumnAudit]


@dataclass(frozen=True)
class AuditReport:
    """The audit of a workspace's data."""

    tables: dict[str, TableAudit]
    leaks: tuple[Leak, ...]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values, times as ISO 8601 in UTC."""
        document = asdict(self)
        for table in document["tables"].values():
            for key in ("first_at", "last_at"):
                table[key] = None if table[key] is None else f"{table[key].isoformat()}Z"
        return {**document, "leaks": list(document["leaks"]), "warnings": list(self.warnings)}


def audit(workspace_dir: Path) -> AuditReport:
    """Audit the ingested tables of a workspace (`data/*.parquet`); tables without a file are left out."""
    with duckdb.connect() as connection:
        connection.execute("SET threads = 2")
        connection.execute("SET memory_limit = '1GB'")
        present = []
        for spec in TABLES.values():
            path = workspace_dir / "data" / f"{spec.name}.parquet"
            if path.exists():
                connection.execute(f"CREATE VIEW {spec.name} AS SELECT * FROM read_parquet({literal(str(path))})")
                present.append(spec)
        tables = {spec.name: _audit_table(connection, spec, {s.name for s in present}) for spec in present}
        constant = {table: {name for name, found in about.columns.items() if found.constant} for table, about in tables.items()}
        leaks = tuple(find_leaks(connection, set(tables), constant))
        rare = list(_too_rare(connection, tables))
    return AuditReport(tables, leaks, (*_renamed(workspace_dir / "data"), *_warnings(tables), *leak_warnings(leaks), *rare))


def ingest_document(report: IngestReport, audited: AuditReport) -> dict[str, Any]:
    """What an ingest wrote and what the audit says of it, as the one JSON document of ``nudge ingest --json``."""
    written, found = report.to_json(), audited.to_json()
    tables = {name: {**table, **found["tables"][name]} for name, table in written["tables"].items()}
    return {**written, "tables": tables, "leaks": found["leaks"], "warnings": written["warnings"] + found["warnings"]}


def _audit_table(connection: duckdb.DuckDBPyConnection, spec: TableSpec, present: set[str]) -> TableAudit:
    name = spec.name
    types = {row[0]: row[1] for row in connection.execute(f"DESCRIBE {name}").fetchall()}
    per_column = ", ".join(f"count({quoted(c)}), coalesce(min({quoted(c)}) = max({quoted(c)}), false)" for c in types)
    time = f"min({spec.time}), max({spec.time})" if spec.time in types else "NULL, NULL"
    rows, first_at, last_at, *found = connection.execute(f"SELECT count(*), {time}, {per_column} FROM {name}").fetchall()[0]
    columns = {
        column: ColumnAudit(types[column], rows - filled, rows > 1 and (filled == 0 or (filled == rows and same)))
        for column, filled, same in zip(types, found[::2], found[1::2], strict=True)
    }
    unique = [key for key in spec.key if key in columns and columns[key].nulls == 0]
    duplicates = 0 if unique else _identical_rows(connection, name, list(types))
    return TableAudit(rows, duplicates, _orphans(connection, name, columns, present), first_at, last_at, columns)


def _identical_rows(connection: duckdb.DuckDBPyConnection, name: str, columns: list[str]) -> int:
    content = ", ".join(quoted(column) for column in columns)
    return int(connection.execute(f"SELECT count(*) - count(DISTINCT hash({content})) FROM {name}").fetchall()[0][0])


def _orphans(connection: duckdb.DuckDBPyConnection, name: str, columns: dict[str, ColumnAudit], present: set[str]) -> int:
    tests = []
    for column, table in (("contact_id", "contacts"), ("interaction_id", "interactions")):
        if column in columns and table != name and table in present:
            tests.append(f"{column} IS NOT NULL AND {column} NOT IN (SELECT {column} FROM {table})")
    if not tests:
        return 0
    return int(connection.execute(f"SELECT count(*) FROM {name} WHERE {' OR '.join(f'({test})' for test in tests)}").fetchall()[0][0])


def _too_rare(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, TableAudit]) -> Iterator[str]:
    """Outcomes of which nothing can be said of leakage, where an attribute could leak."""
    if not {"contacts", "outcomes"} <= set(tables) or "contact_id" not in tables["outcomes"].columns:
        return
    if not set(tables["contacts"].columns) - set(TABLES["contacts"].names):
        return
    counted = "SELECT outcome, count(DISTINCT contact_id) AS contacts FROM outcomes SEMI JOIN contacts USING (contact_id) GROUP BY outcome"
    few = connection.execute(f"SELECT * FROM ({counted}) WHERE contacts < {MIN_OF_EACH} ORDER BY outcome").fetchall()
    for outcome, contacts in few:
        why = f"too few to tell whether an attribute was written down after it ({MIN_OF_EACH} are needed)"
        yield f"outcomes: {contacts} contacts have {outcome}, {why}"


def _renamed(data: Path) -> Iterator[str]:
    """Columns that go by another name as features: rules and settings name the feature."""
    with connect() as connection:
        attributes = attribute_features(open_tables(connection, data))
    for table, own in (("contacts", ""), ("accounts", ACCOUNT_PREFIX)):
        here = [one for one in attributes if one.table == table and one.spec.name not in (one.column, f"{own}{one.column}")]
        named = [f"'{one.column}' is {one.spec.name}" for one in here[:MOST_NAMED]]
        if named:
            more = f", and {len(here) - MOST_NAMED:,} more" if len(here) > MOST_NAMED else ""
            yield f"{table}: names of features are of a-z, 0-9 and _: {', '.join(named)}{more}"


def _warnings(tables: dict[str, TableAudit]) -> Iterator[str]:
    for name, table in tables.items():
        if table.duplicates:
            yield f"{name}: {table.duplicates:,} rows repeat another row in every column; an event_id would tell copies from repetitions"
        if TABLES[name].attributes:
            known = TABLES[name].names
            for column in (c for c, found in table.columns.items() if found.constant and c not in known):
                says = "is NULL" if table.columns[column].nulls else "says the same"
                yield f"{name}.{column}: {says} in every row, so it tells nothing"
