"""Uplift on more rows than it takes to choose: the same answers as from all of them, from less work."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from estimators import action_uplifts, pair_learners, trees
from estimators.action_uplifts import Chosen, UpliftSettings, fit_action_uplifts
from estimators.arrays import AnyFloats, FloatArray
from estimators.effect_levels import Place
from estimators.effect_rows import NOTHING, LoggedActions
from estimators.effects import fit_effects, fit_effects_in_blocks
from estimators.encoding import Encoded
from estimators.nuisance import Arm, with_trees
from estimators.pair_learners import Pair
from estimators.trees import REGULARISED, BinnedRows, TreeSettings, effect_settings
from estimators.uplift import DoublyRobustUplift
from tests.estimators.worlds import Trial, trial

FAST = {"cv": 2}


def fitted(world: Trial, **settings: int) -> DoublyRobustUplift:
    return DoublyRobustUplift(**{**FAST, **settings}).fit(world.x, world.x, world.y, world.w, assignment_weight=world.weight)


def two_actions(world: Trial) -> LoggedActions:
    """The same contacts, with half of the contacted ones under another name, on two channels."""
    rng = np.random.default_rng(0)
    action = np.where(world.w == 1, rng.integers(0, 2, len(world.y)), NOTHING)
    return LoggedActions(
        places=(Place("loan"), Place("card")),
        channels=("call", "mail"),
        goal_of=np.zeros(2, dtype=np.int64),
        action=action,
        channel=np.where(action == NOTHING, NOTHING, rng.integers(0, 2, len(action))),
        labels=world.y[:, None],
        open=np.ones((len(action), 2), dtype=np.bool_),
        weight=np.ones(len(action)),
    )


def test_the_average_of_many_rows_is_unbiased_and_as_sure_as_that_of_all_at_once() -> None:
    misses = []
    for seed in range(8):
        world = trial(2_500, seed=seed, spread=0.5)
        few, many = fitted(world), fitted(world, most_rows=600)
        misses.append((many.average_effect_ - world.uplift.mean()) / many.average_effect_se_)
        assert many.average_effect_ == pytest.approx(few.average_effect_, abs=0.3 * few.average_effect_se_)
        assert many.average_effect_se_ == pytest.approx(few.average_effect_se_, rel=0.03)
    assert abs(np.mean(misses)) < 3.0 / np.sqrt(8)
    assert 0.4 < np.sqrt(np.mean(np.square(misses))) < 1.7


def test_many_rows_do_not_fall_for_a_policy_that_contacts_those_who_buy_anyway() -> None:
    world = trial(12_000, seed=1, effect=0.0, confounded=True)
    model = fitted(world, most_rows=3_000)
    assert world.y[world.w == 1].mean() - world.y[world.w == 0].mean() > 0.05
    assert abs(model.average_effect_) < 3 * model.average_effect_se_


def test_contacts_are_told_apart_as_well_as_by_all_rows_at_once() -> None:
    world, fresh = trial(12_000, seed=2, spread=0.8), trial(10_000, seed=3, spread=0.8)
    few, many = (np.corrcoef(fitted(world, most_rows=most).predict(fresh.x, fresh.x), fresh.uplift)[0, 1] for most in (10**6, 3_000))
    assert many > 0.93
    assert many > few - 0.02


def test_an_uplift_out_of_sample_has_not_seen_its_row() -> None:
    rng = np.random.default_rng(7)
    x, w = rng.normal(size=(4_000, 30)), (rng.random(4_000) < 0.5).astype(float)
    y = (rng.random(4_000) < 0.3).astype(float)
    model = DoublyRobustUplift(**FAST, most_rows=1_000).fit(x, x, y, w)
    held = np.isfinite(model.oof_tau_)
    assert 0.3 < held.mean() < 0.7
    assert abs(np.corrcoef(model.oof_tau_[held] + 1e-9 * x[held, 0], model.pseudo_outcomes_[held])[0, 1]) < 0.1


def test_columns_standardised_where_they_are_read_give_the_uplift_of_columns_standardised_before() -> None:
    world, fresh = trial(6_000, seed=4, spread=0.5), trial(2_000, seed=5)
    skewed, others = (np.column_stack([x[:, :5], np.exp(2 * x[:, 5])]) for x in (world.x, fresh.x))
    model = DoublyRobustUplift(**FAST).fit(skewed, None, world.y, world.w)
    assert model.numbers_ is not None
    before = model.numbers_.transform(skewed)
    assert np.abs(before).max() <= 4.0
    again = DoublyRobustUplift(**FAST).fit(skewed, before, world.y, world.w)
    np.testing.assert_allclose(model.predict(others), again.predict(others, model.numbers_.transform(others)), rtol=1e-12)
    with pytest.raises(ValueError, match="Hint: fit with X_linear=None"):
        again.predict(others)


@pytest.mark.parametrize("most_rows", [2_000, 500])
def test_effects_read_in_blocks_are_those_of_all_rows_at_once(most_rows: int) -> None:
    world = trial(12_000, seed=6, spread=0.5)
    logged, folds = two_actions(world), np.random.default_rng(1).integers(0, 3, 12_000)
    whole = fit_effects(world.x, logged, folds)
    blocks = fit_effects_in_blocks(Encoded(world.x, world.x), logged, folds, most_rows=most_rows)
    for action in range(2):
        both = np.hstack([np.eye(len(whole.projection)), whole.projection])
        errors = np.sqrt(np.diag(both @ whole.joint_covariance(action, {0: 1.0}) @ both.T))
        assert np.abs((whole.exposed(action, 0) - blocks.exposed(action, 0)) / errors).max() < 0.7
        for seen, read in zip(whole.without_fold, blocks.without_fold, strict=True):
            assert np.abs((whole.exposed(action, 0, seen) - blocks.exposed(action, 0, read)) / errors).max() < 0.8
        assert np.mean(np.sqrt(np.diag(both @ blocks.joint_covariance(action, {0: 1.0}) @ both.T)) / errors) == pytest.approx(1.0, abs=0.3)


def test_intervals_hold_with_many_rows_too() -> None:
    held = []
    for seed in range(4):
        world, fresh = trial(6_000, seed=seed, effect=0.15, spread=0.15), trial(2_000, seed=100 + seed, effect=0.15, spread=0.15)
        model = fitted(world, most_rows=1_500)
        held.append(np.mean(np.abs(model.predict(fresh.x, fresh.x) - fresh.uplift) <= 1.96 * model.standard_errors(fresh.x, fresh.x)))
    assert np.mean(held) > 0.9


def test_many_actions_at_once_are_compared_on_the_judged_rows_alone() -> None:
    world = trial(9_000, seed=8, spread=0.5)
    logged, folds = two_actions(world), np.arange(9_000) % 2
    judged = np.random.default_rng(2).random(9_000) < 0.3
    found = fit_action_uplifts(Encoded(world.x, world.x), logged, world.weight, folds, UpliftSettings(most_rows=3_000), judged)
    for one in found.by_action.values():
        assert np.isfinite(one.tau[judged]).all() and np.isfinite(one.exposed_mean[judged]).all()
        assert one.stack.average == pytest.approx(world.uplift.mean(), abs=3.5 * one.stack.standard_error)
        assert np.corrcoef(one.tau[judged], world.uplift[judged])[0, 1] > 0.8


def test_of_an_arm_with_many_rows_the_effect_model_alone_says_what_would_happen(monkeypatch: pytest.MonkeyPatch) -> None:
    world = trial(3_000, seed=8, spread=0.5)
    logged, folds, asked = two_actions(world), np.arange(3_000) % 2, []

    def noted(binned: BinnedRows, settings: TreeSettings, arm: Arm, *rest: Any) -> AnyFloats:
        asked.append(len(arm.rows))
        return with_trees(binned, settings, arm, *rest)

    monkeypatch.setattr(action_uplifts, "with_trees", noted)
    monkeypatch.setattr(action_uplifts, "ENOUGH_OF_AN_ARM", 1_000)
    found = fit_action_uplifts(Encoded(world.x, world.x), logged, world.weight, folds, UpliftSettings())
    assert sorted(asked) == sorted(int(logged.contacted(k).sum()) for k in range(2))
    assert logged.controls(0).sum() > 1_000 > max(asked)
    for one in found.by_action.values():
        assert one.stack.average == pytest.approx(world.uplift.mean(), abs=3.5 * one.stack.standard_error)


def test_a_member_is_centred_on_some_of_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    world = trial(6_000, seed=8, spread=0.5)
    rows = Encoded(world.x, world.x)
    binned = BinnedRows(world.x, categorical=(), n_jobs=1, random_state=0)
    pair = Pair(np.arange(6_000), world.uplift, np.ones(6_000), rows, binned, REGULARISED)
    score, mean = pair.fitted("ridge")
    monkeypatch.setattr(pair_learners, "MOST_CENTRED", 2_000)
    again, of_some = pair.fitted("ridge")
    np.testing.assert_array_equal(again.of(rows), score.of(rows))
    assert of_some == pytest.approx(float(score.of(rows)[::3].mean()))
    assert of_some == pytest.approx(mean, abs=0.02)


def signal() -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(9)
    x = rng.normal(size=(3_000, 4))
    return x, x[:, 0] + 0.1 * rng.normal(size=3_000)


def test_nearly_all_rows_are_learned_from_without_a_copy_and_the_others_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = signal()
    rows = np.setdiff1d(np.arange(3_000), np.arange(0, 3_000, 10))
    binned = BinnedRows(x, categorical=(), n_jobs=1, random_state=0)
    settings = effect_settings(REGULARISED, len(rows))
    copied = binned.predict(binned.fit(settings, "regression", rows, y), np.arange(3_000))
    monkeypatch.setattr(trees, "MANY_EFFECTS", 1_000)
    spoilt = np.where(np.isin(np.arange(3_000), rows), y, 1e6)
    shared = binned.predict(binned.fit(settings, "regression", rows, spoilt), np.arange(3_000))
    assert np.corrcoef(copied, shared)[0, 1] > 0.999
    assert shared.mean() == pytest.approx(copied.mean(), abs=0.02)
    monkeypatch.undo()
    np.testing.assert_array_equal(binned.predict(binned.fit(settings, "regression", rows, y), np.arange(3_000)), copied)


def test_read_a_row_at_a_time_many_rows_grow_the_same_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = signal()
    x[:, 1] = np.floor(np.abs(x[:, 1]) * 3.0)
    binned, some = BinnedRows(x, categorical=(), n_jobs=1, random_state=0), np.arange(2_000)
    settings = replace(REGULARISED, feature_fraction=1.0, min_child_samples=20)
    by_column = binned.fit(settings, "regression", some, y).model_to_string()
    monkeypatch.setattr(trees, "MANY_EFFECTS", 1_000)
    by_row = binned.fit(settings, "regression", some, y).model_to_string()
    assert "[force_row_wise: 1]" in by_row
    assert "[force_row_wise: 1]" not in by_column
    assert by_row.split("parameters:")[0] == by_column.split("parameters:")[0]


def test_with_many_rows_fewer_trees_take_larger_steps() -> None:
    settings = effect_settings(REGULARISED, 10**6)
    assert settings.n_estimators * settings.learning_rate == pytest.approx(REGULARISED.n_estimators * REGULARISED.learning_rate, rel=0.1)
    assert settings.n_estimators < REGULARISED.n_estimators / 2


def test_a_search_that_starts_at_the_optimum_of_other_rows_ends_at_the_optimum_of_these() -> None:
    world = trial(9_000, seed=10, spread=0.5)
    logged = two_actions(world)
    some = np.arange(0, 9_000, 2)
    cold = fit_effects(world.x, logged)
    warm = fit_effects(world.x, logged, start=fit_effects(world.x[some], logged.take(some)))
    both = np.hstack([np.eye(len(cold.projection)), cold.projection])
    errors = np.sqrt(np.diag(both @ cold.joint_covariance(0, {0: 1.0}) @ both.T))
    assert np.abs((cold.exposed(0, 0) - warm.exposed(0, 0)) / errors).max() < 0.7
    np.testing.assert_allclose(
        both @ warm.joint_covariance(0, {0: 1.0}) @ both.T, both @ cold.joint_covariance(0, {0: 1.0}) @ both.T, atol=2e-3
    )


def test_a_start_of_other_columns_is_not_used() -> None:
    world = trial(3_000, seed=11, spread=0.5)
    logged = two_actions(world)
    other = fit_effects(world.x[:, :3], logged)
    np.testing.assert_array_equal(fit_effects(world.x, logged, start=other).at.theta, fit_effects(world.x, logged).at.theta)


def test_what_other_rows_have_chosen_is_not_chosen_again() -> None:
    world = trial(8_000, seed=12, spread=0.5)
    logged, folds, rows = two_actions(world), np.arange(8_000) % 2, Encoded(world.x, world.x)
    chosen = {"loan": Chosen(np.array([0.5, 0.25, 0.0]), 3.0, 0.1)}
    found = fit_action_uplifts(rows, logged, world.weight, folds, UpliftSettings(chosen=chosen), np.zeros(8_000, dtype=np.bool_))
    loan, card = found.by_action[0], found.by_action[1]
    assert [(member.name, member.weight) for member in loan.head.members] == [("effects", 0.5), ("ridge", 0.25)]
    assert loan.head.differences == 0.1
    assert loan.tau.shape == (0,) and np.isfinite(card.tau[card.pair]).all()
    for one in (loan, card):
        assert one.stack.average == pytest.approx(world.uplift.mean(), abs=3.5 * one.stack.standard_error)
        assert np.corrcoef(one.head.effect(rows), world.uplift)[0, 1] > 0.8
