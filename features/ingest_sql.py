"""How a source becomes rows of one type: the SQL of staging and casting, without any judgement of the rows.

A source is staged as it came (`staging.raw_<table>`, with the row's place in ``__row``) and read through a view (`staging.typed_<table>`)
in which every column has its contract type. What could not be read is NULL there and kept beside it as ``__raw_<column>``, so that the
checks can tell a missing value from an unreadable one.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterable
from pathlib import Path

import duckdb

from decisioning.errors import DataError, nearest
from features.sources import literal, quoted
from features.tables import TABLES, ColumnSpec, TableSpec

ROW = "__row"
RAW = "__raw_"
_WORKING_DIRECTORY = threading.Lock()
_FLOAT_TYPES = ("DOUBLE", "FLOAT", "DECIMAL")
_SMALL_INTS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_BIG_INTS = ("UBIGINT", "HUGEINT", "UHUGEINT", "BIGNUM")
_NUMBERS = (*_SMALL_INTS, *_BIG_INTS, *_FLOAT_TYPES, "BOOLEAN", "VARCHAR", '"NULL"')


def connect(staging_dir: Path) -> duckdb.DuckDBPyConnection:
    """A DuckDB of its own on disk in `staging_dir`: bounded memory, UTC, and blind to Python's variables."""
    connection = duckdb.connect(str(staging_dir / "rows.duckdb"))
    connection.execute(f"SET temp_directory = {literal(str(staging_dir / 'spill'))}")
    for setting in ("threads = 2", "memory_limit = '1GB'", "TimeZone = 'UTC'", "python_enable_replacements = false"):
        connection.execute(f"SET {setting}")
    connection.execute("CREATE SCHEMA staging")
    return connection


def stage(connection: duckdb.DuckDBPyConnection, table: str, sql: str, workspace_dir: Path) -> None:
    """Run the source of `table` and keep its rows as they came, in `staging.raw_<table>`.

    Raises
    ------
    DataError
        The SQL fails or is not one SELECT; a file is missing or empty.
    """
    source = _one_statement(connection, table, sql)
    query = f"CREATE TABLE staging.raw_{table} AS SELECT row_number() OVER () AS {ROW}, * FROM (\n{source}\n)"
    try:
        # DuckDB looks for a relative path in the working directory before its file_search_path: a file of the same name where the
        # command was started would be read silently. So the workspace is the working directory while a source runs.
        with _WORKING_DIRECTORY, contextlib.chdir(workspace_dir):
            connection.execute(query)
    except duckdb.Error as error:
        raise _source_error(table, sql, workspace_dir, error) from error
    if not connection.execute(f"SELECT 1 FROM staging.raw_{table} LIMIT 1").fetchone():
        _refuse_empty_file(table, sql, workspace_dir)


def make_typed(connection: duckdb.DuckDBPyConnection, spec: TableSpec) -> list[str]:
    """The view `staging.typed_<table>`: every column in its contract type; returns the columns that the table will have.

    An optional column that is NULL in every row counts as absent.

    Raises
    ------
    DataError
        A required column is missing.
    """
    types = _types(connection, spec)
    empty = _empty_optional(connection, spec, types)
    parts = [ROW]
    names = []
    for name in _ordered(spec, types):
        column = spec.column(name)
        if name in empty:
            continue
        expression = attribute_sql(name, types[name]) if column is None else typed_sql(column, types[name])
        parts.append(f"{expression} AS {quoted(name)}")
        if column is not None:
            parts.append(f"{quoted(name)} AS {quoted(RAW + name)}")
        names.append(name)
    if spec.name == "outcomes":  # both ways to name whose outcome it is are always there, so that later queries need not ask
        for name in [n for n in ("contact_id", "interaction_id") if n not in names]:
            parts.append(f"CAST(NULL AS VARCHAR) AS {name}, CAST(NULL AS VARCHAR) AS {RAW}{name}")
            names.insert(0, name)
    connection.execute(f"CREATE VIEW staging.typed_{spec.name} AS SELECT {', '.join(parts)} FROM staging.raw_{spec.name}")
    return names


def typed_sql(column: ColumnSpec, duckdb_type: str) -> str:
    """The expression that reads `column` as its contract type, NULL where it cannot be read.

    Examples
    --------
    >>> typed_sql(ColumnSpec("cost", "cost", ""), "BIGINT")
    'CAST("cost" AS DOUBLE)'
    """
    name = quoted(column.name)
    if column.kind == "time":
        return _time_sql(name, duckdb_type)
    if column.kind in ("money", "cost", "probability", "weight"):
        return _number_sql(name, duckdb_type)
    return _text_sql(name, duckdb_type)


def attribute_sql(column: str, duckdb_type: str) -> str:
    """The expression of an attribute of any type as BOOLEAN, BIGINT, DOUBLE, VARCHAR, DATE or TIMESTAMP.

    NaN, infinite numbers and infinite dates become NULL: an attribute has no other word for "not known".
    """
    name = quoted(column)
    base = duckdb_type.split("(", maxsplit=1)[0]
    if base in _SMALL_INTS:
        return f"CAST({name} AS BIGINT)"
    if base in _BIG_INTS or base in _FLOAT_TYPES:
        value = f"TRY_CAST({name} AS DOUBLE)"
        return f"CASE WHEN isfinite({value}) THEN {value} END"
    if base == "DATE":
        return f"CASE WHEN isfinite({name}) THEN {name} END"
    if duckdb_type.startswith("TIMESTAMP"):
        return _time_sql(name, duckdb_type)
    return name if base == "BOOLEAN" else f"CAST({name} AS VARCHAR)"


