"""A service in memory: answers like the real one, without stores and models."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from decisioning.errors import NotFound, NudgeError, RequestError
from serving.plans.files import MEDIA_TYPES
from serving.ports.plans import AudienceFile
from serving.schemas.decisions import SuppressionIn
from serving.schemas.events import EventIn
from serving.schemas.hot_requests import AnyDecision, AnyOutcome
from serving.schemas.people import ConsentIn, IdentityIn
from serving.schemas.plans import PlanIn
from serving.watching.tally import Tally
from serving.watching.vitals import Vitals

CHANNELS = ("web", "email")

_FILTERED = {
    "treatment_id": "savings_hero",
    "stage": "eligibility",
    "rule": "age >= 26",
    "detail": "age is 22",
    "action_id": "savings",
    "channel": "web",
}


class FakeLetters:
    """An outbox from which everything arrived."""

    def standing(self, limit: int) -> dict[str, Any]:
        return {"host": None, "counts": {"waiting": 0, "delivered": 3, "dead": 0}, "dead": []}

    def resend(self, message_id: str | None) -> int:
        return 0


class FakePeople:
    """One person in no store at all."""

    def consent(self, contact_id: str, purpose: str, request: ConsentIn) -> dict[str, Any]:
        said = request.model_dump(mode="json", include={"status"})
        return {"contact_id": contact_id, "purpose": purpose, **said, "changed_at": "2026-11-22T10:00:00Z", "holds": True}

    def erase(self, contact_id: str) -> dict[str, Any]:
        return {"contact_id": contact_id, "erased": {"ledger": {"decisions": 1}}, "tombstone": "erased-1", "left": []}

    def export(self, contact_id: str) -> dict[str, Any]:
        if contact_id == "nobody":
            raise NotFound("nothing is held about this contact", field="contact_id", got=contact_id)
        return {"contact_id": contact_id, "ids": [contact_id], "exported_at": "2026-11-22T10:00:00Z", "ledger": {"decisions": []}}

    def join(self, request: IdentityIn) -> dict[str, Any]:
        return {**request.model_dump(), "joined": {"ledger": {"decisions": 2}}, "again": False}


class FakeEvents:
    """Keeps events by their ids; nothing is triggered."""

    def __init__(self) -> None:
        self.kept: dict[str, EventIn] = {}

    def record(self, events: Sequence[EventIn]) -> dict[str, Any]:
        new = {one.event_id or str(place): one for place, one in enumerate(events) if one.event_id not in self.kept}
        self.kept.update(new)
        return {"accepted": len(new), "duplicates": len(events) - len(new), "rejected": [], "decisions": []}


class FakeModels:
    """One model with a champion and a challenger; the gate refuses what is not forced."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int | None, bool, str | None]] = []

    def listed(self) -> dict[str, Any]:
        first = "the first of its kind: there is no champion to beat"
        nothing = {"as_of": "2026-11-22T00:00:00", "forced": None, "rolled_back": None}
        versions = [
            {"version": 2, "aliases": ["challenger"], "promoted_because": None, **nothing},
            {"version": 1, "aliases": ["champion"], "promoted_because": first, **nothing},
        ]
        return {"models": [{"name": "bank-uplift", "champion": 1, "challenger": 2, "versions": versions}]}

    def promote(self, name: str, *, version: int | None, force: bool, why: str | None) -> dict[str, Any]:
        self.asked.append((name, version, force, why))
        reason = f"forced: {why}" if force else "the gain is not surely above zero"
        return {"promoted": force, "reason": reason, "model": f"bank-{name}", "version": 2, "previous": 1, "rows_needed": 1_200}

    def rollback(self, name: str, *, why: str | None) -> dict[str, Any]:
        return {"promoted": True, "reason": f"rolled back from version 2: {why}", "model": f"bank-{name}", "version": 1, "previous": 2}


class FakeReports:
    """Says what it was asked for."""

    def report(self, name: str, *, period: str | None, drop: bool) -> dict[str, Any]:
        return {"report": name, "period": {"begin": period, "end": None}, "drop": {} if drop else None}


