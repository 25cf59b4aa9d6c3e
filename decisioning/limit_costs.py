"""What does each limit cost? The bound without it, less the bound with it."""

from __future__ import annotations

import numpy as np

from decisioning.dual import Contest, dual_bound
from decisioning.relaxation import Relaxation, relax
from decisioning.shadow_prices import shadow_prices
from decisioning.vocabulary import FloatArray

_SAMPLE_CONTACTS = 20_000


def limit_costs(relaxation: Relaxation) -> FloatArray:
    """What the bound would gain if one limit were not there, money, >= 0, shape (n_limits,).

    Of a small problem it is solved again without the limit, mandatory offers and all. Of a large one the dual of the competing offers is:
    on everybody, or on at most 20,000 evenly spaced contacts, scaled up; a limit without a price then costs nothing.

    Examples
    --------
    >>> from decisioning.allocation_problem import Limits, Offers, Problem
    >>> nothing = np.zeros(3, dtype=int)
    >>> offers = Offers(np.arange(3), nothing, np.array([5.0, 9.0, 7.0]), nothing, np.ones((1, 1)), nothing.astype(bool), nothing)
    >>> limit_costs(relax(Problem(offers, Limits.at_most(np.array([2.0])), 3))).tolist()
    [5.0]
    """
    small = relaxation.is_small
    matters = _can_matter(relaxation) if small else relaxation.prices != 0
    costs = np.zeros(len(relaxation.prices))
    part = relaxation.contest.sample(_SAMPLE_CONTACTS)
    for limit in np.flatnonzero(matters).tolist():
        costs[limit] = _solved_again(relaxation, limit) if small else _scaled_up(relaxation, part, limit)
    return np.maximum(costs, 0.0)


def _can_matter(relaxation: Relaxation) -> FloatArray:
    """Limits with a price, and those that shut an offer out from the start."""
    problem = relaxation.served.problem
    used = np.zeros(len(problem.offers.uses), dtype=np.bool_)
    used[problem.offers.profile] = True
    shut_out = (problem.offers.uses[used] > relaxation.served.left).any(axis=0)
    return np.asarray((relaxation.prices != 0) | shut_out, dtype=np.bool_)


def _solved_again(relaxation: Relaxation, limit: int) -> float:
    problem = relaxation.served.problem
    without = relax(problem.with_limits(problem.limits.without(limit)))
    return 0.0 if without is None else without.bound - relaxation.bound


def _scaled_up(relaxation: Relaxation, part: Contest, limit: int) -> float:
    prices = shadow_prices(part)
    without = part.without(limit)
    freed = shadow_prices(without)
    if prices is None or freed is None:
        return 0.0
    gain = dual_bound(without, freed, relaxation.cap_prices) - dual_bound(part, prices, relaxation.cap_prices)
    return gain * relaxation.contest.n_contacts / max(1, part.n_contacts)
