"""The gate: are the differences between contacts sure enough to act on, or does everybody get what is best on average?

The personal policy takes for each contact the action of the highest tau * value - cost, the constant one does so with each action's average
effect in place of tau (where value and cost are the same for all, that is one action for everybody, or none). Both are judged on the same
rows by doubly robust scores, with taus that have not seen the row:

    score_i(k) = V_k (m_1k + w_k (y - m_1k)) - V_k (m_0 + w_0 (y - m_0)) - c_k,   w = 1{chosen} / selection_prob

Differences that do not pay are not thrown away but pressed together, until they hardly change what anybody gets: they still order the
audience where a budget does not reach everybody.

Of many actions judged alone some pass by chance. So the bar of one action rises with their number, until the best of K passes by chance
as seldom as a single one passes `errors` standard errors; and what is kept is judged once more as it will be decided.

References
----------
Athey and Wager, "Policy Learning with Observational Data", 2021 (doubly robust scores of policies).
Sidak, "Rectangular Confidence Regions for the Means of Multivariate Normal Distributions", 1967 (the bar for several actions).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, ndtri

from estimators.arrays import BoolArray, FloatArray, IntArray

NOTHING = -1
STEPS = (1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.0)
"""How far differences are pressed together, tried in turn."""

FEWEST_TRIED = 30
"""With fewer logged rows of what a policy would do where it differs, a gain is the model's word and its error says nothing."""

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
    weight : array, shape (n,)
        How many rows of the whole log each row stands for.
    logged : array of int, shape (n,)
        What each row got: the number of an action, or `NOTHING`.
    """

    tau: FloatArray
    average: FloatArray
    value: FloatArray
    cost: FloatArray
    open: BoolArray
    score: FloatArray
    contact: IntArray
    weight: FloatArray
    logged: IntArray

    def share(self, which: BoolArray) -> float:
        """The share of the whole log that these rows stand for; `which` has shape (n,)."""
        return float(np.average(which, weights=self.weight))

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
    tried : int
        On how many of those the log did what the one, and on how many what the other would do: the lesser number.
    """

    value: float
    standard_error: float
    changed: float
    tried: int

    def exceeds(self, errors: float) -> bool:
        """Above so many standard errors."""
        return self.changed > HARDLY and self.value > errors * self.standard_error

    def falls_below(self, errors: float) -> bool:
        """A loss of more than so many standard errors."""
        return self.changed > HARDLY and self.value < -errors * self.standard_error


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
    decided : Gain
        Of what is decided, with the differences as far as they are believed, beyond the constant policy.
    """

    overall: Gain
    by_action: tuple[Gain, ...]
    trust: FloatArray
    passed: bool
    constant: IntArray
    decided: Gain


def judge_differences(rows: Judged, *, errors: float) -> Gate:
    """Believe the differences between contacts as far as they earn more than `errors` standard errors.

    If the personal policy as a whole does, they stay as they are, but for actions whose differences alone lose as surely. Else those
    actions keep theirs whose differences alone pass, if together they pass too; the others' are pressed together until hardly anybody's
    action changes. Alone means above `bar` of the number of actions whose differences change anything, on `FEWEST_TRIED` logged rows at
    least of what they change.

    Parameters
    ----------
    rows : Judged
    errors : float
        0 believes whatever gains at all.
    """
    n_actions = len(rows.average)
    nobody, everybody = np.zeros(n_actions), np.ones(n_actions)
    constant = rows.policy(nobody)
    overall = _gain(rows, rows.policy(everybody), constant)
    alone = tuple(_gain(rows, rows.policy(np.eye(n_actions)[k]), constant) for k in range(n_actions))
    if overall.changed <= HARDLY:
        return Gate(overall, alone, everybody, True, constant, overall)
    passed = overall.exceeds(errors)
    height = bar(errors, sum(gain.changed > HARDLY for gain in alone))
    kept = np.array([not gain.falls_below(height) if passed else gain.exceeds(height) and gain.tried >= FEWEST_TRIED for gain in alone])
    trust, decided = _believing(rows, kept, constant)
    if not decided.exceeds(errors) and (kept != passed).any():
        trust, decided = _believing(rows, np.full(n_actions, passed), constant)
    return Gate(overall, alone, trust, passed, constant, decided)


def bar(errors: float, tried: int) -> float:
    """The standard errors that the best of so many independent gains of nothing exceeds as seldom as a single one exceeds `errors`.

    Examples
    --------
    >>> [round(bar(1.0, tried), 2) for tried in (1, 2, 12, 100)]
    [1.0, 1.39, 2.19, 2.92]
    """
    if tried < 2 or errors <= 0.0:
        return errors
    return float(-ndtri(-np.expm1(log_ndtr(errors) / tried)))


def _believing(rows: Judged, kept: BoolArray, constant: IntArray) -> tuple[FloatArray, Gain]:
    """How far differences are believed where those of these actions are kept, and what that gains."""
    trust = np.where(kept, 1.0, _pressed(rows, kept))
    return trust, _gain(rows, rows.policy(trust), constant)


def _pressed(rows: Judged, kept: BoolArray) -> float:
    """The largest step at which the differences of the actions that are not kept change hardly anybody's action."""
    without = rows.policy(kept.astype(np.float64))
    for step in STEPS:
        if rows.share(rows.policy(np.where(kept, 1.0, step)) != without) <= HARDLY:
            return step
    return 0.0


def _gain(rows: Judged, policy: IntArray, other: IntArray) -> Gain:
    difference = rows.earned(policy) - rows.earned(other)
    value = float(np.average(difference, weights=rows.weight))
    by_contact = np.bincount(rows.contact, weights=rows.weight * (difference - value))
    error = float(np.sqrt((by_contact**2).sum()) / rows.weight.sum())
    differs = policy != other
    tried = min(int((differs & (one == rows.logged)).sum()) for one in (policy, other))
    return Gain(value, error, rows.share(differs), tried)
