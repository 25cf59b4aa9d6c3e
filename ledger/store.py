"""`Ledger`: the verbs of the ledger; each is one transaction, durable on return."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, select

from decisioning.vocabulary import Columns
from ledger import (
    catalogs,
    chain_rows,
    claims,
    consents,
    decisions,
    erasure,
    held,
    history,
    identities,
    leads,
    levels,
    outcomes,
    pages,
    prices,
    reconciliation,
    retention,
    standing,
    suppressions,
)
from ledger.bulk import Bulk
from ledger.consents import ConsentChange
from ledger.database import Database
from ledger.erasure import Erased
from ledger.events import Events
from ledger.history import PolicyHistory, Whose
from ledger.identities import Joined
from ledger.keys import Keys
from ledger.leads import LeadStep, NewLead
from ledger.looking_back import book_of, newest_between, outcomes_between
from ledger.outbox import Outbox
from ledger.outcomes import OutcomeRecord, Receipt
from ledger.reconciliation import DayOfChannel, Reading
from ledger.records import DecisionRecord
from ledger.schema import META
from ledger.standing import Standing, Wanted
from ledger.suppressions import SuppressionRecord
from ledger.trigger_looks import TriggerLooks
from ledger.verify import Verdict, verify

_Row = TypeVar("_Row")


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
        self.events, self.bulk = Events(database), Bulk(database)
        self.outbox = Outbox(database)
        self.looks = TriggerLooks(database)

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
        database = Database(url)
        try:
            with database.reading() as conn:
                started = chain_rows.started(conn)
            if not started:
                with database.writing(opening=True) as conn:
                    chain_rows.start(conn)
        except BaseException:
            database.close()
            raise
        return cls(database)

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

    def verify(self, known_heads: Mapping[str, Sequence[Any]] | None = None) -> Verdict:
        """Check the hash chains: whether every decision and outcome is what it was when it was written; see `verify`."""
        with self._database.reading() as conn:
            return verify(conn, known_heads)

    def record_decisions(self, records: Sequence[DecisionRecord]) -> list[DecisionRecord | None]:
        """Write decisions; returns, in order, the decision that holds for each.

        That is the record itself, or the earlier decision of the same request_id within a day: answer with what is returned. Of two
        simultaneous calls with one request_id exactly one is written. A decision_id that is already there stays as it was. None says that
        what the record's claim counted on was taken by another in between: nothing of it was written, decide again.
        """
        if not records:
            return []
        with self._database.writing() as conn:
            return decisions.record(conn, records)

    def decision(self, decision_id: str) -> DecisionRecord | None:
        """The decision with this id."""
        with self._database.reading() as conn:
            return decisions.by_id(conn, [decision_id]).get(decision_id)

    def decisions_by_id(self, decision_ids: Collection[str]) -> dict[str, DecisionRecord]:
        """The decisions with these ids; unknown ids are left out."""
        if not decision_ids:
            return {}
        with self._database.reading() as conn:
            return decisions.by_id(conn, sorted(decision_ids))

    def newest_plan(self, beginning: str) -> str | None:
        """The id of the newest plan whose id begins so and of which decisions were kept."""
        with self._database.reading() as conn:
            return decisions.newest_plan(conn, beginning)

    def decision_by_request(self, request_id: str, *, since: datetime) -> DecisionRecord | None:
        """The decision that answers a request_id, if it was decided at `since` or later."""
        with self._database.reading() as conn:
            return decisions.by_requests(conn, [request_id], since).get(request_id)

    def decisions_by_request(self, request_ids: Collection[str], *, since: datetime) -> dict[str, DecisionRecord]:
        """The same of several: request_id -> its decision; those without one are left out."""
        if not request_ids:
            return {}
        with self._database.reading() as conn:
            return decisions.by_requests(conn, request_ids, since)

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

    def replace_history(self, touches: Columns, outcomes: Columns, consents: Columns, members: Columns | None = None) -> None:
        """Put a newly ingested past in the place of the old one; readers see the old past or the new, never a mixture.

        Parameters
        ----------
        touches : Columns
            contact_id, action_id, at; optional treatment_id, channel. Rows of no_action are no touches and are left out.
        outcomes : Columns
            contact_id, outcome, at; optional action_id.
        consents : Columns
            contact_id, purpose, granted (0/1), changed_at.
        members : Columns, optional
            contact_id, account_id: which account each contact belongs to.

        A NaT in `at` (a one-shot experiment without times) lies in no window. An empty mapping is an empty table.

        Raises
        ------
        DataError
            A required column or value is missing; the old past stays.
        """
        with self._database.reading() as conn:
            names = identities.everyone(conn)
            given = [identities.renamed(columns, names) for columns in (touches, outcomes, consents, members or {})]
            touches, outcomes, consents, members = (erasure.without_erased(conn, columns) for columns in given)
        history.replace(self._database, touches, outcomes, consents, members)

    def policy_history(self, of: Whose, *, since: datetime, now: datetime, excluding_plan: str | None = None) -> PolicyHistory:
        """Touches and outcomes with ``since <= at <= now`` of those `of` names; what counts as a touch: see `history`.

        Our own selections count from the moment they are written, even where the clock that dated them is ahead of `now`.

        `excluding_plan` leaves out the selections of the plans whose id begins so: a plan made again finds the same past.
        """
        with self._database.reading() as conn:
            return history.policy_history(conn, of, since=since, now=now, excluding_plan=excluding_plan)

    def standing(self, of: Wanted) -> Standing:
        """How some contacts stand now: their past, consents and suppressions, and the meters, all of one moment."""
        with self._database.reading() as conn:
            return standing.standing(conn, of)

    def suppress(self, item: SuppressionRecord) -> None:
        """Switch an action, a channel or everything off for a contact until a date, in the place of an earlier suppression of the same."""
        with self._database.writing() as conn:
            suppressions.put(conn, item)

    def consents(self, contact_ids: Sequence[str] | None, *, now: datetime | None = None) -> Columns:
        """contact_id, purpose, granted (0/1), changed_at: the newest status per contact and purpose, of everyone where None.

        With `now`, changes after it do not count yet. A contact without a row has not consented.
        """
        with self._database.reading() as conn:
            return consents.newest(conn, contact_ids, now=now)

    def put_consent(self, change: ConsentChange, now: datetime) -> None:
        """Keep what a contact has just said about a purpose; it holds beside what is ingested, the newest counts."""
        with self._database.writing() as conn:
            consents.put(conn, change, now)

    def told_consents(self, now: datetime, size: int) -> Iterator[list[ConsentChange]]:
        """What contacts told us of their consents themselves, by `now`, at most `size` at a time; denied reads as revoked."""
        last = 0
        while True:
            with self._database.reading() as conn:
                some = consents.told(conn, now, last, size)
            if not some:
                return
            yield [change for _, change in some]
            last = some[-1][0]

    def join_identity(self, anonymous_id: str, contact_id: str, now: datetime) -> Joined:
        """Make a visitor's decisions, touches, outcomes and suppressions the contact's; see `identities`.

        Raises
        ------
        RequestError, Conflict
            Both are the same; the visitor is another contact's already; it would go round in a circle.
        """
        with self._database.writing() as conn:
            return identities.join(conn, anonymous_id, contact_id, now)

    def identities(self, ids: Collection[str] | None = None) -> dict[str, str]:
        """The contact of each joined visitor among `ids`, of all of them where None."""
        with self._database.reading() as conn:
            return identities.everyone(conn) if ids is None else identities.resolve(conn, ids)

    def anybody_joined(self) -> bool:
        """Whether any visitor ever became a contact."""
        with self._database.reading() as conn:
            return identities.anybody(conn)

    def decision_pages(self, size: int) -> Iterator[list[DecisionRecord]]:
        """Every decision in the order of their ids, at most `size` at a time; each page is a transaction of its own."""
        last = ""
        while some := self._page(pages.decisions, last, size):
            yield some
            last = some[-1].decision_id

    def outcome_pages(self, size: int) -> Iterator[list[OutcomeRecord]]:
        """Every outcome in the order of their event_ids, at most `size` at a time."""
        last = ""
        while some := self._page(pages.outcomes, last, size):
            yield some
            last = some[-1].event_id

    def _page(self, read: Callable[[Connection, str, int], list[_Row]], after: str, size: int) -> list[_Row]:
        with self._database.reading() as conn:
            return read(conn, after, size)

    def erase(self, contact_id: str, now: datetime) -> Erased:
        """Erase a contact, and the visitors joined to it (article 17): identity, features and traces; sums and chains stay."""
        with self._database.writing() as conn:
            done = erasure.erase(conn, contact_id, now)
        self._database.overwrite_log()
        return done

    def reconciled(self, how: Reading) -> tuple[list[DayOfChannel], dict[str, int]]:
        """What became of every choice by channel and day, and the outcomes that fit to none; see `reconciliation`."""
        with self._database.reading() as conn:
            return reconciliation.by_day(conn, how), reconciliation.orphans(conn, how)

    def remove_before(self, before: datetime, now: datetime) -> dict[str, int]:
        """Remove what is of before a time, a short transaction at a time: {decisions, outcomes, events, leads}; see `retention`."""
        total = {"decisions": 0, "outcomes": 0, "events": 0, "leads": 0}
        while True:
            with self._database.writing() as conn:
                some = retention.remove_some(conn, before, now)
            if not any(some.values()):
                self._database.overwrite_log()
                return total
            total = {name: total[name] + some[name] for name in total}

    def hand_over(self, new: Sequence[NewLead], now: datetime, *, again_before: datetime | None = None) -> list[dict[str, Any]]:
        """Keep new leads, each contact once; returns those that are new; see `leads`."""
        if not new:
            return []
        with self._database.writing() as conn:
            return leads.hand_over(conn, new, now, again_before)

    def lead_steps(self, steps: Sequence[LeadStep], now: datetime) -> list[dict[str, Any]]:
        """Keep what became of leads, all or none; see `leads.step` for what is refused."""
        if not steps:
            return []
        with self._database.writing() as conn:
            return leads.step(conn, steps, now)

    def leads(self, now: datetime, *, statuses: Collection[str] | None = None, limit: int | None = None) -> list[dict[str, Any]]:
        """Leads, newest first, with what is overdue at `now`."""
        with self._database.reading() as conn:
            return leads.listed(conn, statuses, now, limit)

    def erased_among(self, contact_ids: Iterable[str]) -> dict[str, str]:
        """Those of these contacts who were erased, and what stands in their place."""
        with self._database.reading() as conn:
            return erasure.erased_among(conn, contact_ids)

    def held(self, contact_id: str) -> dict[str, list[dict[str, Any]]]:
        """Everything held about a contact, rows by table (article 15)."""
        with self._database.reading() as conn:
            return held.held(conn, contact_id)

    def set_prices(self, book: Mapping[str, Any], *, meters: tuple[str, Mapping[str, float]] | None = None) -> None:
        """Publish a price book; it holds from now on. `meters`: a period, and what its meters begin with unless they run already."""
        with self._database.writing() as conn:
            prices.publish(conn, book)
            if meters is not None:
                claims.start_meters(conn, *meters)

    def prices(self) -> dict[str, Any] | None:
        """The price book that holds, None before the first."""
        with self._database.reading() as conn:
            return prices.newest(conn)

    def keep_levels(self, body: Mapping[str, Any]) -> int:
        """Keep how far the level of responses has moved; returns the number of the version."""
        with self._database.writing() as conn:
            return levels.keep(conn, body)

    def levels(self, version: int | None = None) -> tuple[int, dict[str, Any]] | None:
        """A version of it with its number, by default the newest; None where there is none."""
        with self._database.reading() as conn:
            return levels.read(conn, version)

    def meters(self, book: str) -> dict[str, float]:
        """What was used of each limit in a period of a price book; a limit of which nothing was used is left out."""
        with self._database.reading() as conn:
            return claims.meters(conn, book)

    def newest_between(self, since: datetime, until: datetime, limit: int) -> list[str]:
        """The ids of the newest decisions with ``since <= decided_at < until``, newest first."""
        with self._database.reading() as conn:
            return newest_between(conn, since, until, limit)

    def outcomes_between(self, contact_ids: Sequence[str], since: datetime, until: datetime) -> list[OutcomeRecord]:
        """What happened to these contacts with ``since <= occurred_at < until``, oldest first for each contact."""
        with self._database.reading() as conn:
            return outcomes_between(conn, contact_ids, since, until)

    def book_of(self, plan_id: str) -> dict[str, Any] | None:
        """The price book that a plan published, None where it published none."""
        with self._database.reading() as conn:
            return book_of(conn, plan_id)

    def keep_catalog(self, fingerprint: str, body: Mapping[str, Any]) -> None:
        """Keep a catalogue that decides from now on, so that its decisions can be made again; one that is there already stays."""
        with self._database.writing() as conn:
            catalogs.keep(conn, fingerprint, body)

    @property
    def keys(self) -> Keys:
        """The API keys."""
        return Keys(self._database)

    def catalog(self, fingerprint: str) -> dict[str, Any] | None:
        """A catalogue that decided something, as it was; None where it was never kept."""
        with self._database.reading() as conn:
            return catalogs.by_fingerprint(conn, fingerprint)
