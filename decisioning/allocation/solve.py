"""Who gets what when not everybody can? Offers to contacts within budgets, capacities, minimum volumes and caps.

The problem, over offers j of contact i(j) with value v and uses u, and limits least <= most::

    maximise  sum_j v_j x_j   subject to   sum_{j of i} x_j <= per_contact and no action twice, for every contact,
                                           least_r <= sum_j u_jr x_j <= most_r, for every limit,
                                           sum_{j in cap, unit} x_j <= room, for every unit of every cap,   x in {0, 1}

Mandatory offers are served first. Then `relaxation.py` finds the prices of the limits, contacts are handed the best of what fits in
the order of how clear their choice is, and `refinement.py` tries the narrowest choices anew. The dual at the prices (`dual.py`) bounds
the best value from above, so every plan says how far from it it may be. Limits that contradict one another are named (`clash.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from decisioning.allocation.assignment import Assignment, keep_paying
from decisioning.allocation.clash import find_clash
from decisioning.allocation.dual import margins
from decisioning.allocation.limit_costs import limit_costs
from decisioning.allocation.minimums import meet_minimums
from decisioning.allocation.problem import NONE, Empty, Limits, LocalCap, Offers, Problem, blocks
from decisioning.allocation.refinement import refine
from decisioning.allocation.relaxation import Relaxation, compete, descending, relax, serve_first
from decisioning.errors import Infeasible
from decisioning.vocabulary import FloatArray, IntArray

__all__ = ["NONE", "Allocation", "Limits", "LocalCap", "Offers", "allocate"]

_PROVEN = 1e-12
_CLOSE = 5e-6
_ROUNDS = 3


@dataclass(frozen=True)
class Allocation:
    """An allocation with its proof.

    Attributes
    ----------
    taken : array of int
        The chosen offers, ascending.
    choice : array of int, shape (n_contacts,)
        The best-ranked chosen offer of each contact, -1 for none.
    shadow_prices : array, shape (n_limits,)
        Money for one more unit: positive where a maximum binds, negative where a minimum does. The reduced value of an offer is
        `value - uses @ shadow_prices`.
    used, slack, excess : arrays, shape (n_limits,)
        What is used, what is left to the maximum (inf where there is none), and what is used beyond the minimum.
    value : float
        Of the chosen offers, `value_first` of it of mandatory ones.
    bound : float
        No allocation that serves the mandatory offers first is worth more: the dual, or the value itself where all has been tried.
    cost_of_limit : array, shape (n_limits,)
        What the dual would gain if this limit were not there, money, >= 0: see `limit_costs`.
    """

    taken: IntArray
    choice: IntArray
    shadow_prices: FloatArray
    used: FloatArray
    slack: FloatArray
    excess: FloatArray
    value: float
    bound: float
    cost_of_limit: FloatArray
    value_first: float = 0.0

    @property
    def gap(self) -> float:
        """How far the choice can be from the best one, as a fraction of what there was to win; 0 is proven optimal."""
        to_win = max(abs(self.bound - self.value_first), abs(self.value - self.value_first))
        return max(0.0, (self.bound - self.value) / to_win) if to_win > 0 else 0.0


def allocate(
    offers: Offers, limits: Limits, n_contacts: int, *, per_contact: int = 1, caps: Sequence[LocalCap] = (), empty: Empty = np.empty
) -> Allocation:
    """The allocation of `offers` within `limits`, deterministic.

    Among equals the contact that comes first is served first, and of its offers the one that stands first.

    Parameters
    ----------
    offers : Offers
    limits : Limits
    n_contacts : int
    per_contact : int
        The most offers that one contact gets, each of another action.
    caps : sequence of LocalCap
    empty : Empty
        Makes the arrays of one entry an offer that are needed on the way.

    Raises
    ------
    Infeasible
        The limits contradict one another; the error holds which of them, and by how much.

    Examples
    --------
    >>> nothing = np.zeros(3, dtype=int)
    >>> offers = Offers(np.arange(3), nothing, np.array([5.0, 9.0, 7.0]), nothing, np.ones((1, 1)), nothing.astype(bool), nothing)
    >>> plan = allocate(offers, Limits.at_most(np.array([2.0])), 3)
    >>> plan.choice.tolist(), plan.used.tolist(), plan.gap, plan.cost_of_limit.tolist()
    ([-1, 1, 2], [2.0], 0.0, [5.0])
    """
    problem = Problem(offers, limits, n_contacts, per_contact, tuple(caps), empty)
    relaxation = relax(problem)
    if relaxation is None:
        raise _clashing(problem)
    best, relaxation, proven = _best(relaxation)
    prices = _blocking(relaxation)
    used = best.used
    return Allocation(
        taken=best.chosen,
        choice=_best_ranked(best),
        shadow_prices=prices,
        used=used,
        slack=limits.most - used,
        excess=used - limits.least,
        value=best.value,
        bound=best.value if proven else max(relaxation.bound, best.value),
        cost_of_limit=limit_costs(relaxation),
        value_first=relaxation.served.value,
    )


def _best(relaxation: Relaxation) -> tuple[Assignment, Relaxation, bool]:
    """The best of what is handed out at the prices and of what trying the narrowest contacts anew makes of it, and the best bound.

    Last, whether a search through everything has proven that nothing is better, whatever the bound says.
    The programme of the narrowest contacts has prices of its own: where more than a hair is left to win, all is tried once more at those.
    """
    best: Assignment | None = None
    proven = False
    for _ in range(_ROUNDS):
        held = _hand_out(relaxation)
        best = _better(best, held)
        if best is held and held.value >= relaxation.bound - _PROVEN * abs(relaxation.bound):
            break
        anew, prices, proven = refine(held, relaxation)
        if anew is not None:
            _fill(anew, relaxation)
            best = _better(best, anew)
        if relaxation.is_small or prices is None or (best is not None and best.value >= relaxation.bound * (1 - _CLOSE)):
            break
        relaxation = relaxation.at(prices)
    if best is None:
        raise _only_divided(relaxation)
    return best, relaxation.lowest or relaxation, proven


def _better(best: Assignment | None, other: Assignment) -> Assignment | None:
    if not other.is_feasible:
        return best
    return other if best is None or other.value > best.value else best


def _hand_out(relaxation: Relaxation) -> Assignment:
    """What is worth its price, the clearest preferences first; then whatever still fits, the greatest worth first."""
    held, offers = relaxation.served.copy(), relaxation.served.problem.offers
    worth = relaxation.worth
    wanted = held.problem.empty(len(offers.value), np.bool_)
    wanted[:] = False
    for some in blocks(len(relaxation.competing)):
        wanted[relaxation.competing[some]] = True
    margin = np.full(held.problem.n_contacts, -np.inf)
    margin[relaxation.competitors] = margins(relaxation.contest, relaxation.prices, relaxation.cap_prices)[0]
    keep_paying(wanted, worth, offers.value)
    held.serve(descending(margin), worth, wanted)
    if (held.lacking > 0).any():
        meet_minimums(held, worth, relaxation.competing, offers.first)
    _fill(held, relaxation)
    return held


def _fill(held: Assignment, relaxation: Relaxation) -> None:
    """Take whatever of positive value still fits, the contact of the greatest worth first."""
    offers, worth = held.problem.offers, relaxation.worth
    wanted, best = held.is_open(), np.full(held.problem.n_contacts, -np.inf)
    for some in blocks(len(wanted)):
        wanted[some] &= (offers.value[some] > 0) & ~offers.first[some]
        here = wanted[some]
        np.maximum.at(best, offers.contact[some][here], worth[some][here])
    held.serve(descending(best), worth, wanted)


def _best_ranked(best: Assignment) -> IntArray:
    """Of each contact's chosen offers a mandatory one, or else that of the greatest value; -1 for none."""
    offers, chosen = best.problem.offers, best.chosen
    choice = np.full(best.problem.n_contacts, NONE, dtype=np.int64)
    order = chosen[np.lexsort((-chosen, offers.value[chosen], offers.first[chosen]))]
    choice[offers.contact[order]] = order
    return choice


