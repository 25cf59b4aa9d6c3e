"""When a message may go out: not within the channel's quiet hours, in the contact's own time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np


def to_datetime(moment: np.datetime64) -> datetime:
    """`moment` (UTC) as an aware datetime."""
    naive: datetime = moment.astype("datetime64[us]").item()
    return naive.replace(tzinfo=UTC)


@lru_cache(maxsize=64)
def microseconds(moment: np.datetime64) -> int:
    """`moment` as whole microseconds since 1970.

    Examples
    --------
    >>> microseconds(np.datetime64("1970-01-01T00:00:01"))
    1000000
    """
    return int(moment.astype("datetime64[us]").astype(np.int64))


def to_local(moment: np.datetime64, time_zone: str) -> datetime:
    """`moment` (UTC) on the clocks of `time_zone`."""
    return to_datetime(moment).astimezone(ZoneInfo(time_zone))


@lru_cache(maxsize=64)
def local_date(moment: np.datetime64, time_zone: str) -> date:
    """The calendar date of `moment` (UTC) in `time_zone`.

    Examples
    --------
    >>> local_date(np.datetime64("2026-01-01T23:30"), "Europe/Warsaw")
    datetime.date(2026, 1, 2)
    """
    return to_local(moment, time_zone).date()


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo | None:
    """The time zone of an IANA name; None where there is none. A name may be any text: `Europe` is a folder of the zone data."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


@lru_cache(maxsize=4096)
def next_allowed(moment: datetime, quiet: tuple[time, time] | None, time_zone: str | None, default_zone: str) -> datetime:
    """The first moment at or after `moment` outside the quiet hours, in UTC.

    Parameters
    ----------
    moment : datetime
        Aware.
    quiet : (begin, end) or None
        On local clocks, `begin` included and `end` not; `begin` > `end` spans midnight.
    time_zone, default_zone : str
        The contact's zone; where it is missing or unknown, the catalogue's.

    Examples
    --------
    >>> next_allowed(datetime(2026, 1, 1, 21, tzinfo=UTC), (time(21), time(8)), "Europe/Warsaw", "UTC").isoformat()
    '2026-01-02T07:00:00+00:00'
    """
    at = moment.astimezone(UTC)
    if quiet is None:
        return at
    zone = (zone_of(time_zone) if time_zone else None) or zone_of(default_zone) or ZoneInfo("UTC")
    local = at.astimezone(zone)
    if not _is_quiet(local.time(), quiet):
        return at
    begin, end = quiet
    day = local.date() + timedelta(days=1 if begin > end and local.time() >= begin else 0)
    return _first_at_clock(datetime.combine(day, end, tzinfo=zone), at)


def _is_quiet(clock: time, quiet: tuple[time, time]) -> bool:
    begin, end = quiet
    return begin <= clock < end if begin <= end else (clock >= begin or clock < end)


def _first_at_clock(end: datetime, after: datetime) -> datetime:
    """The first moment not before `after` at which local clocks show `end`, in UTC.

    Clocks that go back show it twice, and the second time may be meant. An end that they skip when they go forward counts on the old time.
    """
    first, again = (end.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    return first if first >= after else again
