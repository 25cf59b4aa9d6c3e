"""Off-policy value: every estimator against the truth of a simulated world, by hand, and by law."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from measurement.off_policy import (
    ROWS,
    clipped_ips_rows,
    dm_rows,
    dr_rows,
    dros_rows,
    ips_rows,
    snips_rows,
    switch_dr_rows,
)
from measurement.off_policy_log import Log, log_of, overlap, overlap_warnings
from measurement.policy_values import How, plan_value, policy_gain, policy_value, rows_needed

ACTIONS = 3


class World:
    """Three actions, two covariates; rewards and logging probabilities depend on them, so a naive mean is wrong."""

    def __init__(self, rows: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(rows, 2))
        self.mean = np.column_stack([1.0 + 0.5 * x[:, 0], 1.2 + 0.8 * x[:, 1], np.full(rows, 1.1)])
        score = np.column_stack([x[:, 0], -x[:, 1], np.zeros(rows)])  # the logging policy likes what is not best
        self.logging = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
        self.action = (rng.random(rows)[:, None] > self.logging.cumsum(axis=1)).sum(axis=1).clip(0, ACTIONS - 1)
        self.best = self.mean.argmax(axis=1)
        index = np.arange(rows)
        self.reward = self.mean[index, self.action] + rng.normal(size=rows)
        self.selection_prob = self.logging[index, self.action]

    def log(self, predicted: np.ndarray | None = None, policy: np.ndarray | None = None) -> Log:
        return log_of(self.reward, self.action, self.selection_prob, self.best if policy is None else policy, predicted)


TRUTH = float(World(1_000_000, seed=99).mean.max(axis=1).mean())


@pytest.mark.parametrize("estimator", sorted(ROWS))
def test_every_estimator_finds_the_truth(estimator: str) -> None:
    world = World(40_000, seed=1)
    found = policy_value(world.log(predicted=world.mean), estimator)
    assert abs(found.value - TRUTH) < max(4 * found.standard_error, 0.01)
    assert abs(world.reward.mean() - TRUTH) > 0.3  # what the log earned is something else


def test_dr_forgives_a_wrong_model_and_dm_does_not() -> None:
    world = World(40_000, seed=2)
    log = world.log(predicted=world.mean + np.array([0.5, -0.5, 1.0]))
    assert abs(policy_value(log, "dr").value - TRUTH) < 0.05
    assert abs(policy_value(log, "dm").value - TRUTH) > 0.1


def test_dr_forgives_wrong_probabilities_and_ips_does_not() -> None:
    world = World(40_000, seed=3)
    log = replace(world.log(predicted=world.mean), selection_prob=np.full(world.reward.size, 1 / ACTIONS))
    assert abs(policy_value(log, "dr").value - TRUTH) < 0.05
    assert abs(policy_value(log, "ips").value - TRUTH) > 0.1


def test_a_good_model_takes_most_of_the_noise_out_of_ips() -> None:
    log = (world := World(5_000, seed=4)).log(predicted=world.mean)
    errors = {name: policy_value(log, name).standard_error for name in ROWS}
    assert errors["dr"] < errors["snips"] < errors["ips"]


@pytest.mark.parametrize("estimator", ["ips", "snips", "dr", "switch_dr", "dros"])
def test_intervals_hold_the_truth_about_as_often_as_they_say(estimator: str) -> None:
    held = []
    for seed in range(200):
        world = World(1_000, seed=seed)
        found = policy_value(world.log(predicted=world.mean * 0.8), how=How(estimator, level=0.9))
        held.append(found.low <= TRUTH <= found.high)
    assert 0.82 <= np.mean(held) <= 0.96


def test_the_standard_error_is_the_spread_over_repetitions() -> None:
    found = [policy_value(World(2_000, seed=seed).log(), "snips") for seed in range(150)]
    spread = np.std([one.value for one in found], ddof=1)
    assert np.mean([one.standard_error for one in found]) == pytest.approx(spread, rel=0.15)


def test_a_stochastic_policy_is_worth_its_mixture() -> None:
    world = World(40_000, seed=5)
    even = np.full((world.reward.size, ACTIONS), 1 / ACTIONS)
    found = policy_value(world.log(predicted=world.mean, policy=even), "dr")
    assert found.value == pytest.approx(world.mean.mean(), abs=4 * found.standard_error)


HAND = Log(
    np.array([10.0, 0.0, 4.0, 6.0]), np.array([1.0, 1.0, 0.0, 0.0]), np.array([0.5, 0.25, 0.5, 0.5]), np.full(4, 2.0), np.full(4, 3.0)
)


@pytest.mark.parametrize(
    ("estimator", "rows", "value"),
    [
        ("ips", [20.0, 0.0, 0.0, 0.0], 5.0),  # w = 2, 4, 0, 0
        ("snips", None, 20.0 / 6.0),
        ("dm", [3.0, 3.0, 3.0, 3.0], 3.0),
        ("dr", [3 + 2 * 8, 3 + 4 * -2, 3.0, 3.0], 5.0),
    ],
)
def test_four_rows_by_hand(estimator: str, rows: list[float] | None, value: float) -> None:
    assert rows is None or ROWS[estimator](HAND).tolist() == rows
    assert policy_value(HAND, estimator).value == pytest.approx(value)


def published(name: str, log: Log, limit: float) -> float:
    """The estimators as their papers and the field's reference implementation write them, one row at a time."""
    total, mass = 0.0, 0.0
    assert log.predicted_logged is not None and log.predicted_policy is not None
    for r, e, b, q, expected in zip(
        log.reward, log.target_prob, log.selection_prob, log.predicted_logged, log.predicted_policy, strict=True
    ):  # fmt: skip
        w = e / b
        mass += w
        total += {
            "ips": w * r,
            "snips": w * r,
            "clipped": min(w, limit) * r,
            "dm": expected,
            "dr": expected + w * (r - q),
            "switch_dr": expected + (w <= limit) * w * (r - q),
            "dros": expected + limit * w / (w**2 + limit) * (r - q),
        }[name]
    return total / (mass if name == "snips" else log.reward.size)


