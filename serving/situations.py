"""What is known about the contacts of a request or a plan, gathered from the stores into a `Situation` and a `History`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import numpy as np

from decisioning.candidates import Situation
from decisioning.catalog import Catalog
from decisioning.errors import RequestError, Unavailable
from decisioning.history import History, Planned, Suppression, firms_of
from decisioning.vocabulary import BoolArray, Columns, Dtype, null_column
from ledger.history import PolicyHistory, Whose
from ledger.store import Ledger

FEATURES_UNAVAILABLE = "features_unavailable"


class OnlineFeatures(Protocol):
    """Where a contact's features are read from: `FeatureDoor`, or a fake in tests."""

    def online(self, contact_ids: Sequence[str]) -> tuple[Columns, BoolArray]:
        """The features of contacts, NULL where a contact is unknown, and which contacts are known."""


@dataclass(frozen=True)
class Asked:
    """What a caller asks for one contact. `decision_id` is what random draws derive from."""

    contact_id: str
    channel: str | None
    placements: tuple[str, ...]
    context: Mapping[str, Any]
    features: Mapping[str, Any]
    decision_id: str


@dataclass(frozen=True)
class Gathered:
    """The situation of one contact and its past.

    Attributes
    ----------
    situation, history
    known : bool
        Whether the feature store knows the contact.
    degraded : str or None
        What could not be read.
    account_id : str or None
    seen_contact, seen_account : int or None
        How many outbound selections the contact and its account have had; None where no cap and no reservation asks.
    """

    situation: Situation
    history: History
    known: bool
    degraded: str | None
    account_id: str | None = None
    seen_contact: int | None = None
    seen_account: int | None = None


@dataclass(frozen=True)
class Sources:
    """Where what is known is read from, and what of it the running catalogue and plan ask for."""

    catalog: Catalog
    dtypes: Mapping[str, Dtype]
    online: OnlineFeatures
    ledger: Ledger
    plan_id: str | None = None


def gather(asked: Asked, now: datetime, sources: Sources) -> Gathered:
    """Read the features, consents and past of one contact.

    Features that cannot be read are NULL and the answer says so; without the ledger there is no decision, since it could not be kept.

    Raises
    ------
    RequestError
        A given feature has a value of the wrong type.
    Unavailable
        The ledger does not answer.
    """
    dtypes = sources.dtypes
    degraded, known = None, False
    try:
        columns, found = sources.online.online([asked.contact_id])
        known = bool(found[0])
    except Unavailable:
        columns, degraded = {name: null_column(dtype, 1) for name, dtype in dtypes.items()}, FEATURES_UNAVAILABLE
    given = {name: read_feature(name, value, dtypes[name]) for name, value in asked.features.items() if name in dtypes}
    ids = np.array([asked.contact_id], dtype=object)
    situation = Situation(
        contact_ids=ids,
        columns={**columns, **given},
        now=to_datetime64(now),
        granted=granted(sources.ledger.consents([asked.contact_id], now=now), ids),
        context=asked.context,
        channel=asked.channel,
        placements=asked.placements,
        seeds=np.array([asked.decision_id], dtype=object),
    )
    account_id = account_ids_of(situation)[0]
    past = _read_past(sources, asked.contact_id, account_id, now)
    history = history_of(past, situation, sources)
    counted = bool(history.planned) or any(policy.max is not None for policy in sources.catalog.contact_policy)
    return Gathered(
        situation,
        history,
        known,
        degraded,
        account_id=account_id,
        seen_contact=past.seen_contacts.get(asked.contact_id, 0) if counted else None,
        seen_account=past.seen_accounts.get(account_id, 0) if account_id is not None and asks_for_accounts(sources.catalog) else None,
    )


def _read_past(sources: Sources, contact_id: str, account_id: str | None, now: datetime) -> PolicyHistory:
    accounts = [account_id] if account_id is not None and asks_for_accounts(sources.catalog) else []
    back_days = max(longest_window_days(sources.catalog), longest_reservation_days(sources))
    return sources.ledger.policy_history(Whose([contact_id], accounts), since=now - timedelta(days=back_days), now=now)


def account_ids_of(situation: Situation) -> np.ndarray:
    """The account of each contact, None where it has none, shape (n_contacts,)."""
    nobody = np.full(len(situation.contact_ids), None, dtype=object)
    return np.asarray(situation.columns.get("account_id", nobody), dtype=object)


def asks_for_accounts(catalog: Catalog) -> bool:
    """Whether a contact policy counts by account."""
    return any(policy.scope == "account" for policy in catalog.contact_policy)


def history_of(past: PolicyHistory, situation: Situation, sources: Sources) -> History:
    """The past as the contact policies read it, with the suppressions that run and what the running plan has reserved."""
    ids = situation.contact_ids.tolist()
    plain = History.of(ids, _until(past.touches, situation.now), _until(past.outcomes, situation.now))
    firms = None
    if asks_for_accounts(sources.catalog):
        colleagues = (_until(columns, situation.now) for columns in (past.account_touches, past.account_outcomes))
        firms = firms_of(account_ids_of(situation), *colleagues)
    return replace(plain, firms=firms, suppressions=_suppressions(past, ids), planned=_planned(plain, sources.plan_id))


def _until(columns: Columns, now: np.datetime64) -> Columns:
    """What is dated after `now`, as if it were then: another clock was ahead, or a plan is made for an earlier moment."""
    return {**columns, "at": np.minimum(columns["at"], now.astype("datetime64[us]"))}


def _suppressions(past: PolicyHistory, contact_ids: Sequence[str]) -> tuple[Suppression, ...]:
    if not past.suppressions or not len(past.suppressions["until"]):
        return ()
    row_of = {contact_id: row for row, contact_id in enumerate(contact_ids)}
    named = zip(
        *(past.suppressions[name].tolist() for name in ("contact_id", "action_id", "channel")), past.suppressions["until"], strict=True
    )
    return tuple(Suppression(row_of[contact], action, channel, until) for contact, action, channel, until in named if contact in row_of)


def _planned(history: History, plan_id: str | None) -> tuple[Planned, ...]:
    """What the plan `plan_id` has reserved without an outcome so far."""
    touches = history.touches
    if plan_id is None or not len(history.touch_row):
        return ()
    ours = np.flatnonzero(np.asarray(touches["reserved_by"] == plan_id, dtype=bool))
    return tuple(Planned(int(history.touch_row[one]), str(touches["treatment_id"][one]), str(touches["decision_id"][one])) for one in ours)


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
            column[0] = to_datetime64(datetime.fromisoformat(value if isinstance(value, str) else ""))
        except (ValueError, OverflowError):  # not a time, or one whose zone moves it out of the calendar
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


def to_datetime64_or_none(text: str | None) -> np.datetime64 | None:
    """A moment as text, UTC, or nothing."""
    return None if text is None else np.datetime64(text, "us")


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


def longest_reservation_days(sources: Sources) -> float:
    """How far back the running plan may have reserved what is paid for; 0 where there is no plan, or nothing to pay for."""
    if sources.plan_id is None or not sources.catalog.constraints:
        return 0.0
    return max((outcome.window_days for outcome in sources.catalog.outcomes.values()), default=0.0)


def past_of(sources: Sources, situation: Situation, now: datetime) -> History:
    """What the contact policies look at of the one contact of `situation`."""
    return history_of(_read_past(sources, str(situation.contact_ids[0]), account_ids_of(situation)[0], now), situation, sources)
