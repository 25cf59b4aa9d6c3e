"""What had accumulated before a cut, over facts in the order of their keys and moments: arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from decisioning.vocabulary import BoolArray

Kind = Literal["count", "sum", "first", "last"]
Numbers = npt.NDArray[np.int64]
Values = npt.NDArray[np.generic]

DAY = 86_400_000_000
"""Microseconds of a day."""


@dataclass(frozen=True, eq=False)
class Cuts:
    """Facts, and the cuts before which they are looked at.

    Attributes
    ----------
    place, moment : array of int, shape (n,)
        Each fact's key as a number, and its moment in microseconds; in this order.
    cut_place, cut : array of int, shape (m,)
        The same of each cut, in any order.
    """

    place: Numbers
    moment: Numbers
    cut_place: Numbers
    cut: Numbers

    @cached_property
    def start(self) -> Numbers:
        """Where the facts of each cut's key begin, shape (m,)."""
        return np.searchsorted(self.place, self.cut_place)

    def until(self, days_before: int) -> Numbers:
        """Where the facts begin that are not before the cut less so many days, shape (m,): a binary search among each key's own."""
        cut, low, high = self.cut - days_before * DAY, self.start, np.searchsorted(self.place, self.cut_place, side="right")
        while (searching := low < high).any():
            middle = (low + high) // 2
            earlier = searching & (self.moment[np.minimum(middle, len(self.moment) - 1)] < cut)
            low, high = np.where(earlier, middle + 1, low), np.where(searching & ~earlier, middle, high)
        return low


@dataclass(frozen=True, eq=False)
class Running:
    """Those of the facts that count, shape (n,) true where they do."""

    counts: BoolArray

    @cached_property
    def before(self) -> npt.NDArray[np.int32]:
        """How many count among the first k facts, for k from 0 to n."""
        return np.concatenate([np.zeros(1, dtype=np.int32), np.cumsum(self.counts, dtype=np.int32)])

    @cached_property
    def _which(self) -> npt.NDArray[np.intp]:
        return np.flatnonzero(self.counts)

    def total(self, kind: Kind, value: Values, start: Numbers, until: Numbers) -> tuple[Values, BoolArray]:
        """What the facts from `start` to before `until` come to, and where there is none.

        Parameters
        ----------
        kind : {"count", "sum", "first", "last"}
        value : array, shape (n,)
            Of each fact; a sum of Python's integers is exact whatever their size.
        start, until : array of int, shape (m,)
        """
        first, last = self.before[start], self.before[until]
        none = first == last
        if kind == "count":
            return last - first, np.zeros_like(none)
        if kind == "sum":
            sums = np.concatenate([np.zeros(1, dtype=value.dtype), np.cumsum(np.where(self.counts, value, 0))])
            return sums[until] - sums[start], none
        if not len(self._which):
            return np.zeros(len(none), dtype=value.dtype), none
        fact = first if kind == "first" else last - 1
        return value[self._which[np.where(none, 0, fact)]], none
