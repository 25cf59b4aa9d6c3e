"""A plan explores too: some contacts, drawn at random, get what a draw says instead of what the plan would choose.

Each contact is drawn with the same probability q, as large as the budget allows. Of a contact that is drawn, candidate a is chosen with the
probability p_a that `exploration.py` gives it at the plan's shadow prices, no_action among the candidates; of everybody else the plan's
choice. So before the draw ::

    selection_prob(a) = q * p_a + (1 - q) * [a is the plan's choice]          expected cost = q * sum over contacts, sum_a p_a * (w* - w_a)

What is drawn is served first. Where limits make another contact give way, the plan's choice for that one is what it then gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from decisioning.allocation import NONE, Allocation, Offers
from decisioning.catalog import Exploration
from decisioning.control import hash_to_unit
from decisioning.exploration import draw_of_offers, probabilities_of_offers
from decisioning.exploration.thompson import Belief
from decisioning.vocabulary import BoolArray, FloatArray, IntArray, TextArray

_INCLUDED = "explore|included"


@dataclass(frozen=True)
class Explored:
    """What was drawn.

    Attributes
    ----------
    kept : array of int, ascending
        The offers that stay: all of the contacts that were not drawn, and what was drawn for the others.
    drawn : array of bool, shape (n_kept,)
        Which of them were drawn, to be served first.
    share : float
        The probability q with which a contact is drawn.
    chance, none_chance : arrays, shape (n_offers,) and (n_contacts,)
        The probability p_a of every offer and of no_action for a contact that is drawn; NaN for those who may not be.
    included : array of bool, shape (n_contacts,)
        Who was drawn.
    otherwise : array of int, shape (n_contacts,)
        The offer of each contact in the plan without any draw, -1 for none.
    expected_cost : float
        Money given up, before the draw: at most the budget.
    """

    kept: IntArray
    drawn: BoolArray
    share: float
    chance: FloatArray
    none_chance: FloatArray
    included: BoolArray
    otherwise: IntArray
    expected_cost: float

    def selection_prob(self, contact: IntArray, chosen: IntArray) -> FloatArray:
        """The probability, before the draw, of what each row of a plan chose: shape (n_rows,); `chosen` is an offer, or -1 for none.

        A contact whose drawn offer did not fit any more got none with the probability of that draw.
        """
        plain = np.where(self.included[contact], self.otherwise[contact] == chosen, True)
        chance = np.where(chosen == NONE, self.none_chance[contact], self.chance[np.where(chosen == NONE, 0, chosen)])
        prob = self.share * chance + (1.0 - self.share) * plain
        unserved = self.included[contact] & (prob <= 0)
        return np.where(np.isnan(chance), 1.0, np.where(unserved, self.share, prob))


@dataclass(frozen=True)
class Open:
    """The candidates of the contacts that may be explored, no_action among them, sorted by contact.

    `offer` is -1 for no_action; `contact`, `offer` and `worth` have shape (n_open,).
    """

    contact: IntArray
    offer: IntArray
    worth: FloatArray

    @classmethod
    def of(cls, offers: Offers, allocation: Allocation, may: BoolArray) -> Open:
        """Of the contacts who `may` be explored (shape (n_contacts,)) and have no offer that is served first."""
        obliged = np.zeros(len(may), dtype=np.bool_)
        obliged[offers.contact[offers.first]] = True
        own = np.flatnonzero((may & ~obliged)[offers.contact])
        contacts = np.unique(offers.contact[own])
        contact = np.concatenate([offers.contact[own], contacts]).astype(np.int64)
        offer = np.concatenate([own, np.full(len(contacts), NONE)]).astype(np.int64)
        worth = np.concatenate([offers.reduced(allocation.shadow_prices, own), np.zeros(len(contacts))])
        order = np.argsort(contact, kind="stable")
        return cls(contact[order], offer[order], worth[order])


def explore_plan(
    offers: Offers, allocation: Allocation, settings: Exploration, budget: float, who: tuple[BoolArray, TextArray], belief: Belief | None
) -> Explored | None:
    """Draw for some contacts; None where nothing is to be learned or nothing may be given up.

    Parameters
    ----------
    offers, allocation
        The plan as it would be.
    settings : Exploration
    budget : float
        Money of expected profit that the plan may give up.
    who : (array of bool, array of str), shape (n_contacts,)
        Who may be explored, and what each contact's draws derive from.
    belief : Belief, optional
        Of all offers, for Thompson sampling.
    """
    may, seeds = who
    candidates = Open.of(offers, allocation, may)
    if not len(candidates.contact) or budget <= 0:
        return None
    chances = probabilities_of_offers(candidates.contact, candidates.worth, settings, belief=_of_candidates(belief, candidates))
    starts = np.flatnonzero(np.diff(candidates.contact, prepend=-1))
    lengths = np.diff(np.append(starts, len(candidates.contact)))
    best = np.repeat(np.maximum.reduceat(candidates.worth, starts), lengths)
    cost = float((chances * (best - candidates.worth)).sum())
    if cost <= 0:
        return None
    share = min(1.0, budget / cost)
    contacts = candidates.contact[starts]
    included = hash_to_unit(seeds[contacts].tolist(), _INCLUDED) < share
    taken = _drawn(candidates, chances, included, lengths, seeds[contacts[included]].tolist())
    return _result(offers, allocation, candidates, chances, _Draw(share, contacts[included], taken, share * cost))


@dataclass(frozen=True)
class _Draw:
    """The share of contacts that are drawn, who they are, the offers that were drawn for them, and what that costs, before the draw."""

    share: float
    contacts: IntArray
    offers: IntArray
    expected_cost: float


def _of_candidates(belief: Belief | None, candidates: Open) -> Belief | None:
    """The belief of the candidates: of no_action everything is known."""
    if belief is None:
        return None
    none = candidates.offer == NONE

    def of(per_offer: FloatArray, otherwise: float) -> FloatArray:
        return np.where(none, otherwise, per_offer[np.where(none, 0, candidates.offer)])

    return Belief(of(belief.mean, 0.0), of(belief.evidence, np.inf), of(belief.slope, 0.0))


def _drawn(candidates: Open, chances: FloatArray, included: BoolArray, lengths: IntArray, seeds: Sequence[str]) -> IntArray:
    """The offers drawn for the included contacts, without those for whom it was no_action."""
    inside = np.repeat(included, lengths)
    places = draw_of_offers(candidates.contact[inside], chances[inside], seeds, 0)
    offers = candidates.offer[inside][places]
    return np.asarray(offers[offers != NONE], dtype=np.int64)


def _result(offers: Offers, allocation: Allocation, candidates: Open, chances: FloatArray, draw: _Draw) -> Explored:
    n_contacts = len(allocation.choice)
    chance, none_chance = np.full(len(offers.contact), np.nan), np.full(n_contacts, np.nan)
    is_none = candidates.offer == NONE
    chance[candidates.offer[~is_none]] = chances[~is_none]
    none_chance[candidates.contact[is_none]] = chances[is_none]
    included = np.zeros(n_contacts, dtype=np.bool_)
    included[draw.contacts] = True
    drawn = np.zeros(len(offers.contact), dtype=np.bool_)
    drawn[draw.offers] = True
    kept = np.flatnonzero(~included[offers.contact] | drawn)
    return Explored(kept, drawn[kept], draw.share, chance, none_chance, included, allocation.choice, draw.expected_cost)
