"""Uplift against known truth: the average, its error, the differences between contacts, and none where there are none."""

from __future__ import annotations

import numpy as np
import pytest

from estimators.arrays import FloatArray
from estimators.stacking import fit_stack
from estimators.uplift import MEMBERS, DoublyRobustUplift
from tests.estimators.worlds import Trial, trial

FAST = {"cv": 2}


def fitted(world: Trial, **settings: int) -> DoublyRobustUplift:
    model = DoublyRobustUplift(**{**FAST, **settings})
    return model.fit(world.x, world.x, world.y, world.w, assignment_weight=world.weight)


def test_the_average_effect_is_within_its_error_of_the_truth() -> None:
    misses = []
    for seed in range(8):
        world = trial(2_500, seed=seed, spread=0.5)
        model = fitted(world)
        misses.append((model.average_effect_ - world.uplift.mean()) / model.average_effect_se_)
    assert np.abs(misses).max() < 3.5
    assert 0.4 < np.sqrt(np.mean(np.square(misses))) < 1.7


def test_a_policy_that_contacts_those_who_buy_anyway_does_not_deceive() -> None:
    world = trial(12_000, seed=1, effect=0.0, confounded=True)
    naive = world.y[world.w == 1].mean() - world.y[world.w == 0].mean()
    model = fitted(world)
    assert naive > 0.05
    assert abs(model.average_effect_) < 3 * model.average_effect_se_
    assert model.average_effect_se_ < 0.02


def test_contacts_that_differ_are_told_apart() -> None:
    world, fresh = trial(10_000, seed=2, spread=0.8), trial(10_000, seed=3, spread=0.8)
    model = fitted(world)
    tau = model.predict(fresh.x, fresh.x)
    constant = np.full(len(tau), model.average_effect_)
    assert np.corrcoef(tau, fresh.uplift)[0, 1] > 0.9
    assert np.mean((tau - fresh.uplift) ** 2) < 0.3 * np.mean((constant - fresh.uplift) ** 2)
    assert model.evidence_ > 4


@pytest.mark.parametrize("seed", range(3))
def test_contacts_that_do_not_differ_get_practically_the_average(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(4_000, 10)), (rng.random(4_000) < 0.5).astype(float)
    y = (rng.random(4_000) < np.where(w == 1, 0.15, 0.10)).astype(float)
    model = DoublyRobustUplift(**FAST).fit(x, x, y, w)
    assert model.predict(x, x).std() < 2 * model.average_effect_se_
    assert model.predict(x, x).mean() == pytest.approx(model.average_effect_, abs=0.5 * model.average_effect_se_)
    assert model.average_effect_ == pytest.approx(0.05, abs=3.5 * model.average_effect_se_)


def test_an_effect_that_bends_needs_the_trees() -> None:
    rng = np.random.default_rng(4)
    x, w = rng.normal(size=(12_000, 5)), (rng.random(12_000) < 0.5).astype(float)
    tau = np.where(np.abs(x[:, 0]) > 1, 0.25, -0.05)
    y = (rng.random(12_000) < 0.2 + w * tau).astype(float)
    model = DoublyRobustUplift(**FAST).fit(x, x, y, w)
    assert model.stack_weights_["trees"] > 0.3
    assert np.corrcoef(model.predict(x, x), tau)[0, 1] > 0.9


