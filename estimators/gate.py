"""The gate: are the differences between contacts sure enough to act on, or does everybody get what is best on average?

The personal policy takes for each contact the action of the highest tau * value - cost, the constant one does so with each action's average
effect in place of tau (where value and cost are the same for all, that is one action for everybody, or none). Both are judged on the same
rows by doubly robust scores, with taus that have not seen the row:

    score_i(k) = V_k (m_1k + w_k (y - m_1k)) - V_k (m_0 + w_0 (y - m_0)) - c_k,   w = 1{chosen} / selection_prob

Differences that do not pay are not thrown away but pressed together, until they hardly change what anybody gets: they still order the
audience where a budget does not reach everybody.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from estimators.arrays import BoolArray, FloatArray, IntArray

NOTHING = -1
STEPS = (1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.0)
"""How far differences are pressed together, tried in turn."""

HARDLY = 0.002
"""A share of contacts so small that who gets what counts as unchanged."""


@dataclass(frozen=True, eq=False)
class Judged:
    """n logged rows, K actions.

    Parameters
    ----------
    tau : array, shape (n, K)
        Out of fold.
    average : array, shape (K,)
        Average effects.
    value, cost : arrays, shape (n, K)
        Money of a response and of a contact.
    open : array of bool, shape (n, K)
        What may be done.
    score : array, shape (n, K)
        Doubly robust incremental profit of each action on each row.
    contact : array of int, shape (n,)
        Rows of one contact are not independent: errors are counted by contact.
    """

    tau: FloatArray
    average: FloatArray
    value: FloatArray
    cost: FloatArray
    open: BoolArray
    score: FloatArray
    contact: IntArray

    def policy(self, trust: FloatArray) -> IntArray:
        """What each row gets when the differences of action k count `trust[k]`, shape (n,); `NOTHING` where nothing pays."""
        expected = (self.average + trust * (self.tau - self.average)) * self.value - self.cost
        expected = np.where(self.open, expected, -np.inf)
        best = np.argmax(expected, axis=1)
        return np.where(expected[np.arange(len(best)), best] > 0.0, best, NOTHING)

    def earned(self, policy: IntArray) -> FloatArray:
        """The doubly robust incremental profit of a policy on each row, shape (n,)."""
        acts = policy != NOTHING
        return np.where(acts, self.score[np.arange(len(policy)), np.where(acts, policy, 0)], 0.0)


@dataclass(frozen=True)
class Gain:
    """Money a contact that one policy earns beyond another.

    Parameters
    ----------
    value, standard_error : float
    changed : float
        Share of the rows on which the two differ.
    """

    value: float
    standard_error: float
    changed: float

    def exceeds(self, errors: float) -> bool:
        """Above so many standard errors."""
        return self.changed > HARDLY and self.value > errors * self.standard_error


@dataclass(frozen=True, eq=False)
class Gate:
    """What the gate says.

    Parameters
    ----------
    overall : Gain
        Of the personal policy beyond the constant one.
    by_action : tuple of Gain
        Of personal differences in one action alone.
    trust : array, shape (K,)
        How far each action's differences are believed: 1 as they are.
    passed : bool
        The overall gain is sure, or nobody's action depends on the differences.
    constant : array, shape (n,)
        What each row gets from the constant policy.
    """

    overall: Gain
    by_action: tuple[Gain, ...]
    trust: FloatArray
    passed: bool
    constant: IntArray


def judge_differences(rows: Judged, *, errors: float) -> Gate:
    """Believe the differences between contacts as far as they earn more than `errors` standard errors.

    If the personal policy as a whole does, they stay as they are, but for actions whose differences alone lose as surely. Else those
    actions keep theirs whose differences alone pass; the others' are pressed together until hardly anybody's action changes.

    Parameters
    ----------
    rows : Judged
    errors : float
        0 believes whatever gains at all.

    References
    ----------
    Athey and Wager, "Policy Learning with Observational Data", 2021 (doubly robust scores of policies).
    """
    n_actions = len(rows.average)
    nobody, everybody = np.zeros(n_actions), np.ones(n_actions)
    constant = rows.policy(nobody)
    overall = _gain(rows, rows.policy(everybody), constant)
    alone = tuple(_gain(rows, rows.policy(np.eye(n_actions)[k]), constant) for k in range(n_actions))
    if overall.changed <= HARDLY:
        return Gate(overall, alone, everybody, True, constant)
    if overall.exceeds(errors):
        loses = np.array([gain.changed > HARDLY and gain.value < -errors * gain.standard_error for gain in alone])
        return Gate(overall, alone, np.where(loses, _pressed(rows, ~loses), 1.0), True, constant)
    sure = np.array([gain.exceeds(errors) for gain in alone])
    return Gate(overall, alone, np.where(sure, 1.0, _pressed(rows, sure)), False, constant)


def _pressed(rows: Judged, kept: BoolArray) -> float:
    """The largest step at which the differences of the actions that are not kept change hardly anybody's action."""
    without = rows.policy(kept.astype(np.float64))
    for step in STEPS:
        if np.mean(rows.policy(np.where(kept, 1.0, step)) != without) <= HARDLY:
            return step
    return 0.0


def _gain(rows: Judged, policy: IntArray, other: IntArray) -> Gain:
    difference = rows.earned(policy) - rows.earned(other)
    by_contact = np.bincount(rows.contact, weights=difference - difference.mean())
    error = float(np.sqrt((by_contact**2).sum())) / len(difference)
    return Gain(float(difference.mean()), error, float(np.mean(policy != other)))
