"""Who is inside the triggers that are looked at by time: since which look, and what of it is not decided yet.

A look goes over everybody, some at a time, by one looker at a time (a lease). Whoever is inside and was not at the look before has entered,
and is open until a decision is made; that and the message that goes out are settled in one transaction. What a killed looker left, the next
one finds: the looks that were not ended, and the entries that are open. Whoever is outside again is forgotten, and may enter anew.

What a trigger asks may change. Then nothing is known of who was inside: the next look is a first one, which notes who is inside and lets
nobody enter.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, select, update

from ledger import codec, outbox
from ledger.database import Database, serialise, upsert
from ledger.erasure import erased_among
from ledger.outbox import Message
from ledger.schema import TRIGGER_ENTRIES, TRIGGER_LOOKS

LEASE = timedelta(minutes=2)
"""How long a look is its looker's after its last sign of life."""

_SIGN_AFTER = LEASE / 4

_AT_ONCE = 1_000


@dataclass
class Look:
    """A look under way: at which trigger, when it began, when the last one was (None for a first one), its last sign of life."""

    trigger_id: str
    began: datetime
    before: datetime | None
    signed: datetime


@dataclass(frozen=True)
class Entry:
    """A contact who entered a trigger's condition; `features` are those that the condition read."""

    trigger_id: str
    contact_id: str
    entered_at: datetime
    features: Mapping[str, Any]


@dataclass(frozen=True)
class Stands:
    """How a trigger stands: its last look, how many are inside, and how many entered and are not decided yet."""

    looked_at: datetime | None
    inside: int
    waiting: int


