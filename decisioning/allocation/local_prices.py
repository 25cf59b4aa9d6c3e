"""Prices where a contact may get several offers, or caps tie contacts together: of the limits by a level method, of each cap by order.

At given prices of the limits every unit of a cap settles its own: as high as the gain of the first offer that finds no room, so that just
those that gain most stay. With one cap and one offer a contact this is the best price, with several it is near; any price is a bound.
"""

from __future__ import annotations

import numpy as np

from decisioning.allocation.dual import Contest, wishes_at
from decisioning.allocation.level_method import minimise
from decisioning.allocation.shadow_prices import Sides
from decisioning.vocabulary import FloatArray, IntArray

_STAGES = ((3_000, 80), (30_000, 60), (300_000, 60))
_NEAR_STEPS = 30
_SWEEPS = 2
_ABSURD = 1e5


def shadow_prices_of_several(contest: Contest) -> FloatArray | None:
    """Prices of the limits near the best of any contest, shape (n_limits,); None where they could fall for ever."""
    prices: FloatArray = np.zeros(len(contest.most))
    if not contest.n_contacts:
        return prices
    for size, steps in _STAGES:
        prices = prices_near_of_several(contest.sample(size), prices, steps)
        if contest.n_contacts <= size:
            break
    sides = Sides.of(contest)
    return None if sides.of_prices(prices).max(initial=0.0) >= _ABSURD else prices


def prices_near_of_several(contest: Contest, prices: FloatArray, steps: int = _NEAR_STEPS) -> FloatArray:
    """The prices of the limits after so many steps from others that are not far, shape (n_limits,)."""
    sides = Sides.of(contest)
    if not len(sides.limit):
        return np.zeros(len(prices))

    def oracle(at: FloatArray) -> tuple[float, FloatArray]:
        here = sides.prices(at, len(prices))
        caps = settle_caps(contest, here)
        chosen = wishes_at(contest, contest.reduced(here, caps))
        used = np.bincount(contest.profile[chosen.chosen], minlength=len(contest.uses)) @ contest.uses
        value = chosen.worth + sum(float(price @ room) for price, room in zip(caps, contest.unit_room, strict=True))
        scale = contest.n_contacts * sides.money
        return value / scale + float(sides.sign @ at), sides.sign * (1.0 - used[sides.limit] / (contest.n_contacts * sides.share))

    return sides.prices(minimise(oracle, sides.of_prices(prices), steps), len(prices))


def settle_caps(contest: Contest, prices: FloatArray) -> tuple[FloatArray, ...]:
    """The price of each cap's units at these prices of the limits, one array a cap, shape (n_units,)."""
    found = [np.zeros(len(room)) for room in contest.unit_room]
    for _ in range(_SWEEPS if len(found) > 1 else len(found)):
        for place, unit in enumerate(contest.units):
            found[place] = np.zeros(len(found[place]))
            found[place] = _settled(contest, contest.reduced(prices, found), unit, contest.unit_room[place])
    return tuple(found)


def _settled(contest: Contest, worth: FloatArray, unit: IntArray, room: IntArray) -> FloatArray:
    """The price at which just as many of each unit's members are wanted as it has room for."""
    price = np.zeros(len(room))
    member = unit >= 0
    wanted = wishes_at(contest, worth).chosen
    if not (np.bincount(unit[member & wanted], minlength=len(room)) > room).any():
        return price
    instead = wishes_at(contest, np.where(member, -np.inf, worth)).chosen & ~wanted
    contact = contest.contact
    alternative = np.zeros(contest.n_contacts)
    np.maximum.at(alternative, contact[instead], worth[instead])
    inside = np.flatnonzero(member & wanted)
    gain = worth[inside] - alternative[contact[inside]]
    order = np.lexsort((-gain, unit[inside]))
    ranked = unit[inside][order]
    place = np.arange(len(order)) - np.searchsorted(ranked, ranked)
    first_without = order[place == room[ranked]]
    price[unit[inside][first_without]] = np.maximum(gain[first_without], 0.0)
    return price