def _text_sql(name: str, duckdb_type: str) -> str:
    if duckdb_type.split("(", maxsplit=1)[0] in _FLOAT_TYPES:
        # A nullable integer column of pandas arrives as floats: 1.0 is the id "1".
        whole = f"TRY_CAST({name} AS HUGEINT)"
        text = f"CASE WHEN {name} = {whole} THEN CAST({whole} AS VARCHAR) ELSE CAST({name} AS VARCHAR) END"
        return f"CASE WHEN isnan(CAST({name} AS DOUBLE)) THEN NULL ELSE {text} END"
    return f"nullif(CAST({name} AS VARCHAR), '')"


def _number_sql(name: str, duckdb_type: str) -> str:
    base = duckdb_type.split("(", maxsplit=1)[0]
    if base not in _NUMBERS:
        return f"CASE WHEN {name} IS NULL THEN NULL END::DOUBLE"
    return f"TRY_CAST({name} AS DOUBLE)" if base in ("VARCHAR", "BIGNUM") else f"CAST({name} AS DOUBLE)"


def _time_sql(name: str, duckdb_type: str) -> str:
    if duckdb_type in ("TIMESTAMP", "DATE"):
        value = f"CAST({name} AS TIMESTAMP)"
    else:  # text with an offset, TIMESTAMPTZ and other precisions; the session's zone is UTC, so naive text is UTC
        value = f"make_timestamp(epoch_us(TRY_CAST({name} AS TIMESTAMPTZ)))"
    return f"CASE WHEN isfinite({value}) THEN {value} END"


def _types(connection: duckdb.DuckDBPyConnection, spec: TableSpec) -> dict[str, str]:
    """Column name -> DuckDB type; a contract column keeps the contract's spelling whatever its case in the source."""
    rows = connection.execute(f"DESCRIBE staging.raw_{spec.name}").fetchall()
    types = {row[0].lower() if row[0].lower() in spec.names else row[0]: row[1] for row in rows if row[0] != ROW}
    for name in spec.required:
        if name not in types:
            raise _missing_column(spec, name, types)
    return types


def _missing_column(spec: TableSpec, name: str, types: Iterable[str]) -> DataError:
    hint = nearest(name, [t for t in types if t not in spec.names])
    if hint is None and name == "occurred_at" and spec.name != "events":
        hint = "a one-shot experiment without times needs NULL AS occurred_at"
    return DataError("required column is missing", field=f"{spec.name}.{name}", got=f"the columns {', '.join(types) or 'none'}", hint=hint)


def _empty_optional(connection: duckdb.DuckDBPyConnection, spec: TableSpec, types: Iterable[str]) -> set[str]:
    optional = [name for name in types if name in spec.names and name not in spec.required]
    if not optional:
        return set()
    counts = connection.execute(f"SELECT {', '.join(f'count({quoted(n)})' for n in optional)} FROM staging.raw_{spec.name}").fetchone()
    return {name for name, count in zip(optional, counts or (), strict=True) if count == 0}


def _ordered(spec: TableSpec, types: Iterable[str]) -> list[str]:
    """Columns with a meaning in the contract's order, then the others in the source's."""
    given = list(types)
    return [name for name in spec.names if name in given] + [name for name in given if name not in spec.names]


def _one_statement(connection: duckdb.DuckDBPyConnection, table: str, sql: str) -> str:
    """The source without its closing semicolon; anything but one SELECT is refused."""
    field = f"sources.{table}"
    try:
        kinds = [statement.type.name for statement in connection.extract_statements(sql)]
    except duckdb.Error as error:
        raise DataError(f"the SQL fails: {_one_line(error)}", field=field) from error
    if len(kinds) != 1 or kinds[0] not in ("SELECT", "MULTI"):  # a PIVOT counts as MULTI
        raise DataError("a source is one SELECT", field=field, got=" and ".join(kinds) or "nothing")
    raw = sql.encode()
    ends = [at for at, _ in duckdb.tokenize(sql) if raw[at : at + 1] == b";"]
    return raw[: ends[0]].decode() if ends else sql


def _source_error(table: str, sql: str, workspace_dir: Path, error: duckdb.Error) -> DataError:
    _refuse_empty_file(table, sql, workspace_dir)
    field = f"sources.{table}"
    missing = re.search(r'No files found that match the pattern "(.*?)"', str(error))
    if missing:
        return DataError(f"the file {missing[1]} is not there", field=field, hint=f"relative paths start at the workspace {workspace_dir}")
    return DataError(f"the SQL fails: {_one_line(error)}", field=field)


def _one_line(error: duckdb.Error) -> str:
    """DuckDB's message without the drawing of the query."""
    lines = [line.strip() for line in str(error).splitlines()]
    text = " ".join(line for line in lines if line and not line.startswith(("LINE ", "^")))
    return text if len(text) <= 300 else text[:299] + "…"


def _refuse_empty_file(table: str, sql: str, workspace_dir: Path) -> None:
    for name in re.findall(r"'([^'\n]+)'", sql):
        with contextlib.suppress(OSError, ValueError):
            if (workspace_dir / name).is_file() and (workspace_dir / name).stat().st_size == 0:
                raise DataError(f"the file {name} is empty", field=f"sources.{table}", hint=f"{table} needs {_needs(table)}")


def _needs(table: str) -> str:
    return "the columns " + ", ".join(TABLES[table].required)
