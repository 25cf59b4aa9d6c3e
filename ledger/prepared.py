"""Statements made ready once: SQLAlchemy writes the text for each database, the driver runs it.

Composing and running a statement through SQLAlchemy costs several times what SQLite itself takes for it, and a decision runs a dozen. What
a call still needs of SQLAlchemy is the connection, its transaction and its names for errors.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Table, bindparam
from sqlalchemy.sql import ClauseElement

from ledger.database import driver_run

_Take = Callable[[Mapping[str, Any]], Any]
_Order = tuple[tuple[str, _Take], ...]
"""The driver's parameters: each one's name, and how it is taken from the values of a call; with the name `*` it takes a whole list."""

_ROWS_AT_ONCE = 64
_WHOLE = "*"


class Prepared:
    """A statement with named parameters; a parameter that is expanding takes a list that is not empty."""

    def __init__(self, statement: ClauseElement) -> None:
        self.statement = statement
        self._texts: dict[tuple[Any, ...], tuple[str, _Order]] = {}

    def rows(self, conn: Connection, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """The rows that it finds, or returns of what it has written."""
        cursor = self._run(conn, values)
        try:
            found: list[tuple[Any, ...]] = cursor.fetchall()
        finally:
            cursor.close()
        return found

    def pages(self, conn: Connection, size: int) -> Iterator[list[tuple[Any, ...]]]:
        """The rows that it finds without any values, `size` of them at a time: no more are held here."""
        text, order = self._text(conn, {})
        cursor = driver_run(conn, text, _bound(conn, {}, order), held_there=True)
        try:
            while page := cursor.fetchmany(size):
                yield page
        finally:
            cursor.close()

    def execute(self, conn: Connection, values: Mapping[str, Any]) -> None:
        """Run it for what it writes."""
        self._run(conn, values).close()

    def execute_many(self, conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run it once a row."""
        if not rows:
            return
        text, order = self._text(conn, rows[0])
        driver_run(conn, text, [_bound(conn, row, order) for row in rows], many=True).close()

    def _run(self, conn: Connection, values: Mapping[str, Any]) -> Any:
        padded = {name: _padded(value) if value.__class__ is list else value for name, value in values.items()}
        text, order = self._text(conn, padded)
        return driver_run(conn, text, _bound(conn, padded, order))

    def _text(self, conn: Connection, values: Mapping[str, Any]) -> tuple[str, _Order]:
        key = (conn.dialect.name, *[len(value) for value in values.values() if value.__class__ is list])
        found = self._texts.get(key)
        if found is None:
            found = self._texts[key] = _compiled(self.statement, conn, values)
        return found


class InsertNew:
    """Inserts the rows of `table` whose primary key is new, leaves the others as they were, and says which it inserted.

    A key that stands twice in the rows is inserted once, the first time. Rows go in in the order of their keys: two writers with the same
    keys then wait for each other in PostgreSQL, never in a circle.

    Parameters
    ----------
    table : Table
    as_bytes : names of columns of text
        Their values are given as the bytes of their UTF-8, which become text in the database alone.
    """

    def __init__(self, table: Table, as_bytes: Collection[str] = ()) -> None:
        self._table = table
        self._names = tuple(column.name for column in table.columns)
        self._as_bytes = as_bytes
        self._values_of = itemgetter(*self._names)
        self._texts: dict[tuple[str, int], str] = {}

    def insert(self, conn: Connection, rows: Sequence[Mapping[str, Any]]) -> set[str]:
        """Insert; returns the first column of the rows that were not there."""
        new: list[str] = []
        ordered = sorted(rows, key=itemgetter(self._names[0]))
        for start in range(0, len(ordered), _ROWS_AT_ONCE):
            some = ordered[start : start + _ROWS_AT_ONCE]
            cursor = driver_run(conn, self._text(conn, len(some)), tuple(chain.from_iterable(map(self._values_of, some))))
            new += [key for (key,) in cursor.fetchall()]
            cursor.close()
        return set(new)

    def _text(self, conn: Connection, count: int) -> str:
        key = (conn.dialect.name, count)
        if key not in self._texts:
            mark, text = ("?", "CAST(? AS TEXT)") if conn.dialect.name == "sqlite" else ("%s", "convert_from(%s, 'UTF8')")
            row = f"({', '.join(text if name in self._as_bytes else mark for name in self._names)})"
            names = ", ".join(f'"{name}"' for name in self._names)
            self._texts[key] = (
                f'INSERT INTO "{self._table.name}" ({names}) VALUES {", ".join([row] * count)} '
                f'ON CONFLICT DO NOTHING RETURNING "{self._names[0]}"'
            )
        return self._texts[key]


def named_values(table: Table) -> dict[str, Any]:
    """The VALUES of an insert of whole rows: each column of `table` is a parameter of its name."""
    return {column.name: bindparam(column.name, type_=column.type) for column in table.columns}


def _compiled(statement: Any, conn: Connection, values: Mapping[str, Any]) -> tuple[str, _Order]:
    state = statement.compile(dialect=conn.dialect).construct_expanded_state(dict(values))
    given: dict[str, tuple[str, _Take] | None] = {}
    for name, value in values.items():
        given[name] = name, itemgetter(name)
        if isinstance(value, list):
            given.update((f"{name}_{place + 1}", (f"{name}_{place + 1}", _element(name, place))) for place in range(len(value)))
            if state.positiontup:  # its marks stand one after the other: the first takes them all
                given.update((f"{name}_{place + 1}", None) for place in range(1, len(value)))
                given[f"{name}_1"] = _WHOLE, itemgetter(name)
    names = state.positiontup or list(state.parameters)
    order = (given[name] if name in given else (name, _constant(state.parameters[name])) for name in names)
    return state.statement, tuple(one for one in order if one is not None)


def _element(name: str, place: int) -> _Take:
    return lambda values: values[name][place]


def _constant(value: Any) -> _Take:
    return lambda _values: value


def _bound(conn: Connection, values: Mapping[str, Any], order: _Order) -> Any:
    """The parameters as the driver takes them: by place for SQLite, by name for PostgreSQL."""
    if conn.dialect.name != "sqlite":
        return {name: take(values) for name, take in order}
    bound: list[Any] = []
    for name, take in order:
        if name is _WHOLE:
            bound += take(values)
        else:
            bound.append(take(values))
    return bound


def _padded(values: list[Any]) -> list[Any]:
    """The list, its last value repeated up to a power of two: IN is about a set, and so there are few texts."""
    return values + values[-1:] * ((1 << (len(values) - 1).bit_length()) - len(values))
