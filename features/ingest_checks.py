"""What makes a row of a contract table bad, and how the refusal says so.

A check is a column, a condition in SQL over `staging.typed_<table>` that bad rows meet, and the words of the refusal. `checks` lists those
of one table in the order in which they count: a row is bad for the first condition that it meets.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb

from decisioning.errors import DataError, nearest
from decisioning.vocabulary import LONGEST_ID, NO_ACTION, UNFIT_FOR_IDS
from features.ingest_sql import RAW, ROW
from features.sources import literal, quoted
from features.tables import ColumnSpec, TableSpec

EARLIEST, LATEST = "1900-01-01", "2200-01-01"
"""Times outside are typing errors or somebody's word for "never": a database's 0001-01-01 or 9999-12-31."""

_QUARANTINE_HINT = "mend the source, or set bad rows aside with --quarantine"


@dataclass(frozen=True)
class Check:
    """One way in which a row can be bad.

    Parameters
    ----------
    column : str
        The column that the refusal names.
    bad : str
        SQL condition over the typed view; NULL counts as not bad.
    what : str
        What is wrong, in plain words.
    allowed : str, optional
        What would be accepted.
    known : collection of str
        Known names: the nearest to the first bad value becomes the hint.
    hint : str, optional
        What to do, where it is not a name.
    drops : bool
        Such rows are dropped and counted instead of refused.
    """

    column: str
    bad: str
    what: str
    allowed: str | None = None
    known: Collection[str] = field(default=())
    hint: str | None = None
    drops: bool = False


@dataclass(frozen=True)
class Known:
    """What the catalog knows: action ids, and the outcomes' names with their behaviour (None: not said)."""

    actions: frozenset[str]
    outcomes: Mapping[str, str | None]


def checks(connection: duckdb.DuckDBPyConnection, spec: TableSpec, columns: Collection[str], known: Known) -> list[Check]:
    """The checks of one staged table, those that need its own rows or earlier tables (duplicates, references) last."""
    found: list[Check] = []
    for name in columns:
        column = spec.column(name)
        if column is not None:
            found += _value_checks(column, spec.name == "events" and "anonymous_id" in columns)
    found += _name_checks(connection, spec, columns, known)
    if spec.name in ("interactions", "outcomes"):
        found += _all_or_no_times(connection, spec)
    if spec.name == "outcomes":
        neither = "interaction_id IS NULL AND contact_id IS NULL"
        found.append(Check("contact_id", neither, "neither interaction_id nor contact_id says whose outcome it is"))
    found += _duplicate_checks(connection, spec, columns)
    found += _reference_checks(connection, spec)
    return found


def refusal(connection: duckdb.DuckDBPyConnection, spec: TableSpec, check: Check, where: str) -> DataError:
    """The refusal of the rows that meet `where`: table, column, count and three example rows."""
    shown = list(dict.fromkeys([*spec.key, *(c.name for c in spec.columns if c.name.endswith("_id") and c.filled), check.column]))
    view = f"staging.typed_{spec.name}"
    present = {row[0] for row in connection.execute(f"DESCRIBE {view}").fetchall()}
    shown = [name for name in shown if name in present]
    source = ", ".join(quoted(RAW + name) for name in shown)
    rows = connection.execute(f"SELECT {ROW}, {source} FROM {view} WHERE {where} ORDER BY {ROW} LIMIT 3").fetchall()
    bad, total = _count(connection, view, where), _count(connection, view, "true")
    examples = "; ".join(f"row {row[0]}: " + ", ".join(f"{n}={_show(v)}" for n, v in zip(shown, row[1:], strict=True)) for row in rows)
    value = rows[0][1 + shown.index(check.column)] if rows and check.column in shown else None
    near = nearest(str(value), check.known) if check.known and value is not None else None
    hints = [hint for hint in (near, check.hint) if hint]
    return DataError(
        f"{check.what} in {bad:,} of {total:,} rows",
        field=f"{spec.name}.{check.column}",
        got=examples,
        allowed=check.allowed,
        hint="; ".join([*hints, _QUARANTINE_HINT]),
    )


