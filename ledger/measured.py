"""The ledger's rows for measurement: whole tables as columns, a stretch at a time, read in one consistent state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from sqlalchemy import Connection, Select, Table, select

from ledger.database import Database
from ledger.schema import DECISIONS, LEADS, OUTCOMES, SELECTIONS

STRETCH = 100_000
"""Rows handed over at a time: what is in memory beside the caller's own copy."""

_READ: dict[str, tuple[Table, tuple[str, ...]]] = {
    "decisions": (DECISIONS, ("contact_id", "decided_at", "control_group")),
    "selections": (
        SELECTIONS,
        ("decision_id", "contact_id", "decided_at", "action_id", "treatment_id", "channel", "direction", "expected_profit", "cost"),
    ),
    "redeemed": (SELECTIONS, ("redeems", "treatment_id")),
    "outcomes": (
        OUTCOMES,
        ("event_id", "decision_id", "contact_id", "treatment_id", "action_id", "outcome", "behaviour", "value", "occurred_at"),
    ),
    "leads": (LEADS, ("contact_id", "handed_over_at", "accepted_at", "rejected_at", "won_at", "revenue")),
}
_SELECTS: dict[str, Select[Any]] = {name: select(*(table.c[one] for one in columns)) for name, (table, columns) in _READ.items()}
_SELECTS["redeemed"] = _SELECTS["redeemed"].where(SELECTIONS.c.redeems.is_not(None))
TABLES: dict[str, tuple[str, ...]] = {
    name: tuple("occurred_at" if one == "decided_at" else one for one in columns) for name, (_, columns) in _READ.items()
}
"""The columns of each; `occurred_at` is UTC microseconds since 1970. `redeemed` names the selections that a later decision carried out: the
two are one touch."""


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
        # The driver's own cursor: a row object for each of a million rows costs four times as much as the rows.
        statement = str(_SELECTS[table].compile(dialect=conn.dialect))
        driver = conn.connection.cursor()
        try:
            driver.execute(statement)
            while rows := driver.fetchmany(STRETCH):
                yield list(zip(*rows, strict=True))
        finally:
            driver.close()
