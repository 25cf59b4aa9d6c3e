"""One event brings a contact's online features up to date, by the same definitions as the features that are built offline.

After an event the packed vector holds, in every feature that is computed from the contact's own events, touches and outcomes, what a
build as of just after the event would give; a consent is such an event. Attributes stay as they were materialised, and so does what the
contacts of a firm did together and the workspace's own queries: `OnlineFeatures.kept` names them.

The definitions are read from the feature contract itself (source, unit, window), so serving needs no data and no database to know them; a
test holds them to the offline build, event after event.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from decisioning.errors import DataError
from decisioning.vocabulary import BoolArray, Columns
from features.contract import FeatureContract, FeatureSpec
from features.online import Change, Kept
from features.online_recent import (
    CHANNEL,
    DAY,
    EVENT,
    NEGATIVE,
    POSITIVE,
    PURCHASE,
    PURPOSE,
    TOUCH,
    TOUCH_CHANNEL,
    TYPE,
    Codes,
    Fact,
    Recent,
)
from features.packing import Packing, as_of_of
from features.sessions import LONGEST, MINUTE, OVER_AFTER
from features.sessions import SOURCE as SESSION
from features.shapes import ZERO_IF_NONE, listed
from features.streams import MONEY_UNIT

MOST_AHEAD = 300_000_000
"""How far ahead of now (microseconds) a fact may claim to have happened: clocks differ."""

Computed: TypeAlias = Callable[["Windows"], float | str | None]

_IDLE = "session_idle_minutes"
_PLAIN_COUNT = re.compile(r"(events|touches|responses|negative_outcomes)_\d+d")


class Windows:
    """What happened to a contact as of a moment, by window; each window is counted once."""

    def __init__(self, recent: Recent, as_of: int) -> None:
        self.recent, self.as_of = recent, as_of
        self._moments = recent.facts["moment"]
        self._counts: dict[tuple[str, int], npt.NDArray[np.intp]] = {}

    def count(self, what: str, code: int, window_days: int) -> int:
        """How many facts of the window have `code` in `what` (kind, type or channel)."""
        key = (what, window_days)
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = np.bincount(self.recent.facts[what][self._begin(window_days) :])
        return int(counts[code]) if code < len(counts) else 0

    def money(self, window_days: int) -> int:
        """Money of the window's purchases in millionths."""
        return int(self.recent.facts["money"][self._begin(window_days) :].sum())

    def purchase_days(self, window_days: int) -> int:
        """Purchase days that began in the window."""
        return int(len(self.recent.days) - np.searchsorted(self.recent.days, self.as_of - window_days * DAY))

    def days_since(self, moment: int | None) -> float | None:
        """Days from a moment to as_of."""
        return None if moment is None else (self.as_of - moment) / float(DAY)

    @cached_property
    def session(self) -> tuple[int, int, int] | None:
        """Events of the current session, microseconds since its first and since its newest; None where there is none."""
        visits = self.recent.visits
        if not len(visits) or self.as_of - visits["moment"][-1] > OVER_AFTER:
            return None
        last = int(visits["moment"][-1])
        lately = visits[np.searchsorted(visits["moment"], last - LONGEST) :]
        of_newest = [lately["moment"][lately["session"] == one] for one in set(lately["session"][lately["moment"] == last].tolist())]
        events, began = max((len(moments), -int(moments[0])) for moments in of_newest)
        return events, self.as_of + began, self.as_of - last

    def _begin(self, window_days: int) -> int:
        return int(np.searchsorted(self._moments, self.as_of - window_days * DAY))


