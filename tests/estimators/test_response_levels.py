"""The level of an action with few rows leans on the other actions of its goal; one with many rows has its own."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logit

from estimators.arrays import FloatArray
from estimators.effect_levels import Place
from estimators.response_levels import ArmRows, Guess, response_levels


def some_arms(responses: FloatArray, rows: FloatArray, *, channels: tuple[str, ...] = ("email",)) -> ArmRows:
    level = (responses.sum() + 0.5) / (rows.sum() + 1.0)
    names = [channels[k % len(channels)] for k in range(len(rows))]
    return ArmRows(np.arange(len(rows)), names, responses, rows, np.full(len(rows), logit(level)))


def places(number: int) -> list[Place]:
    return [Place(f"a{k}") for k in range(number)]


def loss(said: FloatArray | float, truth: FloatArray) -> float:
    """The mean log loss to expect of a row of an action."""
    return float(-(truth * np.log(said) + (1 - truth) * np.log1p(-np.asarray(said))).mean())


@pytest.mark.parametrize(("mean", "contacts"), [(0.05, 40), (0.05, 400), (0.02, 20), (0.3, 20)])
def test_levels_of_many_actions_are_nearer_the_truth_than_their_own_rates_and_than_one_rate_for_all(mean: float, contacts: int) -> None:
    rng, said = np.random.default_rng(5), []
    for _ in range(4):
        rows = np.floor(np.exp(rng.uniform(0.0, np.log(2_000), 40)))
        truth = np.clip(rng.beta(mean * contacts, (1 - mean) * contacts, 40), 1e-5, 1.0)
        responses = rng.binomial(rows.astype(int), truth).astype(float)
        levels = response_levels(some_arms(responses, rows), places(40))
        known = (responses + mean * contacts) / (rows + contacts)
        own, one = (responses + 0.5) / (rows + 1.0), responses.sum() / rows.sum()
        said.append([loss(found, truth) - loss(truth, truth) for found in (levels.rate, own, one, known)])
    pooled, raw, same, best = np.mean(said, axis=0)

    assert pooled < 0.6 * raw
    assert pooled < same
    assert pooled < 1.5 * best


def test_an_action_with_one_row_is_at_the_level_of_all_and_one_with_thousands_at_its_own() -> None:
    responses, rows = np.array([300.0, 80.0, 90.0, 0.0, 1.0]), np.array([6_000.0, 2_000.0, 3_000.0, 1.0, 1.0])

    rate = response_levels(some_arms(responses, rows), places(5)).rate

    np.testing.assert_allclose(rate[:3], responses[:3] / rows[:3], rtol=0.04)
    assert rate[:3].min() < rate[3] < rate[4] < rate[:3].max()


def test_an_action_with_few_rows_leans_on_its_group_where_groups_differ() -> None:
    rng = np.random.default_rng(2)
    rows = np.append(np.full(20, 2_000.0), [1.0, 1.0])
    truth = np.where(np.arange(22) % 2 == 0, 0.10, 0.02)
    responses = np.append(rng.binomial(2_000, truth[:20]).astype(float), [0.0, 0.0])
    groups = [Place(f"a{k}", group="cards" if k % 2 == 0 else "loans") for k in range(22)]

    rate = response_levels(some_arms(responses, rows), groups).rate

    np.testing.assert_allclose(rate[20:], [0.10, 0.02], rtol=0.2)


def test_what_a_channel_adds_is_learned_over_all_actions() -> None:
    actions, n = np.repeat(np.arange(12), 2), np.full(24, 150.0)
    responses = np.random.default_rng(4).binomial(150, np.tile([0.2, 0.05], 12)).astype(float)
    arms = ArmRows(actions, ["call", "email"] * 12, responses, n, np.full(24, logit(0.1)))

    found = response_levels(arms, places(12)).by_channel

    assert found["call"] - found["email"] == pytest.approx(logit(0.2) - logit(0.05), abs=0.25)


def test_what_is_expected_of_the_contacts_is_not_put_down_to_the_action() -> None:
    rate, n = np.array([0.02, 0.2, 0.02, 0.2]), np.full(4, 5_000.0)
    arms = ArmRows(np.arange(4), [None] * 4, rate * n, n, logit(rate))

    levels = response_levels(arms, places(4))

    np.testing.assert_allclose(levels.by_action, 0.0, atol=0.01)
    np.testing.assert_allclose(levels.rate, rate, rtol=0.01)


def test_a_guess_of_the_only_action_counts_as_so_many_rows() -> None:
    arms = some_arms(np.array([0.0]), np.array([1.0]))

    assert response_levels(arms, places(1), [Guess(0.04, 200)]).rate[0] == pytest.approx(8 / 201, rel=0.05)


def test_guesses_say_how_actions_differ_and_the_log_how_high_they_all_are() -> None:
    """All were believed to respond twice as often as they do, and one that nothing is known of twice as often as the others."""
    responses, rows = np.array([150.0, 160.0, 155.0, 0.0, 0.0]), np.array([5_000.0, 5_000.0, 5_000.0, 1.0, 1.0])
    guesses = [Guess(0.06, 500)] * 4 + [Guess(0.12, 500)]

    rate = response_levels(some_arms(responses, rows), places(5), guesses).rate

    assert rate[3] == pytest.approx(0.031, rel=0.15)
    assert 1.3 * rate[3] < rate[4] < 2.2 * rate[3]


def test_where_nobody_responded_the_levels_are_low_and_finite() -> None:
    rate = response_levels(some_arms(np.zeros(3), np.array([500.0, 50.0, 1.0])), places(3)).rate

    assert (rate > 0).all()
    assert (rate < 0.01).all()
