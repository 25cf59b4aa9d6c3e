"""The catalogue made ready to decide with: rules compiled once, and one entry a treatment in every array.

Column k of every candidate array is `catalog.treatments[k]`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import TypeAlias

import numpy as np

from decisioning.catalog import Action, Catalog, Constraint, Policy, Treatment
from decisioning.lead_scoring import LeadRules, compile_lead
from decisioning.one_catalog import Columns, OneCatalog, not_granted, one_policies, one_rules, one_weightings
from decisioning.rules import Expression
from decisioning.rules.findings import RuleFindings
from decisioning.rules.shared import Conditions, StatedValues, Weighting, as_places, weightings
from decisioning.triggers import CompiledTrigger, compile_triggers
from decisioning.vocabulary import BoolArray, Dtype, FloatArray, IntArray, Stage

Treatments: TypeAlias = tuple[tuple[Action, Treatment], ...]

CONDITION_STAGES: tuple[Stage, ...] = ("eligibility", "applicability", "suitability")


@dataclass(frozen=True)
class CompiledAction:
    """An action with its rules as functions; `value` is a number, an expression or `observed`; `columns` are its treatments' places."""

    action: Action
    conditions: dict[Stage, tuple[Expression, ...]]
    value: float | Expression | str
    context_weights: tuple[tuple[tuple[Expression, ...], float], ...]
    columns: tuple[int, ...]


@dataclass(frozen=True)
class CompiledCatalog:
    """A catalogue, its compiled actions, and what the stages ask of it worked out once.

    Attributes
    ----------
    cost, lever, bound_by_limits, mandatory, outbound : arrays of shape (n_treatments,)
    column_of : the column of each treatment id.
    on_channel, in_placement : the columns of each channel, and of each placement (None: of no placement).
    valid_on : the columns of the actions that have these first and last days.
    held_back_by : which treatments each contact policy binds, shape (n_treatments,), by its id; mandatory and transactional ones never are.
    lead : what makes a lead, where the catalogue says it.
    segments : the condition of each named segment, cut at its ANDs.
    use_per_contact : what each treatment uses of each constraint, shape (n_treatments,), by its id: money, or 1 a contact.
    triggers : what calls for a decision by itself.
    """

    catalog: Catalog
    actions: tuple[CompiledAction, ...]
    treatments: tuple[tuple[Action, Treatment], ...]
    cost: FloatArray
    lever: FloatArray
    bound_by_limits: BoolArray
    mandatory: BoolArray
    outbound: BoolArray
    column_of: dict[str, int]
    on_channel: dict[str, IntArray]
    in_placement: dict[str | None, IntArray]
    valid_on: dict[tuple[date, date], IntArray]
    held_back_by: dict[str, BoolArray]
    use_per_contact: dict[str, FloatArray]
    lead: LeadRules | None = None
    segments: dict[str, tuple[Expression, ...]] = field(default_factory=dict)
    triggers: tuple[CompiledTrigger, ...] = ()

    @cached_property
    def treatment_ids(self) -> list[str]:
        """The id of each treatment."""
        return [treatment.id for _, treatment in self.treatments]

    @cached_property
    def action_of(self) -> IntArray:
        """The place in `actions` of each treatment's action, shape (n_treatments,)."""
        return np.repeat(np.arange(len(self.actions), dtype=np.int64), [len(one.columns) for one in self.actions])

    def beside(self, actions: Collection[str]) -> IntArray:
        """The columns of all other actions than these."""
        return as_places([column for one in self.actions if one.action.id not in actions for column in one.columns])

    @cached_property
    def counted_together(self) -> dict[str, tuple[tuple[IntArray, str | None], ...]]:
        """By policy id, the columns that are counted together: all that it holds back, or with `action: "*"` those of each action."""
        together: dict[str, tuple[tuple[IntArray, str | None], ...]] = {}
        for policy in self.catalog.contact_policy:
            held_back = self.held_back_by[policy.id]
            of_actions = [(as_places(one.columns), one.action.id) for one in self.actions]
            apart = tuple((columns[held_back[columns]], action_id) for columns, action_id in of_actions)
            together[policy.id] = apart if policy.action == "*" else ((np.flatnonzero(held_back), None),)
        return together

    @cached_property
    def actions_of(self) -> dict[tuple[str, str], frozenset[str]]:
        """The ids of the actions of each `("group", name)` and `("issue", name)`."""
        found: dict[tuple[str, str], set[str]] = {}
        for action in self.catalog.actions:
            found.setdefault(("group", action.group), set()).add(action.id)
            found.setdefault(("issue", action.issue), set()).add(action.id)
        return {key: frozenset(ids) for key, ids in found.items()}

    @cached_property
    def conditions(self) -> Conditions:
        """The conditions of all actions, each part once, with the columns it concerns."""
        return Conditions.of(((one.conditions, one.columns) for one in self.actions), CONDITION_STAGES)

    @cached_property
    def weightings(self) -> tuple[Weighting, ...]:
        """The context weights of all actions, with the columns they concern."""
        return weightings((one.context_weights, one.columns) for one in self.actions)

    @cached_property
    def for_one(self) -> OneCatalog:
        """The same, worked out for one contact at a time."""
        own = self.catalog
        return OneCatalog(
            n_treatments=len(self.treatments),
            rules=one_rules(self.conditions),
            policies=one_policies(own.contact_policy, self.counted_together, self.actions_of),
            weightings=one_weightings(self.weightings),
            consents=tuple(
                (Columns.of(self.on_channel[name]).bits, channel.purpose, not_granted(channel.purpose))
                for name, channel in own.channels.items()
                if channel.purpose is not None
            ),
            on_channel={name: Columns.of(places) for name, places in self.on_channel.items()},
            in_placement={name: Columns.of(places) for name, places in self.in_placement.items()},
            valid_on={days: Columns.of(places) for days, places in self.valid_on.items()},
            cost=self.cost.tolist(),
            lever=self.lever.tolist(),
            mandatory=self.mandatory.tolist(),
            uses={name: uses.tolist() for name, uses in self.use_per_contact.items()},
            bound_by_limits=Columns.of(np.flatnonzero(self.bound_by_limits).tolist()).bits,
            of_accounts=any(policy.scope == "account" for policy in own.contact_policy),
        )

    @cached_property
    def stated_values(self) -> StatedValues:
        """What a response is worth, as far as the catalogue says it."""
        return StatedValues.of(((one.value, one.columns) for one in self.actions), len(self.treatments))


