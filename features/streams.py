"""Timed facts as running totals, so that any window at any as_of costs two look-ups.

A stream is a list of facts of one key (a contact or an account), each at a moment. What had accumulated before a moment is known for every
fact after one pass over the facts in their order; the total of a window is the total before as_of minus the total before its start.
``O(facts log facts + entities log facts)`` however long the window and however many as_ofs a contact has. Sums are of whole numbers (money
in millionths), so a difference of totals is exact and later facts cannot move it.

DuckDB sorts the facts, and spills them where they are many; `features.accumulated` runs over them, some keys at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.accumulated import Cuts, Kind, Numbers, Running
from features.sources import quoted

MONEY_UNIT = 1_000_000
"""Money travels through totals as whole millionths."""

ROWS_AT_ONCE = 1_000_000
"""Facts and look-ups of a chunk: what bounds the memory of the pass. The facts of one key are never parted."""

Key = Literal["contact_id", "account_id"]
Clock = Literal["as_of", "known_at"]

LARGEST_EXACT = 2.0**62
"""Sums of whole numbers below it have room in 64 bits."""

_COLUMN_TYPES: dict[Kind, str] = {"count": "0::INTEGER", "sum": "0::HUGEINT"}


@dataclass(frozen=True)
class Measure:
    """What a stream accumulates.

    Parameters
    ----------
    name : str
    kind : {"count", "sum", "first", "last"}
        How many facts, the sum of their `value`, or the `value` of the first or the last of them.
    where : str
        SQL of the facts that count; NULL is not true.
    value : str
        SQL over a fact: of a whole number for "sum", never NULL where `where` is true. Where several facts have one moment, the first and
        the last of them are any two.
    """

    name: str
    kind: Kind = "count"
    where: str = "true"
    value: str = "moment"

    @property
    def column(self) -> str:
        """SQL of an empty column of its type."""
        return _COLUMN_TYPES.get(self.kind, self.value)


@dataclass(frozen=True)
class Stream:
    """Timed facts of one key.

    Parameters
    ----------
    name : str
        What features call it.
    key : {"contact_id", "account_id"}
        Whose facts they are.
    facts : str
        SQL with the key, its ``moment`` and whatever the measures read.
    measures : tuple of Measure
    clock : {"as_of", "known_at"}
        Which cut of an entity applies; ``known_at`` is as_of, or the end of time for a timeless entity.
    """

    name: str
    key: Key
    facts: str
    measures: tuple[Measure, ...]
    clock: Clock = "as_of"


@dataclass(frozen=True, order=True)
class Total:
    """A measure of a stream, accumulated until `days_before` days before as_of (exclusive)."""

    stream: str
    measure: str
    days_before: int = 0

    @property
    def sql(self) -> str:
        """The column in which the total stands beside its entity."""
        return quoted(f"{self.stream}.{self.measure}.{self.days_before}")


def write_totals(connection: duckdb.DuckDBPyConnection, streams: Iterable[Stream], totals: Iterable[Total]) -> list[str]:
    """Find the `totals` for every row of the table ``entity_rows``; returns the tables made, one row an entity by ``row_id``.

    ``entity_rows`` has ``row_id, contact_id, account_id, as_of, known_at``. An entity without the key of a stream has no row in its table.
    """
    wanted = sorted(set(totals))
    tables: list[str] = []
    asked: set[tuple[Key, Clock]] = set()
    for stream in streams:
        own = [total for total in wanted if total.stream == stream.name]
        if not own:
            continue
        if (stream.key, stream.clock) not in asked:
            _write_cuts(connection, stream.key, stream.clock)
            asked.add((stream.key, stream.clock))
        tables.append(_write_stream(connection, stream, own))
    return tables


def _keys(key: Key) -> str:
    return quoted(f"every {key}")


def _cuts(key: Key, clock: Clock) -> str:
    return quoted(f"cuts of {key} by {clock}")


def _write_cuts(connection: duckdb.DuckDBPyConnection, key: Key, clock: Clock) -> None:
    """The keys that are asked about, numbered by their place, and the cuts of their entities in the order of the places."""
    connection.execute(
        f"""CREATE TEMP TABLE IF NOT EXISTS {_keys(key)} AS
        SELECT {key}, CAST(row_number() OVER (ORDER BY {key}) - 1 AS INTEGER) AS place
        FROM (SELECT DISTINCT {key} FROM entity_rows WHERE {key} IS NOT NULL)"""
    )
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE {_cuts(key, clock)} AS
        SELECT place, row_id, {clock} AS cut FROM entity_rows JOIN {_keys(key)} USING ({key}) ORDER BY place, row_id"""
    )


