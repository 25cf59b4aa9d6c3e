"""Touches and outcomes for the contact policy: the ingested past and our own.

A touch is an ingested interaction (not no_action); or an outbound selection whose reservation still runs or whose decision has an outcome;
or an inbound selection whose decision has an outcome. A selection alone touches nobody: a banner may never have been seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat
from typing import Any

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    or_,
    select,
    union_all,
    update,
)

from decisioning.errors import DataError
from decisioning.vocabulary import NO_ACTION, Columns
from ledger import codec
from ledger.database import Database, insert_rows
from ledger.schema import HISTORY_CONSENTS, HISTORY_OUTCOMES, HISTORY_TOUCHES, META, OUTCOMES, SELECTIONS

_WRITE_ROWS = 25_000  # rows a transaction: an ingest must not keep a server's decisions waiting for long
_READ_CONTACTS = 1_000  # contacts in one IN list


@dataclass(frozen=True)
class PolicyHistory:
    """What contact policy needs of the past.

    touches : Columns
        contact_id, action_id, treatment_id, channel (strings), at (timestamp); oldest first within a contact.
    outcomes : Columns
        contact_id, action_id, outcome (strings), at (timestamp); oldest first within a contact.
    """

    touches: Columns
    outcomes: Columns


def replace(database: Database, touches: Columns, outcomes: Columns, consents: Columns) -> None:
    """Put a new ingested past in the place of the old one.

    The rows are written beside the old ones in short transactions, then become current all at once; a reader sees the old past or the new.
    When it is killed in between, the old past holds and the next call clears what was left.
    """
    tables = {HISTORY_TOUCHES: _real(touches), HISTORY_OUTCOMES: outcomes, HISTORY_CONSENTS: consents}
    values = {table: _values(table, columns) for table, columns in tables.items()}
    with database.writing() as conn:
        conn.execute(update(META).values(newest_generation=META.c.newest_generation + 1))
        generation: int = conn.execute(select(META.c.newest_generation)).scalar_one()
    for table in tables:
        _write(database, table, values[table], generation)
    with database.writing() as conn:  # a later call that was quicker holds: its past is the newer one
        conn.execute(update(META).where(META.c.history_generation < generation).values(history_generation=generation))
    for table in tables:
        _clear(database, table)


def policy_history(
    conn: Connection, contact_ids: Sequence[str] | None, *, since: datetime, now: datetime, excluding_plan: str | None
) -> PolicyHistory:
    """Touches and outcomes with ``since <= at <= now``; of everyone where `contact_ids` is None. See `PolicyHistory`."""
    span = {"since": codec.micros(since), "now": codec.micros(now), "plan": f"{excluding_plan}%" if excluding_plan else ""}
    touches = _rows(conn, _TOUCHES_OF_ALL, _TOUCHES_OF, contact_ids, span)
    outcomes = _rows(conn, _OUTCOMES_OF_ALL, _OUTCOMES_OF, contact_ids, span)
    return PolicyHistory(
        touches=_columns(touches, ("contact_id", "action_id", "treatment_id", "channel")),
        outcomes=_columns(outcomes, ("contact_id", "action_id", "outcome")),
    )


def current_generation() -> ColumnElement[int]:
    """The generation of the history rows that count, as a scalar subquery."""
    return select(META.c.history_generation).scalar_subquery()


def _real(touches: Columns) -> Columns:
    """The touches without no_action rows: a logged control was not touched."""
    keep = touches["action_id"] != NO_ACTION if "action_id" in touches else slice(None)
    return {name: column[keep] for name, column in touches.items()}


def _write(database: Database, table: Table, values: Mapping[str, Sequence[Any]], generation: int) -> None:
    names = ("generation", *values)
    for rows in codec.chunks(zip(repeat(generation), *values.values(), strict=False), _WRITE_ROWS):
        with database.writing() as conn:
            insert_rows(conn, table, names, rows)


def _values(table: Table, columns: Columns) -> dict[str, list[Any]]:
    """Python values a column of `table`; a column that may be NULL may also be absent.

    Raises
    ------
    DataError
        A required column is absent or has an empty value.
    """
    names = [column.name for column in table.columns if column.name not in ("id", "generation")]
    length = len(next(iter(columns.values()), ()))
    values: dict[str, list[Any]] = {}
    for name in names:
        required = not table.columns[name].nullable
        if name not in columns and required and length:
            raise DataError("a required column is missing", field=f"{table.name}.{name}", got=", ".join(columns), allowed=", ".join(names))
        values[name] = _column_values(columns[name]) if name in columns else [None] * length
        if required and None in values[name]:
            raise DataError("a required value is empty", field=f"{table.name}.{name}", got=f"{values[name].count(None)} empty rows")
    return values


def _column_values(column: np.ndarray[Any, Any]) -> list[Any]:
    if column.dtype.kind == "M":
        return codec.time_values(column)
    if column.dtype.kind == "f":  # a bool column: 0, 1 and NaN
        return [None if math.isnan(value) else bool(value) for value in column.tolist()]
    return list(column.tolist())


def _clear(database: Database, table: Table) -> None:
    """Delete the rows of earlier generations, a short transaction at a time."""
    old = select(table.c.id).where(table.c.generation < current_generation()).order_by(table.c.id).limit(_WRITE_ROWS)
    cleared = 1
    while cleared:
        with database.writing() as conn:
            cleared = conn.execute(delete(table).where(table.c.id.in_(old))).rowcount


def _rows(
    conn: Connection, of_all: Select[Any], of_some: Select[Any], contact_ids: Sequence[str] | None, span: Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    if contact_ids is None:
        return list(conn.execute(of_all, span))
    found: list[tuple[Any, ...]] = []
    for chunk in codec.chunks(dict.fromkeys(contact_ids), _READ_CONTACTS):
        found += conn.execute(of_some, {**span, "contacts": chunk})
    return found


def _columns(rows: Iterable[tuple[Any, ...]], names: Sequence[str]) -> Columns:
    """Rows of strings with a last time, as columns named `names` and ``at``."""
    *texts, at = list(zip(*rows, strict=True)) or [()] * (len(names) + 1)
    columns: dict[str, np.ndarray[Any, Any]] = {name: codec.text_column(text) for name, text in zip(names, texts, strict=True)}
    columns["at"] = codec.time_column(at)
    return columns


def _span(at: ColumnElement[int]) -> ColumnElement[bool]:
    return at.between(bindparam("since"), bindparam("now"))


def _some(source: FromClause, everyone: bool) -> list[ColumnElement[bool]]:
    return [] if everyone else [source.c.contact_id.in_(bindparam("contacts", expanding=True))]


def _touches(*, everyone: bool) -> Any:
    past = HISTORY_TOUCHES.c
    ingested = select(past.contact_id, past.action_id, past.treatment_id, past.channel, past.at).where(
        past.generation == current_generation(), _span(past.at), *_some(HISTORY_TOUCHES, everyone)
    )
    ours = SELECTIONS.c
    answered = exists().where(OUTCOMES.c.decision_id == ours.decision_id)
    reserved = and_(ours.direction == "outbound", ours.reserved_until > bindparam("now"))
    selected = select(ours.contact_id, ours.action_id, ours.treatment_id, ours.channel, ours.decided_at).where(
        _span(ours.decided_at),
        or_(ours.plan_id.is_(None), ours.plan_id.not_like(bindparam("plan"))),
        or_(reserved, answered),
        *_some(SELECTIONS, everyone),
    )
    return union_all(ingested, selected).order_by("contact_id", "at")


def _outcomes(*, everyone: bool) -> Any:
    past, ours = HISTORY_OUTCOMES.c, OUTCOMES.c
    ingested = select(past.contact_id, past.action_id, past.outcome, past.at).where(
        past.generation == current_generation(), _span(past.at), *_some(HISTORY_OUTCOMES, everyone)
    )
    recorded = select(ours.contact_id, ours.action_id, ours.outcome, ours.occurred_at).where(
        _span(ours.occurred_at), *_some(OUTCOMES, everyone)
    )
    return union_all(ingested, recorded).order_by("contact_id", "at")


# Built once: composing a statement costs more than running it.
_TOUCHES_OF_ALL, _TOUCHES_OF = _touches(everyone=True), _touches(everyone=False)
_OUTCOMES_OF_ALL, _OUTCOMES_OF = _outcomes(everyone=True), _outcomes(everyone=False)
