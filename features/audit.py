"""The data audit: what is in the contract tables, and what looks odd although no rule forbids it.

Rows, NULLs, identical rows, orphans, time range and constant columns of every ingested table, and **suspicious leakage**: an attribute that
predicts an outcome almost perfectly was most likely written down after the outcome. A model that may use it looks brilliant in training and
knows nothing on the day of the decision.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from decisioning.vocabulary import FloatArray
from features.ingest import IngestReport
from features.ingest_sql import literal, quote
from features.tables import TABLES, TableSpec

SUSPICIOUS_AUC = 0.97
"""From here on one attribute alone ranks those with the outcome above those without almost without a mistake."""

MAX_POSITIVES, MAX_NEGATIVES = 5_000, 10_000
"""Contacts sampled an outcome. The AUC does not depend on the share of positives, so the rare side is not thinned out."""

MIN_OF_EACH = 20
_BINS = 20


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
class Leak:
    """An attribute that predicts an outcome too well: `auc` is the area under the ROC curve of that attribute alone."""

    column: str
    outcome: str
    auc: float


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
        leaks = tuple(_leaks(connection, tables))
    return AuditReport(tables, leaks, (*_warnings(tables), *map(_leak_warning, leaks)))


def ingest_document(report: IngestReport, audited: AuditReport) -> dict[str, Any]:
    """What an ingest wrote and what the audit says of it, as the one JSON document of ``nudge ingest --json``."""
    written, found = report.to_json(), audited.to_json()
    tables = {name: {**table, **found["tables"][name]} for name, table in written["tables"].items()}
    return {**written, "tables": tables, "leaks": found["leaks"], "warnings": written["warnings"] + found["warnings"]}


def _audit_table(connection: duckdb.DuckDBPyConnection, spec: TableSpec, present: set[str]) -> TableAudit:
    name = spec.name
    types = {row[0]: row[1] for row in connection.execute(f"DESCRIBE {name}").fetchall()}
    per_column = ", ".join(f"count({quote(c)}), coalesce(min({quote(c)}) = max({quote(c)}), false)" for c in types)
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
    content = ", ".join(quote(column) for column in columns)
    return int(connection.execute(f"SELECT count(*) - count(DISTINCT hash({content})) FROM {name}").fetchall()[0][0])


def _orphans(connection: duckdb.DuckDBPyConnection, name: str, columns: dict[str, ColumnAudit], present: set[str]) -> int:
    tests = []
    for column, table in (("contact_id", "contacts"), ("interaction_id", "interactions")):
        if column in columns and table != name and table in present:
            tests.append(f"{column} IS NOT NULL AND {column} NOT IN (SELECT {column} FROM {table})")
    if not tests:
        return 0
    return int(connection.execute(f"SELECT count(*) FROM {name} WHERE {' OR '.join(f'({test})' for test in tests)}").fetchall()[0][0])


def _warnings(tables: dict[str, TableAudit]) -> Iterator[str]:
    for name, table in tables.items():
        if table.duplicates:
            yield f"{name}: {table.duplicates:,} rows repeat another row in every column; an event_id would tell copies from repetitions"
        if TABLES[name].attributes:
            known = TABLES[name].names
            for column in (c for c, found in table.columns.items() if found.constant and c not in known):
                says = "is NULL" if table.columns[column].nulls else "says the same"
                yield f"{name}.{column}: {says} in every row, so it tells nothing"


def _leak_warning(leak: Leak) -> str:
    return (
        f"contacts.{leak.column}: predicts the outcome {leak.outcome} almost perfectly (AUC {leak.auc:.3f}): it was probably written down "
        "after the outcome; leave it out of the source unless it is known before the decision"
    )


def _leaks(connection: duckdb.DuckDBPyConnection, tables: dict[str, TableAudit]) -> Iterator[Leak]:
    """Attributes of contacts, tested alone against every outcome."""
    if not {"contacts", "outcomes"} <= set(tables):
        return
    known = TABLES["contacts"].names
    columns = tables["contacts"].columns
    attributes = [name for name, found in columns.items() if name not in known and not found.constant]
    newest = (
        "QUALIFY row_number() OVER (PARTITION BY contact_id ORDER BY valid_from DESC NULLS LAST) = 1" if "valid_from" in columns else ""
    )
    outcomes = connection.execute("SELECT DISTINCT outcome FROM outcomes WHERE contact_id IS NOT NULL ORDER BY outcome").fetchall()
    for (outcome,) in outcomes if attributes else []:
        scope = "interactions" if "interactions" in tables else "contacts"
        connection.execute(_sample_sql(scope), [outcome])
        listed = ", ".join(f"c.{quote(name)}" for name in attributes)
        query = f"SELECT happened, {listed} FROM contacts c JOIN audit_sample USING (contact_id) {newest} ORDER BY hash(contact_id)"
        sample = connection.sql(query).to_arrow_table()
        happened = sample.column(0).to_numpy().astype(bool)
        if min(happened.sum(), (~happened).sum()) < MIN_OF_EACH:
            continue
        for place, name in enumerate(attributes, start=1):
            auc = single_feature_auc(_values(sample.column(place), columns[name].type), happened)
            if auc >= SUSPICIOUS_AUC:
                yield Leak(name, outcome, auc)


def _sample_sql(scope: str) -> str:
    """Contacts with the outcome, and contacts in scope without it; chosen by hash, so that the audit says the same every time."""
    with_outcome = "SELECT DISTINCT contact_id FROM outcomes WHERE outcome = $1 AND contact_id IN (SELECT contact_id FROM contacts)"
    without = f"SELECT DISTINCT contact_id FROM {scope} WHERE contact_id NOT IN (SELECT contact_id FROM positives)"
    return (
        f"CREATE OR REPLACE TEMP TABLE audit_sample AS WITH positives AS ({with_outcome}) "
        f"(SELECT contact_id, true AS happened FROM positives ORDER BY hash(contact_id) LIMIT {MAX_POSITIVES}) UNION ALL "
        f"(SELECT contact_id, false FROM ({without}) ORDER BY hash(contact_id) LIMIT {MAX_NEGATIVES})"
    )


def _values(column: Any, duckdb_type: str) -> npt.NDArray[Any]:
    """Numbers and times as float64 with NaN, text as objects with None."""
    if duckdb_type == "VARCHAR":
        return np.asarray(column.to_pylist(), dtype=object)
    if duckdb_type in ("DATE", "TIMESTAMP"):
        column = column.cast("timestamp[us]").cast("int64")
    return np.asarray(column.cast("float64").to_numpy(), dtype=np.float64)


def single_feature_auc(values: npt.NDArray[Any], happened: npt.NDArray[np.bool_]) -> float:
    """Area under the ROC curve of one attribute as the only predictor, at least 0.5.

    The best of the ways in which an attribute can give an outcome away: by its order (NULLs first or last, rising or falling), or by its
    levels or bins (the share with the outcome in the other half of the rows, so that many levels do not fit themselves).

    Parameters
    ----------
    values : ndarray, shape (n,)
        float64 with NaN for NULL, or objects with None for NULL.
    happened : ndarray of bool, shape (n,)
        At least one of each.

    Examples
    --------
    >>> happened = np.arange(400) % 4 == 0
    >>> single_feature_auc(np.where(happened, "won", "open").astype(object), happened)
    1.0
    >>> single_feature_auc(np.where(happened, np.nan, 3.0), happened)  # being NULL gives it away
    1.0
    """
    from sklearn.metrics import roc_auc_score

    if values.dtype == object:
        scores = [_cross_fitted_share(_codes(values), happened)]
    else:
        gap = 1.0 + float(np.nanmax(np.abs(values), initial=0.0))
        scores = [np.nan_to_num(values, nan=-2 * gap), np.nan_to_num(values, nan=2 * gap), _cross_fitted_share(_bins(values), happened)]
    areas = [float(roc_auc_score(happened, score)) for score in scores]
    return max(max(area, 1.0 - area) for area in areas)


def _codes(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    levels: dict[Any, int] = {}
    return np.fromiter((levels.setdefault(value, len(levels)) for value in values), dtype=np.int64, count=values.size)


def _bins(values: FloatArray) -> npt.NDArray[np.int64]:
    """Quantile bins; NaN has its own."""
    filled = values[~np.isnan(values)]
    if not filled.size:
        return np.zeros(values.size, dtype=np.int64)
    edges = np.unique(np.quantile(filled, np.linspace(0, 1, _BINS + 1)))
    return np.where(np.isnan(values), edges.size + 1, np.searchsorted(edges, values, side="right"))


def _cross_fitted_share(codes: npt.NDArray[np.int64], happened: npt.NDArray[np.bool_]) -> FloatArray:
    """The share with the outcome among rows of the same code in the other half, drawn towards the whole share by one row."""
    share = np.zeros(codes.size)
    half = np.arange(codes.size) % 2
    for here in (0, 1):
        other, levels = half != here, int(codes.max()) + 1
        count = np.bincount(codes[other], minlength=levels)
        hits = np.bincount(codes[other], weights=happened[other].astype(float), minlength=levels)
        share[half == here] = ((hits + happened.mean()) / (count + 1.0))[codes[half == here]]
    return share
