"""The ledger's rows for measurement: whole tables as columns, a stretch at a time, read in one consistent state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from sqlalchemy import Connection, Select, select

from ledger.database import Database
from ledger.schema import DECISIONS, OUTCOMES, SELECTIONS

STRETCH = 100_000
"""Rows handed over at a time: what is in memory beside the caller's own copy."""

_LATER = SELECTIONS.alias("later")

_SELECTS: dict[str, tuple[tuple[str, ...], Select[Any]]] = {
    "decisions": (
        ("decision_id", "contact_id", "occurred_at", "control_group", "plan_id"),
        select(DECISIONS.c.decision_id, DECISIONS.c.contact_id, DECISIONS.c.decided_at, DECISIONS.c.control_group, DECISIONS.c.plan_id),
    ),
    "selections": (
        (
            "decision_id",
            "contact_id",
            "occurred_at",
            "action_id",
            "treatment_id",
            "channel",
            "direction",
            "expected_profit",
            "cost",
            "account_id",
        ),
        # What a later decision carries out is one touch with it, and counted there.
        select(
            *(SELECTIONS.c[name] for name in ("decision_id", "contact_id", "decided_at", "action_id", "treatment_id", "channel")),
            *(SELECTIONS.c[name] for name in ("direction", "expected_profit", "cost", "account_id")),
        ).where(
            ~select(_LATER.c.decision_id)
            .where(_LATER.c.redeems == SELECTIONS.c.decision_id, _LATER.c.treatment_id == SELECTIONS.c.treatment_id)
            .exists()
        ),
    ),
    "outcomes": (
        ("event_id", "decision_id", "contact_id", "treatment_id", "action_id", "outcome", "behaviour", "value", "occurred_at"),
        select(
            *(OUTCOMES.c[name] for name in ("event_id", "decision_id", "contact_id", "treatment_id", "action_id", "outcome")),
            *(OUTCOMES.c[name] for name in ("behaviour", "value", "occurred_at")),
        ),
    ),
}
TABLES: dict[str, tuple[str, ...]] = {name: columns for name, (columns, _) in _SELECTS.items()}
"""The columns of each; `occurred_at` is UTC microseconds since 1970. Selections that a later decision carries out are left out."""


class LedgerReader:
    """Reads whole tables beside whatever serves; writes nothing.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, LedgerReader(f"sqlite:///{folder}/ledger.db") as reader, reader.reading() as conn:
    ...     [len(columns) for columns in reader.columns(conn, "decisions")]
    []
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction in which all tables are of one moment."""
        with self._database.reading() as conn:
            yield conn

    def columns(self, conn: Connection, table: str) -> Iterator[list[tuple[Any, ...]]]:
        """Stretches of a table, each a list with one tuple of values a column, in the order of `TABLES`."""
        found = conn.execution_options(stream_results=True, yield_per=STRETCH).execute(_SELECTS[table][1])
        for rows in found.partitions(STRETCH):
            yield list(zip(*rows, strict=True))
