"""Where there is time, what holds later counts; where there is none to tell, nothing changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from estimators.arrays import FloatArray
from estimators.calibration import PlattCalibrator, log_losses
from estimators.folds import forward_folds, shuffled_folds
from estimators.lasting import calibrator_in_time, lasting_member, lasting_weights, recent_shift, t_over_parts
from estimators.propensity import ResponseModel
from estimators.response_members import LabelledRows
from estimators.trees import RESPONSE, BinnedRows

RNG = np.random.default_rng(0)


def drawn(p: FloatArray, seed: int = 0) -> FloatArray:
    return (np.random.default_rng(seed).random(len(p)) < p).astype(float)


def parts_of(truth: FloatArray, parts: int = 4) -> list[tuple[FloatArray, FloatArray]]:
    return [(drawn(truth, seed), np.ones(len(truth))) for seed in range(parts)]


TRUTH = expit(np.random.default_rng(1).normal(-1.5, 1.0, 3_000))
NOISE = expit(np.random.default_rng(2).normal(-1.5, 1.0, 3_000))
MEAN = np.full(3_000, TRUTH.mean())


def test_weights_go_to_the_member_that_holds_later_whatever_shuffled_folds_say() -> None:
    found = lasting_weights(parts_of(TRUTH), [np.stack([MEAN, TRUTH, NOISE])] * 4, (0.0, 0.0, 1.0))

    assert found[1] > 0.9
    assert sum(found) == pytest.approx(1.0)


def test_weights_stay_where_forward_folds_cannot_tell() -> None:
    alike = [np.stack([MEAN, TRUTH, TRUTH])] * 4

    assert lasting_weights(parts_of(TRUTH), alike, (0.0, 0.25, 0.75)) == (0.0, 0.25, 0.75)


def test_a_member_is_chosen_by_its_order_and_not_by_its_level() -> None:
    far_off = expit(logit(TRUTH) + 2.0)

    assert lasting_member(parts_of(TRUTH), [[MEAN] * 4, [far_off] * 4, [NOISE] * 4]) == 1


def test_a_cautious_candidate_gives_way_only_to_a_sure_gain() -> None:
    nearly = expit(0.98 * logit(TRUTH))

    assert lasting_member(parts_of(TRUTH), [[TRUTH] * 4, [MEAN] * 4], cautious=(1,)) == 0
    assert lasting_member(parts_of(TRUTH), [[TRUTH] * 4, [nearly] * 4], cautious=(1,)) == 1
    assert lasting_member(parts_of(TRUTH), [[nearly] * 4, [TRUTH] * 4], cautious=(0,)) == 0


def test_rows_of_one_time_err_together() -> None:
    lucky = [np.full(500, 1.0) + RNG.normal(size=500), np.full(500, -0.8) + RNG.normal(size=500)]

    assert t_over_parts(lucky) < 0.2
    assert t_over_parts([np.full(500, 1.0) + RNG.normal(size=500)] * 2) > 10.0


def test_a_column_that_drifts_is_trusted_by_half() -> None:
    x = np.random.default_rng(8).normal(size=(4_000, 2))
    y = drawn(expit(-1.0 + x @ np.array([0.8, 0.8])))
    binned = BinnedRows(x, categorical=(), n_jobs=1, random_state=0)
    rows = LabelledRows(binned, RESPONSE, x, y, np.ones(4_000), drifting=(1,))

    plain, hedged = (rows.line(choice, np.arange(4_000)) for choice in (1, 3))

    assert (rows.hedged, len(rows.options)) == ([2, 3], 4)
    assert hedged.coef[1] == pytest.approx(plain.coef[1] / 2.0)
    assert hedged.coef[0] == pytest.approx(plain.coef[0], rel=0.1)


def test_later_rows_that_surely_say_so_restore_full_trust() -> None:
    x, time = np.random.default_rng(9).normal(size=(6_000, 2)), np.arange(6_000.0)
    y = drawn(expit(-1.0 + x @ np.array([1.2, 0.0])))

    plain, cautious = (ResponseModel(drifting=drifting).fit(x, y, X_linear=x, time=time).head_.linear for drifting in ((), (0,)))

    assert plain is not None
    assert cautious is not None
    assert cautious.coef[0] == pytest.approx(plain.coef[0])


def test_a_level_that_moved_each_time_is_expected_to_move_again() -> None:
    predicted = [expit(logit(TRUTH) - 0.8)] * 4

    assert recent_shift(parts_of(TRUTH), predicted) == pytest.approx(0.8, abs=0.1)


def test_a_level_that_swings_is_not_followed() -> None:
    predicted = [expit(logit(TRUTH) + swing) for swing in (0.8, -0.8, 0.8, -0.8)]

    assert recent_shift(parts_of(TRUTH), predicted) == 0.0


def test_right_forward_predictions_are_hardly_shifted() -> None:
    shifts = [recent_shift([(drawn(TRUTH, 10 * k + j), np.ones(3_000)) for j in range(4)], [TRUTH] * 4) for k in range(10)]

    assert np.abs(shifts).max() < 0.08


def test_a_calibrator_has_to_prove_itself_in_the_next_part() -> None:
    overconfident = [expit(2.0 * logit(TRUTH) + level) for level in (0.0, 1.0, -1.0, 0.0)]

    found = calibrator_in_time(parts_of(TRUTH), overconfident)

    assert isinstance(found, PlattCalibrator)
    assert found.slope == pytest.approx(0.5, abs=0.05)
    assert calibrator_in_time(parts_of(TRUTH), [TRUTH] * 4) is None


def test_forward_folds_know_only_labels_whose_window_had_closed() -> None:
    time, y = np.repeat(np.arange(100.0), 10), np.tile([0.0, 1.0], 500)

    folds = forward_folds(time, y, cv=3, share=0.1, gap=20.0)

    assert len(folds) == 3
    assert all(time[past].max() + 20.0 < time[test].min() for past, test in folds)
    assert [len(test) for _, test in folds] == [100, 100, 100]
    assert np.concatenate([test for _, test in folds]).tolist() == list(range(700, 1000))


@pytest.mark.parametrize("time", [np.zeros(400), np.repeat([0.0, 1.0], 200), np.arange(400.0)])
def test_without_enough_times_or_responses_there_are_no_forward_folds(time: FloatArray) -> None:
    y = np.zeros(400)
    y[:20] = 1.0

    assert forward_folds(time, y, cv=4, share=0.1) == []


@given(seed=st.integers(0, 999), n=st.integers(10, 200), contacts=st.integers(1, 60), cv=st.integers(2, 6))
def test_shuffled_folds_hold_each_row_out_once(seed: int, n: int, contacts: int, cv: int) -> None:
    rng = np.random.default_rng(seed)
    who, y = rng.integers(0, contacts, n), (rng.random(n) < 0.3).astype(float)

    folds = shuffled_folds(y, cv=cv, random_state=seed, groups=who)

    assert sorted(np.concatenate([test for _, test in folds]).tolist()) == list(range(n))
    assert all(len(past) + len(test) == n for past, test in folds)


def test_no_contact_is_on_both_sides_of_a_fold_and_responses_are_spread() -> None:
    who, y = RNG.integers(0, 300, 1_000).astype(str), drawn(np.full(1_000, 0.1))

    folds = shuffled_folds(y, cv=4, random_state=1, groups=who)

    assert all(not set(who[past]) & set(who[test]) for past, test in folds)
    assert all(0.05 < y[test].mean() < 0.15 for _, test in folds)


def test_responses_of_one_contact_alone_do_not_leave_a_fold_without_any() -> None:
    who, y = np.repeat(np.arange(50), 20), np.zeros(1_000)
    y[:20] = 1.0

    model = ResponseModel().fit(RNG.normal(size=(1_000, 2)), y, groups=who)

    assert model.oof_probability_.mean() == pytest.approx(0.02, abs=0.01)


def turning_world(n: int, seed: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """x0 matters always in a straight line; x1's effect bends one way before, and the other way in the last sixth."""
    rng = np.random.default_rng(seed)
    x, time = rng.normal(size=(n, 6)), np.sort(rng.uniform(0.0, 100.0, n))
    turned = np.where(time < 83.0, 1.0, -1.0)
    p = expit(-1.5 + 0.7 * x[:, 0] + 1.6 * turned * (np.abs(x[:, 1]) > 1.0))
    return x, (rng.random(n) < p).astype(float), time, np.asarray(p)


