"""The few shapes that a window feature has, and what a workspace's tables hold to make them from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import duckdb

from decisioning.vocabulary import NO_ACTION
from features.contract import FeatureSpec, unique_identifiers
from features.sources import literal, quoted
from features.streams import MONEY_UNIT, Stream, Total

MOST_VALUES = 12
"""Of event types, channels and purposes the most frequent get features of their own, at most so many."""

TOUCHED = f"action_id <> {literal(NO_ACTION)} AND occurred_at IS NOT NULL"
"""SQL of an interaction that is a touch at a known time."""

ZERO_IF_NONE = "never: 0 where nothing happened"
NOT_YET = "NULL: it never happened before as_of"

_MICROSECONDS_A_DAY = "86400000000.0"
_LISTED = " in "


@dataclass(frozen=True)
class WindowFeature:
    """A feature, its SQL over `totals` (as columns beside ``entity_rows e``), and the totals it needs."""

    spec: FeatureSpec
    sql: str
    totals: tuple[Total, ...]


@dataclass(frozen=True)
class StandardFeatures:
    """Standard features and the streams under them."""

    features: tuple[WindowFeature, ...]
    streams: tuple[Stream, ...]


Group: TypeAlias = Callable[[duckdb.DuckDBPyConnection], StandardFeatures]
"""One kind of standard features, from the tables that are open; none where the tables do not support it."""

NOTHING = StandardFeatures((), ())


def window(stream: str, measure: str, window_days: int | None) -> tuple[str, tuple[Total, ...]]:
    """SQL of what a stream accumulated in the `window_days` before as_of (None: ever), and the totals it needs."""
    until = Total(stream, measure)
    if window_days is None:
        return f"coalesce({until.sql}, 0)", (until,)
    start = Total(stream, measure, window_days)
    return f"coalesce({until.sql}, 0) - coalesce({start.sql}, 0)", (until, start)


def counted(name: str, of: tuple[str, str], window_days: int | None, source: str, description: str) -> WindowFeature:
    """How often, by the measure `of` (stream, measure)."""
    sql, totals = window(*of, window_days)
    return WindowFeature(FeatureSpec(name, "int", "count", ZERO_IF_NONE, window_days, source, description), sql, totals)


def money(name: str, of: tuple[str, str], window_days: int, source: str, description: str) -> WindowFeature:
    """How much money, by the measure `of` (stream, measure in millionths)."""
    sql, totals = window(*of, window_days)
    spec = FeatureSpec(name, "float", "money", ZERO_IF_NONE, window_days, source, description)
    return WindowFeature(spec, f"({sql}) / {MONEY_UNIT}.0", totals)


def elapsed(name: str, moment: Total, source: str, description: str) -> WindowFeature:
    """Days from a moment to as_of, with their fraction."""
    spec = FeatureSpec(name, "float", "days", NOT_YET, None, source, description)
    return WindowFeature(spec, days_to_as_of(moment.sql), (moment,))


def newest(name: str, source: str, last: Total, last_of: Mapping[str, Total], description: str) -> WindowFeature:
    """Which value the newest fact has: of several at one moment the first in the order of `last_of`, the last moments by value.

    `source` is a column; the feature's own source lists the values too (`listed` reads them back).
    """
    rule = f"NULL: none before as_of, or the newest has none of the listed values of {source}"
    spec = FeatureSpec(name, "string", "none", rule, None, f"{source}{_LISTED}{json.dumps(list(last_of), ensure_ascii=False)}", description)
    cases = " ".join(f"WHEN {moment.sql} = {last.sql} THEN {literal(value)}" for value, moment in last_of.items())
    return WindowFeature(spec, f"CASE {cases} END", (last, *last_of.values()))


def listed(spec: FeatureSpec, source: str) -> tuple[str, ...]:
    """The values of a column that a feature made by `newest` tells apart; none where the feature is another.

    Examples
    --------
    >>> made = newest("last_event_type", "events.event_type", Total("e", "last"), {"b": Total("e", "b"), "a": Total("e", "a")}, "")
    >>> listed(made.spec, "events.event_type"), listed(made.spec, "events.channel")
    (('b', 'a'), ())
    """
    begin = source + _LISTED
    return tuple(json.loads(spec.source.removeprefix(begin))) if spec.source.startswith(begin) else ()


def days_to_as_of(moment: str) -> str:
    """SQL of the days from a date or a time to as_of, with their fraction."""
    return f"(epoch_us(e.as_of) - epoch_us(CAST({moment} AS TIMESTAMP))) / {_MICROSECONDS_A_DAY}"


def exists(connection: duckdb.DuckDBPyConnection, table: str, condition: str) -> bool:
    """Whether a table has a row that meets a condition."""
    return bool(connection.execute(f"SELECT 1 FROM {table} WHERE {condition} LIMIT 1").fetchall())


def frequent(connection: duckdb.DuckDBPyConnection, table: str, column: str, condition: str) -> dict[str, str]:
    """The most frequent values of a column with their identifiers, in alphabetical order."""
    rows = connection.execute(
        f"SELECT {quoted(column)}, count(*) FROM {table} WHERE {quoted(column)} IS NOT NULL AND {condition} "
        f"GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MOST_VALUES}"
    ).fetchall()
    return unique_identifiers(sorted(str(value) for value, _ in rows))
