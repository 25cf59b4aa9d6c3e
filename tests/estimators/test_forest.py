"""The compiled forest gives LightGBM's own scores, to the last bit, on whatever stands in a row; what it does not understand it refuses."""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Any

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimators.arrays import FloatArray
from estimators.forest import Forest
from estimators.forest_candidates import CandidateForest
from estimators.forest_text import NotUnderstood, read_trees

WIDTH, CATEGORIES = 6, [3, 4]
NASTY = [
    0.0,
    -0.0,
    1e-35,
    -1e-35,
    1.1e-35,
    9e-36,
    5e-324,
    -5e-324,
    1e-300,
    math.nan,
    math.inf,
    -math.inf,
    1e308,
    -1e308,
    1.7976931348623157e308,
]
NASTY += [-1.0, -0.5, 0.5, 1.0, 2.0, 31.0, 32.0, 33.5, 63.0, 64.0, 1e3, 2147483647.0, 2147483648.0, -2147483649.0, 1e20]
MISSING: dict[str, dict[str, Any]] = {
    "NaN": {},
    "zero": {"zero_as_missing": True},
    "none": {"use_missing": False},
    "one-hot": {"max_cat_to_onehot": 64},
}


@cache
def booster(missing: str, seed: int = 0) -> lightgbm.Booster:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(3_000, WIDTH)).round(1)
    X[rng.random(X.shape) < 0.15] = np.nan
    X[rng.random(X.shape) < 0.2] = 0.0
    X[:, 2] = np.where(rng.random(3_000) < 0.3, np.nan, 5.0)  # nothing but whether it is known
    X[:, 3], X[:, 4] = rng.integers(0, 70, 3_000), rng.integers(0, 5, 3_000)
    X[rng.random(3_000) < 0.1, 3] = np.nan
    X[:, 5] = rng.integers(0, 3, 3_000) * 1e-36
    y = (
        np.nan_to_num(X[:, 0]) * (X[:, 4] == 2)
        + np.isnan(X[:, 2])
        + np.sin(np.nan_to_num(X[:, 3]))
        + (X[:, 1] == 0)
        + rng.normal(size=3_000)
    )
    parameters = {"verbose": -1, "num_leaves": 12, "min_data_in_leaf": 5, "num_threads": 1, "cat_smooth": 1, "cat_l2": 0, "seed": seed}
    data = lightgbm.Dataset(X, y, categorical_feature=CATEGORIES, params=parameters | MISSING[missing])
    return lightgbm.train(parameters | MISSING[missing], data, num_boost_round=25)


def by_lightgbm(model: lightgbm.Booster, rows: FloatArray) -> FloatArray:
    return np.asarray(model.predict(rows, raw_score=True, num_threads=1), dtype=np.float64)


values = st.one_of(st.sampled_from(NASTY), st.floats(), st.floats(-3, 3), st.integers(-3, 80).map(float))
rows_of = st.lists(st.lists(values, min_size=WIDTH, max_size=WIDTH), min_size=1, max_size=40).map(
    lambda rows: np.array(rows, dtype=np.float64)
)


@pytest.mark.parametrize("missing", MISSING)
@given(rows=rows_of)
@settings(max_examples=60, deadline=None)
def test_a_forest_scores_hostile_rows_as_lightgbm_does(missing: str, rows: FloatArray) -> None:
    model = booster(missing)
    forest = forest_of(missing)
    expected = by_lightgbm(model, rows)
    np.testing.assert_array_equal(forest.scores(rows)[:, 0], expected)
    np.testing.assert_array_equal(np.concatenate([forest.scores(row[None]) for row in rows])[:, 0], expected)


@cache
def forest_of(missing: str) -> Forest:
    return Forest.of_texts([booster(missing).model_to_string()])


@pytest.mark.parametrize("missing", MISSING)
@given(
    row=st.lists(values, min_size=WIDTH, max_size=WIDTH),
    places=st.integers(1, 3),
    candidates=st.lists(st.tuples(values, values, values), min_size=1, max_size=130),
)
@settings(max_examples=40, deadline=None)
def test_candidates_that_share_a_walk_get_the_scores_of_their_own_rows(
    missing: str, row: list[float], places: int, candidates: list[tuple[float, float, float]]
) -> None:
    columns = [4, 0, 3][:places]
    theirs = np.array(candidates, dtype=np.float64)[:, :places]
    matrix = np.repeat(np.array([row]), len(theirs), axis=0)
    matrix[:, columns] = theirs
    shared = CandidateForest.of_text(booster(missing).model_to_string(), columns, theirs)
    np.testing.assert_array_equal(shared.scores(np.array([row]))[0], by_lightgbm(booster(missing), matrix))


