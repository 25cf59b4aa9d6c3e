"""Qini and uplift at a share: against a plain reading of scikit-uplift's definition, against known uplift, and by law."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from measurement.uplift_curves import (
    Experiment,
    perfect_qini_curve,
    qini_coefficient,
    qini_curve,
    qini_interval,
    resampled_curves,
    uplift_at,
)


def _plain_qini(outcome: np.ndarray, uplift: np.ndarray, exposed: np.ndarray) -> tuple[list[float], list[float]]:
    """scikit-uplift's qini_curve, row by row: (contacts, incremental outcomes in exposed rows) at each distinct score."""
    order = sorted(range(len(outcome)), key=lambda i: -uplift[i])
    counts, gains = [0.0], [0.0]
    y = {0: 0.0, 1: 0.0}
    n = {0: 0.0, 1: 0.0}
    for place, row in enumerate(order):
        y[int(exposed[row])] += outcome[row]
        n[int(exposed[row])] += 1
        if place + 1 == len(order) or uplift[order[place + 1]] != uplift[row]:
            counts.append(place + 1)
            gains.append(y[1] - (y[0] * n[1] / n[0] if n[0] else 0.0))
    return counts, gains


def _plain_coefficient(outcome: np.ndarray, uplift: np.ndarray, exposed: np.ndarray) -> float:
    def area(x: list[float], y: list[float]) -> float:
        return sum((x[i + 1] - x[i]) * (y[i + 1] + y[i]) / 2 for i in range(len(x) - 1))

    found = _plain_qini(outcome, uplift, exposed)
    best = _plain_qini(outcome, outcome * exposed - outcome * (1 - exposed), exposed)
    random = best[0][-1] * best[1][-1] / 2
    return (area(*found) - random) / (area(*best) - random)


def _simulated(rows: int, seed: int, *, randomised: bool = True) -> tuple[Experiment, np.ndarray]:
    """Binary outcomes with known uplift between -0.1 and 0.3; unless randomised, those likely to respond anyway are exposed more."""
    rng = np.random.default_rng(seed)
    x, z = rng.random(rows), rng.random(rows)
    tau = 0.4 * x - 0.1
    probability = np.full(rows, 0.5) if randomised else 0.2 + 0.6 * z
    exposed = (rng.random(rows) < probability).astype(float)
    outcome = (rng.random(rows) < 0.1 + 0.5 * z + tau * exposed).astype(float)
    weight = np.where(exposed == 1, 1 / probability, 1 / (1 - probability))
    return Experiment(outcome, tau, exposed, weight), tau


N = st.shared(st.integers(4, 50), key="n")
OUTCOME = N.flatmap(lambda n: arrays(np.float64, n, elements=st.sampled_from([0.0, 1.0, 2.5])))
SCORE = N.flatmap(lambda n: arrays(np.float64, n, elements=st.integers(-5, 5).map(float)))
EXPOSED = N.flatmap(lambda n: arrays(np.float64, n, elements=st.sampled_from([0.0, 1.0])))


@given(outcome=OUTCOME, uplift=SCORE, exposed=EXPOSED)
def test_the_curve_is_scikit_uplifts(outcome: np.ndarray, uplift: np.ndarray, exposed: np.ndarray) -> None:
    assume(0 < exposed.sum() < exposed.size)
    rows = Experiment(outcome, uplift, exposed)
    counts, gains = _plain_qini(outcome, uplift, exposed)
    curve = qini_curve(rows)
    assert curve.share * outcome.size == pytest.approx(counts)
    assert curve.gain * exposed.sum() == pytest.approx(gains)
    if perfect_qini_curve(rows).area_above_random > 1e-9:
        assert qini_coefficient(rows) == pytest.approx(_plain_coefficient(outcome, uplift, exposed))


@given(outcome=OUTCOME, uplift=SCORE, exposed=EXPOSED, scale=st.floats(0.1, 10))
def test_only_the_order_counts_and_units_do_not(outcome: np.ndarray, uplift: np.ndarray, exposed: np.ndarray, scale: float) -> None:
    assume(0 < exposed.sum() < exposed.size)
    rows = Experiment(outcome, uplift, exposed)
    assume(perfect_qini_curve(rows).area_above_random > 1e-9)
    coefficient = qini_coefficient(rows)
    assert qini_coefficient(replace(rows, uplift=np.exp(uplift) * scale)) == pytest.approx(coefficient)
    assert qini_coefficient(replace(rows, outcome=outcome * scale)) == pytest.approx(coefficient)
    assert qini_coefficient(replace(rows, weight=np.full(outcome.size, scale))) == pytest.approx(coefficient)


@given(outcome=OUTCOME, exposed=EXPOSED)
def test_a_ranking_that_tells_nobody_apart_adds_nothing(outcome: np.ndarray, exposed: np.ndarray) -> None:
    assume(0 < exposed.sum() < exposed.size)
    rows = Experiment(outcome, np.zeros(outcome.size), exposed)
    assert qini_curve(rows).area_above_random == pytest.approx(0.0, abs=1e-12)
    whole = outcome[exposed == 1].mean() - outcome[exposed == 0].mean()
    assert (qini_curve(rows).gain[-1], uplift_at(rows, 1.0).value) == (pytest.approx(whole), pytest.approx(whole))


