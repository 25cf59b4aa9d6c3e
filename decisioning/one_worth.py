"""What one contact's candidates are worth, in plain floats: `arbitration.appraise` and the stages after it, on the living alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np
from msgspec import Struct

from decisioning.arbitration import NO_MODEL, NO_NUMBER, NO_VALUE, Economics
from decisioning.candidates import Candidates, OneScores, Removal, Situation
from decisioning.catalog import Constraint
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.control import GROUPS, HELD_OUT, HOLDOUT, layers_of
from decisioning.history import History
from decisioning.limits import ROUNDING
from decisioning.one_catalog import OneRule, places_of
from decisioning.stages import Appraisal, House

Taken: TypeAlias = list[tuple[int, Removal | OneRule]]
"""Which candidates, as bits, went for which reason, in order; no candidate twice."""

_HELD_OUT = GROUPS.index(HOLDOUT)
_NOT_WORTH_IT = Removal("arbitrate", "no_action", "doing nothing is worth more")


class Priced(NamedTuple):
    """A constraint that costs or binds: its price, what each candidate uses, in which market (None: in all), and from what use on which
    removal takes a candidate out."""

    price: float
    uses: list[float]
    market: str | None
    bound: float
    removal: Removal | None


class OneHouse:
    """A house, and what is the same in it for every contact that is decided for by itself."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.catalog: CompiledCatalog = house.catalog
        self.own = house.catalog.for_one
        self.layers = layers_of(house.catalog.catalog.controls)
        self.priced = [found for one in house.catalog.catalog.constraints if (found := _priced(house, one)) is not None]


def _priced(house: House, one: Constraint) -> Priced | None:
    price, left = house.prices.get(one.id, 0.0), house.room.get(one.id, math.inf)
    bound, removal = math.inf, None
    if one.max is not None and math.isfinite(left):
        bound = left + ROUNDING * one.max
        removal = Removal("allocation", one.id, f"{one.max - left:g} of {one.max:g} are used in this period")
    if not price and removal is None:
        return None
    return Priced(price, house.catalog.for_one.uses[one.id], one.market, bound, removal)


class OneAppraisal(Struct, dict=True, eq=False):
    """An `Appraisal` of one contact of the group `nudge` or the universal control, as lists of a number a candidate; NaN where none asked.

    Attributes
    ----------
    taken : what took candidates out
    alive, relevant : bits of what is left, and of what was before it was measured against no_action
    scored : the places of what was scored
    group : its control group, an index into `control.GROUPS`
    ranked : the living, best first, as `arbitration.ranking` orders them
    """

    catalog: CompiledCatalog
    situation: Situation
    history: History
    taken: Taken
    alive: int
    relevant: int
    scored: tuple[int, ...]
    scores: OneScores
    effect: list[float]
    context_weight: list[float]
    shadow_cost: list[float]
    profit: list[float]
    priority: list[float]
    group: int
    ranked: list[int]

    @property
    def held_out(self) -> bool:
        """Whether the contact belongs to the universal control."""
        return self.group == _HELD_OUT

    @cached_property
    def removed_by(self) -> list[int]:
        """The place in `taken` of what took each candidate out, -1 for what is left."""
        numbered = [-1] * len(self.priority)
        for place, (bits, _) in enumerate(self.taken):
            for column in places_of(bits):
                numbered[column] = place
        return numbered

    def after(self, column: int) -> int | None:
        """What comes next in the ranking of the living, None where nothing does."""
        ranked = self.ranked
        place = ranked.index(column) + 1 if column in ranked else len(ranked)
        return ranked[place] if place < len(ranked) else None

    @cached_property
    def as_arrays(self) -> Appraisal:
        """The same as the stages know it."""
        rows, n = self.situation.rows, len(self.priority)
        candidates = Candidates(0, 0)
        candidates.removed_by = np.array([self.removed_by], dtype=np.int64)
        candidates.removals = [one.on(rows) if isinstance(one, OneRule) else one for _, one in self.taken]
        parts = (self.effect, self.context_weight, self.catalog.for_one.cost, self.shadow_cost, self.profit, self.priority)
        economics = Economics(*(np.array([part]) for part in parts))
        relevant = np.zeros((1, n), dtype=np.bool_)
        relevant[0, places_of(self.relevant)] = True
        groups = np.array([self.group], dtype=np.int64)
        return Appraisal(self.situation, self.history, candidates, self.scores.as_arrays, economics, groups, economics.priority, relevant)


