"""Prices and bound of a problem: mandatory offers are served, and what is left is priced, exactly where it is small."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from decisioning.allocation.assignment import Assignment
from decisioning.allocation.dual import Contest, dual_bound
from decisioning.allocation.local_prices import settle_caps, shadow_prices_of_several
from decisioning.allocation.problem import Problem, blocks, where_true
from decisioning.allocation.program import Program
from decisioning.allocation.shadow_prices import shadow_prices
from decisioning.vocabulary import FloatArray, IntArray

EXACT_OFFERS = 4_000
"""Up to so many offers the linear programme of all of them is solved."""


@dataclass(frozen=True)
class Relaxation:
    """What is known before anybody but the mandatory ones is served.

    Attributes
    ----------
    served : Assignment
        The mandatory offers alone.
    wanted, competing : arrays of int
        The offers somebody would want beside them, and those of them that fit by themselves.
    prices : array, shape (n_limits,)
    cap_prices : tuple of arrays, one a cap, shape (n_units,)
    bound : float
        No allocation that serves the mandatory offers first is worth more: what the dual says at the prices of `lowest`.
    lowest : Relaxation, optional
        That at whose prices the dual is lowest; this one unless given.
    """

    served: Assignment
    wanted: IntArray
    competing: IntArray
    contest: Contest
    prices: FloatArray
    cap_prices: tuple[FloatArray, ...]
    bound: float
    lowest: Relaxation | None = None

    def at(self, prices: FloatArray) -> Relaxation:
        """The relaxation at other prices; the bound is the lower of both."""
        cap_prices = settle_caps(self.contest, prices)
        bound = self.served.value + dual_bound(self.contest, prices, cap_prices)
        moved = replace(self, prices=prices, cap_prices=cap_prices, bound=bound, lowest=None)
        return moved if bound < self.bound else replace(moved, bound=self.bound, lowest=self.lowest or self)

    @property
    def is_small(self) -> bool:
        """Whether the prices are those of the linear programme of all offers."""
        return len(self.competing) <= EXACT_OFFERS

    @property
    def competitors(self) -> IntArray:
        """The contacts of the contest, in its order, as those of the problem."""
        return self.served.problem.offers.contact[self.competing[self.contest.starts[:-1]]]

    @property
    def worth(self) -> FloatArray:
        """What every offer is worth after all prices, shape (n_offers,)."""
        problem, offers = self.served.problem, self.served.problem.offers
        worth, charge = problem.empty(len(offers.value), np.float64), offers.uses @ self.prices
        for some in blocks(len(worth)):
            np.subtract(offers.value[some], charge[offers.profile[some]], out=worth[some])
            for cap, price in zip(problem.caps, self.cap_prices, strict=True):
                unit = cap.unit_of[offers.contact[some]]
                worth[some] -= np.where(cap.members[offers.treatment[some]], np.append(price, 0.0)[unit], 0.0)
        return worth


def serve_first(problem: Problem) -> Assignment:
    """The mandatory offers, of the greatest preference first, as far as they fit."""
    offers = problem.offers
    served = Assignment(problem)
    if offers.first.any():
        ranked_by = offers.value if offers.preference is None else offers.preference
        best = np.full(problem.n_contacts, -np.inf)
        np.maximum.at(best, offers.contact[offers.first], ranked_by[offers.first])
        served.serve(descending(best), ranked_by, offers.first)
    return served


def descending(key: FloatArray) -> IntArray:
    """The contacts whose `key` is above -inf, the greatest first; among equals the contact that comes first."""
    order = np.argsort(-key, kind="stable")
    return np.asarray(order[: int((key > -np.inf).sum())], dtype=np.int64)


def relax(problem: Problem) -> Relaxation | None:
    """The relaxation of `problem`; None where not even divided offers meet its limits."""
    served = serve_first(problem)
    wanted, competing = compete(served)
    contest = Contest.of(served, competing)
    found = _priced(served, competing, contest)
    if found is None:
        return None
    prices, cap_prices = found
    bound = served.value + dual_bound(contest, prices, cap_prices)
    return Relaxation(served, wanted, competing, contest, prices, cap_prices, bound)


def compete(served: Assignment) -> tuple[IntArray, IntArray]:
    """The offers that somebody wants beside what is `served`, by their worth or because a minimum asks for them; and those that fit."""
    problem, offers = served.problem, served.problem.offers
    asked_for = np.asarray((offers.uses[:, served.lacking > 0] > 0).any(axis=1), dtype=np.bool_)
    has_room, is_open = served.count < problem.per_contact, served.is_open()
    wanted, all_open = problem.empty(len(offers.value), np.bool_), True
    for some in blocks(len(wanted)):
        mine = (offers.value[some] > 0) | asked_for[offers.profile[some]]
        wanted[some] = mine & ~offers.first[some] & has_room[offers.contact[some]]
        is_open[some] &= wanted[some]
        all_open = all_open and np.array_equal(wanted[some], is_open[some])
    places = where_true(wanted, problem.empty)
    return places, places if all_open else where_true(is_open, problem.empty)


def _priced(served: Assignment, competing: IntArray, contest: Contest) -> tuple[FloatArray, tuple[FloatArray, ...]] | None:
    if len(competing) <= EXACT_OFFERS:
        relaxed = Program.of(served, competing).relaxed()
        return None if relaxed is None else (relaxed.prices, relaxed.cap_prices)
    prices = shadow_prices(contest) if contest.is_plain else shadow_prices_of_several(contest)
    return None if prices is None else (prices, settle_caps(contest, prices))
