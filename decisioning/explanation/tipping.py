"""How far must a number move before the choice changes? Every priority is a line in every one of its factors, so the answer is exact.

    priority = lever * context_weight * (effect * value - opt_out_risk * clv) - cost - sum_r shadow_price_r * use_r

A value is its action's and moves with all treatments of it; the other factors are a treatment's own, and what it costs budgets pay too.
Moving a factor by t moves the priority of candidate k by slope_k * t. The leader w stays ahead of k up to
t_k = (priority_w - priority_k) / (slope_k - slope_w), where slope_k > slope_w; the smallest t_k is where the choice tips. no_action takes
part as what it is: a candidate of priority 0 that nothing moves. There is no answer where a factor cannot go so far: a value or a cost
not below 0, an uplift not beyond -1 and 1, an opt-out risk not above 1, a shadow price not below 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from decisioning.arbitration import use_of
from decisioning.compiled_catalog import CompiledCatalog, selected_by
from decisioning.explanation.what_if import WhatIf
from decisioning.explanation.worth_parts import FACTORS, factors_of
from decisioning.vocabulary import BoolArray, FloatArray

_UPLIFT, _VALUE, _LEVER, _WEIGHT = (FACTORS.index(name) for name in ("uplift", "value", "lever", "context_weight"))
_EQUAL, _DIGITS = 1e-9, 9


@dataclass(frozen=True)
class Tip:
    """One number, what it is, and where it must go for `then` to be chosen; `then` None is no_action.

    `change` is uplift, propensity, value, opt_out_risk or cost of the treatment `what`, or the limit `what`, whose shadow price it is.
    """

    change: str
    what: str
    now: float
    to: float
    rises: bool
    then: int | None

    @property
    def size(self) -> float:
        """How far it must go, as a fraction of what it is; infinite from 0."""
        return round(abs(self.to - self.now) / abs(self.now), _DIGITS) if self.now else np.inf


@dataclass(frozen=True)
class _Move:
    """A number that goes from `now` by `step` for every t, t up to `reach`, and how each priority follows, shape (n_treatments,)."""

    change: str
    what: str
    now: float
    step: float
    reach: float
    slopes: FloatArray


@dataclass(frozen=True)
class _Field:
    """The contact's contenders with no_action behind them: arrays of shape (n_treatments + 1,)."""

    priority: FloatArray
    takes_part: BoolArray
    leader: int


def tips(seen: WhatIf, catalog: CompiledCatalog, prices: Mapping[str, float]) -> list[Tip]:
    """Where each kind of factor tips the first choice over, nearest first; with no choice, of all candidates the nearest of each kind."""
    if not seen.by_worth:
        return []
    leader = seen.leader()
    field = _field(seen, leader)
    factors = factors_of(seen.appraisal, catalog).of_contact(0)
    effects = np.where(np.isnan(seen.appraisal.scores.uplift[0]), "propensity", "uplift")
    spent = 1.0 + _price_of_money(seen, catalog, prices)
    if leader is None:
        moves = [move for one in np.flatnonzero(seen.permitted) for move in _upwards(catalog, factors, effects, spent, int(one))]
    else:
        moves = list(_downwards(seen, catalog, factors, effects, spent, leader))
    found = [tip for move in (*moves, *_of_limits(seen, catalog, prices)) for tip in _first(field, move)]
    if leader is None:  # the value of an action lifts its other treatments too: the one that it makes worth it first stands for them
        found = [tip for tip in found if tip.then is not None and tip.what in (catalog.treatments[tip.then][1].id, *prices)]
    nearest: dict[str, Tip] = {}
    for tip in sorted(found, key=lambda tip: tip.size):
        nearest.setdefault(tip.change, tip)
    return list(nearest.values())


def _field(seen: WhatIf, leader: int | None) -> _Field:
    """Who could lead: what no rule holds, and no_action; of mandatory actions, which nothing else can pass, only they."""
    alike = seen.mandatory if leader is not None and seen.mandatory[leader] else ~seen.mandatory
    none_is_owed = leader is None or not seen.mandatory[leader]
    return _Field(
        priority=np.append(seen.preference, 0.0),
        takes_part=np.append(seen.permitted & alike, none_is_owed),
        leader=len(seen.preference) if leader is None else leader,
    )


