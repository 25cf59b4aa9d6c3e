"""The arrays of this room, and the coercion of whatever a column holds to numbers, texts or days.

A column is one numpy array. Coercion never raises: what cannot be read is NULL, because a served model must answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Columns: TypeAlias = Mapping[str, npt.NDArray[Any]]
FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
AnyFloats: TypeAlias = npt.NDArray[np.floating[Any]]
AnyInts: TypeAlias = npt.NDArray[np.signedinteger[Any]]
"""Of any width: what is kept for each of many rows is kept narrow, see `rows_where`."""
BoolArray: TypeAlias = npt.NDArray[np.bool_]

NUMBER_DTYPES = ("bool", "int", "float")
TIME_DTYPES = ("date", "timestamp")
DTYPES = (*NUMBER_DTYPES, "string", *TIME_DTYPES)

PREDICTED_TOGETHER = 32_768

_TEXT_OR_NULL = {str, type(None)}
_MICROSECONDS_A_DAY = 86_400_000_000.0


def rows_where(mask: BoolArray) -> AnyInts:
    """The places of what holds, in order, in half the memory of `np.flatnonzero`: they are kept beside each other for a million rows.

    Examples
    --------
    >>> rows_where(np.array([True, False, True]))
    array([0, 2], dtype=int32)
    """
    return np.flatnonzero(mask).astype(np.int32)


def one_run(mask: BoolArray) -> slice | BoolArray:
    """The mask as a slice where it holds in one run of rows: taking these copies nothing.

    Examples
    --------
    >>> one_run(np.array([False, True, True])), one_run(np.array([True, False, True]))
    (slice(1, 3, None), array([ True, False,  True]))
    """
    start, held = int(mask.argmax()) if len(mask) else 0, int(mask.sum())
    return slice(start, start + held) if mask[start : start + held].all() else mask


def runs_of(n: int) -> list[slice]:
    """Runs of rows that are predicted together: of a hundred thousand rows all that is computed on the way would be as much again.

    Examples
    --------
    >>> runs_of(40_000)
    [slice(0, 32768, None), slice(32768, 40000, None)]
    """
    return [slice(start, min(n, start + PREDICTED_TOGETHER)) for start in range(0, n, PREDICTED_TOGETHER)]


def row_count(columns: Columns, as_of: Any) -> int:
    """The number of rows that `columns` and `as_of` describe; an empty mapping is one contact of whom nothing is known.

    Raises
    ------
    ValueError
        If two columns, or a column and `as_of`, differ in length.

    Examples
    --------
    >>> row_count({"age": np.array([30.0, 41.0])}, np.datetime64("2026-11-22", "us"))
    2
    """
    times = np.asarray(as_of)
    lengths = {name: len(np.atleast_1d(column)) for name, column in columns.items()}
    if times.ndim:
        lengths["as_of"] = len(times)
    distinct = set(lengths.values())
    if len(distinct) > 1:
        few = dict(list(lengths.items())[:5])
        raise ValueError(f"the columns differ in length; got {few}; allowed: one length for all. Hint: as_of may be a single time")
    return distinct.pop() if distinct else 1


def as_numbers(column: npt.NDArray[Any] | None, length: int) -> FloatArray:
    """The column as float64: NaN for NULL, for an infinity and for what is not a number.

    Examples
    --------
    >>> as_numbers(np.array([1, "2.5", None, "x"], dtype=object), 4)
    array([1. , 2.5, nan, nan])
    """
    if column is None:
        return np.full(length, np.nan)
    values = np.atleast_1d(column)
    if values.dtype.kind in "biuf":
        numbers = values.astype(np.float64)
    elif values.dtype.kind in "OUS":
        numbers = np.fromiter((_number(value) for value in values), dtype=np.float64, count=len(values))
    else:
        return np.full(len(values), np.nan)
    return np.where(np.isinf(numbers), np.nan, numbers)


def as_texts(column: npt.NDArray[Any] | None, length: int) -> list[str | None]:
    """The column as texts: None for NULL, `str` of everything else.

    Examples
    --------
    >>> as_texts(np.array(["a", None, float("nan"), 7], dtype=object), 4)
    ['a', None, None, '7']
    """
    if column is None:
        return [None] * length
    values: list[Any] = np.atleast_1d(column).tolist()
    if set(map(type, values)) <= _TEXT_OR_NULL:
        return values
    return [value if type(value) is str else _text(value) for value in values]


def as_days_before(column: npt.NDArray[Any] | None, as_of: Any, length: int) -> FloatArray:
    """Days from each time of the column to `as_of` (negative for a time to come); NaN for NULL and for what is not a time.

    Examples
    --------
    >>> as_days_before(np.array(["2026-11-20", "NaT"], dtype="datetime64[us]"), np.datetime64("2026-11-22"), 2)
    array([ 2., nan])
    """
    if column is None:
        return np.full(length, np.nan)
    values = np.atleast_1d(column)
    times = values.astype("datetime64[us]") if values.dtype.kind == "M" else _times(values)
    cut = np.asarray(as_of, dtype="datetime64[us]")
    days: FloatArray = (_microseconds(cut) - _microseconds(times)) / _MICROSECONDS_A_DAY
    return np.broadcast_to(days, len(values)).copy()


def check_one_of(name: str, value: str, allowed: Iterable[str]) -> None:
    """Refuse a value that is none of the allowed ones."""
    choices = tuple(allowed)
    if value not in choices:
        raise ValueError(f"{name} is not known; got {value!r}; allowed: {', '.join(choices)}")


def _microseconds(times: npt.NDArray[Any]) -> FloatArray:
    # As floats: a difference of far times overflows int64 silently.
    counted = times.astype(np.int64).astype(np.float64)
    return np.where(np.isnat(times), np.nan, counted)


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # whatever cannot be a float is NULL
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def _text(value: object) -> str | None:
    if value is None or (isinstance(value, float) and value != value):  # NaN alone differs from itself
        return None
    if isinstance(value, (np.datetime64, np.timedelta64)) and np.isnat(value):
        return None
    return str(value)


def _times(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if values.dtype.kind not in "OUS":
        return np.full(len(values), np.datetime64("NaT", "us"))
    return np.array([_time(value) for value in values.tolist()], dtype="datetime64[us]")


def _time(value: object) -> np.datetime64:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(moment, datetime) and moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
        return np.datetime64(moment, "us")  # type: ignore[call-overload, no-any-return]  # whatever cannot be a time is NULL
    except (TypeError, ValueError, OverflowError):
        return np.datetime64("NaT", "us")
