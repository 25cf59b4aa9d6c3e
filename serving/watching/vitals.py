"""How serving stands, for those who watch it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from decisioning.errors import NudgeError
from ledger.codec import moment
from ledger.outbox import Outbox
from serving.realtime.scorer import MODEL_NAMES
from serving.realtime.snapshot import SnapshotHolder


@dataclass(frozen=True)
class Vitals:
    """What serves now, and how fresh it is.

    Attributes
    ----------
    versions : mapping of str to str
        Of the catalogue, the features, the prices, and each model.
    refused : bool
        Whether a newer version was refused, so that an older one serves on.
    left_out : mapping of str to str
        The models that are not compiled, and why; each costs milliseconds a decision.
    messages : mapping of str to int
        How many messages for the webhook are in each state.
    features_as_of, features_since : datetime or None
        Until when the online features were known, and when they were materialised; None where there are none, or nobody knows.
    """

    versions: Mapping[str, str]
    refused: bool = False
    left_out: Mapping[str, str] = field(default_factory=dict)
    messages: Mapping[str, int] = field(default_factory=dict)
    features_as_of: datetime | None = None
    features_since: datetime | None = None


def vitals_of(snapshots: SnapshotHolder, outbox: Outbox) -> Vitals:
    """How serving stands with the snapshot that decides now; a store that does not answer says nothing."""
    current = snapshots.current
    try:
        held = current.online.materialised()
    except NudgeError:
        held = None
    try:
        messages = outbox.counts()
    except NudgeError:
        messages = {}
    plain = current.versions
    versions = {"catalog": plain["catalog"], "features": plain["features"] or "", "prices": plain["prices"] or ""}
    models = {name: str(version) for name, version in plain["models"].items()}
    return Vitals(
        versions=dict.fromkeys(MODEL_NAMES, "") | models | versions,
        refused=snapshots.problem is not None,
        left_out=current.scorer.left_out,
        messages=messages,
        features_as_of=None if held is None else moment(held.as_of),
        features_since=None if held is None else moment(held.materialized_at),
    )
