"""Allocation: laws that hold for any offers and limits, and the exact optimum on small ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from decisioning.allocation import NONE, Allocation, Offers, allocate
from decisioning.assignment import Assignment
from decisioning.dual import Market, dual_bound, shadow_prices
from decisioning.vocabulary import FloatArray
from tests.decisioning.strategies import allocations

ROUNDING = 1e-9


def constraints_of(offers: Offers, limits: FloatArray, n_contacts: int) -> tuple[FloatArray, FloatArray]:
    """At most one offer a contact, and the limits, as a matrix and its right-hand side."""
    one_each = (offers.contact[None, :] == np.arange(n_contacts)[:, None]).astype(float)
    return np.vstack([one_each, offers.use.T]), np.concatenate([np.ones(n_contacts), limits])


def chosen_value(offers: Offers, plan: Allocation) -> float:
    return float(offers.value[plan.choice[plan.choice != NONE]].sum())


@settings(max_examples=120)
@given(allocations())
def test_no_limit_is_ever_exceeded_and_nobody_gets_anothers_offer(problem: tuple[Offers, FloatArray, int]) -> None:
    offers, limits, n_contacts = problem
    plan = allocate(offers, limits, n_contacts)
    chosen = plan.choice[plan.choice != NONE]
    exact = np.array([math.fsum(column) for column in offers.use[chosen].T.tolist()])
    assert (exact <= limits).all()
    np.testing.assert_array_equal(plan.used, exact)
    np.testing.assert_array_equal(plan.slack, limits - exact)
    assert offers.contact[chosen].tolist() == np.flatnonzero(plan.choice != NONE).tolist()


@settings(max_examples=120)
@given(allocations())
def test_the_bound_is_above_the_value_and_prices_are_not_negative(problem: tuple[Offers, FloatArray, int]) -> None:
    offers, limits, n_contacts = problem
    plan = allocate(offers, limits, n_contacts)
    assert plan.value == pytest.approx(chosen_value(offers, plan))
    assert plan.value <= plan.bound + ROUNDING * max(1.0, abs(plan.bound))
    assert (plan.shadow_prices >= 0).all()
    assert 0 <= plan.gap <= 1 + ROUNDING


@settings(max_examples=120)
@given(allocations(mandatory=False))
def test_nothing_that_would_still_fit_is_left_undone(problem: tuple[Offers, FloatArray, int]) -> None:
    offers, limits, n_contacts = problem
    plan = allocate(offers, limits, n_contacts)
    unserved = plan.choice[offers.contact] == NONE
    fits = (plan.used + offers.use <= limits).all(axis=1)
    assert not (unserved & fits & (offers.value > 0)).any()


@settings(max_examples=80)
@given(allocations())
def test_mandatory_offers_are_served_before_all_others(problem: tuple[Offers, FloatArray, int]) -> None:
    offers, limits, n_contacts = problem
    alone = Offers(offers.contact, offers.treatment, offers.value, offers.use, offers.first)
    kept = offers.first
    only = Offers(offers.contact[kept], offers.treatment[kept], offers.value[kept], offers.use[kept], offers.first[kept])
    with_others, without = allocate(alone, limits, n_contacts), allocate(only, limits, n_contacts)
    served = np.flatnonzero(without.choice != NONE)
    expected = np.flatnonzero(kept)[without.choice[served]]
    assert with_others.choice[served].tolist() == expected.tolist()


def test_of_two_mandatory_offers_a_contact_gets_the_better() -> None:
    offers = Offers(np.array([0, 0]), np.array([0, 1]), np.array([-3.0, -1.0]), np.zeros((2, 0)), np.ones(2, dtype=np.bool_))
    plan = allocate(offers, np.zeros(0), 1)
    assert (plan.choice.tolist(), plan.gap) == ([1], 0.0)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_small_problems_are_solved_to_the_optimum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_contacts, n_treatments, n_limits = int(rng.integers(1, 11)), int(rng.integers(1, 5)), int(rng.integers(1, 4))
    contact, treatment = (part.ravel() for part in np.mgrid[:n_contacts, :n_treatments])
    value = np.round(rng.exponential(10.0, len(contact)), 2) + 0.01
    use = np.where(rng.random((len(contact), n_limits)) < 0.6, rng.choice([1.0, 0.5, 2.25, 18.0], (len(contact), n_limits)), 0.0)
    limits = use.sum(axis=0) * rng.choice([0.05, 0.1, 0.2, 0.5], n_limits)
    offers = Offers(contact, treatment, value, use, np.zeros(len(contact), dtype=np.bool_))
    rows, most = constraints_of(offers, limits, n_contacts)
    best = -milp(-value, integrality=np.ones(len(value)), bounds=Bounds(0, 1), constraints=LinearConstraint(rows, ub=most)).fun
    plan = allocate(offers, limits, n_contacts)
    assert plan.value <= best + 1e-6
    assert plan.value >= 0.99 * best - 1e-6


def test_larger_problems_come_within_a_thousandth_of_the_bound_on_average() -> None:
    rng = np.random.default_rng(7)
    gaps = []
    for _ in range(10):
        contact, treatment = (part.ravel() for part in np.mgrid[:400, :6])
        use = rng.exponential(1.0, (len(contact), 3)) * (rng.random((len(contact), 3)) < 0.5)
        offers = Offers(contact, treatment, rng.exponential(10.0, len(contact)), use, np.zeros(len(contact), dtype=np.bool_))
        gaps.append(allocate(offers, np.array([40.0, 60.0, 80.0]), 400).gap)
    assert np.mean(gaps) < 1e-3


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_shadow_prices_are_the_duals_of_the_linear_programme(seed: int) -> None:
    rng = np.random.default_rng(seed)
    contact, treatment = (part.ravel() for part in np.mgrid[:40, :4])
    use = rng.exponential(1.0, (160, 2)) * (rng.random((160, 2)) < 0.7)
    offers = Offers(contact, treatment, rng.exponential(10.0, 160), use, np.zeros(160, dtype=np.bool_))
    limits = np.array([6.0, 9.0])
    rows, most = constraints_of(offers, limits, 40)
    exact = linprog(-offers.value, A_ub=rows, b_ub=most, bounds=(0, 1), method="highs")
    market = Market(offers.value, offers.use, np.arange(0, 160, 4), limits)
    prices = shadow_prices(market)
    assert dual_bound(market, prices) == pytest.approx(-exact.fun, rel=1e-6)
    np.testing.assert_allclose(prices, -exact.ineqlin.marginals[40:], rtol=0.02, atol=0.02)


def test_a_price_says_what_one_more_unit_is_worth() -> None:
    values = np.arange(100.0, 0.0, -1.0)
    offers = Offers(np.arange(100), np.zeros(100, dtype=np.int64), values, np.ones((100, 1)), np.zeros(100, dtype=np.bool_))
    plan = allocate(offers, np.array([30.0]), 100)
    assert plan.choice[:30].tolist() == list(range(30))
    assert 70.0 <= plan.shadow_prices[0] <= 71.0
    assert plan.gap == pytest.approx(0.0, abs=1e-6)


def test_a_limit_that_does_not_bind_has_no_price() -> None:
    offers = Offers(np.arange(5), np.zeros(5, dtype=np.int64), np.ones(5), np.ones((5, 2)), np.zeros(5, dtype=np.bool_))
    assert allocate(offers, np.array([5.0, 2.0]), 5).shadow_prices[0] == 0.0


def test_a_limit_of_zero_is_priced_so_that_nobody_would_want_it() -> None:
    values, uses = np.array([5.0, 9.0, 4.0]), np.array([[2.0, 0.0], [3.0, 1.0], [0.0, 1.0]])
    offers = Offers(np.array([0, 1, 1]), np.array([0, 0, 1]), values, uses, np.zeros(3, dtype=np.bool_))
    plan = allocate(offers, np.array([0.0, 10.0]), 2)
    assert plan.choice.tolist() == [NONE, 2]
    assert plan.shadow_prices.tolist() == [2.5, 0.0]  # 5 / 2; and (9 - 4) / 3 less
    assert (offers.value - offers.use @ plan.shadow_prices <= [0.0, 4.0, 4.0]).all()


@pytest.mark.parametrize("money", [1e-6, 1.0, 1e9])
@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e9])
def test_no_scale_of_money_or_of_use_changes_the_choice(money: float, unit: float) -> None:
    rng = np.random.default_rng(3)
    contact, treatment = (part.ravel() for part in np.mgrid[:200, :5])
    value, use = np.exp(rng.normal(0.0, 4.0, 1000)), rng.choice([0.02, 0.12, 18.0], (1000, 2))
    nobody = np.zeros(1000, dtype=np.bool_)
    plain = allocate(Offers(contact, treatment, value, use, nobody), np.array([50.0, 90.0]), 200)
    scaled = allocate(Offers(contact, treatment, value * money, use * unit, nobody), np.array([50.0, 90.0]) * unit, 200)
    np.testing.assert_allclose(scaled.shadow_prices, plain.shadow_prices * money / unit, rtol=1e-3)
    assert scaled.value == pytest.approx(plain.value * money, rel=1e-6)


def test_values_from_next_to_nothing_to_millions_are_allocated_with_a_small_gap() -> None:
    rng = np.random.default_rng(4)
    contact, treatment = (part.ravel() for part in np.mgrid[:2000, :5])
    value, use = 10.0 ** rng.uniform(-4, 6, 10_000), rng.choice([0.0001, 1.0], (10_000, 2))
    plan = allocate(Offers(contact, treatment, value, use, np.zeros(10_000, dtype=np.bool_)), np.array([100.0, 200.0]), 2000)
    assert plan.gap < 5e-3  # the best uses a hundredth of a limit each, so that much may stay idle


@pytest.mark.parametrize("capacity", [0.0, 1.0, 500.0, 1999.0, 5000.0])
def test_equals_fill_a_capacity_to_the_last_unit(capacity: float) -> None:
    offers = Offers(np.arange(2000), np.zeros(2000, dtype=np.int64), np.full(2000, 7.0), np.ones((2000, 1)), np.zeros(2000, dtype=np.bool_))
    plan = allocate(offers, np.array([capacity]), 2000)
    assert plan.used.tolist() == [min(capacity, 2000.0)]
    assert plan.gap < 1e-4
    assert (np.diff((plan.choice != NONE).astype(int)) <= 0).all()  # the first come first


def test_fifty_offers_of_two_cents_fit_into_a_budget_of_one() -> None:
    offers = Offers(np.arange(100), np.zeros(100, dtype=np.int64), np.ones(100), np.full((100, 1), 0.02), np.zeros(100, dtype=np.bool_))
    plan = allocate(offers, np.array([1.0]), 100)
    assert (int((plan.choice != NONE).sum()), plan.used.tolist()) == (50, [1.0])


def test_limits_that_nobody_uses_change_nothing() -> None:
    rng = np.random.default_rng(5)
    contact, treatment = (part.ravel() for part in np.mgrid[:50, :3])
    offers = Offers(contact, treatment, rng.exponential(1.0, 150), np.zeros((150, 2)), np.zeros(150, dtype=np.bool_))
    plan = allocate(offers, np.array([0.0, 5.0]), 50)
    assert (plan.shadow_prices.tolist(), plan.used.tolist(), plan.gap) == ([0.0, 0.0], [0.0, 0.0], 0.0)
    assert plan.value == pytest.approx(np.maximum.reduceat(offers.value, np.arange(0, 150, 3)).sum())


@pytest.mark.parametrize("n_limits", [0, 2])
def test_without_offers_there_is_nothing_to_do(n_limits: int) -> None:
    nothing = np.zeros(0, dtype=np.int64)
    offers = Offers(nothing, nothing, np.zeros(0), np.zeros((0, n_limits)), np.zeros(0, dtype=np.bool_))
    plan = allocate(offers, np.ones(n_limits), 3)
    assert (plan.choice.tolist(), plan.value, plan.bound, plan.gap) == ([NONE] * 3, 0.0, 0.0, 0.0)
    assert plan.slack.tolist() == [1.0] * n_limits


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": np.array([1.0, np.nan])}, "the value of an offer is not a finite number"),
        ({"value": np.array([1.0, np.inf])}, "the value of an offer is not a finite number"),
        ({"use": np.array([[1.0], [-1.0]])}, "what an offer uses of a limit is not a finite number, or is negative"),
        ({"use": np.array([[1.0], [np.nan]])}, "what an offer uses of a limit is not a finite number, or is negative"),
        ({"contact": np.array([1, 0])}, "offers must be sorted by contact"),
    ],
)
def test_offers_that_make_no_sense_are_refused(change: dict[str, FloatArray], message: str) -> None:
    parts = {
        "contact": np.array([0, 1]),
        "treatment": np.array([0, 0]),
        "value": np.ones(2),
        "use": np.ones((2, 1)),
        "first": np.zeros(2, dtype=np.bool_),
    }
    with pytest.raises(ValueError, match=message):
        Offers(**(parts | change))


@settings(max_examples=80)
@given(allocations())
def test_handing_out_many_at_a_time_is_handing_out_one_by_one(problem: tuple[Offers, FloatArray, int]) -> None:
    offers, limits, n_contacts = problem
    order = np.lexsort((-offers.value, offers.contact))
    together = Assignment(offers.contact, offers.use, limits, n_contacts)
    together.take(order)
    alone = Assignment(offers.contact, offers.use, limits, n_contacts)
    for offer in order:
        alone.take(np.array([offer]))
    assert together.choice.tolist() == alone.choice.tolist()
