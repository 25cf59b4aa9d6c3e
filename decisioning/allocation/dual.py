"""What is one more unit of a limit worth? The Lagrangian dual of the allocation, which bounds every allocation from above.

At prices p of the limits (negative where a minimum binds) and q >= 0 of the caps, with reduced values w = v - u p - q::

    D(p, q) = sum_i max { sum of w over at most `room` offers of contact i, no action twice }
              + sum_r max(p_r most_r, p_r least_r) + sum_c q_c left_c

It is convex and piecewise linear (Geoffrion, Lagrangean relaxation for integer programming, 1974). Per contact the maximum is what
everybody would choose for himself at these prices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from decisioning.allocation.assignment import Assignment
from decisioning.allocation.problem import COMPILED, Problem, of_these, spans
from decisioning.vocabulary import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Contest:
    """The offers that compete for what is left, sorted by contact; contacts are counted 0 .. n - 1 anew.

    Attributes
    ----------
    value, profile, action : shape (n_offers,)
    uses : array, shape (n_profiles, n_limits)
    starts : array of int, shape (n_contacts + 1,)
    room : array of int, shape (n_contacts,)
        How many offers each contact may still get.
    most, least : arrays, shape (n_limits,)
        What is left up to each maximum, and missing to each minimum.
    units : tuple of arrays of int, one a cap, shape (n_offers,)
        The unit in which an offer counts, -1 for none.
    unit_room : tuple of arrays of int, one a cap, shape (n_units,)
    compiled : bool
        Whether passes over the offers are compiled; samples of a large contest are as well.
    """

    value: FloatArray
    profile: IntArray
    action: IntArray
    uses: FloatArray
    starts: IntArray
    room: IntArray
    most: FloatArray
    least: FloatArray
    units: tuple[IntArray, ...] = ()
    unit_room: tuple[IntArray, ...] = ()
    compiled: bool = False

    @classmethod
    def of(cls, held: Assignment, which: IntArray) -> Contest:
        """The contest of the open offers `which` for what `held` leaves."""
        problem, offers = held.problem, held.problem.offers
        starts, empty = _starts(problem, which), problem.empty
        firsts = offers.contact[which[starts[:-1]]]
        units = [np.where(cap.members[offers.treatment[which]], cap.unit_of[offers.contact[which]], -1) for cap in problem.caps]
        return cls(
            value=of_these(offers.value, which, empty),
            profile=of_these(offers.profile, which, empty),
            action=of_these(offers.action, which, empty),
            uses=offers.uses,
            starts=starts,
            room=problem.per_contact - held.count[firsts],
            most=held.left,
            least=held.lacking,
            units=tuple(units),
            unit_room=held.cap_left,
            compiled=len(which) >= COMPILED,
        )

    @property
    def n_contacts(self) -> int:
        """How many contacts compete."""
        return len(self.starts) - 1

    @property
    def is_plain(self) -> bool:
        """One offer a contact and no caps."""
        return not self.units and bool((self.room == 1).all())

    @property
    def contact(self) -> IntArray:
        """The contact of each offer, shape (n_offers,)."""
        return np.repeat(np.arange(self.n_contacts), np.diff(self.starts))

    def blocks(self) -> IntArray:
        """Which contacts the caps tie together: a number a contact, shape (n_contacts,)."""
        sizes = np.cumsum([0, *(len(room) for room in self.unit_room)])
        inside = [np.flatnonzero(unit >= 0) for unit in self.units]
        contact = np.concatenate([self.contact[one] for one in inside])
        unit = np.concatenate([unit[one] + size for unit, one, size in zip(self.units, inside, sizes[:-1], strict=True)])
        n = self.n_contacts + int(sizes[-1])
        ties = csr_array((np.ones(len(contact), dtype=np.int8), (contact, self.n_contacts + unit)), shape=(n, n))
        return np.asarray(connected_components(ties, directed=False)[1][: self.n_contacts], dtype=np.int64)

    def sample(self, size: int) -> Contest:
        """Evenly spaced contacts, about `size`, with their part of what is left; those that caps tie together stay together."""
        if self.n_contacts <= size:
            return self
        taken = np.unique(np.linspace(0, self.n_contacts - 1, size).astype(np.int64))
        if self.units:
            block = self.blocks()
            names, sizes = np.unique(block, return_counts=True)
            kept = np.unique(np.linspace(0, len(names) - 1, max(1, round(size / sizes.mean()))).astype(np.int64))
            taken = np.flatnonzero(np.isin(block, names[kept]))
        lengths = self.starts[taken + 1] - self.starts[taken]
        kept = spans(self.starts[taken], self.starts[taken + 1])
        part = len(taken) / self.n_contacts
        starts = np.append(0, np.cumsum(lengths))
        return replace(
            self,
            value=self.value[kept],
            profile=self.profile[kept],
            action=self.action[kept],
            starts=starts,
            room=self.room[taken],
            most=self.most * part,
            least=self.least * part,
            units=tuple(unit[kept] for unit in self.units),
        )

    def without(self, limit: int) -> Contest:
        """The same contest, but for one limit that binds no longer."""
        most, least = self.most.copy(), self.least.copy()
        most[limit], least[limit] = np.inf, 0.0
        return replace(self, most=most, least=least)

    def reduced(self, prices: FloatArray, cap_prices: Sequence[FloatArray] = ()) -> FloatArray:
        """What each offer is worth after all prices, shape (n_offers,)."""
        worth = self.value - (self.uses @ prices)[self.profile]
        for unit, price in zip(self.units, cap_prices, strict=False):
            worth -= np.append(price, 0.0)[unit]
        return np.asarray(worth, dtype=np.float64)

    def cost_of_prices(self, prices: FloatArray, cap_prices: Sequence[FloatArray] = ()) -> float:
        """What the limits and caps themselves add to the dual."""
        above = np.where(prices > 0, self.most, 0.0)
        limits = float(np.where(prices > 0, above, self.least) @ prices)
        return limits + sum(float(price @ room) for price, room in zip(cap_prices, self.unit_room, strict=False))


def _starts(problem: Problem, which: IntArray) -> IntArray:
    """Where each contact's offers begin among `which`, ascending, and last where they end; contacts without any are left out."""
    starts = problem.starts if len(which) == len(problem.offers.value) else np.searchsorted(which, problem.starts.astype(which.dtype))
    return np.append(starts[:-1][starts[1:] > starts[:-1]], len(which)).astype(np.int64)