def _first(field: _Field, move: _Move) -> Iterator[Tip]:
    """Where the choice tips as `move` goes; nothing where it does not within reach."""
    slopes, leader = np.append(move.slopes, 0.0), field.leader
    faster = field.takes_part & (slopes > slopes[leader])
    if not faster.any():
        return
    meets = np.full(len(slopes), np.inf)
    meets[faster] = np.maximum(0.0, field.priority[leader] - field.priority[faster]) / (slopes[faster] - slopes[leader])
    t = float(meets.min())
    if not t < move.reach:
        return
    level = np.flatnonzero(meets <= t * (1 + _EQUAL))
    then = int(level[np.argmax(slopes[level])])
    yield Tip(move.change, move.what, move.now, float(move.now + move.step * t), move.step > 0, None if then == len(move.slopes) else then)


def _price_of_money(seen: WhatIf, catalog: CompiledCatalog, prices: Mapping[str, float]) -> FloatArray:
    """What spending one more on each treatment costs through the prices of the budgets, shape (n_treatments,)."""
    budgets = [one for one in catalog.catalog.constraints if one.measure == "cost" and prices.get(one.id)]
    selected = {one.id: selected_by(catalog.treatments, one).astype(np.float64) for one in budgets}
    a_unit = replace(catalog, use_per_contact=selected)
    price = np.zeros(len(catalog.treatments))
    for budget in budgets:
        price += prices[budget.id] * use_of(budget, a_unit, seen.appraisal.situation)[0]
    return price


def _downwards(
    seen: WhatIf, catalog: CompiledCatalog, factors: FloatArray, effects: FloatArray, spent: FloatArray, leader: int
) -> Iterator[_Move]:
    """What would take the leader down."""
    name, n_treatments = catalog.treatments[leader][1].id, len(factors)
    one = np.eye(n_treatments)[leader]
    effect, value, _, lever, weight, cost, _ = factors[leader].tolist()
    grip = lever * weight
    yield _Move("cost", name, cost, 1.0, np.inf, -spent * one)
    if grip * value != 0:
        yield _of_effect(str(effects[leader]), name, effect, -_sign(grip * value), -abs(grip * value) * one)
    yield _Move("value", name, value, -value, 1.0, -_gain_of_action(catalog, factors, leader))
    clv, risk = seen.appraisal.scores.clv[0], seen.appraisal.scores.opt_out_risk[0, leader]
    if np.isfinite(clv) and np.isfinite(risk) and grip * clv > 0:
        yield _Move("opt_out_risk", name, float(risk), 1.0, 1.0 - float(risk), -grip * float(clv) * one)


def _upwards(catalog: CompiledCatalog, factors: FloatArray, effects: FloatArray, spent: FloatArray, column: int) -> Iterator[_Move]:
    """What would lift a candidate that loses against doing nothing."""
    name = catalog.treatments[column][1].id
    one = np.eye(len(factors))[column]
    effect, value, _, lever, weight, cost, _ = factors[column].tolist()
    grip = lever * weight
    yield _Move("cost", name, cost, -1.0, cost, spent * one)
    if grip * value != 0:
        yield _of_effect(str(effects[column]), name, effect, _sign(grip * value), abs(grip * value) * one)
    yield _Move("value", name, value, value, np.inf, _gain_of_action(catalog, factors, column))


def _sign(number: float) -> float:
    return 1.0 if number > 0 else -1.0


def _of_effect(change: str, name: str, effect: float, step: float, slopes: FloatArray) -> _Move:
    lowest = -1.0 if change == "uplift" else 0.0
    return _Move(change, name, effect, step, 1.0 - effect if step > 0 else effect - lowest, slopes)


def _gain_of_action(catalog: CompiledCatalog, factors: FloatArray, column: int) -> FloatArray:
    """lever * context_weight * effect * value of the treatments that share the value of `column`'s action; 0 elsewhere."""
    action = catalog.treatments[column][0].id
    same = np.array([one.id == action for one, _ in catalog.treatments])
    return np.where(same, factors[:, _LEVER] * factors[:, _WEIGHT] * factors[:, _UPLIFT] * factors[:, _VALUE], 0.0)


def _of_limits(seen: WhatIf, catalog: CompiledCatalog, prices: Mapping[str, float]) -> Iterator[_Move]:
    """The shadow price of each limit going to 0."""
    for constraint in catalog.catalog.constraints:
        price = prices.get(constraint.id, 0.0)
        if price > 0:
            use = use_of(constraint, catalog, seen.appraisal.situation)[0]
            yield _Move("limit", constraint.id, price, -price, 1.0, price * use)
