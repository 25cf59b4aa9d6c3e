"""A decision as the answer that leaves, and as the record that stays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from decisioning.compiled_catalog import CompiledCatalog
from decisioning.control import HOLDOUT, TREATED
from decisioning.decide import Decision
from ledger.decisions import DecisionRecord, Selection
from serving import answers
from serving.schemas import DecisionRequest
from serving.situations import Gathered
from serving.snapshot import Snapshot

SCORES_UNAVAILABLE = "scores_unavailable"


@dataclass(frozen=True)
class Decided:
    """Everything one decision came from; `decision` is None where none could be made, `degraded` says why."""

    decision_id: str
    request: DecisionRequest
    now: datetime
    snapshot: Snapshot
    gathered: Gathered
    decision: Decision | None
    degraded: str | None

    @property
    def catalog(self) -> CompiledCatalog:
        """The catalogue it was made with."""
        return self.snapshot.catalog


def response_body(decided: Decided) -> dict[str, Any]:
    """The JSON that answers a caller, but for `took_ms`."""
    decision, catalog, request = decided.decision, decided.catalog, decided.request
    held_out = decision is not None and bool(decision.appraisal.held_out[0])
    if decision is None:
        actions = answers.fallback_actions(catalog, request.channel, tuple(request.placements or ()))
        nothing = None if actions else {"reason": SCORES_UNAVAILABLE, "detail": "no decision could be made and there is no fallback"}
    else:
        actions, nothing = answers.chosen_actions(decision, catalog), answers.no_action(decision, catalog)
    return {
        "decision_id": decided.decision_id,
        "contact_id": request.contact_id,
        "contact_known": decided.gathered.known,
        "decided_at": answers.iso(decided.now),
        "took_ms": {},
        "control_group": HOLDOUT if held_out else TREATED,
        "degraded": decided.degraded,
        "versions": decided.snapshot.versions,
        "actions": actions,
        "no_action": nothing,
        "filtered": answers.filtered(decision, catalog) if request.explain and decision is not None else [],
    }


def decision_record(decided: Decided, body: dict[str, Any]) -> DecisionRecord:
    """What the ledger keeps: the answer, and all that it can be audited from."""
    selections = [_selection(one, decided) for one in body["actions"] if one["treatment_id"] in decided.catalog.column_of]
    trace = {
        "request": decided.request.model_dump(mode="json"),
        "features": {name: _plain(column[0]) for name, column in decided.gathered.situation.columns.items()},
        "versions": decided.snapshot.versions,
        "candidates": [] if decided.decision is None else answers.candidate_trace(decided.decision, decided.catalog),
        "response": body,
    }
    return DecisionRecord(
        decision_id=decided.decision_id,
        contact_id=decided.request.contact_id,
        decided_at=decided.now,
        control_group=body["control_group"],
        selections=tuple(selections),
        request_id=decided.request.request_id,
        channel=decided.request.channel,
        degraded=decided.degraded,
        trace=trace,
    )


def _selection(action: dict[str, Any], decided: Decided) -> Selection:
    return selection_of(
        decided.catalog,
        decided.catalog.column_of[action["treatment_id"]],
        decided.now,
        rank=action["rank"],
        expected_profit=action["expected_profit"] or 0.0,
    )


def selection_of(catalog: CompiledCatalog, column: int, now: datetime, *, rank: int, expected_profit: float) -> Selection:
    """The choice of a treatment; an outbound one reserves its place under the contact policy for the window of its goal."""
    action, treatment = catalog.treatments[column]
    window_days = catalog.catalog.outcomes[action.goal].window_days if action.goal else 1.0
    outbound = bool(catalog.outbound[column])
    return Selection(
        rank=rank,
        action_id=action.id,
        treatment_id=treatment.id,
        channel=treatment.channel,
        direction="outbound" if outbound else "inbound",
        placement=treatment.placement,
        selection_prob=1.0,
        expected_profit=expected_profit,
        cost=float(catalog.cost[column]),
        reserved_until=now + timedelta(days=window_days) if outbound else None,
    )


def _plain(value: Any) -> Any:
    item = value.item() if hasattr(value, "item") else value
    return answers.iso(item.replace(tzinfo=UTC)) if isinstance(item, datetime) else item
