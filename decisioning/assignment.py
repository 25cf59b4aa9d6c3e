"""Handing offers out: at most one a contact, and only while it fits. Whatever is tried here, no limit is ever exceeded."""

from __future__ import annotations

import math

import numpy as np

from decisioning.vocabulary import BoolArray, FloatArray, IntArray

NONE = -1
_ROUNDING = 1e-12
"""Sums of money may be this much too large, as a fraction, before they are checked exactly."""


def two_best(contact: IntArray, worth: FloatArray) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """Where each contact's offers begin, how many they are, and their best and second best `worth`; -inf where there is no second.

    Examples
    --------
    >>> two_best(np.array([3, 3, 3, 7]), np.array([1.0, 4.0, 2.0, 5.0]))
    (array([0, 3]), array([3, 1]), array([4., 5.]), array([  2., -inf]))
    """
    starts = np.flatnonzero(np.diff(contact, prepend=-1))
    lengths = np.diff(np.append(starts, len(contact)))
    if not len(starts):
        return starts, lengths, np.zeros(0), np.zeros(0)
    best = np.maximum.reduceat(worth, starts)
    at_best = np.flatnonzero(worth == np.repeat(best, lengths))
    others = worth.copy()
    others[at_best[np.diff(contact[at_best], prepend=-1) != 0]] = -np.inf
    return starts, lengths, best, np.maximum.reduceat(others, starts)


class Assignment:
    """Who has which offer, and what that uses.

    Parameters
    ----------
    contact : array of int, shape (n_offers,)
    use : array, shape (n_offers, n_limits), >= 0
    limits : array, shape (n_limits,)
    n_contacts : int

    Attributes
    ----------
    choice : array of int, shape (n_contacts,)
        The offer of each contact, -1 for none.
    """

    def __init__(self, contact: IntArray, use: FloatArray, limits: FloatArray, n_contacts: int) -> None:
        self.contact, self.use, self.limits = contact, use, limits
        self.choice: IntArray = np.full(n_contacts, NONE, dtype=np.int64)
        self._used: FloatArray = np.zeros(len(limits))

    def copy(self) -> Assignment:
        """The same assignment, to go on with apart."""
        other = Assignment(self.contact, self.use, self.limits, len(self.choice))
        other.choice, other._used = self.choice.copy(), self._used.copy()
        return other

    @property
    def used(self) -> FloatArray:
        """What is used of each limit, correctly rounded, shape (n_limits,)."""
        taken = self.use[self.choice[self.choice != NONE]]
        return np.array([math.fsum(column) for column in taken.T.tolist()], dtype=np.float64)

    @property
    def remaining(self) -> FloatArray:
        """What is left of each limit, shape (n_limits,), never below 0."""
        return np.maximum(self.limits - self._used, 0.0)

    def is_open(self, offers: IntArray) -> BoolArray:
        """Which of `offers` belong to a contact that has none yet and would fit by themselves."""
        free = self.choice[self.contact[offers]] == NONE
        fits = (self.use[offers] <= self.remaining + _ROUNDING * self.limits).all(axis=1)
        return np.asarray(free & fits, dtype=np.bool_)

    def take(self, order: IntArray) -> None:
        """Give each contact without an offer the first in `order` that fits, in that order.

        A contact's offers stand together in `order`. What fits is found many at a time: everything up to the first offer that does not.

        Examples
        --------
        >>> assignment = Assignment(np.array([0, 1, 2]), np.array([[4.0], [3.0], [1.0]]), np.array([5.0]), 3)
        >>> assignment.take(np.array([0, 1, 2]))
        >>> assignment.choice.tolist(), assignment.used.tolist()
        ([0, -1, 2], [5.0])
        """
        begun_with = self.choice.copy()
        while len(order := order[self.is_open(order)]):
            heads = order[np.diff(self.contact[order], prepend=-1) != 0]
            after = self._used + np.cumsum(self.use[heads], axis=0)
            too_much = (after > self.limits * (1 + _ROUNDING)).any(axis=1)
            fitting = int(too_much.argmax()) if too_much.any() else len(heads)
            self.choice[self.contact[heads[:fitting]]] = heads[:fitting]
            self._used = after[fitting - 1] if fitting else self._used
            if fitting == len(heads):
                break
        self._give_back_what_rounding_let_in(np.flatnonzero(self.choice != begun_with))

    def replace(self, contacts: IntArray, offers: IntArray) -> None:
        """Give `contacts` the offers that stand beside them (-1: none) instead of what they have, as far as they fit."""
        self.choice[contacts] = NONE
        self._used = self.used
        self.take(offers[offers != NONE])

    def _give_back_what_rounding_let_in(self, newly: IntArray) -> None:
        """Undo, the least first, until the exact sums are within the limits."""
        over = self.used > self.limits
        while over.any():
            using = newly[(self.use[self.choice[newly]][:, over] > 0).any(axis=1) & (self.choice[newly] != NONE)]
            smallest = using[np.argmin(self.use[self.choice[using]][:, over].max(axis=1))]
            self.choice[smallest] = NONE
            over = self.used > self.limits
        self._used = self.used