def _write_stream(connection: duckdb.DuckDBPyConnection, stream: Stream, totals: Sequence[Total]) -> str:
    """The table of a stream's `totals`."""
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE facts AS
        SELECT place, facts.* EXCLUDE ({stream.key}) FROM ({stream.facts}) facts JOIN {_keys(stream.key)} USING ({stream.key})
        WHERE moment IS NOT NULL ORDER BY place, moment"""
    )
    measures = {measure.name: measure for measure in stream.measures}
    wanted = [(measures[total.measure], total.days_before) for total in totals]
    table, cuts = quoted(f"totals of {stream.name}"), _cuts(stream.key, stream.clock)
    columns = [f"{measure.column} AS {total.sql}" for (measure, _), total in zip(wanted, totals, strict=True)]
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT 0::BIGINT AS row_id, {', '.join(columns)} FROM facts WHERE false")
    reading = _reading(connection, [measure for measure, _ in wanted])
    for places in _chunks(connection, cuts):
        row_ids, found = _accumulate(connection, cuts, places, reading, wanted)
        some = pa.table([pa.array(row_ids), *found], names=[f"column {number}" for number in range(len(found) + 1)])
        connection.register("some_totals", some)
        connection.execute(f"INSERT INTO {table} SELECT * FROM some_totals")
        connection.unregister("some_totals")
    connection.execute("DROP TABLE facts")
    return table


def _chunks(connection: duckdb.DuckDBPyConnection, cuts: str) -> Iterator[str]:
    """Conditions on the places, each true of some `ROWS_AT_ONCE` facts and cuts."""
    rows = _arrays(
        connection,
        f"SELECT place, count(*) AS rows FROM (SELECT place FROM facts UNION ALL SELECT place FROM {cuts}) GROUP BY place ORDER BY place",
    )
    begins = np.flatnonzero(np.diff(np.cumsum(rows["rows"]) // ROWS_AT_ONCE)) + 1
    for places in np.split(rows["place"], begins):
        if len(places):
            yield f"place BETWEEN {places[0]} AND {places[-1]}"


def _reading(connection: duckdb.DuckDBPyConnection, measures: Sequence[Measure]) -> dict[str, str]:
    """What measures read of the facts: the SQL of a column by the SQL that they name."""
    reading = {measure.where: f"coalesce({measure.where}, false)" for measure in measures}
    reading |= {measure.value: measure.value for measure in measures if measure.kind in ("first", "last")}
    for measure in measures:
        if measure.kind == "sum":
            [(largest,)] = connection.execute(f"SELECT coalesce(sum(abs(CAST({measure.value} AS DOUBLE))), 0) FROM facts").fetchall()
            # As text where 64 bits are too few: the sum is then one of Python's integers.
            reading[measure.value] = f"CAST(coalesce({measure.value}, 0) AS {'BIGINT' if largest < LARGEST_EXACT else 'VARCHAR'})"
    return reading


def _accumulate(
    connection: duckdb.DuckDBPyConnection, cuts: str, places: str, reading: Mapping[str, str], wanted: Sequence[tuple[Measure, int]]
) -> tuple[Numbers, list[pa.Array]]:
    """The row_ids of a chunk and their totals."""
    asked = _arrays(connection, f"SELECT row_id, place, cut FROM {cuts} WHERE {places}")
    select = ", ".join(f"{sql} AS {quoted(f'read {number}')}" for number, sql in enumerate(reading.values()))
    facts = _arrays(connection, f"SELECT place, moment, {select} FROM facts WHERE {places} ORDER BY place, moment")
    columns = {sql: facts[f"read {number}"] for number, sql in enumerate(reading)}
    looked = Cuts(facts["place"], _microseconds(facts["moment"]), asked["place"], _microseconds(asked["cut"]))
    until = {days: looked.until(days) for days in sorted({days for _, days in wanted})}
    running = {measure.where: Running(columns[measure.where]) for measure, _ in wanted}
    found = []
    for measure, days in wanted:
        value = columns[measure.where if measure.kind == "count" else measure.value]
        if value.dtype == object:
            value = np.array([int(number) for number in value], dtype=object)
        total, none = running[measure.where].total(measure.kind, value, looked.start, until[days])
        found.append(pa.array(total, pa.decimal128(38) if total.dtype == object else None, mask=none))
    return asked["row_id"], found


def _arrays(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, npt.NDArray[Any]]:
    """The columns of an answer; what stands where one is NULL is any value."""
    return {str(name): np.ma.getdata(column) for name, column in connection.execute(sql).fetchnumpy().items()}


def _microseconds(moments: npt.NDArray[Any]) -> Numbers:
    return moments.astype("datetime64[us]", copy=False).view(np.int64)
