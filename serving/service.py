"""Every verb of serving. The routes and the command line only translate to and from these."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from decisioning.catalog import Catalog
from decisioning.errors import Conflict, NotFound, NudgeError, RequestError, Unavailable, nearest
from ledger.candidates import candidate_rows
from ledger.store import Ledger
from ledger.suppressions import SuppressionRecord
from serving.feedback.dead_letters import DeadLetters
from serving.feedback.errands import Errands
from serving.feedback.event_intake import Events
from serving.feedback.event_settling import Settling
from serving.feedback.outcome_intake import intake
from serving.feedback.reconciling import reconcile, unanswered
from serving.feedback.timed_triggers import TimedTriggers
from serving.feedback.webhooks import Secrets, Sender
from serving.http.api_keys import KeyRing
from serving.people.contact_view import contact_view
from serving.people.people import People, Stores
from serving.plans.archive import PlanArchive
from serving.plans.funnel import Sample, funnel_report
from serving.plans.population import Population
from serving.plans.segment_map import segment_document
from serving.ports.console import ConsoleDesk, NoConsole
from serving.ports.leads import LeadsDesk, NoLeads
from serving.ports.models import ModelDesk, NoModels
from serving.ports.plans import NoPlans, PlanDesk
from serving.ports.reports import NoReports, ReportDesk
from serving.realtime import answers
from serving.realtime.deciding import Deciding
from serving.realtime.feature_rows import to_datetime64
from serving.realtime.price_books import prices_view
from serving.realtime.scorer import Models
from serving.realtime.snapshot import Snapshot, SnapshotHolder
from serving.replaying.replay import replay, replay_plan
from serving.schemas.decisions import SuppressionIn
from serving.schemas.hot_requests import AnyDecision, AnyOutcome
from serving.watching.tally import Tally
from serving.watching.vitals import Vitals, vitals_of

Reporting: TypeAlias = Callable[[Population, Snapshot, Ledger, datetime], dict[str, Any]]
"""Makes a report of a population."""

_PATIENCE_SECONDS = 60.0


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
    plans : PlanArchive
        What plans were made from, to make their decisions again.
    stores : Stores
        Every store of the workspace, as far as one person is concerned.
    """

    def __init__(
        self,
        snapshots: SnapshotHolder,
        ledger: Ledger,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sample: Sample | None = None,
        plans: PlanArchive | None = None,
        stores: Stores | None = None,
    ) -> None:
        self._snapshots = snapshots
        self._ledger = ledger
        self._clock = clock
        self._sample = sample
        self._reporting = threading.Lock()
        self._archive = plans
        self._deciding = Deciding(snapshots, ledger, clock)
        self.tally = Tally()
        self.models: ModelDesk = NoModels()
        self.reports: ReportDesk = NoReports()
        self.plans: PlanDesk = NoPlans()
        self.leads: LeadsDesk = NoLeads()
        self.console: ConsoleDesk = NoConsole()
        self.people = People(ledger, snapshots, clock, stores)
        self.letters = DeadLetters(ledger.outbox, self._webhook, clock)
        self._errands: list[Callable[[], None]] = []
        self.events = Events(ledger, self.people, Settling(ledger, snapshots, self.decide_many, clock), clock)
        self.timed = TimedTriggers(ledger, snapshots, self.decide_many, clock)

    # deciding ----------------------------------------------------------------------------------------------------

    def decide(self, request: AnyDecision) -> dict[str, Any]:
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

    def decide_many(self, requests: Sequence[AnyDecision], *, due: Sequence[float] | None = None) -> list[dict[str, Any] | NudgeError]:
        """One answer a request, in order; a request that is refused gets its refusal and the others their decisions.

        A request that is begun after it was `due` (seconds of `time.perf_counter`) gets the catalogue's fallback.
        """
        answers = self._deciding.decide_many(self.people.as_contacts(requests), due=due)
        self.tally.decided(answers)
        return answers

    # remembering -------------------------------------------------------------------------------------------------

    def record_outcomes(self, outcomes: Sequence[AnyOutcome]) -> dict[str, Any]:
        """Keep outcomes, each once: {accepted, duplicates, rejected: [{index, reason}]}; in the ledger when it returns."""
        return self.record_calls([outcomes])[0]

    def record_calls(self, calls: Sequence[Sequence[AnyOutcome]]) -> list[dict[str, Any]]:
        """The outcomes of several calls in one transaction: one receipt a call, each as if it had come alone."""
        calls = [self.people.as_contacts(call) for call in calls]
        return intake(calls, self._ledger, self._snapshots.current.catalog.catalog, self._clock(), tally=self.tally)

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
        happened = self._ledger.outcomes_for(decision_id)
        silence = unanswered(record, happened, self._snapshots.current.catalog.catalog, self._clock())
        outcomes = [*(_outcome(one) for one in happened), *silence]
        return {
            "decision_id": record.decision_id,
            "contact_id": record.contact_id,
            "decided_at": answers.iso(record.decided_at),
            "control_group": record.control_group,
            "plan_id": record.plan_id,
            **_shown(record.trace),
            "outcomes": outcomes,
        }

    def replay(self, decision_id: str) -> dict[str, Any]:
        """A past decision made again: {decision_id, identical, differences: [{field, then, now}]}.

        Raises
        ------
        NotFound
            There is no such decision, or a version it was made with is gone.
        Conflict
            Its contact was erased.
        """
        record = self._ledger.decision(decision_id)
        if record is None:
            raise NotFound("there is no such decision", field="decision_id", got=decision_id)
        if record.trace.get("erased"):
            raise Conflict("the contact of this decision was erased: what it was made from is gone", field="decision_id", got=decision_id)
        if record.plan_id is None:
            return replay(record, self._ledger, self._models_of)
        if self._archive is None:
            raise NotFound("the inputs of plans are not kept here", field="decision_id", got=decision_id)
        return replay_plan(record, self._ledger, self._models_of, self._archive)

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
        return self.of_sample(funnel_report, contacts)

    def segment_map(self, contacts: int) -> dict[str, Any]:
        """The four segments of a sample of `contacts` contacts (`segment_map.segment_document`); one report at a time.

        Raises
        ------
        Unavailable
            Another report is being made, or there is no population to read.
        """
        return self.of_sample(segment_document, contacts, patience=_PATIENCE_SECONDS)

    def of_sample(self, make: Reporting, contacts: int, *, patience: float = 0.0) -> dict[str, Any]:
        """What `make` says of a sample of `contacts` contacts; one at a time, after at most `patience` seconds.

        Raises
        ------
        Unavailable
            Another report is being made, or there is no population to read.
        """
        if self._sample is None:
            raise Unavailable("no population can be read here", hint="use nudge report funnel")
        if not self._reporting.acquire(timeout=patience):
            raise Unavailable("another report is being made", hint="try again in a moment")
        try:
            snapshot = self._snapshots.current
            return make(self._sample(snapshot, contacts), snapshot, self._ledger, self._clock())
        finally:
            self._reporting.release()

    def reconciliation(self) -> dict[str, Any]:
        """What became of every choice so far: {days, channels, orphans, gaps} (`reconciling.reconcile`)."""
        return reconcile(self._ledger, self.catalog, self._clock(), (None, None))

    @property
    def catalog(self) -> Catalog:
        """The catalogue that decides now."""
        return self._snapshots.current.catalog.catalog

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

    def placements(self) -> dict[str, str | None]:
        """Every placement with its channel; None where several channels have one of this name."""
        channels = self._snapshots.current.catalog.catalog.channels.items()
        pairs = [(name, channel) for channel, settings in channels for name in settings.placements]
        once = Counter(name for name, _ in pairs)
        return {name: channel if once[name] == 1 else None for name, channel in pairs}

    def vitals(self) -> Vitals:
        """What serves now, and how fresh it is."""
        return vitals_of(self._snapshots, self._ledger.outbox)

    def readiness(self) -> dict[str, dict[str, Any]]:
        """Each dependency by name: {ok, detail}."""
        versions, online = self._snapshots.current.versions, self._snapshots.current.online
        checks: dict[str, Callable[[], object]] = {"ledger": self._ledger.check, "features": lambda: online.online(["readiness"])}
        state = {name: _checked(check) for name, check in checks.items()}
        vitals = self.vitals()
        if state["features"]["ok"] and vitals.features_as_of is not None and vitals.features_since is not None:
            since, as_of = answers.iso(vitals.features_since), answers.iso(vitals.features_as_of)
            state["features"]["detail"] = f"answers, with features as of {as_of}, materialised {since}"
        problem = self._snapshots.problem
        state["catalog"] = {"ok": True, "detail": f"{versions['catalog']}" if problem is None else f"serving the old version: {problem}"}
        state["models"] = {
            "ok": True,
            "detail": ", ".join(f"{k} {v}" for k, v in versions["models"].items()) or "none: cold-start priors only",
        }
        return state

    def key_ring(self) -> KeyRing:
        """Who may call: the keys in the ledger, as they are now."""
        return KeyRing(self._ledger.keys.all, self._clock)

    def run_errands(self, secrets: Secrets | None) -> None:
        """Begin to settle events that were left open, to look at triggers by time and, with secrets to sign with, to deliver messages."""
        sender = Sender(self._ledger.outbox, self._webhook, secrets or (), self._clock)
        errands = Errands(self.events.catch_up, sender.deliver)
        looking = Errands(lambda **_: self.timed.run_due(), lambda: 0)  # a thread of its own: a look at everybody must not hold up messages
        for one in (errands, looking):
            one.start()
        self._errands += [errands.stop, looking.stop, sender.close]

    def _webhook(self) -> str | None:
        return self.catalog.triggers_webhook

    def close(self) -> None:
        """Release the stores, and stop what is done in the background."""
        for stop in self._errands:
            stop()
        self.plans.close()
        self._snapshots.close()
        self._ledger.close()


def known(name: str | None, names: Collection[str], field: str) -> None:
    """Raise a `RequestError` for a name that the catalogue does not have; None names nothing."""
    if name is not None and name not in names:
        raise RequestError("is not in the catalogue", field=field, got=name, allowed=", ".join(names), hint=nearest(name, names))


def _shown(trace: Mapping[str, Any]) -> dict[str, Any]:
    """The trace with its candidates one a row."""
    return {**trace, **({"candidates": candidate_rows(trace["candidates"])} if "candidates" in trace else {})}


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