class TriggerLooks:
    """The verbs about them; each is one transaction, durable on return, and raises `Unavailable` where the database cannot answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, every: Mapping[str, timedelta], now: datetime) -> list[str]:
        """Those triggers whose last look is longer ago than theirs of `every`, or that were never looked at."""
        row = TRIGGER_LOOKS.c
        with self._database.reading() as conn:
            last = {one.trigger_id: one.looked_at for one in conn.execute(select(row.trigger_id, row.looked_at))}
        at = codec.micros(now)
        return [one for one, span in every.items() if (was := last.get(one)) is None or was + span // timedelta(microseconds=1) <= at]

    def begin(self, trigger_id: str, asks: str, now: datetime) -> Look | None:
        """Begin a look; None where somebody else is looking. What it asked before is forgotten where it asks something else now."""
        row, at = TRIGGER_LOOKS.c, codec.micros(now)
        with self._database.writing() as conn:
            serialise(conn, [trigger_id])
            kept = conn.execute(select(TRIGGER_LOOKS).where(row.trigger_id == trigger_id)).one_or_none()
            if kept is not None and kept.leased_until > at:
                return None
            same = kept is not None and kept.asks == asks
            if not same:
                conn.execute(delete(TRIGGER_ENTRIES).where(TRIGGER_ENTRIES.c.trigger_id == trigger_id))
            before = kept.looked_at if kept is not None and same else None
            values = {"asks": asks, "looked_at": before, "began_at": at, "leased_until": codec.micros(now + LEASE)}
            insert = upsert(conn.dialect.name, TRIGGER_LOOKS).values(trigger_id=trigger_id, **values)
            conn.execute(insert.on_conflict_do_update(index_elements=[row.trigger_id], set_=values))
        return Look(trigger_id, now, None if before is None else codec.moment(before), now)

    def seen(
        self, look: Look, page: Collection[str], inside: Mapping[str, Mapping[str, Any]], now: datetime, *, opens: bool
    ) -> tuple[int, int] | None:
        """Note who of a page of contacts is inside, with what was read of them; returns how many entered and how many left.

        With `opens` the entries are open: each calls for a decision. None where the look is somebody else's by now. Of most pages nobody
        entered or left, and nothing is written: who writes decisions need not wait. Who was erased since the page was read does not enter.
        """
        with self._database.reading() as conn:
            were = {one for some in codec.chunks(page, _AT_ONCE) for one in conn.execute(_standing(look.trigger_id, some)).scalars()}
        new = [_row(look, contact_id, inside[contact_id], opens) for contact_id in inside if contact_id not in were]
        left = sorted(were - inside.keys())
        if not new and not left and now < look.signed + _SIGN_AFTER:
            return 0, 0
        with self._database.writing() as conn:
            if not _goes_on(conn, look, now):
                return None
            look.signed = now
            for some in codec.chunks(left, _AT_ONCE):
                entry = TRIGGER_ENTRIES.c
                conn.execute(delete(TRIGGER_ENTRIES).where(entry.trigger_id == look.trigger_id, entry.contact_id.in_(some)))
            gone = erased_among(conn, [one["contact_id"] for one in new])
            if new := [one for one in new if one["contact_id"] not in gone]:
                conn.execute(TRIGGER_ENTRIES.insert(), new)
        return len(new), len(left)

    def end(self, look: Look, *, whole: bool = True) -> None:
        """End a look; one that did not go over everybody (not `whole`) counts as not made."""
        values = {"leased_until": 0, **({"looked_at": codec.micros(look.began)} if whole else {})}
        with self._database.writing() as conn:
            conn.execute(update(TRIGGER_LOOKS).where(*_this(look)).values(**values))

    def open(self, trigger_ids: Collection[str], limit: int, *, after: Entry | None = None) -> list[Entry]:
        """The oldest entries of these triggers that are not decided yet, beyond one of them."""
        row = TRIGGER_ENTRIES.c
        order = (row.entered_at, row.trigger_id, row.contact_id)
        some = select(TRIGGER_ENTRIES).where(row.is_open == 1, row.trigger_id.in_(sorted(trigger_ids))).order_by(*order).limit(limit)
        if after is not None:
            here = (codec.micros(after.entered_at), after.trigger_id, after.contact_id)
            later = (row.entered_at == here[0]) & ((row.trigger_id > here[1]) | ((row.trigger_id == here[1]) & (row.contact_id > here[2])))
            some = some.where((row.entered_at > here[0]) | later)
        with self._database.reading() as conn:
            return [_entry(one) for one in conn.execute(some)]

    def inside(self, trigger_id: str, limit: int, *, after: str = "") -> list[str]:
        """Who was inside a trigger's condition when last looked at, in the order of their ids, beyond one of them."""
        row = TRIGGER_ENTRIES.c
        some = select(row.contact_id).where(row.trigger_id == trigger_id, row.contact_id > after).order_by(row.contact_id).limit(limit)
        with self._database.reading() as conn:
            return list(conn.execute(some).scalars())

    def settle(self, entries: Sequence[Entry], messages: Sequence[Message] = ()) -> None:
        """Let entries be decided, and put into the outbox what has to go out because of them: both or neither."""
        row = TRIGGER_ENTRIES.c
        with self._database.writing() as conn:
            outbox.put(conn, messages)
            for one in entries:
                this = (row.trigger_id == one.trigger_id, row.contact_id == one.contact_id, row.entered_at == codec.micros(one.entered_at))
                conn.execute(update(TRIGGER_ENTRIES).where(*this).values(is_open=0, features=None))

    def standing(self) -> dict[str, Stands]:
        """How each trigger stands that was ever looked at."""
        look, entry = TRIGGER_LOOKS.c, TRIGGER_ENTRIES.c
        counted = select(entry.trigger_id, func.count().label("inside"), func.sum(entry.is_open).label("waiting"))
        with self._database.reading() as conn:
            counts = {one.trigger_id: one for one in conn.execute(counted.group_by(entry.trigger_id))}
            looked = {one.trigger_id: one.looked_at for one in conn.execute(select(look.trigger_id, look.looked_at))}
        return {
            one: Stands(
                None if at is None else codec.moment(at),
                int(counts[one].inside) if one in counts else 0,
                int(counts[one].waiting) if one in counts else 0,
            )
            for one, at in looked.items()
        }


def _this(look: Look) -> tuple[ColumnElement[bool], ...]:
    return TRIGGER_LOOKS.c.trigger_id == look.trigger_id, TRIGGER_LOOKS.c.began_at == codec.micros(look.began)


def _goes_on(conn: Connection, look: Look, now: datetime) -> bool:
    """Whether a look is still its looker's; it is so for another while then."""
    serialise(conn, [look.trigger_id])
    going = update(TRIGGER_LOOKS).where(*_this(look)).values(leased_until=codec.micros(now + LEASE))
    return bool(conn.execute(going).rowcount)


def _standing(trigger_id: str, contact_ids: Collection[str]) -> Any:
    row = TRIGGER_ENTRIES.c
    return select(row.contact_id).where(row.trigger_id == trigger_id, row.contact_id.in_(contact_ids))


def _row(look: Look, contact_id: str, features: Mapping[str, Any], opens: bool) -> dict[str, Any]:
    kept = codec.to_json(features) if opens and features else None
    at = codec.micros(look.began)
    return {"trigger_id": look.trigger_id, "contact_id": contact_id, "entered_at": at, "is_open": int(opens), "features": kept}


def _entry(row: Row[Any]) -> Entry:
    return Entry(row.trigger_id, row.contact_id, codec.moment(row.entered_at), json.loads(row.features) if row.features else {})