def _blocking(relaxation: Relaxation) -> FloatArray:
    """The prices, raised for a limit that can serve none of its offers to what the best of them would gain by one unit of it.

    Such a limit takes no part in the dual, and any price from here on is one of the best; below, real time would hand out what cannot be.
    """
    offers, competing, prices = relaxation.served.problem.offers, relaxation.competing, relaxation.prices
    blocked = ~relaxation.served.profiles_that_fit()
    if not blocked.any():
        return prices
    in_contest = np.zeros(len(offers.uses), dtype=np.bool_)
    alternative = np.zeros(relaxation.served.problem.n_contacts)
    for some in blocks(len(competing)):
        which = competing[some]
        in_contest[offers.profile[which]] = True
        np.maximum.at(alternative, offers.contact[which], offers.reduced(prices, which))
    wanted = (relaxation.wanted[some] for some in blocks(len(relaxation.wanted)))
    shut_out = np.concatenate([which[blocked[offers.profile[which]] & (offers.value[which] > 0)] for which in wanted] or [competing[:0]])
    gain = offers.reduced(prices, shut_out) - alternative[offers.contact[shut_out]]
    raised = prices.copy()
    use = offers.uses[offers.profile[shut_out]]
    full = (use > relaxation.served.left).any(axis=0)
    for limit in np.flatnonzero(full & ~(offers.uses[in_contest] > 0).any(axis=0)):
        uses = use[:, limit] > 0
        raised[limit] = max(0.0, float((gain[uses] / use[uses, limit]).max()))
        gain = gain - raised[limit] * use[:, limit]
    return raised


def _clashing(problem: Problem) -> Infeasible:
    served = serve_first(problem)
    clash = find_clash(served, compete(served)[1])
    named = ", ".join(f"the {one.side} of limit {one.limit} ({one.bound:g}, off by {one.by:g})" for one in clash)
    return Infeasible(f"the limits contradict one another: {named}", clash=clash)


def _only_divided(relaxation: Relaxation) -> Infeasible:
    clash = find_clash(relaxation.served, relaxation.competing)
    if clash:
        return _clashing(relaxation.served.problem)
    lacking = [str(limit) for limit in np.flatnonzero(relaxation.served.problem.limits.least > 0)]
    return Infeasible(
        f"no allocation of whole offers was found that meets every minimum (limits {', '.join(lacking)}), though divided offers would",
        hint="lower a minimum or raise a maximum a little",
    )
