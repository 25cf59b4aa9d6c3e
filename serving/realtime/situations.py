"""What is known about the contacts of a request or a plan, gathered from the stores into a `Situation` and a `History`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from msgspec import Struct, structs

from decisioning.candidates import Situation
from decisioning.catalog import Catalog
from decisioning.errors import RequestError, Unavailable
from decisioning.history import Firms, History, ListedPast, Past, Planned, Suppression, firms_of, rows_of
from decisioning.quiet_hours import microseconds
from decisioning.rules.sql_scalars import Row
from decisioning.vocabulary import BoolArray, Columns, Dtype
from features.online import Materialised
from features.online_recent import Fact
from ledger.history import PolicyHistory
from ledger.standing import OUTCOME_COLUMNS, TOUCH_COLUMNS, Rows, Standing, Wanted
from ledger.store import Ledger
from serving.realtime.feature_rows import FeatureRows, OwnColumns, to_datetime64, with_given

FEATURES_UNAVAILABLE = "features_unavailable"
CACHED_FEATURES = "cached features as of "
"""How `degraded` begins where what was read last stands in for a store that does not answer."""


class Everybody(Protocol):
    """All contacts, some at a time: `features.online_aging.Aging`, or a fake in tests."""

    def pages(self, names: Collection[str], now: np.datetime64, size: int) -> Iterator[tuple[list[str], Columns]]:
        """Ids and features of at most `size` contacts at a time, those of `names` as of `now`; somebody may come twice."""


class OnlineFeatures(Protocol):
    """Where a contact's features are read from: `FeatureDoor`, or a fake in tests."""

    def online(self, contact_ids: Sequence[str]) -> tuple[Columns, BoolArray]:
        """The features of contacts, NULL where a contact is unknown, and which contacts are known."""

    def remembered(self, contact_ids: Sequence[str]) -> tuple[Columns, list[np.datetime64 | None]]:
        """What was read last of contacts, NULL where nothing was, and as of when; asked where `online` raises `Unavailable`."""

    def materialised(self) -> Materialised | None:
        """What the store holds; None where nothing was materialised."""

    def apply_event(self, contact_id: str, fact: Fact, now: np.datetime64, *, event_id: str | None = None) -> bool:
        """Bring a contact's features up to date with something that happened, once for each event_id that is given; whether they are."""

    def aging(self) -> Everybody:
        """Everybody's features, brought forward to a moment."""


class Asked(Struct, frozen=True):
    """What a caller asks for one contact. `decision_id` is what random draws derive from."""

    contact_id: str
    channel: str | None
    placements: tuple[str, ...]
    context: Mapping[str, Any]
    features: Mapping[str, Any]
    decision_id: str
    actions: tuple[str, ...] = ()


class Gathered(Struct, frozen=True, eq=False):
    """The situation of one contact and its past.

    Attributes
    ----------
    situation, history
    known : bool
        Whether the feature store knows the contact.
    degraded : str or None
        What could not be read.
    place : int
        Its row among the features of its batch.
    features : mapping
        Those of the contact as the ledger keeps them.
    account_id : str or None
    seen_contact, seen_account : int or None
        How many outbound selections the contact and its account have had; None where no cap and no reservation asks.
    """

    situation: Situation
    history: History
    known: bool
    degraded: str | None
    place: int
    features: Mapping[str, Any]
    account_id: str | None
    seen_contact: int | None
    seen_account: int | None


@dataclass(frozen=True)
class Sources:
    """Where what is known is read from, and what of it the running catalogue and plan ask for."""

    catalog: Catalog
    dtypes: Mapping[str, Dtype]
    online: OnlineFeatures
    ledger: Ledger
    plan_id: str | None = None

    @cached_property
    def by_account(self) -> bool:
        """Whether a contact policy counts by account."""
        return asks_for_accounts(self.catalog)

    @cached_property
    def capped(self) -> bool:
        """Whether a contact policy is a cap."""
        return any(policy.max is not None for policy in self.catalog.contact_policy)

    @cached_property
    def consents(self) -> bool:
        """Whether a channel asks for a consent."""
        return any(channel.purpose is not None for channel in self.catalog.channels.values())

    @cached_property
    def back(self) -> timedelta:
        """How far back the past is asked for."""
        return timedelta(days=max(longest_window_days(self.catalog), longest_reservation_days(self)))


