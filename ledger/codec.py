"""Times, JSON and columns as the tables keep them.

A time is a UTC count of microseconds since 1970-01-01 in a 64-bit integer: exact, sortable, the same in SQLite and PostgreSQL, and the
bits of numpy's ``datetime64[us]``. JSON is UTF-8 text without NaN: what is not a finite number is null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_Item = TypeVar("_Item")


def micros(time: datetime) -> int:
    """UTC microseconds since 1970 of an aware datetime.

    Raises
    ------
    ValueError
        The datetime is naive: its zone is unknown.

    Examples
    --------
    >>> micros(datetime(1970, 1, 2, tzinfo=UTC))
    86400000000
    """
    if time.tzinfo is None:
        raise ValueError(f"the ledger keeps aware times; got the naive {time.isoformat()}. Hint: give tzinfo=UTC")
    return (time - EPOCH) // _MICROSECOND


def moment(count: int) -> datetime:
    """The aware UTC datetime of a count of microseconds since 1970; the inverse of `micros`."""
    return EPOCH + timedelta(microseconds=count)


def finite(number: float | None) -> float | None:
    """The number as a float, or None where it is missing, NaN or infinite."""
    return float(number) if number is not None and math.isfinite(number) else None


def to_json(value: Mapping[str, Any]) -> str:
    """JSON text of a mapping: NaN and infinities as null, numpy scalars and arrays as numbers and lists, times as ISO text.

    Examples
    --------
    >>> to_json({"uplift": float("nan"), "rows": np.arange(2)})
    '{"uplift":null,"rows":[0,1]}'
    """
    return json_bytes(value).decode()


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """`to_json` as the bytes of its UTF-8."""
    try:
        return _ENCODER.encode(value)
    except UnicodeEncodeError:  # half a surrogate pair, which UTF-8 cannot write and JSON can only escape
        return json.dumps(_without_nan(value), allow_nan=False, separators=(",", ":"), default=plain).encode()


def plain(value: object) -> object:
    """What the encoder itself does not know: numpy's values, dates.

    Raises
    ------
    TypeError
        It cannot be kept as JSON.
    """
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__} cannot be kept as JSON: {value!r}")


_ENCODER = msgspec.json.Encoder(enc_hook=plain)


def _without_nan(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float):
        return finite(value)
    return value


def text_column(values: Sequence[str | None]) -> npt.NDArray[np.object_]:
    """A string column: an object array of str and None."""
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def time_column(counts: Sequence[int]) -> npt.NDArray[np.datetime64]:
    """A timestamp column from counts of microseconds."""
    return np.array(counts, dtype=np.int64).view("datetime64[us]")


def time_values(column: npt.NDArray[Any]) -> list[int | None]:
    """Counts of microseconds of a timestamp column, None for NaT."""
    counts = column.astype("datetime64[us]").view(np.int64).astype(object)
    counts[np.isnat(column)] = None
    return list(counts)


def chunks(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """The items in lists of `size`, the last one shorter.

    Examples
    --------
    >>> list(chunks("abc", 2))
    [['a', 'b'], ['c']]
    """
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
