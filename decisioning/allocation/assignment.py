"""Who has which offer, and what that uses. Whatever is tried here, no maximum, no cap and no contact's room is ever exceeded."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from decisioning.allocation.problem import COMPILED, Problem, blocks
from decisioning.vocabulary import BoolArray, FloatArray, IntArray

ROUNDING = 1e-12
"""Sums of money may be this much too large, as a fraction, before they are checked exactly."""
_TIE = 1e-9


class Assignment:
    """An assignment under way.

    Parameters
    ----------
    problem : Problem

    Attributes
    ----------
    taken : array of bool, shape (n_offers,)
    count : array of int, shape (n_contacts,)
        How many offers each contact has.
    cap_left : tuple of arrays of int, one a cap, shape (n_units,)
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.taken: BoolArray = problem.empty(len(problem.offers.value), np.bool_)
        self.count: IntArray = problem.empty(problem.n_contacts, np.int64)
        self.taken[:], self.count[:] = False, 0
        self.cap_left = tuple(cap.room.astype(np.int64) for cap in problem.caps)
        self._times: IntArray = np.zeros(len(problem.offers.uses), dtype=np.int64)
        self._used: FloatArray = np.zeros(problem.offers.uses.shape[1])

    def copy(self) -> Assignment:
        """The same assignment, to go on with apart."""
        other = Assignment(self.problem)
        other.taken[:], other.count[:] = self.taken, self.count
        other._times, other._used = self._times.copy(), self._used.copy()
        other.cap_left = tuple(left.copy() for left in self.cap_left)
        return other

    @property
    def chosen(self) -> IntArray:
        """The offers that are taken, ascending."""
        return np.flatnonzero(self.taken)

    @property
    def value(self) -> float:
        """What the taken offers are worth together, before prices."""
        return float(self.problem.offers.value[self.taken].sum())

    @property
    def used(self) -> FloatArray:
        """What is used of each limit, correctly rounded, shape (n_limits,)."""
        return self._counted(self._times)

    @property
    def left(self) -> FloatArray:
        """What is left up to each maximum, shape (n_limits,), never below 0."""
        return np.maximum(self.problem.limits.most - self._used, 0.0)

    @property
    def lacking(self) -> FloatArray:
        """What is missing to each minimum, shape (n_limits,), never below 0."""
        return np.maximum(self.problem.limits.least - self._used, 0.0)

    @property
    def is_feasible(self) -> bool:
        """Whether what is used, counted exactly, is within every maximum and meets every minimum."""
        return self.is_feasible_with(np.zeros(0, dtype=np.int64))

    def is_feasible_with(self, offers: IntArray) -> bool:
        """The same, were `offers` taken as well, which are known to be open together."""
        used, limits = self._counted(self._times + self._times_of(offers)), self.problem.limits
        return bool((used <= limits.most).all() and (used >= limits.least).all())

    def _counted(self, times: IntArray) -> FloatArray:
        """What as many offers of each profile use, correctly rounded."""
        found = []
        for amounts, which in self.problem.amounts:
            counts = np.bincount(which, times, minlength=len(amounts)).tolist()
            found.append(float(sum((int(n) * amount for n, amount in zip(counts, amounts, strict=True) if n), Fraction(0))))
        return np.array(found, dtype=np.float64)

    def _times_of(self, which: IntArray) -> IntArray:
        """How many of the offers `which` are of each profile."""
        offers = self.problem.offers
        return np.bincount(offers.profile[which], minlength=len(offers.uses)).astype(np.int64)

    @property
    def running(self) -> FloatArray:
        """What is used of each limit, but for what rounding has added since it was last counted exactly, shape (n_limits,)."""
        return self._used.copy()

    def may_take(self, offer: int) -> bool:
        """Whether `offer` fits beside all that is taken."""
        contact = int(self.problem.offers.contact[offer])
        return self.count[contact] < self.problem.per_contact and _fits(self, contact, offer, self.problem.limits.most * (1 + ROUNDING))

    def settle(self) -> None:
        """Count again exactly what is used."""
        self._used = self.used

    def profiles_that_fit(self) -> BoolArray:
        """Which profiles fit into what is left, each by itself, shape (n_profiles,)."""
        slack = self.left + ROUNDING * np.where(np.isfinite(self.problem.limits.most), self.problem.limits.most, 0.0)
        return np.asarray((self.problem.offers.uses <= slack).all(axis=1), dtype=np.bool_)

    def is_open(self) -> BoolArray:
        """Which offers could still be taken, each by itself, shape (n_offers,)."""
        problem, offers = self.problem, self.problem.offers
        fits, has_room = self.profiles_that_fit(), self.count < problem.per_contact
        room_left = [np.append(left, 0) > 0 for left in self.cap_left]
        is_open = problem.empty(len(self.taken), np.bool_)
        for some in blocks(len(is_open)):
            contact, part = offers.contact[some], ~self.taken[some]
            part &= fits[offers.profile[some]] & has_room[contact]
            for cap, open_units in zip(problem.caps, room_left, strict=True):
                unit = cap.unit_of[contact]
                part &= ~(cap.members[offers.treatment[some]] & (unit >= 0)) | open_units[unit]
            is_open[some] = part
        if problem.per_contact > 1:
            has = np.unique(_keys(problem, self.chosen))
            is_open &= ~np.isin(_keys(problem, np.arange(len(offers.value))), has)
        return np.asarray(is_open, dtype=np.bool_)

    def put(self, offers: IntArray) -> None:
        """Take `offers`, which are known to be open together."""
        self._change(offers, 1)

    def release(self, offers: IntArray) -> None:
        """Give back `offers`, which are taken."""
        self._change(offers, -1)

    def _change(self, which: IntArray, sign: int) -> None:
        problem, offers = self.problem, self.problem.offers
        self.taken[which] = sign > 0
        np.add.at(self.count, offers.contact[which], sign)
        times = self._times_of(which)
        self._times = self._times + sign * times
        self._used = self._used + sign * (times @ offers.uses)
        for cap, left in zip(problem.caps, self.cap_left, strict=True):
            unit = cap.unit_of[offers.contact[which]]
            np.subtract.at(left, unit[cap.members[offers.treatment[which]] & (unit >= 0)], sign)

    def serve(self, contacts: IntArray, worth: FloatArray, wanted: BoolArray) -> None:
        """Give each of `contacts`, in that order, the `wanted` offers that are worth most to it, as long as they fit.

        Parameters
        ----------
        contacts : array of int
        worth : array, shape (n_offers,)
            The greatest is taken first; among equals of a contact the one that stands first.
        wanted : array of bool, shape (n_offers,)

        Examples
        --------
        >>> from decisioning.allocation.problem import Limits, Offers
        >>> offers = Offers(np.arange(3), np.zeros(3, dtype=int), np.ones(3), np.arange(3), np.array([[4.0], [3.0], [1.0]]),
        ...     np.zeros(3, dtype=bool), np.zeros(3, dtype=int))
        >>> assignment = Assignment(Problem(offers, Limits.at_most(np.array([5.0])), 3))
        >>> assignment.serve(np.array([0, 1, 2]), np.array([9.0, 8.0, 7.0]), np.ones(3, dtype=bool))
        >>> assignment.chosen.tolist(), assignment.used.tolist()
        ([0, 2], [5.0])
        """
        serve = _serve_one_by_one if len(worth) < COMPILED else _serve_compiled
        self._give_back_what_rounding_let_in(np.sort(serve(self, contacts, worth, wanted)))

    def _give_back_what_rounding_let_in(self, newly: IntArray) -> None:
        """Undo, the least first, until the exact sums are within the limits."""
        self.settle()
        offers, over = self.problem.offers, self._used > self.problem.limits.most
        while over.any():
            using = newly[self.taken[newly] & (offers.uses[offers.profile[newly]][:, over] > 0).any(axis=1)]
            self.release(using[[np.argmin(offers.uses[offers.profile[using]][:, over].max(axis=1))]])
            self.settle()
            over = self._used > self.problem.limits.most


