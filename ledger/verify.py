"""Is the ledger what it was? Every link is recomputed from the rows as they are now, and compared with what was kept when they came.

Found are: a value that was changed, a row that was removed, inserted or moved, and an end that was cut off. Who can write every table can
also write a whole new chain: against that, keep the heads that a check returns somewhere else, and hand them to a later check.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from ledger import answers, chain, chain_rows
from ledger.chain import Entry, Kind
from ledger.chain_rows import CHUNK, KEY_OF, TABLE_OF, Kept
from ledger.schema import CHAIN_ENTRIES, CHAIN_HEADS, DEEDS

TOMBSTONE = "erased-"
"""How the id begins that stands in the place of an erased contact's."""


@dataclass(frozen=True)
class Bad:
    """The first thing that is not as it was: which link of which stream, and what is wrong with it."""

    stream: str
    seq: int
    key: str
    what: str


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes
    ----------
    rows : int
        Links that were looked at: a decision with its selections, an outcome, a deed are one each.
    first_bad : Bad or None
    heads : mapping of stream to [number, hash in hexadecimal digits]
        The last link of each stream that has any: to be kept elsewhere, for a later check.
    """

    rows: int
    first_bad: Bad | None
    heads: Mapping[str, tuple[int, str]]

    @property
    def intact(self) -> bool:
        """Whether everything is as it was."""
        return self.first_bad is None

    def to_json(self) -> dict[str, Any]:
        """{rows, intact, first_bad, heads}."""
        bad = None if self.first_bad is None else asdict(self.first_bad)
        return {
            "rows": self.rows,
            "intact": self.intact,
            "first_bad": bad,
            "heads": {name: list(head) for name, head in self.heads.items()},
        }


class _Broken(Exception):
    """Ends the check at the first thing that is wrong."""

    def __init__(self, bad: Bad) -> None:
        super().__init__(bad.what)
        self.bad = bad


@dataclass
class _Seen:
    """What a check has met so far."""

    known_heads: Mapping[str, Sequence[Any]]
    rows: int = 0
    parts: Counter[str] = field(default_factory=Counter)
    gone: Counter[str] = field(default_factory=Counter)
    of_tombstone: Counter[tuple[str, str]] = field(default_factory=Counter)


def verify(conn: Connection, known_heads: Mapping[str, Sequence[Any]] | None = None) -> Verdict:
    """Check every stream, within one consistent state.

    Parameters
    ----------
    known_heads : mapping of stream to [number, hash in hexadecimal digits], optional
        `Verdict.heads` of an earlier check: these links must still be there.
    """
    if conn.dialect.name == "postgresql":
        conn.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    seen = _Seen(known_heads or {})
    heads = {row.stream: (int(row.seq), bytes(row.hash)) for row in conn.execute(select(CHAIN_HEADS).order_by(CHAIN_HEADS.c.stream))}
    bad = None
    try:
        for name in chain.streams(conn.dialect.name):
            _check_stream(conn, name, heads.get(name), seen)
        for kind in chain.KINDS:
            _nothing_beside(conn, kind, seen)
        _as_the_deeds_say(conn, seen)
        _answered_as_the_outcomes_say(conn)
    except _Broken as broken:
        bad = broken.bad
    return Verdict(seen.rows, bad, {name: (seq, digest.hex()) for name, (seq, digest) in heads.items() if seq})


def _check_stream(conn: Connection, stream: str, head: tuple[int, bytes] | None, seen: _Seen) -> None:
    if head is None:
        raise _Broken(Bad(stream, 0, "", "the head of the stream is missing"))
    seq, before = 0, chain.BEGINNING
    for entries in _entries(conn, stream):
        kind: Any = chain.kind_of(stream)
        rows = chain_rows.kept(conn, kind, [entry.key for entry in entries])
        joined = chain_rows.joined(conn, [row.contact_id for row in rows.values() if row.contact_id is not None])
        for entry in entries:
            seq += 1
            seen.rows += 1
            row = rows.get(entry.key) if entry.leaf is None else None  # what has the id now came later, and has a link of its own
            wrong = _wrong(entry, seq, before, row, joined) or _not_as_known(entry, seen)
            if wrong is not None:
                raise _Broken(Bad(stream, seq, entry.key, wrong))
            _count(kind, entry, row, seen)
            before = entry.hash
    if head != (seq, before):
        what = f"the stream ends at {seq}, its head is at {head[0]}" if head[0] != seq else "the head does not name the last link"
        raise _Broken(Bad(stream, seq + 1, "", what))
    if stream in seen.known_heads and int(seen.known_heads[stream][0]) > seq:
        raise _Broken(Bad(stream, seq + 1, "", f"the stream ends at {seq}, it was at {seen.known_heads[stream][0]} before"))


def _entries(conn: Connection, stream: str) -> Iterator[list[Entry]]:
    row, last = CHAIN_ENTRIES.c, -(2**62)
    columns = [row[name] for name in Entry._fields]
    while True:
        of = select(*columns).where(row.stream == stream, row.seq > last).order_by(row.seq).limit(CHUNK)
        some = [Entry(*one) for one in conn.execute(of)]
        if not some:
            return
        yield some
        last = some[-1].seq


def _wrong(entry: Entry, seq: int, before: bytes, row: Kept | None, joined: Mapping[str, list[str]]) -> str | None:
    """What is wrong with a link, None where nothing is."""
    if entry.seq != seq:
        return f"link {seq} is missing"
    if entry.leaf is not None:
        return None if chain.link(before, entry.leaf) == entry.hash else "the link does not follow from the one before"
    if row is None:
        return "its row was removed"
    if not row.whole:
        return "its selections are not of the decision"
    if entry.personal is None or not _same_person(entry, row, joined):
        return "its contact, features or trace were changed"
    leaf = chain.leaf_of(entry.stream, seq, entry.personal, row.content.public)
    return None if chain.link(before, leaf) == entry.hash else "its row was changed, or it does not follow from the link before"


def _same_person(entry: Entry, row: Kept, joined: Mapping[str, list[str]]) -> bool:
    """Whether the personal part is what it was; of an erased contact it is gone. Of a joined one it has the id of then."""
    if entry.salt is None:
        return (row.contact_id or "").startswith(TOMBSTONE)
    ids = [row.contact_id, *joined.get(row.contact_id or "", ())]
    rest = row.content.personal[1:]
    return any(chain.personal_digest(entry.salt, row.content._replace(personal=[one, *rest])) == entry.personal for one in ids)


def _not_as_known(entry: Entry, seen: _Seen) -> str | None:
    known = seen.known_heads.get(entry.stream)
    if known is None or int(known[0]) != entry.seq or str(known[1]) == entry.hash.hex():
        return None
    return "the link is another one than at an earlier check"


def _count(kind: str, entry: Entry, row: Kept | None, seen: _Seen) -> None:
    if row is None:
        seen.gone[kind] += 1
        return
    seen.parts[kind] += row.parts
    if entry.salt is None and row.contact_id is not None:
        seen.of_tombstone[row.contact_id, kind] += 1


def _nothing_beside(conn: Connection, kind: Kind, seen: _Seen) -> None:
    """No row without a link."""
    if chain_rows.count(conn, kind) == seen.parts[kind]:
        return
    key, entry = TABLE_OF[kind].c[KEY_OF[kind]], CHAIN_ENTRIES.c
    vouched = select(entry.key).where(entry.stream.like(f"{kind}/%"), entry.leaf.is_(None))
    extra = conn.execute(select(key).where(key.not_in(vouched)).order_by(key).limit(1)).scalar_one_or_none()
    raise _Broken(Bad(kind, 0, str(extra or ""), "a row was inserted that no link vouches for"))


def _as_the_deeds_say(conn: Connection, seen: _Seen) -> None:
    """What was erased or removed by age is what the deeds say was, and no more."""
    removed: Counter[str] = Counter()
    erased: Counter[tuple[str, str]] = Counter()
    for deed, about in conn.execute(select(DEEDS.c.deed, DEEDS.c.about).where(DEEDS.c.deed.in_(["removal", "erasure"]))):
        said = msgspec.json.decode(about)
        for kind in chain.KINDS:
            if deed == "removal":
                removed[kind] += said.get(kind, 0)
            else:
                erased[said["tombstone"], kind] += said.get(kind, 0)
    for kind in chain.KINDS:
        if removed[kind] != seen.gone[kind]:
            what = f"{seen.gone[kind]} rows are gone by age, the deeds say {removed[kind]}"
            raise _Broken(Bad(kind, 0, "", what))
    for tombstone, of in sorted(seen.of_tombstone.keys() | erased.keys()):
        found, said = seen.of_tombstone[tombstone, of], erased[tombstone, of]
        if found > said or (found < said and not removed[of]):
            raise _Broken(Bad(of, 0, tombstone, f"{found} rows are without a person, the deed says {said}"))


def _answered_as_the_outcomes_say(conn: Connection) -> None:
    """The mark by which caps find what was answered says what the outcomes say."""
    unlike = answers.first_unlike(conn)
    if unlike is not None:
        raise _Broken(Bad("decisions", 0, unlike, "whether it was answered is not what its outcomes say"))
