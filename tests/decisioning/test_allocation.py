"""Allocation: laws that hold for any offers, limits and caps, and the exact optimum of small ones."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from decisioning.allocation import NONE, Allocation, Limits, LocalCap, Offers, allocate
from decisioning.allocation.problem import Problem
from decisioning.errors import Infeasible
from decisioning.vocabulary import FloatArray
from tests.decisioning.strategies import allocations

ROUNDING = 1e-9
SOLVERS_TOLERANCE = 1e-5
"""Of a limit: above what HiGHS lets a whole solution exceed it by, so that within as much less it keeps to it."""


def allocated(problem: Problem) -> Allocation:
    return allocate(problem.offers, problem.limits, problem.n_contacts, per_contact=problem.per_contact, caps=problem.caps)


def or_none(problem: Problem) -> Allocation | None:
    """The allocation, or None where the limits contradict one another."""
    try:
        return allocated(problem)
    except Infeasible:
        return None


def rows_of(problem: Problem) -> LinearConstraint:
    """Every constraint of the problem as a dense row, written down once more in the plainest way."""
    offers = problem.offers
    pairs = np.unique(np.column_stack([offers.contact, offers.action]), axis=0)
    of_contacts = [(offers.contact == i, 0.0, problem.per_contact) for i in range(problem.n_contacts)]
    of_actions = [((offers.contact == i) & (offers.action == a), 0.0, 1.0) for i, a in pairs.tolist()]
    unit = np.where(offers.uses.max(axis=0, initial=0.0) > 0, offers.uses.max(axis=0, initial=0.0), 1.0)  # so that tolerances are relative
    of_limits = list(zip((offers.uses[offers.profile] / unit).T, problem.limits.least / unit, problem.limits.most / unit, strict=True))
    of_caps = [
        ((cap.unit_of[offers.contact] == unit) & cap.members[offers.treatment], 0.0, room)
        for cap in problem.caps
        for unit, room in enumerate(cap.room.tolist())
    ]
    rows = [*of_contacts, *of_actions, *of_limits, *of_caps]
    matrix = np.array([row for row, _, _ in rows], dtype=float).reshape(len(rows), len(offers.value))
    return LinearConstraint(matrix, [low for _, low, _ in rows], [high for _, _, high in rows])


def exact(problem: Problem) -> float | None:
    """The best value there is, None where there is no solution."""
    if not len(problem.offers.value):
        return 0.0 if (problem.limits.least == 0).all() else None
    n = len(problem.offers.value)
    options = {"mip_rel_gap": 0.0}
    found = milp(-problem.offers.value, integrality=np.ones(n), bounds=Bounds(0, 1), constraints=rows_of(problem), options=options)
    return None if found.x is None else -float(found.fun)


def relaxed(problem: Problem) -> float:
    """The best value of divided offers, of those that fit by themselves."""
    fits = (problem.offers.uses <= problem.limits.most * (1 + ROUNDING)).all(axis=1)[problem.offers.profile]
    found = milp(-problem.offers.value, bounds=Bounds(0, fits.astype(float)), constraints=rows_of(problem))
    return -float(found.fun)


def offers_of(value: list[float], uses: list[list[float]], contact: list[int] | None = None, treatment: list[int] | None = None) -> Offers:
    """One offer a value, each with its own profile."""
    n = len(value)
    columns = np.arange(n) if contact is None else np.array(contact), np.zeros(n, dtype=int) if treatment is None else np.array(treatment)
    return Offers(columns[0], columns[1], np.array(value), np.arange(n), np.array(uses, dtype=float), np.zeros(n, dtype=bool), columns[1])


def grid(rng: np.random.Generator, n_contacts: int, n_treatments: int, uses: FloatArray) -> Offers:
    """An offer of every treatment for every contact, of random worth; `uses` has one row a treatment."""
    contact, treatment = (part.ravel() for part in np.mgrid[:n_contacts, :n_treatments])
    value = rng.exponential(10.0, len(contact))
    return Offers(contact, treatment, value, treatment, uses, np.zeros(len(contact), dtype=bool), treatment)


# --- laws -------------------------------------------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(allocations())
def test_no_limit_cap_or_room_is_ever_broken(problem: Problem) -> None:
    plan = or_none(problem)
    if plan is None:
        return
    offers, taken = problem.offers, plan.taken
    exact_use = np.array([math.fsum(column) for column in offers.uses[offers.profile[taken]].T.tolist()])
    assert (exact_use <= problem.limits.most).all() and (exact_use >= problem.limits.least).all()
    np.testing.assert_array_equal(plan.used, exact_use)
    np.testing.assert_array_equal(plan.slack, problem.limits.most - exact_use)
    np.testing.assert_array_equal(plan.excess, exact_use - problem.limits.least)
    assert (np.bincount(offers.contact[taken], minlength=problem.n_contacts) <= problem.per_contact).all()
    assert len({*zip(offers.contact[taken].tolist(), offers.action[taken].tolist(), strict=True)}) == len(taken)
    for cap in problem.caps:
        units = cap.unit_of[offers.contact[taken]][cap.members[offers.treatment[taken]]]
        assert (np.bincount(units[units >= 0], minlength=len(cap.room)) <= cap.room).all()


def _surely(problem: Problem) -> float | None:
    """The greatest value that exact sums allow too."""
    limits = problem.limits
    return exact(problem.with_limits(Limits(limits.most * (1 - SOLVERS_TOLERANCE), limits.least * (1 + SOLVERS_TOLERANCE))))


@settings(max_examples=120)
@given(allocations(mandatory=False), st.booleans())
def test_small_problems_are_solved_to_the_optimum_or_refused_where_there_is_none(problem: Problem, all_different: bool) -> None:
    if all_different:
        noise = np.random.default_rng(len(problem.offers.value)).normal(0.0, 1.0, len(problem.offers.value))
        problem = replace(problem, offers=replace(problem.offers, value=problem.offers.value * (1.0 + 0.3 * noise)))
    plan = or_none(problem)
    # a solver's tolerance may let in what the exact sum forbids, so the truth lies between these two
    best, surely = exact(problem), _surely(problem)
    assert plan is None if best is None else plan is not None or surely is None
    if best is not None and plan is not None:
        greatest = max(1.0, np.abs(problem.offers.value).max(initial=0.0))
        # among many equals the search may end before it has tried all of their combinations
        short = 1e-6 * greatest if all_different else greatest
        assert plan.value <= best + 1e-6 * greatest
        assert surely is None or (plan.value >= surely - short and plan.bound >= surely - 1e-6 * greatest)


@settings(max_examples=120)
@given(allocations())
def test_the_bound_is_above_the_value_and_the_choice_is_the_best_of_what_is_taken(problem: Problem) -> None:
    plan = or_none(problem)
    if plan is None:
        return
    offers = problem.offers
    assert plan.value == pytest.approx(float(offers.value[plan.taken].sum()))
    assert plan.value <= plan.bound + ROUNDING * max(1.0, abs(plan.bound))
    assert plan.gap >= 0
    for contact in range(problem.n_contacts):
        own = plan.taken[offers.contact[plan.taken] == contact]
        keys = [(bool(offers.first[one]), offers.value[one]) for one in own]
        assert plan.choice[contact] == (NONE if not len(own) else own[keys.index(max(keys))])


@settings(max_examples=120)
@given(allocations())
def test_a_price_has_the_sign_of_the_side_that_binds(problem: Problem) -> None:
    plan = or_none(problem)
    if plan is not None:
        assert (plan.shadow_prices[problem.limits.least == 0] >= 0).all()
        assert (plan.shadow_prices[np.isinf(problem.limits.most)] <= 0).all()
        assert (plan.cost_of_limit >= 0).all()


@settings(max_examples=120)
@given(allocations(mandatory=False, minimums=False, plain=True))
def test_nothing_that_would_still_fit_is_left_undone(problem: Problem) -> None:
    plan, offers = allocated(problem), problem.offers
    unserved = plan.choice[offers.contact] == NONE
    fits = (plan.used + offers.uses[offers.profile] <= problem.limits.most).all(axis=1)
    assert not (unserved & fits & (offers.value > 0)).any()


@settings(max_examples=80)
@given(allocations(minimums=False))
def test_mandatory_offers_are_served_before_all_others(problem: Problem) -> None:
    offers, kept = problem.offers, np.flatnonzero(problem.offers.first)
    only = offers.reordered(kept, offers.contact[kept])
    without = allocated(replace(problem, offers=only))
    assert np.isin(kept[without.taken], allocated(problem).taken).all()


@settings(max_examples=60)
@given(allocations(mandatory=False), st.randoms(use_true_random=False))
def test_permuting_the_contacts_changes_neither_the_value_nor_the_bound(problem: Problem, random: object) -> None:
    turn = np.random.default_rng(random.randrange(2**32)).permutation(problem.n_contacts)  # type: ignore[attr-defined]
    offers = problem.offers
    order = np.argsort(turn[offers.contact], kind="stable")
    back = np.argsort(turn)
    caps = tuple(replace(cap, unit_of=cap.unit_of[back]) for cap in problem.caps)
    turned = Problem(offers.reordered(order, turn[offers.contact][order]), problem.limits, problem.n_contacts, problem.per_contact, caps)
    first, second = or_none(problem), or_none(turned)
    assert (first is None) == (second is None)
    if first is not None and second is not None:
        scale = max(1.0, np.abs(offers.value).max(initial=0.0))
        assert second.value == pytest.approx(first.value, rel=1e-6, abs=1e-6 * scale)
        assert second.bound == pytest.approx(first.bound, rel=1e-6, abs=1e-6 * scale)


@settings(max_examples=60)
@given(allocations())
def test_the_same_question_gets_the_same_answer(problem: Problem) -> None:
    first, second = or_none(problem), or_none(problem)
    if first is not None and second is not None:
        assert first.taken.tolist() == second.taken.tolist()
        assert first.shadow_prices.tolist() == second.shadow_prices.tolist()


@settings(max_examples=60)
@given(allocations(mandatory=False))
def test_a_limit_costs_what_solving_without_it_would_gain(problem: Problem) -> None:
    plan = or_none(problem)
    if plan is None or not len(problem.offers.value):
        return
    scale = 1e-5 * max(1.0, np.abs(problem.offers.value).max()) * problem.n_contacts
    for limit in range(problem.offers.uses.shape[1]):
        gain = relaxed(problem.with_limits(problem.limits.without(limit))) - relaxed(problem)
        assert plan.cost_of_limit[limit] == pytest.approx(max(0.0, gain), rel=1e-4, abs=scale)


# --- one by one -------------------------------------------------------------------------------------------------------------------


def test_of_two_mandatory_offers_a_contact_gets_the_better() -> None:
    offers = replace(offers_of([-3.0, -1.0], [[], []], contact=[0, 0], treatment=[0, 1]), first=np.ones(2, dtype=bool))
    plan = allocate(offers, Limits.at_most(np.zeros(0)), 1)
    assert (plan.choice.tolist(), plan.gap) == ([1], 0.0)


def test_what_comes_first_is_ranked_by_its_own_preference() -> None:
    offers = offers_of([9.0, 1.0, 5.0], [[1.0]] * 3, contact=[0, 0, 1], treatment=[0, 1, 0])
    in_turn = replace(offers, first=np.array([True, True, False]), preference=np.array([0.1, 0.7, 0.0]))
    plan = allocate(in_turn, Limits.at_most(np.array([1.0])), 2)
    assert plan.choice.tolist() == [1, NONE]


def test_a_minimum_takes_the_offers_that_lose_least() -> None:
    offers = offers_of([-4.0, -1.0, -2.0, 6.0], [[1.0], [1.0], [1.0], [0.0]], contact=[0, 1, 2, 2], treatment=[0, 0, 0, 1])
    plan = allocate(offers, Limits(np.array([np.inf]), np.array([2.0])), 3)
    assert plan.choice.tolist() == [0, 1, 3]
    assert -8.0 <= plan.shadow_prices[0] <= -4.0  # the third would lose 8, the second loses 4
    assert (plan.value, plan.excess.tolist(), plan.cost_of_limit.tolist()) == (1.0, [0.0], [5.0])


def test_one_limit_may_carry_a_minimum_and_a_maximum() -> None:
    offers = offers_of([-1.0, -2.0, -3.0, 4.0, 5.0], [[1.0]] * 5)
    assert allocate(offers, Limits(np.array([3.0]), np.array([3.0])), 5).choice.tolist() == [0, NONE, NONE, 3, 4]
    assert allocate(offers, Limits(np.array([1.0]), np.array([1.0])), 5).choice.tolist() == [NONE, NONE, NONE, NONE, 4]


def test_a_contact_gets_several_treatments_of_different_actions() -> None:
    offers = offers_of([9.0, 8.0, 3.0, 1.0], [[1.0]] * 4, contact=[0, 0, 0, 1], treatment=[0, 0, 1, 0])
    plan = allocate(offers, Limits.at_most(np.array([5.0])), 2, per_contact=2)
    assert plan.taken.tolist() == [0, 2, 3]
    assert plan.choice.tolist() == [0, 3]


def test_an_account_gets_no_more_than_its_room_and_the_call_goes_where_it_is_needed_most() -> None:
    offers = offers_of([10.0, 9.0, 8.0], [[]] * 3, contact=[0, 0, 1], treatment=[0, 1, 0])
    one_call = LocalCap(np.array([0, 0]), np.array([1]), np.array([True, False]))
    plan = allocate(offers, Limits.at_most(np.zeros(0)), 2, caps=[one_call])
    assert (plan.taken.tolist(), plan.value, plan.gap) == ([1, 2], 17.0, 0.0)


def test_larger_problems_come_close_to_the_bound() -> None:
    rng = np.random.default_rng(7)
    gaps = []
    for _ in range(5):
        uses = rng.exponential(1.0, (2400, 3)) * (rng.random((2400, 3)) < 0.5)
        offers = replace(grid(rng, 400, 6, uses[:6]), profile=np.arange(2400), uses=uses)
        gaps.append(allocate(offers, Limits.at_most(np.array([40.0, 60.0, 80.0])), 400).gap)
    assert np.mean(gaps) < 2e-3


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_shadow_prices_are_the_duals_of_the_linear_programme(seed: int) -> None:
    rng = np.random.default_rng(seed)
    offers = grid(rng, 40, 4, rng.exponential(1.0, (4, 2)) * (rng.random((4, 2)) < 0.7))
    problem = Problem(offers, Limits.at_most(np.array([6.0, 9.0])), 40)
    rows = rows_of(problem)
    found = linprog(-offers.value, A_ub=rows.A, b_ub=rows.ub, bounds=(0, 1), method="highs")
    plan = allocated(problem)
    assert plan.bound == pytest.approx(-found.fun, rel=1e-6)
    marginals = -found.ineqlin.marginals[-2:] / np.where(offers.uses.max(axis=0) > 0, offers.uses.max(axis=0), 1.0)
    np.testing.assert_allclose(plan.shadow_prices, marginals, rtol=0.02, atol=0.02)


def test_a_price_says_what_one_more_unit_is_worth() -> None:
    offers = offers_of(np.arange(100.0, 0.0, -1.0).tolist(), [[1.0]] * 100)
    plan = allocate(offers, Limits.at_most(np.array([30.0])), 100)
    assert plan.taken.tolist() == list(range(30))
    assert 70.0 <= plan.shadow_prices[0] <= 71.0
    assert plan.gap == pytest.approx(0.0, abs=1e-9)
    assert plan.cost_of_limit[0] == pytest.approx(sum(range(1, 71)))


def test_a_limit_that_does_not_bind_has_no_price() -> None:
    plan = allocate(offers_of([1.0] * 5, [[1.0, 1.0]] * 5), Limits.at_most(np.array([5.0, 2.0])), 5)
    assert (plan.shadow_prices[0], plan.cost_of_limit[0]) == (0.0, 0.0)


def test_a_limit_of_zero_is_priced_so_that_nobody_would_want_it() -> None:
    offers = offers_of([5.0, 9.0, 4.0], [[2.0, 0.0], [3.0, 1.0], [0.0, 1.0]], contact=[0, 1, 1], treatment=[0, 0, 1])
    plan = allocate(offers, Limits.at_most(np.array([0.0, 10.0])), 2)
    assert plan.choice.tolist() == [NONE, 2]
    assert plan.shadow_prices.tolist() == [2.5, 0.0]  # 5 / 2; and (9 - 4) / 3 less
    assert (offers.reduced(plan.shadow_prices) <= [0.0, 4.0, 4.0]).all()
    assert plan.cost_of_limit.tolist() == [10.0, 0.0]


@pytest.mark.parametrize("money", [1e-6, 1.0, 1e9])
@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e9])
def test_scaling_money_scales_prices_and_no_scale_changes_the_value(money: float, unit: float) -> None:
    rng = np.random.default_rng(3)
    uses = rng.choice([0.02, 0.12, 18.0], (5, 2))
    offers = grid(rng, 200, 5, uses)
    limits = Limits(np.array([50.0, 90.0]), np.array([0.0, 20.0]))
    plain = allocate(offers, limits, 200)
    scaled_offers = replace(offers, value=offers.value * money, uses=uses * unit)
    scaled = allocate(scaled_offers, Limits(limits.most * unit, limits.least * unit), 200)
    np.testing.assert_allclose(scaled.shadow_prices, plain.shadow_prices * money / unit, rtol=1e-3)
    assert scaled.value == pytest.approx(plain.value * money, rel=1e-6)


def test_values_from_next_to_nothing_to_millions_are_allocated_with_a_small_gap() -> None:
    rng = np.random.default_rng(4)
    offers = grid(rng, 2000, 5, rng.choice([0.0001, 1.0], (5, 2)))
    plan = allocate(replace(offers, value=10.0 ** rng.uniform(-4, 6, 10_000)), Limits.at_most(np.array([100.0, 200.0])), 2000)
    assert plan.gap < 5e-3


@pytest.mark.parametrize("capacity", [0.0, 1.0, 500.0, 1999.0, 5000.0])
def test_equals_fill_a_capacity_to_the_last_unit(capacity: float) -> None:
    plan = allocate(offers_of([7.0] * 2000, [[1.0]] * 2000), Limits.at_most(np.array([capacity])), 2000)
    assert plan.used.tolist() == [min(capacity, 2000.0)]
    assert plan.gap < 1e-4
    assert (np.diff((plan.choice != NONE).astype(int)) <= 0).all()  # the first come first


def test_fifty_offers_of_two_cents_fit_into_a_budget_of_one() -> None:
    plan = allocate(offers_of([1.0] * 100, [[0.02]] * 100), Limits.at_most(np.array([1.0])), 100)
    assert (len(plan.taken), plan.used.tolist()) == (50, [1.0])


def test_limits_that_nobody_uses_change_nothing() -> None:
    rng = np.random.default_rng(5)
    offers = grid(rng, 50, 3, np.zeros((3, 2)))
    plan = allocate(offers, Limits.at_most(np.array([0.0, 5.0])), 50)
    assert (plan.shadow_prices.tolist(), plan.used.tolist(), plan.gap) == ([0.0, 0.0], [0.0, 0.0], 0.0)
    assert plan.value == pytest.approx(np.maximum.reduceat(offers.value, np.arange(0, 150, 3)).sum())


@pytest.mark.parametrize("n_limits", [0, 2])
def test_without_offers_there_is_nothing_to_do(n_limits: int) -> None:
    nothing = np.zeros(0, dtype=np.int64)
    offers = Offers(nothing, nothing, np.zeros(0), nothing, np.zeros((0, n_limits)), nothing.astype(bool), nothing)
    plan = allocate(offers, Limits.at_most(np.ones(n_limits)), 3)
    assert (plan.choice.tolist(), plan.value, plan.bound, plan.gap) == ([NONE] * 3, 0.0, 0.0, 0.0)
    assert plan.slack.tolist() == [1.0] * n_limits


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": np.array([1.0, np.nan])}, "the value of an offer is not a finite number"),
        ({"value": np.array([1.0, np.inf])}, "the value of an offer is not a finite number"),
        ({"uses": np.array([[1.0], [-1.0]])}, "what an offer uses of a limit is not a finite number, or is negative"),
        ({"uses": np.array([[1.0], [np.nan]])}, "what an offer uses of a limit is not a finite number, or is negative"),
        ({"profile": np.array([0, 2])}, "the profile of an offer is not a row of `uses`"),
        ({"profile": np.array([0, -1])}, "the profile of an offer is not a row of `uses`"),
        ({"contact": np.array([1, 0])}, "offers must be sorted by contact"),
    ],
)
def test_offers_that_make_no_sense_are_refused(change: dict[str, FloatArray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(offers_of([1.0, 1.0], [[1.0], [1.0]]), **change)


@pytest.mark.parametrize(("most", "least"), [([np.nan], [0.0]), ([-1.0], [0.0]), ([1.0], [np.inf]), ([1.0], [-1.0])])
def test_limits_that_make_no_sense_are_refused(most: list[float], least: list[float]) -> None:
    with pytest.raises(ValueError, match="a limit is not a number, or is negative, or asks for infinitely much"):
        Limits(np.array(most), np.array(least))


# --- limits that contradict one another ---------------------------------------------------------------------------------------------
