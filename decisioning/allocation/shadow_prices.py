"""The prices that minimise the dual of a large contest: Newton's method on a smoothed maximum of falling temperature.

Each contact's max(0, max_j w_j) becomes tau log(1 + sum_j exp(w_j / tau)) (Nesterov, Smooth minimization of non-smooth functions, 2005),
whose gradient and Hessian in the prices come from one pass over the offers. There are as many unknowns as limits, so that a Newton step
costs nothing beside the pass. A limit with a maximum and a minimum has two prices >= 0, one of each side; steps are projected
(Bertsekas, Projected Newton methods for optimization problems with simple constraints, 1982). First on a sample, last on everybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from decisioning.allocation.dual import Contest
from decisioning.vocabulary import FloatArray, IntArray

_STAGES = ((2_000, (0.3, 0.1)), (5_000, (0.03,)), (20_000, (0.01, 0.003)))
_LAST_STAGES = ((0, 0.001), (200_000, 0.0003))
"""On everybody, from so many contacts on: the lower, the closer, as long as enough contacts hang by so little."""
_STEPS = 20
_HALVINGS = 12
_ENOUGH = 1e-3
_LAST_ENOUGH = 1e-5
_ARMIJO = 1e-4
_RIDGE = 1e-10
_LONGEST_STEP = 1.0
_ABSURD = 1e7


class Smooth(NamedTuple):
    """The smoothed dual without the limits' own part: its value, the use of each limit, and the Hessian, shape (n_limits, n_limits)."""

    value: float
    used: FloatArray
    hessian: FloatArray


@dataclass(frozen=True)
class Sides:
    """The bounds that can bind, one a row, in units of their own: a price of 1 is the mean best value for a contact's share of the bound.

    Attributes
    ----------
    limit : array of int
        The limit of each side.
    sign : array
        1 for a maximum, -1 for a minimum.
    share : array
        The bound for each contact.
    money : float
        The mean best value.
    """

    limit: IntArray
    sign: FloatArray
    share: FloatArray
    money: float

    @classmethod
    def of(cls, contest: Contest) -> Sides:
        """The sides of a contest that has offers."""
        greatest = contest.uses.max(axis=0) * contest.room.sum()
        # of a limit with nothing left no offer is in the contest, so that it cannot bind
        above, below = np.flatnonzero((greatest > contest.most) & (contest.most > 0)), np.flatnonzero(contest.least > 0)
        bound = np.concatenate([contest.most[above], contest.least[below]])
        money = float(np.abs(np.maximum.reduceat(contest.value, contest.starts[:-1])).mean())
        sign = np.repeat([1.0, -1.0], [len(above), len(below)])
        return cls(np.concatenate([above, below]), sign, bound / contest.n_contacts, money or 1.0)

    @property
    def unit(self) -> FloatArray:
        """Money a unit of each side's limit, for a price of 1."""
        return self.money / self.share

    def of_prices(self, prices: FloatArray) -> FloatArray:
        """The price of each side, where those of the limits are `prices`."""
        return np.maximum(self.sign * prices[self.limit], 0.0) / self.unit

    def prices(self, at: FloatArray, n_limits: int) -> FloatArray:
        """The price of each limit."""
        return np.asarray(np.bincount(self.limit, self.sign * at * self.unit, minlength=n_limits), dtype=np.float64)


@dataclass(frozen=True)
class _Point:
    """Prices of the sides, and the smoothed dual a contact there with its slope and curvature."""

    at: FloatArray
    value: float
    slope: FloatArray
    curve: FloatArray

    @classmethod
    def of(cls, contest: Contest, sides: Sides, at: FloatArray, temperature: float) -> _Point:
        smooth = smooth_dual(contest, sides.prices(at, len(contest.most)), temperature * sides.money)
        n = contest.n_contacts
        slope = sides.sign * (1.0 - smooth.used[sides.limit] / (n * sides.share))
        turned = sides.sign * sides.unit
        curve = smooth.hessian[np.ix_(sides.limit, sides.limit)] * np.outer(turned, turned) / (n * sides.money)
        return cls(at, smooth.value / (n * sides.money) + float(sides.sign @ at), slope, curve)

    @property
    def free(self) -> np.ndarray:
        """Which prices may still move: all but those that are 0 and would have to fall."""
        return np.asarray((self.at > 0) | (self.slope < 0), dtype=np.bool_)

    def step(self) -> FloatArray:
        """The projected Newton step, of bounded length."""
        free = np.flatnonzero(self.free)
        ridge = _RIDGE + 1e-9 * float(np.trace(self.curve))
        step = np.zeros(len(self.at))
        step[free] = np.linalg.solve(self.curve[np.ix_(free, free)] + ridge * np.eye(len(free)), -self.slope[free])
        longest = float(np.abs(step).max(initial=0.0))
        return step * min(1.0, _LONGEST_STEP * max(1.0, float(self.at.max())) / max(longest, _RIDGE))


