"""What other tools report by file: CSV, Parquet or JSON lines, as one table."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa

from decisioning.errors import DataError, NotFound, RequestError

_JSON_LINES = "read_json(?, format = 'newline_delimited')"
_READERS = {".csv": "read_csv(?, all_varchar = true)", ".parquet": "read_parquet(?)", ".ndjson": _JSON_LINES, ".jsonl": _JSON_LINES}


def read_reported(file: Path) -> pa.Table:
    """The rows of a file with its own columns; those of a CSV file are text, times are UTC.

    Raises
    ------
    RequestError
        Another ending.
    NotFound
        No such file.
    DataError
        It cannot be read.
    """
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise RequestError("cannot be read in this format", field="FILE", got=file.name, allowed=", ".join(_READERS))
    if not file.is_file():
        raise NotFound("is not there", field="FILE", got=str(file))
    try:
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.sql(f"SELECT * FROM {reader}", params=[str(file)]).to_arrow_table()
    except duckdb.Error as error:
        raise DataError("cannot be read", field="FILE", got=str(error).splitlines()[0][:200]) from None
