"""Exploration: probabilities that are exact, a cost that is kept within its allowance, draws that can be repeated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from decisioning.catalog import Exploration
from decisioning.exploration import (
    DEFAULT_GAMMA,
    allowance_now,
    draw,
    draw_of_offers,
    expected_cost,
    probabilities,
    probabilities_of_offers,
)
from decisioning.exploration.thompson import Belief
from decisioning.vocabulary import FloatArray, IntArray
from tests.decisioning.belief_strategies import belief_of, beliefs

NOT_BY_CHANCE = 1e-4
SQUARECB = Exploration(method="squarecb")
GREEDY_MOSTLY = Exploration(method="epsilon_greedy", epsilon=0.1)
THOMPSON = Exploration(method="thompson")
money = st.one_of(st.sampled_from([0.0, 1.0, 5.0]), st.floats(-1e6, 1e6), st.floats(0, 1e-6))
worths = st.lists(money, min_size=1, max_size=12).map(lambda values: np.array(values, dtype=np.float64))
gammas = st.floats(0.1, 1e5)
allowances = st.one_of(st.just(np.inf), st.floats(1e-9, 1e6), st.floats(1e-250))


def squarecb(gamma: float) -> Exploration:
    return Exploration(method="squarecb", gamma=gamma)


@settings(max_examples=300)
@given(worth=worths, method=st.sampled_from([SQUARECB, GREEDY_MOSTLY, squarecb(0.5), squarecb(1e4)]), allowance=allowances)
def test_probabilities_add_up_to_one_and_nobody_is_left_without_a_chance(worth: FloatArray, method: Exploration, allowance: float) -> None:
    found = probabilities(worth, method, allowance=allowance)
    assert abs(found.sum() - 1) <= 1e-12
    assert (found > 0).all()


@settings(max_examples=300)
@given(worth=worths, gamma=gammas, allowance=allowances)
def test_a_better_worth_never_has_a_lower_probability(worth: FloatArray, gamma: float, allowance: float) -> None:
    found = probabilities(worth, squarecb(gamma), allowance=allowance)
    by_worth = found[np.lexsort((found, worth))]
    assert (np.diff(by_worth) >= -1e-12).all()


@settings(max_examples=300)
@given(worth=worths, gamma=gammas, more=st.floats(1.001, 100))
def test_a_greater_gamma_costs_less_and_no_gamma_costs_more_than_its_bound(worth: FloatArray, gamma: float, more: float) -> None:
    cost, less = (expected_cost(worth, probabilities(worth, squarecb(one))) for one in (gamma, gamma * more))
    widest = worth.max() - worth.min()
    assert less <= cost * (1 + 1e-12)
    assert 0 <= cost <= (len(worth) - 1) * widest / gamma * (1 + 1e-12)


@settings(max_examples=300)
@given(worth=worths, gamma=gammas, share=st.floats(1e-9, 1.5))
def test_squarecb_costs_what_it_would_or_else_just_its_allowance(worth: FloatArray, gamma: float, share: float) -> None:
    natural = expected_cost(worth, probabilities(worth, squarecb(gamma)))
    assume(natural > 1e-9 * np.abs(worth).max())
    allowed = probabilities(worth, squarecb(gamma), allowance=share * natural)
    assert expected_cost(worth, allowed) == pytest.approx(min(share, 1.0) * natural, rel=1e-9, abs=1e-9 * np.abs(worth).max())


def test_what_an_allowance_leaves_of_squarecb_is_squarecb_of_a_greater_gamma() -> None:
    worth = np.array([10.0, 9.0, 4.0, 0.0])
    greater = probabilities(worth, squarecb(200.0))
    found = probabilities(worth, squarecb(3.0), allowance=expected_cost(worth, greater))
    np.testing.assert_allclose(found, greater, rtol=1e-8)


@settings(max_examples=200)
@given(problem=beliefs(), share=st.floats(1e-6, 1.5), method=st.sampled_from([GREEDY_MOSTLY, THOMPSON]))
def test_the_other_methods_keep_their_allowance_too(problem: tuple[FloatArray, Belief], share: float, method: Exploration) -> None:
    worth, belief = problem
    natural = expected_cost(worth, probabilities(worth, method, belief=belief))
    allowed = probabilities(worth, method, belief=belief, allowance=share * natural)
    assert expected_cost(worth, allowed) == pytest.approx(min(share, 1.0) * natural, abs=1e-9)
    assert abs(allowed.sum() - 1) <= 1e-12


@given(worth=worths, method=st.sampled_from([SQUARECB, GREEDY_MOSTLY, THOMPSON]), allowance=st.sampled_from([0.0, -1.0]))
def test_without_an_allowance_the_first_of_the_best_is_certain(worth: FloatArray, method: Exploration, allowance: float) -> None:
    found = probabilities(worth, method, belief=None, allowance=allowance)
    assert np.flatnonzero(found).tolist() == [int(np.argmax(worth))]
    assert found.max() == 1.0


@settings(max_examples=200)
@given(problem=beliefs(), rate=st.sampled_from([1e-6, 0.25, 4.3, 1e7]), method=st.sampled_from([SQUARECB, GREEDY_MOSTLY, THOMPSON]))
def test_the_currency_changes_nothing(problem: tuple[FloatArray, Belief], rate: float, method: Exploration) -> None:
    worth, belief = problem
    for allowance in (np.inf, 0.01):
        here = probabilities(worth, method, belief=belief, allowance=allowance)
        abroad = Belief(belief.mean, belief.evidence, belief.slope * rate)
        np.testing.assert_allclose(probabilities(worth * rate, method, belief=abroad, allowance=allowance * rate), here, atol=1e-7)


@given(worth=worths.map(lambda worth: worth.round(2)), shift=st.sampled_from([-70.0, 0.5, 100.0]), gamma=st.floats(0.1, 100))
def test_squarecb_looks_at_differences_of_worth_only(worth: FloatArray, shift: float, gamma: float) -> None:
    assume(np.ptp(worth) > 0)
    found = probabilities(worth + shift, squarecb(gamma))
    np.testing.assert_allclose(found, probabilities(worth, squarecb(gamma)), atol=1e-5)


def test_squarecb_gives_the_probabilities_of_its_formula() -> None:
    found = probabilities(np.array([2.0, 10.0, 0.0]), SQUARECB)
    others = [1 / (3 + DEFAULT_GAMMA * 0.8), 1 / (3 + DEFAULT_GAMMA)]
    np.testing.assert_allclose(found, [others[0], 1 - sum(others), others[1]])


def test_the_least_difference_decides_who_is_the_best_beside_a_great_loss_too() -> None:
    worth = np.array([-1e6, 5.0, np.nextafter(5.0, 6.0)])
    assert probabilities(worth, SQUARECB, allowance=0.0).tolist() == [0.0, 0.0, 1.0]


def test_equals_share_alike_and_a_single_candidate_is_certain() -> None:
    np.testing.assert_allclose(probabilities(np.full(4, 3.0), SQUARECB), 0.25)
    np.testing.assert_allclose(probabilities(np.zeros(2), SQUARECB), 0.5)
    for method in (SQUARECB, GREEDY_MOSTLY, THOMPSON):
        assert probabilities(np.array([7.0]), method).tolist() == [1.0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_worth_that_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="worth"):
        probabilities(np.array([1.0, bad]), SQUARECB)


def test_other_impossible_input_is_refused() -> None:
    one = np.array([0.5])
    with pytest.raises(ValueError, match="nothing to choose from"):
        probabilities(np.zeros(0), SQUARECB)
    with pytest.raises(ValueError, match="allowance"):
        probabilities(one, SQUARECB, allowance=np.nan)
    with pytest.raises(ValueError, match="sorted"):
        probabilities_of_offers(np.array([1, 0]), np.zeros(2), SQUARECB)
    for mean, evidence, slope, what in [
        (1.5, 1.0, 1.0, "mean"),
        (np.nan, 1.0, 1.0, "mean"),
        (0.5, 0.0, 1.0, "evidence"),
        (0.5, 1.0, np.nan, "slope"),
    ]:
        with pytest.raises(ValueError, match=what):
            Belief(np.array([mean]), np.array([evidence]), np.array([slope]))


# --- drawing --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [SQUARECB, GREEDY_MOSTLY, THOMPSON])
def test_what_is_drawn_comes_as_often_as_its_probability_says(method: Exploration) -> None:
    worth = np.array([3.0, 4.0, 0.0, 3.9])
    belief = Belief(np.array([0.1, 0.2, 0.0, 0.3]), np.array([20.0, 50.0, 1.0, 30.0]), np.array([40.0, 30.0, 0.0, 20.0]))
    found = probabilities(worth, method, belief=belief)
    counts = np.bincount([draw(found, f"decision-{number}", 0) for number in range(20_000)], minlength=4)
    assert chisquare(counts, found * counts.sum()).pvalue > NOT_BY_CHANCE


def test_the_draws_of_two_slots_are_independent() -> None:
    fair = np.full(3, 1 / 3)
    pairs = [3 * draw(fair, f"decision-{number}", 0) + draw(fair, f"decision-{number}", 1) for number in range(9_000)]
    assert chisquare(np.bincount(pairs, minlength=9)).pvalue > NOT_BY_CHANCE


@given(
    weights=st.lists(st.sampled_from([0.0, 0.0, 0.1, 1.0, 7.0]), min_size=1, max_size=9), seed=st.text(max_size=8), slot=st.integers(0, 9)
)
def test_a_draw_is_repeatable_and_never_takes_the_impossible(weights: list[float], seed: str, slot: int) -> None:
    assume(sum(weights) > 0)
    found = np.array(weights) / sum(weights)
    taken = draw(found, seed, slot)
    assert found[taken] > 0
    assert taken == draw(found, seed, slot)


@st.composite
def crowds(draw_from: st.DrawFn) -> tuple[IntArray, FloatArray, Belief]:
    """Contacts with one to six candidates each, some of equal worth."""
    rng = np.random.default_rng(draw_from(st.integers(0, 2**32 - 1)))
    lengths = rng.integers(1, 7, draw_from(st.integers(0, 12)))
    contact = np.repeat(np.cumsum(rng.integers(1, 4, len(lengths))), lengths).astype(np.int64)
    worth = rng.choice([0.0, 1.0, *rng.normal(2.0, 3.0, 5)], len(contact))
    return contact, worth, belief_of(rng, max(1, len(contact)))


@settings(max_examples=150)
@given(crowd=crowds(), method=st.sampled_from([SQUARECB, GREEDY_MOSTLY, THOMPSON]), allowance=st.sampled_from([np.inf, 0.05, 0.0]))
def test_many_contacts_at_once_get_what_each_gets_alone(
    crowd: tuple[IntArray, FloatArray, Belief], method: Exploration, allowance: float
) -> None:
    contact, worth, belief = crowd
    of_all = Belief(belief.mean[: len(worth)], belief.evidence[: len(worth)], belief.slope[: len(worth)])
    found = probabilities_of_offers(contact, worth, method, belief=of_all, allowance=allowance)
    seeds = [f"decision-{one}" for one in np.unique(contact)]
    drawn = draw_of_offers(contact, found, seeds, 0)
    assert len(drawn) == len(seeds)
    for one, seed, taken in zip(np.unique(contact), seeds, drawn, strict=True):
        own = np.flatnonzero(contact == one)
        alone = Belief(belief.mean[own], belief.evidence[own], belief.slope[own])
        np.testing.assert_array_equal(found[own], probabilities(worth[own], method, belief=alone, allowance=allowance))
        assert taken == own[draw(found[own], seed, 0)]


# --- the budget -----------------------------------------------------------------------------------------------------------------


@given(
    budget=st.floats(0, 1e6),
    head_start=st.floats(0, 1),
    moments=st.lists(st.floats(0, 1), max_size=200).map(sorted),
    appetite=st.floats(0, 1),
)
def test_what_is_spent_is_never_more_than_what_the_budget_has_released(
    budget: float, head_start: float, moments: list[float], appetite: float
) -> None:
    spent = 0.0
    for elapsed in moments:
        spent += appetite * allowance_now(budget, spent, elapsed=elapsed, head_start=head_start)
        assert spent <= budget * min(1.0, elapsed + head_start) * (1 + 1e-12)


def test_a_budget_lasts_over_the_period_and_is_used() -> None:
    spent, history = 0.0, []
    for number in range(3_000):
        spent += min(5.0, allowance_now(300.0, spent, elapsed=number / 3_000, head_start=1 / 30))
        history.append(spent)
    assert history[1_500] == pytest.approx(150, abs=10)
    assert 295 < spent <= 300


def test_after_a_budget_is_overspent_nothing_is_allowed() -> None:
    assert allowance_now(100.0, 120.0, elapsed=1.0, head_start=0.1) == 0.0
    assert allowance_now(0.0, 0.0, elapsed=0.5, head_start=0.1) == 0.0
