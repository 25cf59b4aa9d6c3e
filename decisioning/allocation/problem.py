"""What there is to allocate: offers, limits of the whole population, and caps of a contact or an account."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

from decisioning.vocabulary import BoolArray, FloatArray, IntArray

_Column = TypeVar("_Column", bound=npt.NDArray[Any])

Empty: TypeAlias = Callable[[int, type[np.generic]], npt.NDArray[Any]]
"""Makes a new array to be filled, shape (n,), of a type: `numpy.empty`, or what keeps it elsewhere than in memory."""

NONE = -1
_BLOCK = 1 << 20
COMPILED = 50_000
"""From so many offers on the passes over all of them are compiled: loading numba pays then."""


@dataclass(frozen=True)
class Offers:
    """The candidates worth allocating, sorted by contact; among equals of a contact the one that stands first is preferred.

    Attributes
    ----------
    contact : array of int, shape (n_offers,), ascending
        Row of the contact, 0 .. n_contacts - 1; contacts without an offer do not occur.
    treatment : array of int, shape (n_offers,)
    value : array, shape (n_offers,)
        Priority before shadow prices, money; it may be negative where a minimum asks for the offer.
    profile : array of int, shape (n_offers,)
        Row of `uses`: what an offer uses depends on its treatment and the contact's market, so few rows serve many offers.
    uses : array, shape (n_profiles, n_limits), >= 0
        What an offer of each profile uses of each limit.
    first : array of bool, shape (n_offers,)
        Mandatory offers: they are served before all others, whatever their value.
    action : array of int, shape (n_offers,)
        No contact is given the same action twice.
    preference : array, shape (n_offers,), optional
        What the offers that are served first are ranked by, contact by contact; their value unless given.

    Raises
    ------
    ValueError
        A value or a use is not finite, a use is negative, a profile is not a row of `uses`, or the offers are not sorted by contact.
    """

    contact: IntArray
    treatment: IntArray
    value: FloatArray
    profile: IntArray
    uses: FloatArray
    first: BoolArray
    action: IntArray
    preference: FloatArray | None = None

    def __post_init__(self) -> None:
        if not all(np.isfinite(self.value[some]).all() for some in blocks(len(self.value))):
            raise ValueError("the value of an offer is not a finite number")
        if not (np.isfinite(self.uses).all() and (self.uses >= 0).all()):
            raise ValueError("what an offer uses of a limit is not a finite number, or is negative")
        if len(self.profile) and not 0 <= int(self.profile.min()) <= int(self.profile.max()) < len(self.uses):
            raise ValueError("the profile of an offer is not a row of `uses`")
        before, after = self.contact[:-1], self.contact[1:]
        if any((after[some] < before[some]).any() for some in blocks(len(after))):
            raise ValueError("offers must be sorted by contact")

    def reordered(self, order: IntArray, contact: IntArray) -> Offers:
        """The offers in another `order`, which belong to `contact` then, shape (n_offers,) each."""
        return Offers(
            contact=contact,
            treatment=self.treatment[order],
            value=self.value[order],
            profile=self.profile[order],
            uses=self.uses,
            first=self.first[order],
            action=self.action[order],
            preference=None if self.preference is None else self.preference[order],
        )

    def reduced(self, prices: FloatArray, which: IntArray | slice = slice(None)) -> FloatArray:
        """What the offers `which` are worth after the prices of what they use."""
        charge = self.uses @ prices
        if not isinstance(which, slice):
            return np.asarray(self.value[which] - charge[self.profile[which]], dtype=np.float64)
        value, profile = self.value[which], self.profile[which]
        worth = np.empty(len(value))
        for some in blocks(len(value)):
            np.subtract(value[some], charge[profile[some]], out=worth[some])
        return worth


@dataclass(frozen=True)
class Limits:
    """What all offers taken together may and must use, shape (n_limits,) each: inf where there is no `most`, 0 where there is no `least`.

    Raises
    ------
    ValueError
        A bound is NaN or negative, or a `least` is infinite.
    """

    most: FloatArray
    least: FloatArray

    def __post_init__(self) -> None:
        if not ((self.most >= 0).all() and (self.least >= 0).all() and np.isfinite(self.least).all()):
            raise ValueError("a limit is not a number, or is negative, or asks for infinitely much")

    @classmethod
    def at_most(cls, most: FloatArray) -> Limits:
        """Limits without minimums."""
        return cls(np.asarray(most, dtype=np.float64), np.zeros(len(most)))

    def without(self, limit: int) -> Limits:
        """The same limits, but for one that binds no longer."""
        most, least = self.most.copy(), self.least.copy()
        most[limit], least[limit] = np.inf, 0.0
        return Limits(most, least)


@dataclass(frozen=True)
class LocalCap:
    """At most `room[u]` offers for all contacts of unit u together: a contact by itself under a contact policy, or an account.

    Attributes
    ----------
    unit_of : array of int, shape (n_contacts,)
        The unit of each contact, -1 where the cap does not bind it.
    room : array of int, shape (n_units,)
    members : array of bool, shape (n_treatments,)
        Which treatments count.
    policy : str
        The contact policy that says so, for those who explain.
    """

    unit_of: IntArray
    room: IntArray
    members: BoolArray
    policy: str = ""


@dataclass(frozen=True)
class Problem:
    """Offers, limits and caps together, and what is worked out of them once.

    `starts[i]` to `starts[i + 1]` are the offers of contact i. What there is one of for each offer on the way is kept where `empty` says.
    """

    offers: Offers
    limits: Limits
    n_contacts: int
    per_contact: int = 1
    caps: Sequence[LocalCap] = field(default=())
    empty: Empty = np.empty

    @cached_property
    def starts(self) -> IntArray:
        """Where each contact's offers begin, shape (n_contacts + 1,)."""
        return np.searchsorted(self.offers.contact, np.arange(self.n_contacts + 1, dtype=self.offers.contact.dtype))

    @cached_property
    def amounts(self) -> list[tuple[list[Fraction], IntArray]]:
        """For each limit the different amounts that offers use of it, exactly, and which of them each profile uses."""
        different = [np.unique(column, return_inverse=True) for column in self.offers.uses.T]
        return [([Fraction(one) for one in amounts.tolist()], which.ravel()) for amounts, which in different]

    @cached_property
    def is_plain(self) -> bool:
        """One offer a contact and no caps: contacts meet only in the limits."""
        return self.per_contact == 1 and not self.caps

    def with_limits(self, limits: Limits) -> Problem:
        """The same offers within other limits."""
        return replace(self, limits=limits)

    def offers_of(self, contacts: IntArray) -> IntArray:
        """All offers of `contacts`, contact after contact."""
        return spans(self.starts[contacts], self.starts[contacts + 1])


