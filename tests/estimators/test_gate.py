"""The gate believes differences that pay and presses together those that do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from estimators.gate import HARDLY, NOTHING, Judged, bar, judge_differences

N = 6_000


def judged(truth: np.ndarray, tau: np.ndarray, *, noise: float = 1.0, cost: float = 0.02, seed: int = 0) -> Judged:
    """Two actions of value 1; scores are the truth plus noise, as doubly robust scores are."""
    rng = np.random.default_rng(seed)
    n, k = tau.shape
    score = truth - cost + noise * rng.standard_normal((n, k))
    ones = np.ones((n, k))
    return Judged(tau, tau.mean(axis=0), ones, cost * ones, ones.astype(bool), score, np.arange(n), np.ones(n), rng.integers(NOTHING, k, n))


def crossing(seed: int = 1) -> np.ndarray:
    """For half of the contacts the first action is better, for the others the second."""
    x = np.random.default_rng(seed).standard_normal(N)
    return np.column_stack([0.05 + 0.05 * x, 0.05 - 0.05 * x])


def test_differences_that_earn_are_believed() -> None:
    truth = crossing()
    gate = judge_differences(judged(truth, truth, noise=0.3), errors=1.0)
    assert gate.passed
    assert gate.trust.tolist() == [1.0, 1.0]
    assert gate.overall.exceeds(2.0)


def test_differences_that_earn_nothing_decide_nothing_but_keep_their_order() -> None:
    rng = np.random.default_rng(2)
    tau = 0.05 + 0.01 * rng.standard_normal((N, 2)) + [0.0, 0.004]
    rows = judged(np.full((N, 2), [0.05, 0.054]), tau, noise=0.05)
    gate = judge_differences(rows, errors=1.0)
    assert not gate.passed
    decided = rows.policy(gate.trust)
    assert np.mean(decided != gate.constant) <= HARDLY
    assert (gate.constant == 1).all()
    assert (gate.trust > 0).all()


def test_the_only_action_that_differs_surely_keeps_its_differences() -> None:
    rng = np.random.default_rng(3)
    truth = np.column_stack([0.03 + 0.06 * rng.standard_normal(N), np.full(N, -0.5)])
    tau = truth + np.column_stack([np.zeros(N), 0.45 * rng.standard_normal(N)])
    gate = judge_differences(judged(truth, tau, noise=0.3), errors=1.0)
    assert gate.trust[0] == 1.0
    assert gate.trust[1] < 1.0


def test_where_nobodys_action_changes_the_order_is_kept() -> None:
    tau = np.full((N, 1), 0.5) + 0.01 * np.random.default_rng(4).standard_normal((N, 1))
    gate = judge_differences(judged(tau, tau), errors=1.0)
    assert gate.passed
    assert gate.trust.tolist() == [1.0]
    assert gate.overall.changed == 0.0


def test_rows_of_one_contact_count_as_one_when_errors_are_counted() -> None:
    truth = crossing()[:600]
    once = judged(truth, truth, noise=0.3)
    fields = {name: np.repeat(value, 10, axis=0) for name, value in vars(once).items() if name != "average"}
    repeated = Judged(**fields, average=once.average)
    first, again = (judge_differences(rows, errors=1.0).overall for rows in (once, repeated))
    assert np.isclose(first.value, again.value)
    assert np.isclose(first.standard_error, again.standard_error)


def test_a_row_that_stands_for_many_counts_as_many() -> None:
    truth = crossing()[:600]
    once = judged(truth, truth, noise=0.3)
    times = np.random.default_rng(6).integers(1, 5, 600)
    fields = {name: np.repeat(value, times, axis=0) for name, value in vars(once).items() if name != "average"}
    one = judge_differences(replace(once, weight=times.astype(float)), errors=1.0)
    other = judge_differences(Judged(**fields, average=once.average), errors=1.0)
    for gain, same in zip((one.overall, one.decided, *one.by_action), (other.overall, other.decided, *other.by_action), strict=True):
        assert np.allclose((gain.value, gain.standard_error, gain.changed), (same.value, same.standard_error, same.changed))
    assert not np.isclose(one.overall.value, judge_differences(once, errors=1.0).overall.value)


def many(seed: int, *, actions: int, real: float = 0.0) -> Judged:
    """Actions that are all worth nothing on average, of which the first differs between contacts by `real`; taus see it and add noise."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(3_000)
    truth = np.zeros((3_000, actions))
    truth[:, 0] = real * x
    return judged(truth, truth + 0.15 * rng.standard_normal(truth.shape) - 0.1, noise=0.5, cost=0.0, seed=seed + 1)


