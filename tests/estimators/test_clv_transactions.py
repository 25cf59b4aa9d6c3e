"""Three models of transactions behind one interface: each recovers its own truth, agrees with what is published, and never overflows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gammaln, hyp2f1

from estimators.arrays import FloatArray
from estimators.clv_bg_nbd import BetaGeo, BetaGeoParams
from estimators.clv_likelihood import group_histories
from estimators.clv_pareto_nbd import ParetoNbd, ParetoNbdParams, pareto_likelihood
from estimators.clv_transactions import TRANSACTION_MODELS, TransactionParams, fit_transactions, transactions_from_dict
from tests.estimators.test_clv_cdnow import sample

__all__ = ["sample"]

PARETO = ParetoNbdParams(r=0.8, alpha=40.0, s=0.9, beta=150.0)
MODIFIED = BetaGeoParams(r=0.8, alpha=40.0, a=0.9, b=3.0, modified=True)
EVERY = [PARETO, MODIFIED, BetaGeoParams(0.8, 40.0, 0.9, 3.0)]
Past = tuple[FloatArray, FloatArray, FloatArray, FloatArray]


def leaving_at_any_moment(n: int, seed: int, future: float) -> Past:
    """x, t_x, T and the purchases of the next days, drawn from Pareto/NBD."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(100.0, 400.0, n)
    rate, lives = rng.gamma(PARETO.r, 1 / PARETO.alpha, n), rng.exponential(1 / rng.gamma(PARETO.s, 1 / PARETO.beta, n))
    active = np.minimum(lives, age)
    x = rng.poisson(rate * active).astype(float)
    last = np.where(x > 0, active * rng.random(n) ** (1 / np.maximum(x, 1)), 0.0)
    return x, last, age, rng.poisson(rate * np.clip(lives - age, 0.0, future)).astype(float)


def leaving_after_a_purchase(n: int, seed: int, future: float) -> Past:
    """The same from MBG/NBD: the first purchase may be the last."""
    rng = np.random.default_rng(seed)
    out = np.zeros((4, n))
    out[2] = rng.uniform(100.0, 400.0, n)
    rate, lost = rng.gamma(MODIFIED.r, 1 / MODIFIED.alpha, n), rng.beta(MODIFIED.a, MODIFIED.b, n)
    for i in range(n):
        time = 0.0
        while rng.random() >= lost[i]:
            time += rng.exponential(1 / rate[i])
            if time > out[2, i] + future:
                break
            if time <= out[2, i]:
                out[0, i], out[1, i] = out[0, i] + 1, time
            else:
                out[3, i] += 1
    return out[0], out[1], out[2], out[3]


def test_pareto_nbd_recovers_its_truth_and_what_comes() -> None:
    x, t_x, age, future = leaving_at_any_moment(20_000, seed=0, future=180.0)
    params = ParetoNbd().fit(x, t_x, age).params_
    assert params.r == pytest.approx(PARETO.r, rel=0.1)
    assert params.r / params.alpha == pytest.approx(PARETO.r / PARETO.alpha, rel=0.1)
    assert params.s / params.beta == pytest.approx(PARETO.s / PARETO.beta, rel=0.25)
    expected = params.expected_transactions(180.0, x, t_x, age)
    assert expected.mean() == pytest.approx(future.mean(), rel=0.05)
    for low, high in ((0, 0), (1, 2), (3, 6), (7, 1000)):
        rows = (x >= low) & (x <= high)
        assert expected[rows].mean() == pytest.approx(future[rows].mean(), rel=0.15)


def test_mbg_nbd_recovers_its_truth_and_doubts_those_who_bought_once() -> None:
    x, t_x, age, future = leaving_after_a_purchase(8_000, seed=1, future=180.0)
    model = BetaGeo(modified=True).fit(x, t_x, age)
    assert model.params_.r == pytest.approx(MODIFIED.r, rel=0.15)
    assert model.params_.a / (model.params_.a + model.params_.b) == pytest.approx(0.9 / 3.9, rel=0.15)
    assert model.params_.expected_transactions(180.0, x, t_x, age).mean() == pytest.approx(future.mean(), rel=0.08)
    assert (model.params_.probability_alive(x, t_x, age)[x == 0] < 1.0).all()
    assert model.log_likelihood_ > BetaGeo().fit(x, t_x, age).log_likelihood_


def test_pareto_nbd_gives_the_published_parameters(sample: FloatArray) -> None:
    model = ParetoNbd().fit(*sample[:, :3].T)
    fitted = [model.params_.r, model.params_.alpha, model.params_.s, model.params_.beta]
    assert fitted == pytest.approx([0.553, 10.58, 0.606, 11.67], abs=6e-3)
    assert model.log_likelihood_ == pytest.approx(-9594.98, abs=0.05)