LIMITED = {"clipped": clipped_ips_rows, "switch_dr": switch_dr_rows, "dros": dros_rows}


@pytest.mark.parametrize("name", sorted(ROWS))
@pytest.mark.parametrize("limit", [0.7, 3.0, 1e6])
def test_estimators_agree_with_the_published_formulas(name: str, limit: float) -> None:
    log = (world := World(500, seed=8)).log(predicted=world.mean + 0.3)
    rows = LIMITED[name](log, limit) if name in LIMITED else ROWS[name](log)
    assert rows.mean() == pytest.approx(published(name, log, limit), abs=1e-9)


OBP = {
    "ips": (1.6109956157768948, 1.1038464981728764),
    "snips": (1.5885350553943411, 1.1230686040883708),
    "clipped": (1.0937327712195715, 0.9930519617501105),
    "dm": (1.5682823894065125, 1.096037917780565),
    "dr": (1.6060563262726444, 1.1201208843684411),
    "switch_dr": (1.5601467428757074, 1.0938036541092457),
    "dros": (1.5682868644300652, 1.0990119086216714),
}
"""What the Open Bandit Pipeline (obp 0.5.7, which needs Python below 3.11) gives for the arrays of the test below, with its lambda_=3."""


@pytest.mark.parametrize("name", sorted(ROWS))
def test_values_are_those_of_obp_on_the_same_arrays(name: str) -> None:
    world, rng = World(5_000, seed=0), np.random.default_rng(0)
    certain, mixed = world.best, rng.dirichlet(np.ones(ACTIONS), 5_000)
    for policy, theirs in zip((certain, mixed), OBP[name], strict=True):
        log = world.log(predicted=world.mean + rng.normal(size=world.mean.shape) * 0.3, policy=policy)
        rows = LIMITED[name](log, 3.0) if name in LIMITED else ROWS[name](log)
        assert rows.mean() == pytest.approx(theirs, abs=1e-9)


def test_a_limit_that_binds_nowhere_gives_the_unlimited_estimator() -> None:
    log = (world := World(500, seed=9)).log(predicted=world.mean)
    assert clipped_ips_rows(log, 1e9) == pytest.approx(ips_rows(log))
    assert switch_dr_rows(log, 1e9) == pytest.approx(dr_rows(log))
    assert dros_rows(log, 1e15) == pytest.approx(dr_rows(log), abs=1e-6)
    assert dros_rows(log, 1e-15) == pytest.approx(dm_rows(log), abs=1e-6)


def heavy(rows: int, seed: int) -> tuple[Log, float]:
    """The best action is chosen by the log once in a hundred times: weights of 100, and a model that is off by a little."""
    rng = np.random.default_rng(seed)
    prob = np.where(rng.random(rows) < 0.5, 0.01, 0.5)
    hit = (rng.random(rows) < prob).astype(float)
    reward = np.where(hit == 1, 2.0, 1.0) + rng.normal(0, 2.0, rows)
    return Log(reward, hit, np.where(hit == 1, prob, 1 - prob), np.where(hit == 1, 2.1, 1.0), np.full(rows, 2.1)), 2.0


