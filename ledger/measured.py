"""The ledger's rows for analysts and reports: whole columns at a time, by where they stand in the chain.

Every row of a stream has a number (`chain`), numbers only grow, and a transaction that is not committed holds none of them: so what was
added since a number is the rows after it, on both databases. What changes later changes for three reasons alone, each of which is a deed:
a contact was erased, a visitor was joined, old rows were removed.

A column of a stretch comes as one text, its values with a separator between them, made by the database itself: a Python object for each
value of a million rows takes twice as long as everything that is then done with them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self, TypeAlias

from sqlalchemy import Boolean, Connection, Float, Integer, Table, select
from sqlalchemy import types as sql_types

from ledger.chain import Kind, streams
from ledger.codec import chunks
from ledger.database import Database, driver_run
from ledger.events import TRIGGERED
from ledger.identities import everyone
from ledger.schema import CHAIN_ENTRIES, CHAIN_HEADS, DECISIONS, DEEDS, EVENTS, LEADS, OUTCOMES, SELECTIONS

STRETCH = 50_000
"""Links looked at a time: what is in memory beside the caller's own copy."""

_SEPARATOR = "\x1e"
_AT_ONCE = 500
_CHANGING = ("erasure", "removal", "identity")
"""Deeds after which rows that were there are others, or are not there."""

Type: TypeAlias = Literal["text", "int", "float", "bool", "time"]
_SQL_TYPES: tuple[tuple[type[sql_types.TypeEngine[Any]], Type], ...] = ((Boolean, "bool"), (Float, "float"), (Integer, "int"))


@dataclass(frozen=True)
class _Source:
    """Where a table's rows are: `key` is what its links name; None where it has no links and is read whole."""

    table: Table
    columns: tuple[str, ...]
    day: str
    kind: Kind | None = None
    key: str = ""


_TRIGGERED = "triggered"
_EXPRESSIONS = {_TRIGGERED: f"CASE WHEN substr(t.request_id, 1, {len(TRIGGERED)}) = '{TRIGGERED}' THEN 1 ELSE 0 END"}
_SOURCES: dict[str, _Source] = {
    "decisions": _Source(
        DECISIONS,
        ("decision_id", "contact_id", "decided_at", "channel", "plan_id", "control_group", "degraded", _TRIGGERED),
        "decided_at",
        "decisions",
        "decision_id",
    ),
    "selections": _Source(
        SELECTIONS,
        (
            *("decision_id", "rank", "contact_id", "account_id", "decided_at", "plan_id", "action_id", "treatment_id", "channel"),
            *("direction", "placement", "selection_prob", "expected_profit", "cost", "redeems"),
        ),
        "decided_at",
        "decisions",
        "decision_id",
    ),
    "outcomes": _Source(OUTCOMES, tuple(OUTCOMES.c.keys()), "occurred_at", "outcomes", "event_id"),
    "events": _Source(EVENTS, tuple(EVENTS.c.keys()), "occurred_at", "events", "event_id"),
    "deeds": _Source(DEEDS, ("deed_id", "deed", "done_at", "about", "contact_id"), "done_at", "deeds", "deed_id"),
    "leads": _Source(LEADS, tuple(one.name for one in LEADS.c if one.name not in ("reason", "details")), "handed_over_at"),
}


@dataclass(frozen=True)
class Layout:
    """How a table is exported: its columns with their types, the time that says its day, and the kind of stream its rows are links of.

    Of a table with links, `stream` and `seq` say which link a row is; one without (`kind` is None) is read whole.
    """

    columns: Mapping[str, Type]
    day: str
    kind: Kind | None


def _type_of(source: _Source, name: str) -> Type:
    if name in _EXPRESSIONS:
        return "bool"
    if name.endswith(("_at", "_by")):
        return "time"
    return next((kind for of, kind in _SQL_TYPES if isinstance(source.table.c[name].type, of)), "text")


TABLES: Mapping[str, Layout] = {
    name: Layout(
        {**({"seq": "int"} if source.kind else {}), **{one: _type_of(source, one) for one in source.columns}}, source.day, source.kind
    )
    for name, source in _SOURCES.items()
}


class Stretch(NamedTuple):
    """Some rows of a table: a text a column, in the order of its layout, its values between separators; NULL is an empty value."""

    rows: int
    separator: str
    texts: tuple[str, ...]


class Head(NamedTuple):
    """The last link of a stream: its number, and its hash in hexadecimal digits."""

    seq: int
    hash: str


