"""The truth: its formula, its limits, and what it says about ranking by response."""

from __future__ import annotations

import numpy as np

from simulation.actions import ACTIONS, CHANNELS
from simulation.behaviour import ANNUAL_DISCOUNT_RATE, draw_behaviour, draw_events, true_clv
from simulation.effects import SIGNALS, bounded, draw_weights
from simulation.population import draw_population
from simulation.world import World


def test_profit_is_uplift_times_value_less_what_an_opt_out_destroys_less_cost(world: World) -> None:
    truth, contact, k = world.truth, 17, 4
    a, c = truth.action_of[k], truth.channel_of[k]
    expected = truth.uplift[contact, k] * truth.value[contact, a] - truth.opt_out[contact, c] * truth.clv[contact] - truth.cost[k]
    assert np.isclose(truth.profit[contact, k], expected)
    assert np.isclose(truth.propensity[contact, k] - truth.baseline[contact, a], truth.uplift[contact, k])


def test_the_truth_is_finite_and_its_probabilities_are_probabilities(world: World) -> None:
    truth = world.truth
    for name in ("baseline", "propensity", "opt_out"):
        values = getattr(truth, name)
        assert np.isfinite(values).all(), name
        assert (values >= -1e-12).all() and (values <= 1).all(), name
    assert np.isfinite(truth.profit).all()
    assert (truth.clv >= 0).all() and 200 < truth.clv.mean() < 1_500


def test_there_are_persuadables_sleeping_dogs_and_sure_things(world: World) -> None:
    truth = world.truth
    for k, name in enumerate(truth.treatment_ids):
        uplift = truth.uplift[truth.available[:, k], k]
        assert (uplift > 0.01).mean() > 0.02, name
        assert (uplift < 0).mean() > 0.1, name
    salary = truth.action_ids.tolist().index("salary_keeper")
    kept = truth.available[:, truth.action_of == salary].any(axis=1)
    assert truth.baseline[kept, salary].mean() > 0.5
    assert truth.uplift[kept][:, truth.action_of == salary].mean() < 0


def test_ranking_by_response_earns_less_than_half_of_ranking_by_profit(world: World) -> None:
    truth = world.truth
    rows = np.arange(len(truth.contact_ids))
    by_response = np.where(truth.available, truth.propensity, -np.inf).argmax(axis=1)
    by_profit = np.where(truth.available, truth.profit, -np.inf).argmax(axis=1)
    best = np.maximum(truth.profit[rows, by_profit], 0)
    assert truth.profit[rows, by_response].sum() < 0.5 * best.sum()


def test_fatigue_lowers_uplift_and_raises_the_risk_of_an_opt_out() -> None:
    weights = draw_weights(np.random.default_rng(3))
    fresh, tired = np.zeros((1, len(SIGNALS))), np.zeros((1, len(SIGNALS)))
    tired[0, SIGNALS.index("tired")] = 4.0
    for place in range(len(ACTIONS)):
        assert weights.uplift(tired, place, 2) < weights.uplift(fresh, place, 2)
    assert (weights.opt_out_risk(tired) > weights.opt_out_risk(fresh)).all()
    assert weights.opt_out_risk(fresh).shape == (1, len(CHANNELS))


def test_an_uplift_never_leaves_the_unit_interval() -> None:
    rng = np.random.default_rng(1)
    baseline, uplift = rng.random(1_000), rng.normal(size=1_000)
    propensity = baseline + bounded(uplift, baseline)
    assert propensity.min() >= 0 and propensity.max() <= 1


def test_clv_is_the_mean_of_many_simulated_years() -> None:
    """Replay the year after the period from the same behaviour, and discount what is paid."""
    rng = np.random.default_rng(8)
    start = np.datetime64("2025-11-22T00:00:00", "us")
    people = draw_population(rng, contacts=4_000, days=1)
    people.joined[:] = -1.0
    behaviour = draw_behaviour(rng, people)
    expected = true_clv(people, behaviour, alive=np.ones(people.size), start=start, days=0)
    total, years = np.zeros(people.size), 4
    for _ in range(years):
        people.leaves[:] = rng.exponential(1 / people.churn_per_day)
        events = draw_events(rng, people, behaviour, start=start, days=365)
        paid = ~np.isnan(events.value)
        money = events.value[paid] * (1 + ANNUAL_DISCOUNT_RATE) ** (-events.at[paid] / 365)
        total += np.bincount(events.contact[paid], weights=money, minlength=people.size) / years
    error = (total - expected).std() / np.sqrt(people.size)
    assert abs(total.mean() - expected.mean()) < 4 * error
    assert np.corrcoef(total, expected)[0, 1] > 0.95


def test_what_cannot_be_offered_is_not_available(world: World) -> None:
    truth = world.truth
    last = {row["contact_id"]: row for row in world.tables["contacts"].to_pylist()}
    card = [k for k, name in enumerate(truth.treatment_ids) if name.startswith("credit_card_")]
    holds = np.array([last[name]["has_credit_card"] for name in truth.contact_ids])
    assert not truth.available[holds][:, card].any()
    assert truth.available[~holds][:, card].any()
    app = truth.channel_of == truth.channel_ids.tolist().index("app")
    granted = {row["contact_id"] for row in world.tables["consents"].to_pylist() if row["purpose"] == "app_marketing"}
    never_asked = np.array([name not in granted for name in truth.contact_ids])
    assert not truth.available[never_asked][:, app].any()