def test_shrinkage_chosen_from_the_data_errs_less_than_dr_where_weights_are_heavy() -> None:
    errors: dict[str, list[float]] = {name: [] for name in ("dr", "switch_dr", "dros")}
    for seed in range(60):
        log, truth = heavy(800, seed)
        for name, seen in errors.items():
            seen.append((ROWS[name](log).mean() - truth) ** 2)
    assert np.mean(errors["dros"]) < 0.5 * np.mean(errors["dr"])
    assert np.mean(errors["switch_dr"]) <= np.mean(errors["dr"])


def test_a_control_variate_takes_noise_out_and_leaves_the_truth_in() -> None:
    plain, less = [], []
    for seed in range(100):
        log = (world := World(2_000, seed=seed)).log()
        log = replace(log, reward=world.reward + 5.0)
        plain.append(policy_value(log, "ips").value)
        less.append(policy_value(log, how=How("ips", control_variate=True)).value)
    assert np.std(less) < 0.4 * np.std(plain)
    assert np.mean(less) == pytest.approx(TRUTH + 5.0, abs=0.03)


def test_rows_of_one_contact_count_once() -> None:
    log = World(400, seed=10).log()
    five = Log(*(np.repeat(part, 5) for part in (log.reward, log.target_prob, log.selection_prob)))
    contact = np.repeat(np.arange(400), 5)
    one, by_contact = policy_value(log, "ips"), policy_value(five, how=How("ips", contact=contact))
    assert by_contact.standard_error == pytest.approx(one.standard_error, rel=1e-9)
    assert policy_value(five, "ips").standard_error < 0.5 * one.standard_error  # what believing five copies would claim
    drawn = policy_value(five, how=How("ips", contact=contact, rng=np.random.default_rng(3)))
    assert (drawn.low, drawn.high) == pytest.approx((one.low, one.high), abs=0.2 * (one.high - one.low))


def test_a_plan_is_worth_its_contacts_times_the_mean() -> None:
    log = (world := World(5_000, seed=11)).log(predicted=world.mean)
    found, mean = plan_value(log, 200_000), policy_value(log)
    assert found.value == pytest.approx(200_000 * mean.value)
    assert found.low <= 200_000 * TRUTH <= found.high


def test_the_rows_that_are_said_to_be_needed_are_enough() -> None:
    world = World(300, seed=12)
    nearly = np.where(np.arange(300) % 3 == 0, 2, world.best)
    gain = policy_gain(world.log(), world.log(policy=nearly), "snips")
    more = rows_needed(gain, 300)
    assert gain.low < 0 < gain.value and more is not None and more > 0
    reach = (gain.value - gain.low) * np.sqrt(300 / (300 + more))
    assert 0.0 <= gain.value - reach < 0.01 * gain.value
    assert rows_needed(policy_gain(HAND, HAND), 4) is None  # nothing to show


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (Log(np.ones(500), np.ones(500), np.full(500, 1.0)), []),
        (Log(np.ones(500), np.zeros(500), np.full(500, 0.5)), ["nothing that the policy does was ever logged"]),
        (Log(np.ones(50), np.ones(50), np.full(50, 1.0)), ["as much about the policy as 50 rows"]),
        (
            Log(np.ones(900), np.r_[np.ones(10), np.zeros(890)], np.r_[[0.001], np.full(899, 0.5)]),
            ["rows would", "only 1.1%", "a single row"],
        ),
        (Log(np.ones(900), np.r_[np.ones(450), np.zeros(450)], np.full(900, 0.9)), ["the policy does what was never tried"]),
    ],
)
def test_weak_witnesses_are_named(log: Log, words: list[str]) -> None:
    warnings = overlap_warnings(log)
    assert all(any(word in warning for warning in warnings) for word in words)
    assert bool(warnings) == bool(words)


def test_overlap_by_hand() -> None:
    found = overlap(HAND)
    assert (found.effective_sample_size, found.matched, found.mean_weight, found.max_weight) == (36 / 20, 0.5, 1.5, 4.0)


def test_the_gain_of_a_policy_over_itself_is_certainly_nought() -> None:
    found = policy_gain(HAND, HAND)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_a_gain_is_known_better_than_the_values_it_is_the_difference_of() -> None:
    world = World(5_000, seed=6)
    nearly = np.where(np.arange(5_000) % 10 == 0, 2, world.best)
    best, other = world.log(predicted=world.mean), world.log(predicted=world.mean, policy=nearly)
    gain = policy_gain(best, other)
    assert gain.standard_error < 0.5 * policy_value(best).standard_error
    assert gain.low <= (world.mean.max(axis=1) - world.mean[np.arange(5_000), nearly]).mean() <= gain.high


