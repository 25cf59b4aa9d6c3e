"""Every row of the ledger as a link of a chain: what was edited, removed, inserted, reordered or cut off afterwards shows.

A stream is a chain of its own, such as `decisions/0`; its head row holds the number and the hash of its last link. With ``+`` for bytes
one after the other and ``pack`` for MessagePack, whose numbers have one spelling whatever library writes them,

    personal = sha256(salt + pack(who, what was known of them) + trace)
    leaf     = sha256(personal + pack(stream, number, all that is nobody's))
    hash     = sha256(hash of the link before + leaf)

Identity and features enter by their own salted digest alone, so a contact can be erased: identity and salts go, the digests stay, and every
link still follows from the one before. Where whole rows go by age, their leaves stay.

SQLite has one writer at a time, so each kind is one stream. PostgreSQL has several streams a kind: a transaction takes any whose head no
other transaction holds, so writers do not wait for each other. Linking is the last thing that a transaction does: whoever holds a head
waits for nobody.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from operator import itemgetter
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import Connection

from ledger.database import driver_run

Kind: TypeAlias = Literal["decisions", "outcomes", "deeds", "events"]
KINDS: tuple[Kind, ...] = ("decisions", "outcomes", "deeds", "events")
STREAMS = {"sqlite": 1, "postgresql": 32}
"""Streams of each kind: one a simultaneous writer."""

BEGINNING = bytes(32)
"""What the first link of a stream follows."""

SALT_BYTES = 16
_TRIPLE = b"\x93"
"""How MessagePack opens a list of three."""

_pack = msgspec.msgpack.Encoder().encode
_Row: TypeAlias = Mapping[str, Any]
_DECISION = itemgetter("decision_id", "decided_at", "channel", "plan_id", "control_group", "degraded")
_SELECTION = itemgetter(
    *("rank", "action_id", "treatment_id", "channel", "direction", "placement"),
    *("selection_prob", "expected_profit", "cost", "reserved_until", "redeems", "book"),
)
_OUTCOME = itemgetter("decision_id", "treatment_id", "action_id", "outcome", "behaviour", "value", "occurred_at", "received_at")

_EVENT = itemgetter("event_type", "occurred_at", "received_at", "value", "channel")
_WHOSE_EVENT = itemgetter("contact_id", "event_id", "session_id", "content_id", "anonymous_id")


class Content(NamedTuple):
    """What a link vouches for.

    key : its id
    public : what is nobody's: times, treatments, money
    personal : who, and what else goes when they are erased
    trace : the rest of the personal part, as it is kept
    """

    key: str
    public: Sequence[Any]
    personal: list[Any]
    trace: bytes = b""


class Entry(NamedTuple):
    """A link as it is kept, in the order of the table's columns.

    `salt` is NULL where the contact was erased; `leaf` is kept only where the row itself is gone, and then `personal` is not.
    """

    stream: str
    seq: int
    key: str
    salt: bytes | None
    personal: bytes | None
    leaf: bytes | None
    hash: bytes


def decision_content(row: _Row, selections: Sequence[_Row]) -> Content:
    """A row of `decisions` with its rows of `selections` in the order of their rank."""
    public = [*_DECISION(row), [_SELECTION(one) for one in selections]]
    personal = [row["contact_id"], row["request_id"], [one["account_id"] for one in selections]]
    return Content(row["decision_id"], public, personal, _bytes(row["trace"]))


def outcome_content(row: _Row) -> Content:
    """A row of `outcomes`. The caller's event_id counts as personal: who knows what they put into it."""
    return Content(row["event_id"], [*_OUTCOME(row), bool(row["late"])], [row["contact_id"], row["event_id"]])


def event_content(row: _Row) -> Content:
    """A row of `events`. What came along beside the contract's columns counts as personal: who knows what it says."""
    return Content(row["event_id"], list(_EVENT(row)), list(_WHOSE_EVENT(row)), _bytes(row["extra"] or ""))


def deed_content(row: _Row) -> Content:
    """A row of `deeds`."""
    return Content(row["deed_id"], [row["deed_id"], row["deed"], row["done_at"], row["about"]], [row["contact_id"], row["details"]])


