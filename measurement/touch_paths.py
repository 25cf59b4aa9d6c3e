"""Paths of touches: which channels a contact met, in order, and how often that ended in a sale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from measurement.arrays import FloatArray, between, column

IntArray: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Paths:
    """Touches of many paths, one path after the other; equal paths may be one row with their number.

    Parameters
    ----------
    channels : tuple of str
        The names; one that no path has is a channel without credit.
    touch : array of int, shape (n_touches,)
        Index into `channels`.
    start : array of int, shape (n_paths + 1,)
        Path p is ``touch[start[p]:start[p + 1]]``, at least one touch.
    conversions : array, shape (n_paths,)
        How often the path ended in a sale.
    value : array, shape (n_paths,)
        Money of these sales, in all.
    nulls : array, shape (n_paths,)
        How often it ended in none.
    days_before : array, shape (n_touches,), optional
        How long before the end of its path each touch was; where None, the number of touches after it stands in.
    """

    channels: tuple[str, ...]
    touch: IntArray
    start: IntArray
    conversions: FloatArray
    value: FloatArray
    nulls: FloatArray
    days_before: FloatArray | None = None

    def __post_init__(self) -> None:
        lengths = np.diff(self.start)
        if self.start.size < 2 or self.start[0] != 0 or self.start[-1] != self.touch.size or (lengths < 1).any():
            raise ValueError(f"start: got {self.start.size} bounds of {self.touch.size:,} touches, expected paths of at least one touch")
        if (self.touch < 0).any() or (self.touch >= len(self.channels)).any():
            raise ValueError(f"touch: an index outside the {len(self.channels)} channels")
        for name in ("conversions", "value", "nulls"):
            found = column(name, getattr(self, name), lengths.size)
            if name != "value":
                between(name, found, 0.0, np.inf)
        if self.days_before is not None:
            between("days_before", column("days_before", self.days_before, self.touch.size), 0.0, np.inf)

    @classmethod
    def of(
        cls,
        sequences: Sequence[Sequence[str]],
        conversions: npt.ArrayLike,
        value: npt.ArrayLike | None = None,
        nulls: npt.ArrayLike | None = None,
    ) -> Paths:
        """Paths of names.

        Examples
        --------
        >>> found = Paths.of([["mail", "call"], ["mail"]], conversions=[1, 0], nulls=[0, 3])
        >>> found.channels, found.touch.tolist(), found.start.tolist()
        (('call', 'mail'), [1, 0, 1], [0, 2, 3])
        """
        flat = np.array([name for path in sequences for name in path], dtype=object)
        names, touch = np.unique(flat, return_inverse=True) if flat.size else (flat, np.zeros(0, dtype=np.int64))
        start = np.concatenate([[0], np.cumsum([len(path) for path in sequences])]).astype(np.int64)
        sold = np.asarray(conversions, dtype=np.float64)
        money = sold if value is None else np.asarray(value, dtype=np.float64)
        lost = np.zeros_like(sold) if nulls is None else np.asarray(nulls, dtype=np.float64)
        return cls(tuple(names.tolist()), touch.astype(np.int64), start, sold, money, lost)

    @property
    def length(self) -> IntArray:
        """Touches a path, shape (n_paths,)."""
        return np.diff(self.start)

    @cached_property
    def path(self) -> IntArray:
        """The path of each touch, shape (n_touches,)."""
        return np.repeat(np.arange(self.length.size), self.length)

    @cached_property
    def from_start(self) -> IntArray:
        """Touches before it in its path, shape (n_touches,)."""
        return np.arange(self.touch.size) - self.start[:-1][self.path]

    @cached_property
    def to_end(self) -> IntArray:
        """Touches after it in its path, shape (n_touches,)."""
        return self.start[1:][self.path] - 1 - np.arange(self.touch.size)

    @cached_property
    def sets(self) -> tuple[IntArray, IntArray]:
        """The channels of each path, each once: (channel, path), sorted by path; shape (n_distinct,) each."""
        pairs = np.unique(self.path * len(self.channels) + self.touch)
        return pairs % len(self.channels), pairs // len(self.channels)
