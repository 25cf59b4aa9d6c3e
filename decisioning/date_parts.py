"""The parts of a time as numbers, as SQL's extract has them: times are datetime64[us], NULL is NaT and then NaN."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from decisioning.sql_values import Array


def date_part(part: str) -> Callable[[Array], Array]:
    """The function that reads `part`, one of `DATE_PARTS`, off times.

    Examples
    --------
    >>> date_part("isodow")(np.array(["2026-11-22", "NaT"], dtype="datetime64[us]"))
    array([ 7., nan])
    """
    return lambda a: np.where(np.isnat(a), np.nan, DATE_PARTS[part](a))


def _whole(a: Array, unit: str) -> Array:
    """Whole `unit`s since 1970."""
    return a.astype(f"datetime64[{unit}]").astype(np.int64).astype(float)


def _since(a: Array, unit: str, above: str) -> Array:
    """Whole `unit`s since the beginning of the `above` that holds them."""
    start = a.astype(f"datetime64[{above}]").astype(f"datetime64[{unit}]")
    return np.asarray((a.astype(f"datetime64[{unit}]") - start).astype(np.int64), dtype=float)


def _year(a: Array) -> Array:
    return _whole(a, "Y") + 1970


def _quarter(a: Array) -> Array:
    return _since(a, "M", "Y") // 3 + 1


def _month(a: Array) -> Array:
    return _since(a, "M", "Y") + 1


def _week(a: Array) -> Array:
    """ISO's week: that of its Thursday."""
    thursday = a.astype("datetime64[D]") + (4 - _isodow(a)).astype("timedelta64[D]")
    return _since(thursday, "D", "Y") // 7 + 1


def _day(a: Array) -> Array:
    return _since(a, "D", "M") + 1


def _doy(a: Array) -> Array:
    return _since(a, "D", "Y") + 1


def _dow(a: Array) -> Array:
    """Sunday is 0: 1970 began on a Thursday."""
    return (_whole(a, "D") + 4) % 7


def _isodow(a: Array) -> Array:
    """Monday is 1, Sunday 7."""
    return (_whole(a, "D") + 3) % 7 + 1


def _hour(a: Array) -> Array:
    return _since(a, "h", "D")


def _minute(a: Array) -> Array:
    return _since(a, "m", "h")


def _second(a: Array) -> Array:
    return _since(a, "s", "m")


def _epoch(a: Array) -> Array:
    """Seconds since 1970, with their fraction."""
    return a.astype("datetime64[us]").astype(np.int64) / 1e6


DATE_PARTS: dict[str, Callable[[Array], Array]] = {
    "year": _year,
    "quarter": _quarter,
    "month": _month,
    "week": _week,
    "day": _day,
    "doy": _doy,
    "dow": _dow,
    "isodow": _isodow,
    "hour": _hour,
    "minute": _minute,
    "second": _second,
    "epoch": _epoch,
}

OTHER_NAMES = {"dayofweek": "dow", "weekday": "dow", "dayofyear": "doy", "dayofmonth": "day", "weekofyear": "week"}
"""What DuckDB also calls them."""