class LedgerReader:
    """Reads rows beside whatever serves; writes nothing.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, LedgerReader(f"sqlite:///{folder}/ledger.db") as reader, reader.reading() as found:
    ...     found.heads()["decisions/0"].seq, list(found.whole("leads"))
    (0, [])
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """A transaction to read in."""
        with self._database.reading() as conn:
            yield Reading(conn)


class Reading:
    """What is read in one transaction; what stands up to the heads read first in it is all there."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    def heads(self) -> dict[str, Head]:
        """The last link of every stream."""
        found = {row.stream: Head(row.seq, bytes(row.hash).hex()) for row in self._conn.execute(select(CHAIN_HEADS))}
        return {name: found.get(name, Head(0, "")) for name in streams(self._conn.dialect.name)}

    def holds(self, stream: str, head: Head) -> bool:
        """Whether this was the head of a stream of this ledger, and not of another."""
        if head.seq == 0:
            return True
        entry = CHAIN_ENTRIES.c
        kept = self._conn.execute(select(entry.hash).where(entry.stream == stream, entry.seq == head.seq)).scalar_one_or_none()
        return kept is not None and bytes(kept).hex() == head.hash

    def rows(self, table: str, stream: str, after: int, until: int) -> Iterator[Stretch]:
        """The rows of a table that are links after one number up to another, in their order."""
        for begin in range(after, until, STRETCH):
            yield from self._stretch(table, f"e.stream = '{stream}' AND e.seq > {begin} AND e.seq <= {min(begin + STRETCH, until)}")

    def rows_at(self, table: str, stream: str, numbers: Sequence[int]) -> Iterator[Stretch]:
        """The rows of a table that are these links and are still there."""
        for some in chunks(numbers, _AT_ONCE):
            yield from self._stretch(table, f"e.stream = '{stream}' AND e.seq IN ({', '.join(str(int(one)) for one in some)})")

    def whole(self, table: str) -> Iterator[Stretch]:
        """Every row of a table without links."""
        yield from self._stretch(table, "1 = 1")

    def changed(self, since: Mapping[str, Head], until: Mapping[str, Head]) -> bool:
        """Whether any deed between these heads changed rows that were there."""
        entry = CHAIN_ENTRIES.c
        for stream in (one for one in until if one.startswith("deeds/")):
            new = (entry.stream == stream, entry.seq > since[stream].seq, entry.seq <= until[stream].seq)
            found = select(DEEDS.c.deed_id).join(CHAIN_ENTRIES, entry.key == DEEDS.c.deed_id).where(*new, DEEDS.c.deed.in_(_CHANGING))
            if self._conn.execute(found.limit(1)).first() is not None:
                return True
        return False

    def emptied(self) -> Iterator[tuple[str, int, bool]]:
        """The links (stream, seq) whose contact was erased or whose row was removed, and whether it was removed."""
        entry = CHAIN_ENTRIES.c
        for row in self._conn.execute(select(entry.stream, entry.seq, entry.leaf.is_not(None)).where(entry.salt.is_(None))):
            yield row[0], row[1], bool(row[2])

    def visitors(self) -> list[str]:
        """The visitors who became contacts."""
        return list(everyone(self._conn))

    def _stretch(self, table: str, condition: str) -> Iterator[Stretch]:
        """One aggregate, which sorts nothing. The second separator nobody can have written in a value."""
        source = _SOURCES[table]
        linked = f"chain_entries e JOIN {source.table.name} t ON t.{source.key} = e.key AND e.leaf IS NULL"
        for separator in (_SEPARATOR, uuid.uuid4().hex):
            texts = _texts(source, separator, self._conn.dialect.name)
            asked = f"SELECT count(*), {texts} FROM {linked if source.kind else source.table.name + ' t'} WHERE {condition}"
            cursor = driver_run(self._conn, asked, ())
            count, *found = cursor.fetchone()
            cursor.close()
            if count == 0:
                return
            if all(text.count(separator) == count - 1 for text in found):
                break
        yield Stretch(int(count), separator, tuple(found))


def _texts(source: _Source, separator: str, dialect: str) -> str:
    """What makes a text of each column; a float in as many digits as it takes to read it back."""
    joined = "group_concat" if dialect == "sqlite" else "string_agg"
    parts = [f"{joined}({_as_text('e.seq')}, '{separator}')"] if source.kind else []
    for name in source.columns:
        expression = _EXPRESSIONS.get(name, f"t.{name}")
        is_float = _type_of(source, name) == "float"
        value = f"printf('%!.17g', {expression})" if is_float and dialect == "sqlite" else _as_text(expression)
        nullable = name not in _EXPRESSIONS and source.table.c[name].nullable
        given = f"CASE WHEN {expression} IS NULL THEN '' ELSE {value} END" if nullable else value
        parts.append(f"{joined}({given}, '{separator}')")
    return ", ".join(parts)


def _as_text(expression: str) -> str:
    return f"CAST({expression} AS TEXT)"