def worth(house: OneHouse, situation: Situation, history: History, opened: tuple[int, Taken, int], scores: OneScores) -> OneAppraisal:
    """What the candidates that are alive are worth, and which of them stay; `opened` is what is alive, what took out others, the group."""
    n, (alive, taken, group) = house.own.n_treatments, opened
    unknown = [math.nan] * n
    scored = places_of(alive)
    found = OneAppraisal(
        catalog=house.catalog,
        situation=situation,
        history=history,
        taken=taken,
        alive=alive,
        relevant=alive,
        scored=scored,
        scores=scores,
        effect=unknown[:],
        context_weight=_weights(house, alive, situation),
        shadow_cost=[0.0] * n,
        profit=unknown[:],
        priority=unknown,
        group=group,
        ranked=[],
    )
    priced = _in_market(house.priced, situation)
    _appraise(found, scored, priced)
    _drop_unscored(found, scored)
    if found.held_out:
        _take(found, places_of(found.alive & house.own.bound_by_limits), HELD_OUT)
    for price in priced:
        _take(found, (column for column in places_of(found.alive) if price.uses[column] > price.bound), price.removal)
    found.relevant = found.alive
    mandatory, priority = house.own.mandatory, found.priority
    _take(found, (column for column in places_of(found.alive) if not priority[column] > 0 and not mandatory[column]), _NOT_WORTH_IT)
    found.ranked = _ranked(places_of(found.alive), mandatory, priority)
    return found


def _ranked(living: Sequence[int], mandatory: list[bool], priority: list[float]) -> list[int]:
    if len(living) < 2:
        return list(living)
    return sorted(living, key=lambda one: (not mandatory[one], math.inf if math.isnan(priority[one]) else -priority[one]))


def _appraise(found: OneAppraisal, scored: Sequence[int], priced: Sequence[Priced]) -> None:
    """The formula of `arbitration`, in its order of operations."""
    scores, own = found.scores, found.catalog.for_one
    propensities, uplifts, values, risks = scores.propensity, scores.uplift, scores.value, scores.opt_out_risk
    clv = _or_zero(scores.clv)
    for column in scored:
        uplift = uplifts[column]
        effect = found.effect[column] = propensities[column] if math.isnan(uplift) else uplift
        gain = effect * values[column]
        if not math.isfinite(gain):
            gain = 0.0 if own.mandatory[column] else math.nan
        worth = gain - _or_zero(risks[column]) * clv
        shadow = 0.0
        for one in priced:
            if one.price:
                shadow += one.price * one.uses[column]
        cost = own.cost[column]
        found.shadow_cost[column] = shadow
        found.profit[column] = worth - cost
        found.priority[column] = found.context_weight[column] * own.lever[column] * worth - cost - shadow


def _drop_unscored(found: OneAppraisal, scored: Sequence[int]) -> None:
    """Take out what nobody knows the worth of."""
    propensities, uplifts, values = found.scores.propensity, found.scores.uplift, found.scores.value
    mandatory = found.catalog.for_one.mandatory
    for column in scored:
        if math.isfinite(found.priority[column]) or mandatory[column]:
            continue
        nothing = math.isnan(propensities[column]) and math.isnan(uplifts[column])
        _take(found, (column,), NO_MODEL if nothing else NO_VALUE if math.isnan(values[column]) else NO_NUMBER)


def _take(found: OneAppraisal, columns: Iterable[int], removal: Removal | None) -> None:
    bits = 0
    for column in columns:
        bits |= 1 << column
    if bits and removal is not None:
        found.alive ^= bits
        found.taken.append((bits, removal))


def _or_zero(number: float) -> float:
    return number if math.isfinite(number) else 0.0


def _in_market(priced: Sequence[Priced], situation: Situation) -> Sequence[Priced]:
    """Where the contact is not in a constraint's market, nothing uses it."""
    if all(one.market is None for one in priced):
        return priced
    market = situation.only["market"]
    return [one if one.market in (None, market) else one._replace(uses=[0.0 * uses for uses in one.uses]) for one in priced]


def _weights(house: OneHouse, alive: int, situation: Situation) -> list[float]:
    """`arbitration.context_weights` of the living; 1 for the others."""
    weights = [1.0] * house.own.n_treatments
    if not alive:
        return weights
    row = situation.only
    for conditions, weight, columns in house.own.weightings:
        if alive & columns.bits and all(condition.on_row(row) == 1 for condition in conditions):
            for column in columns.places:
                weights[column] *= weight
    return weights
