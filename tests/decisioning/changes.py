"""Businesses in which one thing is different: a rule struck out, a number moved. What an explanation claims is tried on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from msgspec import structs

from decisioning.candidates import Scores, Situation
from decisioning.catalog import Catalog
from decisioning.compiled_catalog import CompiledCatalog, compile_catalog
from decisioning.decide import decide
from decisioning.explanation.explain import Change, Explanation, explain_decision
from decisioning.explanation.what_if import Rule
from decisioning.history import History
from decisioning.stages import House
from decisioning.vocabulary import NO_ACTION, FloatArray
from tests.decisioning.strategies import (
    DTYPES,
    Business,
    FixedScores,
)

PRICES = st.fixed_dictionaries(
    {"budget": st.sampled_from([0.0, 0.7]), "calls": st.sampled_from([0.0, 3.0]), "abroad": st.sampled_from([0.0, 2.0])}
)
ROOMS = st.fixed_dictionaries({"calls": st.sampled_from([0.0, 1.0]), "abroad": st.sampled_from([0.0, np.inf])})


def alone(business: Business, prices: dict[str, float], room: dict[str, float] | None = None) -> tuple[House, Situation, History]:
    """The first contact of a business, by itself, and what the running period asks and leaves."""
    everyone, past = business.situation, business.history
    situation = structs.replace(
        everyone,
        contact_ids=everyone.contact_ids[:1],
        columns={name: column[:1] for name, column in everyone.columns.items()},
        granted={purpose: yes[:1] for purpose, yes in everyone.granted.items()},
    )
    touched, happened = past.touch_row == 0, past.outcome_row == 0
    history = History(
        past.touch_row[touched],
        {name: column[touched] for name, column in past.touches.items()},
        past.outcome_row[happened],
        {name: column[happened] for name, column in past.outcomes.items()},
    )
    return replace(business.house, prices=prices, room=room or {}), situation, history


def first_choice(house: House, situation: Situation, history: History) -> str:
    chosen = decide(house, situation, history).chosen
    return house.catalog.treatments[chosen[0]][1].id if chosen else NO_ACTION


def explained(house: House, situation: Situation, history: History) -> Explanation:
    return explain_decision(house, decide(house, situation, history))


def without(rule: Rule, house: House, situation: Situation) -> tuple[House, Situation]:
    """The business without one rule: consent granted, room made, a policy or a condition struck out, always valid, nobody held out."""
    catalog = house.catalog
    if rule.stage == "consent":
        return house, structs.replace(situation, granted={**situation.granted, rule.rule: np.array([True])})
    if rule.stage == "allocation":
        return replace(house, room={name: left for name, left in house.room.items() if name != rule.rule}), situation
    if rule.stage == "control":
        return replace(house, catalog=changed(catalog, controls=catalog.catalog.controls.model_copy(update={"holdout": 0.0}))), situation
    if rule.stage == "contact_policy" and rule.rule.startswith("valid "):
        actions = tuple(
            one.model_copy(update={"valid": None}) if one.valid and f"valid {one.valid[0]} to {one.valid[1]}" == rule.rule else one
            for one in catalog.catalog.actions
        )
        return replace(house, catalog=changed(catalog, actions=actions)), situation
    if rule.stage == "contact_policy":
        kept = tuple(policy for policy in catalog.catalog.contact_policy if policy.id != rule.rule)
        return replace(house, catalog=changed(catalog, contact_policy=kept)), situation
    return replace(house, catalog=without_condition(catalog, rule)), situation


def changed(catalog: CompiledCatalog, **update: Any) -> CompiledCatalog:
    """The catalogue with something else in it; conditions that were struck out before stay so."""
    fresh = compile_catalog(Catalog(**{name: getattr(catalog.catalog, name) for name in Catalog.model_fields} | update), DTYPES)
    actions = tuple(replace(one, conditions=old.conditions) for one, old in zip(fresh.actions, catalog.actions, strict=True))
    return replace(fresh, actions=actions)


def without_condition(catalog: CompiledCatalog, rule: Rule) -> CompiledCatalog:
    def kept(conditions: Any) -> Any:
        return {stage: tuple(one for one in parts if stage != rule.stage or one.text != rule.rule) for stage, parts in conditions.items()}

    return replace(catalog, actions=tuple(replace(one, conditions=kept(one.conditions)) for one in catalog.actions))


def moved(change: Change, to: float, house: House) -> House:
    """The business in which one number is another."""
    if change.change == "limit":
        return replace(house, prices={**house.prices, change.what: to})
    column, catalog = house.catalog.column_of[change.what], house.catalog
    if change.change == "cost":
        return replace(house, catalog=at_cost(catalog, column, to))
    of_scores: dict[str, Callable[[Scores], Scores]] = {
        "uplift": lambda scores: replace(scores, uplift=put(scores.uplift, [column], to)),
        "propensity": lambda scores: replace(scores, propensity=put(scores.propensity, [column], to)),
        "opt_out_risk": lambda scores: replace(scores, opt_out_risk=put(scores.opt_out_risk, [column], to)),
        "value": lambda scores: replace(scores, value=scaled(scores.value, catalog, column, to)),
    }
    known = house.score
    assert isinstance(known, FixedScores)
    return replace(house, score=FixedScores(known.row_of, of_scores[change.change](known.scores)))


def at_cost(catalog: CompiledCatalog, column: int, to: float) -> CompiledCatalog:
    """The catalogue in which one treatment costs `to`, and takes as much from the budgets that pay for it."""
    uses = dict(catalog.use_per_contact)
    for constraint in catalog.catalog.constraints:
        if constraint.measure == "cost":
            uses[constraint.id] = put(uses[constraint.id][None], [column], to)[0]
    return replace(catalog, cost=put(catalog.cost[None], [column], to)[0], use_per_contact=uses)


def scaled(values: FloatArray, catalog: CompiledCatalog, column: int, to: float) -> FloatArray:
    """The values of `column`'s action in proportion, so that that of `column` is `to`."""
    own = [place for one in catalog.actions if column in one.columns for place in one.columns]
    result = values.copy()
    result[:, own] *= to / values[0, column]
    return result


def put(array: FloatArray, columns: list[int], to: float) -> FloatArray:
    result = np.array(array, dtype=float)
    result[:, columns] = to
    return result
