"""Who gets what when not everybody can? At most one offer a contact, within budgets and capacities.

The problem, over offers j of contact i(j) with value v and uses u, and limits b::

    maximise  sum_j v_j x_j   subject to   sum_{j of i} x_j <= 1 for every contact,   sum_j u_jr x_j <= b_r for every limit,   x in {0, 1}

Mandatory offers are served first. Then `dual.py` finds the shadow prices, `assignment.py` hands out in the order of worth after
prices, only what fits, so that no limit is ever exceeded, and `refinement.py` tries the few narrowest choices anew. The dual
at the prices bounds the best value from above, so every plan says how far from it it may be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from decisioning.assignment import NONE, Assignment, two_best
from decisioning.dual import Market, dual_bound, shadow_prices
from decisioning.refinement import refine
from decisioning.vocabulary import BoolArray, FloatArray, IntArray

_TIE = 1e-9

__all__ = ["NONE", "Allocation", "Offers", "allocate"]


@dataclass(frozen=True)
class Offers:
    """The candidates worth allocating, sorted by contact.

    Attributes
    ----------
    contact : array of int, shape (n_offers,), ascending
        Row of the contact, 0 .. n_contacts - 1; contacts without an offer do not occur.
    treatment : array of int, shape (n_offers,)
    value : array, shape (n_offers,)
        Priority before shadow prices, money.
    use : array, shape (n_offers, n_limits)
        What the offer uses of each limit, >= 0.
    first : array of bool, shape (n_offers,)
        Mandatory offers: they are served before all others, whatever their value.

    Raises
    ------
    ValueError
        A value or a use is not finite, a use is negative, or the offers are not sorted by contact.
    """

    contact: IntArray
    treatment: IntArray
    value: FloatArray
    use: FloatArray
    first: BoolArray

    def __post_init__(self) -> None:
        if not np.isfinite(self.value).all():
            raise ValueError("the value of an offer is not a finite number")
        if not (np.isfinite(self.use).all() and (self.use >= 0).all()):
            raise ValueError("what an offer uses of a limit is not a finite number, or is negative")
        if (np.diff(self.contact) < 0).any():
            raise ValueError("offers must be sorted by contact")


@dataclass(frozen=True)
class Allocation:
    """An allocation with its proof.

    Attributes
    ----------
    choice : array of int, shape (n_contacts,)
        The chosen offer of each contact, -1 for none.
    shadow_prices, used, slack : arrays, shape (n_limits,)
        Money for one more unit of each limit; what is used and what is left of it.
    value : float
        Of the chosen offers, `value_first` of it of mandatory ones.
    bound : float
        No allocation that serves the mandatory offers first is worth more.
    """

    choice: IntArray
    shadow_prices: FloatArray
    used: FloatArray
    slack: FloatArray
    value: float
    bound: float
    value_first: float = 0.0

    @property
    def gap(self) -> float:
        """How far the choice can be from the best one, as a fraction of what there was to win; 0 is proven optimal."""
        to_win = self.bound - self.value_first
        return max(0.0, (self.bound - self.value) / to_win) if to_win > 0 else 0.0


def allocate(offers: Offers, limits: FloatArray, n_contacts: int) -> Allocation:
    """The allocation of `offers` within `limits` (shape (n_limits,)), deterministic.

    Among equals the contact that comes first is served first, and of its offers the treatment that comes first.

    Examples
    --------
    >>> offers = Offers(np.array([0, 1, 2]), np.array([0, 0, 0]), np.array([5.0, 9.0, 7.0]), np.ones((3, 1)), np.zeros(3, dtype=bool))
    >>> plan = allocate(offers, np.array([2.0]), 3)
    >>> plan.choice.tolist(), plan.used.tolist(), plan.gap
    ([-1, 1, 2], [2.0], 0.0)
    """
    served = Assignment(offers.contact, offers.use, limits, n_contacts)
    served.take(_by_best(offers, np.flatnonzero(offers.first), offers.value))
    value_first = _value(offers, served)
    wanted = np.flatnonzero((served.choice[offers.contact] == NONE) & (offers.value > 0) & ~offers.first)
    competing = wanted[served.is_open(wanted)]
    market = _market(offers, competing, served.remaining)
    prices = shadow_prices(market)
    bound = value_first + dual_bound(market, prices)
    reduced = offers.value - offers.use @ prices
    best = _hand_out(offers, competing, reduced, served)
    if len(limits):
        refine(best, reduced, prices, competing)
        best.take(_by_best(offers, competing[best.is_open(competing)], reduced))
    prices = _blocking(offers, wanted, competing, reduced, prices)
    return Allocation(best.choice, prices, best.used, limits - best.used, _value(offers, best), bound, value_first)


def _hand_out(offers: Offers, competing: IntArray, reduced: FloatArray, served: Assignment) -> Assignment:
    """`served` and what of `competing` goes on top: first what is worth its price, then whatever still fits.

    The clearest preferences first, or the greatest worth first: whichever wins more.
    """
    paying = competing[reduced[competing] > -_TIE * offers.value[competing]]
    tried = []
    for in_order in (_by_margin, _by_best)[: 2 if len(served.limits) else 1]:
        assignment = served.copy()
        assignment.take(in_order(offers, paying, reduced))
        assignment.take(_by_best(offers, competing[assignment.is_open(competing)], reduced))
        tried.append(assignment)
    return max(tried, key=lambda one: _value(offers, one))


def _value(offers: Offers, assignment: Assignment) -> float:
    return float(offers.value[assignment.choice[assignment.choice != NONE]].sum())


def _market(offers: Offers, which: IntArray, limits: FloatArray) -> Market:
    starts = np.flatnonzero(np.diff(offers.contact[which], prepend=-1))
    return Market(offers.value[which], offers.use[which], starts, limits)


def _by_best(offers: Offers, which: IntArray, worth: FloatArray) -> IntArray:
    """`which`, ordered by each contact's best `worth`: a contact's offers together, its best first; among equals the first contact."""
    return _ordered(offers, which, worth, lambda best, _: best)


def _by_margin(offers: Offers, which: IntArray, worth: FloatArray) -> IntArray:
    """`which`, ordered by how much each contact's best `worth` exceeds its second best, or the 0 of no action."""
    return _ordered(offers, which, worth, lambda best, second: best - np.maximum(second, 0.0))


