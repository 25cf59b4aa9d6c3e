"""The contacts whose choice hangs by a hair, tried anew: first divided, then whole, while all others keep what they have."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from decisioning.allocation.assignment import Assignment
from decisioning.allocation.dual import margins
from decisioning.allocation.program import Program, Relaxed
from decisioning.allocation.relaxation import Relaxation
from decisioning.allocation.search import search
from decisioning.vocabulary import FloatArray, IntArray

_OPEN_CONTACTS = 2_000
_WHOLE_OFFERS = 120
_WIDER = 4
_HAIR = 1e-6


class Refined(NamedTuple):
    """What trying anew has found: an assignment or None, the prices of the programme, and whether there is no better allocation at all."""

    assignment: Assignment | None
    prices: FloatArray | None = None
    proven: bool = False


def refine(held: Assignment, relaxation: Relaxation) -> Refined:
    """The best that the narrowest contacts can have together beside what the others have in `held`.

    Divided offers first: all but about as many contacts as there are limits then have whole ones. Those, and the narrowest of the others,
    are searched for the best whole offers; a wider circle where the narrow one has no solution.
    """
    margin, _ = margins(relaxation.contest, relaxation.prices, relaxation.cap_prices)
    open_contacts = relaxation.competitors[np.argsort(margin, kind="stable")[:_OPEN_CONTACTS]]
    base = _without(held, relaxation, open_contacts)
    which = _offers_of(base, relaxation, open_contacts)
    if not len(which):
        return Refined(base if base.is_feasible else None)
    program = Program.of(base, which)
    relaxed = program.relaxed()
    if relaxed is None:
        return Refined(None)
    everything = len(which) == len(relaxation.competing) and np.array_equal(base.taken, relaxation.served.taken)
    found, proven = _whole(base, which, relaxed)
    return Refined(found, relaxed.prices, proven and everything)


def _whole(base: Assignment, which: IntArray, relaxed: Relaxed) -> tuple[Assignment | None, bool]:
    """`base`, with what is whole kept and the rest searched, with ever more of its neighbours; whether there is nothing better."""
    contact = base.problem.offers.contact[which]
    order = _by_doubt(base, which, relaxed)
    lengths = np.bincount(contact, minlength=base.problem.n_contacts)[order]
    size = _WHOLE_OFFERS
    while True:
        searched = order[: max(1, int((np.cumsum(lengths) <= size).sum()))]
        inside = np.isin(contact, searched)
        whole = which[~inside & (relaxed.share > 0.5)]
        base.put(whole)
        found, proven = _searched(base, which[inside])
        if found is not None or len(searched) == len(order):
            return found, proven and len(searched) == len(order)
        base.release(whole)
        base.settle()
        size *= _WIDER


def _by_doubt(base: Assignment, which: IntArray, relaxed: Relaxed) -> IntArray:
    """The contacts of `which`: those with divided offers first, then those whose choice is the narrowest at the programme's prices."""
    contact = base.problem.offers.contact[which]
    divided = (relaxed.share > _HAIR) & (relaxed.share < 1 - _HAIR)
    worth = base.problem.offers.reduced(relaxed.prices, which)
    doubt = np.full(base.problem.n_contacts, np.inf)
    np.minimum.at(doubt, contact, np.where(divided, -1.0, _distance(contact, worth)))
    return np.argsort(doubt, kind="stable")[: len(np.unique(contact))]


def _distance(contact: IntArray, worth: FloatArray) -> FloatArray:
    """How far each contact's best offer is from its second best, or from none, at each of its offers."""
    begins = np.flatnonzero(np.append(True, contact[1:] != contact[:-1]))
    lengths = np.diff(np.append(begins, len(contact)))
    best = np.maximum(np.maximum.reduceat(worth, begins), 0.0)
    behind = np.repeat(best, lengths) - worth
    return np.where(behind > 0, np.minimum(behind, np.abs(worth) + np.where(worth > 0, behind, 0.0)), np.repeat(best, lengths))


def _searched(rest: Assignment, which: IntArray) -> tuple[Assignment | None, bool]:
    found = search(Program.of(rest, which), rest.is_feasible_with)
    if found.offers is None:
        return None, found.proven
    rest.put(found.offers)
    rest.settle()
    return rest, found.proven


def _without(held: Assignment, relaxation: Relaxation, contacts: IntArray) -> Assignment:
    """`held` without what competed for and the `contacts` have of it."""
    base = held.copy()
    own = base.problem.offers_of(contacts)
    base.release(own[base.taken[own] & ~relaxation.served.taken[own]])
    base.settle()
    return base


def _offers_of(base: Assignment, relaxation: Relaxation, contacts: IntArray) -> IntArray:
    """The competing offers of `contacts` that fit beside `base`."""
    own, competing = base.problem.offers_of(np.sort(contacts)), relaxation.competing
    own = own.astype(competing.dtype)
    place = np.minimum(np.searchsorted(competing, own), len(competing) - 1)
    which = own[competing[place] == own]
    return np.asarray(which[base.is_open()[which]])
