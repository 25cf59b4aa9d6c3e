"""Thompson sampling: the probabilities of its draws, without drawing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.stats import beta as beta_distribution

from decisioning.catalog import Exploration
from decisioning.exploration import expected_cost, probabilities
from decisioning.exploration.thompson import Belief, best_probabilities
from decisioning.vocabulary import FloatArray
from tests.decisioning.belief_strategies import belief_of, beliefs

THOMPSON = Exploration(method="thompson")


def drawn_best(worth: FloatArray, belief: Belief, rng: np.random.Generator, draws: int) -> FloatArray:
    """How often each candidate came out best in `draws` draws of every response."""
    response = np.stack([
        np.full(draws, mean) if known else rng.beta(mean * n, (1 - mean) * n, draws)
        for mean, n, known in zip(belief.mean, belief.evidence, belief.known, strict=True)
    ])  # fmt: skip
    best = (worth[:, None] + belief.slope[:, None] * (response - belief.mean[:, None])).argmax(axis=0)
    return np.bincount(best, minlength=len(worth)) / draws


@pytest.mark.parametrize("seed", range(6))
def test_thompson_chooses_each_candidate_as_often_as_draws_find_it_best(seed: int) -> None:
    rng = np.random.default_rng(seed)
    belief = belief_of(rng, 5)
    worth = np.append(rng.normal(1.0, 2.0, 4), 0.0)
    found = best_probabilities(worth, belief)
    draws = 200_000
    error = np.sqrt(np.maximum(found * (1 - found), 1 / draws) / draws)
    assert (np.abs(found - drawn_best(worth, belief, rng, draws)) < 4.5 * error).all()


def test_two_beliefs_compare_as_the_exact_integral_says() -> None:
    few, many = beta_distribution(0.3, 29.7), beta_distribution(40, 1960)
    levels = (np.arange(100_000) + 0.5) / 100_000
    exact = few.sf(many.ppf(levels)).mean()
    found = best_probabilities(np.array([1.0, 2.0]), Belief(np.array([0.01, 0.02]), np.array([30.0, 2000.0]), np.array([100.0, 100.0])))
    assert found[0] == pytest.approx(exact, abs=1e-6)


def test_against_what_is_known_a_belief_wins_as_often_as_it_is_above_it() -> None:
    belief = Belief(np.array([0.05, 0.0]), np.array([60.0, 1.0]), np.array([200.0, 0.0]))
    found = best_probabilities(np.array([-2.0, 0.0]), belief)
    assert found[0] == pytest.approx(beta_distribution(3.0, 57.0).sf(0.05 + 2.0 / 200.0), abs=1e-9)


def test_where_worth_falls_with_the_response_thompson_mirrors_it() -> None:
    up = Belief(np.array([0.3, 0.1]), np.array([20.0, 30.0]), np.array([5.0, 8.0]))
    down = Belief(1 - up.mean, up.evidence, -up.slope)
    worth = np.array([1.0, 1.5])
    np.testing.assert_allclose(best_probabilities(worth, down), best_probabilities(worth, up), atol=1e-9)


@settings(max_examples=100)
@given(problem=beliefs())
def test_thompson_does_not_depend_on_the_order_of_the_candidates(problem: tuple[FloatArray, Belief]) -> None:
    worth, belief = problem
    found = probabilities(worth, THOMPSON, belief=belief)
    turned = Belief(belief.mean[::-1], belief.evidence[::-1], belief.slope[::-1])
    np.testing.assert_allclose(probabilities(worth[::-1], THOMPSON, belief=turned)[::-1], found, atol=1e-6)
    assert abs(found.sum() - 1) <= 1e-12
    assert (found >= 0).all()


def test_more_evidence_explores_less() -> None:
    worth, mean, slope = np.array([2.0, 1.5, 0.0]), np.array([0.1, 0.08, 0.0]), np.array([30.0, 30.0, 0.0])
    costs = [expected_cost(worth, best_probabilities(worth, Belief(mean, np.full(3, n), slope))) for n in (10.0, 100.0, 1e3, 1e4, 1e8)]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > 0.1
    assert costs[-1] < 1e-12


def test_without_a_belief_thompson_takes_the_best() -> None:
    assert probabilities(np.array([1.0, 3.0, 3.0, 0.0]), THOMPSON).tolist() == [0.0, 1.0, 0.0, 0.0]
