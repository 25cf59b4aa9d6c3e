"""The stages for one contact, now, without an array a step: what `stages.appraise_candidates` says, at a fraction of its cost.

The stages of `stages.py` are the law, and a test holds this file to it for any business. Here the living candidates are the bits of one
integer, a rule that no living candidate asks about is not asked, and what is worth computing is computed in plain floats: the same
operations in the same order, so the same bits. Whatever is out of the ordinary goes through the stages themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from decisioning.arbitration import Economics, use_of
from decisioning.candidates import Candidates, Removal, Scores, Situation
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.contact_policy import saw
from decisioning.control import GROUPS, TREATED, control_groups
from decisioning.eligibility import not_asked_for
from decisioning.history import History
from decisioning.limits import ROUNDING
from decisioning.one_catalog import Columns, OnePolicy
from decisioning.quiet_hours import local_date
from decisioning.stages import Appraisal, House, appraise_candidates
from decisioning.vocabulary import BoolArray

_FEW = 200
"""Up to so many rows of the past, looking through lists costs less than numpy."""

_TREATED = GROUPS.index(TREATED)
_NO_MODEL = Removal("score", "no model", "no model has learned this action and it has no cold_start")
_NO_VALUE = Removal("score", "value", "its value is NULL for this contact")
_NO_NUMBER = Removal("score", "priority", "its worth is not a finite number")
_NOT_WORTH_IT = Removal("arbitrate", "no_action", "doing nothing is worth more")


@dataclass
class _Living:
    """The candidates of one contact: `alive` as bits, and which of `removals` took each of the others out."""

    alive: int
    removed_by: list[int]
    removals: list[Removal] = field(default_factory=list)

    def remove(self, columns: Columns, removal: Callable[[], Removal]) -> None:
        """Take out what is still alive of `columns`."""
        if not self.alive & columns.bits:
            return
        self.alive &= ~columns.bits
        place = len(self.removals)
        self.removals.append(removal())
        for column in columns.places:
            if self.removed_by[column] < 0:
                self.removed_by[column] = place

    def remove_one(self, column: int, removal: Removal) -> None:
        """Take out one that is alive."""
        if removal not in self.removals:
            self.removals.append(removal)
        self.removed_by[column] = self.removals.index(removal)
        self.alive &= ~(1 << column)

    def places(self) -> list[int]:
        """The living, in the catalogue's order."""
        return [column for column, place in enumerate(self.removed_by) if place < 0]

    def candidates(self) -> Candidates:
        """The same as the stages know it."""
        found = Candidates(0, 0)
        found.removed_by, found.removals = np.array([self.removed_by], dtype=np.int64), self.removals
        return found


def appraise_one(house: House, situation: Situation, history: History) -> Appraisal:
    """`appraise_candidates` for the one contact of `situation`.

    What was taken out before it was scored has no economics here but its cost: nobody asked what it is worth.
    """
    catalog = house.catalog
    groups = control_groups(situation.contact_ids, catalog.catalog.controls)
    if groups[0] != _TREATED or _is_out_of_the_ordinary(catalog, history):
        return appraise_candidates(house, situation, history)
    n = len(catalog.treatments)
    living = _Living((1 << n) - 1, [-1] * n)
    _placements(living, catalog, situation)
    _conditions(living, catalog, situation)
    _consents(living, catalog, situation)
    _validity(living, catalog, situation)
    if catalog.for_one.policies:
        _policies(living, catalog, situation, history)
    scored = living.places()
    alive = np.zeros((1, n), dtype=np.bool_)
    alive[0, scored] = True
    scores = house.score(situation, alive)
    economics, relevant = _economics(living, scored, house, situation, scores)
    return Appraisal(situation, history, living.candidates(), scores, economics, groups, economics.priority, relevant)


def _is_out_of_the_ordinary(catalog: CompiledCatalog, history: History) -> bool:
    long = len(history.touch_row) > _FEW or len(history.outcome_row) > _FEW
    return bool(history.planned or history.suppressions or long or catalog.for_one.of_accounts)


def _placements(living: _Living, catalog: CompiledCatalog, situation: Situation) -> None:
    for columns, rule, name in catalog.for_one.elsewhere(situation.channel, situation.placements):
        living.remove(columns, lambda rule=rule, name=name: Removal("placement", rule, f"it is for {name}"))  # type: ignore[misc]
    if situation.actions:
        living.remove(Columns.of(catalog.beside(situation.actions).tolist()), partial(not_asked_for, situation.actions))


def _conditions(living: _Living, catalog: CompiledCatalog, situation: Situation) -> None:
    rows = situation.rows
    row = rows.only
    for stage, expression, columns in catalog.for_one.rules:
        if living.alive & columns.bits and expression.on_row(row) != 1:
            living.remove(columns, partial(Removal, stage, expression.text, partial(expression.reads, rows)))


def _consents(living: _Living, catalog: CompiledCatalog, situation: Situation) -> None:
    for columns, purpose in catalog.for_one.consents:
        granted = situation.granted.get(purpose)
        if granted is None or not granted[0]:
            living.remove(columns, partial(Removal, "consent", purpose, f"consent for {purpose} is not granted"))


def _validity(living: _Living, catalog: CompiledCatalog, situation: Situation) -> None:
    if not catalog.valid_on or not living.alive:
        return
    today = local_date(situation.now, catalog.catalog.time_zone)
    for days, columns in catalog.valid_on.items():
        if not days[0] <= today <= days[1]:
            words = f"valid {days[0]} to {days[1]}"
            living.remove(Columns.of(columns.tolist()), partial(Removal, "contact_policy", words, f"today is {today}"))


