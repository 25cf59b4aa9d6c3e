"""Outcomes as they arrive: each is matched to its decision, judged against its window, and kept once."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from decisioning.catalog import Catalog
from decisioning.errors import nearest
from ledger.outcomes import OutcomeRecord
from ledger.records import DecisionRecord
from ledger.store import Ledger
from serving.schemas.hot_requests import AnyOutcome
from serving.watching.tally import Tally


def intake(
    calls: Sequence[Sequence[AnyOutcome]], ledger: Ledger, catalog: Catalog, now: datetime, *, tally: Tally | None = None
) -> list[dict[str, Any]]:
    """Keep every outcome that can be placed, those of all calls in one transaction; `tally` hears what came.

    Returns
    -------
    list of dict
        A call's `accepted` and `duplicates` as counts, `rejected` as a list of {index, reason}.
    """
    treatment_of = {treatment.id: action.id for action, treatment in catalog.treatments}
    decisions = ledger.decisions_by_id({one.decision_id for call in calls for one in call if one.decision_id is not None})
    records: list[OutcomeRecord] = []
    kept: list[int] = []
    rejected: list[list[dict[str, Any]]] = []
    for call in calls:
        before = len(records)
        rejected.append([])
        for index, outcome in enumerate(call):
            decision = decisions.get(outcome.decision_id or "")
            reason = _refusal(outcome, decision, catalog, treatment_of)
            if reason is not None:
                rejected[-1].append({"index": index, "reason": reason})
            else:
                records.append(_record(outcome, decision, catalog, treatment_of, now))
        kept.append(len(records) - before)
    found = [receipt.status == "accepted" for receipt in ledger.record_outcomes(records)]
    if tally is not None:
        tally.recorded(_kinds(records, found, decisions.keys()) | {"rejected": sum(map(len, rejected))})
    receipts = iter(found)
    answers = []
    for count, refused in zip(kept, rejected, strict=True):
        accepted = sum(next(receipts) for _ in range(count))
        answers.append({"accepted": accepted, "duplicates": count - accepted, "rejected": refused})
    return answers


def _kinds(records: Sequence[OutcomeRecord], accepted: Sequence[bool], decided: Collection[str]) -> dict[str, int]:
    """How many were accepted and how many had come before; of the accepted, how many came late and how many name no decision of ours."""
    new = [record for record, yes in zip(records, accepted, strict=True) if yes]
    orphans = sum(record.decision_id is not None and record.decision_id not in decided for record in new)
    return {"accepted": len(new), "duplicate": len(records) - len(new), "late": sum(record.late for record in new), "orphan": orphans}


def refusals(outcomes: Sequence[AnyOutcome], ledger: Ledger, catalog: Catalog) -> dict[int, str]:
    """Place -> why it cannot be kept, of the outcomes that cannot; nothing is written."""
    treatment_of = {treatment.id: action.id for action, treatment in catalog.treatments}
    decisions = ledger.decisions_by_id({one.decision_id for one in outcomes if one.decision_id is not None})
    found = ((place, _refusal(one, decisions.get(one.decision_id or ""), catalog, treatment_of)) for place, one in enumerate(outcomes))
    return {place: reason for place, reason in found if reason is not None}


def _refusal(outcome: AnyOutcome, decision: DecisionRecord | None, catalog: Catalog, treatment_of: dict[str, str]) -> str | None:
    """Why an outcome cannot be kept, or None."""
    if outcome.outcome not in catalog.outcomes:
        hint = nearest(outcome.outcome, catalog.outcomes)
        return f"unknown outcome '{outcome.outcome}'; allowed: {', '.join(catalog.outcomes)}" + (f". Hint: {hint}" if hint else "")
    behaviour = catalog.outcomes[outcome.outcome].behaviour
    if outcome.value is not None and not _worth(outcome.value, behaviour):
        return f"value {outcome.value:g} of the {behaviour} outcome '{outcome.outcome}'; allowed: {_ALLOWED}"
    if outcome.treatment_id is not None and outcome.treatment_id not in treatment_of:
        return f"unknown treatment '{outcome.treatment_id}'"
    if outcome.decision_id is not None and decision is None and outcome.contact_id is None:
        return f"unknown decision '{outcome.decision_id}', and no contact_id to keep the outcome for"
    if outcome.decision_id is None and outcome.contact_id is None:
        return "needs a decision_id or a contact_id"
    if decision is not None and outcome.contact_id is not None and outcome.contact_id != decision.contact_id:
        return f"the decision is not about contact '{outcome.contact_id}'"
    return None


_ALLOWED = "a finite number, below 0 only where the outcome is negative, as a return is"


def _worth(value: float, behaviour: str) -> bool:
    """Whether money is what an outcome of this behaviour can be worth."""
    return math.isfinite(value) and (value >= 0 or behaviour == "negative")


def _record(
    outcome: AnyOutcome, decision: DecisionRecord | None, catalog: Catalog, treatment_of: dict[str, str], now: datetime
) -> OutcomeRecord:
    kind = catalog.outcomes[outcome.outcome]
    occurred_at = outcome.occurred_at or now
    occurred_at = occurred_at if occurred_at.tzinfo else occurred_at.replace(tzinfo=UTC)
    treatment_id = outcome.treatment_id
    if treatment_id is None and decision is not None and decision.selections:
        treatment_id = decision.selections[0].treatment_id
    late = decision is not None and occurred_at > decision.decided_at + timedelta(days=kind.window_days)
    return OutcomeRecord(
        event_id=outcome.event_id,
        contact_id=decision.contact_id if decision is not None else str(outcome.contact_id),
        outcome=outcome.outcome,
        behaviour=kind.behaviour,
        occurred_at=occurred_at,
        received_at=now,
        decision_id=outcome.decision_id,
        treatment_id=treatment_id,
        action_id=treatment_of.get(treatment_id or ""),
        value=outcome.value,
        late=late,
    )
