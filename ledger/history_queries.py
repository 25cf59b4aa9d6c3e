"""The statements that read the past: of everyone or of some, by contact or by account. Built once: composing costs more than running."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, FromClause, String, bindparam, exists, literal, not_, or_, select, union_all

from ledger.prepared import Prepared
from ledger.schema import HISTORY_MEMBERS, HISTORY_OUTCOMES, HISTORY_TOUCHES, META, OUTCOMES, SELECTIONS, SENT, SUPPRESSIONS

TOUCH_NAMES = ("action_id", "treatment_id", "channel", "decision_id", "reserved_by")
OUTCOME_NAMES = ("action_id", "outcome")
_LATER = SELECTIONS.alias("later")


def current_generation() -> ColumnElement[int]:
    """The generation of the history rows that count, as a scalar subquery."""
    return select(META.c.history_generation).scalar_subquery()


def _span(at: ColumnElement[int]) -> ColumnElement[bool]:
    return at.between(bindparam("since"), bindparam("now"))


def _whose(key: str, table: FromClause, *, everyone: bool) -> tuple[ColumnElement[Any], FromClause, list[ColumnElement[bool]]]:
    """What names the unit in the history table `table`, where to read it from, and the condition on it."""
    member = HISTORY_MEMBERS.c
    unit: ColumnElement[Any] = table.c.contact_id
    source = table
    if key == "account_id":
        unit = member.account_id
        source = table.join(HISTORY_MEMBERS, (member.contact_id == table.c.contact_id) & (member.generation == current_generation()))
    return unit, source, [] if everyone else [unit.in_(bindparam("ids", expanding=True))]


def _touches(key: str, *, everyone: bool) -> Any:
    past, ours = HISTORY_TOUCHES.c, SELECTIONS.c
    unit, source, of_them = _whose(key, HISTORY_TOUCHES, everyone=everyone)
    no_decision, no_plan = literal(None, String).label("decision_id"), literal(None, String).label("reserved_by")
    ingested = (
        select(unit.label("unit"), past.action_id, past.treatment_id, past.channel, no_decision, no_plan, past.at)
        .select_from(source)
        .where(past.generation == current_generation(), _span(past.at), *of_them)
    )
    carried_out = exists().where(_LATER.c.redeems == ours.decision_id, _LATER.c.treatment_id == ours.treatment_id)
    mine = ours[key]

    def selected(open_for: Any, *which: ColumnElement[bool]) -> Any:
        return select(mine, ours.action_id, ours.treatment_id, ours.channel, ours.decision_id, open_for, ours.decided_at).where(
            *which,
            mine.is_not(None) if everyone else mine.in_(bindparam("ids", expanding=True)),
            ours.decided_at >= bindparam("since"),  # also what another clock has decided a moment from now: it has taken its slot
            or_(ours.plan_id.is_(None), ours.plan_id.not_like(bindparam("plan"))),
            ~carried_out,
        )

    reserved = selected(ours.plan_id, SENT, ours.reserved_until > bindparam("now"), not_(ours.answered))
    answered = selected(no_plan, ours.answered)
    return union_all(ingested, reserved, answered).order_by("unit", "at")


def _outcomes(key: str, *, everyone: bool) -> Any:
    past, ours = HISTORY_OUTCOMES.c, OUTCOMES.c
    unit, source, of_them = _whose(key, HISTORY_OUTCOMES, everyone=everyone)
    mine, ours_from, of_mine = _whose(key, OUTCOMES, everyone=everyone)
    ingested = (
        select(unit.label("unit"), past.action_id, past.outcome, past.at)
        .select_from(source)
        .where(past.generation == current_generation(), _span(past.at), *of_them)
    )
    recorded = select(mine, ours.action_id, ours.outcome, ours.occurred_at).select_from(ours_from).where(_span(ours.occurred_at), *of_mine)
    return union_all(ingested, recorded).order_by("unit", "at")


def _suppressions(*, everyone: bool) -> Any:
    row = SUPPRESSIONS.c
    running = select(row.contact_id, row.action_id, row.channel, row.until).where(row.until > bindparam("now"))
    return running.order_by(row.id) if everyone else running.where(row.contact_id.in_(bindparam("ids", expanding=True))).order_by(row.id)


READ = {
    (key, name): (Prepared(make(key, everyone=True)), Prepared(make(key, everyone=False)))
    for key in ("contact_id", "account_id")
    for name, make in (("touches", _touches), ("outcomes", _outcomes))
}
"""(of everyone, of some) by (key, name)."""

RUNNING_SUPPRESSIONS = (Prepared(_suppressions(everyone=True)), Prepared(_suppressions(everyone=False)))
