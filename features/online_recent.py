"""What happened to a contact lately, beside the packed vector: enough to compute every window anew as of any later moment.

::

    8 bytes        as in the packed vector: format, the contract's hash, 0
    3 x 4 bytes    how many purchase days, how many facts, how many visits
    8 bytes each   first_known, first_event, last_event, last_touch, money of all purchases, money of the first purchase day,
                   then the last event of each type and on each channel that has features of its own: microseconds since 1970 UTC,
                   money in millionths; then the newest status of each purpose (`consent_code`); the smallest int64 where there is none
    8 bytes each   the first purchase of each purchase day, in order
    21 bytes each  the facts of the longest window, in order (`FACT`)
    16 bytes each  the events with a session that a session still going on may have, in order (`VISIT`)

Counts over all time are kept as such; only what a window may lose again is kept fact by fact.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from features.contract import FeatureContract
from features.packing import NULL_INT
from features.sessions import LONGEST, OVER_AFTER, SOURCE, session_code
from features.shapes import listed
from features.streams import MONEY_UNIT

FORMAT = 3
DAY = 86_400_000_000
"""Microseconds of a day."""

FactKind: TypeAlias = Literal["event", "touch", "positive", "negative", "granted", "refused"]
"""An event; an interaction with an action; an outcome by its behaviour; a consent to a purpose, or the end of it."""

EVENT, TOUCH, POSITIVE, NEGATIVE, PURCHASE = range(5)
"""Kinds of kept facts; a purchase is an event with value > 0."""

FACT = np.dtype([("moment", "<i8"), ("money", "<i8"), ("kind", "u1"), ("type", "<i2"), ("channel", "<i2")])
"""A kept fact; the codes of `type` and `channel` are those of `Codes`."""

VISIT = np.dtype([("moment", "<i8"), ("session", "<i8")])
"""A kept event of a session (`features.sessions.session_code`)."""

VISITS_KEPT = LONGEST + OVER_AFTER
"""How long (microseconds) an event of a session matters; nothing is kept where the contract has no sessions."""

MOST_MONEY, MOST_TOTAL = 2**56, 2**62
"""A purchase of more, a total of more, is kept as so much: 72 thousand million, 4.6 million million."""

SCALARS = ("first_known", "first_event", "last_event", "last_touch", "money", "first_day_money")

_KINDS: dict[FactKind, int] = {"event": EVENT, "touch": TOUCH, "positive": POSITIVE, "negative": NEGATIVE}
_CONSENTS = {"granted": True, "refused": False}
_COUNTS = struct.Struct("<III")
_HEAD = 8 + _COUNTS.size

Facts: TypeAlias = npt.NDArray[np.void]


@dataclass(frozen=True)
class Fact:
    """Something that happened to a contact.

    Parameters
    ----------
    kind : FactKind
    at : int
        When, microseconds since 1970 UTC.
    event_type, channel : str or None
    value : float or None
        Money of an event.
    session_id : str or None
        The visit of an event.
    purpose : str or None
        Of a consent.
    """

    kind: FactKind
    at: int
    event_type: str | None = None
    channel: str | None = None
    value: float | None = None
    session_id: str | None = None
    purpose: str | None = None

    @property
    def is_consent(self) -> bool:
        """Whether it is a consent, or the end of one."""
        return self.kind in _CONSENTS


def consent_code(at: int, granted: bool) -> int:
    """A status of a purpose as one number, of which the greatest is the one that holds: the newest, of two at one moment the refusal.

    Examples
    --------
    >>> consent_code(5, True) < consent_code(5, False) < consent_code(6, True)
    True
    """
    return 2 * at + (not granted)


@dataclass(frozen=True)
class Codes:
    """The numbers under which a contract's event types and channels are kept; all others share one."""

    prefix: bytes
    types: tuple[str, ...]
    channels: tuple[str, ...]
    touch_channels: tuple[str, ...]
    sessions: bool
    purposes: tuple[str, ...] = ()

    @classmethod
    def of(cls, contract: FeatureContract) -> Codes:
        """The codes of a contract: in the order of its features' sources."""
        return cls(
            bytes([FORMAT]) + bytes.fromhex(contract.hash) + b"\x00",
            _named(contract, TYPE),
            _named(contract, CHANNEL),
            _named(contract, TOUCH_CHANNEL),
            sessions=any(spec.source == SOURCE for spec in contract.specs),
            purposes=_named(contract, PURPOSE),
        )

    @cached_property
    def type_codes(self) -> dict[str | None, int]:
        """Code of an event type."""
        return {name: code for code, name in enumerate(self.types)}

    @cached_property
    def channel_codes(self) -> dict[tuple[bool, str | None], int]:
        """Code of a channel, of a touch (True) or an event (False)."""
        names = [(False, name) for name in self.channels] + [(True, name) for name in self.touch_channels]
        return {name: code for code, name in enumerate(names)}

    @property
    def other_type(self) -> int:
        """The code of every other type, and of what is no event."""
        return len(self.types)

    @property
    def other_channel(self) -> int:
        """The code of every other channel."""
        return len(self.channels) + len(self.touch_channels)

    def last_places(self, type_code: int, channel_code: int) -> list[int]:
        """Where among the scalars the last events of an event's type and channel are; nowhere for others than those named."""
        places = [len(SCALARS) + type_code] if type_code < len(self.types) else []
        return [*places, len(SCALARS) + len(self.types) + channel_code] if channel_code < len(self.channels) else places

    def consent_place(self, purpose: str | None) -> int | None:
        """Where among the scalars the status of a purpose is; None of one without a feature of its own."""
        begin = len(SCALARS) + len(self.types) + len(self.channels)
        return begin + self.purposes.index(purpose) if purpose in self.purposes else None

    @cached_property
    def head(self) -> np.dtype[np.void]:
        """Everything before the purchase days."""
        scalars = [
            *SCALARS,
            *(f"type {code}" for code in range(len(self.types))),
            *(f"channel {code}" for code in range(len(self.channels))),
            *(f"purpose {code}" for code in range(len(self.purposes))),
        ]
        return np.dtype([("prefix", "V8"), ("days", "<u4"), ("facts", "<u4"), ("visits", "<u4"), *((name, "<i8") for name in scalars)])

    @cached_property
    def scalars(self) -> struct.Struct:
        """The numbers after the counts."""
        return struct.Struct(f"<{self.last_moments}q")

    @property
    def last_moments(self) -> int:
        """How many numbers there are after the counts."""
        return len(SCALARS) + len(self.types) + len(self.channels) + len(self.purposes)


