"""Who gets what when not everybody can? At most one offer a contact, within budgets and capacities.

The problem, over offers j of contact i(j) with value v and uses u, and limits b::

    maximise  sum_j v_j x_j    subject to    sum_{j of i} x_j <= 1  for every contact,    sum_j u_jr x_j <= b_r  for every limit,    x in {0, 1}

Its Lagrangian dual has one shadow price a limit,

    D(p) = sum_i max(0, max_{j of i} v_j - sum_r p_r u_jr) + sum_r p_r b_r    for p >= 0,

bounds the optimum from above at every p, and is minimised here on a smoothed maximum of falling temperature (Nesterov, Smooth minimization of
non-smooth functions, 2005). The prices then order the contacts, and offers are taken one by one only while they fit: no limit is ever exceeded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from decisioning.vocabulary import BoolArray, FloatArray, IntArray

NONE = -1
_TEMPERATURES = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
_ROUNDING = 1e-9


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
    """

    contact: IntArray
    treatment: IntArray
    value: FloatArray
    use: FloatArray
    first: BoolArray


@dataclass(frozen=True)
class Allocation:
    """An allocation with its proof.

    `choice` is the chosen offer of each contact (shape (n_contacts,), an index into the offers or -1), `shadow_prices`, `used` and `slack` have
    shape (n_limits,), `gap` is (bound - value) / bound: how far the plan can be from the best one, as a fraction.
    """

    choice: IntArray
    shadow_prices: FloatArray
    used: FloatArray
    slack: FloatArray
    value: float
    bound: float

    @property
    def gap(self) -> float:
        """The optimality gap as a fraction of the bound; 0 is proven optimal."""
        return max(0.0, (self.bound - self.value) / self.bound) if self.bound > 0 else 0.0


def allocate(offers: Offers, limits: FloatArray, n_contacts: int) -> Allocation:
    """The allocation of `offers` within `limits` (shape (n_limits,)), deterministic.

    Examples
    --------
    >>> offers = Offers(np.array([0, 1, 2]), np.array([0, 0, 0]), np.array([5.0, 9.0, 7.0]), np.ones((3, 1)), np.zeros(3, dtype=bool))
    >>> plan = allocate(offers, np.array([2.0]), 3)
    >>> plan.choice.tolist(), plan.used.tolist()
    ([-1, 1, 2], [2.0])
    """
    choice = np.full(n_contacts, NONE, dtype=np.int64)
    used = np.zeros(len(limits))
    _serve(offers, np.flatnonzero(offers.first), limits, choice, used)
    open_offers = np.flatnonzero((choice[offers.contact] == NONE) & (offers.value > 0) & ~offers.first)
    value_first = float(offers.value[choice[choice >= 0]].sum())
    remaining = limits - used
    prices = _shadow_prices(offers, open_offers, remaining)
    bound = value_first + _dual(offers, open_offers, remaining, prices)
    reduced = offers.value - offers.use @ prices
    _serve(offers, _by_best(offers, open_offers[reduced[open_offers] > 0], reduced), limits, choice, used)
    left_over = open_offers[choice[offers.contact[open_offers]] == NONE]
    _serve(offers, _by_best(offers, left_over, reduced), limits, choice, used)
    value = float(offers.value[choice[choice >= 0]].sum())
    return Allocation(choice, prices, used, limits - used, value, bound)


def _by_best(offers: Offers, which: IntArray, reduced: FloatArray) -> IntArray:
    """`which`, ordered by how much each contact's best offer is worth after shadow prices, a contact's offers together and best first."""
    if not len(which):
        return which
    best = np.full(int(offers.contact[which].max()) + 1, -np.inf)
    np.maximum.at(best, offers.contact[which], reduced[which])
    order = np.lexsort((offers.treatment[which], -reduced[which], offers.contact[which], -best[offers.contact[which]]))
    return np.asarray(which[order], dtype=np.int64)


def _serve(offers: Offers, order: IntArray, limits: FloatArray, choice: IntArray, used: FloatArray) -> None:
    """Give each contact the first offer of `order` that fits into what is left; `choice` and `used` are filled in place."""
    if not len(limits):
        firsts = order[np.unique(offers.contact[order], return_index=True)[1]]
        choice[offers.contact[firsts]] = firsts
        return
    contact, use = offers.contact, offers.use
    for offer in order.tolist():
        if choice[contact[offer]] == NONE:
            after = used + use[offer]
            if (after <= limits).all():
                choice[contact[offer]] = offer
                used[:] = after


def _shadow_prices(offers: Offers, which: IntArray, limits: FloatArray) -> FloatArray:
    """The prices that minimise the dual over the offers `which`: zero where the limit does not bind."""
    n_limits = len(limits)
    if not n_limits or not len(which):
        return np.zeros(n_limits)
    value_scale = float(offers.value[which].mean())
    use_scale = np.maximum(offers.use[which].mean(axis=0), _ROUNDING)
    price_scale = value_scale / use_scale
    value, use = offers.value[which] / value_scale, offers.use[which] * (price_scale / value_scale)
    capacity = limits * price_scale / value_scale
    starts = np.flatnonzero(np.diff(offers.contact[which], prepend=-1))
    scaled = np.zeros(n_limits)
    for temperature in _TEMPERATURES:
        found = minimize(
            _smooth_dual,
            scaled,
            args=(value, use, capacity, starts, temperature),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0.0, None)] * n_limits,
            options={"maxiter": 60},
        )
        scaled = found.x
    return np.asarray(scaled * price_scale, dtype=np.float64)


def _smooth_dual(
    prices: FloatArray, value: FloatArray, use: FloatArray, capacity: FloatArray, starts: IntArray, temperature: float
) -> tuple[float, FloatArray]:
    """The dual with each contact's max(0, ...) replaced by temperature * log(1 + sum exp(. / temperature)), and its gradient."""
    reduced = (value - use @ prices) / temperature
    top = np.maximum(np.maximum.reduceat(reduced, starts), 0.0)
    lengths = np.diff(np.append(starts, len(reduced)))
    weights = np.exp(reduced - np.repeat(top, lengths))
    total = np.exp(-top) + np.add.reduceat(weights, starts)
    shares = weights / np.repeat(total, lengths)
    scale = 1.0 / len(starts)
    dual = temperature * float((top + np.log(total)).sum()) + float(prices @ capacity)
    return dual * scale, (capacity - shares @ use) * scale


def _dual(offers: Offers, which: IntArray, limits: FloatArray, prices: FloatArray) -> float:
    """The dual itself: an upper bound of any feasible allocation's value."""
    if not len(which):
        return 0.0
    reduced = offers.value[which] - offers.use[which] @ prices
    starts = np.flatnonzero(np.diff(offers.contact[which], prepend=-1))
    return float(np.maximum(np.maximum.reduceat(reduced, starts), 0.0).sum() + prices @ limits)
