"""Goals: the forecast holds what comes as often as it says, and the status follows from it."""

from __future__ import annotations

import numpy as np
import pytest

from measurement.goals import STATUS, Series, forecast, gaps, progress, whole_periods


@pytest.mark.parametrize("adds_up", [True, False])
def test_the_forecast_holds_what_comes_as_often_as_it_says(adds_up: bool) -> None:
    held = []
    for rng in (np.random.default_rng(seed) for seed in range(600)):
        weeks = np.arange(13)
        value = 50.0 + 2.0 * weeks + rng.normal(0, 6, 13)
        ahead = forecast(Series(weeks[:9], value[:9], adds_up), 4, level=0.8)
        assert ahead is not None
        held.append((value.sum() if adds_up else value[-1]) in ahead)
    assert np.mean(held) == pytest.approx(0.8, abs=0.05)


def steady(*, adds_up: bool = True) -> Series:
    rng = np.random.default_rng(5)
    return Series(np.arange(8), 10.0 + rng.normal(0, 0.5, 8), adds_up)


def test_the_status_of_a_sum_follows_its_forecast() -> None:
    sums = {target: progress(steady(), 0.0, target, periods_left=4).status for target in (60.0, 110.0, 119.0, 121.0, 150.0)}
    assert sums[60.0] == "reached"
    assert sums[110.0] == "on_track"
    assert sums[150.0] == "off_track"
    found = progress(steady(), 0.0, 150.0, periods_left=4)
    assert found.forecast is not None
    assert progress(steady(), 0.0, found.forecast.value - 0.1, periods_left=4).status == "likely"
    assert progress(steady(), 0.0, found.forecast.value + 0.1, periods_left=4).status == "at_risk"
    assert found.progress == pytest.approx(found.current / 150.0)  # type: ignore[operator]


def test_less_is_better_where_the_target_lies_below_the_baseline() -> None:
    rates = Series(np.arange(6), [0.050, 0.048, 0.045, 0.043, 0.040, 0.038], adds_up=False)
    found = progress(rates, 0.05, 0.03, periods_left=6)
    assert found.status == "on_track"
    assert found.progress == pytest.approx(0.6)
    assert progress(rates, 0.05, 0.039, periods_left=6).status == "reached"
    assert progress(rates, 0.05, 0.001, periods_left=2).status == "off_track"


def test_a_cost_below_its_limit_is_not_reached_before_the_deadline() -> None:
    assert progress(steady(), 200.0, 130.0, periods_left=4).status == "on_track"
    assert progress(steady(), 200.0, 100.0, periods_left=4).status == "off_track"
    assert progress(steady(), 200.0, 100.0, periods_left=0).status == "reached"


def test_after_the_deadline_it_is_reached_or_missed() -> None:
    assert progress(steady(), 0.0, 60.0, periods_left=-1).status == "reached"
    assert progress(steady(), 0.0, 600.0, periods_left=0).status == "missed"


def test_what_nothing_measures_and_what_is_too_young_is_said() -> None:
    assert progress(None, 0.0, 1.0, 3).status == "unmeasured"
    assert progress(Series([0, 1], [1.0, 2.0], True), 0.0, 10.0, 3).status == "unknown"
    assert progress(Series([0, 1], [np.nan, np.nan], True), 0.0, 10.0, 3).status == "unknown"
    assert {"reached", "missed", "unmeasured", "unknown"} < set(STATUS)


def test_periods_without_a_figure_are_left_out() -> None:
    with_gap = Series([0, 1, 2, 3, 4], [1.0, np.nan, 3.0, 4.0, 5.0], adds_up=False)
    found = progress(with_gap, 0.0, 6.9, periods_left=2)
    assert found.forecast is not None
    assert found.forecast.value == pytest.approx(7.0)


def test_goals_and_figures_that_miss_each_other_are_named() -> None:
    found = gaps({"grow": "revenue", "love": "brand_love"}, ["revenue", "clicks"])
    assert (dict(found.unmeasured), list(found.unneeded)) == ({"love": "brand_love"}, ["clicks"])


def test_a_period_that_is_not_over_is_not_counted() -> None:
    begin, left = whole_periods(0.0, 29.9, 60.0, 10.0)
    assert (begin.tolist(), left) == ([0.0, 10.0], 4)
