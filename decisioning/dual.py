"""What is one more unit of a limit worth? The Lagrangian dual of the allocation and the shadow prices that minimise it.

For offers j of contact i(j) with value v and uses u, at most one a contact, and limits b, the dual at prices p >= 0 is::

    D(p) = sum_i max(0, max_{j of i} v_j - sum_r p_r u_jr) + sum_r p_r b_r

It is convex, piecewise linear, as many-dimensional as there are limits, and bounds every allocation's value from above. Its minimum is
approached on a smoothed maximum of falling temperature over a sample of the contacts (Nesterov, Smooth minimization of non-smooth
functions, 2005), then settled on everybody by a level method (Lemarechal, Nemirovskii, Nesterov, New variants of bundle methods, 1995):
cuts bound D from below, and each next price is the nearest one whose cuts promise enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog, minimize

from decisioning.vocabulary import FloatArray, IntArray

_TEMPERATURES = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
_SAMPLE_CONTACTS = 5_000
_LEVEL = 0.3
_MOST_CUTS = 60
_CLOSE_ENOUGH = 1e-7
_NEXT_TO_NOTHING = 1e-5


@dataclass(frozen=True)
class Market:
    """The offers that compete for limits: sorted by contact, each of positive value and within every limit by itself.

    Attributes
    ----------
    value : array, shape (n_offers,)
    use : array, shape (n_offers, n_limits)
    starts : array of int, shape (n_contacts,)
        Where each contact's offers begin.
    limits : array, shape (n_limits,)
    """

    value: FloatArray
    use: FloatArray
    starts: IntArray
    limits: FloatArray

    def reduced(self, prices: FloatArray) -> FloatArray:
        """What each offer is worth after the prices of what it uses, shape (n_offers,)."""
        return np.asarray(self.value - self.use @ prices, dtype=np.float64)

    def contact(self) -> IntArray:
        """The contact of each offer, 0 .. n_contacts - 1, shape (n_offers,)."""
        lengths = np.diff(np.append(self.starts, len(self.value)))
        return np.repeat(np.arange(len(self.starts)), lengths)


def dual_bound(market: Market, prices: FloatArray) -> float:
    """D(prices): no allocation of the market is worth more.

    Examples
    --------
    >>> market = Market(np.array([5.0, 9.0, 7.0]), np.ones((3, 1)), np.array([0, 1, 2]), np.array([2.0]))
    >>> dual_bound(market, np.array([6.0])), shadow_prices(market).round(6).tolist()[0] <= 7.0
    (16.0, True)
    """
    if not len(market.starts):
        return 0.0
    best = np.maximum.reduceat(market.reduced(prices), market.starts)
    return float(np.maximum(best, 0.0).sum() + prices @ market.limits)


def shadow_prices(market: Market) -> FloatArray:
    """The prices that minimise the dual, money for one more unit, shape (n_limits,): zero where the limit does not bind."""
    prices = np.zeros(len(market.limits))
    if not len(market.starts):
        return prices
    most = np.maximum.reduceat(market.use, market.starts, axis=0).sum(axis=0)
    binding = np.flatnonzero(most > market.limits)
    if len(binding):
        scaled = _Scaled.of(market, binding)
        prices[binding] = _settled(scaled, _approached(scaled)) * scaled.price_unit
    return prices


@dataclass(frozen=True)
class _Scaled:
    """The market in its own units: values by the mean of the contacts' best, uses by a contact's equal share of the limit.

    Then every binding limit is 1 a contact, the mean dual at no price is 1, and so all prices lie in [0, 1], whatever the money.
    """

    value: FloatArray
    use: FloatArray
    starts: IntArray
    price_unit: FloatArray

    @classmethod
    def of(cls, market: Market, binding: IntArray) -> _Scaled:
        best = float(np.maximum.reduceat(market.value, market.starts).mean())
        share = market.limits[binding] / len(market.starts)
        return cls(market.value / best, market.use[:, binding] / share, market.starts, best / share)

    def sample(self, size: int) -> _Scaled:
        """Evenly spaced contacts, at most `size`."""
        n_contacts = len(self.starts)
        if n_contacts <= size:
            return self
        taken = np.unique(np.linspace(0, n_contacts - 1, size).astype(np.int64))
        ends = np.append(self.starts[1:], len(self.value))[taken]
        lengths = ends - self.starts[taken]
        starts = np.append(0, np.cumsum(lengths)[:-1])
        offers = np.repeat(self.starts[taken] - starts, lengths) + np.arange(lengths.sum())
        return _Scaled(self.value[offers], self.use[offers], starts, self.price_unit)

    def dual(self, prices: FloatArray) -> tuple[float, FloatArray]:
        """The mean dual a contact and one of its subgradients."""
        reduced = self.value - self.use @ prices
        best = np.maximum.reduceat(reduced, self.starts)
        lengths = np.diff(np.append(self.starts, len(reduced)))
        at_best = np.flatnonzero((reduced == np.repeat(best, lengths)) & (reduced > 0))
        of_contact = np.repeat(np.arange(len(self.starts)), lengths)[at_best]
        chosen = at_best[np.flatnonzero(np.diff(of_contact, prepend=-1))]
        n_contacts = len(self.starts)
        return float(np.maximum(best, 0.0).mean() + prices.sum()), 1.0 - self.use[chosen].sum(axis=0) / n_contacts

    def smooth_dual(self, prices: FloatArray, temperature: float) -> tuple[float, FloatArray]:
        """The mean dual with each max(0, ...) replaced by temperature * log(1 + sum exp(. / temperature)), and its gradient."""
        reduced = (self.value - self.use @ prices) / temperature
        top = np.maximum(np.maximum.reduceat(reduced, self.starts), 0.0)
        lengths = np.diff(np.append(self.starts, len(reduced)))
        weights = np.exp(reduced - np.repeat(top, lengths))
        total = np.exp(-top) + np.add.reduceat(weights, self.starts)
        shares = weights / np.repeat(total, lengths)
        n_contacts = len(self.starts)
        return temperature * float((top + np.log(total)).mean()) + float(prices.sum()), 1.0 - shares @ self.use / n_contacts


def _approached(scaled: _Scaled) -> FloatArray:
    """Prices near the best: at falling temperature on a sample, and at the last one on everybody."""
    sample = scaled.sample(_SAMPLE_CONTACTS)
    prices = np.zeros(scaled.use.shape[1])
    for temperature in _TEMPERATURES:
        prices = _smooth_step(sample, prices, temperature)
    return prices if sample is scaled else _smooth_step(scaled, prices, _TEMPERATURES[-1])


def _smooth_step(scaled: _Scaled, prices: FloatArray, temperature: float) -> FloatArray:
    bounds = [(0.0, 1.0)] * len(prices)
    options = {"maxiter": 60}
    found = minimize(scaled.smooth_dual, prices, args=(temperature,), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return np.clip(np.asarray(found.x, dtype=np.float64), 0.0, 1.0)


def _settled(scaled: _Scaled, prices: FloatArray) -> FloatArray:
    """The best prices by the level method, starting from `prices`."""
    best, best_prices = np.inf, prices
    slopes: list[FloatArray] = []
    heights: list[float] = []
    for _ in range(_MOST_CUTS):
        value, slope = scaled.dual(prices)
        slopes.append(slope)
        heights.append(float(slope @ prices) - value)
        if value < best:
            best, best_prices = value, prices
        cuts, right = np.array(slopes), np.array(heights)
        floor = _floor(cuts, right)
        if floor is None or best - floor <= _CLOSE_ENOUGH * max(best, _CLOSE_ENOUGH):
            break
        nearest = _nearest(best_prices, cuts, right + floor + _LEVEL * (best - floor))
        if nearest is None:
            break
        prices = nearest
    free = np.where(best_prices < _NEXT_TO_NOTHING, 0.0, best_prices)
    return free if scaled.dual(free)[0] <= best * (1 + _CLOSE_ENOUGH) else best_prices


def _floor(cuts: FloatArray, right: FloatArray) -> float | None:
    """The least that the cuts allow: min t with cuts @ p - right <= t, p in the unit box."""
    n_limits = cuts.shape[1]
    cost = np.append(np.zeros(n_limits), 1.0)
    rows = np.column_stack([cuts, -np.ones(len(cuts))])
    found = linprog(cost, A_ub=rows, b_ub=right, bounds=[(0.0, 1.0)] * n_limits + [(None, None)], method="highs")
    return float(found.fun) if found.success else None


def _nearest(centre: FloatArray, cuts: FloatArray, right: FloatArray) -> FloatArray | None:
    """The prices nearest to `centre`, by the sum of their distances, with cuts @ p <= right, p in the unit box."""
    n_limits = len(centre)
    eye = np.eye(n_limits)
    rows = np.block([[cuts, np.zeros((len(cuts), n_limits))], [eye, -eye], [-eye, -eye]])
    cost = np.append(np.zeros(n_limits), np.ones(n_limits))
    bounds = [(0.0, 1.0)] * n_limits + [(0.0, None)] * n_limits
    found = linprog(cost, A_ub=rows, b_ub=np.concatenate([right, centre, -centre]), bounds=bounds, method="highs")
    return np.clip(found.x[:n_limits], 0.0, 1.0) if found.success else None
