"""The parts of a time as numbers, as SQL's extract has them: on arrays of datetime64[us] (NULL is NaT and then NaN), and on one moment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np

from decisioning.rules.nodes import Meaning
from decisioning.rules.sql_scalars import strictly
from decisioning.rules.sql_values import Array

_DAY, _HOUR, _MINUTE, _SECOND = 86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000
_FIRST_DAY = date(1970, 1, 1).toordinal()


def _part(of_array: Callable[[Array], Array], of_microseconds: Callable[[int], float]) -> Meaning:
    """One part, read off an array of times, and off one time in microseconds since 1970."""
    return Meaning(lambda a: np.where(np.isnat(a), np.nan, of_array(a)), strictly(lambda one: float(of_microseconds(one))))


def _part_of_day(of_array: Callable[[Array], Array], of_day: Callable[[date], float]) -> Meaning:
    """One part that the calendar day says; years that a `date` does not have are left to the array."""

    def of_microseconds(one: int) -> float:
        try:
            return of_day(date.fromordinal(_FIRST_DAY + one // _DAY))
        except (ValueError, OverflowError):
            return float(of_array(np.array([one], dtype="datetime64[us]"))[0])

    return _part(of_array, of_microseconds)


def _whole(a: Array, unit: str) -> Array:
    """Whole `unit`s since 1970."""
    return a.astype(f"datetime64[{unit}]").astype(np.int64).astype(float)


def _since(a: Array, unit: str, above: str) -> Array:
    """Whole `unit`s since the beginning of the `above` that holds them."""
    start = a.astype(f"datetime64[{above}]").astype(f"datetime64[{unit}]")
    return np.asarray((a.astype(f"datetime64[{unit}]") - start).astype(np.int64), dtype=float)


def _isodow(a: Array) -> Array:
    """Monday is 1, Sunday 7."""
    return (_whole(a, "D") + 3) % 7 + 1


def _thursday(a: Array) -> Array:
    """The Thursday of the ISO week, which says what week of what year it is."""
    return np.asarray(a.astype("datetime64[D]") + (4 - _isodow(a)).astype("timedelta64[D]"))


DATE_PARTS: dict[str, Meaning] = {
    "year": _part_of_day(lambda a: _whole(a, "Y") + 1970, lambda day: day.year),
    "quarter": _part_of_day(lambda a: _since(a, "M", "Y") // 3 + 1, lambda day: (day.month + 2) // 3),
    "month": _part_of_day(lambda a: _since(a, "M", "Y") + 1, lambda day: day.month),
    "week": _part_of_day(lambda a: _since(_thursday(a), "D", "Y") // 7 + 1, lambda day: day.isocalendar().week),
    "day": _part_of_day(lambda a: _since(a, "D", "M") + 1, lambda day: day.day),
    "doy": _part_of_day(lambda a: _since(a, "D", "Y") + 1, lambda day: day.timetuple().tm_yday),
    "dow": _part(lambda a: (_whole(a, "D") + 4) % 7, lambda one: (one // _DAY + 4) % 7),  # Sunday is 0: 1970 began on a Thursday
    "isodow": _part(_isodow, lambda one: (one // _DAY + 3) % 7 + 1),
    "hour": _part(lambda a: _since(a, "h", "D"), lambda one: one % _DAY // _HOUR),
    "minute": _part(lambda a: _since(a, "m", "h"), lambda one: one % _HOUR // _MINUTE),
    "second": _part(lambda a: _since(a, "s", "m"), lambda one: one % _MINUTE // _SECOND),
    "epoch": _part(lambda a: a.astype("datetime64[us]").astype(np.int64) / 1e6, lambda one: one / 1e6),  # with its fraction
    "isoyear": _part_of_day(lambda a: _whole(_thursday(a), "Y") + 1970, lambda day: day.isocalendar().year),
}
"""What each part means on arrays and on one row."""

OTHER_NAMES = {"dayofweek": "dow", "weekday": "dow", "dayofyear": "doy", "dayofmonth": "day", "weekofyear": "week"}
"""What DuckDB also calls them."""