def compile_catalog(catalog: Catalog, dtypes: Mapping[str, Dtype]) -> CompiledCatalog:
    """`catalog` against the feature contract `dtypes` (dtype by feature name).

    Raises
    ------
    RuleError
        Conditions or value expressions that do not fit the contract, each with its path in the catalogue.
    """
    treatments = catalog.treatments
    findings = RuleFindings(dtypes)
    place = {treatment.id: column for column, (_, treatment) in enumerate(treatments)}
    cost = np.array([catalog.cost_of(action, treatment) for action, treatment in treatments])
    bound = _each(treatments, lambda action, _: action.kind == "default")
    actions = tuple(_compile_action(index, action, findings, place) for index, action in enumerate(catalog.actions))
    lead = None if catalog.lead is None else compile_lead(catalog.lead, findings)
    triggers = compile_triggers(catalog.triggers, catalog.action_by_id, catalog.segments, findings)
    segments = {name: findings.condition(text, path=f"segments.{name}") for name, text in catalog.segments.items()}
    findings.refuse()
    return CompiledCatalog(
        lead=lead,
        segments=segments,
        catalog=catalog,
        actions=actions,
        treatments=treatments,
        cost=cost,
        lever=np.array([action.lever for action, _ in treatments]),
        bound_by_limits=bound,
        mandatory=_each(treatments, lambda action, _: action.kind == "mandatory"),
        outbound=_each(treatments, lambda _, treatment: catalog.channels[treatment.channel].direction == "outbound"),
        column_of=place,
        on_channel={name: _where(treatments, lambda _, one, name=name: one.channel == name) for name in catalog.channels},
        in_placement={
            name: _where(treatments, lambda _, one, name=name: one.placement == name)
            for name in dict.fromkeys(one.placement for _, one in treatments)
        },
        valid_on={
            days: _where(treatments, lambda action, _, days=days: action.valid == days)
            for days in dict.fromkeys(action.valid for action in catalog.actions)
            if days is not None
        },
        held_back_by={policy.id: selected_by(treatments, policy) & bound for policy in catalog.contact_policy},
        use_per_contact={one.id: selected_by(treatments, one) * (cost if one.measure == "cost" else 1.0) for one in catalog.constraints},
        triggers=triggers,
    )


def _each(treatments: Treatments, holds: Callable[[Action, Treatment], bool]) -> BoolArray:
    return np.array([holds(action, treatment) for action, treatment in treatments], dtype=np.bool_)


def _where(treatments: Treatments, holds: Callable[..., bool]) -> IntArray:
    return as_places([column for column, (action, treatment) in enumerate(treatments) if holds(action, treatment)])


def selected_by(treatments: Treatments, selector: Policy | Constraint) -> BoolArray:
    """Which treatments a policy or a constraint is about; a key that it leaves out selects all."""
    treatment_id = selector.treatment if isinstance(selector, Constraint) else None
    return _each(
        treatments,
        lambda action, treatment: (
            selector.channel in (None, treatment.channel)
            and selector.action in (None, "*", action.id)
            and selector.group in (None, action.group)
            and selector.issue in (None, action.issue)
            and treatment_id in (None, treatment.id)
        ),
    )


def _compile_action(index: int, action: Action, findings: RuleFindings, place: Mapping[str, int]) -> CompiledAction:
    path = f"actions[{index}]"
    conditions: dict[Stage, tuple[Expression, ...]] = {}
    for stage in CONDITION_STAGES:
        text = getattr(action, stage)
        conditions[stage] = findings.condition(text, path=f"{path}.{stage}") if text else ()
    stated = isinstance(action.value, str) and action.value != "observed"
    return CompiledAction(
        action=action,
        conditions=conditions,
        value=findings.value(str(action.value), path=f"{path}.value") if stated else action.value,
        context_weights=tuple(
            (findings.condition(one.when, path=f"{path}.context_weights[{i}].when"), one.weight)
            for i, one in enumerate(action.context_weights)
        ),
        columns=tuple(place[treatment.id] for treatment in action.treatments),
    )
