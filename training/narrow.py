"""Columns that are kept beside each other for many rows, in as little memory as holds them exactly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from decisioning.vocabulary import BoolArray, Columns, FloatArray, IntArray

Some: TypeAlias = BoolArray | IntArray | slice
"""Of rows: a mask, places, or a run of them."""


class Narrow(Mapping[str, npt.NDArray[Any]]):
    """Columns of which each is kept as narrow as its values allow and made wide when it is asked for, the same to the last bit.

    Of a hundred features most are counts: a byte or two hold them.

    Parameters
    ----------
    columns : iterable of (name, array)
        Arrays of any type; those of float64 are kept as small integers or in single precision where that loses nothing.

    Examples
    --------
    >>> kept = Narrow([("visits", np.array([3.0, np.nan])), ("share", np.array([0.5, 1 / 3]))])
    >>> kept["visits"], kept["share"]
    (array([ 3., nan]), array([0.5       , 0.33333333]))
    >>> kept.bytes_a_row
    9
    """

    def __init__(self, columns: Iterable[tuple[str, npt.NDArray[Any]]]) -> None:
        self._kept = {name: _narrowed(column) if column.dtype == np.float64 else column for name, column in columns}

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self.some(name, slice(None))

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def some(self, name: str, rows: Some) -> npt.NDArray[Any]:
        """Some rows of a column; the others are not made wide."""
        kept = self._kept[name][rows]
        return _widened(kept) if kept.dtype.kind in "if" else kept

    @property
    def bytes_a_row(self) -> int:
        """What a row of all columns takes."""
        return sum(column.itemsize for column in self._kept.values())


class SomeRows(Mapping[str, npt.NDArray[Any]]):
    """Some rows of columns, each taken when it is asked for: of a hundred features a condition reads three.

    Examples
    --------
    >>> some = SomeRows({"age": np.array([30.0, 41.0, 52.0])}, np.array([2, 0]))
    >>> some["age"], list(some)
    (array([52., 30.]), ['age'])
    """

    def __init__(self, columns: Columns, rows: Some) -> None:
        self._columns, self._rows = columns, rows

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        if isinstance(self._columns, Narrow):
            return self._columns.some(name, self._rows)
        return self._columns[name][self._rows]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


def _narrowed(column: FloatArray) -> npt.NDArray[Any]:
    """The narrowest of int8, int16, float32 and float64 that holds the values; the least integer stands for NaN."""
    unknown = np.isnan(column)
    known = np.where(unknown, 0.0, column)
    low, high = known.min(initial=0.0), known.max(initial=0.0)
    for dtype in (np.int8, np.int16):
        if np.iinfo(dtype).min < low and high <= np.iinfo(dtype).max and _is_the_same(known, whole := known.astype(dtype)):
            whole[unknown] = np.iinfo(dtype).min
            return whole
    if max(-low, high) <= np.finfo(np.float32).max and _is_the_same(known, single := known.astype(np.float32)):
        single[unknown] = np.nan
        return single
    return column


def _is_the_same(values: FloatArray, narrow: npt.NDArray[Any]) -> bool:
    """Bit for bit, so that the sign of a zero counts too."""
    return bool(np.array_equal(values.view(np.int64), narrow.astype(np.float64).view(np.int64)))


def _widened(kept: npt.NDArray[Any]) -> FloatArray:
    wide: FloatArray = kept.astype(np.float64)
    if kept.dtype.kind == "i":
        wide[kept == np.iinfo(kept.dtype).min] = np.nan
    return wide