def test_many_contacts_by_two_threads_are_the_same_contacts_one_by_one() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(5_001, WIDTH)) * 3
    rows[:, 3:5] = rng.integers(-1, 80, size=(5_001, 2))
    models = [booster("NaN"), booster("zero"), booster("none")]
    forest = Forest.of_texts([model.model_to_string() for model in models])
    expected = np.column_stack([by_lightgbm(model, rows) for model in models])
    np.testing.assert_array_equal(forest.scores(rows, threads=2), expected)
    candidates = np.array([[code, level] for code in range(5) for level in (0.0, 1.0)])
    shared = CandidateForest.of_text(models[0].model_to_string(), [4, 0], candidates)
    alone = np.concatenate([shared.scores(row[None]) for row in rows[:50]])
    np.testing.assert_array_equal(shared.scores(rows, threads=2)[:50], alone)


def test_models_read_the_columns_that_they_are_told_to() -> None:
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(100, 9))
    places = {feature: 8 - feature for feature in range(WIDTH)}
    forest = Forest.of_texts([booster("NaN").model_to_string()], columns=[places], n_columns=9)
    np.testing.assert_array_equal(forest.scores(rows)[:, 0], by_lightgbm(booster("NaN"), rows[:, [places[j] for j in range(WIDTH)]]))


def test_a_model_of_single_leaves_and_a_forest_of_no_model_are_answered() -> None:
    X = np.ones((50, 2))
    flat = lightgbm.train({"verbose": -1, "objective": "binary"}, lightgbm.Dataset(X, np.arange(50) % 2), num_boost_round=3)
    forest = Forest.of_texts([flat.model_to_string()])
    np.testing.assert_array_equal(forest.scores(X)[:, 0], by_lightgbm(flat, X))
    assert Forest.of_texts([]).scores(np.empty((1, 0))).shape == (1, 0)
    assert Forest.of_texts([]).scores(np.empty((3, 0))).shape == (3, 0)


def a_linear_tree() -> str:
    X = np.random.default_rng(0).normal(size=(500, 2))
    parameters = {"verbose": -1, "linear_tree": True, "num_leaves": 4, "num_threads": 1}
    return lightgbm.train(parameters, lightgbm.Dataset(X, X[:, 0], params=parameters), num_boost_round=2).model_to_string()


def several_classes() -> str:
    X = np.random.default_rng(0).normal(size=(500, 2))
    parameters = {"verbose": -1, "objective": "multiclass", "num_class": 3, "num_threads": 1}
    return lightgbm.train(parameters, lightgbm.Dataset(X, np.arange(500) % 3), num_boost_round=2).model_to_string()


def a_random_forest() -> str:
    X = np.random.default_rng(0).normal(size=(500, 2))
    parameters = {"verbose": -1, "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5, "num_threads": 1}
    return lightgbm.train(parameters, lightgbm.Dataset(X, X[:, 0]), num_boost_round=2).model_to_string()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (a_linear_tree, "got leaf_coeff"),
        (several_classes, "num_class; got 3; allowed: 1"),
        (a_random_forest, "the header; got average_output"),
        (lambda: "", "the first line"),
        (lambda: booster("NaN").model_to_string().replace("version=v4", "version=v99"), "version; got 'v99'; allowed: v3, v4"),
        (lambda: booster("NaN").model_to_string()[:3_000], "LightGBM's text"),
        (lambda: booster("NaN").model_to_string().split("Tree=24")[0] + "end of trees\n", "the number of trees; got 24; allowed: 25"),
        (lambda: booster("NaN").model_to_string().replace("leaf_value=", "leaf_value=nan ", 1), "leaf_value"),
        (lambda: booster("NaN").model_to_string().replace("left_child=1", "left_child=900", 1), "the children"),
        (lambda: re.sub(r"decision_type=\d+", "decision_type=18", booster("NaN").model_to_string(), count=1), "decision_type; got 18"),
    ],
)
def test_a_text_that_is_not_understood_is_refused(text: Any, said: str) -> None:
    with pytest.raises(NotUnderstood, match=re.escape(said)):
        read_trees(text())


def test_rows_and_candidates_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("got shape (2, 5); allowed: (n, 6)")):
        forest_of("NaN").scores(np.zeros((2, 5)))
    with pytest.raises(ValueError, match=re.escape("got shape (0, 1); allowed: (1 or more, 1)")):
        CandidateForest.of_text(booster("NaN").model_to_string(), [0], np.empty((0, 1)))
