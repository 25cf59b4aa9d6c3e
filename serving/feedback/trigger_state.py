"""Whether a trigger's conditions hold for a contact: for one event, and as the contact stands now."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from decisioning.candidates import Situation
from decisioning.errors import Unavailable
from decisioning.rules import Rows
from decisioning.triggers import CompiledTrigger
from decisioning.vocabulary import BoolArray, Columns, null_column
from ledger.events import EventRecord
from serving.realtime.feature_rows import to_datetime64
from serving.realtime.snapshot import Snapshot

Standing: TypeAlias = Mapping[str, Any]
"""By trigger id, whether its condition held or its score was above the threshold."""

LOG = logging.getLogger(__name__)
_SCALARS = (bool, int, float, str)


def event_rows(snapshot: Snapshot, event: EventRecord) -> Rows:
    """The one row that a trigger's `when` is evaluated on: the contact's features, and the event's facts as `event.*`."""
    facts = {name: value for name, value in event.extra.items() if isinstance(value, _SCALARS)}
    named = ("event_type", "value", "channel", "session_id", "content_id", "event_id")
    facts |= {name: value for name in named if (value := getattr(event, name)) is not None}
    facts["occurred_at"] = event.occurred_at.isoformat()
    return Rows(_features(snapshot, event.contact_id), 1, {f"event.{name}": value for name, value in facts.items()})


def inside(snapshot: Snapshot, contact_id: str, now: datetime) -> dict[str, bool]:
    """How a contact stands now with every trigger that asks what an event changed; nothing where that cannot be said."""
    try:
        columns = snapshot.online.online([contact_id])[0]
    except Unavailable:
        return {}
    rows = Rows(columns, 1)
    asking = [one for one in snapshot.catalog.triggers if one.trigger.asks_what_changed]
    try:
        ids = np.array([contact_id], dtype=object)
        return {one.trigger.id: one.inside(rows) if one.enters else bool(above(snapshot, one, ids, columns, now)[0]) for one in asking}
    except Exception:  # a model that fails on one contact must not take the event with it
        LOG.exception("scoring a contact for its triggers failed: none of them fires")
        return {}


def matched(trigger: CompiledTrigger, rows: Rows, before: Standing, after: Standing) -> bool:
    """Whether an event fires a trigger: its condition holds, and what it asks of the contact has become true with the event."""
    own = trigger.trigger
    if own.asks_what_changed and (before.get(own.id, True) or not after.get(own.id, False)):
        return False
    return trigger.matches(rows)


def above(snapshot: Snapshot, trigger: CompiledTrigger, contact_ids: npt.NDArray[np.object_], columns: Columns, now: datetime) -> BoolArray:
    """Whose score is above a trigger's threshold, shape (n,): of an action, that of its best treatment."""
    own, catalog = trigger.trigger, snapshot.catalog
    places = [one.columns for one in catalog.actions if own.action in (None, one.action.id)]
    alive = np.zeros((len(contact_ids), len(catalog.treatments)), dtype=np.bool_)
    alive[:, [column for some in places for column in some]] = True
    scores = snapshot.scorer(Situation(contact_ids, columns, to_datetime64(now), granted={}), alive)
    per_treatment = scores.uplift if own.score == "uplift" else scores.propensity
    found = scores.clv[:, None] if own.score == "clv" else np.where(alive, per_treatment, np.nan)
    best = np.nan_to_num(found, nan=-np.inf).max(axis=1, initial=-np.inf)
    return np.asarray(best > (own.above or 0.0), dtype=np.bool_)


def _features(snapshot: Snapshot, contact_id: str) -> Columns:
    try:
        return snapshot.online.online([contact_id])[0]
    except Unavailable:
        return {name: null_column(dtype, 1) for name, dtype in snapshot.dtypes.items()}