@dataclass(frozen=True)
class Batch:
    """What is known for a batch of requests: of each what was gathered, or its refusal; the features; the meters of the running period."""

    gathered: list[Gathered | RequestError]
    features: FeatureRows
    meters: Mapping[str, float]


def gather_many(asked: Sequence[Asked], now: datetime, sources: Sources, *, book: str | None = None) -> Batch:
    """Read the features, consents and past of the contacts of a batch: each store is asked once.

    Features that cannot be read are NULL and the answer says so; without the ledger there is no decision, since it could not be kept.
    A given feature with a value of the wrong type refuses its own request alone. `book` names the period whose meters are asked for.

    Raises
    ------
    Unavailable
        The ledger does not answer.
    """
    columns, found, without = _features(asked, sources)
    features, refused = with_given(columns, [one.features for one in asked], sources.dtypes)
    accounts: set[str] = set()
    if sources.by_account:
        accounts = {str(account) for place in range(len(asked)) if (account := account_of(OwnColumns(features.columns, place))) is not None}
    wanted = Wanted(
        list(dict.fromkeys(one.contact_id for one in asked)),
        sorted(accounts),
        now - sources.back,
        now,
        consents=sources.consents,
        counts=sources.plan_id is not None or sources.capped,
        book=book,
    )
    standing = sources.ledger.standing(wanted)
    read = _Read(to_datetime64(now), standing, sources, features)
    gathered = [
        refused[place] if place in refused else _one(one, place, read, known=bool(found[place]), degraded=without[place])
        for place, one in enumerate(asked)
    ]
    return Batch(gathered, features, standing.meters)


class _Read(NamedTuple):
    """What was read for all the requests of a batch, and when."""

    moment: np.datetime64
    standing: Standing
    sources: Sources
    features: FeatureRows


def _features(asked: Sequence[Asked], sources: Sources) -> tuple[Columns, Sequence[Any], Sequence[str | None]]:
    """The columns of all that are asked for, which are known, and what could not be read of each; what was read last stands in."""
    contact_ids = [one.contact_id for one in asked]
    try:
        columns, found = sources.online.online(contact_ids)
        return columns, found.tolist(), [None] * len(asked)
    except Unavailable:
        columns, as_of = sources.online.remembered(contact_ids)
        said = [FEATURES_UNAVAILABLE if one is None else f"{CACHED_FEATURES}{np.datetime_as_string(one, unit='s')}Z" for one in as_of]
        return columns, [one is not None for one in as_of], said


def _one(asked: Asked, place: int, read: _Read, *, known: bool, degraded: str | None) -> Gathered:
    """The one request out of what was read for all."""
    standing, sources = read.standing, read.sources
    columns = OwnColumns(read.features.columns, place)
    situation = Situation(
        contact_ids=_single(asked.contact_id),
        columns=columns,
        now=read.moment,
        granted=dict.fromkeys(standing.granted.get(asked.contact_id, ()), _YES),
        context=asked.context,
        channel=asked.channel,
        placements=asked.placements,
        seeds=_single(asked.decision_id),
        actions=asked.actions,
        row=Row(columns, asked.context, read.features.for_rules[place]),
    )
    account_id = account_of(columns)
    history = history_at(standing, situation, sources)
    counted = bool(history.planned) or sources.capped
    by_account = account_id is not None and sources.by_account
    return Gathered(
        situation,
        history,
        known,
        degraded,
        place=place,
        features=read.features.for_records[place],
        account_id=account_id,
        seen_contact=standing.seen_contacts.get(asked.contact_id, 0) if counted else None,
        seen_account=standing.seen_accounts.get(str(account_id), 0) if by_account else None,
    )


def _single(value: str) -> np.ndarray:
    one = np.empty(1, dtype=object)
    one[0] = value
    return one


def account_of(columns: Columns) -> Any:
    """The account of the one contact of `columns`, None where it has none."""
    column = columns.get("account_id")
    return None if column is None else column[0]