class FakePlans:
    """One plan that is made at once, with one audience."""

    def __init__(self) -> None:
        self.asked: list[PlanIn] = []

    def start(self, asked: PlanIn) -> dict[str, Any]:
        self.asked.append(asked)
        return {**self.plan("job-1"), "status": "queued", "progress": 0.0, "result": None}

    def listed(self) -> dict[str, Any]:
        kept = {"contacts": 2, "selected": 1, "expected_profit": 3.5, "channels": ["email"]}
        return {"jobs": [self.plan("job-1")], "plans": [{"plan_id": "plan-1", "created_at": "2026-11-22T10:00:00Z", **kept}]}

    def plan(self, plan_id: str) -> dict[str, Any]:
        if plan_id not in ("job-1", "plan-1"):
            raise NotFound("there is no such plan", field="plan_id", got=plan_id)
        done = {"status": "completed", "progress": 1.0, "result": {"plan_id": "plan-1", "selected": 1}}
        return {"id": plan_id, "created_at": "2026-11-22T10:00:00Z", "plan_id": "plan-1", **done}

    def audience(self, plan_id: str, channel: str, kind: str) -> AudienceFile:
        self.plan(plan_id)
        if channel != "email":
            raise NotFound("the plan has no such audience", field="channel", got=channel, allowed="email")
        return AudienceFile(f"audience_email.{kind}", MEDIA_TYPES[kind], iter([b"contact_id\n", b"c-1\n"]), 15)

    def close(self) -> None:
        """Nothing is under way."""


class FakeLeads:
    """One lead, which has just been handed over."""

    def __init__(self) -> None:
        times = dict.fromkeys(("accepted_at", "contacted_at", "rejected_at", "won_at", "lost_at", "accept_by", "contact_by"))
        why = {"reasons": [{"part": "fit", "because": "age >= 40", "points": 10.0}], "questions": [{"id": "budget", "ask": "How much?"}]}
        scores = {"grade": "A", "fit": 10.0, "score": 3.0, "probability": None, "owner": None, "revenue": None, "reason": None}
        known = {"lead_id": "lead-1", "contact_id": "c-1", "status": "handed_over", "handed_over_at": "2026-11-22T10:00:00Z"}
        self.lead: dict[str, Any] = {**known, **times, **scores, **why, "overdue": None}

    def listed(self, *, status: str | None, limit: int) -> dict[str, Any]:
        found = [self.lead][:limit] if status in (None, self.lead["status"]) else []
        counts = dict.fromkeys(("handed_over", "accepted", "contacted", "rejected", "won", "lost"), 0)
        late = {"accept": 0, "first_contact": 0}
        return {"leads": len(found), **counts, "revenue": 0.0, "overdue": late, "list": found}

    def step(self, lead_id: str, status: str, *, at: datetime | None, revenue: float | None, reason: str | None) -> dict[str, Any]:
        if lead_id != "lead-1":
            raise NotFound("no such lead", field="lead_id", got=lead_id)
        return {**self.lead, "status": status, "revenue": revenue, "reason": reason, "again": False}