@dataclass(frozen=True)
class Wishes:
    """What every contact would choose for itself.

    Attributes
    ----------
    chosen : array of bool, shape (n_offers,)
    worth : float
        Of all that is chosen, after prices.
    margin : array, shape (n_contacts,)
        How much worth must change before the contact's choice does.
    """

    chosen: BoolArray
    worth: float
    margin: FloatArray


def margins(contest: Contest, prices: FloatArray, cap_prices: Sequence[FloatArray] = ()) -> tuple[FloatArray, float]:
    """`Wishes.margin` and `Wishes.worth` of each contact's choice at these prices."""
    if not (contest.compiled and contest.is_plain):
        chosen = wishes_at(contest, contest.reduced(prices, cap_prices))
        return chosen.margin, chosen.worth
    from decisioning.allocation import kernels as allocation_kernels

    margin, worth = allocation_kernels.margins(contest.value, contest.profile, contest.uses @ prices, contest.starts)
    return margin, float(worth)


def wishes_at(contest: Contest, worth: FloatArray) -> Wishes:
    """Each contact's choice at these reduced values: the greatest positive ones, as many as it has room for, no action twice."""
    if not contest.compiled:
        return wishes_plainly(contest, worth)
    from decisioning.allocation import kernels as allocation_kernels

    chosen, margin, together = allocation_kernels.wishes_of_several(worth, contest.action, contest.starts, contest.room)
    return Wishes(chosen, float(together), margin)


def wishes_plainly(contest: Contest, worth: FloatArray) -> Wishes:
    """The same as the sorting has it."""
    if not len(worth):
        return Wishes(np.zeros(0, dtype=np.bool_), 0.0, np.zeros(contest.n_contacts))
    contact = contest.contact
    leaders, seconds = _of_actions(contest, contact, worth)
    order = leaders[np.lexsort((-worth[leaders], contact[leaders]))]
    owner = contact[order]
    begins = np.flatnonzero(np.append(True, owner[1:] != owner[:-1]))
    place = np.arange(len(order)) - np.repeat(begins, np.diff(np.append(begins, len(order))))
    inside = place < contest.room[owner]
    chosen = inside & (worth[order] > 0)
    after = np.full(contest.n_contacts, 0.0)
    out = order[~inside]
    np.maximum.at(after, contact[out], worth[out])
    rival = np.where(chosen, np.maximum(after[owner], seconds[order]), 0.0)
    margin = np.full(contest.n_contacts, np.inf)
    np.minimum.at(margin, owner[inside], np.abs(worth[order] - rival)[inside])
    taken = np.zeros(len(worth), dtype=np.bool_)
    taken[order[chosen]] = True
    return Wishes(taken, float(worth[taken].sum()), margin)


def _of_actions(contest: Contest, contact: IntArray, worth: FloatArray) -> tuple[IntArray, FloatArray]:
    """The best offer of each contact's every action, and, at its place, the worth of the second best of that action (0 if less).

    Where a contact gets one offer, actions make no difference.
    """
    alone = np.zeros(len(worth))
    if bool((contest.room == 1).all()):
        return np.arange(len(worth)), alone
    order = np.lexsort((np.arange(len(worth)), -worth, contest.action, contact))
    new = np.append(True, (contact[order][1:] != contact[order][:-1]) | (contest.action[order][1:] != contest.action[order][:-1]))
    heads = np.flatnonzero(new)
    follows = heads[:-1][np.diff(heads) > 1] if len(heads) > 1 else np.zeros(0, dtype=np.int64)
    if len(heads) and len(order) - heads[-1] > 1:
        follows = np.append(follows, heads[-1])
    alone[order[follows]] = np.maximum(worth[order[follows + 1]], 0.0)
    return order[heads], alone


def dual_bound(contest: Contest, prices: FloatArray, cap_prices: Sequence[FloatArray] = ()) -> float:
    """D(prices, cap_prices): no allocation of the contest is worth more.

    Examples
    --------
    >>> nothing = np.zeros(3, dtype=int)
    >>> contest = Contest(np.array([5.0, 9.0, 7.0]), nothing, nothing, np.ones((1, 1)), np.arange(4), np.ones(3, dtype=int),
    ...     np.array([2.0]), np.zeros(1))
    >>> dual_bound(contest, np.array([6.0]))
    16.0
    """
    return margins(contest, prices, cap_prices)[1] + contest.cost_of_prices(prices, cap_prices)
