"""How do we learn what we do not know? By chance, on purpose, within a budget of money, and with every probability known exactly.

Exploration chooses among the surviving candidates of a contact, no_action (worth 0) among them. Models predict the response and its value
is known, so that worth is money (docs/decisions.md), and what a decision gives up to learn is, with the best worth w* and gaps w* - w_a::

    expected cost = sum_a p_a * (w* - w_a)

- `squarecb`: inverse gap weighting (Abe and Long, Associative reinforcement learning using linear probabilistic concepts, 1999; Foster and
  Rakhlin, Beyond UCB, arXiv:2002.04926). Over k candidates, p_a = 1 / (k + gamma * gap_a / scale), and the best takes the rest. `scale` is
  the greatest gap, so that neither the currency nor a constant added to every worth changes anything. A decision costs at most
  (k - 1) * scale / gamma.
- `thompson`: each candidate as often as it may be the best one (`thompson.py`).
- `epsilon_greedy`: the best, and with probability epsilon any of the k.

An allowance bounds the expected cost of a decision. Where the settings would cost more, SquareCB's gamma is raised and epsilon lowered, and
Thompson is mixed with the best candidate, until the cost is the allowance. Among equals the first is the best.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from decisioning.catalog import Exploration
from decisioning.control import hash_to_unit
from decisioning.exploration.choices import Choices
from decisioning.exploration.thompson import Belief, best_probabilities
from decisioning.vocabulary import FloatArray, IntArray, TextArray

DEFAULT_GAMMA = 300.0
"""The least regret of 3, 10, 30, 100, 300 and 1000 in simulated worlds of 4 and 6 actions whose responses a logistic model learns from what
was chosen: below 100 most is given up for nothing, at 1000 what began badly is learned too late."""
_MOST_STEPS = 60
_CLOSE_ENOUGH = 1e-10
_NEXT_TO_NOTHING = 1e-100
_MORE_THAN_ENOUGH = 4.0
"""Twice the most that a decision can cost, in units of its greatest worth."""
_SHARE_A_DECISION = 0.05


def probabilities(worth: FloatArray, settings: Exploration, *, belief: Belief | None = None, allowance: float = np.inf) -> FloatArray:
    """The selection probability of each of k candidates, shape (k,).

    They are all above 0 for SquareCB and epsilon-greedy, as long as the allowance (and epsilon) is.

    Parameters
    ----------
    worth : array, shape (k,), k >= 1
        Money, finite; no_action's is 0.
    settings : Exploration
        Its budget is not asked here: that is what an allowance is for.
    belief : Belief, optional
        Of the same candidates, for Thompson sampling; without it everything counts as known.
    allowance : float
        Money that this decision may give up in expectation; 0 or less: the best candidate for certain.

    Raises
    ------
    ValueError
        A worth is not a finite number, there is none, or the allowance is not a number.

    Examples
    --------
    >>> probabilities(np.array([10.0, 5.0, 0.0]), Exploration(method="squarecb", gamma=4)).round(3).tolist()
    [0.657, 0.2, 0.143]
    >>> probabilities(np.array([10.0, 5.0, 0.0]), Exploration(method="epsilon_greedy", epsilon=0.3), allowance=0.5).round(3).tolist()
    [0.933, 0.033, 0.033]
    """
    if not len(worth):
        raise ValueError("there is nothing to choose from, not even no_action")
    return _explore(np.zeros(1, dtype=np.int64), worth, settings, belief, np.array([allowance], dtype=np.float64))


def probabilities_of_offers(
    contact: IntArray,
    worth: FloatArray,
    settings: Exploration,
    *,
    belief: Belief | None = None,
    allowance: float | FloatArray = np.inf,
) -> FloatArray:
    """The selection probabilities of many contacts at once, each contact's as `probabilities` has them, shape (n_offers,).

    Without a loop for SquareCB and epsilon-greedy; Thompson goes from contact to contact.

    Parameters
    ----------
    contact : array of int, shape (n_offers,), ascending
        Whose candidate each is, no_action among them.
    worth, belief
        Of each candidate, shape (n_offers,).
    allowance : float or array, shape (number of different contacts,)

    Raises
    ------
    ValueError
        A worth is not a finite number, an allowance is not a number, or the candidates are not sorted by contact.

    Examples
    --------
    >>> settings = Exploration(method="epsilon_greedy", epsilon=0.3)
    >>> probabilities_of_offers(np.array([0, 0, 4]), np.array([10.0, 0.0, 7.0]), settings).round(3).tolist()
    [0.85, 0.15, 1.0]
    """
    if (np.diff(contact) < 0).any():
        raise ValueError("candidates must be sorted by contact")
    starts = _starts(contact)
    if not len(starts):
        return np.zeros(0)
    return _explore(starts, worth, settings, belief, np.broadcast_to(np.asarray(allowance, dtype=np.float64), starts.shape))


def _starts(contact: IntArray) -> IntArray:
    return np.flatnonzero(np.diff(contact, prepend=-1))


def _explore(starts: IntArray, worth: FloatArray, settings: Exploration, belief: Belief | None, allowance: FloatArray) -> FloatArray:
    if not np.isfinite(worth).all():
        raise ValueError("the worth of a candidate is not a finite number")
    if np.isnan(allowance).any():
        raise ValueError("an allowance is not a number")
    choices = Choices(starts, worth)
    with np.errstate(over="ignore"):
        allowances = np.minimum(allowance / choices.unit, _MORE_THAN_ENOUGH)
    return choices.within(_METHODS[settings.method](choices, settings, belief, allowances), allowances)


def expected_cost(worth: FloatArray, selection_probs: FloatArray) -> float:
    """What choosing with these probabilities gives up against the best of the candidates, money, >= 0.

    Examples
    --------
    >>> expected_cost(np.array([10.0, 5.0, 0.0]), np.array([0.7, 0.2, 0.1]))
    2.0
    """
    return float(selection_probs @ (worth.max() - worth))


def draw(selection_probs: FloatArray, seed: str, slot: int) -> int:
    """The place of the candidate that the decision of this seed takes for its `slot`: the same whenever it is asked.

    Examples
    --------
    >>> [draw(np.array([0.5, 0.0, 0.5]), "decision-1", slot) for slot in range(6)]
    [0, 2, 0, 0, 2, 2]
    """
    drawn = float(hash_to_unit([seed], f"explore|{slot}")[0])
    passed, chosen = 0.0, 0
    for place, probability in enumerate(selection_probs.tolist()):
        if passed > drawn:
            break
        chosen = place if probability > 0 else chosen
        passed += probability
    return chosen


def draw_of_offers(contact: IntArray, selection_probs: FloatArray, seeds: Sequence[str] | TextArray, slot: int) -> IntArray:
    """What `draw` takes for many contacts at once: places among all candidates, one a contact, shape (number of different contacts,).

    Parameters
    ----------
    contact : array of int, shape (n_offers,), ascending
    selection_probs : array, shape (n_offers,), of sum 1 a contact
    seeds : one a contact, in the order of `contact`
    """
    starts = _starts(contact)
    lengths = np.diff(np.append(starts, len(contact)))
    drawn = hash_to_unit(seeds, f"explore|{slot}")
    chosen = starts.copy()
    passed = np.zeros(len(starts))
    # One candidate of every contact at a time, so that each contact's sums are those of `draw` to the last bit.
    for place in range(int(lengths.max(initial=0))):
        having = np.flatnonzero(lengths > place)
        offer = starts[having] + place
        taken = (passed[having] <= drawn[having]) & (selection_probs[offer] > 0)
        chosen[having[taken]] = offer[taken]
        passed[having] += selection_probs[offer]
    return chosen


def allowance_now(budget: float, spent: float, *, elapsed: float, head_start: float) -> float:
    """What the next decision may give up, money: a twentieth of what the budget has released so far and nobody has spent.

    The budget is released evenly over the period, ahead of time by `head_start`. What is spent never comes to more than is released, hence
    never to more than the budget. As a decision takes only a part of what is there, spending settles at the pace of the release instead of
    emptying the purse each time, and a few decisions that read the same meter at the same time still find their money.

    Parameters
    ----------
    budget : float
        Money for the whole period.
    spent : float
        The expected cost of the period's decisions so far, money.
    elapsed : float
        The fraction of the period that is over.
    head_start : float
        A fraction of the period; a day's worth is 1 / period_days.

    Examples
    --------
    >>> round(allowance_now(300.0, 100.0, elapsed=0.5, head_start=1 / 30), 2)
    3.0
    """
    released = budget * min(1.0, max(0.0, elapsed) + head_start)
    return _SHARE_A_DECISION * max(0.0, released - spent)


def _squarecb(choices: Choices, settings: Exploration, _belief: Belief | None, allowances: FloatArray) -> FloatArray:
    gamma = np.full(len(choices.starts), DEFAULT_GAMMA if settings.gamma is None else settings.gamma)
    affordable = _affordable_gamma(choices, gamma, allowances)
    return choices.with_the_rest_on_the_best(1.0 / (choices.size + choices.each(affordable) * choices.gap / choices.widest))


def _affordable_gamma(choices: Choices, gamma: FloatArray, allowances: FloatArray) -> FloatArray:
    """`gamma`, raised where it has to be until the cost is the allowance, shape (n_contacts,).

    The cost is C(gamma) = sum gap / (k + gamma * gap / widest), and 1 / C is concave and grows with gamma: Newton's steps on it from below
    never go too far, and one step is enough where all gaps are equal.
    """
    slope = choices.gap / choices.widest
    wanted = np.maximum(allowances, _NEXT_TO_NOTHING)
    for _ in range(_MOST_STEPS):
        each = choices.gap / (choices.size + choices.each(gamma) * slope)
        cost = choices.total(each)
        too_dear = cost > wanted * (1 + _CLOSE_ENOUGH)
        if not too_dear.any():
            break
        falls = choices.total(each * each) / choices.widest[choices.starts]
        step = (cost / wanted - 1) * cost / np.where(too_dear, falls, 1.0)
        gamma = np.where(too_dear, gamma + step, gamma)
    return gamma


def _thompson(choices: Choices, _settings: Exploration, belief: Belief | None, allowances: FloatArray) -> FloatArray:
    natural = choices.with_the_rest_on_the_best(np.zeros_like(choices.gap))
    if belief is None:
        return natural
    for place in np.flatnonzero((choices.lengths > 1) & (allowances > 0)):
        one = slice(choices.starts[place], choices.starts[place] + choices.lengths[place])
        own = Belief(belief.mean[one], belief.evidence[one], belief.slope[one])
        natural[one] = best_probabilities(-choices.gap[one] * choices.unit[place], own)
    return natural


def _epsilon_greedy(choices: Choices, settings: Exploration, _belief: Belief | None, _allowances: FloatArray) -> FloatArray:
    return choices.with_the_rest_on_the_best(settings.epsilon / choices.size + np.zeros_like(choices.gap))


_METHODS: dict[str, Callable[[Choices, Exploration, Belief | None, FloatArray], FloatArray]] = {
    "squarecb": _squarecb,
    "thompson": _thompson,
    "epsilon_greedy": _epsilon_greedy,
}
