"""The gate believes differences that pay and presses together those that do not."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from estimators.gate import HARDLY, NOTHING, Judged, judge_differences

N = 6_000


def judged(truth: np.ndarray, tau: np.ndarray, *, noise: float = 1.0, cost: float = 0.02, seed: int = 0) -> Judged:
    """Two actions of value 1; scores are the truth plus noise, as doubly robust scores are."""
    rng = np.random.default_rng(seed)
    n, k = tau.shape
    score = truth - cost + noise * rng.standard_normal((n, k))
    ones = np.ones((n, k))
    return Judged(tau, tau.mean(axis=0), ones, cost * ones, ones.astype(bool), score, np.arange(n))


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
