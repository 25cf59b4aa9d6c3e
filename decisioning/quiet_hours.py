"""When a message may go out: not within the channel's quiet hours, in the contact's own time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np


def to_datetime(moment: np.datetime64) -> datetime:
    """`moment` (UTC) as an aware datetime."""
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(moment.astype("datetime64[us]").astype(np.int64)))


def to_local(moment: np.datetime64, time_zone: str) -> datetime:
    """`moment` (UTC) on the clocks of `time_zone`."""
    return to_datetime(moment).astimezone(ZoneInfo(time_zone))


def local_date(moment: np.datetime64, time_zone: str) -> date:
    """The calendar date of `moment` (UTC) in `time_zone`.

    Examples
    --------
    >>> local_date(np.datetime64("2026-01-01T23:30"), "Europe/Warsaw")
    datetime.date(2026, 1, 2)
    """
    return to_local(moment, time_zone).date()


@lru_cache(maxsize=4096)
def next_allowed(moment: datetime, quiet: tuple[time, time] | None, time_zone: str | None, default_zone: str) -> datetime:
    """The first moment at or after `moment` outside the quiet hours, in UTC.

    Parameters
    ----------
    moment : datetime
        Aware.
    quiet : (begin, end) or None
        On local clocks; `begin` > `end` spans midnight.
    time_zone, default_zone : str
        The contact's zone; where it is missing or unknown, the catalogue's.

    Examples
    --------
    >>> next_allowed(datetime(2026, 1, 1, 21, tzinfo=UTC), (time(21), time(8)), "Europe/Warsaw", "UTC").isoformat()
    '2026-01-02T07:00:00+00:00'
    """
    if quiet is None or quiet[0] == quiet[1]:
        return moment
    local = moment.astimezone(_zone(time_zone, default_zone))
    begin, end = quiet
    clock = local.time().replace(tzinfo=None)
    spans_midnight = begin > end
    if not ((clock >= begin or clock < end) if spans_midnight else (begin <= clock < end)):
        return moment
    day = local.date() + timedelta(days=1 if spans_midnight and clock >= begin else 0)
    return datetime.combine(day, end, tzinfo=local.tzinfo).astimezone(UTC)


def _zone(name: str | None, default: str) -> ZoneInfo:
    try:
        return ZoneInfo(name or default)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo(default)
