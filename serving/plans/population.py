"""A whole population: whom to decide for, what is known of everyone, and the same a chunk at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from decisioning.candidates import Situation
from decisioning.history import History
from decisioning.quiet_hours import to_datetime
from decisioning.vocabulary import BoolArray, Columns, IntArray, TextArray
from features.stored_columns import ROWS_AT_ONCE
from ledger.consents import ConsentRows
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
        Each once; they may be on disk (`features.stored_columns`).
    columns : Columns
        Their features as of the plan's moment, which may be there too.
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


def _permitted(consents: Iterable[ConsentRows], contact_ids: TextArray) -> dict[str, BoolArray]:
    """Who has granted each purpose, shape (n_contacts,)."""
    places, permitted = Places(contact_ids), dict[str, BoolArray]()
    for contacts, purposes, granted in consents:
        rows, yes, names = places.of(contacts), np.array(granted, dtype=np.bool_), np.array(purposes, dtype=object)
        for purpose in dict.fromkeys(purposes):
            if purpose not in permitted:
                permitted[purpose] = np.zeros(len(contact_ids), dtype=np.bool_)
            permitted[purpose][rows[(rows >= 0) & yes & (names == purpose)]] = True
    return permitted


class Places:
    """Where each id stands among many, by a hash of it: a dozen bytes an id.

    Parameters
    ----------
    ids : array of str, shape (n,)
        Each once; they may be on disk.

    Examples
    --------
    >>> Places(np.array(["c-1", "c-2"], dtype=object)).of(["c-2", "c-9"]).tolist()
    [1, -1]
    """

    def __init__(self, ids: TextArray) -> None:
        self._ids = ids
        hashes = np.fromiter((hash(one) for some in _in_parts(ids) for one in some), np.int64, len(ids))
        self._row = hashes.argsort().astype(np.int32)
        self._hash = hashes[self._row]

    def of(self, asked: Sequence[str]) -> IntArray:
        """The place of each, -1 for one that is not there, shape (n_asked,)."""
        wanted, texts = np.fromiter(map(hash, asked), np.int64, len(asked)), np.array(asked, dtype=object)
        found: IntArray = np.full(len(asked), -1, dtype=np.int64)
        place, open_ = np.searchsorted(self._hash, wanted), np.arange(len(asked))
        while len(open_):  # more than once only where different ids have one hash
            open_ = open_[place[open_] < len(self._hash)]
            open_ = open_[self._hash[place[open_]] == wanted[open_]]
            row = self._row[place[open_]]
            same = np.asarray(self._ids[row] == texts[open_], dtype=np.bool_)
            found[open_[same]] = row[same]
            place[open_] += 1
            open_ = open_[~same]
        return found


def _in_parts(ids: TextArray) -> Iterator[list[str]]:
    return (ids[start : start + CHUNK_CONTACTS].tolist() for start in range(0, len(ids), CHUNK_CONTACTS))


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