class FakeService:
    """Proposes a loan on every channel it knows; `broken` is raised by every verb instead."""

    def __init__(self) -> None:
        self.decisions: dict[str, dict[str, Any]] = {}
        self.outcomes: dict[str, AnyOutcome] = {}
        self.asked: list[AnyDecision] = []
        self.broken: Exception | None = None
        self.ready = {"ledger": {"ok": True, "detail": "answers"}, "features": {"ok": True, "detail": "answers"}}
        self.closed = False
        self.models = FakeModels()
        self.reports = FakeReports()
        self.leads = FakeLeads()
        self.people = FakePeople()
        self.letters = FakeLetters()
        self.plans = FakePlans()
        self.tally = Tally()
        self.events = FakeEvents()

    def decide(self, request: AnyDecision) -> dict[str, Any]:
        self._break()
        self.asked.append(request)
        if request.channel not in (None, *CHANNELS):
            raise RequestError("unknown channel", field="channel", got=request.channel, allowed=", ".join(CHANNELS))
        answer = _answer(f"d-{len(self.decisions) + 1}", request)
        if not request.dry_run:
            self.decisions[answer["decision_id"]] = answer
        return answer

    def decide_many(self, requests: Sequence[AnyDecision], *, due: Sequence[float] | None = None) -> list[dict[str, Any] | NudgeError]:
        answers = [self._answer_or_refusal(request) for request in requests]
        self.tally.decided(answers)
        return answers

    def _answer_or_refusal(self, request: AnyDecision) -> dict[str, Any] | NudgeError:
        try:
            return self.decide(request)
        except RequestError as error:
            return error

    def record_outcomes(self, outcomes: Sequence[AnyOutcome]) -> dict[str, Any]:
        self._break()
        rejected = [
            {"index": place, "reason": "unknown outcome 'nonsense'"} for place, one in enumerate(outcomes) if one.outcome == "nonsense"
        ]
        kept = [one for one in outcomes if one.outcome != "nonsense"]
        new = {one.event_id: one for one in reversed(kept) if one.event_id not in self.outcomes}
        self.outcomes.update(new)
        return {"accepted": len(new), "duplicates": len(kept) - len(new), "rejected": rejected}

    def record_calls(self, calls: Sequence[Sequence[AnyOutcome]]) -> list[dict[str, Any]]:
        return [self.record_outcomes(call) for call in calls]

    def decision(self, decision_id: str) -> dict[str, Any]:
        self._break()
        if decision_id not in self.decisions:
            raise NotFound("there is no such decision", field="decision_id", got=decision_id)
        return {**self.decisions[decision_id], "request": {"limit": 3}, "outcomes": []}

    def replay(self, decision_id: str) -> dict[str, Any]:
        self.decision(decision_id)
        return {"decision_id": decision_id, "identical": True, "differences": []}

    def prices(self) -> dict[str, Any]:
        self._break()
        calls = {"id": "calls", "measure": "contacts", "max": 500.0, "used": 120.0, "room": 380.0, "price": 41.2, "published_price": 40.0}
        return {"id": "p-3", "period": {"number": 0, "elapsed": 0.25}, "constraints": [calls]}

    def suppress(self, contact_id: str, request: SuppressionIn) -> dict[str, Any]:
        self._break()
        return {"contact_id": contact_id, **request.model_dump(mode="json")}

    def report_funnel(self, contacts: int) -> dict[str, Any]:
        self._break()
        nothing: dict[str, Any] = {name: [] for name in ("stages", "actions", "channels", "control_groups")}
        figures: dict[str, Any] = {name: {} for name in ("without_action", "optionality", "sensitivity")}
        return {"report": "funnel", "as_of": "2026-11-22T10:00:00Z", "contacts": contacts, "candidates": 0, **nothing, **figures}

    def contact(self, contact_id: str) -> dict[str, Any]:
        self._break()
        if contact_id == "nobody":
            raise NotFound("there is no such contact", field="contact_id", got=contact_id)
        empty: dict[str, Any] = {name: [] for name in ("touches", "decisions", "outcomes", "consents")}
        return {
            "contact_id": contact_id,
            "attributes": {"age": 41},
            "features": {"age": 41},
            "segment": "persuadable",
            "clv": None,
            **empty,
        }

    def placements(self) -> dict[str, str | None]:
        return {"home_hero": "web"}

    def vitals(self) -> Vitals:
        return Vitals({"catalog": "2026-11-22#9f2c"}, left_out={"uplift": "a tree of another kind"})

    def readiness(self) -> dict[str, dict[str, Any]]:
        self._break()
        return self.ready

    def close(self) -> None:
        self.closed = True

    def _break(self) -> None:
        if self.broken is not None:
            raise self.broken


def _answer(decision_id: str, request: AnyDecision) -> dict[str, Any]:
    return {
        "decision_id": decision_id,
        "contact_id": request.contact_id,
        "contact_known": True,
        "decided_at": "2026-11-22T10:00:00Z",
        "took_ms": {"features": 0.4, "score": 1.1, "decide": 0.2, "log": 0.6, "total": 2.5},
        "control_group": "nudge",
        "degraded": None,
        "versions": {"catalog": "2026-11-22#9f2c", "models": {"uplift": 4, "clv": 2}, "features": "a81e", "prices": "p-3"},
        "actions": [_loan(rank) for rank in range(1, (request.limit or 1) + 1)],
        "no_action": None,
        "filtered": [_FILTERED] if request.explain else [],
        "explanation": None,
    }


def _loan(rank: int) -> dict[str, Any]:
    return {
        "rank": rank,
        "action_id": "personal_loan",
        "issue": "sales",
        "group": "lending",
        "treatment_id": "personal_loan_hero",
        "channel": "web",
        "placement": "home_hero",
        "content_id": "loan_hero",
        "propensity": 0.081,
        "baseline": 0.052,
        "uplift": 0.029,
        "value": 640.0,
        "clv": 1820.0,
        "opt_out_risk": 0.001,
        "cost": 0.0,
        "shadow_cost": 0.0,
        "context_weight": 1.5,
        "lever": 1.0,
        "expected_profit": 18.2,
        "priority": 27.3,
        "segment": "persuadable",
        "send_at": None,
        "selection_prob": 0.93,
        "traffic": "model",
        "reasons": ["uplift 2.9 points"],
    }
