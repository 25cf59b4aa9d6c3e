"""Which selections were answered: those whose decision an outcome names. A contact policy looks at these among all that was ever shown.

The mark stands beside the selection and is kept up by whoever writes outcomes (`note`) and decisions (`NAMED_ALREADY`, where an outcome
came first), so that reading a contact's past passes by what was shown and nobody answered. It follows from the outcomes, for which the
chain vouches, and `verify` compares it with them.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, bindparam, exists, func, not_, select, update

from ledger import codec
from ledger.database import driver_run
from ledger.prepared import Prepared
from ledger.schema import DECISIONS, OUTCOMES, SELECTIONS

_CHUNK = 5_000  # ids in one IN list: below the parameter limits of both databases

NAMED_ALREADY = exists().where(OUTCOMES.c.decision_id == bindparam("decision_id"))
"""For the row that is inserted: whether outcomes of its decision are here already."""


def note(conn: Connection, decision_ids: Iterable[str]) -> None:
    """Outcomes of these decisions have come.

    In the order of the ids: two writers with the same ones then wait for each other in PostgreSQL, never in a circle. There a decision may
    also be under way, and neither writer sees the other's rows. So one that is not here yet is waited for, and the next decisions wait.
    """
    ids = sorted(set(decision_ids))
    if conn.dialect.name == "postgresql" and any(_HERE.rows(conn, {"ids": some}) != [(len(some),)] for some in codec.chunks(ids, _CHUNK)):
        driver_run(conn, "LOCK TABLE decisions IN SHARE MODE", ()).close()
    _NOTE.execute_many(conn, [{"answered_id": one} for one in ids])


def hold(conn: Connection, whose: ColumnElement[bool]) -> None:
    """Let nobody mark these selections before the transaction ends: whoever goes on to change several takes them in the order of `note`."""
    if conn.dialect.name == "postgresql":
        in_order = (SELECTIONS.c.decision_id.collate("C"), SELECTIONS.c.rank)
        conn.execute(select(SELECTIONS.c.rank).where(whose).order_by(*in_order).with_for_update(key_share=True)).close()


def first_unlike(conn: Connection) -> str | None:
    """The first decision whose selections are marked otherwise than its outcomes say, None where all are as they say."""
    row = SELECTIONS.c
    named = exists().where(OUTCOMES.c.decision_id == row.decision_id)
    unlike = select(row.decision_id).where(row.answered != named).order_by(row.decision_id).limit(1)
    return conn.execute(unlike).scalar_one_or_none()


_HERE = Prepared(select(func.count()).where(DECISIONS.c.decision_id.in_(bindparam("ids", expanding=True))))
_NOTE = Prepared(
    update(SELECTIONS).where(SELECTIONS.c.decision_id == bindparam("answered_id"), not_(SELECTIONS.c.answered)).values(answered=True)
)
