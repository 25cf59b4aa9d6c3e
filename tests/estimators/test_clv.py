"""Buyers simulated from the models' own assumptions are recovered; what the data cannot say is refused."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta as beta_distribution

from estimators.arrays import Columns, FloatArray
from estimators.clv import Horizon, TweedieClv, btyd_money, fit_btyd, value_of_non_buyers
from estimators.clv_bg_nbd import BetaGeo, BetaGeoParams
from estimators.clv_gamma_gamma import GammaGamma, GammaGammaParams
from estimators.clv_heads import BtydClvHead, BuyingHistory
from tests.estimators.worlds import NOW

TRUTH = BetaGeoParams(r=0.8, alpha=40.0, a=0.9, b=3.0)
MONEY = GammaGammaParams(p=5.0, q=4.0, v=30.0)


@dataclass(frozen=True)
class Buyers:
    """A simulated past of `age` days and the future that follows."""

    repeat: FloatArray
    last_gap: FloatArray
    age: FloatArray
    mean_money: FloatArray
    future_count: FloatArray
    future_money: FloatArray


def buyers(n: int, seed: int, future_days: float = 180.0) -> Buyers:
    """n buyers drawn from BG/NBD and Gamma-Gamma with the truth above."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(100.0, 400.0, n)
    rate, lost = rng.gamma(TRUTH.r, 1 / TRUTH.alpha, n), rng.beta(TRUTH.a, TRUTH.b, n)
    spend_rate = rng.gamma(MONEY.q, 1 / MONEY.v, n)
    out = np.zeros((5, n))
    for i in range(n):
        time, past = 0.0, []
        while True:
            time += rng.exponential(1 / rate[i])
            if time > age[i] + future_days:
                break
            money = rng.gamma(MONEY.p, 1 / spend_rate[i])
            if time <= age[i]:
                past.append(money)
                out[1, i] = time
            else:
                out[3, i] += 1
                out[4, i] += money
            if rng.random() < lost[i]:
                break
        out[0, i], out[2, i] = len(past), np.mean(past) if past else np.nan
    return Buyers(out[0], out[1], age, *out[2:])


WORLD = buyers(6_000, seed=0)


def history(world: Buyers) -> BuyingHistory:
    return BuyingHistory(world.repeat, world.last_gap, world.age, world.mean_money, np.ones(len(world.age), dtype=bool))


def test_bg_nbd_recovers_how_buyers_behave() -> None:
    params = BetaGeo().fit(WORLD.repeat, WORLD.last_gap, WORLD.age).params_
    assert params.r == pytest.approx(TRUTH.r, rel=0.15)
    assert params.r / params.alpha == pytest.approx(TRUTH.r / TRUTH.alpha, rel=0.1)
    assert params.a / (params.a + params.b) == pytest.approx(TRUTH.a / (TRUTH.a + TRUTH.b), rel=0.15)


def test_expected_purchases_are_right_in_total_and_in_every_class_of_buyer() -> None:
    params = BetaGeo().fit(WORLD.repeat, WORLD.last_gap, WORLD.age).params_
    fresh = buyers(6_000, seed=1)
    expected = params.expected_transactions(180.0, fresh.repeat, fresh.last_gap, fresh.age)
    assert expected.mean() == pytest.approx(fresh.future_count.mean(), rel=0.08)
    for low, high in ((0, 0), (1, 2), (3, 6), (7, 100)):
        rows = (fresh.repeat >= low) & (fresh.repeat <= high)
        assert expected[rows].mean() == pytest.approx(fresh.future_count[rows].mean(), rel=0.2)


def test_who_is_still_a_buyer_is_told_apart() -> None:
    alive = TRUTH.probability_alive(WORLD.repeat, WORLD.last_gap, WORLD.age)
    bought = WORLD.future_count > 0
    assert alive[bought].mean() > alive[~bought].mean() + 0.2
    assert (alive[WORLD.repeat == 0] == 1.0).all()


