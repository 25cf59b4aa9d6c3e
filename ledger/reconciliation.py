"""Decided, delivered, seen, responded: what became of every choice, by channel and day; and outcomes that fit to no choice.

A choice that a later decision carried out is one with it. `no_response` is not written anywhere: it follows from a window that is over, so
it is the same however often it is asked for, and an outcome that comes late takes it back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Integer, and_, case, cast, exists, func, or_, select

from ledger import codec
from ledger.schema import DECISIONS, OUTCOMES, SELECTIONS

_DAY = timedelta(days=1) // timedelta(microseconds=1)
_LATER = SELECTIONS.alias("later")


@dataclass(frozen=True)
class Reading:
    """How outcomes are read.

    Attributes
    ----------
    delivered, bounced, seen, responded : collections of outcome names
        What bounced was not delivered, whatever else was said of it.
    window : mapping of action_id to how long a response is waited for
    since, until : datetime or None
        Of decisions: from when (inclusive), until when (exclusive).
    now : datetime
    """

    delivered: Collection[str]
    bounced: Collection[str]
    seen: Collection[str]
    responded: Collection[str]
    window: Mapping[str, timedelta]
    now: datetime
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class DayOfChannel:
    """A channel's choices of a UTC day: each counted where any of its outcomes says so; `open` ones still wait for a response."""

    channel: str
    direction: str
    day: str
    decided: int
    delivered: int
    seen: int
    responded: int
    no_response: int
    open: int


def by_day(conn: Connection, how: Reading) -> list[DayOfChannel]:
    """Every channel and day of which anything was chosen, in their order."""
    chosen = _chosen(how).subquery()
    c = chosen.c
    day = cast((c.decided_at - c.decided_at % _DAY) / _DAY, Integer)
    silent = c.responded == 0
    counts = [
        *(func.count(), func.sum(c.delivered), func.sum(c.seen), func.sum(c.responded)),
        *(_sum(and_(silent, c.until <= codec.micros(how.now))), _sum(and_(silent, c.until > codec.micros(how.now)))),
    ]
    found = conn.execute(select(c.channel, c.direction, day, *counts).group_by(c.channel, c.direction, day).order_by(c.channel, day))
    return [
        DayOfChannel(channel, direction, codec.moment(int(number) * _DAY).date().isoformat(), *map(int, rest))
        for channel, direction, number, *rest in found
    ]


def orphans(conn: Connection, how: Reading) -> dict[str, int]:
    """Outcomes that are kept but fit to no choice, by what does not fit; kinds without any are left out."""
    row = OUTCOMES.c
    of_it = DECISIONS.c.decision_id == row.decision_id
    its_choice = exists().where(SELECTIONS.c.decision_id == row.decision_id, SELECTIONS.c.treatment_id == row.treatment_id)
    wrong = {
        "unknown decision": and_(row.decision_id.is_not(None), ~exists().where(of_it)),
        "no decision named": row.decision_id.is_(None),
        "treatment that was not chosen": and_(row.treatment_id.is_not(None), exists().where(of_it), ~its_choice),
        "before its decision": exists().where(of_it, DECISIONS.c.decided_at > row.occurred_at),
        "after its window": row.late,
    }
    found = {}
    for what, condition in wrong.items():
        number = conn.execute(select(func.count()).select_from(OUTCOMES).where(condition, *_span(row.occurred_at, how))).scalar_one()
        if number:
            found[what] = int(number)
    return found


def _chosen(how: Reading) -> Any:
    ours, of = SELECTIONS.c, OUTCOMES.c
    outcome_of = and_(of.decision_id == ours.decision_id, or_(of.treatment_id.is_(None), of.treatment_id == ours.treatment_id))
    carried_out = exists().where(_LATER.c.redeems == ours.decision_id, _LATER.c.treatment_id == ours.treatment_id)
    waits = {action_id: span // timedelta(microseconds=1) for action_id, span in how.window.items()}
    window = case(waits, value=ours.action_id, else_=_DAY) if waits else func.max(_DAY)
    key = (ours.decision_id, ours.rank, ours.channel, ours.direction, ours.decided_at, ours.action_id)
    arrived = case((_any(of.outcome.in_(how.bounced)) == 1, 0), else_=_any(of.outcome.in_(how.delivered)))
    told = [arrived.label("delivered"), _any(of.outcome.in_(how.seen)).label("seen")]
    return (
        select(*key, (ours.decided_at + window).label("until"), *told, _any(of.outcome.in_(how.responded)).label("responded"))
        .select_from(SELECTIONS.outerjoin(OUTCOMES, outcome_of))
        .where(~carried_out, *_span(ours.decided_at, how))
        .group_by(*key)
    )


def _span(time: Any, how: Reading) -> list[Any]:
    return [
        *([time >= codec.micros(how.since)] if how.since is not None else []),
        *([time < codec.micros(how.until)] if how.until is not None else []),
    ]


def _any(condition: Any) -> Any:
    return func.max(case((condition, 1), else_=0))


def _sum(condition: Any) -> Any:
    return func.sum(case((condition, 1), else_=0))
