from __future__ import annotations

import numpy as np
import pytest

from estimators.encoding import Encoded
from training.selection import SMALLEST, selection_probabilities


def a_log(n: int = 6000, seed: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A policy that prefers action b for large x, and the true probability of each row's action."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    logits = np.column_stack([np.zeros(n), 1.2 * x[:, 0], 0.5 - 0.8 * x[:, 1]])
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    action = (rng.random(n)[:, None] > np.cumsum(chances, axis=1)).sum(axis=1)
    names = np.array(["no_action", "b", "c"], dtype=object)[action]
    return x, names, np.array([f"c{i}" for i in range(n)], dtype=object), chances[np.arange(n), action]


def test_logged_probabilities_stay_as_they_are() -> None:
    x, action, contact, truth = a_log(100)

    found = selection_probabilities(truth, action, contact, Encoded(x, x), seed=7)

    assert not found.estimated.any()
    np.testing.assert_array_equal(found.prob, truth)


def test_missing_probabilities_are_estimated_near_the_truth() -> None:
    x, action, contact, truth = a_log()

    found = selection_probabilities(np.full(len(x), np.nan), action, contact, Encoded(x, x), seed=7)

    assert found.estimated.all()
    assert np.corrcoef(found.prob, truth)[0, 1] > 0.95
    # Here a straight line is the truth: the trees beside it have a small weight. Half the weight would be .027 away.
    assert np.abs(found.prob - truth).mean() < 0.02
    for name in ("no_action", "b", "c"):  # weighted by 1 / prob the rows of each action are the population again
        assert np.abs(np.average(x[action == name], axis=0, weights=1.0 / found.prob[action == name])).max() < 0.045


def test_a_policy_that_follows_no_straight_line_is_found_too() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(6000, 2))
    truth = np.where(np.abs(x[:, 0]) > 1, 0.8, 0.2)
    chosen = rng.random(6000) < truth
    action, contact = np.where(chosen, "b", "no_action").astype(object), np.arange(6000).astype(object)

    found = selection_probabilities(np.full(6000, np.nan), action, contact, Encoded(x, x), seed=7)

    own = np.where(chosen, truth, 1 - truth)
    assert np.corrcoef(found.prob, own)[0, 1] > 0.8


def test_only_the_missing_ones_are_estimated() -> None:
    x, action, contact, truth = a_log(1000)
    logged = np.where(np.arange(1000) % 2 == 0, truth, np.nan)

    found = selection_probabilities(logged, action, contact, Encoded(x, x), seed=7)

    np.testing.assert_array_equal(found.prob[::2], truth[::2])
    assert found.estimated.mean() == 0.5


def test_no_row_may_stand_for_more_than_a_hundred() -> None:
    x, action, contact, _ = a_log(100)

    found = selection_probabilities(np.full(100, 1e-5), action, contact, Encoded(x, x), seed=7)

    assert (found.prob == SMALLEST).all()
    assert found.clipped_share == 1.0
    assert found.effective_share == pytest.approx(1.0)


def test_one_of_three_hundred_actions_is_not_taken_for_hardly_ever_chosen() -> None:
    rng = np.random.default_rng(7)
    action = rng.integers(0, 300, 30_000).astype(str).astype(object)
    x = rng.normal(size=(30_000, 1))

    found = selection_probabilities(np.full(30_000, 1 / 300), action, np.arange(30_000).astype(object), Encoded(x, x), seed=7)

    np.testing.assert_array_equal(found.prob, 1 / 300)
    assert found.clipped_share == 0.0


def test_a_policy_without_choice_is_certain() -> None:
    found = selection_probabilities(
        np.full(50, np.nan),
        np.full(50, "b", dtype=object),
        np.arange(50).astype(object),
        Encoded(np.ones((50, 1)), np.ones((50, 1))),
        seed=7,
    )

    assert (found.prob == 1.0).all()


def test_unequal_chances_leave_fewer_rows_that_speak() -> None:
    x, action, contact, _ = a_log(100)
    logged = np.where(np.arange(100) < 50, 0.9, 0.05)

    assert selection_probabilities(logged, action, contact, Encoded(x, x), seed=7).effective_share < 0.6