TYPE, CHANNEL, TOUCH_CHANNEL, PURPOSE = "events.event_type=", "events.channel=", "interactions.channel=", "consents.purpose="
"""What the source of a feature of one event type, one channel or one purpose begins with."""


def _named(contract: FeatureContract, start: str) -> tuple[str, ...]:
    """The types or channels that features of a contract are about, each alone or in a list."""
    alone = [spec.source.removeprefix(start) for spec in contract.specs if spec.source.startswith(start)]
    in_lists = [value for spec in contract.specs for value in listed(spec, start.removesuffix("="))]
    return tuple(dict.fromkeys([*alone, *in_lists]))


@dataclass(frozen=True)
class Recent:
    """What happened to one contact.

    Parameters
    ----------
    scalars : tuple of (int or None)
        As `SCALARS`, then the last event of each type, then on each channel, then the newest status of each purpose.
    days : array of int64
        The first purchase of each purchase day, in order.
    facts : array of FACT
        In the order of their moments.
    visits : array of VISIT
        In the order of their moments.
    """

    scalars: tuple[int | None, ...]
    days: npt.NDArray[np.int64]
    facts: Facts
    visits: Facts

    @classmethod
    def nothing(cls, codes: Codes) -> Recent:
        """Of a contact to whom nothing happened."""
        return cls((None,) * codes.last_moments, np.empty(0, dtype=np.int64), np.empty(0, dtype=FACT), np.empty(0, dtype=VISIT))

    @classmethod
    def from_bytes(cls, kept: bytes, codes: Codes) -> Recent | None:
        """What `to_bytes` wrote; None where that was under another contract."""
        if kept[:8] != codes.prefix:
            return None
        days, facts, visits = _COUNTS.unpack_from(kept, 8)
        scalars = tuple(None if number == NULL_INT else number for number in codes.scalars.unpack_from(kept, _HEAD))
        begin = _HEAD + codes.scalars.size
        ends = begin + 8 * days, begin + 8 * days + FACT.itemsize * facts
        return cls(
            scalars,
            np.frombuffer(kept, "<i8", days, begin),
            np.frombuffer(kept, FACT, facts, ends[0]),
            np.frombuffer(kept, VISIT, visits, ends[1]),
        )

    def to_bytes(self, codes: Codes) -> bytes:
        """The bytes that `from_bytes` reads."""
        scalars = codes.scalars.pack(*(NULL_INT if number is None else number for number in self.scalars))
        counts = _COUNTS.pack(len(self.days), len(self.facts), len(self.visits))
        return b"".join((codes.prefix, counts, scalars, self.days.tobytes(), self.facts.tobytes(), self.visits.tobytes()))

    def __getitem__(self, name: str) -> int | None:
        """One of `SCALARS`."""
        return self.scalars[SCALARS.index(name)]

    def last_of_type(self, code: int) -> int | None:
        """The last event of a type."""
        return self.scalars[len(SCALARS) + code]

    def after(self, fact: Fact, codes: Codes, keep_from: int) -> Recent:
        """What it is once `fact` happened too; facts before `keep_from` may be forgotten."""
        if fact.is_consent:
            return self._with_consent(fact, codes)
        kind, money = _KINDS[fact.kind], 0
        if kind == EVENT and fact.value is not None and fact.value > 0:
            kind, money = PURCHASE, min(millionths(fact.value), MOST_MONEY)
        is_event = kind in (EVENT, PURCHASE)
        type_code = codes.type_codes.get(fact.event_type, codes.other_type) if is_event else codes.other_type
        has_channel = is_event or kind == TOUCH
        channel_code = codes.channel_codes.get((kind == TOUCH, fact.channel), codes.other_channel) if has_channel else codes.other_channel
        new = np.array([(fact.at, money, kind, type_code, channel_code)], dtype=FACT)
        moments = self.facts["moment"]
        begin, place = np.searchsorted(moments, (keep_from, fact.at))
        facts = self.facts[begin:] if fact.at < keep_from else np.concatenate((self.facts[begin:place], new, self.facts[place:]))
        scalars = list(self.scalars)
        if kind == TOUCH:
            scalars[3] = _greatest(scalars[3], fact.at)
        if is_event:
            scalars[1] = _least(scalars[1], fact.at)
            scalars[2] = _greatest(scalars[2], fact.at)
            for place in codes.last_places(type_code, channel_code):
                scalars[place] = _greatest(scalars[place], fact.at)
        changed = replace(self, facts=facts, scalars=tuple(scalars))
        return changed._with_purchase(fact.at, money) if kind == PURCHASE else changed

    def visited(self, fact: Fact, as_of: int) -> Recent:
        """What it is once `fact` happened in its session; what no session going on at `as_of` or later can have may be forgotten."""
        keep_from = as_of - VISITS_KEPT
        if fact.kind != "event" or not fact.session_id or fact.at < keep_from:
            return self
        begin, place = np.searchsorted(self.visits["moment"], (keep_from, fact.at))
        new = np.array([(fact.at, session_code(fact.session_id))], dtype=VISIT)
        return replace(self, visits=np.concatenate((self.visits[begin:place], new, self.visits[place:])))

    def joined(self, other: Recent) -> Recent:
        """What it is together with what happened to a visitor who is the same person; `first_known` stays the contact's."""
        scalars = [self.scalars[0], _any(_least, self.scalars[1], other.scalars[1])]
        scalars += [_any(_greatest, self["last_event"], other["last_event"]), _any(_greatest, self["last_touch"], other["last_touch"])]
        scalars += [_capped(self["money"], other["money"]), _capped(*_of_first_day(self, other))]
        begin = len(SCALARS)
        scalars += [_any(_greatest, one, another) for one, another in zip(self.scalars[begin:], other.scalars[begin:], strict=True)]
        days = np.sort(np.concatenate((self.days, other.days)))
        days = days[np.unique(days // DAY, return_index=True)[1]]
        return Recent(tuple(scalars), days, _in_order(self.facts, other.facts), _in_order(self.visits, other.visits))

    def _with_consent(self, fact: Fact, codes: Codes) -> Recent:
        scalars, place = list(self.scalars), codes.consent_place(fact.purpose)
        if place is not None:
            scalars[place] = _greatest(scalars[place], consent_code(fact.at, _CONSENTS[fact.kind]))
        return replace(self, scalars=tuple(scalars))

    def _with_purchase(self, at: int, money: int) -> Recent:
        day, days = at // DAY, self.days // DAY
        place = int(np.searchsorted(days, day))
        first_day_money = self["first_day_money"] or 0
        if not len(days) or day < days[0]:
            first_day_money = money
        elif day == days[0]:
            first_day_money += money
        if place < len(days) and days[place] == day:
            new_days = self.days.copy()
            new_days[place] = min(new_days[place], at)
        else:
            new_days = np.insert(self.days, place, at)
        scalars = list(self.scalars)
        scalars[4:6] = [min((self["money"] or 0) + money, MOST_TOTAL), min(first_day_money, MOST_TOTAL)]
        return replace(self, scalars=tuple(scalars), days=new_days)


def millionths(value: float) -> int:
    """Money as the windows count it: whole millionths, a half away from zero.

    Examples
    --------
    >>> millionths(0.1), millionths(2.5e-6)
    (100000, 3)
    """
    scaled = value * MONEY_UNIT
    whole = int(scaled)
    return whole + (1 if scaled - whole >= 0.5 else 0)


def _any(best: Callable[[int | None, int], int], one: int | None, other: int | None) -> int | None:
    return one if other is None else best(one, other)


def _capped(*amounts: int | None) -> int | None:
    known = [amount for amount in amounts if amount is not None]
    return min(sum(known), MOST_TOTAL) if known else None


def _of_first_day(*of: Recent) -> list[int | None]:
    """What each spent on the first purchase day of all; nothing of those who bought later."""
    first = min((int(one.days[0]) // DAY for one in of if len(one.days)), default=None)
    return [one["first_day_money"] for one in of if len(one.days) and int(one.days[0]) // DAY == first]


def _in_order(one: Facts, other: Facts) -> Facts:
    together = np.concatenate((one, other))
    return together[np.argsort(together["moment"], kind="stable")]


def _least(one: int | None, other: int) -> int:
    return other if one is None else min(one, other)


def _greatest(one: int | None, other: int) -> int:
    return other if one is None else max(one, other)