def _keys(problem: Problem, which: IntArray) -> IntArray:
    """One number for each pair of contact and action."""
    action = problem.offers.action.astype(np.int64)
    return np.asarray(problem.offers.contact[which] * (int(action.max(initial=0)) + 1) + action[which], dtype=np.int64)


def _serve_one_by_one(assignment: Assignment, contacts: IntArray, worth: FloatArray, wanted: BoolArray) -> IntArray:
    """Returns the offers that were taken."""
    problem, newly = assignment.problem, list[int]()
    ceiling = problem.limits.most * (1 + ROUNDING)
    for contact in contacts.tolist():
        own = np.arange(problem.starts[contact], problem.starts[contact + 1])
        own = own[wanted[own] & ~assignment.taken[own]]
        for offer in own[np.argsort(-worth[own], kind="stable")].tolist():
            if assignment.count[contact] >= problem.per_contact:
                break
            if _fits(assignment, contact, offer, ceiling):
                assignment.put(np.array([offer]))
                newly.append(offer)
    return np.array(newly, dtype=np.int64)


def _serve_compiled(assignment: Assignment, contacts: IntArray, worth: FloatArray, wanted: BoolArray) -> IntArray:
    from decisioning.allocation import kernels as allocation_kernels

    problem, offers = assignment.problem, assignment.problem.offers
    cap_left = np.zeros((len(problem.caps), max((len(left) for left in assignment.cap_left), default=0)), dtype=np.int64)
    for row, left in zip(cap_left, assignment.cap_left, strict=True):
        row[: len(left)] = left
    board = allocation_kernels.Board(
        starts=problem.starts,
        profile=offers.profile,
        action=offers.action,
        treatment=offers.treatment,
        uses=offers.uses,
        ceiling=problem.limits.most * (1 + ROUNDING),
        used=assignment._used.copy(),
        held=assignment.count,
        taken=assignment.taken,
        unit_of=np.array([cap.unit_of for cap in problem.caps], dtype=np.int64).reshape(len(problem.caps), problem.n_contacts),
        members=np.array([cap.members for cap in problem.caps], dtype=np.bool_).reshape(len(problem.caps), -1 if problem.caps else 0),
        cap_left=cap_left,
        per_contact=problem.per_contact,
    )
    newly = np.asarray(allocation_kernels.serve(board, contacts, worth, wanted))
    assignment._times = assignment._times + assignment._times_of(newly)
    for left, row in zip(assignment.cap_left, cap_left, strict=True):
        left[:] = row[: len(left)]
    return newly


def _fits(assignment: Assignment, contact: int, offer: int, ceiling: FloatArray) -> bool:
    problem, offers = assignment.problem, assignment.problem.offers
    if (assignment._used + offers.uses[offers.profile[offer]] > ceiling).any():
        return False
    own = np.arange(problem.starts[contact], problem.starts[contact + 1])
    if (offers.action[own[assignment.taken[own]]] == offers.action[offer]).any():
        return False
    for cap, left in zip(problem.caps, assignment.cap_left, strict=True):
        unit = cap.unit_of[contact]
        if unit >= 0 and cap.members[offers.treatment[offer]] and left[unit] <= 0:
            return False
    return True


def keep_paying(wanted: BoolArray, worth: FloatArray, value: FloatArray) -> None:
    """Of the `wanted` offers keep those that are worth their price, ties among them."""
    for some in blocks(len(wanted)):
        wanted[some] &= worth[some] > -_TIE * np.abs(value[some])
