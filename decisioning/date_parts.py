"""The parts of a time as numbers, as SQL's extract has them: on arrays of datetime64[us] (NULL is NaT and then NaN), and on one moment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np

from decisioning.rule_nodes import Meaning
from decisioning.sql_scalars import strictly
from decisioning.sql_values import Array

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - times are UTC throughout


def _part(of_array: Callable[[Array], Array], of_moment: Callable[[datetime], float]) -> Meaning:
    """One part, read off an array and off a datetime; years that a datetime does not have are left to the array."""

    def on_array(a: Array) -> Array:
        return np.where(np.isnat(a), np.nan, of_array(a))

    def on_microseconds(microseconds: int) -> float:
        try:
            moment = _EPOCH + timedelta(microseconds=microseconds)
        except OverflowError:
            return float(of_array(np.array([microseconds], dtype="datetime64[us]"))[0])
        return float(of_moment(moment))

    return Meaning(on_array, strictly(on_microseconds))


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


def _epoch(a: Array) -> Array:
    """Seconds since 1970, with their fraction."""
    return a.astype("datetime64[us]").astype(np.int64) / 1e6


DATE_PARTS: dict[str, Meaning] = {
    "year": _part(lambda a: _whole(a, "Y") + 1970, lambda moment: moment.year),
    "quarter": _part(lambda a: _since(a, "M", "Y") // 3 + 1, lambda moment: (moment.month + 2) // 3),
    "month": _part(lambda a: _since(a, "M", "Y") + 1, lambda moment: moment.month),
    "week": _part(lambda a: _since(_thursday(a), "D", "Y") // 7 + 1, lambda moment: moment.isocalendar().week),
    "day": _part(lambda a: _since(a, "D", "M") + 1, lambda moment: moment.day),
    "doy": _part(lambda a: _since(a, "D", "Y") + 1, lambda moment: moment.timetuple().tm_yday),
    "dow": _part(lambda a: (_whole(a, "D") + 4) % 7, lambda moment: moment.isoweekday() % 7),  # Sunday is 0: 1970 began on a Thursday
    "isodow": _part(_isodow, lambda moment: moment.isoweekday()),
    "hour": _part(lambda a: _since(a, "h", "D"), lambda moment: moment.hour),
    "minute": _part(lambda a: _since(a, "m", "h"), lambda moment: moment.minute),
    "second": _part(lambda a: _since(a, "s", "m"), lambda moment: moment.second),
    "epoch": Meaning(lambda a: np.where(np.isnat(a), np.nan, _epoch(a)), strictly(lambda microseconds: microseconds / 1e6)),
    "isoyear": _part(lambda a: _whole(_thursday(a), "Y") + 1970, lambda moment: moment.isocalendar().year),
}
"""What each part means on arrays and on one row."""

OTHER_NAMES = {"dayofweek": "dow", "weekday": "dow", "dayofyear": "doy", "dayofmonth": "day", "weekofyear": "week"}
"""What DuckDB also calls them."""