@pytest.mark.parametrize(
    "params", [TRUTH, BetaGeoParams(0.24, 31.0, 0.3, 0.4), BetaGeoParams(2.0, 10.0, 1.0, 5.0), BetaGeoParams(5, 2, 3, 1)]
)
@pytest.mark.parametrize(("repeat", "last_gap", "age"), [(0, 0, 50), (2, 100, 300), (40, 290, 300), (400, 299, 300)])
def test_expected_purchases_agree_with_direct_integration(params: BetaGeoParams, repeat: float, last_gap: float, age: float) -> None:
    """Given alive, the drop-out probability is Beta(a, b + x) and E[Y | p] = (1 - (1 + p t / (alpha + T))^-(r + x)) / p."""
    horizon = 200.0

    def integrand(p: float) -> float:
        gone = -np.expm1(-(params.r + repeat) * np.log1p(p * horizon / (params.alpha + age)))
        return float(gone / p * beta_distribution.pdf(p, params.a, params.b + repeat))

    edges = beta_distribution.ppf([1e-12, 1e-4, 0.01, 0.1, 0.5, 0.9, 0.99, 1 - 1e-9], params.a, params.b + repeat)
    alive = sum(quad(integrand, low, high, limit=200)[0] for low, high in pairwise(edges))
    p_alive = float(params.probability_alive(np.array(repeat), np.array(last_gap), np.array(age)))
    expected = float(params.expected_transactions(horizon, np.array(repeat), np.array(last_gap), np.array(age)))
    assert expected == pytest.approx(alive * p_alive, rel=2e-3)


def test_gamma_gamma_recovers_what_buyers_spend() -> None:
    model = GammaGamma().fit(WORLD.repeat, WORLD.mean_money)
    truth = MONEY.p * MONEY.v / (MONEY.q - 1)
    assert model.params_.expected_money(np.zeros(1), np.full(1, np.nan))[0] == pytest.approx(truth, rel=0.05)
    fresh = buyers(4_000, seed=2)
    again = fresh.future_count > 0
    per_purchase = fresh.future_money[again].sum() / fresh.future_count[again].sum()
    expected = model.params_.expected_money(fresh.repeat, fresh.mean_money)[again]
    assert np.average(expected, weights=fresh.future_count[again]) == pytest.approx(per_purchase, rel=0.05)
    assert abs(model.frequency_money_correlation_) < 0.1


def test_the_money_over_a_window_is_right_in_total() -> None:
    head = fit_btyd(history(WORLD), Horizon(365.0), value_without_purchase=0.0)
    fresh = buyers(6_000, seed=3)
    assert btyd_money(head, history(fresh), 180.0).mean() == pytest.approx(fresh.future_money.mean(), rel=0.12)


def test_discount_and_margin_lower_the_value_and_a_longer_horizon_raises_it() -> None:
    plain, dear = (BtydClvHead(TRUTH, MONEY, margin, rate, 0.0) for margin, rate in ((1.0, 0.0), (0.3, 0.2)))
    past = history(WORLD)
    undiscounted = TRUTH.expected_transactions(365.0, past.repeat, past.last_gap, past.age)
    np.testing.assert_allclose(plain.discounted_transactions(past, 365.0), undiscounted, rtol=1e-9)
    ratio = dear.clv(past, 365.0) / plain.clv(past, 365.0)
    assert ((ratio > 0.3 / 1.2) & (ratio < 0.3)).all()
    assert (plain.clv(past, 730.0) > plain.clv(past, 365.0)).all()


def test_a_contact_without_a_purchase_is_worth_what_such_contacts_turned_out_to_be() -> None:
    worth = value_of_non_buyers(np.array([0.0, 30.0, 500.0]), np.array([False, False, True]), factor=2.0)
    assert worth == 30.0
    assert value_of_non_buyers(np.array([5.0]), np.array([True]), factor=2.0) == 0.0
    columns: Columns = {"purchase_count": np.array([0.0, np.nan]), "days_since_first_purchase": np.array([np.nan, np.nan])}
    assert BtydClvHead(TRUTH, MONEY, 1.0, 0.1, worth).clv(BuyingHistory.of(columns, NOW), 365.0).tolist() == [30.0, 30.0]