@dataclass(frozen=True)
class OnlineFeatures:
    """The features of a contract that single facts bring up to date.

    Parameters
    ----------
    contract : FeatureContract
    """

    contract: FeatureContract

    @cached_property
    def packing(self) -> Packing:
        """The layout of the vectors."""
        return Packing(self.contract)

    @cached_property
    def codes(self) -> Codes:
        """How types and channels are kept."""
        return Codes.of(self.contract)

    @cached_property
    def computed(self) -> dict[str, Computed]:
        """What is brought up to date, by name."""
        found = ((spec.name, _definition(spec, self.codes)) for spec in self.contract.specs)
        return {name: definition for name, definition in found if definition is not None}

    @cached_property
    def kept(self) -> tuple[str, ...]:
        """The features that stay as they were materialised."""
        return tuple(name for name in self.contract.names if name not in self.computed)

    @cached_property
    def of_sessions(self) -> tuple[str, ...]:
        """The features of the current session."""
        return tuple(spec.name for spec in self.contract.specs if spec.source == SESSION and spec.name in self.computed)

    @cached_property
    def longest(self) -> int:
        """The longest window in microseconds."""
        return DAY * max((spec.window_days or 0 for spec in self.contract.specs if spec.name in self.computed), default=0)

    @cached_property
    def unknown(self) -> bytes:
        """The vector of a contact of whom nothing is known before anything happened: as the offline build has it."""
        # What is never NULL is 0 where nothing happened: counts, money, consents.
        zeros = {spec.name: 0 for spec in self.contract.specs if spec.null_rule.startswith("never") and spec.dtype != "string"}
        return self.packing.changed(self.packing.null, zeros, 0)

    def unpacked(self, vectors: Sequence[bytes | None], now: int) -> tuple[Columns, BoolArray]:
        """`Packing.unpack`, without the sessions that are over by `now` (microseconds since 1970 UTC).

        All else is as of each vector's own moment; a session that went on then is none any more half an hour after its newest event.
        """
        columns, found = self.packing.unpack(vectors)
        if not self.of_sessions:
            return columns, found
        going = np.flatnonzero(~np.isnan(columns[self.of_sessions[0]].astype(np.float64)))
        if not len(going):
            return columns, found
        idle = columns[_IDLE][going].astype(np.float64) * MINUTE if _IDLE in self.of_sessions else 0.0
        as_of = np.array([as_of_of(vectors[row] or b"") for row in going.tolist()], dtype="datetime64[us]").astype(np.int64)
        over = going[now - as_of + idle > OVER_AFTER]
        if not len(over):
            return columns, found
        for name in self.of_sessions:
            columns[name][over] = np.nan  # in the matrix that was made for this call
        return columns, found

    def after(self, fact: Fact, now: int) -> Change:
        """What `fact` makes of a contact's vector at `now` (microseconds since 1970 UTC).

        The vector is then as of just after the fact, of now, or of the moment of which it was before: whichever is latest.

        Raises
        ------
        DataError
            Where the fact has a value that is no number, or lies in the future.
        """
        if fact.value is not None and not np.isfinite(fact.value):
            raise DataError("not an amount of money", field="value", got=fact.value, allowed="a finite number")
        if fact.at > now + MOST_AHEAD:
            raise DataError(
                "happened in the future",
                field="occurred_at",
                got=str(np.datetime64(fact.at, "us")),
                allowed=f"not after {np.datetime64(now, 'us')}",
            )
        return partial(self._after, fact, now)

    def joining(self, visitor: Kept, now: int) -> Change:
        """What becomes of a contact's vector at `now` (microseconds since 1970 UTC) where what a visitor did is the contact's too."""
        return partial(self._joining, visitor, now)

    def _joining(self, visitor: Kept, now: int, kept: Kept) -> Kept | None:
        theirs = None if visitor.recent is None else Recent.from_bytes(visitor.recent, self.codes)
        own = Recent.nothing(self.codes) if kept.recent is None else Recent.from_bytes(kept.recent, self.codes)
        if theirs is None or own is None or (kept.vector is not None and (kept.recent is None or not self.packing.fits(kept.vector))):
            return None
        before = [int(as_of_of(vector).astype(np.int64)) for vector in (kept.vector, visitor.vector) if vector is not None]
        return self._as_of(max(now, *before), own.joined(theirs), kept.vector or self.unknown)

    def _as_of(self, as_of: int, recent: Recent, vector: bytes) -> Kept:
        """A vector brought to a moment."""
        windows = Windows(recent, as_of)
        values = {name: compute(windows) for name, compute in self.computed.items()}
        return Kept(self.packing.changed(vector, values, as_of), recent.to_bytes(self.codes))

    def _after(self, fact: Fact, now: int, kept: Kept) -> Kept | None:
        if not self.computed or (kept.vector is not None and not self.packing.fits(kept.vector)):
            return None
        if kept.vector is not None and kept.recent is None:
            return None
        vector = kept.vector or self.unknown
        recent = Recent.nothing(self.codes) if kept.recent is None else Recent.from_bytes(kept.recent, self.codes)
        if recent is None:
            return None
        before = int(as_of_of(vector).astype(np.int64)) if kept.vector is not None else fact.at
        as_of = max(now, fact.at + 1, before)
        recent = recent.after(fact, self.codes, as_of - self.longest)
        if self.codes.sessions:
            recent = recent.visited(fact, as_of)
        return self._as_of(as_of, recent, vector)


@dataclass(frozen=True)
class Noted:
    """A fact of a contact as it is noted until the data know it; `event_id` is that of its event, where it has one."""

    contact_id: str
    fact: Fact
    event_id: str | None = None

    def to_bytes(self) -> bytes:
        """What `from_bytes` reads."""
        fact = asdict(self.fact)
        if self.fact.purpose is None:
            del fact["purpose"]  # so that what is noted already reads the same
        return json.dumps([self.contact_id, fact, self.event_id], separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, note: bytes) -> Noted:
        """What `to_bytes` wrote, or an earlier version of it, which knew of no event_id."""
        contact_id, fact, *rest = json.loads(note)
        return cls(contact_id, Fact(**fact), *rest)


# --- the definitions ------------------------------------------------------------------------------------------------------------------


