"""The small parts that the models are made of: trees, linear models, blends, threads."""

from __future__ import annotations

import signal
import threading
import time
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from estimators import linear, scores
from estimators.arrays import FloatArray
from estimators.blending import best_blend
from estimators.encoding import Encoded
from estimators.heads import shift_log_odds
from estimators.linear import fit_logistic, fit_ridge, fit_ridge_at
from estimators.nuisance import balanced_weights
from estimators.parallel import fit_each, run_stages
from estimators.scores import ChannelContrast, CurvedScore, LinearScore, TreeScore, score_from_dict
from estimators.trees import REGULARISED, RESPONSE, BinnedRows, effect_settings, response_settings, tree_score

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4_000, 5))


def rows(x: FloatArray) -> Encoded:
    return Encoded(x, x)


def test_ridge_finds_the_coefficients_and_shrinks_noise() -> None:
    y = 3.0 + X @ np.array([1.0, -0.5, 0.0, 0.0, 0.0]) + RNG.normal(0, 0.5, 4_000)
    score = fit_ridge(X, y, sample_weight=np.ones(4_000))
    assert score.coef == pytest.approx([1.0, -0.5, 0, 0, 0], abs=0.06)
    assert score.intercept == pytest.approx(3.0, abs=0.05)
    noise = fit_ridge(X, RNG.normal(size=4_000), sample_weight=np.ones(4_000))
    assert np.abs(noise.coef).max() < 0.01


def test_ridge_counts_a_row_of_weight_two_twice() -> None:
    y, weight = X[:, 0] ** 2, np.where(X[:, 0] > 0, 2.0, 1.0)
    doubled = np.vstack([X, X[X[:, 0] > 0]])
    twice = fit_ridge(doubled, doubled[:, 0] ** 2, sample_weight=np.ones(len(doubled)))
    assert fit_ridge(X, y, sample_weight=weight).coef == pytest.approx(twice.coef, abs=1e-6)


def test_ridge_of_some_rows_is_that_of_their_matrix_and_never_reads_it_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "RIDGE_TOGETHER", 700)
    at, read = np.arange(0, 4_000, 2), []

    class Reading(Encoded):
        def linear_of(self, rows: Any) -> FloatArray:
            read.append(len(rows))
            return super().linear_of(rows)

    y, weight = X[at, 0] - X[at, 1] ** 2, RNG.random(2_000) + 0.5
    some = fit_ridge_at(Reading(X, X), at, y, sample_weight=weight)
    whole = fit_ridge(X[at], y, sample_weight=weight)
    assert max(read) == 700
    assert (some.intercept, *some.coef) == (whole.intercept, *whole.coef)


def test_ridge_read_some_rows_at_a_time_is_that_of_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    y, weight = X[:, 0] - X[:, 1] ** 2, RNG.random(4_000) + 0.5
    whole = fit_ridge(X, y, sample_weight=weight)
    monkeypatch.setattr(linear, "RIDGE_TOGETHER", 700)
    some = fit_ridge(X, y, sample_weight=weight)
    assert [some.intercept, *some.coef] == pytest.approx([whole.intercept, *whole.coef], rel=1e-9)
    single = fit_ridge(X.astype(np.float32), y, sample_weight=weight)
    assert [single.intercept, *single.coef] == pytest.approx([whole.intercept, *whole.coef], abs=1e-5)


