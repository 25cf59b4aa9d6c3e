"""Allocation of populations that are too large to be solved at once: compiled passes against plain ones, and what the answers hold to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.sparse import csr_array, vstack

from decisioning.allocation import Allocation, Limits, LocalCap, Offers, allocate
from decisioning.allocation.assignment import Assignment, _serve_compiled, _serve_one_by_one
from decisioning.allocation.dual import Contest, dual_bound, margins, wishes_plainly
from decisioning.allocation.local_prices import settle_caps
from decisioning.allocation.problem import Problem
from decisioning.allocation.relaxation import compete
from decisioning.allocation.shadow_prices import shadow_prices, smooth_dual, smooth_dual_plainly
from decisioning.errors import Infeasible
from decisioning.vocabulary import FloatArray
from tests.decisioning.strategies import allocations


def crowd(n_contacts: int, n_treatments: int, seed: int = 1) -> Offers:
    """Every treatment for everybody; the worth is normal, so that about half of it is below 0; treatment k uses one of limit k % 3."""
    rng = np.random.default_rng(seed)
    contact, treatment = (part.ravel() for part in np.mgrid[:n_contacts, :n_treatments])
    uses = (np.arange(n_treatments)[:, None] % 3 == np.arange(3)).astype(float)
    value = rng.normal(0.0, 10.0, len(contact)) + rng.normal(0.0, 5.0, n_contacts)[contact]
    return Offers(contact, treatment, value, treatment, uses, np.zeros(len(contact), dtype=bool), treatment)


def optimum(offers: Offers, limits: Limits, n_contacts: int) -> float:
    """The best value of divided offers, one a contact."""
    n = len(offers.value)
    one_each = csr_array((np.ones(n), (offers.contact, np.arange(n))), shape=(n_contacts, n))
    use = csr_array(offers.uses[offers.profile].T)
    capped = np.flatnonzero(np.isfinite(limits.most))
    rows = vstack([one_each, use[capped], -use], format="csr")
    right = np.concatenate([np.ones(n_contacts), limits.most[capped], -limits.least])
    return -float(linprog(-offers.value, A_ub=rows, b_ub=right, bounds=(0, 1), method="highs").fun)


def keeps_to(plan: Allocation, offers: Offers, limits: Limits) -> bool:
    used = offers.uses[offers.profile[plan.taken]].sum(axis=0)
    return bool((used <= limits.most).all() and (used >= limits.least).all() and np.array_equal(used, plan.used))


def contest_of(problem: Problem) -> tuple[Assignment, Contest]:
    served = Assignment(problem)
    return served, Contest.of(served, compete(served)[1])


# --- compiled and plain say the same ---------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(allocations(mandatory=False), st.integers(0, 2**32 - 1))
def test_serving_compiled_is_serving_one_by_one(problem: Problem, seed: int) -> None:
    rng = np.random.default_rng(seed)
    worth, wanted = rng.choice([1.0, 2.0, 3.0], len(problem.offers.value)), rng.random(len(problem.offers.value)) < 0.8
    order = rng.permutation(problem.n_contacts)
    plain, compiled = Assignment(problem), Assignment(problem)
    one_by_one, newly = (serve(held, order, worth, wanted) for serve, held in ((_serve_one_by_one, plain), (_serve_compiled, compiled)))
    assert one_by_one.tolist() == newly.tolist()
    assert plain.used.tolist() == compiled.used.tolist()
    assert plain.taken.tolist() == compiled.taken.tolist()
    assert plain.count.tolist() == compiled.count.tolist()
    assert [left.tolist() for left in plain.cap_left] == [left.tolist() for left in compiled.cap_left]


@settings(max_examples=40)
@given(allocations(mandatory=False), st.integers(0, 2**32 - 1))
def test_wishes_compiled_are_those_of_the_sorting(problem: Problem, seed: int) -> None:
    _, contest = contest_of(problem)
    prices = np.random.default_rng(seed).normal(0.0, 1.0, len(problem.limits.most)) / np.maximum(
        problem.offers.uses.max(axis=0, initial=1e-9), 1e-9
    )
    plain = wishes_plainly(contest, contest.reduced(prices))
    margin, worth = margins(replace(contest, compiled=True), prices)
    assert worth == pytest.approx(plain.worth)
    np.testing.assert_allclose(margin, plain.margin, rtol=1e-9, atol=1e-9 * max(1.0, np.abs(contest.value).max(initial=0.0)))


@settings(max_examples=40)
@given(allocations(mandatory=False, plain=True), st.floats(0.01, 3.0))
def test_the_smoothed_dual_compiled_is_that_of_the_formula(problem: Problem, temperature: float) -> None:
    _, contest = contest_of(problem)
    if not contest.n_contacts:
        return
    money = float(np.abs(contest.value).mean()) or 1.0
    prices = 0.3 * money / np.maximum(problem.offers.uses.max(axis=0, initial=1e-9), 1e-9)
    plain = smooth_dual_plainly(contest, prices, temperature * money)
    compiled = smooth_dual(replace(contest, compiled=True), prices, temperature * money)
    assert compiled.value == pytest.approx(plain.value, rel=1e-6)
    np.testing.assert_allclose(compiled.used, plain.used, rtol=1e-6, atol=1e-9 * problem.offers.uses.max(initial=0.0))
    scale = np.abs(plain.hessian).max(initial=0.0)
    np.testing.assert_allclose(compiled.hessian, plain.hessian, rtol=1e-4, atol=1e-6 * scale)


def test_the_smoothed_dual_falls_by_its_slope() -> None:
    offers = crowd(50, 6)
    _, contest = contest_of(Problem(offers, Limits.at_most(np.full(3, 5.0)), 50))
    at, step = np.array([3.0, 0.5, 1.0]), 1e-5
    here = smooth_dual_plainly(contest, at, 2.0)
    for limit in range(3):
        shifted = at + step * (np.arange(3) == limit)
        there = smooth_dual_plainly(contest, shifted, 2.0)
        assert (there.value - here.value) / step == pytest.approx(-here.used[limit], rel=1e-3)
        np.testing.assert_allclose((there.used - here.used) / step, -here.hessian[limit], rtol=1e-3, atol=1e-4)


# --- large populations -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("most", "least"),
    [
        ([900.0, 700.0, np.inf], [0.0, 0.0, 0.0]),
        ([900.0, np.inf, np.inf], [0.0, 1400.0, 1200.0]),
        ([900.0, 1000.0, 1100.0], [900.0, 950.0, 100.0]),
    ],
)
def test_the_bound_of_a_large_population_is_the_optimum_and_the_plan_is_close_to_it(most: list[float], least: list[float]) -> None:
    offers, limits = crowd(3_000, 9), Limits(np.array(most), np.array(least))
    plan = allocate(offers, limits, 3_000)
    best = optimum(offers, limits, 3_000)
    assert keeps_to(plan, offers, limits)
    assert best * (1 - 1e-9) <= plan.bound <= best * (1 + 1e-5)
    assert plan.gap < 1e-4


def test_what_a_limit_costs_a_large_population_is_what_it_would_gain() -> None:
    offers, limits = crowd(4_000, 6), Limits(np.array([300.0, 2000.0, np.inf]), np.array([0.0, 0.0, 1500.0]))
    plan = allocate(offers, limits, 4_000)
    gains = [optimum(offers, limits.without(one), 4_000) - optimum(offers, limits, 4_000) for one in range(3)]
    np.testing.assert_allclose(plan.cost_of_limit, gains, rtol=0.02, atol=1e-4 * plan.bound)


def test_a_price_of_a_large_population_is_near_that_of_the_linear_programme() -> None:
    offers = crowd(2_500, 6)
    _, contest = contest_of(Problem(offers, Limits(np.array([300.0, np.inf, np.inf]), np.array([0.0, 900.0, 0.0])), 2_500))
    prices = shadow_prices(contest)
    assert prices is not None
    for limit in range(3):
        for step in (-0.2, 0.2):
            moved = prices + step * (np.arange(3) == limit) * (prices != 0)
            assert dual_bound(contest, moved) >= dual_bound(contest, prices) * (1 - 1e-6)


@pytest.mark.parametrize(("most", "least"), [(2_000.0, 0.0), (np.inf, 5_000.0), (4_000.0, 4_000.0), (3_000.0, 2_500.0)])
def test_equals_by_the_thousand_fill_a_maximum_and_meet_a_minimum(most: float, least: float) -> None:
    n = 6_000
    contact, treatment = (part.ravel() for part in np.mgrid[:n, :2])
    value = np.where(treatment == 0, 5.0, 4.0)
    offers = Offers(contact, treatment, value, treatment, np.array([[0.0], [1.0]]), np.zeros(2 * n, dtype=bool), treatment)
    plan = allocate(offers, Limits(np.array([most]), np.array([least])), n)
    assert plan.used.tolist() == [least]
    assert plan.value == 5.0 * (n - least) + 4.0 * least
    assert plan.gap < 1e-9


def test_several_treatments_a_contact_within_the_room_of_accounts() -> None:
    n = 2_000
    offers, rng = crowd(n, 6), np.random.default_rng(2)
    accounts = LocalCap(rng.integers(-1, n // 6, n), np.full(n // 6, 3), np.arange(6) < 4)
    limits = Limits(np.array([400.0, 500.0, np.inf]), np.array([0.0, 0.0, 600.0]))
    plan = allocate(offers, limits, n, per_contact=2, caps=[accounts])
    assert keeps_to(plan, offers, limits)
    assert np.bincount(offers.contact[plan.taken]).max() == 2
    unit = accounts.unit_of[offers.contact[plan.taken]][accounts.members[offers.treatment[plan.taken]]]
    assert np.bincount(unit[unit >= 0]).max() <= 3
    assert plan.gap < 0.01


def test_the_price_of_an_account_is_what_the_first_without_room_would_gain() -> None:
    value = np.array([9.0, 7.0, 4.0, 3.0])
    offers = Offers(
        np.arange(4),
        np.zeros(4, dtype=int),
        value,
        np.zeros(4, dtype=int),
        np.zeros((1, 0)),
        np.zeros(4, dtype=bool),
        np.zeros(4, dtype=int),
    )
    cap = LocalCap(np.array([0, 0, 0, -1]), np.array([2]), np.array([True]))
    _, contest = contest_of(Problem(offers, Limits.at_most(np.zeros(0)), 4, caps=(cap,)))
    settled = settle_caps(contest, np.zeros(0))
    assert settled[0].tolist() == [4.0]
    assert dual_bound(contest, np.zeros(0), settled) == 9.0 + 7.0 + 3.0


def test_a_clash_in_a_large_population_is_named_by_its_limits_and_its_amount() -> None:
    offers = crowd(5_000, 6)
    with pytest.raises(Infeasible) as refused:
        allocate(offers, Limits(np.array([800.0, np.inf, np.inf]), np.array([0.0, 4_000.0, 2_000.0])), 5_000)
    assert [(one.limit, one.side, round(one.by)) for one in refused.value.clash] == [(1, "least", 1000), (2, "least", 1000)]


def test_evenly_spaced_samples_keep_accounts_whole() -> None:
    n = 1_000
    offers = crowd(n, 3)
    firm: FloatArray = np.arange(n) % 100
    cap = LocalCap(firm.astype(np.int64), np.full(100, 2), np.ones(3, dtype=bool))
    _, contest = contest_of(Problem(offers, Limits.at_most(np.full(3, 9.0)), n, caps=(cap,)))
    part = contest.sample(200)
    whole = np.bincount(contest.units[0], minlength=100)
    kept = np.bincount(part.units[0], minlength=100)
    assert 150 <= part.n_contacts <= 250
    assert ((kept == 0) | (kept == whole)).all()


def test_a_limit_with_nothing_left_shuts_its_offers_out_and_says_what_that_costs() -> None:
    rng = np.random.default_rng(5)
    n, kinds = 3_000, 4
    contact, treatment = np.repeat(np.arange(n), kinds), np.tile(np.arange(kinds), n)
    uses = np.array([[0.0, 0.0], [0.02, 0.0], [0.5, 1.0], [2.5, 0.0]])
    value = rng.exponential(5.0, n * kinds)
    offers = Offers(contact, treatment, value, treatment, uses, np.zeros(n * kinds, dtype=bool), treatment)
    firms = LocalCap(rng.integers(-1, n // 5, n), np.full(n // 5, 2), np.ones(kinds, dtype=bool))
    for caps in ((), (firms,)):
        made = allocate(offers, Limits.at_most(np.array([500.0, 0.0])), n, caps=caps)
        free = allocate(offers, Limits.at_most(np.array([500.0, np.inf])), n, caps=caps)
        assert made.used[1] == 0.0
        assert made.shadow_prices[1] > 0
        assert np.isfinite(made.bound) and made.gap < 1e-2
        assert made.cost_of_limit[1] == pytest.approx(free.bound - made.bound, rel=0.05, abs=1e-6)