def test_where_the_past_misleads_the_model_with_times_predicts_the_next_part_better() -> None:
    x, y, time, _ = turning_world(9_000, 3)
    rng = np.random.default_rng(4)
    later = rng.normal(size=(4_000, 6))
    p = expit(-1.5 + 0.7 * later[:, 0] - 1.6 * (np.abs(later[:, 1]) > 1.0))

    def loss(**given: FloatArray) -> float:
        model = ResponseModel().fit(x, y, X_linear=x, **given)
        return float(log_losses(p, model.predict_proba(later, later)[:, 1]).mean())

    assert loss(time=time) < loss() - 0.01


def test_where_nothing_drifts_times_cost_nothing() -> None:
    x = RNG.normal(size=(6_000, 6))
    p = expit(-2.0 + 0.8 * x[:, 0] + 1.5 * (np.abs(x[:, 1]) > 1.0))
    y = drawn(p, 5)

    timed, untimed = (ResponseModel().fit(x, y, X_linear=x, time=time).predict_proba(x, x)[:, 1] for time in (np.arange(6_000.0), None))

    excess = [float((log_losses(p, q) - log_losses(p, p)).mean()) for q in (timed, untimed)]
    assert excess[0] < 1.25 * excess[1] + 0.001


def test_a_level_that_rose_lately_is_served() -> None:
    rng = np.random.default_rng(6)
    x, time = rng.normal(size=(8_000, 4)), np.arange(8_000.0)
    level = -2.5 + 2.5 * np.clip((time - 5_000.0) / 3_000.0, 0.0, 1.0)
    y = (rng.random(8_000) < expit(level + 0.5 * x[:, 0])).astype(float)

    model = ResponseModel().fit(x, y, X_linear=x, time=time)
    served = model.predict_proba(x, x)[:, 1].mean()

    assert model.head_.shift > 0.2
    assert abs(served - y[-500:].mean()) < abs(y.mean() - y[-500:].mean())
