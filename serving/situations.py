"""What is known about the contacts of a request or a plan, gathered from the stores into a `Situation` and a `History`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import numpy as np

from decisioning.candidates import Situation
from decisioning.catalog import Catalog
from decisioning.errors import RequestError, Unavailable
from decisioning.history import History
from decisioning.vocabulary import BoolArray, Columns, Dtype, null_column
from ledger.store import Ledger

FEATURES_UNAVAILABLE = "features_unavailable"


class OnlineFeatures(Protocol):
    """Where a contact's features are read from: `FeatureDoor`, or a fake in tests."""

    def online(self, contact_ids: Sequence[str]) -> tuple[Columns, BoolArray]:
        """The features of contacts, NULL where a contact is unknown, and which contacts are known."""


@dataclass(frozen=True)
class Asked:
    """What a caller asks for one contact."""

    contact_id: str
    channel: str | None
    placements: tuple[str, ...]
    context: Mapping[str, Any]
    features: Mapping[str, Any]


@dataclass(frozen=True)
class Gathered:
    """The situation of one contact, its past, whether it is known, and what could not be read (None if nothing)."""

    situation: Situation
    history: History
    known: bool
    degraded: str | None


def gather(
    asked: Asked, now: datetime, *, catalog: Catalog, dtypes: Mapping[str, Dtype], online: OnlineFeatures, ledger: Ledger
) -> Gathered:
    """Read the features, consents and past of one contact.

    Features that cannot be read are NULL and the answer says so; without the ledger there is no decision, since it could not be kept.

    Raises
    ------
    RequestError
        A given feature has a value of the wrong type.
    Unavailable
        The ledger does not answer.
    """
    degraded, known = None, False
    try:
        columns, found = online.online([asked.contact_id])
        known = bool(found[0])
    except Unavailable:
        columns, degraded = {name: null_column(dtype, 1) for name, dtype in dtypes.items()}, FEATURES_UNAVAILABLE
    given = {name: read_feature(name, value, dtypes[name]) for name, value in asked.features.items() if name in dtypes}
    ids = np.array([asked.contact_id], dtype=object)
    situation = Situation(
        contact_ids=ids,
        columns={**columns, **given},
        now=to_datetime64(now),
        granted=granted(ledger.consents([asked.contact_id], now=now), ids),
        context=asked.context,
        channel=asked.channel,
        placements=asked.placements,
    )
    return Gathered(situation, past_of(catalog, ledger, [asked.contact_id], now), known, degraded)


def read_feature(name: str, value: Any, dtype: Dtype) -> np.ndarray:
    """A feature given in a request, as a column of one row."""
    column = null_column(dtype, 1)
    if value is None:
        return column
    problem = RequestError("is of the wrong type", field=f"features.{name}", got=repr(value), allowed=f"{dtype} or null")
    if dtype == "string":
        if not isinstance(value, str):
            raise problem
        column[0] = value
    elif dtype in ("date", "timestamp"):
        try:
            column[0] = to_datetime64(datetime.fromisoformat(str(value)))
        except ValueError:
            raise problem from None
    elif not isinstance(value, bool | int | float) or (isinstance(value, bool) and dtype != "bool") or not np.isfinite(value):
        raise problem
    else:
        column[0] = float(value)
    return column


def to_datetime64(moment: datetime) -> np.datetime64:
    """An aware datetime (naive counts as UTC) as UTC datetime64[us]."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return np.datetime64(aware.astimezone(UTC).replace(tzinfo=None), "us")


def granted(consents: Columns, contact_ids: np.ndarray) -> dict[str, BoolArray]:
    """Consent by purpose, shape (n_contacts,): true only where the newest status is granted."""
    row_of = {contact_id: row for row, contact_id in enumerate(contact_ids)}
    rows = np.array([row_of.get(one, -1) for one in consents["contact_id"]], dtype=np.int64)
    yes = (rows >= 0) & (np.asarray(consents["granted"], dtype=float) == 1)
    result: dict[str, BoolArray] = {}
    for purpose in {str(one) for one in consents["purpose"]}:
        result[purpose] = np.zeros(len(contact_ids), dtype=np.bool_)
        result[purpose][rows[yes & np.asarray(consents["purpose"] == purpose, dtype=bool)]] = True
    return result


def longest_window_days(catalog: Catalog) -> float:
    """How far back the contact policies look; 0 where there are none."""
    return max((max(policy.per_days or 0.0, policy.suppress_days or 0.0) for policy in catalog.contact_policy), default=0.0)


def past_of(catalog: Catalog, ledger: Ledger, contact_ids: Sequence[str], now: datetime) -> History:
    """The touches and outcomes of `contact_ids` that the contact policies look at."""
    days = longest_window_days(catalog)
    if days == 0:
        return empty_history()
    past = ledger.policy_history(contact_ids, since=now - timedelta(days=days), now=now)
    return History.of(contact_ids, past.touches, past.outcomes)


def empty_history() -> History:
    """Nothing ever happened."""
    texts, times, rows = np.zeros(0, dtype=object), np.zeros(0, dtype="datetime64[us]"), np.zeros(0, dtype=np.int64)
    columns = {"contact_id": texts, "action_id": texts, "channel": texts, "treatment_id": texts, "at": times}
    return History(rows, columns, rows, {"contact_id": texts, "action_id": texts, "outcome": texts, "at": times})
