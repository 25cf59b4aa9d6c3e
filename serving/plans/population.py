"""A whole population: whom to decide for, what is known of everyone, and the same a chunk at a time."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from decisioning.candidates import Situation
from decisioning.history import History
from decisioning.quiet_hours import to_datetime
from decisioning.vocabulary import BoolArray, Columns, TextArray
from features.stored_columns import ROWS_AT_ONCE
from ledger.history import Whose
from ledger.store import Ledger
from serving.realtime.situations import asks_for_accounts, history_of, longest_window_days
from serving.realtime.snapshot import Snapshot

CHUNK_CONTACTS = ROWS_AT_ONCE


@dataclass(frozen=True)
class Population:
    """Whom to plan for, with what is known of them.

    Attributes
    ----------
    contact_ids : array of str, shape (n_contacts,)
    columns : Columns
        Their features as of the plan's moment; they may be on disk (`features.stored_columns`).
    moment : numpy.datetime64
        When the plan is for, UTC: contact policies, validity and quiet hours are seen from here.
    fingerprint : str
        Changes with the data and the seed, so that the plan's id does.
    """

    contact_ids: np.ndarray
    columns: Columns
    moment: np.datetime64
    fingerprint: str


class GatheredPopulation(NamedTuple):
    """What is known about everyone, and how many outbound selections each contact and account has had."""

    situation: Situation
    history: History
    seen_contacts: Mapping[str, int]
    seen_accounts: Mapping[str, int]


def gather_population(
    population: Population, snapshot: Snapshot, ledger: Ledger, now: datetime, *, excluding_plan: str | None = None
) -> GatheredPopulation:
    """What is known about everyone: features, consents as they stand now, and the past that the contact policies look at.

    What happened after the plan's moment counts as if it were then. `excluding_plan` leaves out the plans whose id begins so.
    """
    sources, moment = replace(snapshot.sources(ledger), plan_id=None), to_datetime(population.moment)
    permitted = _permitted(ledger.bulk.consents(), population.contact_ids)
    situation = Situation(population.contact_ids, population.columns, population.moment, permitted)
    everyone = Whose(None, None if asks_for_accounts(sources.catalog) else ())
    since = moment - timedelta(days=longest_window_days(sources.catalog))
    past = ledger.policy_history(everyone, since=since, now=max(now, moment), excluding_plan=excluding_plan)
    return GatheredPopulation(situation, history_of(past, situation, sources), past.seen_contacts, past.seen_accounts)


def _permitted(consents: Iterable[tuple[str, str, bool]], contact_ids: TextArray) -> dict[str, BoolArray]:
    """Who has granted each purpose, shape (n_contacts,)."""
    row_of = {contact_id: row for row, contact_id in enumerate(contact_ids.tolist())}
    rows: dict[str, array[int]] = {}
    for contact_id, purpose, yes in consents:
        of_purpose = rows.get(purpose)
        if of_purpose is None:
            of_purpose = rows[purpose] = array("q")
        if yes and contact_id in row_of:
            of_purpose.append(row_of[contact_id])
    permitted = {purpose: np.zeros(len(contact_ids), dtype=np.bool_) for purpose in rows}
    for purpose, found in rows.items():
        permitted[purpose][np.frombuffer(found, dtype=np.int64)] = True
    return permitted


@dataclass(frozen=True)
class Chunks:
    """The contacts with their past, `CHUNK_CONTACTS` at a time, as often as one goes through them.

    Parameters
    ----------
    everyone : Situation
        Its columns may be on disk: a chunk's rows are read when it is its turn.
    history : History
    progress : callable
        Told how many contacts are done.
    """

    everyone: Situation
    history: History
    progress: Callable[[int], None]

    def __iter__(self) -> Iterator[tuple[Situation, History]]:
        total = len(self.everyone.contact_ids)
        for start in range(0, total, CHUNK_CONTACTS):
            rows = slice(start, min(start + CHUNK_CONTACTS, total))
            yield self.everyone.take(rows), _part(self.history, rows)
            self.progress(rows.stop)

    def __len__(self) -> int:
        return len(range(0, len(self.everyone.contact_ids), CHUNK_CONTACTS))

    def __contains__(self, chunk: object) -> bool:
        return any(chunk is one for one in self)


def _part(history: History, rows: slice) -> History:
    def within(place: np.ndarray) -> np.ndarray:
        return (place >= rows.start) & (place < rows.stop)

    touch, outcome = within(history.touch_row), within(history.outcome_row)
    return History(
        history.touch_row[touch] - rows.start,
        {name: column[touch] for name, column in history.touches.items()},
        history.outcome_row[outcome] - rows.start,
        {name: column[outcome] for name, column in history.outcomes.items()},
        firms=None if history.firms is None else replace(history.firms, unit=history.firms.unit[rows]),
        suppressions=tuple(one._replace(row=one.row - rows.start) for one in history.suppressions if rows.start <= one.row < rows.stop),
    )