@given(outcome=OUTCOME, uplift=SCORE, exposed=EXPOSED, seed=st.integers(0, 99))
def test_the_curve_of_a_resample_is_that_of_its_rows_repeated(
    outcome: np.ndarray, uplift: np.ndarray, exposed: np.ndarray, seed: int
) -> None:
    assume(0 < exposed.sum() < exposed.size)
    rng = np.random.default_rng(seed)
    rows, share = Experiment(outcome, uplift, exposed, rng.random(outcome.size) + 0.5), np.linspace(0.0, 1.0, 7)
    counts = rng.multinomial(outcome.size, np.full(outcome.size, 1.0 / outcome.size))
    found = list(resampled_curves(rows, [counts, (exposed == 0).astype(np.int64)]))
    drawn = np.repeat(np.arange(outcome.size), counts)
    assert len(found) == (0 < exposed[drawn].sum() < drawn.size)  # the second one has no row of one arm
    for curve in found:
        repeated = qini_curve(rows.take(drawn))
        assert np.interp(share, curve.share, curve.gain) == pytest.approx(np.interp(share, repeated.share, repeated.gain), abs=1e-9)


def test_eight_rows_by_hand() -> None:
    rows = Experiment([1, 0, 1, 0, 0, 1, 0, 1], [8, 7, 6, 5, 4, 3, 2, 1], [1, 0, 1, 0, 1, 0, 1, 0])
    # after k rows, exposed responses minus control responses times exposed / control: 1, 1, 2, 2, 2, 1, 2/3, 0
    assert qini_curve(rows).gain * 4 == pytest.approx([0, 1, 1, 2, 2, 2, 1, 2 / 3, 0])
    assert uplift_at(rows, 0.5).value == 1.0
    assert uplift_at(rows, 1.0).value == 0.0


def test_the_true_uplift_ranks_best_and_its_reverse_worst() -> None:
    rows, tau = _simulated(20_000, seed=1)
    noisy = tau + np.random.default_rng(2).normal(scale=0.1, size=tau.size)
    found = [qini_coefficient(replace(rows, uplift=score)) for score in (tau, noisy, -noisy, -tau)]
    assert found == sorted(found, reverse=True)
    assert found[1] > 0.03 > -0.03 > found[2]


def test_uplift_at_a_share_is_the_true_mean_of_those_first() -> None:
    rows, tau = _simulated(40_000, seed=3)
    for share in (0.1, 0.3, 1.0):
        assert np.sort(tau)[::-1][: int(share * tau.size)].mean() in uplift_at(rows, share, level=0.999)


def test_weights_undo_a_selection_that_fools_the_plain_curve() -> None:
    rows, tau = _simulated(40_000, seed=4, randomised=False)
    assert tau.mean() in uplift_at(rows, 1.0, level=0.999)
    assert qini_curve(rows).gain[-1] == pytest.approx(tau.mean(), abs=0.02)
    assert uplift_at(replace(rows, weight=None), 1.0).value > tau.mean() + 0.05


def test_the_interval_of_uplift_at_a_share_holds_the_truth_about_as_often_as_it_says() -> None:
    held = []
    for seed in range(200):
        rows, _ = _simulated(1_000, seed=seed, randomised=False)
        held.append(0.4 * 0.75 - 0.1 in uplift_at(rows, 0.5, level=0.9))  # the better half has x in (0.5, 1): 0.2 on average
    assert 0.83 <= np.mean(held) <= 0.96


def test_the_bootstrap_interval_of_qini_holds_its_value_and_is_that_of_its_generator() -> None:
    rows, _ = _simulated(3_000, seed=5)
    found, same = (qini_interval(rows, np.random.default_rng(1), resamples=100) for _ in range(2))
    assert found == same
    assert found.low < found.value == qini_coefficient(rows) < found.high
    assert np.std([qini_coefficient(_simulated(3_000, seed=s)[0]) for s in range(60)]) == pytest.approx(found.standard_error, rel=0.3)


def test_without_any_outcome_there_is_no_coefficient() -> None:
    rows = Experiment([0, 0, 0, 0], [4, 3, 2, 1], [1, 0, 1, 0])
    assert np.isnan(qini_coefficient(rows))
    assert np.isnan(qini_interval(rows, np.random.default_rng(0), resamples=5).low)


def test_in_hillstrom_recent_buyers_of_womens_merchandise_respond_to_the_womens_email(data_dir: Path) -> None:
    """Hand-made ranking: having bought women's merchandise alone carries most of what any model finds (about 0.07)."""
    with open(data_dir / "hillstrom.csv", newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["segment"] != "Mens E-Mail"]
    exposed = np.array([line["segment"] == "Womens E-Mail" for line in lines], dtype=float)
    rows = Experiment([float(line["visit"]) for line in lines], [float(line["womens"]) for line in lines], exposed)
    assert uplift_at(rows, 1.0).value == pytest.approx(0.1514 - 0.1062, abs=1e-4)
    assert 0.05 < qini_coefficient(rows) < 0.08


GOOD = {"outcome": [1.0, 0.0], "uplift": [0.2, 0.1], "exposed": [1.0, 0.0]}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"exposed": [1.0, 1.0]}, "exposed: got 1 in every row, expected both arms: without a control there is no uplift to measure"),
        ({"exposed": [1.0, 0.5]}, "exposed: expected 0 or 1 in every row"),
        ({"weight": [1.0, 0.0]}, "weight: 1 values outside (0, inf], for example 0"),
        ({"uplift": [0.1]}, "uplift: got 1 rows, expected 2"),
        ({"outcome": [float("nan"), 0.0]}, "outcome: NaN or infinite in 1 of 2 rows"),
    ],
)
def test_an_experiment_that_makes_no_sense_is_refused(bad: dict[str, list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Experiment(**{**GOOD, **bad})  # type: ignore[arg-type]


@pytest.mark.parametrize(("share", "message"), [(0.0, "share: got 0, expected above 0"), (0.5, "(1 rows) hold one arm only")])
def test_a_share_without_both_arms_is_refused(share: float, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        uplift_at(Experiment(**GOOD), share)  # type: ignore[arg-type]
