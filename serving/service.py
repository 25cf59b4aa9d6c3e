"""Every verb of serving. The routes and the command line only translate to and from these."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from decisioning.decide import Decision, decide
from decisioning.errors import Conflict, NotFound, NudgeError, RequestError, Unavailable, nearest
from decisioning.stages import House
from ledger.decisions import REQUEST_WINDOW, DecisionRecord
from ledger.store import Ledger
from ledger.suppressions import SuppressionRecord
from serving import answers
from serving.contact_view import contact_view
from serving.decision_ids import new_decision_id
from serving.decision_records import SCORES_UNAVAILABLE, Decided, decision_record, response_body
from serving.outcome_intake import intake
from serving.price_books import prices_view
from serving.replay import replay
from serving.reports import Sample, funnel_report
from serving.running_period import running_period
from serving.schemas import DecisionRequest, OutcomeIn, SuppressionIn
from serving.scorer import Models
from serving.situations import Asked, Gathered, gather, to_datetime64
from serving.snapshot import Snapshot, SnapshotHolder

LOG = logging.getLogger(__name__)
_ATTEMPTS = 40
"""How often a decision is made that others keep getting ahead of: each time at least one of them is through."""


@dataclass(frozen=True)
class _Made:
    """A decision before it is written: the answer and its record; `started` is when work on it began."""

    body: dict[str, Any]
    record: DecisionRecord
    started: float


class Service:
    """Decides, records and remembers, over stores that the composition root built.

    Parameters
    ----------
    snapshots : SnapshotHolder
    ledger : Ledger
    clock : callable
        Returns the present as an aware datetime.
    sample : callable
        Reads that many contacts of the population for a report.
    """

    def __init__(
        self,
        snapshots: SnapshotHolder,
        ledger: Ledger,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sample: Sample | None = None,
    ) -> None:
        self._snapshots = snapshots
        self._ledger = ledger
        self._clock = clock
        self._sample = sample
        self._reporting = threading.Lock()
        self._kept_catalogs: set[str] = set()

    # deciding ----------------------------------------------------------------------------------------------------

    def decide(self, request: DecisionRequest) -> dict[str, Any]:
        """One decision as the JSON of the contract; in the ledger when it returns, unless `dry_run`.

        Raises
        ------
        RequestError
            The request names an unknown channel or placement, or a feature of the wrong type.
        Unavailable
            The ledger does not answer, so that no decision could be kept.
        """
        (result,) = self.decide_many([request])
        if isinstance(result, NudgeError):
            raise result
        return result

    def decide_many(self, requests: Sequence[DecisionRequest]) -> list[dict[str, Any] | NudgeError]:
        """One answer a request, in order; a request that is refused gets its refusal and the others their decisions.

        All decisions are made with one snapshot and kept in one transaction. One whose cap or limit another decision has used up in
        between is made again upon what holds now.
        """
        snapshot = self._snapshots.current
        self._remember_catalog(snapshot)
        results: dict[int, dict[str, Any] | NudgeError] = {}
        for _ in range(_ATTEMPTS):
            open_places = [place for place in range(len(requests)) if place not in results]
            if not open_places:
                break
            results |= self._decide_once(requests, open_places, snapshot)
        busy = Unavailable("too many decisions for the same contact, account or limit at once", hint="try again")
        return [results.get(place, busy) for place in range(len(requests))]

    def _decide_once(
        self, requests: Sequence[DecisionRequest], places: Sequence[int], snapshot: Snapshot
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
                to_keep.append((place, made))
        kept = self._keep([made for _, made in to_keep])
        return results | {place: body for (place, _), body in zip(to_keep, kept, strict=True) if body is not None}

    def _earlier(self, request: DecisionRequest) -> dict[str, Any] | None:
        if request.request_id is None or request.dry_run:
            return None
        record = self._ledger.decision_by_request(request.request_id, since=self._clock() - REQUEST_WINDOW)
        if record is not None and record.contact_id != request.contact_id:
            raise Conflict("this request_id was used for another contact", field="request_id", got=request.request_id)
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

    def _keep(self, made: Sequence[_Made]) -> list[dict[str, Any] | None]:
        """Write the decisions in one transaction; the answers leave only afterwards. None: not granted, decide again."""
        begun = perf_counter()
        held = self._ledger.record_decisions([one.record for one in made])
        log_ms = _ms_since(begun)
        answered: list[dict[str, Any] | None] = []
        for one, record in zip(made, held, strict=True):
            if record is None:
                answered.append(None)
            else:
                ours = record.decision_id == one.record.decision_id
                answered.append(_finished(one, log_ms) if ours else dict(record.trace["response"]))
        return answered

    def _remember_catalog(self, snapshot: Snapshot) -> None:
        """Keep the catalogue before its first decision, so that its decisions can be made again."""
        if snapshot.catalog_key not in self._kept_catalogs:
            self._ledger.keep_catalog(snapshot.catalog_key, snapshot.catalog_body)
            self._kept_catalogs.add(snapshot.catalog_key)

    # remembering -------------------------------------------------------------------------------------------------

    def record_outcomes(self, outcomes: Sequence[OutcomeIn]) -> dict[str, Any]:
        """Keep outcomes, each once: {accepted, duplicates, rejected: [{index, reason}]}; in the ledger when it returns."""
        return intake(outcomes, self._ledger, self._snapshots.current.catalog.catalog, self._clock())

    def decision(self, decision_id: str) -> dict[str, Any]:
        """The full trace of a decision, with its outcomes.

        Raises
        ------
        NotFound
            There is no such decision.
        """
        record = self._ledger.decision(decision_id)
        if record is None:
            raise NotFound("there is no such decision", field="decision_id", got=decision_id)
        outcomes = [_outcome(one) for one in self._ledger.outcomes_for(decision_id)]
        return {
            "decision_id": record.decision_id,
            "contact_id": record.contact_id,
            "decided_at": answers.iso(record.decided_at),
            "control_group": record.control_group,
            "plan_id": record.plan_id,
            **record.trace,
            "outcomes": outcomes,
        }

    def replay(self, decision_id: str) -> dict[str, Any]:
        """A past decision made again: {decision_id, identical, differences: [{field, then, now}]}.

        Raises
        ------
        NotFound
            There is no such decision, or a version it was made with is gone.
        """
        record = self._ledger.decision(decision_id)
        if record is None:
            raise NotFound("there is no such decision", field="decision_id", got=decision_id)
        return replay(record, self._ledger, self._models_of)

    def _models_of(self, versions: Mapping[str, int]) -> Models:
        current = self._snapshots.current.scorer.models
        return current if current.versions == versions else self._snapshots.source.models(versions)

    def prices(self) -> dict[str, Any]:
        """The running price book: {id, period, constraints: [{id, price, published_price, used, room, ...}], exploration}."""
        snapshot, now = self._snapshots.current, to_datetime64(self._clock())
        return prices_view(snapshot.book, snapshot.plan_id, self._ledger, snapshot.catalog.catalog, now)

    def report_funnel(self, contacts: int) -> dict[str, Any]:
        """The funnel of a sample of `contacts` contacts; one report at a time, so that decisions are not held up.

        Raises
        ------
        Unavailable
            Another report is being made, or there is no population to read.
        """
        if self._sample is None:
            raise Unavailable("no population can be read here", hint="use nudge report funnel")
        if not self._reporting.acquire(blocking=False):
            raise Unavailable("another report is being made", hint="try again in a moment")
        try:
            snapshot = self._snapshots.current
            return funnel_report(self._sample(snapshot, contacts), snapshot, self._ledger, self._clock())
        finally:
            self._reporting.release()

    def suppress(self, contact_id: str, request: SuppressionIn) -> dict[str, Any]:
        """Switch an action, a channel or everything off for a contact until a date; a date that is past lifts it."""
        catalog = self._snapshots.current.catalog.catalog
        known(request.action_id, catalog.action_by_id, "action_id")
        known(request.channel, catalog.channels, "channel")
        item = SuppressionRecord(contact_id, request.until, self._clock(), request.action_id, request.channel, request.reason)
        self._ledger.suppress(item)
        return {"contact_id": contact_id, **request.model_dump(mode="json")}

    def contact(self, contact_id: str) -> dict[str, Any]:
        """Everything held about a contact.

        Raises
        ------
        NotFound
            Nothing is.
        """
        return contact_view(contact_id, self._snapshots.current, self._ledger, self._clock())

    def readiness(self) -> dict[str, dict[str, Any]]:
        """Each dependency by name: {ok, detail}."""
        versions, online = self._snapshots.current.versions, self._snapshots.current.online
        checks: dict[str, Callable[[], object]] = {"ledger": self._ledger.check, "features": lambda: online.online(["readiness"])}
        state = {name: _checked(check) for name, check in checks.items()}
        problem = self._snapshots.problem
        state["catalog"] = {"ok": True, "detail": f"{versions['catalog']}" if problem is None else f"serving the old version: {problem}"}
        state["models"] = {
            "ok": True,
            "detail": ", ".join(f"{k} {v}" for k, v in versions["models"].items()) or "none: cold-start priors only",
        }
        return state

    def close(self) -> None:
        """Release the stores."""
        self._snapshots.close()
        self._ledger.close()


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


def known(name: str | None, names: Collection[str], field: str) -> None:
    """Raise a `RequestError` for a name that the catalogue does not have; None names nothing."""
    if name is not None and name not in names:
        raise RequestError("is not in the catalogue", field=field, got=name, allowed=", ".join(names), hint=nearest(name, names))


def _limit(request: DecisionRequest) -> int:
    return request.limit or max(1, len(request.placements or ()))


def _finished(made: _Made, log_ms: float) -> dict[str, Any]:
    took = {**made.body["took_ms"], "log": log_ms, "total": _ms_since(made.started)}
    return {**made.body, "took_ms": took}


def _outcome(record: Any) -> dict[str, Any]:
    return {
        "event_id": record.event_id,
        "treatment_id": record.treatment_id,
        "outcome": record.outcome,
        "behaviour": record.behaviour,
        "value": record.value,
        "occurred_at": answers.iso(record.occurred_at),
        "late": record.late,
    }


def _checked(check: Callable[[], object]) -> dict[str, Any]:
    try:
        check()
    except NudgeError as error:
        return {"ok": False, "detail": str(error)}
    return {"ok": True, "detail": "answers"}


def _ms_since(started: float) -> float:
    return round((perf_counter() - started) * 1000, 3)
