"""What the routes need of a service: the verbs, without HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from decisioning.catalog import Catalog
from decisioning.errors import NudgeError
from serving.ports.console import ConsoleDesk
from serving.ports.leads import LeadsDesk
from serving.ports.models import ModelDesk
from serving.ports.plans import PlanDesk
from serving.ports.reports import ReportDesk
from serving.schemas.decisions import SuppressionIn
from serving.schemas.events import EventIn
from serving.schemas.hot_requests import AnyDecision, AnyOutcome
from serving.schemas.people import ConsentIn, IdentityIn
from serving.watching.tally import Tally
from serving.watching.vitals import Vitals


class People(Protocol):
    """What concerns one person."""

    def consent(self, contact_id: str, purpose: str, request: ConsentIn) -> dict[str, Any]:
        """Keep what a contact says about a purpose (`schemas.people.ConsentOut`)."""

    def erase(self, contact_id: str) -> dict[str, Any]:
        """Erase a contact from every store (`schemas.people.ErasureOut`)."""

    def export(self, contact_id: str) -> dict[str, Any]:
        """Everything held about a contact (`schemas.people.ExportOut`)."""

    def join(self, request: IdentityIn) -> dict[str, Any]:
        """Make a visitor a contact (`schemas.people.IdentityOut`)."""


class Events(Protocol):
    """What contacts do."""

    def record(self, events: Sequence[EventIn]) -> dict[str, Any]:
        """Keep events, each once, and act on them (`schemas.events.EventReceipt`); an index counts within `events`."""


class Letters(Protocol):
    """The outbox as whoever looks after it sees it."""

    def standing(self, limit: int) -> dict[str, Any]:
        """{host, counts: {waiting, delivered, dead}, dead: the newest dead letters}."""

    def resend(self, message_id: str | None) -> int:
        """Put a message, or with None every dead letter, back to be sent; returns how many."""


class Service(Protocol):
    """Decides, records and remembers. Every verb may be called from several threads at once and refuses with a `NudgeError`."""

    def decide(self, request: AnyDecision) -> dict[str, Any]:
        """One decision (`schemas.hot_answers.DecisionAnswer`), in the ledger before it returns."""

    def decide_many(self, requests: Sequence[AnyDecision], *, due: Sequence[float] | None = None) -> list[dict[str, Any] | NudgeError]:
        """One answer a request, in order: its decision, or its refusal. After `due` (of `time.perf_counter`) only a fallback is made."""

    def record_outcomes(self, outcomes: Sequence[AnyOutcome]) -> dict[str, Any]:
        """Keep outcomes, each once (`schemas.hot_answers.ReceiptAnswer`); an index counts within `outcomes`."""

    def record_calls(self, calls: Sequence[Sequence[AnyOutcome]]) -> list[dict[str, Any]]:
        """The same for several calls at once: one receipt a call."""

    def decision(self, decision_id: str) -> dict[str, Any]:
        """The full trace of a decision (`schemas.DecisionTrace`)."""

    def replay(self, decision_id: str) -> dict[str, Any]:
        """A past decision made again (`schemas.Replayed`)."""

    def prices(self) -> dict[str, Any]:
        """The running price book (`schemas.Prices`)."""

    def suppress(self, contact_id: str, request: SuppressionIn) -> dict[str, Any]:
        """Switch off for a contact until a date (`schemas.SuppressionOut`)."""

    def report_funnel(self, contacts: int) -> dict[str, Any]:
        """The funnel of a sample of that many contacts (`schemas.explained.FunnelReport`)."""

    def segment_map(self, contacts: int) -> dict[str, Any]:
        """The four segments of a sample of that many contacts (`segment_map.segment_document`)."""

    def reconciliation(self) -> dict[str, Any]:
        """What became of every choice: decided, delivered, seen, responded (`reconciling.reconcile`)."""

    def contact(self, contact_id: str) -> dict[str, Any]:
        """Everything held about a contact (`schemas.ContactView`)."""

    @property
    def people(self) -> People:
        """What concerns one person."""

    @property
    def events(self) -> Events:
        """What contacts do."""

    @property
    def models(self) -> ModelDesk:
        """The registered models, and how they are changed."""

    @property
    def reports(self) -> ReportDesk:
        """The measured reports."""

    @property
    def plans(self) -> PlanDesk:
        """Plans made in the background, and their files."""

    @property
    def leads(self) -> LeadsDesk:
        """The leads that were handed over to sales."""

    @property
    def letters(self) -> Letters:
        """Messages that did not arrive."""

    @property
    def tally(self) -> Tally:
        """What was answered and not counted yet."""

    def placements(self) -> dict[str, str | None]:
        """Every placement with its channel; None where several channels have one of this name."""

    def vitals(self) -> Vitals:
        """What serves now, and how fresh it is."""

    @property
    def catalog(self) -> Catalog:
        """The catalogue that decides now."""

    @property
    def console(self) -> ConsoleDesk:
        """What the console needs beyond these verbs."""

    def readiness(self) -> dict[str, dict[str, Any]]:
        """Each dependency by name: {"ok": bool, "detail": str}."""

    def close(self) -> None:
        """Release what the service holds; called once, when the server stops."""