def _value_checks(column: ColumnSpec, anonymous: bool) -> Iterator[Check]:
    """What one column's values must be, whatever the other rows say."""
    name, raw = quoted(column.name), quoted(RAW + column.name)
    given = f"nullif(CAST({raw} AS VARCHAR), '') IS NOT NULL"
    yield from _id_checks(column, name)
    if column.kind == "time":
        hint = f"strptime({column.name}, '%d.%m.%Y') or epoch_ms({column.name}) in the source makes it one"
        allowed = "2026-11-22T10:00:00Z, a date or a timestamp"
        yield Check(column.name, f"{name} IS NULL AND {given}", "not a time", allowed=allowed, hint=hint)
        outside = f"{name} < TIMESTAMP '{EARLIEST}' OR {name} > TIMESTAMP '{LATEST}'"
        yield Check(column.name, outside, "not a plausible time", allowed=f"{EARLIEST} to {LATEST}")
    if column.kind in ("money", "cost", "probability", "weight"):
        yield Check(column.name, f"{name} IS NULL AND {given}", "not a number", allowed="a number")
    if column.kind in ("money", "cost"):
        hint = f"where it means 'not known', write CASE WHEN isfinite({column.name}) THEN {column.name} END"
        yield Check(column.name, f"NOT isfinite({name})", "NaN or infinite money", allowed="a finite number or NULL", hint=hint)
    if column.kind == "cost":
        yield Check(column.name, f"{name} < 0", "negative cost", allowed="0 or more")
    if column.kind == "weight":
        yield Check(column.name, f"NOT ({name} > 0 AND isfinite({name}))", "not a number of rows", allowed="a finite number above 0")
    if column.kind == "probability":
        yield Check(column.name, f"NOT ({name} > 0 AND {name} <= 1)", "not a probability of what was chosen", allowed="above 0, at most 1")
    if column.allowed:
        bad = f"{name} NOT IN ({_listed(column.allowed)})"
        yield Check(column.name, bad, f"unknown {column.name}", allowed=", ".join(column.allowed), known=column.allowed)
    if column.filled:
        anonymous_event = column.name == "contact_id" and anonymous  # a visitor who is not known yet has no contact_id
        bad = f"{name} IS NULL AND anonymous_id IS NULL" if anonymous_event else f"{name} IS NULL"
        yield Check(column.name, bad, "missing value (NULL or empty)")


def _id_checks(column: ColumnSpec, name: str) -> Iterator[Check]:
    """What no request over HTTP could name."""
    if column.kind == "id":
        bad = f"regexp_matches({name}, {literal(UNFIT_FOR_IDS)})"
        hint = f"trim or regexp_replace({column.name}, '[[:cntrl:]]', '', 'g') in the source takes them away"
        yield Check(column.name, bad, "control characters, or nothing but blanks, in an id", allowed="text as it is printed", hint=hint)
    if column.name == "contact_id":
        yield Check(column.name, f"length({name}) > {LONGEST_ID}", "an id too long", allowed=f"up to {LONGEST_ID} characters")


def _name_checks(connection: duckdb.DuckDBPyConnection, spec: TableSpec, columns: Collection[str], known: Known) -> Iterator[Check]:
    """Names that the catalog or the time zone database must know."""
    if spec.name == "interactions":
        yield _unknown("action_id", "action", known.actions | {NO_ACTION})
    if spec.name == "outcomes":
        yield _unknown("outcome", "outcome", known.outcomes)
    if spec.name == "contacts" and "time_zone" in columns:
        zones = zoneinfo.available_timezones()
        rows = connection.execute("SELECT DISTINCT time_zone FROM staging.typed_contacts WHERE time_zone IS NOT NULL").fetchall()
        if unknown := [row[0] for row in rows if row[0] not in zones]:
            bad = f"time_zone IN ({_listed(unknown)})"
            yield Check("time_zone", bad, "unknown time zone", allowed="an IANA name such as Europe/Warsaw", known=zones)


def _unknown(column: str, noun: str, names: Iterable[str]) -> Check:
    known = sorted(names)
    listed = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    bad = f"{column} NOT IN ({_listed(known)})" if known else f"{column} IS NOT NULL"
    return Check(column, bad, f"unknown {noun}", allowed=f"the catalog's: {listed or 'none'}", known=known)


