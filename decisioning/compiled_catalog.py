"""The catalogue made ready to decide with: rules compiled once, and one entry a treatment in every array.

Column k of every candidate array is `catalog.treatments[k]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from decisioning.catalog import Action, Catalog, Treatment
from decisioning.rules import Expression, compile_condition, compile_value
from decisioning.vocabulary import BoolArray, Dtype, FloatArray, Stage

CONDITION_STAGES: tuple[Stage, ...] = ("eligibility", "applicability", "suitability")


class Selector(Protocol):
    """What names a part of the catalogue: a contact policy or a constraint; None selects everything."""

    @property
    def channel(self) -> str | None: ...
    @property
    def action(self) -> str | None: ...
    @property
    def group(self) -> str | None: ...
    @property
    def issue(self) -> str | None: ...


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
    """A catalogue, its compiled actions and its treatments as arrays of shape (n_treatments,)."""

    catalog: Catalog
    actions: tuple[CompiledAction, ...]
    treatments: tuple[tuple[Action, Treatment], ...]
    cost: FloatArray
    lever: FloatArray
    bound_by_limits: BoolArray
    mandatory: BoolArray
    outbound: BoolArray
    column_of: dict[str, int]

    def selected_by(self, selector: Selector) -> BoolArray:
        """Which treatments `selector` names, shape (n_treatments,)."""
        treatment_id = getattr(selector, "treatment", None)
        return np.array(
            [
                (selector.channel in (None, treatment.channel))
                and (selector.action in (None, "*", action.id))
                and (selector.group in (None, action.group))
                and (selector.issue in (None, action.issue))
                and (treatment_id in (None, treatment.id))
                for action, treatment in self.treatments
            ],
            dtype=np.bool_,
        )


def compile_catalog(catalog: Catalog, dtypes: Mapping[str, Dtype]) -> CompiledCatalog:
    """`catalog` against the feature contract `dtypes` (dtype by feature name).

    Raises
    ------
    RuleError
        A condition or value expression that does not fit the contract, with its path in the catalogue.
    """
    place = {treatment.id: column for column, (_, treatment) in enumerate(catalog.treatments)}
    treatments = catalog.treatments
    return CompiledCatalog(
        catalog=catalog,
        actions=tuple(_compile_action(index, action, dtypes, place) for index, action in enumerate(catalog.actions)),
        treatments=treatments,
        cost=np.array([catalog.cost_of(action, treatment) for action, treatment in treatments]),
        lever=np.array([action.lever for action, _ in treatments]),
        bound_by_limits=np.array([action.kind == "default" for action, _ in treatments], dtype=np.bool_),
        mandatory=np.array([action.kind == "mandatory" for action, _ in treatments], dtype=np.bool_),
        outbound=np.array([catalog.channels[treatment.channel].direction == "outbound" for _, treatment in treatments], dtype=np.bool_),
        column_of=place,
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
