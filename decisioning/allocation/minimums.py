"""Making up what a minimum still lacks: the contacts who lose least change to an offer that counts."""

from __future__ import annotations

import numpy as np

from decisioning.allocation.assignment import ROUNDING, Assignment
from decisioning.allocation.problem import blocks
from decisioning.vocabulary import BoolArray, FloatArray, IntArray


def meet_minimums(held: Assignment, worth: FloatArray, competing: IntArray, fixed: BoolArray) -> None:
    """Give offers that count towards what is lacking, minimum after minimum, as long as no maximum, cap or other minimum suffers.

    Parameters
    ----------
    held : Assignment
        Changed in place.
    worth : array, shape (n_offers,)
        What every offer is worth after all prices: the contacts whose worth falls least for what they add come first.
    competing : array of int
        The offers to choose from.
    fixed : array of bool, shape (n_offers,)
        Offers that nobody gives back: the mandatory ones.
    """
    held.settle()
    for limit in np.flatnonzero(held.lacking > 0).tolist():
        for offer in _by_least_loss(held, worth, competing, limit).tolist():
            if held.lacking[limit] <= 0:
                break
            _change_to(held, offer, worth, fixed)
        held.settle()


def _by_least_loss(held: Assignment, worth: FloatArray, competing: IntArray, limit: int) -> IntArray:
    """The offers that count towards `limit`, by what changing to them costs for each unit; of a contact only the best."""
    offers = held.problem.offers
    parts = (competing[some] for some in blocks(len(competing)))
    counts = offers.uses[:, limit] > 0
    counting = np.concatenate([which[counts[offers.profile[which]] & ~held.taken[which]] for which in parts] or [competing])
    now = np.full(held.problem.n_contacts, np.inf)
    np.minimum.at(now, offers.contact[held.chosen], worth[held.chosen])
    now[held.count < held.problem.per_contact] = 0.0
    loss = (now[offers.contact[counting]] - worth[counting]) / offers.uses[offers.profile[counting], limit]
    order = np.argsort(loss, kind="stable")
    ranked = counting[order]
    _, first = np.unique(offers.contact[ranked], return_index=True)
    return np.asarray(ranked[np.sort(first)], dtype=np.int64)


def _change_to(held: Assignment, offer: int, worth: FloatArray, fixed: BoolArray) -> None:
    """Give `offer` to its contact, in place of what is worth least to it where it has no more room; not where that breaks anything."""
    problem, offers = held.problem, held.problem.offers
    contact = int(offers.contact[offer])
    own = np.arange(problem.starts[contact], problem.starts[contact + 1])
    own = own[held.taken[own]]
    same = own[offers.action[own] == offers.action[offer]]
    full = held.count[contact] >= problem.per_contact
    given = same if len(same) else own[np.argsort(worth[own], kind="stable")[:1]] if full else own[:0]
    if fixed[given].any():
        return
    before = held.running
    held.release(given)
    if held.may_take(offer):
        held.put(np.array([offer]))
        after, least = held.running, problem.limits.least
        if not ((after < before) & (after < least * (1 - ROUNDING))).any():
            return
        held.release(np.array([offer]))
    held.put(given)