def test_the_weights_of_the_stack_are_a_share_each() -> None:
    weights = fitted(trial(3_000, seed=5, spread=0.5)).stack_weights_
    assert set(weights) == {"constant", *MEMBERS}
    assert min(weights.values()) >= 0
    assert sum(weights.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(("responses", "contacted"), [(0, 0), (3, 0), (0, 3)])
def test_a_handful_of_responses_gives_the_average_with_an_honest_error(responses: int, contacted: int) -> None:
    rng = np.random.default_rng(6)
    x, w = rng.normal(size=(400, 3)), np.repeat([0.0, 1.0], 200)
    y = np.zeros(400)
    y[:responses] = 1.0
    y[200 : 200 + contacted] = 1.0
    model = DoublyRobustUplift().fit(x, x, y, w)
    assert model.stack_weights_["constant"] == 1.0
    assert model.average_effect_ == pytest.approx((contacted - responses) / 201, abs=1e-9)
    assert abs(model.predict(x, x)[0]) <= abs(model.average_effect_)
    assert 0.002 < model.average_effect_se_ < 0.02
    assert np.ptp(model.predict(x, x)) == 0.0


def test_an_effect_out_of_fold_has_not_seen_its_row() -> None:
    rng = np.random.default_rng(7)
    x, w = rng.normal(size=(1_500, 30)), (rng.random(1_500) < 0.5).astype(float)
    y = (rng.random(1_500) < 0.3).astype(float)
    model = DoublyRobustUplift(**FAST).fit(x, x, y, w)
    assert abs(np.corrcoef(model.oof_tau_ + 1e-9 * x[:, 0], model.pseudo_outcomes_)[0, 1]) < 0.1


def test_the_weights_balance_the_arms_and_no_row_carries_all() -> None:
    world = trial(3_000, seed=8, confounded=True)
    weight = world.weight.copy()
    weight[0] = 1e9
    model = DoublyRobustUplift(**FAST).fit(world.x, world.x, world.y, world.w, assignment_weight=weight)
    for arm in (0, 1):
        assert model.weights_[world.w == arm].sum() == pytest.approx(1_500)
    assert model.weights_.max() < 0.03 * 1_500


def test_the_same_seed_gives_the_same_uplift() -> None:
    world = trial(1_500, seed=9, spread=0.5)
    first, second = (fitted(world, random_state=3).predict(world.x, world.x) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("effect", [0.0, 0.15, 0.4])
def test_an_interval_holds_a_contacts_own_uplift_nineteen_times_in_twenty(effect: float) -> None:
    held = []
    for seed in range(6):
        world, fresh = trial(4_000, seed=seed, effect=effect, spread=effect), trial(2_000, seed=100 + seed, effect=effect, spread=effect)
        model = fitted(world)
        distance = np.abs(model.predict(fresh.x, fresh.x) - fresh.uplift)
        held.append(np.mean(distance <= 1.96 * model.standard_errors(fresh.x, fresh.x)))
    assert np.mean(held) > 0.9


def test_without_evidence_a_contact_changes_nothing() -> None:
    rng = np.random.default_rng(21)
    kept = []
    for _ in range(10):
        x, w = rng.normal(size=(1_000, 3)), (rng.random(1_000) < 0.5).astype(float)
        model = DoublyRobustUplift(**FAST).fit(x, x, (rng.random(1_000) < 0.2).astype(float), w)
        t = abs(model.average_effect_) / model.average_effect_se_
        kept.append(abs(model.head_.average_effect / model.average_effect_))
        assert kept[-1] == pytest.approx(max(0.0, 1.0 - 1.0 / t**2), abs=1e-6)
    assert np.mean(np.array(kept) < 0.2) > 0.5


ONES = np.ones(4)


@pytest.mark.parametrize(
    ("y", "w", "weight", "message"),
    [
        (ONES, ONES, None, "got none of no_action. Hint: without a control arm only propensity can be learned"),
        (ONES, 0 * ONES, None, "got none of the action"),
        (2 * ONES, ONES, None, "y must be 0 or 1"),
        (ONES[:3], ONES, None, "one label a row"),
        (ONES, np.array([0, 1, 0, 1.0]), 0 * ONES, "must be positive and finite"),
        (ONES, np.array([0, 1, 0, 1.0]), ONES[:2], "one weight a row"),
    ],
)
def test_what_cannot_identify_an_uplift_is_refused(y: FloatArray, w: FloatArray, weight: FloatArray | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DoublyRobustUplift().fit(np.zeros((4, 1)), np.zeros((4, 1)), y, w, assignment_weight=weight)


def test_the_stack_prefers_the_member_that_is_right() -> None:
    rng = np.random.default_rng(10)
    truth, noise = rng.normal(0.0, 0.1, 20_000), rng.normal(0.0, 0.1, 20_000)
    psi = 0.05 + truth + rng.normal(0.0, 1.0, 20_000)
    for members, right in ((np.column_stack([noise, truth]), 1), (np.column_stack([truth, noise]), 0)):
        stack = fit_stack(psi, members, np.ones(20_000))
        assert stack.average == pytest.approx(0.05, abs=3 * stack.standard_error)
        assert stack.weights[1 - right] < 0.15
        assert stack.weights[right] > 0.7


def test_without_evidence_against_it_the_first_member_is_believed() -> None:
    rng = np.random.default_rng(11)
    first, second = rng.normal(0.0, 0.01, (2, 2_000))
    stack = fit_stack(0.1 + first + rng.normal(0.0, 1.0, 2_000), np.column_stack([first, second]), np.ones(2_000))
    assert stack.weights.tolist() == [1.0, 0.0]


def test_a_first_member_that_is_surely_wrong_gives_way_to_the_constant() -> None:
    rng = np.random.default_rng(12)
    wrong = rng.normal(0.0, 0.3, 5_000)
    stack = fit_stack(0.1 - wrong + rng.normal(0.0, 0.5, 5_000), wrong[:, None], np.ones(5_000))
    assert stack.weights[0] < 0.01


def test_weights_add_up_to_at_most_one_however_large_the_effects() -> None:
    rng = np.random.default_rng(12)
    small = rng.normal(0.0, 0.01, (5_000, 3))
    stack = fit_stack(100 * small.sum(axis=1), small, np.ones(5_000))
    assert stack.weights.sum() == pytest.approx(1.0, abs=1e-3)