def extend(conn: Connection, kind: Kind, contents: Iterable[Content]) -> None:
    """Link new rows to a stream of their kind, in their order; the last thing to do in their transaction."""
    links = list(contents)
    if not links:
        return
    stream, seq, before = _take_head(conn, kind)
    salts = os.urandom(SALT_BYTES * len(links))
    entries: list[Entry] = []
    for place, content in enumerate(links):
        seq += 1
        salt = salts[place * SALT_BYTES : (place + 1) * SALT_BYTES]
        personal = personal_digest(salt, content)
        before = link(before, leaf_of(stream, seq, personal, content.public))
        entries.append(Entry(stream, seq, content.key, salt, personal, None, before))
    _append(conn, entries)


def _append(conn: Connection, entries: Sequence[Entry]) -> None:
    """Keep new links of one stream, whose last is its head from now on."""
    last = entries[-1]
    insert = _marked(conn, f"INSERT INTO chain_entries ({', '.join(Entry._fields)}) VALUES (?, ?, ?, ?, ?, ?, ?)")
    driver_run(conn, insert, entries, many=True).close()
    driver_run(conn, _marked(conn, "UPDATE chain_heads SET seq = ?, hash = ? WHERE stream = ?"), (last.seq, last.hash, last.stream)).close()


class Sealed(NamedTuple):
    """A link made ready before its place is known: its personal digest, and the public part packed."""

    key: str
    salt: bytes
    personal: bytes
    public: bytes


def seal(content: Content, salt: bytes) -> Sealed:
    """What of a link does not depend on its place, to be made anywhere."""
    return Sealed(content.key, salt, personal_digest(salt, content), _pack(content.public))


def extend_sealed(conn: Connection, kind: Kind, links: Sequence[Sealed]) -> None:
    """`extend`, with links that were made ready."""
    if not links:
        return
    stream, seq, before = _take_head(conn, kind)
    opening = _TRIPLE + _pack(stream)
    entries: list[Entry] = []
    for key, salt, personal, public in links:
        seq += 1
        before = link(before, sha256(personal + opening + _pack(seq) + public).digest())
        entries.append(Entry(stream, seq, key, salt, personal, None, before))
    _append(conn, entries)


def personal_digest(salt: bytes, content: Content) -> bytes:
    """The digest by which the personal part enters."""
    return sha256(salt + _pack(content.personal) + content.trace).digest()


def leaf_of(stream: str, seq: int, personal: bytes, public: Sequence[Any]) -> bytes:
    """The digest of a link's content at its place."""
    return sha256(personal + _pack([stream, seq, public])).digest()


def link(before: bytes, leaf: bytes) -> bytes:
    """The hash of the link with this leaf, after the one with the hash `before`."""
    return sha256(before + leaf).digest()


def kind_of(stream: str) -> str:
    """The kind of a stream.

    Examples
    --------
    >>> kind_of("decisions/7")
    'decisions'
    """
    return stream.partition("/")[0]


def streams(dialect: str) -> list[str]:
    """Every stream of a ledger in such a database."""
    return [f"{kind}/{number}" for kind in KINDS for number in range(STREAMS[dialect])]


def _take_head(conn: Connection, kind: Kind) -> tuple[str, int, bytes]:
    """A head of this kind that is this transaction's until its end."""
    one = "SELECT stream, seq, hash FROM chain_heads WHERE stream"
    if conn.dialect.name == "sqlite":
        found = _head(conn, f"{one} = ?", f"{kind}/0")
    else:
        any_free = f"{one} LIKE %s ORDER BY stream LIMIT 1 FOR UPDATE"
        found = _head(conn, f"{any_free} SKIP LOCKED", f"{kind}/%") or _head(conn, any_free, f"{kind}/%")
    if found is None:
        raise RuntimeError(f"the ledger has no stream of {kind}: its table chain_heads was emptied")
    return found


def _head(conn: Connection, statement: str, stream: str) -> tuple[str, int, bytes] | None:
    cursor = driver_run(conn, statement, (stream,))
    row = cursor.fetchone()
    cursor.close()
    return None if row is None else (row[0], row[1], bytes(row[2]))


def _marked(conn: Connection, statement: str) -> str:
    return statement if conn.dialect.name == "sqlite" else statement.replace("?", "%s")


def _bytes(trace: str | bytes) -> bytes:
    return trace.encode() if isinstance(trace, str) else trace
