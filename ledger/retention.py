"""What is old goes, by age: decisions with their selections, outcomes, events, leads that have ended, and what went out.

The links of decisions, outcomes and events stay as bare digests, so the chain still holds.

An outcome of a decision that stays, stays with it; one that has no decision goes by its own time. What a plan or a cap still counts on is
younger than any sensible age: the shortest that is allowed covers the longest contact policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, exists, select, update

from ledger import answers, chain, chain_rows, codec, deeds, leads
from ledger.chain import Kind
from ledger.schema import CHAIN_ENTRIES, DECISIONS, EVENTS, OPEN_EVENTS, OUTCOMES, REQUEST_CLAIMS, SELECTIONS, WEBHOOK_MESSAGES

AT_ONCE = 1_000
"""Rows of one transaction: how long a server's decisions wait."""


def remove_some(conn: Connection, before: datetime, now: datetime) -> dict[str, int]:
    """Remove some of what happened before a time, decisions first; nothing is left to do where it returns no row."""
    if conn.dialect.name == "sqlite":
        conn.exec_driver_sql("PRAGMA secure_delete = ON")  # what is removed is overwritten in the file, too
    cut = codec.micros(before)
    d, o = DECISIONS.c, OUTCOMES.c
    decisions = list(conn.execute(select(d.decision_id).where(d.decided_at < cut).order_by(d.decision_id).limit(AT_ONCE)).scalars())
    gone = select(o.event_id).where(o.decision_id.in_(decisions)) if decisions else None
    if gone is None:
        held = exists().where(d.decision_id == o.decision_id)
        gone = select(o.event_id).where(o.occurred_at < cut, ~held).order_by(o.event_id).limit(AT_ONCE)
    outcomes = list(conn.execute(gone).scalars())
    _hollow(conn, "outcomes", outcomes)
    _hollow(conn, "decisions", decisions)
    for some in codec.chunks(outcomes, AT_ONCE):
        conn.execute(delete(OUTCOMES).where(o.event_id.in_(some)))
    if decisions:
        conn.execute(delete(REQUEST_CLAIMS).where(REQUEST_CLAIMS.c.decision_id.in_(decisions)))
        answers.hold(conn, SELECTIONS.c.decision_id.in_(decisions))
        conn.execute(delete(SELECTIONS).where(SELECTIONS.c.decision_id.in_(decisions)))
        conn.execute(delete(DECISIONS).where(d.decision_id.in_(decisions)))
    counts = {"decisions": len(decisions), "outcomes": len(outcomes), "events": _remove_events(conn, cut)}
    counts["leads"] = leads.remove_ended(conn, cut, AT_ONCE)
    if any(counts.values()):
        deeds.add(conn, "removal", now, {"before": cut, **counts})
    return counts


def _remove_events(conn: Connection, cut: int) -> int:
    """Remove some events, with whatever of them was not settled yet, and what went out long ago or never will; returns the events."""
    e, m = EVENTS.c, WEBHOOK_MESSAGES.c
    events = list(conn.execute(select(e.event_id).where(e.occurred_at < cut).order_by(e.event_id).limit(AT_ONCE)).scalars())
    _hollow(conn, "events", events)
    conn.execute(delete(OPEN_EVENTS).where(OPEN_EVENTS.c.event_id.in_(events)))
    conn.execute(delete(EVENTS).where(e.event_id.in_(events)))
    conn.execute(delete(WEBHOOK_MESSAGES).where(m.settled_at < cut))
    return len(events)


def _hollow(conn: Connection, kind: Kind, keys: Sequence[str]) -> None:
    """Leave of these rows' links what the chain needs: the leaf. An id may have been another row's before, of which no more is left."""
    entry = CHAIN_ENTRIES.c
    for some in codec.chunks(keys, AT_ONCE):
        rows = chain_rows.kept(conn, kind, some)
        links = select(entry.stream, entry.seq, entry.key, entry.personal).where(entry.stream.like(f"{kind}/%"), entry.key.in_(some))
        for link in conn.execute(links.where(entry.leaf.is_(None))).all():
            leaf = chain.leaf_of(link.stream, link.seq, bytes(link.personal), rows[link.key].content.public)
            here = (entry.stream == link.stream, entry.seq == link.seq)
            conn.execute(update(CHAIN_ENTRIES).where(*here).values(leaf=leaf, salt=None, personal=None))