@pytest.mark.parametrize("rows", [None, np.arange(1, 4_000, 2)])
def test_trees_read_as_a_compiled_forest_say_what_lightgbm_says_to_the_last_bit(rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    binned = BinnedRows(X, categorical=(), n_jobs=1, random_state=0)
    score = tree_score(binned.fit(REGULARISED, "regression", np.arange(4_000), X[:, 0] * X[:, 1]))
    of_lightgbm = score.raw(X, rows)
    monkeypatch.setattr(scores, "COMPILED_FROM", 1_000)
    monkeypatch.setattr(scores, "COMPILED_TOGETHER", 1_500)
    monkeypatch.delattr("lightgbm.Booster.predict")
    np.testing.assert_array_equal(score.raw(X, rows), of_lightgbm)


def test_a_logistic_regression_without_columns_is_the_mean() -> None:
    score = fit_logistic(np.empty((10, 0)), np.array([1.0] + [0.0] * 9), C=1.0)
    assert expit(score.intercept) == pytest.approx(0.1)


def test_a_model_fitted_on_some_rows_learns_from_those_only() -> None:
    y = np.where(np.arange(4_000) < 2_000, X[:, 0] > 0, X[:, 0] < 0).astype(float)
    binned = BinnedRows(X, categorical=(), n_jobs=1, random_state=0)
    first = binned.predict(binned.fit(REGULARISED, "binary", np.arange(2_000), y), np.arange(4_000))
    last = binned.predict(binned.fit(REGULARISED, "binary", np.arange(3_999, 1_999, -1), y), np.arange(4_000))
    assert np.corrcoef(first, X[:, 0])[0, 1] > 0.5
    assert np.corrcoef(last, X[:, 0])[0, 1] < -0.5


def test_the_first_trees_of_a_model_are_a_model() -> None:
    y = (X[:, 0] + RNG.normal(size=4_000) > 0).astype(float)
    binned = BinnedRows(X, categorical=(), n_jobs=1, random_state=0)
    booster = binned.fit(RESPONSE, "binary", np.arange(4_000), y)
    short = binned.predict(booster, np.arange(4_000), 30)
    np.testing.assert_allclose(expit(tree_score(booster, 30).of(rows(X))), short, rtol=1e-12)


def test_settings_shrink_with_the_data() -> None:
    large, small = response_settings(RESPONSE, 40_000, 4_000), response_settings(RESPONSE, 1_000, 30)
    assert (large.num_leaves, large.min_child_samples) == (16, 30)
    assert (small.num_leaves, small.min_child_samples) == (4, 100)
    assert [effect_settings(REGULARISED, n).min_child_samples for n in (100, 7_000, 100_000)] == [20, 100, 300]


def test_a_blend_goes_to_the_better_member_and_to_the_first_when_they_tie() -> None:
    p = expit(X[:, 0])
    y = (np.random.default_rng(1).random(4_000) < p).astype(float)
    constant, ones = np.full(4_000, 0.5), np.ones(4_000)
    assert best_blend(y, [constant, p], sample_weight=ones) == (0.0, 1.0)
    assert best_blend(y, [constant, constant], sample_weight=ones) == (1.0, 0.0)


def test_every_kind_of_score_comes_back_from_json_values() -> None:
    line = LinearScore(0.5, np.array([1.0, 0, 0, 0, 0]))
    binned = BinnedRows(X, categorical=(), n_jobs=1, random_state=0)
    trees = tree_score(binned.fit(REGULARISED, "regression", np.arange(4_000), X[:, 0]))
    curved = CurvedScore(0.1, np.array([0.5, 0, 0, 0, 0]), np.array([1, 3]), np.array([0.2, -0.1]))
    channels = ChannelContrast(CurvedScore(0.0, np.zeros(5), np.array([1, 3]), np.zeros(2)), {"call": curved}, {"call": 1.0})
    for score in (line, trees, curved, channels):
        np.testing.assert_array_equal(score_from_dict(score.to_dict()).of(rows(X)), score.of(rows(X)))
    with pytest.raises(ValueError, match="unknown type; got 'neural'"):
        score_from_dict({"type": "neural"})


def test_a_text_that_is_no_model_is_refused() -> None:
    with pytest.raises(ValueError, match="a LightGBM model text cannot be read"):
        TreeScore("not a model").of(rows(X))


@given(offset=st.floats(-20, 20), p=st.floats(0, 1))
def test_shifted_probabilities_are_probabilities_and_move_the_right_way(offset: float, p: float) -> None:
    shifted = float(shift_log_odds(np.array([p]), offset)[0])
    assert 0.0 <= shifted <= 1.0
    if 1e-6 < p < 1 - 1e-6:
        assert (shifted - p) * offset >= -1e-12


@given(raw=st.lists(st.floats(1e-3, 1e9), min_size=2, max_size=60), seed=st.integers(0, 99))
def test_balanced_weights_give_each_arm_half(raw: list[float], seed: int) -> None:
    exposed = np.random.default_rng(seed).random(len(raw)) < 0.5
    exposed[:2] = [True, False]
    weight = balanced_weights(exposed, np.array(raw), 20.0)
    assert weight[exposed].sum() == pytest.approx(len(raw) / 2)
    assert weight[~exposed].sum() == pytest.approx(len(raw) / 2)
    assert (weight > 0).all()


def test_many_fits_keep_their_order_and_the_first_error_is_raised() -> None:
    assert list(fit_each({k: (lambda k=k: k * k) for k in range(20)}, workers=3).values()) == [k * k for k in range(20)]
    with pytest.raises(ZeroDivisionError):
        fit_each({"good": lambda: 1.0, "bad": lambda: 1 / 0}, workers=2)


def test_a_fit_that_fits_others_does_not_wait_for_itself_and_the_first_error_of_a_stage_is_raised() -> None:
    def nested(name: str) -> str:
        return "".join(fit_each({0: lambda: name, 1: lambda: "!"}, workers=1).values())

    def stage(name: str) -> dict[int, str]:
        return fit_each(dict.fromkeys(range(6), partial(nested, name)), workers=2)

    found = run_stages({name: partial(stage, name) for name in "abc"}, workers=1)

    assert {name: list(fits.values()) for name, fits in found.items()} == {name: [f"{name}!"] * 6 for name in "abc"}
    with pytest.raises(ZeroDivisionError):
        run_stages({"good": lambda: 1.0, "bad": lambda: 1 / 0}, workers=2)


def test_fits_of_all_stages_run_on_the_workers_of_the_shared_pool() -> None:
    def stage() -> dict[int, int]:
        return fit_each(dict.fromkeys(range(4), threading.get_ident), workers=8)

    threads = run_stages(dict.fromkeys(range(3), stage), workers=2)
    assert len({ident for found in threads.values() for ident in found.values()}) <= 2


def test_stages_within_a_stage_fit_on_the_same_workers() -> None:
    def stage() -> dict[int, int]:
        return fit_each(dict.fromkeys(range(4), threading.get_ident), workers=8)

    found = run_stages(
        {"outer": lambda: run_stages({"one": stage, "two": stage}, workers=8), "beside": lambda: {"alone": stage()}}, workers=1
    )
    assert len({ident for stages in found.values() for threads in stages.values() for ident in threads.values()}) == 1


def test_when_the_caller_is_interrupted_the_stages_end_at_their_next_fit() -> None:
    begun: list[int] = []

    def fit(number: int) -> None:
        begun.append(number)
        if number == 0:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(0.02)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a process begun in the background may ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            run_stages({"long": lambda: fit_each({number: partial(fit, number) for number in range(100)}, workers=1)}, workers=1)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(begun) < 100
