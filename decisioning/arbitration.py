"""What is each candidate worth, and which comes first?

For contact i and treatment k, in money (docs/decisions.md)::

    worth    = effect * value - opt_out_risk * clv
    profit   = worth - cost                                       expected incremental profit
    priority = context_weight * lever * worth - cost - shadow_cost

`effect` is the uplift; where no uplift is known it is the propensity, and the answer says so. `no_action` has priority 0. An opt-out
risk or a CLV that is not known takes nothing off; the gain of a mandatory action of which nothing is known counts 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from decisioning.candidates import Candidates, Removal, Scores, Situation
from decisioning.catalog import Constraint
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.history import Planned
from decisioning.rules import Expression
from decisioning.rules.sql_scalars import Row
from decisioning.vocabulary import BoolArray, FloatArray, IntArray

SEGMENTS = ("persuadable", "sure_thing", "lost_cause", "do_not_disturb")
DO_NOT_DISTURB = SEGMENTS.index("do_not_disturb")

NO_MODEL = Removal("score", "no model", "no model has learned this action and it has no cold_start")
NO_VALUE = Removal("score", "value", "its value is not known: NULL for this contact, or observed and no response has brought money")
NO_NUMBER = Removal("score", "priority", "its worth is not a finite number")


@dataclass(frozen=True)
class Economics:
    """The factors and the result of the formula, each of shape (n_contacts, n_treatments)."""

    effect: FloatArray
    context_weight: FloatArray
    cost: FloatArray
    shadow_cost: FloatArray
    profit: FloatArray
    priority: FloatArray


def appraise(
    catalog: CompiledCatalog, situation: Situation, scores: Scores, prices: Mapping[str, float], planned: Sequence[Planned] = ()
) -> Economics:
    """The economics of every candidate, dead or alive.

    `prices` is the price book: the shadow price of each constraint, money for one more unit of it. What is `planned` for a contact has its
    units already, whether it is carried out or not: they cost nothing any more.
    """
    effect = np.where(np.isnan(scores.uplift), scores.propensity, scores.uplift)
    risk = _or_zero(scores.opt_out_risk) * _or_zero(scores.clv)[:, None]
    with np.errstate(over="ignore", invalid="ignore"):
        gain = effect * scores.value
    worth = np.where(np.isfinite(gain), gain, np.where(catalog.mandatory, 0.0, np.nan)) - risk
    cost = np.broadcast_to(catalog.cost, worth.shape)
    weight = context_weights(catalog, situation)
    shadow_cost = np.zeros_like(worth)
    for constraint in catalog.catalog.constraints:
        price = prices.get(constraint.id, 0.0)
        if price:
            shadow_cost += price * use_of(constraint, catalog, situation)
    for one in planned:
        if one.treatment_id in catalog.column_of:
            place = one.row, catalog.column_of[one.treatment_id]
            shadow_cost[place] = min(shadow_cost[place], 0.0)
    return Economics(
        effect=effect,
        context_weight=weight,
        cost=cost,
        shadow_cost=shadow_cost,
        profit=worth - cost,
        priority=weight * catalog.lever * worth - cost - shadow_cost,
    )


def _or_zero(a: FloatArray) -> FloatArray:
    return np.where(np.isfinite(a), a, 0.0)


def context_weights(catalog: CompiledCatalog, situation: Situation) -> FloatArray:
    """The product of the context weights whose condition holds, shape (n_contacts, n_treatments)."""
    rows = situation.rows
    weights = np.ones((rows.length, len(catalog.treatments)))
    for conditions, weight, columns in catalog.weightings:
        if rows.length > 1:
            holds = np.all([condition.holds(rows) for condition in conditions], axis=0)
            weights[:, columns] *= np.where(holds, weight, 1.0)[:, None]
        elif rows.length == 1 and _all_hold(conditions, rows.only):
            weights[0, columns] *= weight
    return weights


def _all_hold(conditions: Sequence[Expression], row: Row) -> bool:
    for condition in conditions:  # noqa: SIM110 - all() of a generator takes twice as long as the condition
        if condition.on_row(row) != 1:
            return False
    return True


def use_of(constraint: Constraint, catalog: CompiledCatalog, situation: Situation) -> FloatArray:
    """How much of `constraint` each candidate uses, shape (n_contacts, n_treatments): money, or 1 a contact."""
    per_treatment = catalog.use_per_contact[constraint.id]
    in_market = np.ones(len(situation.contact_ids))
    if constraint.market is not None:
        market = situation.columns.get("market")
        in_market = np.zeros_like(in_market) if market is None else np.asarray(market == constraint.market, dtype=np.float64)
    return in_market[:, None] * per_treatment


def drop_unscored(candidates: Candidates, catalog: CompiledCatalog, scores: Scores, economics: Economics) -> None:
    """Take out candidates whose worth nobody knows: no model and no cold_start, or a value not known. Mandatory ones need none."""
    ranked = ~catalog.mandatory
    nothing = np.isnan(scores.propensity) & np.isnan(scores.uplift)
    candidates.remove_where(nothing & ranked, NO_MODEL)
    candidates.remove_where(np.isnan(scores.value) & ranked, NO_VALUE)
    no_number = ~np.isfinite(economics.priority)
    candidates.remove_where(no_number & ranked, NO_NUMBER)


def segment_of(scores: Scores, economics: Economics) -> IntArray:
    """The segment of each candidate as an index into `SEGMENTS`, -1 where no uplift is known.

    In money: persuadable where contacting earns more than it costs; do_not_disturb where it would destroy worth even if it were free; in
    between, a sure_thing responds more than the action's average contact without being asked, a lost_cause does not.
    """
    worth = economics.profit + economics.cost
    between = np.where(scores.baseline > scores.base_rate, SEGMENTS.index("sure_thing"), SEGMENTS.index("lost_cause"))
    segment = np.where(worth < 0, DO_NOT_DISTURB, between)
    segment = np.where(economics.profit > 0, SEGMENTS.index("persuadable"), segment)
    return np.where(np.isnan(scores.uplift), -1, segment).astype(np.int64)


def drop_unprofitable(candidates: Candidates, catalog: CompiledCatalog, preference: FloatArray, anyway: BoolArray) -> None:
    """Take out what does not beat no_action, whose priority is 0; mandatory actions skip arbitration, and so do those wanted `anyway`.

    `preference` and `anyway` broadcast to (n_contacts, n_treatments).
    """
    loses = ~(preference > 0) & ~catalog.mandatory & ~anyway
    candidates.remove_where(loses, Removal("arbitrate", "no_action", "doing nothing is worth more"))


def ranking(alive: BoolArray, mandatory: BoolArray, priority: FloatArray) -> IntArray:
    """The living candidates of one contact, best first: mandatory ones, then by priority; ties go to the catalogue's order.

    Examples
    --------
    >>> ranking(np.array([True, True, False, True]), np.array([False] * 4), np.array([1.0, 2.0, 9.0, 2.0]))
    array([1, 3, 0])
    """
    living = np.flatnonzero(alive)
    worth = priority[living]
    order = np.lexsort((np.where(np.isnan(worth), np.inf, -worth), ~mandatory[living]))
    return np.asarray(living[order], dtype=np.int64)
