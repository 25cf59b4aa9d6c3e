"""Everything held about one contact: `GET /v1/contacts/{id}`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from decisioning.arbitration import ranking
from decisioning.candidates import Situation
from decisioning.errors import NotFound
from decisioning.explanation import segment_name, segments
from decisioning.stages import House, appraise_candidates
from decisioning.vocabulary import Dtype
from ledger.history import Whose
from ledger.store import Ledger
from serving.realtime.answers import iso, number
from serving.realtime.feature_rows import to_datetime64
from serving.realtime.running_period import running_period
from serving.realtime.situations import granted, past_of
from serving.realtime.snapshot import Snapshot

_SHOWN = 50
_TOUCHES_DAYS = 365


def contact_view(contact_id: str, snapshot: Snapshot, ledger: Ledger, now: datetime) -> dict[str, Any]:
    """Features, segment, CLV, touches, decisions, outcomes, events over HTTP and consents of a contact.

    Raises
    ------
    NotFound
        Nothing is held about it.
    """
    columns, found = snapshot.online.online([contact_id])
    decisions = ledger.decisions_of(contact_id, _SHOWN)
    outcomes = ledger.outcomes_of(contact_id, _SHOWN)
    events = ledger.events.of_contact(contact_id, _SHOWN)
    if not found[0] and not decisions and not outcomes and not events:
        raise NotFound("there is no such contact", field="contact_id", got=contact_id)
    consents = ledger.consents([contact_id], now=now)
    past = ledger.policy_history(Whose([contact_id], counts=False), since=now - timedelta(days=_TOUCHES_DAYS), now=now)
    features = {name: _typed(_value(column[0]), snapshot.dtypes.get(name)) for name, column in columns.items()}
    return {
        "contact_id": contact_id,
        "known": bool(found[0]),
        "attributes": {name: features[name] for name in snapshot.attribute_names if name in features},
        "features": features,
        **_worth(contact_id, columns, consents, snapshot, ledger, now),
        "touches": _rows(past.touches),
        "decisions": [
            {
                "decision_id": one.decision_id,
                "decided_at": iso(one.decided_at),
                "control_group": one.control_group,
                "plan_id": one.plan_id,
                "actions": [{"action_id": s.action_id, "treatment_id": s.treatment_id, "channel": s.channel} for s in one.selections],
            }
            for one in decisions
        ],
        "outcomes": [
            {
                "event_id": one.event_id,
                "outcome": one.outcome,
                "treatment_id": one.treatment_id,
                "value": one.value,
                "occurred_at": iso(one.occurred_at),
            }
            for one in outcomes
        ],
        "events": [
            {"event_id": one.event_id, "event_type": one.event_type, "value": one.value, "occurred_at": iso(one.occurred_at)}
            for one in events
        ],
        "consents": _rows({name: column for name, column in consents.items() if name != "contact_id"}),
    }


def _worth(contact_id: str, columns: Any, consents: Any, snapshot: Snapshot, ledger: Ledger, now: datetime) -> dict[str, Any]:
    """The contact's CLV, and the segment of what is best for it now."""
    ids = np.array([contact_id], dtype=object)
    situation = Situation(ids, columns, to_datetime64(now), granted(consents, ids))
    period = running_period(snapshot.book, snapshot.catalog.catalog, ledger, situation.now)
    house = House(snapshot.catalog, snapshot.scorer, period.prices, period.room)
    appraisal = appraise_candidates(house, situation, past_of(snapshot.sources(ledger), situation, now))
    scored = ~np.isnan(appraisal.economics.priority[0])
    best = ranking(scored, snapshot.catalog.mandatory, appraisal.economics.priority[0])
    segment = segment_name(int(segments(appraisal)[0, best[0]])) if len(best) else None
    return {"segment": segment, "clv": number(appraisal.scores.clv[0])}


def _rows(columns: Any) -> list[dict[str, Any]]:
    names = list(columns)
    return [{name: _value(columns[name][row]) for name in names} for row in range(len(columns[names[0]]))] if names else []


def _typed(value: Any, dtype: Dtype | None) -> Any:
    """A truth as one: columns hold it as a number, beside those who have none."""
    return bool(value) if dtype == "bool" and value is not None else value


def _value(value: Any) -> Any:
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else iso(value.astype("datetime64[us]").item().replace(tzinfo=UTC))
    item = value.item() if hasattr(value, "item") else value
    return number(item) if isinstance(item, float) else item
