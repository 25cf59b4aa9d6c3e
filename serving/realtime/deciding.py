"""Decisions in real time: made with one snapshot, written in one transaction, made again where another took what they counted on."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from time import perf_counter
from typing import Any

from msgspec import Struct

from decisioning.errors import Conflict, NudgeError, RequestError, Unavailable, nearest
from decisioning.stages import House
from ledger.decisions import REQUEST_WINDOW
from ledger.records import DecisionRecord
from ledger.store import Ledger
from serving.realtime.choosing import Choice, Wanted, choose_all
from serving.realtime.decided import Decided
from serving.realtime.decision_ids import new_decision_id
from serving.realtime.decision_records import decision_record, response_body
from serving.realtime.feature_rows import to_datetime64
from serving.realtime.running_period import RunningPeriod, metered, period_of
from serving.realtime.situations import Asked, Gathered, Sources, gather_many
from serving.realtime.snapshot import Snapshot, SnapshotHolder
from serving.realtime.turns import Turns, shared_by
from serving.schemas.hot_requests import AnyDecision

LOG = logging.getLogger(__name__)
_ATTEMPTS = 40
"""How often in a row the decisions of a call are made while others keep getting ahead of all of them."""

_NOTHING_MADE = {"features": 0.0, "score": 0.0, "decide": 0.0, "log": 0.0}
"""What an answer took that was there already."""


class _Made(Struct, frozen=True, eq=False):
    """A decision before it is written: the answer and its record; `started` is when work on it began."""

    body: dict[str, Any]
    record: DecisionRecord
    started: float


class Deciding:
    """Makes decisions and keeps them; parameters as in `Service`."""

    def __init__(self, snapshots: SnapshotHolder, ledger: Ledger, clock: Callable[[], datetime]) -> None:
        self._snapshots = snapshots
        self._ledger = ledger
        self._clock = clock
        self._kept_catalogs: set[str] = set()
        self._last_sources: tuple[Snapshot, Sources] | None = None

    def decide_many(self, requests: Sequence[AnyDecision], *, due: Sequence[float] | None = None) -> list[dict[str, Any] | NudgeError]:
        """One answer a request, in order; a request that is refused gets its refusal and the others their decisions.

        All decisions are made with one snapshot and kept in one transaction. One whose cap or limit another decision has used up in
        between is made again upon what holds now.
        """
        snapshot = self._snapshots.current
        self._remember_catalog(snapshot)
        results: dict[int, dict[str, Any] | NudgeError] = {}
        turns = Turns(range(len(requests)))
        in_vain = 0
        while in_vain < _ATTEMPTS and (places := turns.next()):
            asked = {place: (requests[place], math.inf if due is None else due[place]) for place in places}
            found = self._decide_once(asked, snapshot, turns)
            turns.settle(found)
            in_vain = 0 if found else in_vain + 1
            results |= found
        busy = Unavailable("too many decisions for the same contact, account or limit at once", hint="try again")
        return [results.get(place, busy) for place in range(len(requests))]

    def _decide_once(
        self, asked: Mapping[int, tuple[AnyDecision, float]], snapshot: Snapshot, turns: Turns
    ) -> dict[int, dict[str, Any] | NudgeError]:
        """Decide the requests at these places, each with its due time; what was not granted is left out of the answer."""
        results, to_make = self._earlier({place: request for place, (request, _) in asked.items()})
        to_keep: list[tuple[int, _Made]] = []
        for place, made in self._made({place: asked[place] for place in to_make}, snapshot).items():
            if isinstance(made, NudgeError):
                results[place] = made
            elif asked[place][0].dry_run:
                results[place] = _finished(made, 0.0)
            else:
                turns.counts_on(place, shared_by(made.record))
                to_keep.append((place, made))
        kept = self._keep([made for _, made in to_keep])
        return results | {place: answer for (place, _), answer in zip(to_keep, kept, strict=True) if answer is not None}

    def _earlier(self, asked: Mapping[int, AnyDecision]) -> tuple[dict[int, dict[str, Any] | NudgeError], list[int]]:
        """The answers of those whose request_id has its decision already, and the places of the others."""
        begun = perf_counter()
        named = {place: one.request_id for place, one in asked.items() if one.request_id is not None and not one.dry_run}
        found = self._ledger.decisions_by_request(set(named.values()), since=self._clock() - REQUEST_WINDOW)
        results: dict[int, dict[str, Any] | NudgeError] = {}
        for place, request_id in named.items():
            record = found.get(request_id)
            if record is not None:
                same = record.contact_id == asked[place].contact_id
                results[place] = _again(record, _NOTHING_MADE | {"total": _ms_since(begun)}) if same else _used_for_another(request_id)
        return results, [place for place in asked if place not in results]

    def _made(self, wanted: Mapping[int, tuple[AnyDecision, float]], snapshot: Snapshot) -> dict[int, _Made | NudgeError]:
        """A decision for each, or why it is refused; all of one moment, upon what was read once for all of them."""
        started, now = perf_counter(), self._clock()
        made: dict[int, _Made | NudgeError] = {}
        asked: dict[int, Asked] = {}
        for place, (request, _) in wanted.items():
            try:
                asked[place] = _asked(request, snapshot, new_decision_id(now))
            except NudgeError as error:
                made[place] = error
        if not asked:
            return made
        catalog, moment = snapshot.catalog.catalog, to_datetime64(now)
        book = metered(snapshot.book, catalog, moment)
        batch = gather_many(list(asked.values()), now, self._sources(snapshot), book=book)
        shared = _Shared(snapshot, now, period_of(snapshot.book, catalog, batch.meters, moment), started, _ms_since(started))
        to_choose: dict[int, Gathered] = {}
        for place, gathered in zip(asked, batch.gathered, strict=True):
            if isinstance(gathered, NudgeError):
                made[place] = gathered
            else:
                to_choose[place] = gathered
        options = [Wanted(gathered, _limit(wanted[place][0]), wanted[place][1]) for place, gathered in to_choose.items()]
        choices = choose_all(shared.house, snapshot.scorer, batch.features, options)
        for (place, gathered), choice in zip(to_choose.items(), choices, strict=True):
            made[place] = choice.refusal or _written(asked[place].decision_id, wanted[place][0], gathered, choice, shared)
        return made

    def _sources(self, snapshot: Snapshot) -> Sources:
        """The same for all batches of a snapshot: what of it follows from the catalogue is worked out once."""
        known = self._last_sources
        if known is None or known[0] is not snapshot:
            known = self._last_sources = snapshot, snapshot.sources(self._ledger)
        return known[1]

    def _keep(self, made: Sequence[_Made]) -> list[dict[str, Any] | NudgeError | None]:
        """Write the decisions in one transaction; the answers leave only afterwards. None: not granted, decide again."""
        begun = perf_counter()
        held = self._ledger.record_decisions([one.record for one in made])
        log_ms = _ms_since(begun)
        return [_answer(one, record, log_ms) for one, record in zip(made, held, strict=True)]

    def _remember_catalog(self, snapshot: Snapshot) -> None:
        """Keep the catalogue before its first decision, so that its decisions can be made again."""
        if snapshot.catalog_key not in self._kept_catalogs:
            self._ledger.keep_catalog(snapshot.catalog_key, snapshot.catalog_body)
            self._kept_catalogs.add(snapshot.catalog_key)


@dataclass(frozen=True)
class _Shared:
    """What the decisions of a batch share: the snapshot, the moment, the period; when work began and what reading took."""

    snapshot: Snapshot
    now: datetime
    period: RunningPeriod
    started: float
    read_ms: float

    @cached_property
    def house(self) -> House:
        """The house in which they are made."""
        period = self.period
        return House(self.snapshot.catalog, self.snapshot.scorer, period.prices, period.room, period.allowance)


def _written(decision_id: str, request: AnyDecision, gathered: Gathered, choice: Choice, shared: _Shared) -> _Made:
    begun = perf_counter()
    decided = Decided(decision_id, request, shared.now, shared.snapshot, gathered, shared.period, choice.decision, choice.degraded)
    body = response_body(decided)
    body["took_ms"] = {
        "features": shared.read_ms,
        "score": choice.score_ms,
        "decide": round(choice.decide_ms + (perf_counter() - begun) * 1e3, 3),
    }
    return _Made(body, decision_record(decided, body), shared.started)


def _asked(request: AnyDecision, snapshot: Snapshot, decision_id: str) -> Asked:
    catalog = snapshot.catalog.catalog
    placements = tuple(request.placements or ())
    if request.channel is not None and request.channel not in catalog.channels:
        raise RequestError("unknown channel", field="channel", got=request.channel, allowed=", ".join(catalog.channels))
    known = {name for channel in catalog.channels.values() for name in channel.placements}
    for place, name in enumerate(placements):
        if name not in known:
            raise RequestError("unknown placement", field=f"placements[{place}]", got=name, allowed=", ".join(sorted(known)) or "none")
    actions = tuple(request.actions or ())
    for place, name in enumerate(actions):
        if name not in catalog.action_by_id:
            hint = nearest(name, catalog.action_by_id)
            raise RequestError("unknown action", field=f"actions[{place}]", got=name, allowed="an action of the catalogue", hint=hint)
    return Asked(request.contact_id, request.channel, placements, request.context or {}, request.features or {}, decision_id, actions)


def _limit(request: AnyDecision) -> int:
    return request.limit or max(1, len(request.placements or ()))


def _answer(made: _Made, held: DecisionRecord | None, log_ms: float) -> dict[str, Any] | NudgeError | None:
    """What the caller gets, where `held` is the decision that the ledger holds: ours, or another of the same request_id."""
    if held is None:
        return None
    if held.decision_id == made.record.decision_id:
        return _finished(made, log_ms)
    if held.contact_id != made.record.contact_id:
        return _used_for_another(made.record.request_id)
    return _again(held, _took(made, log_ms))


def _again(held: DecisionRecord, took_ms: dict[str, float]) -> dict[str, Any]:
    """The answer of an earlier call with this request_id, and what this one took."""
    return {**held.trace["response"], "took_ms": took_ms}


def _used_for_another(request_id: str | None) -> Conflict:
    return Conflict("this request_id was used for another contact", field="request_id", got=request_id)


def _finished(made: _Made, log_ms: float) -> dict[str, Any]:
    return {**made.body, "took_ms": _took(made, log_ms)}


def _took(made: _Made, log_ms: float) -> dict[str, float]:
    return {**made.body["took_ms"], "log": log_ms, "total": _ms_since(made.started)}


def _ms_since(started: float) -> float:
    return round((perf_counter() - started) * 1000, 3)
