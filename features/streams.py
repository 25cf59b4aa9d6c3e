"""Timed facts as running totals, so that any window at any as_of costs two look-ups.

A stream is a list of facts of one key (a contact or an account), each at a moment. Its running totals hold, at every moment, what had
accumulated until then. The total of a window is the total before as_of minus the total before its start, each found by one ASOF join:
``O((facts + entities) log facts)`` however long the window and however many as_ofs a contact has. Sums are of whole numbers (money in
millionths), so a difference of totals is exact and later facts cannot move it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import duckdb

from features.sources import quoted

MONEY_UNIT = 1_000_000
"""Money travels through totals as whole millionths."""


@dataclass(frozen=True)
class Measure:
    """What a stream accumulates.

    Parameters
    ----------
    name : str
        Column of the running totals.
    sql : str
        Aggregate over the facts of one moment.
    over : {"count", "sum", "min", "max", "last"}
        How moments accumulate: "count" adds small whole numbers, "last" keeps the newest that is not NULL.
    """

    name: str
    sql: str
    over: Literal["count", "sum", "min", "max", "last"] = "count"

    def running(self) -> str:
        """SQL of the accumulated value at a moment."""
        name = quoted(self.name)
        if self.over == "count":  # DuckDB's sum has 16 bytes; a count needs 4
            return f"CAST(sum({name}) OVER moments AS INTEGER) AS {name}"
        function = f"last_value({name} IGNORE NULLS)" if self.over == "last" else f"{self.over}({name})"
        return f"{function} OVER moments AS {name}"


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
        SQL with the key, its ``moment`` and whatever the measures aggregate.
    measures : tuple of Measure
    clock : {"as_of", "known_at"}
        Which cut of an entity applies; ``known_at`` is as_of, or the end of time for a timeless entity.
    """

    name: str
    key: Literal["contact_id", "account_id"]
    facts: str
    measures: tuple[Measure, ...]
    clock: Literal["as_of", "known_at"] = "as_of"


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

    ``entity_rows`` has ``row_id, contact_id, account_id, as_of, known_at``.
    """
    wanted = sorted(set(totals))
    tables: list[str] = []
    for stream in streams:
        own = [total for total in wanted if total.stream == stream.name]
        if not own:
            continue
        _write_running(connection, stream, {total.measure for total in own})
        for days in sorted({total.days_before for total in own}):
            tables.append(_write_points(connection, stream, [total for total in own if total.days_before == days], days))
        connection.execute(f"DROP TABLE {_running(stream)}")
    return tables


def _running(stream: Stream) -> str:
    return quoted(f"{stream.name} running")


def _write_running(connection: duckdb.DuckDBPyConnection, stream: Stream, needed: set[str]) -> None:
    measures = [measure for measure in stream.measures if measure.name in needed]
    moments = ", ".join(f"{measure.sql} AS {quoted(measure.name)}" for measure in measures)
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE {_running(stream)} AS
        WITH facts AS ({stream.facts}),
        by_moment AS (
            SELECT {stream.key}, moment, {moments} FROM facts
            WHERE {stream.key} IS NOT NULL AND moment IS NOT NULL GROUP BY {stream.key}, moment
        )
        SELECT {stream.key}, moment, {", ".join(measure.running() for measure in measures)}
        FROM by_moment WINDOW moments AS (PARTITION BY {stream.key} ORDER BY moment ROWS UNBOUNDED PRECEDING)
        """
    )


def _write_points(connection: duckdb.DuckDBPyConnection, stream: Stream, totals: list[Total], days: int) -> str:
    table = quoted(f"{stream.name} before {days}")
    columns = ", ".join(f"running.{quoted(total.measure)} AS {total.sql}" for total in totals)
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE {table} AS
        SELECT points.row_id, {columns}
        FROM (SELECT row_id, {stream.key}, {stream.clock} - INTERVAL {days} DAY AS cut FROM entity_rows) points
        ASOF LEFT JOIN {_running(stream)} running ON points.{stream.key} = running.{stream.key} AND points.cut > running.moment
        """
    )
    return table