def test_of_many_actions_without_differences_one_is_believed_no_oftener_than_of_one() -> None:
    gates = [judge_differences(many(seed, actions=8), errors=1.0) for seed in range(60)]
    failed = [gate for gate in gates if not gate.passed]
    kept = [gate.decided.changed > HARDLY for gate in failed]
    passing_alone = [any(gain.exceeds(1.0) for gain in gate.by_action) for gate in failed]
    assert np.mean(kept) <= 0.16 + 2 * np.sqrt(0.16 * 0.84 / len(failed))
    assert np.mean(passing_alone) > 0.5


def test_a_real_difference_is_found_among_many_actions() -> None:
    gate = judge_differences(many(3, actions=40, real=0.3), errors=1.0)
    assert gate.trust[0] == 1.0
    assert gate.decided.exceeds(1.0)


def test_a_difference_that_was_hardly_ever_tried_is_not_believed_of_one_action_among_many() -> None:
    rows = many(3, actions=8, real=0.1)
    rows.score[:, 1:] -= 1.0  # whoever gets one of the others loses, so that the whole does not pass
    tried = judge_differences(rows, errors=1.0)
    rows.logged[np.flatnonzero(rows.logged == 0)[20:]] = 1
    untried = judge_differences(rows, errors=1.0)
    assert not tried.passed
    assert tried.trust[0] == 1.0
    assert untried.by_action[0].exceeds(bar(1.0, 8))
    assert untried.decided.changed <= HARDLY


@given(st.integers(1, 400), st.floats(0.1, 3.0))
def test_the_bar_is_passed_by_chance_as_seldom_by_the_best_of_many_as_by_one(tried: int, errors: float) -> None:
    assert bar(errors, 1) == errors
    assert bar(0.0, tried) == 0.0
    assert np.isclose(norm.cdf(bar(errors, tried)) ** tried, norm.cdf(errors))


def test_the_bar_is_finite_however_many_standard_errors_are_asked() -> None:
    assert 9.0 < bar(9.0, 100) < 10.0


def test_what_is_not_open_is_not_taken() -> None:
    tau = np.full((4, 2), 0.5)
    rows = judged(tau, tau, noise=0.0)
    rows.open[:2, :] = False
    assert rows.policy(np.ones(2)).tolist() == [NOTHING, NOTHING, 0, 0]
    assert rows.earned(rows.policy(np.ones(2)))[:2].tolist() == [0.0, 0.0]


@given(st.integers(0, 10_000), st.floats(0.0, 3.0))
def test_the_gate_never_decides_worse_than_both_policies_it_compares_by_its_own_scores(seed: int, errors: float) -> None:
    rng = np.random.default_rng(seed)
    tau = 0.05 * rng.standard_normal((200, 3))
    rows = judged(tau, tau + 0.05 * rng.standard_normal((200, 3)), seed=seed)
    gate = judge_differences(rows, errors=errors)
    assert ((gate.trust >= 0) & (gate.trust <= 1)).all()
    if gate.overall.exceeds(errors):
        assert gate.passed
    else:
        assert gate.passed == (gate.overall.changed <= HARDLY)
    assert gate.decided.exceeds(errors) or gate.decided.changed <= HARDLY