@pytest.mark.parametrize(
    "params", [PARETO, ParetoNbdParams(0.3, 0.02, 2, 5), ParetoNbdParams(3, 3, 0.3, 0.01), ParetoNbdParams(3, 300, 0.3, 0.01)]
)
def test_the_likelihood_is_the_published_one_and_its_gradient_is_exact(params: ParetoNbdParams) -> None:
    rows = np.array([[0, 0, 39], [0, 0, 1], [1, 0.1, 39], [1, 38.9, 39], [30, 10, 39], [30, 39, 39]], dtype=float).T
    np.testing.assert_allclose(params.log_likelihoods(*rows), _published(params, *rows), atol=1e-9)
    theta = np.array([params.r, params.alpha, params.s, params.beta])
    gradient = pareto_likelihood(theta, *rows)[1]
    for k, step in enumerate(theta * 1e-6):
        up, down = (pareto_likelihood(theta + sign * step * np.eye(4)[k], *rows)[0] for sign in (1, -1))
        np.testing.assert_allclose(gradient[k], (up - down) / (2 * step), rtol=1e-4, atol=1e-6 * np.abs(gradient).max())


def _published(p: ParetoNbdParams, x: FloatArray, t_x: FloatArray, age: FloatArray) -> FloatArray:
    large, second = (p.alpha, p.s + 1) if p.alpha >= p.beta else (p.beta, p.r + x)

    def part(t: FloatArray) -> FloatArray:
        k = p.r + p.s + x
        return np.asarray(hyp2f1(k, second, k + 1, abs(p.alpha - p.beta) / (large + t)) / (large + t) ** k)

    alive = (p.alpha + age) ** -(p.r + x) * (p.beta + age) ** -p.s
    total = alive + p.s / (p.r + p.s + x) * (part(t_x) - part(age))
    return np.asarray(gammaln(p.r + x) - gammaln(p.r) + p.r * np.log(p.alpha) + p.s * np.log(p.beta) + np.log(total))


def test_expected_purchases_under_pareto_nbd_agree_with_direct_integration() -> None:
    """Given alive the rates are Gamma(r + x, alpha + T) and Gamma(s, beta + T): E[Y] = E[rate] times the integral of E[e^-mu u]."""
    x, age, horizon = 3.0, 200.0, 150.0
    for s in (0.5, 1.0, 3.0):
        params = ParetoNbdParams(0.8, 40.0, s, 150.0)
        survived = quad(lambda u, s=s: ((150.0 + age) / (150.0 + age + u)) ** s, 0.0, horizon)[0]
        expected = (params.r + x) / (params.alpha + age) * survived
        assert float(params.expected_if_alive(horizon, np.array(x), np.array(age))) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("params", EVERY, ids=lambda params: params.kind)
def test_nothing_overflows_for_a_hundred_thousand_purchases_or_none(params: TransactionParams) -> None:
    x, t_x, age = np.array([1e5, 1e5, 0.0]), np.array([364.999, 100.0, 0.0]), np.array([365.0, 365.0, 365.0])
    alive, expected = params.probability_alive(x, t_x, age), params.expected_transactions(365.0, x, t_x, age)
    assert np.isfinite(params.log_likelihoods(x, t_x, age)).all()
    assert np.isfinite(expected).all()
    assert ((alive >= 0) & (alive <= 1)).all()
    assert alive[0] > 0.9
    assert alive[1] < 1e-6
    assert expected[0] > 1e4


@pytest.mark.parametrize("params", EVERY, ids=lambda params: params.kind)
def test_a_buyer_gets_the_same_numbers_alone_and_in_a_crowd_and_after_a_journey_through_json(params: TransactionParams) -> None:
    x, t_x, age, _ = leaving_at_any_moment(5_000, seed=2, future=1.0)
    again = transactions_from_dict(params.kind, params.to_dict())
    crowd = again.expected_transactions(90.0, x, t_x, age)
    alone = [params.expected_transactions(90.0, x[i : i + 1], t_x[i : i + 1], age[i : i + 1])[0] for i in range(20)]
    np.testing.assert_array_equal(crowd[:20], alone)


def test_equal_histories_count_once_and_change_nothing() -> None:
    x, t_x, age, _ = leaving_at_any_moment(3_000, seed=3, future=1.0)
    t_x, age = np.floor(t_x), np.ceil(age)
    groups = group_histories(x, t_x, age)
    assert len(groups.repeat) < len(x)
    np.testing.assert_array_equal(groups.age[groups.inverse], age)
    assert groups.counts.sum() == len(x)
    twice = [np.concatenate([values, values]) for values in (x, t_x, age)]
    once, double = (ParetoNbd().fit(*rows).params_ for rows in ((x, t_x, age), twice))
    assert list(double.to_dict().values()) == pytest.approx(list(once.to_dict().values()), rel=1e-3)


def test_buyers_who_never_leave_do_not_identify_pareto_nbd() -> None:
    rng = np.random.default_rng(4)
    age = np.full(3_000, 300.0)
    x = rng.poisson(rng.gamma(1.0, 0.01, 3_000) * age).astype(float)
    t_x = np.where(x > 0, age * rng.random(3_000) ** (1 / np.maximum(x, 1)), 0.0)
    with pytest.raises(ValueError, match=r"Pareto/NBD: .*Hint: use BG/NBD"):
        ParetoNbd().fit(x, t_x, age)


def test_a_model_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match="got 'pareto'; allowed: " + ", ".join(TRANSACTION_MODELS)):
        fit_transactions("pareto", np.ones(30), np.ones(30), np.full(30, 2.0))
