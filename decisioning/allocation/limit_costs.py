"""What does each limit cost? The bound without it, less the bound with it."""

from __future__ import annotations

import numpy as np

from decisioning.allocation.dual import Contest, dual_bound
from decisioning.allocation.local_prices import prices_near_of_several, settle_caps
from decisioning.allocation.relaxation import Relaxation, relax
from decisioning.allocation.shadow_prices import prices_near
from decisioning.vocabulary import BoolArray, FloatArray

_SAMPLE_CONTACTS = 4_000
_TEMPERATURE = 0.02


def limit_costs(relaxation: Relaxation) -> FloatArray:
    """What the bound would gain if one limit were not there, money, >= 0, shape (n_limits,).

    A small problem is solved again without the limit, mandatory offers and all; so is a large one for a limit that shuts offers out from
    the start. There, another limit without a price costs nothing; for the rest a sample of at most 4,000 evenly spaced contacts says how
    the prices would move without it, and the dual of everybody at the moved prices what that gains. Prices that are off by a hair make
    this a hair too much.

    Examples
    --------
    >>> from decisioning.allocation.problem import Limits, Offers, Problem
    >>> nothing = np.zeros(3, dtype=int)
    >>> offers = Offers(np.arange(3), nothing, np.array([5.0, 9.0, 7.0]), nothing, np.ones((1, 1)), nothing.astype(bool), nothing)
    >>> limit_costs(relax(Problem(offers, Limits.at_most(np.array([2.0])), 3))).tolist()
    [5.0]
    """
    costs = np.zeros(len(relaxation.prices))
    again = _can_matter(relaxation) if relaxation.is_small else _can_matter(relaxation) & (relaxation.prices == 0)
    for limit in np.flatnonzero(again).tolist():
        costs[limit] = _solved_again(relaxation, limit)
    if not relaxation.is_small:
        part = relaxation.contest.sample(_SAMPLE_CONTACTS)
        here = _near(part, relaxation.prices)
        for limit in np.flatnonzero(relaxation.prices != 0).tolist():
            costs[limit] = _moved(relaxation, part, here, limit)
    return np.maximum(costs, 0.0)


def _can_matter(relaxation: Relaxation) -> BoolArray:
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


def _moved(relaxation: Relaxation, part: Contest, here: FloatArray, limit: int) -> float:
    """The gain at the prices that everybody's move to as the sample's do when the limit goes."""
    without = relaxation.contest.without(limit)
    prices = relaxation.prices.copy()
    prices[limit] = 0.0
    step = _near(part.without(limit), prices) - here
    above, below = np.isfinite(without.most), without.least > 0
    moved = np.clip(relaxation.prices + step, np.where(below, -np.inf, 0.0), np.where(above, np.inf, 0.0))
    return dual_bound(without, moved, settle_caps(without, moved)) - (relaxation.bound - relaxation.served.value)


def _near(part: Contest, prices: FloatArray) -> FloatArray:
    return prices_near(part, prices, _TEMPERATURE) if part.is_plain else prices_near_of_several(part, prices)
