"""Why a row of a plan is what it is, where its own worth does not say so: a minimum, an account's cap, a draw, or the limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from decisioning.allocation import NONE, Allocation, LocalCap, Offers
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.explanation import LIMITED
from decisioning.plan_exploration import Explored
from decisioning.plan_offers import Everybody
from decisioning.vocabulary import BoolArray, IntArray

_LIMITED = ": ".join(LIMITED)
_NOTHING_DRAWN = "exploration: doing nothing was drawn, to learn what comes of it"
_DRAWN = "exploration: it was drawn, to learn what comes of it; doing nothing would be worth more"


class Solved(NamedTuple):
    """What there was to allocate, under which caps, what came of it, and what was drawn."""

    offers: Offers
    allocation: Allocation
    caps: Sequence[LocalCap]
    explored: Explored | None


def reasons_of(everybody: Everybody, solved: Solved, contact: IntArray, chosen: IntArray) -> tuple[str, ...]:
    """One a row: why nothing, or why something that does not beat no_action; empty where the worth of what was chosen is the reason.

    Parameters
    ----------
    contact, chosen : arrays of int, shape (n_rows,)
        The row's contact in `everybody`, and its offer, -1 for none.
    """
    asked, drawn, nothing = _asked_by(everybody.catalog), _drawn(solved), _why_nothing(everybody, solved, contact[chosen == NONE])
    worth_it, treatment = everybody.offers["worth_it"], everybody.offers["treatment"]
    words = []
    for who, offer in zip(contact.tolist(), chosen.tolist(), strict=True):
        if offer == NONE:
            words.append(everybody.reason[who] or nothing.get(who, _LIMITED))
        elif worth_it[offer]:
            words.append("")
        elif drawn[offer]:
            words.append(_DRAWN)
        else:
            words.append(f"minimum: {asked[treatment[offer]]}; without it doing nothing would be worth more")
    return tuple(words)


def _asked_by(catalog: CompiledCatalog) -> list[str]:
    """Which minimums count each treatment, in words."""
    asking: list[list[str]] = [[] for _ in catalog.treatments]
    for constraint in catalog.catalog.constraints:
        if constraint.min:
            for column in np.flatnonzero(catalog.use_per_contact[constraint.id] > 0).tolist():
                asking[column].append(f"`{constraint.id}`")
    return [f"{' and '.join(names)} {'asks' if len(names) == 1 else 'ask'} for it" for names in asking]


def _drawn(solved: Solved) -> BoolArray:
    """Which offers exploration drew, shape (n_offers,)."""
    drawn = np.zeros(len(solved.offers.contact), dtype=np.bool_)
    if solved.explored is not None:
        drawn[solved.explored.kept[solved.explored.drawn]] = True
    return drawn


def _why_nothing(everybody: Everybody, solved: Solved, left_out: IntArray) -> dict[int, str]:
    """Contact -> why it has nothing, where that is not because of the limits of the whole population."""
    words = _held_back(everybody, solved, left_out)
    if solved.explored is not None:
        had = np.zeros(len(everybody.contact_ids), dtype=np.bool_)
        had[solved.offers.contact[_drawn(solved)]] = True
        words |= dict.fromkeys(left_out[solved.explored.included[left_out] & ~had[left_out]].tolist(), _NOTHING_DRAWN)
    return words


def _held_back(everybody: Everybody, solved: Solved, left_out: IntArray) -> dict[int, str]:
    """Those whose best offer is worth what it uses of the limits, but comes under a cap that other contacts have filled."""
    offers, words = solved.offers, dict[int, str]()
    alone = np.zeros(len(everybody.contact_ids), dtype=np.bool_)
    alone[left_out] = True
    own = np.flatnonzero(alone[offers.contact] & everybody.offers["worth_it"]) if solved.caps else np.zeros(0, dtype=np.int64)
    worth = offers.reduced(solved.allocation.shadow_prices, own)
    order = np.lexsort((-worth, offers.contact[own]))
    best = order[np.flatnonzero(np.diff(offers.contact[own[order]], prepend=-1))]
    best = own[best[worth[best] > 0]]
    for cap in reversed(solved.caps):  # the first that holds a contact back has the word
        unit = cap.unit_of[offers.contact[best]]
        held = best[(unit >= 0) & cap.members[offers.treatment[best]] & np.append(_full(cap, solved), False)[unit]]
        words |= dict.fromkeys(
            offers.contact[held].tolist(), f"contact_policy: what `{cap.policy}` allows the account goes to others of it"
        )
    return words


def _full(cap: LocalCap, solved: Solved) -> BoolArray:
    """Which units of a cap have no room left, shape (n_units,)."""
    taken, offers = solved.allocation.taken, solved.offers
    unit = cap.unit_of[offers.contact[taken]]
    counted = unit[(unit >= 0) & cap.members[offers.treatment[taken]]]
    return np.asarray(np.bincount(counted, minlength=len(cap.room)) >= cap.room, dtype=np.bool_)
