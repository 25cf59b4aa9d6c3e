"""Confidence sequences: they hold the truth at every moment, and say where they stop being sure of nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from measurement.intervals import normal_interval
from measurement.sequences import Sequence, asymptotic_sequence, bounded_sequence

LOOKS = 3_000


def ever_wrong(found: Sequence, truth: float, begin: int = 30) -> bool:
    return bool(((found.low[begin:] > truth) | (found.high[begin:] < truth)).any())


def test_looking_at_every_row_misses_the_truth_no_more_often_than_said() -> None:
    wrong = {"asymptotic": 0, "bounded": 0, "normal": 0}
    for seed in range(200):
        rows = np.random.default_rng(seed).beta(0.3, 0.9, LOOKS)
        wrong["asymptotic"] += ever_wrong(asymptotic_sequence(rows, level=0.9, tightest_at=500), 0.25)
        wrong["bounded"] += ever_wrong(bounded_sequence(rows, (0.0, 1.0), level=0.9), 0.25, begin=0)
        wrong["normal"] += any(0.25 not in normal_interval(rows[:n], level=0.9) for n in range(30, LOOKS, 100))
    assert wrong["asymptotic"] <= 0.15 * 200
    assert wrong["bounded"] <= 0.10 * 200
    assert wrong["normal"] > 0.25 * 200  # what a fixed interval does when it is looked at thirty times


def test_a_sequence_pays_for_its_guarantee_with_little_width() -> None:
    rows = np.random.default_rng(1).normal(3.0, 2.0, 10_000)
    fixed, always = normal_interval(rows), asymptotic_sequence(rows, tightest_at=10_000)
    assert (always.high[-1] - always.low[-1]) < 2.0 * (fixed.high - fixed.low)
    assert always.mean[-1] == pytest.approx(rows.mean())


def test_a_gain_is_noticed_and_nothing_is_not() -> None:
    rng = np.random.default_rng(2)
    assert asymptotic_sequence(rng.normal(0.2, 1.0, 5_000)).first_above(0.0) is not None
    assert asymptotic_sequence(rng.normal(0.0, 1.0, 5_000)).first_above(0.1) is None


@given(rows=arrays(np.float64, st.integers(1, 60), elements=st.floats(-5, 9)))
def test_bounds_are_never_left_and_never_loosen(rows: np.ndarray) -> None:
    found = bounded_sequence(rows, (-5.0, 9.0))
    assert (found.low >= -5.0 - 1e-9).all() and (found.high <= 9.0 + 1e-9).all()
    assert (np.diff(found.low) >= 0).all() and (np.diff(found.high) <= 0).all()


@given(level=st.floats(-20, 1e6))
def test_the_level_of_the_rows_does_not_matter(level: float) -> None:
    rows = np.random.default_rng(3).normal(size=200)
    plain, lifted = asymptotic_sequence(rows), asymptotic_sequence(rows + level)
    assert lifted.low[-1] - level == pytest.approx(plain.low[-1], abs=1e-6)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="level: got 1.5"):
        asymptotic_sequence([1.0, 2.0], level=1.5)
    with pytest.raises(ValueError, match="1 values outside"):
        bounded_sequence([0.5, 2.0], (0.0, 1.0))
