"""Are we getting there? Progress towards a goal, the forecast to its deadline, and its status.

A goal is SMART: one figure, from a baseline to a target, by a deadline, with an owner.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

from measurement.arrays import FloatArray, column
from measurement.intervals import Interval

Status: TypeAlias = Literal["reached", "on_track", "likely", "at_risk", "off_track", "missed", "unknown", "unmeasured"]

FORECAST_LEVEL = 0.8
"""Share of forecasts' intervals that hold what comes, where nothing else is asked for."""

FEWEST = 3
"""Periods without which nothing is forecast."""

STATUS: Mapping[Status, str] = {
    "reached": "the target is reached",
    "on_track": "even the low end of the forecast reaches the target",
    "likely": "the forecast reaches the target, its low end does not",
    "at_risk": "the forecast misses the target, its high end does not",
    "off_track": "not even the high end of the forecast reaches the target",
    "missed": "the deadline is past and the target was not reached",
    "unknown": "too few periods are measured for a forecast",
    "unmeasured": "nothing measures this figure here",
}


@dataclass(frozen=True, eq=False)
class Series:
    """A figure over time.

    Attributes
    ----------
    at : array, shape (n_periods,)
        Where each period stands in time: its index, whole and rising.
    value : array, shape (n_periods,)
        The figure of each period alone, NaN where it is not defined.
    adds_up : bool
        Whether periods add up (money, counts) or are a level (rates, averages).
    """

    at: npt.ArrayLike
    value: npt.ArrayLike
    adds_up: bool


@dataclass(frozen=True)
class Progress:
    """Where a goal stands.

    Attributes
    ----------
    current : float or None
        Summed so far, or the newest period's level.
    progress : float or None
        The fraction of the way from the baseline (of what adds up, from 0) to the target that is behind us; None where there is no way.
    forecast : Interval or None
        The figure at the deadline.
    """

    current: float | None
    progress: float | None
    forecast: Interval | None
    status: Status


def progress(series: Series | None, baseline: float, target: float, periods_left: int, *, level: float = FORECAST_LEVEL) -> Progress:
    """How far a figure is, and how far it is likely to get.

    Whether more or less is better is told by the target: it lies above the baseline or below.

    Parameters
    ----------
    series : Series or None
        None where nothing measures the figure.
    baseline, target : float
        Of a figure that adds up, its sum by the deadline.
    periods_left : int
        Whole periods after the newest one until the deadline; below 0, the deadline is past.

    Examples
    --------
    >>> found = progress(Series([0, 1, 2, 3], [10.0, 10.0, 10.0, 10.0], adds_up=True), 0.0, 60.0, periods_left=2)
    >>> found.current, round(found.progress, 3), round(found.forecast.value, 6), found.status
    (40.0, 0.667, 60.0, 'on_track')
    """
    if series is None:
        return Progress(None, None, None, "unmeasured")
    value = np.asarray(series.value, dtype=np.float64)
    at = np.asarray(series.at, dtype=np.float64)
    defined = np.isfinite(value)
    at, value = at[defined], value[defined]
    if value.size == 0:
        return Progress(None, None, None, "unknown")
    current = float(value.sum()) if series.adds_up else float(value[-1])
    behind = _behind(current, 0.0 if series.adds_up else baseline, target)
    ahead = forecast(Series(at, value, series.adds_up), periods_left, level=level) if periods_left > 0 else None
    rising = target >= baseline
    if periods_left > 0 and (rising or not series.adds_up) and _reaches(current, target, rising=rising):
        return Progress(current, behind, ahead, "reached")  # what may only grow so far, such as a cost, is not reached before the deadline
    return Progress(current, behind, ahead, _status(current, ahead, target, periods_left, rising=rising))