def _policies(living: _Living, catalog: CompiledCatalog, situation: Situation, history: History) -> None:
    now = int(situation.now.astype("datetime64[us]").astype(np.int64))
    touches = _rows(history.touches, ("action_id", "channel")) if len(history.touch_row) else []
    outcomes = _rows(history.outcomes, ("action_id", "outcome")) if len(history.outcome_row) else []
    for one in catalog.for_one.policies:
        past = touches if one.policy.after is None else outcomes
        if len(past) <= one.most or not living.alive:
            continue
        counted = _counted(one, past, now)
        if len(counted) <= one.most:
            continue
        for columns, action_id in one.together:
            count = len(counted) if action_id is None else counted.count(action_id)
            if count > one.most:
                living.remove(columns, partial(Removal, "contact_policy", one.policy.id, partial(saw, one.policy, np.array([count]))))


def _counted(one: OnePolicy, past: list[tuple[int, Any, Any]], now: int) -> list[Any]:
    """The actions of what `one` counts: of touches their channel is asked for, of outcomes what happened."""
    wanted = one.policy.channel if one.policy.after is None else one.policy.after
    since, actions = now - one.window, one.actions
    return [
        action
        for at, action, word in past
        if since < at <= now and (wanted is None or word == wanted) and (actions is None or action in actions)
    ]


def _rows(columns: Mapping[str, Any], names: tuple[str, str]) -> list[tuple[int, Any, Any]]:
    at = columns["at"].astype("datetime64[us]").astype(np.int64).tolist()
    return list(zip(at, columns[names[0]].tolist(), columns[names[1]].tolist(), strict=True))


def _economics(living: _Living, scored: list[int], house: House, situation: Situation, scores: Scores) -> tuple[Economics, BoolArray]:
    """`arbitration.appraise` and the stages after it, on the living alone; and which of them were relevant."""
    catalog, unknown = house.catalog, [math.nan] * len(living.removed_by)
    effect, profit, priority, shadow = unknown[:], unknown[:], unknown[:], [0.0] * len(unknown)
    weight = _weights(scored, living.alive, catalog, situation)
    priced = _priced(house, situation)
    propensities, uplifts, values, risks = (
        part[0].tolist() for part in (scores.propensity, scores.uplift, scores.value, scores.opt_out_risk)
    )
    clv = _or_zero(float(scores.clv[0]))
    cost, lever, mandatory = catalog.cost.tolist(), catalog.lever.tolist(), catalog.mandatory.tolist()
    for column in scored:
        effect[column] = propensities[column] if math.isnan(uplifts[column]) else uplifts[column]
        gain = effect[column] * values[column]
        if not math.isfinite(gain):
            gain = 0.0 if mandatory[column] else math.nan
        worth = gain - _or_zero(risks[column]) * clv
        for price, uses, _ in priced:
            if price:
                shadow[column] += price * uses[column]
        profit[column] = worth - cost[column]
        priority[column] = weight[column] * lever[column] * worth - cost[column] - shadow[column]
        if not mandatory[column] and not math.isfinite(priority[column]):
            nothing = math.isnan(propensities[column]) and math.isnan(uplifts[column])
            living.remove_one(column, _NO_MODEL if nothing else _NO_VALUE if math.isnan(values[column]) else _NO_NUMBER)
    relevant = _relevant(living, priced, priority, mandatory)
    rows = (np.array([part]) for part in (effect, weight, cost, shadow, profit, priority))
    return Economics(*rows), relevant


def _relevant(living: _Living, priced: list[_Priced], priority: list[float], mandatory: list[bool]) -> BoolArray:
    """Take out what the limits leave no room for, then what does not beat no_action; the answer is what was there before the last."""
    for column in living.places():
        limit = next((limit for _, uses, limit in priced if limit is not None and uses[column] > limit.bound), None)
        if limit is not None:
            living.remove_one(column, limit.removal)
    left = living.places()
    relevant = np.zeros((1, len(priority)), dtype=np.bool_)
    relevant[0, left] = True
    for column in left:
        if not priority[column] > 0 and not mandatory[column]:
            living.remove_one(column, _NOT_WORTH_IT)
    return relevant


def _or_zero(number: float) -> float:
    return number if math.isfinite(number) else 0.0


@dataclass(frozen=True)
class _Limit:
    """The most that one candidate may use of a constraint, and what takes those out that use more."""

    bound: float
    removal: Removal


_Priced: TypeAlias = tuple[float, list[float], _Limit | None]


def _priced(house: House, situation: Situation) -> list[_Priced]:
    """Of each constraint that costs or binds: its price, what each candidate uses of it, and what is left."""
    found: list[_Priced] = []
    for one in house.catalog.catalog.constraints:
        price, left = house.prices.get(one.id, 0.0), house.room.get(one.id, math.inf)
        limited = one.max is not None and math.isfinite(left)
        if not price and not limited:
            continue
        own = house.catalog.use_per_contact[one.id] if one.market is None else use_of(one, house.catalog, situation)[0]
        limit = None
        if limited and one.max is not None:
            words = f"{one.max - left:g} of {one.max:g} are used in this period"
            limit = _Limit(left + ROUNDING * one.max, Removal("allocation", one.id, words))
        found.append((price, own.tolist(), limit))
    return found


def _weights(scored: list[int], alive: int, catalog: CompiledCatalog, situation: Situation) -> list[float]:
    """`arbitration.context_weights` of the living; 1 for the others."""
    weights = [1.0] * len(catalog.treatments)
    if not scored:
        return weights
    row = situation.rows.only
    for conditions, weight, columns in catalog.for_one.weightings:
        if alive & columns.bits and all(condition.on_row(row) == 1 for condition in conditions):
            for column in columns.places:
                weights[column] *= weight
    return weights
