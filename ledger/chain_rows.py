"""The rows that the chain vouches for, read back; and the beginning of the chain in a ledger that had none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Table, func, select

from ledger import chain, codec
from ledger.chain import Content, Kind
from ledger.database import serialise
from ledger.schema import CHAIN_HEADS, DECISIONS, DEEDS, EVENTS, IDENTITIES, OUTCOMES, SELECTIONS

CHUNK = 1_000
"""Rows read at once: what bounds the memory of a check."""

TABLE_OF: Mapping[Kind, Table] = {"decisions": DECISIONS, "outcomes": OUTCOMES, "deeds": DEEDS, "events": EVENTS}
KEY_OF: Mapping[Kind, str] = {"decisions": "decision_id", "outcomes": "event_id", "deeds": "deed_id", "events": "event_id"}


class Kept(NamedTuple):
    """A row as it is now.

    contact_id : of whom it is; None where it is of nobody
    parts : how many rows it consists of
    whole : whether its parts agree with each other
    """

    content: Content
    contact_id: str | None
    parts: int = 1
    whole: bool = True


def kept(conn: Connection, kind: Kind, keys: Sequence[str]) -> dict[str, Kept]:
    """The rows with these keys; those that are not there are left out."""
    if not keys:
        return {}
    table = TABLE_OF[kind]
    rows = [_plain(row) for row in conn.execute(select(table).where(table.c[KEY_OF[kind]].in_(keys)))]
    if kind == "decisions":
        return _decisions(conn, rows)
    of = {"outcomes": chain.outcome_content, "deeds": chain.deed_content, "events": chain.event_content}[kind]
    return {row[KEY_OF[kind]]: Kept(of(row), row["contact_id"]) for row in rows}


def _decisions(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> dict[str, Kept]:
    chosen: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    ids = [row["decision_id"] for row in rows]
    for one in conn.execute(select(SELECTIONS).where(SELECTIONS.c.decision_id.in_(ids)).order_by(SELECTIONS.c.rank)):
        chosen[one.decision_id].append(_plain(one))
    found = {}
    for row in rows:
        mine = chosen[row["decision_id"]]
        whole = all(one[name] == row[name] for one in mine for name in ("contact_id", "decided_at", "plan_id"))
        found[row["decision_id"]] = Kept(chain.decision_content(row, mine), row["contact_id"], 1 + len(mine), whole)
    return found


def _plain(row: Row[Any]) -> dict[str, Any]:
    return dict(zip(row._fields, row, strict=True))


def count(conn: Connection, kind: Kind) -> int:
    """How many rows of a kind there are, with their parts."""
    tables = (DECISIONS, SELECTIONS) if kind == "decisions" else (TABLE_OF[kind],)
    return sum(int(conn.execute(select(func.count()).select_from(table)).scalar_one()) for table in tables)


def started(conn: Connection) -> bool:
    """Whether the ledger has its streams, of every kind."""
    return not _missing(conn)


def start(conn: Connection) -> None:
    """Give the ledger the streams that it lacks, and link what is there already: an earlier version's rows are evidence from now on."""
    serialise(conn, ["chain"])
    names = _missing(conn)
    if not names:
        return
    conn.execute(CHAIN_HEADS.insert(), [{"stream": name, "seq": 0, "hash": chain.BEGINNING} for name in names])
    new = {chain.kind_of(name) for name in names}
    for kind in (one for one in chain.KINDS if one in new):
        for keys in all_keys(conn, kind):
            rows = kept(conn, kind, keys)
            chain.extend(conn, kind, [rows[key].content for key in keys])


def _missing(conn: Connection) -> list[str]:
    """The streams of the kinds of which the ledger has none at all; one that lost a head alone was tampered with."""
    have = {chain.kind_of(name) for name in conn.execute(select(CHAIN_HEADS.c.stream)).scalars()}
    return [name for name in chain.streams(conn.dialect.name) if chain.kind_of(name) not in have]


def all_keys(conn: Connection, kind: Kind) -> Iterator[list[str]]:
    """The keys of every row of a kind, in their order, some at a time."""
    key = TABLE_OF[kind].c[KEY_OF[kind]]
    last: str | None = None
    while True:
        some = select(key).order_by(key).limit(CHUNK)
        keys = list(conn.execute(some if last is None else some.where(key > last)).scalars())
        if not keys:
            return
        yield keys
        last = keys[-1]


def joined(conn: Connection, contact_ids: Sequence[str]) -> dict[str, list[str]]:
    """The ids under which rows of these contacts were written before they were joined to them."""
    found: dict[str, list[str]] = defaultdict(list)
    for some in codec.chunks(dict.fromkeys(contact_ids), CHUNK):
        row = IDENTITIES.c
        for anonymous_id, contact_id in conn.execute(select(row.anonymous_id, row.contact_id).where(row.contact_id.in_(some))):
            found[contact_id].append(anonymous_id)
    return found
