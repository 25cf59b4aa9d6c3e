"""The money of a response: the mean until there is evidence for more."""

from __future__ import annotations

import numpy as np
import pytest

from estimators.heads import ValueHead
from estimators.value import ValueModel, best_quantile, winsorised


def test_money_that_depends_on_the_contact_is_learned() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4_000, 5))
    truth = 100.0 * np.exp(0.6 * x[:, 0])
    model = ValueModel(quantile=0.999).fit(x, truth * rng.gamma(2.0, 0.5, 4_000))
    fresh = rng.normal(size=(2_000, 5))
    expected = 100.0 * np.exp(0.6 * fresh[:, 0])
    assert model.head_.score is not None
    assert np.abs(model.predict(fresh) / expected - 1.0).mean() < 0.12


def test_money_that_does_not_depend_on_the_contact_stays_the_mean() -> None:
    rng = np.random.default_rng(1)
    model = ValueModel().fit(rng.normal(size=(2_000, 10)), rng.lognormal(3.0, 1.0, 2_000))
    assert model.head_.score is None


def test_few_responses_are_shrunk_towards_the_prior_mean() -> None:
    model = ValueModel(prior_mean=40.0, prior_responses=20.0).fit(np.zeros((5, 2)), np.full(5, 140.0))
    assert model.head_.mean == pytest.approx(60.0)
    assert model.predict(np.zeros((2, 2))).tolist() == pytest.approx([60.0, 60.0])


def test_one_enormous_order_does_not_carry_the_mean() -> None:
    money = np.append(np.full(999, 50.0), 1e7)
    assert ValueModel().fit(np.zeros((1000, 1)), money).head_.mean == pytest.approx(50.0)


def test_no_money_at_all_falls_back_on_the_prior_or_is_refused() -> None:
    assert ValueModel(prior_mean=30.0).fit(np.empty((0, 2)), np.array([])).head_.mean == 30.0
    assert ValueModel(prior_mean=30.0).fit(np.empty((0, 2)), np.array([]), np.array([])).head_.mean == 30.0
    assert ValueModel(prior_mean=30.0).fit(np.zeros((2, 2)), np.full(2, 9.0), np.zeros(2)).head_.mean == 30.0
    with pytest.raises(ValueError, match="no response brought money"):
        ValueModel().fit(np.zeros((3, 2)), np.full(3, np.nan))


def test_refunds_are_winsorised_on_both_sides() -> None:
    money = np.append(np.linspace(-1.0, 1.0, 199), [-1000.0, 1000.0])
    kept = winsorised(money, 0.99)
    assert -2 < kept.min() < 0 < kept.max() < 2
    assert ValueModel().fit(np.ones((201, 1)), money).head_.mean == pytest.approx(0.0, abs=0.05)


def test_heavy_tails_are_winsorised_so_that_the_mean_is_nearer_the_truth() -> None:
    rng = np.random.default_rng(4)
    draws = [5.0 * (1.0 + rng.pareto(1.6, 400)) for _ in range(40)]
    truth = 5.0 * 1.6 / 0.6

    chosen = np.array([ValueModel().fit(np.empty((400, 0)), money).head_.mean for money in draws])
    plain = np.array([money.mean() for money in draws])

    assert ((chosen - truth) ** 2).mean() < 0.8 * ((plain - truth) ** 2).mean()


def test_money_without_a_tail_is_hardly_touched() -> None:
    money = np.random.default_rng(5).normal(100.0, 10.0, 500)

    assert ValueModel().fit(np.empty((500, 0)), money).head_.mean == pytest.approx(money.mean(), abs=0.3)
    assert best_quantile(np.full(500, 7.0), random_state=0) == 1.0


def test_responses_that_bring_nothing_and_refunds_count_while_what_is_paid_is_learned() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(6_000, 3))
    paid = 80.0 * np.exp(0.7 * x[:, 0]) * rng.gamma(2.0, 0.5, 6_000)
    kind = rng.random(6_000)
    money = np.where(kind < 0.2, 0.0, np.where(kind < 0.3, -30.0, paid))
    truth = 0.7 * 80.0 * np.exp(0.7 * x[:, 0]) - 3.0

    model = ValueModel(quantile=1.0).fit(x, money)

    assert model.head_.score is not None
    assert model.head_.back == pytest.approx(-3.0, abs=0.5)
    assert model.predict(x).mean() == pytest.approx(money.mean(), rel=0.02)
    assert np.abs(model.predict(x) - truth).mean() < 0.15 * truth.mean()
    assert ValueHead.from_dict(model.head_.to_dict()).to_dict() == model.head_.to_dict()


def test_a_row_that_stands_for_many_counts_as_many() -> None:
    money, weight = np.array([10.0] * 50 + [30.0] * 50), np.array([3.0] * 50 + [1.0] * 50)

    assert ValueModel(quantile=1.0).fit(np.empty((100, 0)), money, weight).head_.mean == pytest.approx(15.0)


def test_a_prediction_stays_within_the_money_seen() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(3_000, 1))
    money = 10.0 * np.exp(1.0 * x[:, 0])
    model = ValueModel().fit(x, money)
    assert model.predict(np.array([[50.0], [-50.0]])).tolist() == [model.head_.high, model.head_.low]


def test_a_head_comes_back_from_json_values() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(1_500, 2))
    model = ValueModel().fit(x, 5.0 + np.exp(x[:, 0]))
    again = ValueHead.from_dict(model.head_.to_dict())
    assert again.to_dict() == model.head_.to_dict()