def blocks(n: int, size: int = _BLOCK) -> Iterator[slice]:
    """n places, a million at a time: what is computed of each of a hundred million offers on the way takes no memory then."""
    for start in range(0, n, size):
        yield slice(start, min(n, start + size))


def of_these(column: _Column, which: IntArray, empty: Empty = np.empty) -> _Column:
    """The entries `which` (ascending, each once) of a column; the column itself, not a copy, where these are all.

    Examples
    --------
    >>> of_these(np.array([5, 6, 7]), np.array([0, 2])).tolist()
    [5, 7]
    """
    if len(which) == len(column):
        return column
    found = empty(len(which), column.dtype.type)
    for some in blocks(len(which)):
        found[some] = column[which[some]]
    return cast(_Column, found)


def where_true(which: BoolArray, empty: Empty = np.empty) -> IntArray:
    """Where it is true, ascending, in half the memory where that will do.

    Examples
    --------
    >>> where_true(np.array([True, False, True])).tolist()
    [0, 2]
    """
    found = empty(int(np.count_nonzero(which)), np.int64 if len(which) > np.iinfo(np.int32).max else np.int32)
    end = 0
    for some in blocks(len(which)):
        here = np.flatnonzero(which[some])
        found[end : end + len(here)] = here + some.start
        end += len(here)
    return found


def spans(begin: IntArray, end: IntArray) -> IntArray:
    """The numbers from each `begin` up to its `end`, one span after the other.

    Examples
    --------
    >>> spans(np.array([3, 8]), np.array([5, 9]))
    array([3, 4, 8])
    """
    lengths = end - begin
    before = np.cumsum(lengths) - lengths
    return np.asarray(np.repeat(begin - before, lengths) + np.arange(int(lengths.sum())), dtype=np.int64)
