"""What happened, once per `event_id`: the first arrival holds, every later one is a duplicate whatever it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, Select, bindparam, select

from ledger import answers, chain, codec
from ledger.prepared import InsertNew
from ledger.schema import OUTCOMES


@dataclass(frozen=True)
class OutcomeRecord:
    """One outcome of a contact; `value` is money, times are aware UTC, `late` says that it came after its window."""

    event_id: str
    contact_id: str
    outcome: str
    behaviour: str
    occurred_at: datetime
    received_at: datetime
    decision_id: str | None = None
    treatment_id: str | None = None
    action_id: str | None = None
    value: float | None = None
    late: bool = False


@dataclass(frozen=True)
class Receipt:
    """What became of one outcome: kept now, or already there."""

    status: Literal["accepted", "duplicate"]
    late: bool


def record(conn: Connection, records: Sequence[OutcomeRecord]) -> list[Receipt]:
    """Write the outcomes whose event_id is new; one receipt a record, in order."""
    rows = [_row(item) for item in records]
    new = _INSERT.insert(conn, rows)
    receipts, links, named = [], [], []
    for item, row in zip(records, rows, strict=True):
        receipts.append(Receipt("accepted" if item.event_id in new else "duplicate", item.late))
        if item.event_id in new:
            new.discard(item.event_id)
            links.append(chain.outcome_content(row))
            named += [item.decision_id] if item.decision_id is not None else []
    answers.note(conn, named)
    chain.extend(conn, "outcomes", links)
    return receipts


def of_contact(conn: Connection, contact_id: str, limit: int) -> list[OutcomeRecord]:
    """A contact's outcomes, newest first."""
    return [_record(row) for row in conn.execute(_OF_CONTACT, {"contact_id": contact_id, "limit": limit})]


def by_event(conn: Connection, event_ids: Sequence[str]) -> list[OutcomeRecord]:
    """The outcomes with these event_ids, in their order; unknown ones are left out."""
    row = OUTCOMES.c
    return [_record(one) for one in conn.execute(select(OUTCOMES).where(row.event_id.in_(event_ids)).order_by(row.event_id))]


def for_decision(conn: Connection, decision_id: str) -> list[OutcomeRecord]:
    """A decision's outcomes, oldest first."""
    return [_record(row) for row in conn.execute(_FOR_DECISION, {"decision_id": decision_id})]


def _row(item: OutcomeRecord) -> dict[str, Any]:
    return {
        "event_id": item.event_id,
        "decision_id": item.decision_id,
        "contact_id": item.contact_id,
        "treatment_id": item.treatment_id,
        "action_id": item.action_id,
        "outcome": item.outcome,
        "behaviour": item.behaviour,
        "value": codec.finite(item.value),
        "occurred_at": codec.micros(item.occurred_at),
        "received_at": codec.micros(item.received_at),
        "late": item.late,
    }


def _record(row: Row[Any]) -> OutcomeRecord:
    return OutcomeRecord(
        event_id=row.event_id,
        contact_id=row.contact_id,
        outcome=row.outcome,
        behaviour=row.behaviour,
        occurred_at=codec.moment(row.occurred_at),
        received_at=codec.moment(row.received_at),
        decision_id=row.decision_id,
        treatment_id=row.treatment_id,
        action_id=row.action_id,
        value=row.value,
        late=row.late,
    )


# Built once: composing a statement costs more than running it.
_INSERT = InsertNew(OUTCOMES)
_OF_CONTACT: Select[Any] = (
    select(OUTCOMES)
    .where(OUTCOMES.c.contact_id == bindparam("contact_id"))
    .order_by(OUTCOMES.c.occurred_at.desc(), OUTCOMES.c.event_id.desc())
    .limit(bindparam("limit"))
)
_FOR_DECISION: Select[Any] = (
    select(OUTCOMES).where(OUTCOMES.c.decision_id == bindparam("decision_id")).order_by(OUTCOMES.c.occurred_at, OUTCOMES.c.event_id)
)