def history_at(standing: Standing, situation: Situation, sources: Sources) -> History:
    """The past of the one contact of `situation`, as the contact policies read it."""
    contact_id, account_id = situation.contact_ids[0], account_of(situation.columns)
    latest = microseconds(situation.now)
    touches = _past(standing.touches.get(contact_id, []), TOUCH_COLUMNS, latest)
    outcomes = _past(standing.outcomes.get(contact_id, []), OUTCOME_COLUMNS, latest)
    firms = None
    if sources.by_account:
        colleagues = standing.account_touches.get(str(account_id), []), standing.account_outcomes.get(str(account_id), [])
        unit = np.zeros(1, dtype=np.int64) if account_id is not None else np.full(1, -1, dtype=np.int64)
        firms = Firms(unit, _past(colleagues[0], TOUCH_COLUMNS, latest), _past(colleagues[1], OUTCOME_COLUMNS, latest))
    switched_off = standing.suppressions.get(contact_id, [])
    plain = History(
        touches.row,
        touches.columns,
        outcomes.row,
        outcomes.columns,
        firms=firms,
        suppressions=tuple(Suppression(0, action, channel, np.datetime64(until, "us")) for action, channel, until in switched_off),
    )
    planned = _planned(plain, sources.plan_id)
    return structs.replace(plain, planned=planned) if planned else plain


def _past(rows: Rows, names: Sequence[str], latest: int) -> Past:
    if not rows:
        return _NO_PAST[names[0], len(names)]
    if rows[-1][-1] > latest:  # another clock is ahead: it counts as now
        rows = [(*row[:-1], min(row[-1], latest)) for row in rows]
    return Past(np.zeros(len(rows), dtype=np.int64), ListedPast(rows, names))


_YES = np.ones(1, dtype=np.bool_)
_NO_PAST = {(names[0], len(names)): Past(np.zeros(0, dtype=np.int64), ListedPast([], names)) for names in (TOUCH_COLUMNS, OUTCOME_COLUMNS)}
"""Nothing has happened to most contacts: one value for them all, which nobody writes to."""


def account_ids_of(situation: Situation) -> np.ndarray:
    """The account of each contact, None where it has none, shape (n_contacts,)."""
    nobody = np.full(len(situation.contact_ids), None, dtype=object)
    return np.asarray(situation.columns.get("account_id", nobody), dtype=object)


def asks_for_accounts(catalog: Catalog) -> bool:
    """Whether a contact policy counts by account."""
    return any(policy.scope == "account" for policy in catalog.contact_policy)


def history_of(past: PolicyHistory, situation: Situation, sources: Sources) -> History:
    """The past as the contact policies read it, with the suppressions that run and what the running plan has reserved."""
    ids = situation.contact_ids
    plain = History.of(ids, _until(past.touches, situation.now), _until(past.outcomes, situation.now))
    firms = None
    if asks_for_accounts(sources.catalog):
        colleagues = (_until(columns, situation.now) for columns in (past.account_touches, past.account_outcomes))
        firms = firms_of(account_ids_of(situation), *colleagues)
    return structs.replace(plain, firms=firms, suppressions=_suppressions(past, ids), planned=_planned(plain, sources.plan_id))


def _until(columns: Columns, now: np.datetime64) -> Columns:
    """What is dated after `now`, as if it were then: another clock was ahead, or a plan is made for an earlier moment."""
    return {**columns, "at": np.minimum(columns["at"], now.astype("datetime64[us]"))}


def _suppressions(past: PolicyHistory, contact_ids: Iterable[str]) -> tuple[Suppression, ...]:
    if not past.suppressions or not len(past.suppressions["until"]):
        return ()
    row_of = rows_of(contact_ids, past.suppressions["contact_id"].tolist())
    named = zip(
        *(past.suppressions[name].tolist() for name in ("contact_id", "action_id", "channel")), past.suppressions["until"], strict=True
    )
    return tuple(Suppression(row_of[contact], action, channel, until) for contact, action, channel, until in named if contact in row_of)


def _planned(history: History, plan_id: str | None) -> tuple[Planned, ...]:
    """What the plan `plan_id` has reserved without an outcome so far."""
    touches = history.touches
    if plan_id is None or not len(history.touch_row):
        return ()
    if isinstance(touches, ListedPast) and plan_id not in touches.lists["reserved_by"]:
        return ()
    ours = np.flatnonzero(np.asarray(touches["reserved_by"] == plan_id, dtype=bool))
    return tuple(Planned(int(history.touch_row[one]), str(touches["treatment_id"][one]), str(touches["decision_id"][one])) for one in ours)


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
    account_id = account_of(situation.columns)
    accounts = [str(account_id)] if account_id is not None and asks_for_accounts(sources.catalog) else []
    wanted = Wanted([str(situation.contact_ids[0])], accounts, now - sources.back, now, consents=False, counts=False)
    return history_at(sources.ledger.standing(wanted), situation, sources)
