"""Calibration is measured, done only where it pays, and never turns an order round."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from estimators.arrays import FloatArray
from estimators.calibration import (
    IsotonicCalibrator,
    PlattCalibrator,
    calibrator_from_dict,
    choose_calibrator,
    expected_calibration_error,
    log_losses,
)


def outcomes(p: FloatArray, seed: int = 0) -> FloatArray:
    return (np.random.default_rng(seed).random(len(p)) < p).astype(float)


def probabilities(n: int, seed: int = 1) -> FloatArray:
    return np.asarray(expit(np.random.default_rng(seed).normal(-1.5, 1.0, n)))


def test_right_probabilities_have_hardly_any_calibration_error() -> None:
    p = probabilities(50_000)
    assert expected_calibration_error(outcomes(p), p) < 0.006


def test_the_calibration_error_of_a_constant_shift_is_the_shift() -> None:
    p = np.full(40_000, 0.2)
    assert expected_calibration_error(outcomes(p), p + 0.1) == pytest.approx(0.1, abs=0.01)


def test_the_calibration_error_of_no_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="one length above 0"):
        expected_calibration_error(np.array([]), np.array([]))


def test_right_probabilities_are_left_alone() -> None:
    p = probabilities(5_000)
    assert choose_calibrator(outcomes(p), p) is None


def test_overconfident_probabilities_are_calibrated() -> None:
    truth = probabilities(20_000)
    y, stated = outcomes(truth), expit(2.0 * logit(truth) + 1.0)
    calibrator = choose_calibrator(y, stated)
    assert calibrator is not None
    fresh = probabilities(20_000, seed=2)
    repaired = calibrator.apply(expit(2.0 * logit(fresh) + 1.0))
    assert np.abs(repaired - fresh).mean() < 0.01


def test_platt_finds_the_true_curve() -> None:
    truth = probabilities(50_000)
    calibrator = PlattCalibrator.fit(outcomes(truth), expit(2.0 * logit(truth) + 1.0))
    assert calibrator.slope == pytest.approx(0.5, abs=0.03)
    assert calibrator.intercept == pytest.approx(-0.5, abs=0.05)


def test_isotonic_finds_a_bend_that_platt_cannot() -> None:
    truth = np.where(np.arange(40_000) % 2 == 0, 0.05, 0.30)
    stated = np.where(truth > 0.1, 0.9, 0.8) + np.random.default_rng(3).normal(0, 0.005, 40_000)
    calibrator = IsotonicCalibrator.fit(outcomes(truth), stated)
    assert calibrator.apply(np.array([0.8]))[0] == pytest.approx(0.05, abs=0.02)
    assert calibrator.apply(np.array([0.9]))[0] == pytest.approx(0.30, abs=0.02)


def test_a_wrong_way_round_score_is_calibrated_to_the_mean() -> None:
    p = probabilities(5_000)
    y = outcomes(p)
    assert PlattCalibrator.fit(y, 1.0 - p).apply(np.array([0.1, 0.9])) == pytest.approx([y.mean()] * 2)


def test_with_a_handful_of_responses_nothing_is_calibrated() -> None:
    y = np.zeros(100)
    y[:5] = 1.0
    assert choose_calibrator(y, np.full(100, 0.9)) is None


def test_an_unknown_calibrator_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown type; got 'spline'"):
        calibrator_from_dict({"type": "spline"})


@given(seed=st.integers(0, 10_000), n=st.integers(30, 300), scale=st.floats(0.1, 5.0))
def test_calibrators_keep_the_order_and_give_probabilities(seed: int, n: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    p = np.asarray(expit(rng.normal(0.0, scale, n)))
    y = outcomes(p, seed)
    if y.min() == y.max():
        return
    grid = np.linspace(0.0, 1.0, 101)
    for calibrator in (PlattCalibrator.fit(y, p), IsotonicCalibrator.fit(y, p)):
        applied = calibrator.apply(grid)
        assert (np.diff(applied) >= -1e-12).all()
        assert ((applied >= 0.0) & (applied <= 1.0)).all()
        again = calibrator_from_dict(calibrator.to_dict())
        assert again is not None
        np.testing.assert_array_equal(again.apply(grid), applied)


def test_log_losses_are_finite_at_the_edges() -> None:
    assert np.isfinite(log_losses(np.array([0.0, 1.0]), np.array([1.0, 0.0]))).all()