def _ordered(offers: Offers, which: IntArray, worth: FloatArray, key: Callable[[FloatArray, FloatArray], FloatArray]) -> IntArray:
    contact = offers.contact[which]
    starts, lengths, best, second = two_best(contact, worth[which])
    rank = np.repeat(np.lexsort((starts, -key(best, second))).argsort(), lengths)
    return np.asarray(which[np.lexsort((offers.treatment[which], -worth[which], rank))], dtype=np.int64)


def _blocking(offers: Offers, wanted: IntArray, competing: IntArray, reduced: FloatArray, prices: FloatArray) -> FloatArray:
    """`prices`, raised for a limit that can serve none of its offers to what the best of them would gain by one unit of it.

    Such a limit takes no part in the dual, and any price from here on is one of the best; below, real time would hand out what cannot be.
    """
    alternative = np.zeros(int(offers.contact.max(initial=-1)) + 1)
    np.maximum.at(alternative, offers.contact[competing], reduced[competing])
    shut_out = np.setdiff1d(wanted, competing, assume_unique=True)
    gain = reduced[shut_out] - alternative[offers.contact[shut_out]]
    raised = prices.copy()
    for limit in np.flatnonzero((offers.use[shut_out] > 0).any(axis=0) & ~(offers.use[competing] > 0).any(axis=0)):
        use = offers.use[shut_out, limit]
        uses = use > 0
        raised[limit] = max(0.0, float((gain[uses] / use[uses]).max()))
        gain = gain - raised[limit] * use
    return raised
