"""A month in real time at the prices of a plan: limits hold, and prices that keep pace earn nearly what hindsight would."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.real_time_month import (
    ADAPTIVE,
    DRIFTS,
    FIRST_COME,
    POLICIES,
    PUBLISHED,
    Drift,
    Forecast,
    Month,
    best_in_hindsight,
    charged,
    play,
    prices_of,
    simulate,
)

CONTACTS = 400


@pytest.fixture(scope="module", params=range(3))
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def forecast(seed: int) -> Forecast:
    return Forecast.of(CONTACTS, seed)


def month_of(drift: Drift, seed: int) -> Month:
    return simulate(drift, CONTACTS, np.random.default_rng([seed, 1]))


@pytest.mark.parametrize("drift", DRIFTS.values(), ids=DRIFTS.keys())
def test_no_policy_overspends_or_beats_hindsight_and_adaptive_prices_beat_first_come(forecast: Forecast, seed: int, drift: Drift) -> None:
    month, limits = month_of(drift, seed), forecast.limits
    hindsight = best_in_hindsight(month, limits)
    runs = {policy: play(month, limits, prices_of(policy, forecast.book)) for policy in POLICIES}
    earned = {policy: charged(run, limits, hindsight) for policy, run in runs.items()}
    for policy, run in runs.items():
        assert (run.used <= limits.most).all(), policy
        assert earned[policy] <= hindsight.bound * (1 + 1e-9), policy
    assert earned[ADAPTIVE] >= earned[FIRST_COME]
    assert earned[ADAPTIVE] >= 0.9 * hindsight.bound


def test_where_twice_as_many_come_only_adaptive_prices_have_something_left_for_the_last_fifth(forecast: Forecast, seed: int) -> None:
    month = month_of(Drift(traffic=2.0), seed)
    until = int(np.searchsorted(month.at, 0.8))
    begun = Month(month.at[:until], month.value[:until])
    money = {policy: play(begun, forecast.limits, prices_of(policy, forecast.book)).used[0] for policy in POLICIES}
    most = forecast.limits.most[0]
    assert money[ADAPTIVE] < 0.95 * most
    assert min(money[FIRST_COME], money[PUBLISHED]) > 0.99 * most


def test_where_fewer_come_adaptive_prices_spend_what_published_ones_leave(forecast: Forecast, seed: int) -> None:
    month = month_of(Drift(traffic=0.6), seed)
    used = {policy: play(month, forecast.limits, prices_of(policy, forecast.book)).used[0] for policy in POLICIES}
    assert used[ADAPTIVE] > used[PUBLISHED]


def test_a_minimum_that_is_worth_nothing_by_itself_is_reached_at_its_price(forecast: Forecast, seed: int) -> None:
    month = month_of(Drift(), seed)
    volume = {policy: play(month, forecast.limits, prices_of(policy, forecast.book)).used[-1] for policy in POLICIES}
    assert volume[ADAPTIVE] >= 0.9 * forecast.limits.least[-1] > volume[FIRST_COME]
