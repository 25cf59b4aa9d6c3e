"""The ledger's rows for measurement: whole tables as columns, a stretch at a time, read in one consistent state.

A column of a stretch comes as one text, its values with a separator between them, made by the database itself: a Python object for each
value of a million rows takes twice as long as everything that is then done with them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

from sqlalchemy import Connection, Float, Table

from ledger.database import Database
from ledger.events import TRIGGERED
from ledger.schema import DECISIONS, LEADS, OUTCOMES, SELECTIONS

STRETCH = 50_000
"""Rows handed over at a time: what is in memory beside the caller's own copy."""

_SEPARATOR = "\x1e"

_READ: dict[str, tuple[Table, tuple[str, ...]]] = {
    "decisions": (DECISIONS, ("contact_id", "decided_at", "control_group")),
    "selections": (SELECTIONS, ("decision_id", "contact_id", "decided_at", "action_id", "treatment_id", "channel", "direction", "cost")),
    "redeemed": (SELECTIONS, ("redeems", "treatment_id")),
    "triggered": (DECISIONS, ("decision_id",)),
    "outcomes": (
        OUTCOMES,
        ("event_id", "decision_id", "contact_id", "treatment_id", "action_id", "outcome", "behaviour", "value", "occurred_at"),
    ),
    "leads": (LEADS, ("contact_id", "handed_over_at", "accepted_at", "rejected_at", "won_at", "revenue")),
}
_ONLY = {"redeemed": "redeems IS NOT NULL", "triggered": f"substr(request_id, 1, {len(TRIGGERED)}) = '{TRIGGERED}'"}
TABLES: dict[str, tuple[str, ...]] = {
    name: tuple("occurred_at" if one == "decided_at" else one for one in columns) for name, (_, columns) in _READ.items()
}
"""The columns of each; times are UTC microseconds since 1970. `redeemed` names the selections that a later decision carried out: the two
are one touch; `triggered` the decisions that an event called for."""


class Stretch(NamedTuple):
    """Some rows of a table: a text a column, in the order of `TABLES`, its values between separators; NULL is an empty value."""

    rows: int
    separator: str
    texts: tuple[str, ...]


class LedgerReader:
    """Reads whole tables beside whatever serves; writes nothing.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, LedgerReader(f"sqlite:///{folder}/ledger.db") as reader, reader.reading() as conn:
    ...     list(reader.stretches(conn, "decisions"))
    []
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction in which all tables are of one moment."""
        with self._database.reading() as conn:
            yield conn

    def stretches(self, conn: Connection, table: str) -> Iterator[Stretch]:
        """A table's rows, in any order."""
        of_dialect = _of_sqlite if conn.dialect.name == "sqlite" else _of_postgresql
        driver = conn.connection.cursor()
        try:
            yield from of_dialect(driver, table)
        finally:
            driver.close()


def _of_sqlite(driver: Any, table: str) -> Iterator[Stretch]:
    """By numbers of rows: an aggregate over a range of them reads the table once and sorts nothing."""
    name = _READ[table][0].name
    only = f" AND {_ONLY[table]}" if table in _ONLY else ""
    first, last = driver.execute(f"SELECT min(rowid), max(rowid) FROM {name}").fetchone()
    for begin in () if first is None else range(first, last + 1, STRETCH):
        rows = f"FROM {name} WHERE rowid >= {begin} AND rowid < {begin + STRETCH}{only}"
        for separator in (_SEPARATOR, uuid.uuid4().hex):  # the second nobody can have written in a value
            count, *texts = driver.execute(f"SELECT count(*), {_texts(table, separator, 'sqlite')} {rows}").fetchone()
            if count == 0 or all(text.count(separator) == count - 1 for text in texts):
                break
        if count:
            yield Stretch(count, separator, tuple(texts))


def _of_postgresql(driver: Any, table: str) -> Iterator[Stretch]:
    read, columns = _READ[table]
    only = f" WHERE {_ONLY[table]}" if table in _ONLY else ""
    numbered = f"SELECT {', '.join(columns)}, (row_number() OVER () - 1) / {STRETCH} AS part FROM {read.name}{only}"
    # A separator that nobody can have written: what is read once cannot be asked for again in the same order.
    separator = uuid.uuid4().hex
    driver.execute(f"SELECT count(*), {_texts(table, separator, 'postgresql')} FROM ({numbered}) AS numbered GROUP BY part")
    for row in driver:
        yield Stretch(int(row[0]), separator, tuple(row[1:]))


def _texts(table: str, separator: str, dialect: str) -> str:
    """What makes a text of each column; a float in as many digits as it takes to read it back."""
    read, columns = _READ[table]
    joined = "group_concat" if dialect == "sqlite" else "string_agg"
    parts = []
    for name in columns:
        is_float = isinstance(read.c[name].type, Float)
        value = f"printf('%!.17g', {name})" if is_float and dialect == "sqlite" else f"CAST({name} AS TEXT)"
        given = f"CASE WHEN {name} IS NULL THEN '' ELSE {value} END" if read.c[name].nullable else value
        parts.append(f"{joined}({given}, '{separator}')")
    return ", ".join(parts)
