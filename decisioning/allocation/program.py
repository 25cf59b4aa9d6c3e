"""The allocation of a few contacts as a linear programme, solved exactly, while all others keep what they have.

Over the offers j of the programme, with rows for what is left of the limits, of the contacts' room, of actions and of caps::

    maximise  sum_j v_j x_j   subject to   low <= A x <= high,   0 <= x <= 1

The limits are scaled by what the greediest offer uses of them, so that a solver's tolerance means the same in every row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, vstack

from decisioning.allocation.assignment import Assignment
from decisioning.allocation.problem import Problem
from decisioning.vocabulary import BoolArray, FloatArray, IntArray

_SAFE = 1e-9


@dataclass(frozen=True)
class Relaxed:
    """The best of the programme when offers may be divided.

    Attributes
    ----------
    share : array, shape (n_offers of the programme,), within [0, 1]
    prices : array, shape (n_limits,)
        Money for one more unit of each limit; negative where a minimum binds.
    cap_prices : tuple of arrays, one a cap, shape (n_units,), >= 0
    """

    share: FloatArray
    prices: FloatArray
    cap_prices: tuple[FloatArray, ...]


@dataclass(frozen=True)
class Program:
    """The programme of the offers `which`: the first rows are the limits `limits` (divided by `scale`), then those of `caps`, then others.

    `cap_rows` holds, for each cap, its units that have a row.
    """

    problem: Problem
    which: IntArray
    rows: csr_array
    low: FloatArray
    high: FloatArray
    limits: IntArray
    scale: FloatArray
    cap_rows: tuple[IntArray, ...]
    money: float

    @classmethod
    def of(cls, rest: Assignment, which: IntArray) -> Program:
        """The programme of the open offers `which` beside all that `rest` holds."""
        problem, offers = rest.problem, rest.problem.offers
        rows, low, high, limits, scale = _limit_rows(rest, which)
        blocks, highs, cap_rows = [rows], [high], []
        for cap, left in zip(problem.caps, rest.cap_left, strict=True):
            unit = np.where(cap.members[offers.treatment[which]], cap.unit_of[offers.contact[which]], -1)
            block, room, units = _group_rows(unit, left)
            blocks.append(block)
            highs.append(room)
            cap_rows.append(units)
        contact = offers.contact[which].astype(np.int64)
        block, room, _ = _group_rows(contact, problem.per_contact - rest.count)
        blocks.append(block)
        highs.append(room)
        if problem.per_contact > 1:
            _, pair = np.unique(np.column_stack([contact, offers.action[which]]), axis=0, return_inverse=True)
            block, room, _ = _group_rows(pair.ravel(), np.ones(len(which), dtype=np.int64))
            blocks.append(block)
            highs.append(room)
        joined = np.concatenate(highs)
        lows = np.concatenate([low, np.full(len(joined) - len(low), -np.inf)])
        money = float(np.abs(offers.value[which]).max(initial=0.0)) or 1.0
        return cls(problem, which, vstack(blocks, format="csr"), lows, joined, limits, scale, tuple(cap_rows), money)

    def relaxed(self) -> Relaxed | None:
        """The best divided solution and its prices; None where no solution exists."""
        if not self.rows.shape[0] or not len(self.which):
            return self._without_rows()
        matrix, right = self.inequalities()
        found = linprog(-self.worth, A_ub=matrix, b_ub=right, bounds=(0.0, 1.0), method="highs")
        if not found.success:
            return None
        above, below = np.isfinite(self.high), np.isfinite(self.low)
        dual = np.maximum(-found.ineqlin.marginals, 0.0) * self.money
        marginal = np.zeros(len(self.high))
        marginal[above] += dual[: above.sum()]
        marginal[below] -= dual[above.sum() :]
        return Relaxed(np.clip(found.x, 0.0, 1.0), self._limit_prices(marginal), self._cap_prices(marginal))

    def inequalities(self, margin: float = 0.0) -> tuple[csr_array, FloatArray]:
        """All rows as `matrix @ x <= right`; limits are held tighter by a `margin` of what the greediest offer uses of them."""
        above, below = np.isfinite(self.high), np.isfinite(self.low)
        tighter = np.where(np.arange(len(self.high)) < len(self.limits), margin, 0.0)
        right = np.concatenate([(self.high - tighter)[above], -(self.low + tighter)[below]])
        return vstack([self.rows[above], -self.rows[below]], format="csr"), right

    @property
    def worth(self) -> FloatArray:
        """The value of each offer as a part of the greatest, shape (n_offers of the programme,)."""
        return np.asarray(self.problem.offers.value[self.which] / self.money, dtype=np.float64)

    def _without_rows(self) -> Relaxed | None:
        if (self.low > _SAFE).any():
            return None
        nothing = tuple(np.zeros(len(cap.room)) for cap in self.problem.caps)
        return Relaxed((self.worth > 0).astype(np.float64), np.zeros(self.problem.offers.uses.shape[1]), nothing)

    def _limit_prices(self, marginal: FloatArray) -> FloatArray:
        prices = np.zeros(self.problem.offers.uses.shape[1])
        prices[self.limits] = marginal[: len(self.limits)] / self.scale
        return prices

    def _cap_prices(self, marginal: FloatArray) -> tuple[FloatArray, ...]:
        place, found = len(self.limits), []
        for cap, units in zip(self.problem.caps, self.cap_rows, strict=True):
            prices = np.zeros(len(cap.room))
            prices[units] = np.maximum(marginal[place : place + len(units)], 0.0)
            found.append(prices)
            place += len(units)
        return tuple(found)


def _limit_rows(rest: Assignment, which: IntArray) -> tuple[csr_array, FloatArray, FloatArray, IntArray, FloatArray]:
    """The rows of the limits that can bind, their low and high, which limits they are, and what they were divided by."""
    offers, limits = rest.problem.offers, rest.problem.limits
    use = offers.uses[offers.profile[which]]
    most = np.where(np.isfinite(limits.most), rest.left, np.inf)
    can_bind: BoolArray = np.asarray((use.sum(axis=0) > most) | (rest.lacking > 0), dtype=np.bool_)
    kept = np.flatnonzero(can_bind)
    greatest = use[:, kept].max(axis=0, initial=0.0)
    scale = np.where(greatest > 0, greatest, 1.0)
    low = np.where(limits.least[kept] > 0, rest.lacking[kept], -np.inf)
    return csr_array((use[:, kept] / scale).T), low / scale, most[kept] / scale, kept, scale


def _group_rows(group: IntArray, room: IntArray) -> tuple[csr_array, FloatArray, IntArray]:
    """One row for each group (-1: none) that has more offers than room: its row, its room, and which group it is."""
    inside = np.flatnonzero(group >= 0)
    crowded = np.flatnonzero(np.bincount(group[inside], minlength=len(room)) > room)
    place = np.full(len(room), -1, dtype=np.int64)
    place[crowded] = np.arange(len(crowded))
    inside = inside[place[group[inside]] >= 0]
    rows = csr_array((np.ones(len(inside)), (place[group[inside]], inside)), shape=(len(crowded), len(group)))
    return rows, room[crowded].astype(np.float64), crowded