def shadow_prices(contest: Contest) -> FloatArray | None:
    """Prices near the best of a plain contest (one offer a contact, no caps), shape (n_limits,): zero where a limit does not bind.

    Returns
    -------
    array, or None where prices could fall for ever: the minimums cannot be met.
    """
    n_limits = len(contest.most)
    if not contest.n_contacts:
        return np.zeros(n_limits)
    sides = Sides.of(contest)
    at = np.zeros(len(sides.limit))
    if not len(at):
        return np.zeros(n_limits)
    for size, temperatures in _STAGES:
        part = contest.sample(size)
        for temperature in temperatures:
            at = _descend(part, sides, at, temperature)
    for least_contacts, temperature in _LAST_STAGES:
        if contest.n_contacts >= least_contacts:
            at = _descend(contest, sides, at, temperature, _LAST_ENOUGH)
    return None if at.max() >= _ABSURD else sides.prices(at, n_limits)


def prices_near(contest: Contest, prices: FloatArray, temperature: float) -> FloatArray:
    """The prices of a plain contest at one temperature, from others that are not far, shape (n_limits,)."""
    if not contest.n_contacts or not len((sides := Sides.of(contest)).limit):
        return np.zeros(len(prices))
    return sides.prices(_descend(contest, sides, sides.of_prices(prices), temperature), len(prices))


def _descend(contest: Contest, sides: Sides, at: FloatArray, temperature: float, enough: float = _ENOUGH) -> FloatArray:
    """Newton steps until every use that matters is off its bound by less than `enough` of it."""
    point = _Point.of(contest, sides, at, temperature)
    for _ in range(_STEPS):
        if np.abs(point.slope[point.free]).max(initial=0.0) < enough or point.at.max() >= _ABSURD:
            break
        lower = _lower(contest, sides, point, temperature)
        if lower is None:
            break
        point = lower
    return point.at


def _lower(contest: Contest, sides: Sides, point: _Point, temperature: float) -> _Point | None:
    """A point along the step that is lower by as much as the slope promises; None where there is none."""
    step = point.step()
    for _ in range(_HALVINGS):
        onto = np.maximum(point.at + step, 0.0)
        new = _Point.of(contest, sides, onto, temperature)
        if new.value <= point.value + _ARMIJO * float(point.slope @ (onto - point.at)):
            return new
        step = step * 0.5
    return None


def smooth_dual(contest: Contest, prices: FloatArray, temperature: float) -> Smooth:
    """The smoothed dual of a plain contest."""
    if not contest.compiled:
        return smooth_dual_plainly(contest, prices, temperature)
    from decisioning.allocation import kernels as allocation_kernels

    arrays = (contest.value, contest.profile, contest.starts, contest.uses)
    value, by_profile, curve = allocation_kernels.smooth_dual(arrays, contest.uses @ prices, temperature)
    return Smooth(value, by_profile @ contest.uses, curve / temperature)


def smooth_dual_plainly(contest: Contest, prices: FloatArray, temperature: float) -> Smooth:
    """The smoothed dual of a plain contest, as the formula has it."""
    worth = contest.reduced(prices) / temperature
    begins, lengths = contest.starts[:-1], np.diff(contest.starts)
    top = np.maximum(np.maximum.reduceat(worth, begins), 0.0)
    weights = np.exp(worth - np.repeat(top, lengths))
    total = np.exp(-top) + np.add.reduceat(weights, begins)
    shares = weights / np.repeat(total, lengths)
    by_profile = np.bincount(contest.profile, shares, minlength=len(contest.uses))
    own = np.add.reduceat(shares[:, None] * contest.uses[contest.profile], begins, axis=0)
    hessian = (contest.uses.T * by_profile) @ contest.uses - own.T @ own
    return Smooth(float((temperature * (top + np.log(total))).sum()), by_profile @ contest.uses, hessian / temperature)
