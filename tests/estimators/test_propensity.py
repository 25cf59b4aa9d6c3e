"""The response model finds the truth where there is enough to find, and the mean where there is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from estimators.arrays import FloatArray
from estimators.calibration import expected_calibration_error, log_losses
from estimators.encoding import FeatureEncoder
from estimators.propensity import ResponseModel
from tests.estimators.worlds import DTYPES, NOW, mixed_columns


def world(n: int, seed: int, bend: float = 0.0) -> tuple[FloatArray, FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 8))
    p = expit(-2.0 + 0.8 * x[:, 0] - 0.5 * x[:, 1] + bend * (np.abs(x[:, 2]) > 1))
    return x, (rng.random(n) < p).astype(float), np.asarray(p)


def regret(p: FloatArray, truth: FloatArray) -> float:
    return float((log_losses(truth, p) - log_losses(truth, truth)).mean())


@pytest.mark.parametrize("bend", [0.0, 2.0])
def test_the_model_comes_close_to_the_true_probabilities(bend: float) -> None:
    x, y, _ = world(8_000, 0, bend)
    fresh, _, truth = world(8_000, 1, bend)
    model = ResponseModel().fit(x, y, X_linear=x)
    p = model.predict_proba(fresh, fresh)[:, 1]
    constant = np.full(len(truth), y.mean())
    assert regret(p, truth) < 0.15 * regret(constant, truth)
    assert expected_calibration_error(truth, p) < 0.02


def test_the_trees_count_where_the_truth_bends_and_the_logistic_regression_where_it_does_not() -> None:
    x, y, _ = world(6_000, 2)
    assert ResponseModel().fit(x, y, X_linear=x).head_.weights[1] >= 0.5
    x, y, _ = world(6_000, 2, bend=2.5)
    assert ResponseModel().fit(x, y, X_linear=x).head_.weights[2] >= 0.5


def test_without_any_signal_the_model_is_nearly_the_mean() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(3_000, 8)), (rng.random(3_000) < 0.1).astype(float)
    p = ResponseModel().fit(x, y, X_linear=x).predict_proba(x, x)[:, 1]
    assert p.std() < 0.02
    assert p.mean() == pytest.approx(y.mean(), abs=0.01)


@pytest.mark.parametrize(("responses", "expected"), [(0, 0.5 / 41), (5, 5.5 / 41), (40, 40.5 / 41)])
def test_a_few_responses_give_everybody_the_shrunk_mean(responses: int, expected: float) -> None:
    y = np.zeros(40)
    y[:responses] = 1.0
    x = np.random.default_rng(4).normal(size=(40, 3))
    model = ResponseModel().fit(x, y, X_linear=x)
    assert model.predict_proba(x, x)[:, 1] == pytest.approx(expected)
    assert (model.head_.evidence, model.head_.responses) == (40, responses)


def test_out_of_fold_probabilities_have_not_seen_their_row() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2_000, 30)), (rng.random(2_000) < 0.3).astype(float)
    model = ResponseModel().fit(x, y, X_linear=x)
    assert roc_auc_score(y, model.oof_probability_) < 0.55


def test_weights_move_the_population() -> None:
    x, y, _ = world(4_000, 6)
    heavier = ResponseModel().fit(x, y, np.where(y == 1, 3.0, 1.0), X_linear=x)
    assert heavier.head_.base_rate == pytest.approx(3 * y.sum() / (3 * y.sum() + (1 - y).sum()), abs=0.001)
    assert heavier.predict_proba(x, x)[:, 1].mean() > 1.5 * y.mean()


def test_a_log_thinned_by_its_labels_gives_the_whole_log_s_probabilities() -> None:
    x, y, truth = world(40_000, 12)
    kept = (y == 1) | (np.random.default_rng(13).random(len(y)) < 0.1)
    weight = np.where(y == 1, 1.0, 10.0)
    fresh, _, expected = world(8_000, 14)

    p = ResponseModel().fit(x[kept], y[kept], weight[kept], X_linear=x[kept]).predict_proba(fresh, fresh)[:, 1]

    assert p.mean() == pytest.approx(truth.mean(), rel=0.05)
    assert regret(p, expected) < 0.15 * regret(np.full(len(expected), y.mean()), expected)


@pytest.mark.parametrize("weight", [np.zeros(50), np.full(50, np.inf), np.ones(49), np.full(50, -1.0)])
def test_weights_that_are_none_are_refused(weight: FloatArray) -> None:
    with pytest.raises(ValueError, match=r"sample_weight must|every sample weight is zero"):
        ResponseModel().fit(np.zeros((50, 2)), np.zeros(50), weight)


@pytest.mark.parametrize(("n", "rate"), [(300, 0.1), (300, 0.5), (6_000, 0.005)])
def test_few_rows_and_rare_responses_are_never_worse_than_the_base_rate_beyond_noise(n: int, rate: float) -> None:
    excess = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        x, fresh = rng.normal(size=(n, 12)), rng.normal(size=(4_000, 12))
        truth = expit(np.log(rate / (1 - rate)) + 0.3 * fresh[:, 0])
        y = (rng.random(n) < expit(np.log(rate / (1 - rate)) + 0.3 * x[:, 0])).astype(float)
        p = ResponseModel().fit(x, y, X_linear=x, time=np.arange(float(n))).predict_proba(fresh, fresh)[:, 1]
        constant = np.full(len(truth), (y.sum() + 0.5) / (n + 1.0))
        excess.append(regret(p, truth) - regret(constant, truth))
    assert np.mean(excess) < 0.01 * rate + 0.1 * rate * (n < 1_000)


def test_thousands_of_levels_of_a_category_are_learned_where_they_are_frequent_and_forgotten_where_not() -> None:
    rng = np.random.default_rng(15)
    names = np.array([f"city {i}" for i in range(3_000)], dtype=object)
    chance = 1.0 / (np.arange(3_000) + 5.0)
    effect = rng.normal(0.0, 1.0, 3_000)
    where = rng.choice(3_000, 24_000, p=chance / chance.sum())
    p = expit(-1.5 + effect[where])
    y = (rng.random(24_000) < p).astype(float)
    columns, half = {"city": names[where]}, slice(12_000)
    encoder = FeatureEncoder.fit({"city": names[where][half]}, {"city": "string"}, NOW)
    rows = encoder.encode(columns, NOW)

    model = ResponseModel(categorical=encoder.categorical_indices).fit(rows.trees[half], y[half], X_linear=rows.linear[half])
    said = model.predict_proba(rows.trees[12_000:], rows.linear[12_000:])[:, 1]

    constant = np.full(12_000, y[half].mean())
    assert regret(said, p[12_000:]) < 0.8 * regret(constant, p[12_000:])


def test_sixty_correlated_columns_cost_little_beside_the_few_that_matter() -> None:
    rng = np.random.default_rng(16)
    causes, noise = rng.normal(size=(8_000, 4)), rng.normal(size=(8_000, 60))
    x = causes @ rng.normal(size=(4, 60)) + 0.3 * noise
    p = expit(-3.0 + causes @ np.array([0.8, -0.5, 0.3, 0.0]))
    y = (rng.random(8_000) < p).astype(float)
    scaled = x / x.std(axis=0)

    model = ResponseModel().fit(x[:5_000], y[:5_000], X_linear=scaled[:5_000])

    said = model.predict_proba(x[5_000:], scaled[5_000:])[:, 1]
    assert regret(said, p[5_000:]) < 0.35 * regret(np.full(3_000, y[:5_000].mean()), p[5_000:])


def test_categories_dates_and_nulls_are_learned() -> None:
    columns = mixed_columns(6_000)
    encoder = FeatureEncoder.fit(columns, DTYPES, NOW)
    rows = encoder.encode(columns, NOW)
    lift = np.array([1.5 if market == "CZ" else 1.0 if market is None else -1.0 for market in columns["market"]])
    y = (np.random.default_rng(7).random(6_000) < expit(lift - 1)).astype(float)
    model = ResponseModel(categorical=encoder.categorical_indices).fit(rows.trees, y, X_linear=rows.linear)
    p = model.predict_proba(rows.trees, rows.linear)[:, 1]
    assert np.corrcoef(p, expit(lift - 1))[0, 1] > 0.95


def test_the_same_seed_gives_the_same_model_and_a_clone_is_equal() -> None:
    x, y, _ = world(1_500, 8, bend=2.0)
    model = ResponseModel(random_state=3).fit(x, y, X_linear=x)
    again = clone(model).fit(x, y, X_linear=x)
    np.testing.assert_array_equal(again.predict_proba(x, x), model.predict_proba(x, x))


def test_a_plain_matrix_without_a_linear_one_is_enough() -> None:
    x, y, truth = world(4_000, 9)
    model = ResponseModel().fit(x, y)
    assert roc_auc_score(truth > 0.2, model.predict_proba(x)[:, 1]) > 0.85
    assert model.head_.weights[1] == 0.0
    assert set(model.predict(x)) <= {0, 1}


def test_a_linear_matrix_given_to_fit_must_be_given_to_predict() -> None:
    x, y, _ = world(500, 10)
    with pytest.raises(ValueError, match="it must be given to predict too"):
        ResponseModel().fit(x, y, X_linear=x).predict_proba(x)


@pytest.mark.parametrize(
    ("y", "message"),
    [(np.array([]), "0 sample"), (np.array([0.0, 1.0, 2.0]), "y must be 0 or 1"), (np.array([0.0, np.nan]), "y must be 0 or 1")],
)
def test_labels_that_are_none_are_refused(y: FloatArray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ResponseModel().fit(np.zeros((len(y), 2)), y)


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), n=st.integers(1, 200), rate=st.floats(0.0, 1.0))
def test_probabilities_are_probabilities_whatever_the_data(seed: int, n: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)) * 10.0 ** rng.integers(-3, 6)
    y = (rng.random(n) < rate).astype(float)
    p = ResponseModel().fit(x, y, X_linear=np.clip(x, -4, 4)).predict_proba(x, np.clip(x, -4, 4))
    assert ((p >= 0) & (p <= 1)).all()
    np.testing.assert_allclose(p.sum(axis=1), 1.0)


def test_a_fit_on_more_rows_takes_over_what_an_earlier_one_settled_and_predicts_as_well() -> None:
    rng = np.random.default_rng(17)
    x, time = rng.normal(size=(6_000, 5)), np.arange(6_000.0)
    p = 1.0 / (1.0 + np.exp(1.5 - x[:, 0] - (np.abs(x[:, 1]) > 1.0)))
    y = (rng.random(6_000) < p).astype(float)
    earlier = ResponseModel(cv=2).fit(x[:4_000], y[:4_000], X_linear=x[:4_000], time=time[:4_000])

    anew, settled = (ResponseModel(settled=one).fit(x, y, X_linear=x, time=time) for one in (None, earlier.settled_))

    assert settled.settled_ == earlier.settled_
    excess = [float((log_losses(p, model.predict_proba(x, x)[:, 1]) - log_losses(p, p)).mean()) for model in (anew, settled)]
    assert excess[1] < 1.1 * excess[0] + 0.0005


def test_too_few_rows_settle_nothing() -> None:
    x = np.random.default_rng(1).normal(size=(60, 2))

    assert ResponseModel().fit(x, (np.arange(60) < 5).astype(float), X_linear=x).settled_ is None
