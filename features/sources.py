"""The ingested tables of a workspace as typed DuckDB views, named as in the contract.

Every view has the key columns of its table, also where the parquet file is missing or lacks an optional one, and every column is one of
six types: BOOLEAN, BIGINT, DOUBLE, VARCHAR, DATE, TIMESTAMP (UTC).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from decisioning.errors import DataError
from decisioning.vocabulary import Dtype
from features.contract import TIMELESS

KEY_COLUMNS: dict[str, dict[str, str]] = {
    "contacts": {"contact_id": "VARCHAR", "account_id": "VARCHAR", "valid_from": "TIMESTAMP"},
    "accounts": {"account_id": "VARCHAR"},
    "events": {
        "contact_id": "VARCHAR",
        "event_type": "VARCHAR",
        "occurred_at": "TIMESTAMP",
        "event_id": "VARCHAR",
        "value": "DOUBLE",
        "channel": "VARCHAR",
        "session_id": "VARCHAR",
    },
    "interactions": {
        "interaction_id": "VARCHAR",
        "contact_id": "VARCHAR",
        "action_id": "VARCHAR",
        "occurred_at": "TIMESTAMP",
        "as_of": "TIMESTAMP",
        "channel": "VARCHAR",
    },
    "outcomes": {
        "interaction_id": "VARCHAR",
        "contact_id": "VARCHAR",
        "outcome": "VARCHAR",
        "occurred_at": "TIMESTAMP",
        "value": "DOUBLE",
        "behaviour": "VARCHAR",
    },
    "consents": {"contact_id": "VARCHAR", "purpose": "VARCHAR", "status": "VARCHAR", "changed_at": "TIMESTAMP"},
}
"""Columns that a view always has, with their DuckDB types, by table."""

SQL_TYPES: dict[Dtype, str] = {
    "bool": "BOOLEAN",
    "int": "BIGINT",
    "float": "DOUBLE",
    "string": "VARCHAR",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}
"""The DuckDB type in which a dtype is stored."""

ALWAYS = "TIMESTAMP '0001-01-01'"
"""SQL of a moment before every other: from when a row without valid_from is known."""

_END_OF_TIME = "TIMESTAMP '9999-12-31'"
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_NUMBERS = ("FLOAT", "DOUBLE", "HUGEINT", "UHUGEINT", "UBIGINT", "BIGNUM")


@dataclass(frozen=True)
class Table:
    """One contract table as a view: its columns with their dtypes as stored, and whether there is a file behind it."""

    name: str
    columns: dict[str, Dtype]
    present: bool

    def attributes(self) -> dict[str, Dtype]:
        """The columns that are not keys of the table."""
        return {name: dtype for name, dtype in self.columns.items() if name not in KEY_COLUMNS[self.name]}


def quoted(name: str) -> str:
    """A name as an SQL identifier, whatever characters it has.

    Examples
    --------
    >>> quoted("Age-Group")
    '"Age-Group"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL string.

    Examples
    --------
    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def dtype_of(sql_type: str) -> Dtype:
    """The dtype in which a column of a DuckDB type is kept; whatever has no dtype of its own is kept as text.

    Examples
    --------
    >>> [dtype_of(name) for name in ("UTINYINT", "DECIMAL(18,2)", "TIMESTAMP WITH TIME ZONE", "ENUM('a', 'b')", "BOOLEAN", "DATE")]
    ['int', 'float', 'timestamp', 'string', 'bool', 'date']
    """
    name = sql_type.upper()
    if name in _INTEGERS:
        return "int"
    if name in _NUMBERS or name.startswith("DECIMAL"):
        return "float"
    if name == "BOOLEAN":
        return "bool"
    if name == "DATE":
        return "date"
    return "timestamp" if name.startswith("TIMESTAMP") else "string"


def as_stored(expression: str, sql_type: str) -> str:
    """SQL that brings an expression of a DuckDB type into the type in which its dtype is stored; what is not finite becomes NULL."""
    dtype = dtype_of(sql_type)
    if sql_type.upper() == "TIMESTAMPTZ_NS":  # has no cast of its own to TIMESTAMP
        expression = f"CAST({expression} AS TIMESTAMPTZ)"
    cast = f"CAST({expression} AS {SQL_TYPES[dtype]})"
    # Not nullif: DuckDB answers `x = 'NaN'` from a parquet file's statistics, which leave NaN out.
    return f"CASE WHEN isfinite({cast}) THEN {cast} END" if dtype in ("float", "date", "timestamp") else cast


def known_at(as_of: str) -> str:
    """SQL of the moment until which attributes count as known: as_of itself, or the end of time for a timeless entity."""
    return f"CASE WHEN {as_of} = TIMESTAMP {literal(str(TIMELESS))} THEN {_END_OF_TIME} ELSE {as_of} END"


def connect(scratch: Path | None = None) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that computes in UTC, spills into `scratch` and never reaches for the network."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False})
    connection.execute("SET TimeZone = 'UTC'")
    if scratch is not None:
        connection.execute(f"SET temp_directory = {literal(str(scratch))}")
    return connection


def open_tables(connection: duckdb.DuckDBPyConnection, data_dir: Path) -> dict[str, Table]:
    """Create the six views over ``data_dir/<table>.parquet`` and say what they hold.

    Raises
    ------
    DataError
        Where a file cannot be read as parquet.
    """
    return {name: _open_table(connection, name, data_dir / f"{name}.parquet") for name in KEY_COLUMNS}


def _open_table(connection: duckdb.DuckDBPyConnection, name: str, path: Path) -> Table:
    keys = KEY_COLUMNS[name]
    if not path.exists():
        _create_view(connection, name, [f"CAST(NULL AS {sql_type}) AS {key}" for key, sql_type in keys.items()], "(SELECT 1) WHERE false")
        return Table(name, {key: dtype_of(sql_type) for key, sql_type in keys.items()}, present=False)
    source = f"read_parquet({literal(str(path))})"
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    except duckdb.Error as error:
        raise DataError(
            "cannot be read as parquet", field=str(path.name), got=str(error).splitlines()[0], hint="run nudge ingest again"
        ) from error
    types = {str(column): str(sql_type) for column, sql_type, *_ in described}
    select = [f"{as_stored(quoted(column), sql_type)} AS {quoted(column)}" for column, sql_type in types.items() if column not in keys]
    select += [f"CAST({key if key in types else 'NULL'} AS {sql_type}) AS {key}" for key, sql_type in keys.items()]
    _create_view(connection, name, select, source)
    return Table(name, {column: dtype_of(keys.get(column, sql_type)) for column, sql_type in types.items()}, present=True)


def _create_view(connection: duckdb.DuckDBPyConnection, name: str, select: list[str], source: str) -> None:
    connection.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT {', '.join(select)} FROM {source}")
