"""Whatever a source returns, an ingest either writes tables of the contract's types or refuses with a DataError."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from decisioning.errors import DataError
from features.tables import TABLES
from tests.ingest.workspaces import CONTACTS, INTERACTIONS, fingerprint, run, types

REQUIRED = {name for table in TABLES.values() for name in table.required}
OPTIONAL = {name for table in TABLES.values() for name in table.names} - REQUIRED
STRANGE = {"age", "__row", "_reason", "a b", "Ż.1", "place", "content", "t", "copies"}
NAMES = st.one_of(*map(st.sampled_from, (sorted(STRANGE), sorted(OPTIONAL), sorted(STRANGE | OPTIONAL | REQUIRED))))
TYPES: list[tuple[pa.DataType, st.SearchStrategy[object]]] = [
    (pa.string(), st.sampled_from(["", "a", "b", "1", "2026-01-01", "nan", "granted", "loan", "login", "ż'\"\\", "x" * 200])),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.uint8(), st.integers(0, 255)),
    (pa.float64(), st.floats()),
    (pa.decimal128(38, 3), st.decimals(-(10**9), 10**9, places=3)),
    (pa.bool_(), st.booleans()),
    (pa.timestamp("us"), st.datetimes()),
    (pa.timestamp("ns", tz="Europe/Warsaw"), st.integers(-(2**62), 2**62)),
    (pa.date32(), st.dates()),
    (pa.binary(), st.binary(max_size=4)),
    (pa.list_(pa.int64()), st.lists(st.integers(0, 9), max_size=2)),
    (pa.struct([("k", pa.int64())]), st.fixed_dictionaries({"k": st.integers(0, 9)})),
    (pa.null(), st.none()),
]
LETTER = "'a'"
GOOD = {
    "occurred_at": "DATE '2026-01-01'",
    "changed_at": "DATE '2026-01-01'",
    "action_id": "'loan'",
    "outcome": "'loan_taken'",
    "status": "'denied'",
    "interaction_id": "row_number() OVER ()",
}
WRITTEN = {"VARCHAR", "BOOLEAN", "BIGINT", "DOUBLE", "DATE", "TIMESTAMP"}


@st.composite
def _arrow_tables(draw: st.DrawFn) -> pa.Table:
    """Up to four rows of some columns of any type, nulls included: mostly nonsense, now and then a table."""
    length = draw(st.integers(0, 4))
    columns = {}
    for name in draw(st.lists(NAMES, min_size=1, max_size=6, unique=True)):
        kind, values = draw(st.sampled_from(TYPES))
        columns[name] = pa.array(draw(st.lists(st.none() | values, min_size=length, max_size=length)), type=kind, from_pandas=False)
    return pa.table(columns)


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(name=st.sampled_from(sorted(TABLES)), table=_arrow_tables(), quarantine=st.booleans(), complete=st.booleans())
def test_random_tables_are_ingested_or_refused(name: str, table: pa.Table, quarantine: bool, complete: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        pq.write_table(table, workspace / "any.parquet")
        missing = [column for column in TABLES[name].required if column not in table.column_names] if complete else []
        extra = "".join(f", {GOOD.get(column, LETTER)} AS {column}" for column in missing)
        base = {"contacts": CONTACTS, "interactions": INTERACTIONS}
        report = refusal = None
        try:
            report = run(workspace, base=base, quarantine=quarantine, **{name: f"SELECT *{extra} FROM 'any.parquet'"})
        except DataError as refused:
            refusal = str(refused)
        event("refused" if refusal else "ingested")
        if refusal is not None:
            assert "\n" not in refusal
            assert "the data cannot be read" not in refusal
            assert fingerprint(workspace) == {}
        if report is not None:
            assert report.tables[name].rows + report.tables[name].quarantined + report.tables[name].copies_dropped == table.num_rows
            assert set(types(workspace, name).values()) <= WRITTEN
