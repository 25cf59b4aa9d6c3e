"""Reading contacts once for several encoders: one matrix that holds the tree columns of them all.

`FeatureEncoder.encode` is the law; what is read here is the same, with as few steps as one contact needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from estimators.arrays import TIME_DTYPES, Columns, FloatArray, as_days_before, as_numbers, as_texts
from estimators.compiling import compiled
from estimators.encoding import FeatureEncoder
from estimators.encoding_categories import CategoryEncoding

_MICROSECONDS_A_DAY = 86_400_000_000.0
_FLOAT = np.dtype(np.float64)
_MICROSECONDS = np.dtype("datetime64[us]")
_NAT = float(np.iinfo(np.int64).min)

_Getter: TypeAlias = Callable[[Columns], Sequence[npt.NDArray[Any]]]


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

    def columns_of(self, encoder: FeatureEncoder) -> dict[int, int]:
        """Where each column of the encoder's tree matrix stands."""
        categories = {one.name: one for one in encoder.categories}
        places = {name: place for place, name in enumerate((*self.numbers, *self.times))}
        first = len(places)
        levels = {(one.name, one.levels): first + place for place, one in enumerate(self.categories)}
        return {j: levels[(name, categories[name].levels)] if name in categories else places[name] for j, name in enumerate(encoder.dtypes)}

    def read(self, columns: Columns, as_of: Any, out: FloatArray) -> int:
        """The contacts into `out`, shape (n, width + 1 or more), as `finish` wants them; column `width` is as_of in microseconds.

        Returns
        -------
        int
            How many columns of times hold microseconds since 1970, NaT as the smallest integer; the others are days already.
        """
        n, numbers = len(out), len(self.numbers)
        if numbers:
            stacked = _stacked_numbers(columns, self._get_numbers, n * numbers)
            if stacked is None:
                _put(out, 0, [as_numbers(columns.get(name), n) for name in self.numbers])
            else:
                out[:, :numbers] = stacked if n == 1 else stacked.reshape(numbers, n).T
        if self.categories:
            out[:, numbers + len(self.times) : self.width] = self._code_of_one(columns) if n == 1 else self._codes(columns, n)
        return self._read_times(columns, as_of, out)

    def _read_times(self, columns: Columns, as_of: Any, out: FloatArray) -> int:
        n, first, times = len(out), len(self.numbers), len(self.times)
        if not times:
            return 0
        stacked = _stacked(columns, self._get_times, n * times)
        if stacked is None or stacked.dtype.kind != "M":
            _put(out, first, [as_days_before(columns.get(name), as_of, n) for name in self.times])
            return 0
        moments = (stacked if stacked.dtype == _MICROSECONDS else stacked.astype(_MICROSECONDS)).view(np.int64)
        out[:, first : first + times] = moments if n == 1 else moments.reshape(times, n).T
        out[:, self.width] = np.asarray(as_of, dtype=_MICROSECONDS).astype(np.int64)
        return times

    def _codes(self, columns: Columns, n: int) -> npt.NDArray[np.int64]:
        texts = {name: as_texts(columns.get(name), n) for name in dict.fromkeys(one.name for one in self.categories)}
        return np.stack([category.codes(texts[category.name]) for category in self.categories], axis=1)

    def _code_of_one(self, columns: Columns) -> list[int]:
        found = []
        for name, known, other in self._known:
            column = columns.get(name)
            value = None if column is None else column.item()
            text = value if type(value) is str else as_texts(np.array([value], dtype=object), 1)[0] if value is not None else None
            found.append(known.get(text, other))
        return found

    @cached_property
    def _known(self) -> list[tuple[str, Mapping[str | None, int], int]]:
        """Each category's feature, its codes, and the code of what is not among them."""
        return [(one.name, one.known, len(one.levels)) for one in self.categories]

    @cached_property
    def width(self) -> int:
        """How many columns are read."""
        return len(self.numbers) + len(self.times) + len(self.categories)

    @cached_property
    def _get_numbers(self) -> _Getter:
        return _getter(self.numbers)

    @cached_property
    def _get_times(self) -> _Getter:
        return _getter(self.times)


@compiled
def finish(rows: FloatArray, numbers: int, times: int, width: int) -> None:
    """What `RowReader.read` left to do: an infinity is NULL, a moment is days before as_of."""
    for row in range(len(rows)):
        for j in range(numbers):
            if math.isinf(rows[row, j]):
                rows[row, j] = math.nan
        if times > 0:
            cut = rows[row, width]
            for j in range(numbers, numbers + times):
                moment = rows[row, j]
                rows[row, j] = math.nan if moment == _NAT or cut == _NAT else (cut - moment) / _MICROSECONDS_A_DAY


def _getter(names: Sequence[str]) -> _Getter:
    return itemgetter(*names) if len(names) > 1 else lambda columns: tuple(columns[name] for name in names)


def _stacked_numbers(columns: Columns, get: _Getter, length: int) -> FloatArray | None:
    """The columns one after the other; None where one is absent or they are not all of float64."""
    try:
        found: Sequence[Any] = get(columns)
        for column in found:
            if column.dtype is not _FLOAT and column.dtype != _FLOAT:
                return None
        stacked = np.frombuffer(b"".join(found))  # a third of the time of np.concatenate
    except (KeyError, TypeError, ValueError, BufferError):
        return None
    return stacked if len(stacked) == length else None


def _stacked(columns: Columns, get: _Getter, length: int) -> npt.NDArray[Any] | None:
    """The columns one after the other; None where one is absent or they do not go together."""
    try:
        stacked = np.concatenate(get(columns))
    except (KeyError, TypeError, ValueError):
        return None
    return stacked if len(stacked) == length else None


def _put(out: FloatArray, first: int, columns: Sequence[FloatArray]) -> None:
    for place, column in enumerate(columns, start=first):
        out[:, place] = column