def test_the_bootstrap_agrees_with_the_normal_interval_on_many_rows() -> None:
    log = World(5_000, seed=7).log()
    normal, drawn = policy_value(log, "snips"), policy_value(log, how=How("snips", rng=np.random.default_rng(0)))
    assert (drawn.low, drawn.high) == pytest.approx((normal.low, normal.high), abs=0.1 * (normal.high - normal.low))


N = st.shared(st.integers(2, 40), key="n")
REWARD = N.flatmap(lambda n: arrays(np.float64, n, elements=st.floats(-100, 100)))
PROB = N.flatmap(lambda n: arrays(np.float64, n, elements=st.floats(0.05, 1)))
TARGET = N.flatmap(lambda n: arrays(np.float64, n, elements=st.sampled_from([0.0, 0.5, 1.0])))


@given(reward=REWARD, prob=PROB)
def test_the_logging_policy_is_worth_what_it_earned(reward: np.ndarray, prob: np.ndarray) -> None:
    log = Log(reward, prob, prob)
    assert ips_rows(log) == pytest.approx(reward)
    assert policy_value(log, "snips").value == pytest.approx(reward.mean(), abs=1e-9)
    assert overlap(log).effective_sample_size == pytest.approx(reward.size)


@given(reward=REWARD, prob=PROB, target=TARGET)
def test_dr_with_a_model_of_nought_is_ips(reward: np.ndarray, prob: np.ndarray, target: np.ndarray) -> None:
    zero = np.zeros(reward.size)
    assert dr_rows(Log(reward, target, prob, zero, zero)) == pytest.approx(ips_rows(Log(reward, target, prob)))


@given(reward=REWARD, prob=PROB, target=TARGET, shift=st.floats(-50, 50))
def test_snips_moves_with_the_level_of_the_rewards_and_stays_among_them(
    reward: np.ndarray, prob: np.ndarray, target: np.ndarray, shift: float
) -> None:
    log = Log(reward, np.where(target.any(), target, 1.0), prob)
    value = snips_rows(log).mean()
    assert snips_rows(replace(log, reward=reward + shift)).mean() == pytest.approx(value + shift, abs=1e-6)
    assert reward.min() - 1e-6 <= value <= reward.max() + 1e-6


@given(prob=PROB, target=TARGET)
def test_a_log_never_says_more_than_its_matching_rows(prob: np.ndarray, target: np.ndarray) -> None:
    found = overlap(Log(np.zeros(prob.size), target, prob))
    assert 0.0 <= found.effective_sample_size <= (target > 0).sum() + 1e-9
    assert found.matched == (target > 0).mean()


GOOD = {"reward": [1.0, 2.0], "target_prob": [1.0, 0.0], "selection_prob": [0.5, 0.5]}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"reward": [1.0, float("nan")]}, "reward: NaN or infinite in 1 of 2 rows"),
        ({"target_prob": [1.0]}, "target_prob: got 1 rows, expected 2"),
        ({"target_prob": [1.0, 1.5]}, "target_prob: 1 values outside [0, 1], for example 1.5"),
        ({"selection_prob": [0.5, 0.0]}, "selection_prob: 1 values outside (0, 1], for example 0"),
        ({"predicted_logged": [0.0, 0.0]}, "predicted_logged and predicted_policy: got one, expected both or none"),
    ],
)
def test_a_log_that_makes_no_sense_is_refused(bad: dict[str, list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Log(**{**GOOD, **bad})  # type: ignore[arg-type]


def test_questions_that_a_log_cannot_answer_are_refused() -> None:
    log = Log(**GOOD)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="got none, and dm, dr, switch_dr and dros need both"):
        policy_value(log, "dr")
    with pytest.raises(ValueError, match=re.escape("estimator: got 'magic', expected one of ips, snips, clipped, dm, dr, switch_dr, dros")):
        policy_value(log, "magic")
    with pytest.raises(ValueError, match="no logged row agrees with the policy"):
        policy_value(replace(log, target_prob=np.zeros(2)), "snips")
    with pytest.raises(ValueError, match="expected the same log"):
        policy_gain(log, replace(log, reward=np.array([1.0, 3.0])), "ips")
    with pytest.raises(ValueError, match="do not sum to 1"):
        log_of([1.0], np.array([0]), [0.5], np.array([[0.5, 0.6]]))
