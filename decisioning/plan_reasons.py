"""Why a row of a plan is what it is, where its own worth does not say so: a minimum, an account's cap, a draw, or the limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from decisioning.allocation import NONE, Allocation, LocalCap, Offers
from decisioning.coded import Coded, Words
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


def reasons_of(everybody: Everybody, solved: Solved, contact: IntArray, chosen: IntArray) -> Coded:
    """One a row: why nothing, or why something that does not beat no_action; empty where the worth of what was chosen is the reason.

    Parameters
    ----------
    contact, chosen : arrays of int, shape (n_rows,)
        The row's contact in `everybody`, and its offer, -1 for none.
    """
    words, has = Words(everybody.reasons), chosen != NONE
    codes = np.where(has, np.int32(0), everybody.contacts["reason"][contact])
    unexplained = np.flatnonzero(~has & (codes == 0))
    codes[unexplained] = words.code(_LIMITED)
    nothing = _why_nothing(everybody, solved, contact[~has])
    if nothing:
        for row, who in zip(unexplained.tolist(), contact[unexplained].tolist(), strict=True):
            codes[row] = words.code(nothing.get(who, _LIMITED))
    rows = np.flatnonzero(has)
    rows = rows[~everybody.offers["worth_it"][chosen[rows]]]
    drawn, asked = np.isin(chosen[rows], _drawn(solved)), _asked_by(everybody.catalog)
    treatment = everybody.offers["treatment"][chosen[rows]]
    for row, by_draw, column in zip(rows.tolist(), drawn.tolist(), treatment.tolist(), strict=True):
        codes[row] = words.code(_DRAWN if by_draw else f"minimum: {asked[column]}; without it doing nothing would be worth more")
    return Coded(everybody.shelf.kept(codes), words.texts)


def _asked_by(catalog: CompiledCatalog) -> list[str]:
    """Which minimums count each treatment, in words."""
    asking: list[list[str]] = [[] for _ in catalog.treatments]
    for constraint in catalog.catalog.constraints:
        if constraint.min:
            for column in np.flatnonzero(catalog.use_per_contact[constraint.id] > 0).tolist():
                asking[column].append(f"`{constraint.id}`")
    return [f"{' and '.join(names)} {'asks' if len(names) == 1 else 'ask'} for it" for names in asking]


def _drawn(solved: Solved) -> IntArray:
    """The offers that exploration drew."""
    return np.zeros(0, dtype=np.int64) if solved.explored is None else solved.explored.kept[solved.explored.drawn]


def _why_nothing(everybody: Everybody, solved: Solved, left_out: IntArray) -> dict[int, str]:
    """Contact -> why it has nothing, where that is not because of the limits of the whole population."""
    words = _held_back(everybody, solved, left_out)
    if solved.explored is not None:
        had = np.zeros(len(everybody), dtype=np.bool_)
        had[solved.offers.contact[_drawn(solved)]] = True
        words |= dict.fromkeys(left_out[solved.explored.included[left_out] & ~had[left_out]].tolist(), _NOTHING_DRAWN)
    return words


def _held_back(everybody: Everybody, solved: Solved, left_out: IntArray) -> dict[int, str]:
    """Those whose best offer is worth what it uses of the limits, but comes under a cap that other contacts have filled."""
    offers, words = solved.offers, dict[int, str]()
    if not solved.caps:
        return words
    alone = np.zeros(len(everybody), dtype=np.bool_)
    alone[left_out] = True
    own = np.flatnonzero(alone[offers.contact] & everybody.offers["worth_it"])
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
