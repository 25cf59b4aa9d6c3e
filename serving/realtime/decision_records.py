"""A decision as the answer that leaves, and as the record that stays."""

from __future__ import annotations

import logging
import math
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from decisioning.compiled_catalog import CompiledCatalog
from decisioning.control import TREATED
from decisioning.stages import House
from ledger.records import DecisionRecord, Selection
from serving.realtime import answers
from serving.realtime.choosing import SCORES_UNAVAILABLE
from serving.realtime.claiming import claim_of, uses_of
from serving.realtime.decided import Decided
from serving.realtime.decision_inputs import inputs_to_json
from serving.schemas.hot_requests import as_json

LOG = logging.getLogger(__name__)


def response_body(decided: Decided) -> dict[str, Any]:
    """The JSON that answers a caller, but for `took_ms`."""
    decision, catalog, request = decided.decision, decided.catalog, decided.request
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
        "control_group": TREATED if decision is None else decision.group,
        "degraded": decided.degraded,
        "versions": decided.snapshot.versions,
        "actions": actions,
        "no_action": nothing,
        "filtered": answers.filtered(decision, catalog) if request.explain and decision is not None else [],
        "explanation": _explanation(decided),
    }


def _explanation(decided: Decided) -> dict[str, Any] | None:
    """Where it was asked for; what cannot be explained is decided all the same."""
    if not decided.request.explain or decided.decision is None:
        return None
    period = decided.period
    house = House(decided.catalog, decided.snapshot.scorer, period.prices, period.room, period.allowance)
    try:
        return answers.explanation(house, decided.decision)
    except Exception:  # it scores what the decision did not have to: a model that fails there must not take the decision with it
        LOG.exception("explaining a decision failed")
        return None


def decision_record(decided: Decided, body: dict[str, Any]) -> DecisionRecord:
    """What the ledger keeps: the answer, and all that it can be audited and made again from; and what it claims."""
    selections = [_selection(one, decided) for one in body["actions"] if one["treatment_id"] in decided.catalog.column_of]
    gathered, period = decided.gathered, decided.period
    trace = {
        "request": as_json(decided.request),
        "features": gathered.features,
        "versions": decided.snapshot.versions,
        "inputs": inputs_to_json(gathered.situation, gathered.history),
        "prices": dict(period.prices),
        "room": {name: left for name, left in period.room.items() if math.isfinite(left)},
        "allowance": period.allowance,
        "candidates": [] if decided.decision is None else answers.candidate_columns(decided.decision, decided.catalog),
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
        claim=claim_of(decided, selections),
    )


def _selection(action: dict[str, Any], decided: Decided) -> Selection:
    planned, account_id = decided.gathered.history.planned, decided.gathered.account_id
    redeems = next((one.decision_id for one in planned if one.treatment_id == action["treatment_id"]), None) if planned else None
    column = decided.catalog.column_of[action["treatment_id"]]
    chosen = Chosen(
        rank=action["rank"],
        expected_profit=action["expected_profit"] or 0.0,
        selection_prob=action["selection_prob"],
        account_id=account_id,
        redeems=redeems,
        book=decided.period.key if redeems is None and uses_of(decided, column) else None,
    )
    return selection_of(decided.catalog, column, decided.now, chosen)


class Chosen(Struct, frozen=True):
    """What a `Selection` says of a choice beside the treatment."""

    rank: int
    expected_profit: float
    selection_prob: float
    account_id: str | None = None
    redeems: str | None = None
    book: str | None = None


def selection_of(catalog: CompiledCatalog, column: int, now: datetime, chosen: Chosen) -> Selection:
    """The choice of a treatment; an outbound one reserves its place under the contact policy for the window of its goal."""
    action, treatment = catalog.treatments[column]
    window_days = catalog.catalog.outcomes[action.goal].window_days if action.goal else 1.0
    outbound = bool(catalog.outbound[column])
    return Selection(
        rank=chosen.rank,
        action_id=action.id,
        treatment_id=treatment.id,
        channel=treatment.channel,
        direction="outbound" if outbound else "inbound",
        placement=treatment.placement,
        selection_prob=chosen.selection_prob,
        expected_profit=chosen.expected_profit,
        cost=catalog.for_one.cost[column],
        reserved_until=now + timedelta(days=window_days) if outbound else None,
        account_id=chosen.account_id,
        redeems=chosen.redeems,
        book=chosen.book,
    )
