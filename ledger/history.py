"""Touches and outcomes for the contact policy: the ingested past and our own.

A touch is an ingested interaction (not no_action); or an outbound selection whose reservation still runs or whose decision has an outcome;
or an inbound selection whose decision has an outcome. A selection alone touches nobody: a banner may never have been seen. A planned
selection that a later decision has carried out is one touch with it. How that is asked in SQL stands in `history_queries.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import repeat
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, delete, select, update

from decisioning.errors import DataError
from decisioning.vocabulary import NO_ACTION, Columns
from ledger import claims, codec
from ledger.database import Database, insert_rows
from ledger.history_queries import OUTCOME_NAMES, READ, RUNNING_SUPPRESSIONS, TOUCH_NAMES, current_generation
from ledger.prepared import Prepared
from ledger.schema import HISTORY_CONSENTS, HISTORY_MEMBERS, HISTORY_OUTCOMES, HISTORY_TOUCHES, META

_WRITE_ROWS = 25_000  # rows a transaction: an ingest must not keep a server's decisions waiting for long
_READ_IDS = 1_000  # ids in one IN list


@dataclass(frozen=True)
class PolicyHistory:
    """What contact policy needs of the past.

    touches : Columns
        contact_id, action_id, treatment_id, channel, decision_id, reserved_by (strings), at (timestamp); oldest first within a contact.
        `reserved_by` is the plan whose reservation still runs without an outcome; None for what really happened.
    outcomes : Columns
        contact_id, action_id, outcome (strings), at (timestamp); oldest first within a contact.
    account_touches, account_outcomes : Columns
        The same of the accounts that were asked for, with account_id in the place of contact_id.
    suppressions : Columns
        contact_id, action_id, channel (strings), until (timestamp): those that still run.
    seen_contacts, seen_accounts : mapping id -> count
        How many outbound selections each has had, for the claims of decisions made upon this; none where there were none.
    """

    touches: Columns
    outcomes: Columns
    account_touches: Columns = field(default_factory=dict)
    account_outcomes: Columns = field(default_factory=dict)
    suppressions: Columns = field(default_factory=dict)
    seen_contacts: Mapping[str, int] = field(default_factory=dict)
    seen_accounts: Mapping[str, int] = field(default_factory=dict)


def replace(database: Database, touches: Columns, outcomes: Columns, consents: Columns, members: Columns) -> None:
    """Put a new ingested past in the place of the old one.

    The rows are written beside the old ones in short transactions, then become current all at once; a reader sees the old past or the new.
    When it is killed in between, the old past holds and the next call clears what was left.
    """
    tables = {HISTORY_TOUCHES: _real(touches), HISTORY_OUTCOMES: outcomes, HISTORY_CONSENTS: consents, HISTORY_MEMBERS: members}
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


def policy_history(conn: Connection, of: Whose, *, since: datetime, now: datetime, excluding_plan: str | None) -> PolicyHistory:
    """What happened with ``since <= at <= now`` to those `of` names. See `PolicyHistory`.

    The counts are read first: whatever comes between them and the rest is then noticed when a decision is written.
    """
    span = {"since": codec.micros(since), "now": codec.micros(now), "plan": f"{excluding_plan}%" if excluding_plan else ""}
    seen = _seen(conn, of)
    rows = {name: _rows(conn, READ["contact_id", name], of.contact_ids, span) for name in ("touches", "outcomes")}
    firms = {name: _rows(conn, READ["account_id", name], of.account_ids, span) for name in ("touches", "outcomes")}
    return PolicyHistory(
        touches=_columns(rows["touches"], ("contact_id", *TOUCH_NAMES, "at")),
        outcomes=_columns(rows["outcomes"], ("contact_id", *OUTCOME_NAMES, "at")),
        account_touches=_columns(firms["touches"], ("account_id", *TOUCH_NAMES, "at")),
        account_outcomes=_columns(firms["outcomes"], ("account_id", *OUTCOME_NAMES, "at")),
        suppressions=_columns(
            _rows(conn, RUNNING_SUPPRESSIONS, of.contact_ids, {"now": span["now"]}), ("contact_id", "action_id", "channel", "until")
        ),
        seen_contacts=seen[0],
        seen_accounts=seen[1],
    )


def past_rows(conn: Connection, of: tuple[str, str], ids: Sequence[str], span: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of some: `of` is ("contact_id" or "account_id", "touches" or "outcomes"), `span` as the statements name it."""
    return _rows(conn, READ[of], ids, span)


def suppression_rows(conn: Connection, contact_ids: Sequence[str], span: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """(contact_id, action_id, channel, until) of what is switched off for some contacts."""
    return _rows(conn, RUNNING_SUPPRESSIONS, contact_ids, {"now": span["now"]})


@dataclass(frozen=True)
class Whose:
    """Whose past is asked for: contacts, and the accounts that account-wide policies ask about; None is everyone."""

    contact_ids: Sequence[str] | None
    account_ids: Sequence[str] | None = ()
    counts: bool = True


def _seen(conn: Connection, of: Whose) -> tuple[dict[str, int], dict[str, int]]:
    if not of.counts:
        return {}, {}
    if of.contact_ids is None:
        return claims.counts_of_everyone(conn)
    return claims.counts_of_contacts(conn, of.contact_ids), claims.counts_of_accounts(conn, of.account_ids or ())


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
    conn: Connection, statements: tuple[Prepared, Prepared], ids: Sequence[str] | None, span: Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    """The rows of everyone (the first statement), or of some (the second)."""
    of_all, of_some = statements
    if ids is None:
        return of_all.rows(conn, span)
    found: list[tuple[Any, ...]] = []
    for chunk in codec.chunks(dict.fromkeys(ids), _READ_IDS):
        found += of_some.rows(conn, {**span, "ids": chunk})
    return found


def _columns(rows: Iterable[tuple[Any, ...]], names: Sequence[str]) -> Columns:
    """Rows of strings with a last time, as columns of these names."""
    *texts, at = list(zip(*rows, strict=True)) or [()] * len(names)
    columns: dict[str, np.ndarray[Any, Any]] = {name: codec.text_column(text) for name, text in zip(names, texts, strict=False)}
    columns[names[-1]] = codec.time_column(at)
    return columns