def test_a_broken_history_is_read_as_the_nearest_possible_one() -> None:
    columns: Columns = {
        "purchase_count": np.array([3.0, 1.0, np.nan]),
        "days_since_first_purchase": np.array([10.0, 10.0, 10.0]),
        "repeat_purchase_days": np.array([2.0, -1.0, np.nan]),
        "last_gap_days": np.array([99.0, 5.0, np.nan]),
    }
    read = BuyingHistory.of(columns, NOW)
    assert read.repeat.tolist() == [2.0, 0.0, 0.0]
    assert read.last_gap.tolist() == [10.0, 0.0, 0.0]
    assert read.is_buyer.all()
    assert np.isfinite(BtydClvHead(TRUTH, MONEY, 1.0, 0.1, 0.0).clv(read, 365.0)).all()


SOME = np.arange(1.0, 31.0)


@pytest.mark.parametrize(
    ("repeat", "last_gap", "age", "message"),
    [
        (0 * SOME, 0 * SOME, SOME, "too few buyers bought twice; got 0"),
        (SOME, 2 * SOME, SOME, "30 rows break"),
        (SOME, SOME, np.nan * SOME, "30 rows break"),
        (SOME, SOME, SOME[:3], "differ in length"),
    ],
)
def test_histories_that_do_not_identify_bg_nbd_are_refused(repeat: FloatArray, last_gap: FloatArray, age: FloatArray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BetaGeo().fit(repeat, last_gap, age)


def test_buyers_who_are_never_lost_are_no_obstacle() -> None:
    rng = np.random.default_rng(4)
    age = np.full(3_000, 300.0)
    repeat = rng.poisson(rng.gamma(1.0, 0.01, 3_000) * age).astype(float)
    last_gap = np.where(repeat > 0, age * rng.random(3_000) ** (1 / np.maximum(repeat, 1)), 0.0)
    model = BetaGeo().fit(repeat, last_gap, age)
    assert model.params_.expected_transactions(300.0, repeat, last_gap, age).mean() == pytest.approx(repeat.mean(), rel=0.1)
    assert model.params_.a / (model.params_.a + model.params_.b) < 0.01


def test_buyers_who_all_buy_at_one_rate_do_not_identify_its_spread() -> None:
    rng = np.random.default_rng(0)
    age = np.full(2_000, 300.0)
    repeat = rng.poisson(3.0, 2_000).astype(float)
    last_gap = np.where(repeat > 0, age * rng.random(2_000) ** (1 / np.maximum(repeat, 1)), 0.0)
    with pytest.raises(ValueError, match="do not identify the purchase rate"):
        BetaGeo().fit(repeat, last_gap, age)


@pytest.mark.parametrize(
    ("money", "message"),
    [(np.full(30, 25.0), "every buyer pays the same"), (np.full(30, np.nan), "too few buyers"), (-SOME, "too few buyers")],
)
def test_money_that_does_not_identify_gamma_gamma_is_refused(money: FloatArray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GammaGamma().fit(SOME, money)


def test_money_without_a_finite_mean_is_refused() -> None:
    rng = np.random.default_rng(6)
    money = rng.gamma(2.0, 1.0, 3_000) / rng.gamma(0.6, 1.0, 3_000)
    with pytest.raises(ValueError, match="no finite mean"):
        GammaGamma().fit(np.ones(3_000), money)


def test_tweedie_learns_who_will_spend() -> None:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(8_000, 4))
    mean = 20.0 * np.exp(0.8 * x[:, 0])
    spend = np.where(rng.random(8_000) < 0.3, rng.gamma(1.0, mean / 0.3), 0.0)
    model = TweedieClv().fit(x[:6_000], spend[:6_000])
    predicted = model.predict(x[6_000:])
    assert predicted.mean() == pytest.approx(mean[6_000:].mean(), rel=0.1)
    assert np.corrcoef(np.log(predicted), np.log(mean[6_000:]))[0, 1] > 0.9
    np.testing.assert_allclose(model.head(0.5).level, 0.5 * model.mean_)


@pytest.mark.parametrize(
    ("money", "message"),
    [(np.ones(50), "too few contacts; got 50"), (np.zeros(200), "somebody must have spent"), (np.full(200, np.nan), "must be finite")],
)
def test_money_that_teaches_nothing_is_refused(money: FloatArray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TweedieClv().fit(np.zeros((len(money), 2)), money)


def test_the_horizon_factor_discounts_an_even_stream() -> None:
    factor = Horizon(365.25, margin=1.0, annual_discount_rate=0.10).factor(365.25)
    assert factor == pytest.approx((1 - 1 / 1.1) / np.log(1.1))
