"""The lead score knows who will be won, and its card says so in whole points that a person can follow."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from estimators.arrays import Columns, FloatArray
from estimators.calibration import expected_calibration_error, log_losses
from estimators.encoding import Encoded, FeatureEncoder
from estimators.lead import LeadHead, LeadModel
from estimators.lead_points import PointsCardModel
from tests.estimators.worlds import NOW

DTYPES = {"visits": "int", "budget": "float", "role": "string", "noise": "float"}


def leads(n: int, seed: int) -> tuple[Columns, FloatArray, FloatArray]:
    """Won more often with visits and by directors, less often with a large budget, and hardly ever where the role is not known."""
    rng = np.random.default_rng(seed)
    visits, budget = rng.poisson(3.0, n).astype(float), rng.lognormal(3.0, 1.0, n)
    role = rng.choice(np.array(["director", "buyer", "student", None], dtype=object), n, p=[0.2, 0.4, 0.2, 0.2])
    effect = {"director": 1.2, "buyer": 0.0, "student": -1.0, None: -2.0}
    truth = expit(-1.0 + 0.4 * visits - 0.8 * np.log1p(budget / 20) + np.array([effect[one] for one in role]))
    budget[rng.random(n) < 0.1] = np.nan
    columns: Columns = {"visits": visits, "budget": budget, "role": role, "noise": rng.normal(size=n)}
    return columns, (rng.random(n) < truth).astype(float), truth


def encoded(columns: Columns) -> tuple[FeatureEncoder, Encoded]:
    encoder = FeatureEncoder.fit(columns, DTYPES, NOW)
    return encoder, encoder.encode(columns, NOW)


@pytest.fixture(scope="module")
def trained() -> tuple[FeatureEncoder, LeadModel]:
    columns, won, _ = leads(6_000, 0)
    encoder, rows = encoded(columns)
    model = LeadModel.for_encoder(encoder, directions={"visits": 1, "budget": -1})
    return encoder, model.fit(rows.trees, won, X_linear=rows.linear)


def test_both_scores_come_close_to_the_true_probabilities(trained: tuple[FeatureEncoder, LeadModel]) -> None:
    encoder, model = trained
    columns, won, truth = leads(20_000, 1)
    rows, head = encoder.encode(columns, NOW), model.head_
    best = roc_auc_score(won, truth)
    for p, lost_auc, lost_nats in ((head.probability(rows), 0.01, 0.01), (head.card.probability(rows), 0.03, 0.03)):
        assert roc_auc_score(won, p) > best - lost_auc
        assert (log_losses(truth, p) - log_losses(truth, truth)).mean() < lost_nats
        assert expected_calibration_error(won, p) < 0.03


def test_the_card_is_small_whole_and_rises_and_falls_as_declared(trained: tuple[FeatureEncoder, LeadModel]) -> None:
    card = trained[1].head_.card
    by_name = {feature.name: feature for feature in card.features}
    assert set(by_name) == {"visits", "budget", "role"}
    assert list(by_name["visits"].points) == sorted(set(by_name["visits"].points))
    assert list(by_name["budget"].points) == sorted(set(by_name["budget"].points), reverse=True)
    assert all(0 <= points <= 10 for _, points in card.lines())
    assert abs(card.rounding_loss) < 0.005
    table = card.table()
    assert [points for points, _ in table] == list(range(table[0][0], table[-1][0] + 1))
    assert (np.diff([p for _, p in table]) > 0).all()


def test_missing_is_a_line_of_its_own_and_an_unseen_level_is_neutral(trained: tuple[FeatureEncoder, LeadModel]) -> None:
    role = next(feature for feature in trained[1].head_.card.features if feature.name == "role")
    assert role.missing == 0
    assert min(role.points) < role.other < max(role.points)
    assert dict(trained[1].head_.card.lines())["role: director"] == max(role.points)


def test_the_lines_of_a_lead_add_up_to_its_points(trained: tuple[FeatureEncoder, LeadModel]) -> None:
    encoder, model = trained
    rows = encoder.encode(leads(300, 2)[0], NOW)
    explained = model.head_.explain(rows)
    assert [sum(points for _, points in lines) for lines in explained] == model.head_.points(rows).tolist()
    table = dict(model.head_.card.table())
    assert [table[points] for points in model.head_.points(rows).tolist()] == pytest.approx(model.head_.card.probability(rows).tolist())


def test_the_learned_score_keeps_to_the_declared_directions_even_against_the_data() -> None:
    columns, won, _ = leads(3_000, 3)
    encoder, rows = encoded(columns)
    model = LeadModel.for_encoder(encoder, directions={"visits": -1}).fit(rows.trees, won, X_linear=rows.linear)
    grid = {"visits": np.arange(12.0), "budget": np.full(12, 20.0), "role": np.full(12, "buyer", dtype=object), "noise": np.zeros(12)}
    assert (np.diff(model.head_.probability(encoder.encode(grid, NOW))) <= 1e-12).all()
    assert (np.diff(model.head_.points(encoder.encode(grid, NOW))) <= 0).all()
    assert (np.diff(LeadModel.for_encoder(encoder).fit(rows.trees, won).head_.points(encoder.encode(grid, NOW))) >= 0).all()


def test_what_is_served_is_what_was_fitted_bit_for_bit(trained: tuple[FeatureEncoder, LeadModel]) -> None:
    encoder, model = trained
    rows = encoder.encode(leads(500, 4)[0], NOW)
    served = LeadHead.from_dict(json.loads(json.dumps(model.head_.to_dict())))
    np.testing.assert_array_equal(served.probability(rows), model.head_.probability(rows))
    np.testing.assert_array_equal(served.points(rows), model.head_.points(rows))
    assert served.explain(rows) == model.head_.explain(rows)
    assert served.card.table() == model.head_.card.table()


def test_pure_noise_gives_a_card_without_lines_and_everybody_the_mean() -> None:
    rng = np.random.default_rng(5)
    x, won = rng.normal(size=(4_000, 6)), (rng.random(4_000) < 0.3).astype(float)
    model = PointsCardModel().fit(x, won)
    assert model.predict_proba(x)[:, 1].std() < 0.02
    assert model.predict_proba(x)[:, 1].mean() == pytest.approx(won.mean(), abs=0.01)


def test_weights_count_as_copies() -> None:
    columns, won, _ = leads(1_500, 6)
    _, rows = encoded(columns)
    twice = np.where(np.arange(1_500) % 3 == 0, 2, 1)
    p = PointsCardModel().fit(rows.trees, won, twice).predict_proba(rows.trees)[:, 1]
    copied = PointsCardModel().fit(np.repeat(rows.trees, twice, axis=0), np.repeat(won, twice)).predict_proba(rows.trees)[:, 1]
    assert abs(p - copied).mean() < 0.02


def test_fifty_separable_leads_are_ranked_without_certainty() -> None:
    x = np.linspace(0.0, 1.0, 50)[:, None]
    won = (x[:, 0] > 0.5).astype(float)
    p = PointsCardModel(min_leads=5).fit(x, won).predict_proba(x)[:, 1]
    assert roc_auc_score(won, p) > 0.9
    assert 0.0 < p.min() < 0.2 and 0.8 < p.max() < 1.0


@pytest.mark.parametrize("x", [np.zeros((60, 1)), np.full((60, 2), np.nan), np.empty((60, 0))])
def test_columns_that_say_nothing_give_the_mean(x: FloatArray) -> None:
    won = (np.arange(60) % 3 == 0).astype(float)
    model = LeadModel().fit(x, won)
    assert model.head_.card.features == ()
    assert model.head_.card.probability(Encoded(x, np.empty((60, 0)))) == pytest.approx(np.full(60, 20.5 / 61))
    assert ((model.predict_proba(x) > 0) & (model.predict_proba(x) < 1)).all()


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), n=st.integers(1, 300), rate=st.floats(0.0, 1.0))
def test_any_data_gives_probabilities_and_whole_points(seed: int, n: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.normal(size=n) * 10.0 ** rng.integers(-300, 300), rng.integers(0, 6, n), rng.choice([np.nan, 1.0], n)])
    won = (rng.random(n) < rate).astype(float)
    model = PointsCardModel(categories={1: ("a", "b", "c", "d")}).fit(x, won)
    fresh = np.array([[np.nan, np.nan, np.nan], [1e300, 99.0, -1e300], [0.0, -1.0, 0.0]])
    for rows in (x, fresh):
        p = model.predict_proba(rows)[:, 1]
        assert ((p > 0) & (p < 1)).all()
        assert (model.points(rows) >= 0).all()


def test_a_direction_for_something_that_is_no_number_is_refused() -> None:
    encoder, rows = encoded(leads(100, 7)[0])
    with pytest.raises(ValueError, match=r"a direction is 1 or -1 for a number; got 'role': 1; allowed names: visits, budget, noise"):
        LeadModel.for_encoder(encoder, directions={"role": 1}).fit(rows.trees, np.zeros(100))


def test_the_card_is_nearly_as_good_as_a_logistic_regression_on_the_true_features() -> None:
    """A readable card may lose a little; here a plain logistic regression is told the true shapes."""
    columns, won, _ = leads(5_000, 8)
    fresh, fresh_won, _ = leads(10_000, 9)
    encoder, rows = encoded(columns)
    told = LogisticRegression(max_iter=500).fit(rows.linear, won)
    card = PointsCardModel(categories={2: encoder.categories[0].levels}).fit(rows.trees, won)
    new = encoder.encode(fresh, NOW)
    assert (
        roc_auc_score(fresh_won, card.predict_proba(new.trees)[:, 1]) > roc_auc_score(fresh_won, told.decision_function(new.linear)) - 0.02
    )
