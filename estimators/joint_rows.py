"""Reading contacts once for several encoders: one matrix that holds the tree columns of them all.

`FeatureEncoder.encode` is the law; what is read here is the same, with as few steps as one contact needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.arrays import TIME_DTYPES, Columns, FloatArray, as_days_before, as_numbers, as_texts
from estimators.encoding import FeatureEncoder
from estimators.encoding_categories import CategoryEncoding

_MICROSECONDS_A_DAY = 86_400_000_000.0
_NAT = np.iinfo(np.int64).min


@dataclass(frozen=True, eq=False)
class RowReader:
    """What is read of a contact: numbers, then days before as_of, then codes of categories, one column each.

    Parameters
    ----------
    numbers, times : tuples of str
        Features.
    categories : tuple of CategoryEncoding
        The same feature twice where two encoders know other levels of it.
    """

    numbers: tuple[str, ...]
    times: tuple[str, ...]
    categories: tuple[CategoryEncoding, ...]

    @classmethod
    def of(cls, encoders: Iterable[FeatureEncoder], numbers: Iterable[str] = ()) -> RowReader:
        """The reader for some encoders, and for some numbers beside."""
        some = list(encoders)
        dtypes = {name: dtype for encoder in some for name, dtype in encoder.dtypes.items()}
        times = [name for name, dtype in dtypes.items() if dtype in TIME_DTYPES]
        plain = [name for name, dtype in dtypes.items() if dtype != "string" and dtype not in TIME_DTYPES]
        categories = {(one.name, one.levels): one for encoder in some for one in encoder.categories}
        return cls(tuple(dict.fromkeys([*plain, *numbers])), tuple(times), tuple(categories.values()))

    @property
    def width(self) -> int:
        """How many columns are read."""
        return len(self.numbers) + len(self.times) + len(self.categories)

    def columns_of(self, encoder: FeatureEncoder) -> dict[int, int]:
        """Where each column of the encoder's tree matrix stands."""
        categories = {one.name: one for one in encoder.categories}
        places = {name: place for place, name in enumerate((*self.numbers, *self.times))}
        first = len(places)
        levels = {(one.name, one.levels): first + place for place, one in enumerate(self.categories)}
        return {j: levels[(name, categories[name].levels)] if name in categories else places[name] for j, name in enumerate(encoder.dtypes)}

    def read(self, columns: Columns, as_of: Any, out: FloatArray) -> None:
        """The contacts into `out`, shape (n, width or more)."""
        n, numbers, times = len(out), len(self.numbers), len(self.times)
        out[:, :numbers] = self._numbers(columns, n)
        if times:
            out[:, numbers : numbers + times] = self._days(columns, as_of, n)
        if self.categories:
            out[:, numbers + times : self.width] = self._codes(columns, n)

    def _numbers(self, columns: Columns, n: int) -> FloatArray:
        stacked = _stacked(columns, self.numbers, n)
        if stacked is None or stacked.dtype != np.float64:
            return _one_by_one([lambda name=name: as_numbers(columns.get(name), n) for name in self.numbers], n)  # type: ignore[misc]
        stacked[np.isinf(stacked)] = np.nan
        return stacked.reshape(len(self.numbers), n).T

    def _days(self, columns: Columns, as_of: Any, n: int) -> FloatArray:
        stacked = _stacked(columns, self.times, n)
        if stacked is None or stacked.dtype.kind != "M":
            return _one_by_one([lambda name=name: as_days_before(columns.get(name), as_of, n) for name in self.times], n)  # type: ignore[misc]
        moments = stacked.astype("datetime64[us]").view(np.int64).reshape(len(self.times), n)
        cut = np.asarray(as_of, dtype="datetime64[us]").astype(np.int64)
        days: FloatArray = (cut.astype(np.float64) - moments.astype(np.float64)) / _MICROSECONDS_A_DAY
        days[(moments == _NAT) | (cut == _NAT)] = np.nan
        return days.T

    def _codes(self, columns: Columns, n: int) -> npt.NDArray[Any] | list[int]:
        if n == 1:
            return [_code(category, columns.get(category.name)) for category in self.categories]
        texts = {name: as_texts(columns.get(name), n) for name in dict.fromkeys(one.name for one in self.categories)}
        return np.stack([category.codes(texts[category.name]) for category in self.categories], axis=1)


def _stacked(columns: Columns, names: Sequence[str], n: int) -> npt.NDArray[Any] | None:
    """The columns one after the other; None where one is absent or they do not go together."""
    try:
        stacked = np.concatenate([columns[name] for name in names])
    except (KeyError, TypeError, ValueError):
        return None
    return stacked if len(stacked) == n * len(names) else None


def _one_by_one(columns: Sequence[Callable[[], FloatArray]], n: int) -> FloatArray:
    return np.stack([column() for column in columns], axis=1) if columns else np.empty((n, 0))


def _code(category: CategoryEncoding, column: npt.NDArray[Any] | None) -> int:
    value = None if column is None else column.item()
    text = value if type(value) is str else as_texts(np.array([value], dtype=object), 1)[0]
    return category.code(text)
