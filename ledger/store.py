"""`Ledger`: the verbs of the ledger; each is one transaction, durable on return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from sqlalchemy import select

from decisioning.vocabulary import Columns
from ledger import consents, decisions, history, outcomes, prices
from ledger.database import Database
from ledger.decisions import DecisionRecord
from ledger.history import PolicyHistory
from ledger.outcomes import OutcomeRecord, Receipt
from ledger.schema import META


class Ledger:
    """What we decided and what happened; threads may share one, processes each open their own.

    Every verb raises `Unavailable` when the database cannot answer; what was acknowledged before stays.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Ledger.open(f"sqlite:///{folder}/ledger.db") as ledger:
    ...     ledger.set_prices({"id": "p-1", "calls": 3.5})
    ...     ledger.prices()
    {'id': 'p-1', 'calls': 3.5}
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, url: str) -> Ledger:
        """Open the ledger at a SQLAlchemy URL; an empty database gets the tables. The folder of a SQLite file must exist.

        Raises
        ------
        ConfigError
            The URL names no supported database.
        Unavailable
            The database cannot be reached.
        Conflict
            The database is something else's, or another version's.
        """
        return cls(Database(url))

    def close(self) -> None:
        """Release the database; any later call raises `Unavailable`."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> None:
        """Return if the database answers, else raise `Unavailable`."""
        with self._database.reading() as conn:
            conn.execute(select(META.c.schema_version)).scalar_one()

    def record_decisions(self, records: Sequence[DecisionRecord]) -> list[DecisionRecord]:
        """Write decisions; returns, in order, the decision that holds for each.

        That is the record itself, or the earlier decision of the same request_id within a day: answer with what is returned. Of two
        simultaneous calls with one request_id exactly one is written. A decision_id that is already there stays as it was.
        """
        if not records:
            return []
        with self._database.writing() as conn:
            return decisions.record(conn, records)

    def decision(self, decision_id: str) -> DecisionRecord | None:
        """The decision with this id."""
        with self._database.reading() as conn:
            return decisions.by_id(conn, [decision_id]).get(decision_id)

    def decision_by_request(self, request_id: str, *, since: datetime) -> DecisionRecord | None:
        """The decision that answers a request_id, if it was decided at `since` or later."""
        with self._database.reading() as conn:
            return decisions.by_request(conn, request_id, since)

    def decisions_of(self, contact_id: str, limit: int) -> list[DecisionRecord]:
        """A contact's decisions, newest first."""
        with self._database.reading() as conn:
            return decisions.of_contact(conn, contact_id, limit)

    def record_outcomes(self, records: Sequence[OutcomeRecord]) -> list[Receipt]:
        """Write the outcomes whose event_id is new; one receipt a record, in order. The first arrival of an event_id holds."""
        if not records:
            return []
        with self._database.writing() as conn:
            return outcomes.record(conn, records)

    def outcomes_of(self, contact_id: str, limit: int) -> list[OutcomeRecord]:
        """A contact's outcomes, newest first."""
        with self._database.reading() as conn:
            return outcomes.of_contact(conn, contact_id, limit)

    def outcomes_for(self, decision_id: str) -> list[OutcomeRecord]:
        """A decision's outcomes, oldest first."""
        with self._database.reading() as conn:
            return outcomes.for_decision(conn, decision_id)

    def replace_history(self, touches: Columns, outcomes: Columns, consents: Columns) -> None:
        """Put a newly ingested past in the place of the old one; readers see the old past or the new, never a mixture.

        Parameters
        ----------
        touches : Columns
            contact_id, action_id, at; optional treatment_id, channel. Rows of no_action are no touches and are left out.
        outcomes : Columns
            contact_id, outcome, at; optional action_id.
        consents : Columns
            contact_id, purpose, granted (0/1), changed_at.

        A NaT in `at` (a one-shot experiment without times) lies in no window. An empty mapping is an empty table.

        Raises
        ------
        DataError
            A required column or value is missing; the old past stays.
        """
        history.replace(self._database, touches, outcomes, consents)

    def policy_history(
        self, contact_ids: Sequence[str] | None, *, since: datetime, now: datetime, excluding_plan: str | None = None
    ) -> PolicyHistory:
        """Touches and outcomes with ``since <= at <= now``, of these contacts or (None) of everyone; what counts as a touch: see `history`.

        `excluding_plan` leaves out the selections of the plans whose id begins so: planning the same again finds the same past.
        """
        with self._database.reading() as conn:
            return history.policy_history(conn, contact_ids, since=since, now=now, excluding_plan=excluding_plan)

    def consents(self, contact_ids: Sequence[str] | None, *, now: datetime | None = None) -> Columns:
        """contact_id, purpose, granted (0/1), changed_at: the newest status per contact and purpose, of everyone where None.

        With `now`, changes after it do not count yet. A contact without a row has not consented.
        """
        with self._database.reading() as conn:
            return consents.newest(conn, contact_ids, now=now)

    def set_prices(self, book: Mapping[str, Any]) -> None:
        """Publish a price book; it holds from now on."""
        with self._database.writing() as conn:
            prices.publish(conn, book)

    def prices(self) -> dict[str, Any] | None:
        """The price book that holds, None before the first."""
        with self._database.reading() as conn:
            return prices.newest(conn)