def _all_or_no_times(connection: duckdb.DuckDBPyConnection, spec: TableSpec) -> Iterator[Check]:
    """A one-shot experiment has no times at all; some rows without a time are an error."""
    timed = _count(connection, f"staging.typed_{spec.name}", "occurred_at IS NOT NULL")
    if timed:
        hint = "give every row a time, or none (a one-shot experiment)"
        yield Check("occurred_at", "occurred_at IS NULL", "missing time", hint=hint)
    if spec.name != "outcomes" or not _exists(connection, "interactions") or not _count(connection, "staging.good_interactions", "true"):
        return
    interactions_timed = _count(connection, "staging.good_interactions", "occurred_at IS NOT NULL") > 0
    if timed and not interactions_timed:
        hint = "give the interactions times too, or write NULL AS occurred_at in both"
        yield Check("occurred_at", "occurred_at IS NOT NULL", "outcomes have times but no interaction has one", hint=hint)
    elif interactions_timed and not timed:
        hint = "give the outcomes times too, or write NULL AS occurred_at in both"
        yield Check("occurred_at", "true", "interactions have times but no outcome has one", hint=hint)


def _duplicate_checks(connection: duckdb.DuckDBPyConnection, spec: TableSpec, columns: Collection[str]) -> Iterator[Check]:
    """Rows that repeat an earlier row's key. The search for them is paid for only where there are any."""
    keys = [quoted(name) for name in spec.key if name in columns]
    if not keys:
        return
    view, key = f"staging.typed_{spec.name}", ", ".join(keys)
    repeated = f"SELECT {key} FROM {view} WHERE {keys[0]} IS NOT NULL GROUP BY {key} HAVING count(*) > 1"
    if not connection.execute(f"{repeated} LIMIT 1").fetchone():
        return
    content = ", ".join(f"t.{quoted(name)}" for name in columns)
    same = " AND ".join(f"t.{k} IS NOT DISTINCT FROM r.{k}" for k in keys)
    connection.execute(
        f"CREATE TABLE staging.repeats_{spec.name} AS "
        f"SELECT {ROW}, copies FROM (SELECT {ROW}, row_number() OVER (PARTITION BY {key} ORDER BY {ROW}) AS place, "
        f"min(content) OVER (PARTITION BY {key}) = max(content) OVER (PARTITION BY {key}) AS copies "
        f"FROM (SELECT t.{ROW}, {', '.join('t.' + k for k in keys)}, CAST(row({content}) AS VARCHAR) AS content "
        f"FROM {view} t SEMI JOIN ({repeated}) r ON {same})) WHERE place > 1"
    )
    rows = f"{ROW} IN (SELECT {ROW} FROM staging.repeats_{spec.name}"
    what = f"repeats an earlier {' and '.join(k.strip(chr(34)) for k in keys)}"
    if spec.drops_copies:
        yield Check(spec.key[0], f"{rows} WHERE copies)", what, drops=True)
        what += " with other values"
    hint = "several rows a contact need a valid_from each" if spec.name == "contacts" and len(keys) == 1 else None
    yield Check(spec.key[0], f"{rows})", what, hint=hint)


def _reference_checks(connection: duckdb.DuckDBPyConnection, spec: TableSpec) -> Iterator[Check]:
    """Rows that refer to another table's row which is not there."""
    if spec.name == "interactions":
        bad = "contact_id NOT IN (SELECT contact_id FROM staging.good_contacts)"
        yield Check("contact_id", bad, "contact not in contacts")
    if spec.name == "outcomes" and _exists(connection, "interactions"):
        other = "SELECT o.__row FROM staging.typed_outcomes o JOIN staging.good_interactions i USING (interaction_id)"
        bad = f"{ROW} IN ({other} WHERE o.contact_id <> i.contact_id)"
        yield Check("contact_id", bad, "contact differs from the interaction's")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(literal(name) for name in names)


def _count(connection: duckdb.DuckDBPyConnection, relation: str, where: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {relation} WHERE {where}").fetchone()
    return int(row[0]) if row else 0


def _exists(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    query = "SELECT 1 FROM information_schema.tables WHERE table_schema = 'staging' AND table_name = ?"
    return connection.execute(query, [f"good_{table}"]).fetchone() is not None


def _show(value: Any) -> str:
    text = "NULL" if value is None else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 40 else text[:39] + "…"
