"""Intervals by contact, importance and groups: against what is known of simulated rows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from estimators.bundle import PropensityBundle
from estimators.encoding import FeatureEncoder
from estimators.heads import ResponseHead
from estimators.scores import LinearScore
from training.fairness import FEWEST_ROWS, _mean, groups
from training.importance import feature_importance
from training.metric_intervals import _intervals, weighted_auc

NOW = np.datetime64("2026-06-01T00:00:00", "us")


@pytest.mark.parametrize("seed", range(5))
def test_the_weighted_auc_is_that_of_scikit_learn_ties_included(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, p, weight = (rng.random(300) < 0.3).astype(float), rng.integers(0, 12, 300) / 12, rng.integers(0, 4, 300).astype(float)
    assert weighted_auc(y, p)(weight) == pytest.approx(roc_auc_score(y, p, sample_weight=weight))


def test_intervals_hold_the_truth_as_often_as_they_say_where_a_contact_has_many_alike_rows() -> None:
    rng = np.random.default_rng(7)
    held_by_contact: list[bool] = []
    held_by_row: list[bool] = []
    for number in range(200):
        contact = np.repeat(np.arange(60), 8)
        values = np.repeat(rng.normal(size=60), 8)
        statistics = {"mean": lambda counts, values=values: float(counts @ values / counts.sum())}
        for ids, held in ((contact, held_by_contact), (np.arange(len(contact)), held_by_row)):
            found = _intervals("", statistics, ids, number)
            held.append(found["mean_low"] <= 0.0 <= found["mean_high"])
    assert 0.87 <= np.mean(held_by_contact) <= 0.99
    assert np.mean(held_by_row) < 0.7


def test_the_feature_that_moves_the_answers_comes_first_and_one_that_does_not_is_absent() -> None:
    rng = np.random.default_rng(7)
    columns = {"strong": rng.normal(size=500), "weak": rng.normal(size=500), "city": rng.choice(["a", "b"], 500).astype(object)}
    encoder = FeatureEncoder.fit(columns, {"strong": "float", "weak": "float", "city": "string"}, NOW)
    effect = {"strong": 1.0, "weak": 0.25, "city": 0.0}
    coef = np.array([effect[name] for name in encoder.linear_features])
    head = ResponseHead(0.1, (0.0, 1.0, 0.0), LinearScore(-2.0, coef), None, None, 100, 10)

    shares = feature_importance(PropensityBundle("0", encoder, {"loan": head}), columns, NOW, seed=7)

    assert list(shares) == ["strong", "weak"]
    assert shares["strong"] == pytest.approx(0.8, abs=0.03)


def test_groups_cover_every_row_once_whatever_the_column_holds() -> None:
    rng = np.random.default_rng(7)
    columns = {
        "many": np.where(rng.random(400) < 0.1, np.nan, rng.normal(size=400)),
        "few": rng.integers(0, 3, 400).astype(float),
        "names": np.array([None if one < 3 else f"n{one}" for one in rng.integers(0, 40, 400)], dtype=object),
        "since": np.array(["2020-01-01", "NaT"] * 200, dtype="datetime64[us]"),
    }
    dtypes = {"many": "float", "few": "int", "names": "string", "since": "date"}
    for name in columns:
        found = dict(groups(columns, name, dtypes))  # type: ignore[arg-type]
        assert np.sum(list(found.values()), axis=0).tolist() == [1] * 400
        assert len(found) <= 14
    assert [name for name, _ in groups(columns, "since", dtypes)] == ["2020", "unknown"]  # type: ignore[arg-type]
    assert FEWEST_ROWS == 50


def test_the_error_of_a_group_counts_contacts_not_rows() -> None:
    values = np.repeat([0.0, 1.0], 100)
    assert _mean(values, np.arange(200)) == "0.5 (0.4307 to 0.5693)"
    assert _mean(values, np.repeat([1, 2], 100)) == "0.5 (-0.193 to 1.193)"
    assert _mean(np.array([0.0, 1.0]), np.arange(2), np.array([1.0, 3.0])).startswith("0.75 (")
