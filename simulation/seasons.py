"""Week and year: how many times its mean a rate is on each day. Time is counted in days from the start of the period."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from decisioning.vocabulary import FloatArray

LOOK_AHEAD_DAYS = 400
"""How far past the period the seasons reach: CLV looks a year ahead, a response window a month."""

CALM_WEEK = (1.0,) * 7


@dataclass(frozen=True)
class Season:
    """A yearly wave that peaks on `peak_day` (of the year, 1 = 1 January) times a weekly profile (Monday first)."""

    amplitude: float = 0.0
    peak_day: int = 1
    week: tuple[float, ...] = CALM_WEEK

    def daily(self, start: np.datetime64, days: int) -> FloatArray:
        """The factor of each of `days` days from `start`, shape (days,); its mean over a whole year is 1.

        Examples
        --------
        >>> Season(amplitude=0.5, peak_day=1).daily(np.datetime64("2026-01-01"), 3).round(2)
        array([1.5, 1.5, 1.5])
        """
        dates = start.astype("datetime64[D]") + np.arange(days)
        day_of_year = (dates - dates.astype("datetime64[Y]")).astype(np.int64)
        weekday = (dates.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
        week = np.asarray(self.week) / np.mean(self.week)
        factor = (1.0 + self.amplitude * np.cos(2 * np.pi * (day_of_year + 1 - self.peak_day) / 365.25)) * week[weekday]
        return np.asarray(factor, dtype=np.float64)


def cumulative(daily: FloatArray) -> FloatArray:
    """The integral of a daily factor at the start of each day, shape (days + 1,), from 0."""
    return np.concatenate([[0.0], np.cumsum(daily)])


def integral(cumulated: FloatArray, begin: FloatArray | float, end: FloatArray | float) -> FloatArray:
    """The integral of the daily factor from `begin` to `end` (days from the start, fractions allowed).

    Examples
    --------
    >>> float(integral(cumulative(np.array([1.0, 2.0])), 0.5, 1.5))
    1.5
    """
    grid = np.arange(len(cumulated), dtype=np.float64)
    return np.asarray(np.interp(end, grid, cumulated) - np.interp(begin, grid, cumulated))