def forecast(series: Series, periods_left: int, *, level: float = FORECAST_LEVEL) -> Interval | None:
    r"""The figure after `periods_left` more periods, by a straight line through those that were; None with fewer than `FEWEST`.

    With the periods' times in X and least squares :math:`\hat\beta`, of a level it is :math:`x \hat\beta` at the last period, of what adds
    up the sum so far and over all periods to come; the variance is :math:`s^2 (m + x^T (X^T X)^{-1} x)`, with x summed over the m periods
    that it speaks of, and the quantile Student's with n - 2 degrees of freedom.

    Examples
    --------
    >>> found = forecast(Series([0, 1, 2, 3], [1.0, 2.0, 3.0, 4.0], adds_up=False), 2)
    >>> round(found.value, 6), round(found.high - found.low, 6)
    (6.0, 0.0)
    """
    at, value = column("at", series.at), column("value", series.value)
    if value.size < FEWEST or periods_left < 1:
        return None
    x = np.column_stack([np.ones(at.size), at - at[-1]])
    to_come = np.arange(1, periods_left + 1) if series.adds_up else np.array([periods_left])
    sought = np.array([float(to_come.size), float(to_come.sum())])
    slopes, *_ = np.linalg.lstsq(x, value, rcond=None)
    left = value - x @ slopes
    freedom = value.size - 2
    variance = float(left @ left) / freedom * (to_come.size + float(sought @ np.linalg.pinv(x.T @ x) @ sought))
    centre = float(sought @ slopes) + (float(value.sum()) if series.adds_up else 0.0)
    error = float(np.sqrt(variance))
    reach = float(stats.t.ppf((1.0 + level) / 2.0, freedom)) * error
    return Interval(centre, centre - reach, centre + reach, error)


def _behind(current: float, begin: float, target: float) -> float | None:
    return (current - begin) / (target - begin) if target != begin else None


def _reaches(number: float, target: float, *, rising: bool) -> bool:
    slack = 1e-9 * max(abs(target), 1.0)
    return number >= target - slack if rising else number <= target + slack


def _status(current: float, ahead: Interval | None, target: float, periods_left: int, *, rising: bool) -> Status:
    if periods_left <= 0:
        return "reached" if _reaches(current, target, rising=rising) else "missed"
    if ahead is None:
        return "unknown"
    low, high = (ahead.low, ahead.high) if rising else (ahead.high, ahead.low)
    found: tuple[tuple[float, Status], ...] = ((low, "on_track"), (ahead.value, "likely"), (high, "at_risk"))
    return next((status for number, status in found if _reaches(number, target, rising=rising)), "off_track")


@dataclass(frozen=True)
class Gaps:
    """What goals and figures miss of each other: `unmeasured` by goal, `unneeded` figures."""

    unmeasured: Mapping[str, str]
    unneeded: Sequence[str]


def gaps(goals: Mapping[str, str], measured: Collection[str]) -> Gaps:
    """The goals whose figure nothing measures, and the figures that serve no goal.

    Parameters
    ----------
    goals : mapping of str to str
        The figure of each goal.
    measured : collection of str
        The figures that there are.

    Examples
    --------
    >>> gaps({"g1": "cac", "g2": "nps"}, ["cac", "clicks"])
    Gaps(unmeasured={'g2': 'nps'}, unneeded=['clicks'])
    """
    return Gaps(
        {name: kpi for name, kpi in goals.items() if kpi not in measured}, [kpi for kpi in measured if kpi not in set(goals.values())]
    )


def whole_periods(first: float, last: float, deadline: float, length: float) -> tuple[FloatArray, int]:
    """The beginnings of the periods of `length` from `first` that are over by `last`, and how many whole ones are left to the deadline.

    Examples
    --------
    >>> begin, left = whole_periods(0.0, 25.0, 45.0, 10.0)
    >>> begin.tolist(), left
    ([0.0, 10.0], 2)
    """
    if not length > 0:
        raise ValueError(f"length: got {length:g}, expected more than 0")
    over = max(int(np.floor((last - first) / length + 1e-9)), 0)
    begin = first + length * np.arange(over, dtype=np.float64)
    return begin, int(np.floor((deadline - (first + length * over)) / length + 1e-9))
