"""The shift of the level, against worlds whose level is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from estimators.adaptive import Trials, arrived_share, level_shifts, shifted_level


def a_world(rng: np.random.Generator, shift: float, *, n: int = 3000, arms: int = 2) -> Trials:
    """n choices over some arms of one action, whose log odds are `shift` above what was promised."""
    promised = expit(rng.normal(-2.0, 0.7, n))
    responded = (rng.random(n) < expit(logit(promised) + shift)).astype(float)
    return Trials(np.arange(n) % arms, promised, np.ones(n), responded, np.ones(n))


@pytest.mark.parametrize("shift", [-0.6, 0.5])
def test_a_level_that_has_moved_is_found(shift: float) -> None:
    found = [level_shifts(a_world(np.random.default_rng(seed), shift), [0, 0], most=2.0) for seed in range(20)]

    assert np.abs(np.mean(found) - shift) < 0.12
    assert np.std(found) < 0.15


def test_where_nothing_moved_hardly_anything_is_shifted() -> None:
    found = np.array([level_shifts(a_world(np.random.default_rng(seed), 0.0), [0, 0], most=2.0) for seed in range(60)])

    assert np.mean(found != 0.0) < 0.15
    assert np.abs(found).max() < 0.25
    assert abs(found.mean()) < 0.02


def test_few_choices_say_little_and_no_shift_leaves_its_bound() -> None:
    few = level_shifts(a_world(np.random.default_rng(1), 1.5, n=8, arms=1), [0], most=2.0)
    wild = level_shifts(a_world(np.random.default_rng(1), 3.0), [0, 0], most=0.7)

    assert np.abs(few).max() < 0.5
    assert wild.tolist() == [0.7, 0.7]


def test_what_is_old_is_forgotten() -> None:
    rng = np.random.default_rng(2)
    old, new = a_world(rng, 0.8, arms=1), a_world(rng, 0.0, arms=1)
    both = {name: np.concatenate([getattr(old, name), getattr(new, name)]) for name in vars(old)}
    ages = np.repeat([60.0, 2.0], len(old.arm))

    remembered = level_shifts(Trials(**both), [0], most=2.0)
    forgotten = level_shifts(Trials(**{**both, "weight": 0.5 ** (ages / 7.0)}), [0], most=2.0)

    assert remembered[0] > 0.25
    assert abs(forgotten[0]) < 0.1


def test_an_open_window_speaks_as_far_as_responses_have_come() -> None:
    rng = np.random.default_rng(3)
    n, window = 6000, 30.0
    promised, age = expit(rng.normal(-1.5, 0.5, n)), rng.uniform(0.5, 15.0, n)
    delay = rng.exponential(6.0, n)
    responded = ((rng.random(n) < promised) & (delay <= age)).astype(float)
    past = rng.exponential(6.0, 5000)
    arrived = arrived_share(past[past <= window], age, window)

    honest = level_shifts(Trials(np.zeros(n, dtype=np.int64), promised, arrived, responded, np.ones(n)), [0], most=2.0)
    naive = level_shifts(Trials(np.zeros(n, dtype=np.int64), promised, np.ones(n), responded, np.ones(n)), [0], most=2.0)

    assert abs(honest[0]) < 0.15
    assert naive[0] < -0.5


def test_the_contact_changes_the_odds_by_as_much_whatever_the_level() -> None:
    propensity, uplift = np.array([[0.30, 0.30, 0.30, np.nan]]), np.array([[0.10, -0.05, np.nan, 0.02]])
    p, tau = shifted_level(propensity, uplift, np.full(4, 0.6))

    def odds(q: np.ndarray) -> np.ndarray:
        return q / (1.0 - q)

    before, after = odds(propensity) / odds(propensity - uplift), odds(p) / odds(p - tau)
    assert after[0, :2] == pytest.approx(before[0, :2])
    assert np.sign(tau[0, :2]).tolist() == [1.0, -1.0]
    assert np.isnan(tau[0, 2]) and np.isnan(p[0, 3]) and tau[0, 3] == 0.02
    assert all(
        np.array_equal(a, b, equal_nan=True)
        for a, b in zip(shifted_level(propensity, uplift, np.zeros(4)), (propensity, uplift), strict=True)
    )