def _definition(spec: FeatureSpec, codes: Codes) -> Computed | None:
    """How a feature is computed from what happened; None for one that is not."""
    if spec.source.startswith(TYPE):
        return _of_type(spec, codes.type_codes[spec.source.removeprefix(TYPE)])
    if spec.source.startswith(PURPOSE):
        return partial(_consent, codes.consent_place(spec.source.removeprefix(PURPOSE)) or 0)
    for start, touch in ((CHANNEL, False), (TOUCH_CHANNEL, True)):
        if spec.source.startswith(start):
            return _counted("channel", codes.channel_codes[touch, spec.source.removeprefix(start)], spec)
    if spec.dtype == "string":
        return _newest_of(spec, codes)
    if spec.source in ("events", "interactions", "outcomes") and _PLAIN_COUNT.fullmatch(spec.name) and spec.null_rule == ZERO_IF_NONE:
        kinds = {"events": (EVENT, PURCHASE), "touches": (TOUCH,), "responses": (POSITIVE,), "negative": (NEGATIVE,)}
        return _kinds(kinds[spec.name.split("_")[0]], spec)
    named = _NAMED.get(spec.name)
    return named[1] if named is not None and named[0] == spec.source else None


def _counted(what: str, code: int, spec: FeatureSpec) -> Computed | None:
    days = spec.window_days
    return None if days is None else lambda w: w.count(what, code, days)


def _kinds(kinds: tuple[int, ...], spec: FeatureSpec) -> Computed | None:
    days = spec.window_days
    return None if days is None else lambda w: sum(w.count("kind", kind, days) for kind in kinds)


def _of_type(spec: FeatureSpec, code: int) -> Computed | None:
    if spec.unit == "days":
        return lambda w: w.days_since(w.recent.last_of_type(code))
    return _counted("type", code, spec)


def _newest_of(spec: FeatureSpec, codes: Codes) -> Computed | None:
    """The type or the channel of the newest event; of several at one moment the first that is listed."""
    types = [(codes.last_places(codes.type_codes[one], codes.other_channel)[0], one) for one in listed(spec, "events.event_type")]
    channels = [(codes.last_places(codes.other_type, codes.channel_codes[False, one])[0], one) for one in listed(spec, "events.channel")]
    places = types or channels
    return partial(_first_at, places) if places else None


def _first_at(places: list[tuple[int, str]], w: Windows) -> str | None:
    last = w.recent["last_event"]
    return None if last is None else next((value for place, value in places if w.recent.scalars[place] == last), None)


def _consent(place: int, w: Windows) -> float:
    held = w.recent.scalars[place]
    return float(held is not None and held % 2 == 0)


def _tenure(w: Windows) -> float | None:
    known, first = w.recent["first_known"], w.recent["first_event"]
    moments = [moment for moment in (known if known is not None and known < w.as_of else None, first) if moment is not None]
    return w.days_since(min(moments)) if moments else None


def _responses_per_touch(w: Windows) -> float | None:
    touches = w.count("kind", TOUCH, 365)
    return w.count("kind", POSITIVE, 365) / touches if touches else None


def _first_day(w: Windows) -> int | None:
    return int(w.recent.days[0]) // DAY * DAY if len(w.recent.days) else None


def _last_day(w: Windows) -> int | None:
    return int(w.recent.days[-1]) // DAY * DAY if len(w.recent.days) else None


def _mean(w: Windows) -> float | None:
    days = len(w.recent.days)
    return (w.recent["money"] or 0) / float(MONEY_UNIT) / days if days else None


def _gap(w: Windows) -> float | None:
    first, last = _first_day(w), _last_day(w)
    return None if first is None or last is None else float((last - first) // DAY)


def _repeat_mean(w: Windows) -> float | None:
    repeats = len(w.recent.days) - 1
    money = (w.recent["money"] or 0) - (w.recent["first_day_money"] or 0)
    return money / float(MONEY_UNIT) / repeats if repeats > 0 else None


_NAMED: dict[str, tuple[str, Computed]] = {
    "days_since_last_event": ("events", lambda w: w.days_since(w.recent["last_event"])),
    "session_events": (SESSION, lambda w: None if w.session is None else w.session[0]),
    "session_minutes": (SESSION, lambda w: None if w.session is None else w.session[1] / float(MINUTE)),
    _IDLE: (SESSION, lambda w: None if w.session is None else w.session[2] / float(MINUTE)),
    "days_since_last_touch": ("interactions", lambda w: w.days_since(w.recent["last_touch"])),
    "tenure_days": ("events, contacts.valid_from", _tenure),
    "responses_per_touch_365d": ("outcomes, interactions", _responses_per_touch),
    "purchase_count": ("events.value", lambda w: len(w.recent.days)),
    "purchase_count_365d": ("events.value", lambda w: w.purchase_days(365)),
    "purchase_value_365d": ("events.value", lambda w: w.money(365) / float(MONEY_UNIT)),
    "purchase_value_mean": ("events.value", _mean),
    "days_since_first_purchase": ("events.value", lambda w: w.days_since(_first_day(w))),
    "days_since_last_purchase": ("events.value", lambda w: w.days_since(_last_day(w))),
    "last_gap_days": ("events.value", _gap),
    "repeat_purchase_days": ("events.value", lambda w: max(len(w.recent.days) - 1, 0)),
    "repeat_purchase_value_mean": ("events.value", _repeat_mean),
}
"""The features that are one of a kind: source and definition by name."""
