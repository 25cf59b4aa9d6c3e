"""The catalogue made ready to decide with: rules compiled once, and one entry a treatment in every array.

Column k of every candidate array is `catalog.treatments[k]`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from decisioning.catalog import Action, Catalog, Constraint, Policy, Treatment
from decisioning.rules import Expression, compile_condition, compile_value
from decisioning.vocabulary import BoolArray, Dtype, FloatArray, Stage

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
    on_channel : the columns of each channel.
    held_back_by : which treatments each contact policy binds, shape (n_treatments,), by its id; mandatory and transactional ones never are.
    use_per_contact : what each treatment uses of each constraint, shape (n_treatments,), by its id: money, or 1 a contact.
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
    on_channel: dict[str, tuple[int, ...]]
    held_back_by: dict[str, BoolArray]
    use_per_contact: dict[str, FloatArray]


def compile_catalog(catalog: Catalog, dtypes: Mapping[str, Dtype]) -> CompiledCatalog:
    """`catalog` against the feature contract `dtypes` (dtype by feature name).

    Raises
    ------
    RuleError
        A condition or value expression that does not fit the contract, with its path in the catalogue.
    """
    treatments = catalog.treatments
    place = {treatment.id: column for column, (_, treatment) in enumerate(treatments)}
    cost = np.array([catalog.cost_of(action, treatment) for action, treatment in treatments])
    bound = _each(treatments, lambda action, _: action.kind == "default")
    return CompiledCatalog(
        catalog=catalog,
        actions=tuple(_compile_action(index, action, dtypes, place) for index, action in enumerate(catalog.actions)),
        treatments=treatments,
        cost=cost,
        lever=np.array([action.lever for action, _ in treatments]),
        bound_by_limits=bound,
        mandatory=_each(treatments, lambda action, _: action.kind == "mandatory"),
        outbound=_each(treatments, lambda _, treatment: catalog.channels[treatment.channel].direction == "outbound"),
        column_of=place,
        on_channel={name: tuple(k for k, (_, one) in enumerate(treatments) if one.channel == name) for name in catalog.channels},
        held_back_by={policy.id: selected_by(treatments, policy) & bound for policy in catalog.contact_policy},
        use_per_contact={one.id: selected_by(treatments, one) * (cost if one.measure == "cost" else 1.0) for one in catalog.constraints},
    )


def _each(treatments: Treatments, holds: Callable[[Action, Treatment], bool]) -> BoolArray:
    return np.array([holds(action, treatment) for action, treatment in treatments], dtype=np.bool_)


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


def _compile_action(index: int, action: Action, dtypes: Mapping[str, Dtype], place: Mapping[str, int]) -> CompiledAction:
    path = f"actions[{index}]"
    conditions: dict[Stage, tuple[Expression, ...]] = {}
    for stage in CONDITION_STAGES:
        text = getattr(action, stage)
        conditions[stage] = compile_condition(text, dtypes, path=f"{path}.{stage}") if text else ()
    return CompiledAction(
        action=action,
        conditions=conditions,
        value=_compile_worth(action.value, dtypes, f"{path}.value"),
        context_weights=tuple(
            (compile_condition(one.when, dtypes, path=f"{path}.context_weights[{i}].when"), one.weight)
            for i, one in enumerate(action.context_weights)
        ),
        columns=tuple(place[treatment.id] for treatment in action.treatments),
    )


def _compile_worth(value: float | str, dtypes: Mapping[str, Dtype], path: str) -> float | Expression | str:
    if isinstance(value, float) or value == "observed":
        return value
    return compile_value(value, dtypes, path=path)
