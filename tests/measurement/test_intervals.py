"""Intervals: by hand, and how often they hold the truth."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from measurement.intervals import Interval, bootstrap_interval, empirical_bernstein_interval, normal_interval, standard_error

VALUES = arrays(np.float64, st.integers(2, 60), elements=st.floats(0, 1))
EASY, HARD = 0.5, 0.03


def _kinds(rng: np.random.Generator) -> dict[str, object]:
    return {
        "normal": normal_interval,
        "bootstrap": lambda rows: bootstrap_interval(rows, rng, resamples=200),
        "bernstein": lambda rows: empirical_bernstein_interval(rows, (0.0, 1.0)),
    }


def test_the_normal_interval_by_hand() -> None:
    found = normal_interval([1.0, 2.0, 3.0, 4.0], level=0.9)
    error = np.sqrt(5.0 / 3.0) / 2.0  # s^2 = 5/3, n = 4
    assert found == Interval(2.5, pytest.approx(2.5 - 1.644854 * error), pytest.approx(2.5 + 1.644854 * error), pytest.approx(error))


def test_the_bernstein_interval_by_hand() -> None:
    rows = np.array([0.0, 1.0] * 50)
    reach = np.sqrt(2 * (25 / 99) * np.log(80) / 100) + 7 * np.log(80) / (3 * 99)  # V = 25/99, delta = 0.05
    found = empirical_bernstein_interval(rows, (0.0, 1.0))
    assert (found.low, found.high) == (pytest.approx(0.5 - reach), pytest.approx(0.5 + reach))


@pytest.mark.parametrize(
    ("kind", "rate", "least", "most"),
    [
        ("normal", EASY, 0.90, 0.99),
        ("bootstrap", EASY, 0.90, 0.99),
        ("bernstein", EASY, 0.99, 1.0),
        ("bernstein", HARD, 0.99, 1.0),  # the others miss more often here: 200 rows with six successes
    ],
)
def test_an_interval_of_95_percent_holds_the_truth_about_that_often(kind: str, rate: float, least: float, most: float) -> None:
    rng = np.random.default_rng(11)
    interval = _kinds(rng)[kind]
    held = [rate in interval((rng.random(200) < rate).astype(float)) for _ in range(400)]  # type: ignore[operator]
    assert least <= np.mean(held) <= most


def test_the_bootstrap_is_that_of_its_generator() -> None:
    rows = np.random.default_rng(1).exponential(size=300)
    one, same, other = (bootstrap_interval(rows, np.random.default_rng(seed), resamples=100) for seed in (5, 5, 6))
    assert one == same != other


def test_the_bootstrap_leans_to_the_side_of_the_tail() -> None:
    rows = np.random.default_rng(2).lognormal(sigma=1.5, size=200)
    found = bootstrap_interval(rows, np.random.default_rng(3), resamples=2_000)
    assert found.high - found.value > found.value - found.low


@given(rows=VALUES, shift=st.floats(-5, 5), scale=st.floats(0.1, 10))
def test_shifting_and_scaling_the_rows_does_the_same_to_the_interval(rows: np.ndarray, shift: float, scale: float) -> None:
    found, moved = normal_interval(rows), normal_interval(shift + scale * rows)
    assert (moved.value, moved.low, moved.high) == pytest.approx(
        tuple(shift + scale * x for x in (found.value, found.low, found.high)), abs=1e-9
    )


@given(rows=VALUES)
def test_a_higher_level_gives_a_wider_interval_and_bernstein_stays_within_its_bounds(rows: np.ndarray) -> None:
    narrow, wide = normal_interval(rows, level=0.8), normal_interval(rows, level=0.99)
    assert wide.low <= narrow.low <= narrow.value <= narrow.high <= wide.high
    safe = empirical_bernstein_interval(rows, (0.0, 1.0))
    assert 0.0 <= safe.low <= safe.value + 1e-12
    assert safe.value - 1e-12 <= safe.high <= 1.0


def test_one_row_says_nothing_about_its_spread() -> None:
    assert standard_error([3.0]) == float("inf")
    assert empirical_bernstein_interval([0.3], (0.0, 1.0)) == Interval(0.3, 0.0, 1.0, float("inf"))


@pytest.mark.parametrize(
    ("rows", "bounds", "message"),
    [
        ([], (0, 1), "per_row: got shape (0,), expected (n,) with n >= 1"),
        ([[1.0]], (0, 1), "per_row: got shape (1, 1)"),
        ([0.5, float("nan")], (0, 1), "per_row: NaN or infinite in 1 of 2 rows"),
        ([0.5, 1.5], (0, 1), "per_row: 1 values outside [0, 1], for example 1.5"),
    ],
)
def test_rows_that_cannot_be_averaged_are_refused(rows: list[float], bounds: tuple[float, float], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        empirical_bernstein_interval(rows, bounds)


def test_a_level_in_percent_is_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("level: got 95, expected a share between 0 and 1")):
        normal_interval([1.0, 2.0], level=95)
