"""Decisions in real time: made with one snapshot, written in one transaction, made again where another took what they counted on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any

from decisioning.decide import Decision, decide
from decisioning.errors import Conflict, NudgeError, RequestError, Unavailable
from decisioning.stages import House
from ledger.decisions import REQUEST_WINDOW
from ledger.records import DecisionRecord
from ledger.store import Ledger
from serving.decided import Decided
from serving.decision_ids import new_decision_id
from serving.decision_records import SCORES_UNAVAILABLE, decision_record, response_body
from serving.running_period import running_period
from serving.schemas import DecisionRequest
from serving.situations import Asked, Gathered, gather, to_datetime64
from serving.snapshot import Snapshot, SnapshotHolder
from serving.turns import Turns, shared_by

LOG = logging.getLogger(__name__)
_ATTEMPTS = 40
"""How often in a row the decisions of a call are made while others keep getting ahead of all of them."""


@dataclass(frozen=True)
class _Made:
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

    def decide_many(self, requests: Sequence[DecisionRequest]) -> list[dict[str, Any] | NudgeError]:
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
            found = self._decide_once(requests, places, snapshot, turns)
            turns.settle(found)
            in_vain = 0 if found else in_vain + 1
            results |= found
        busy = Unavailable("too many decisions for the same contact, account or limit at once", hint="try again")
        return [results.get(place, busy) for place in range(len(requests))]

    def _decide_once(
        self, requests: Sequence[DecisionRequest], places: Sequence[int], snapshot: Snapshot, turns: Turns
    ) -> dict[int, dict[str, Any] | NudgeError]:
        """Decide the requests at `places`; what was not granted is left out of the answer."""
        results: dict[int, dict[str, Any] | NudgeError] = {}
        to_keep: list[tuple[int, _Made]] = []
        for place in places:
            request = requests[place]
            try:
                found = self._earlier(request)
                made = None if found is not None else self._make(request, snapshot)
            except NudgeError as error:
                results[place] = error
                continue
            if found is not None:
                results[place] = found
            elif made is not None and request.dry_run:
                results[place] = _finished(made, 0.0)
            elif made is not None:
                turns.counts_on(place, shared_by(made.record))
                to_keep.append((place, made))
        kept = self._keep([made for _, made in to_keep])
        return results | {place: answer for (place, _), answer in zip(to_keep, kept, strict=True) if answer is not None}

    def _earlier(self, request: DecisionRequest) -> dict[str, Any] | None:
        if request.request_id is None or request.dry_run:
            return None
        record = self._ledger.decision_by_request(request.request_id, since=self._clock() - REQUEST_WINDOW)
        if record is not None and record.contact_id != request.contact_id:
            raise _used_for_another(request.request_id)
        return None if record is None else dict(record.trace["response"])

    def _make(self, request: DecisionRequest, snapshot: Snapshot) -> _Made:
        started = perf_counter()
        now = self._clock()
        decision_id = new_decision_id(now)
        asked = _asked(request, snapshot, decision_id)
        gathered = gather(asked, now, snapshot.sources(self._ledger))
        period = running_period(snapshot.book, snapshot.catalog.catalog, self._ledger, to_datetime64(now))
        features_ms = _ms_since(started)
        timer = _ScoreTimer(snapshot)
        decision, degraded = self._choose(House(snapshot.catalog, timer, period.prices, period.room, period.allowance), gathered, request)
        decided = Decided(decision_id, request, now, snapshot, gathered, period, decision, degraded)
        body = response_body(decided)
        spent = _ms_since(started)
        body["took_ms"] = {"features": features_ms, "score": timer.spent_ms, "decide": round(spent - features_ms - timer.spent_ms, 3)}
        return _Made(body, decision_record(decided, body), started)

    def _choose(self, house: House, gathered: Gathered, request: DecisionRequest) -> tuple[Decision | None, str | None]:
        try:
            return decide(house, gathered.situation, gathered.history, limit=_limit(request)), gathered.degraded
        except NudgeError:
            raise
        except Exception:  # a model that fails on one contact must not take the page down: the catalogue's fallback answers
            LOG.exception("deciding for a contact failed; the fallback answers")
            return None, SCORES_UNAVAILABLE

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


class _ScoreTimer:
    """The snapshot's scorer, with the time it took."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._scorer = snapshot.scorer
        self.spent_ms = 0.0

    def __call__(self, situation: Any, alive: Any) -> Any:
        started = perf_counter()
        scores = self._scorer(situation, alive)
        self.spent_ms = _ms_since(started)
        return scores


def _asked(request: DecisionRequest, snapshot: Snapshot, decision_id: str) -> Asked:
    catalog = snapshot.catalog.catalog
    placements = tuple(request.placements or ())
    if request.channel is not None and request.channel not in catalog.channels:
        raise RequestError("unknown channel", field="channel", got=request.channel, allowed=", ".join(catalog.channels))
    known = {name for channel in catalog.channels.values() for name in channel.placements}
    for place, name in enumerate(placements):
        if name not in known:
            raise RequestError("unknown placement", field=f"placements[{place}]", got=name, allowed=", ".join(sorted(known)) or "none")
    return Asked(request.contact_id, request.channel, placements, request.context or {}, request.features or {}, decision_id)


def _limit(request: DecisionRequest) -> int:
    return request.limit or max(1, len(request.placements or ()))


def _answer(made: _Made, held: DecisionRecord | None, log_ms: float) -> dict[str, Any] | NudgeError | None:
    """What the caller gets, where `held` is the decision that the ledger holds: ours, or another of the same request_id."""
    if held is None:
        return None
    if held.decision_id == made.record.decision_id:
        return _finished(made, log_ms)
    if held.contact_id != made.record.contact_id:
        return _used_for_another(made.record.request_id)
    return dict(held.trace["response"])


def _used_for_another(request_id: str | None) -> Conflict:
    return Conflict("this request_id was used for another contact", field="request_id", got=request_id)


def _finished(made: _Made, log_ms: float) -> dict[str, Any]:
    took = {**made.body["took_ms"], "log": log_ms, "total": _ms_since(made.started)}
    return {**made.body, "took_ms": took}


def _ms_since(started: float) -> float:
    return round((perf_counter() - started) * 1000, 3)
