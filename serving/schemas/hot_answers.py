"""What the hot routes answer, as structs: the OpenAPI document describes the answers by the structs' own schemas.

An answer leaves as the service made it, unread; a law holds every answer to these, name by name.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta, Struct

_Number: TypeAlias = float | None
_Time: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]

MODEL = "x-model"
"""Marks what another model describes: `referred` puts a reference to it there."""


class VersionsAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """What the decision was made with."""

    catalog: str
    models: dict[str, Any]
    features: str | None
    prices: str | None


class ActionAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """One chosen action with its economics; a number is null where nothing is known."""

    rank: int
    action_id: str
    issue: str | None
    group: str | None
    treatment_id: str
    channel: str | None
    placement: str | None
    content_id: str | None
    propensity: _Number
    baseline: _Number
    uplift: _Number
    value: _Number
    clv: _Number
    opt_out_risk: _Number
    cost: _Number
    shadow_cost: _Number
    context_weight: _Number
    lever: _Number
    expected_profit: _Number
    priority: _Number
    segment: str | None
    selection_prob: _Number
    traffic: str | None
    send_at: Annotated[_Time | None, Meta(description="when an outbound treatment may go out, outside the contact's quiet hours")]
    reasons: list[str]


class NoActionAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """Why nothing is proposed."""

    reason: str
    detail: str
    selection_prob: Annotated[float | None, Meta(description="the probability with which nothing was chosen")] = None


class FilteredAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """A candidate that a stage took out."""

    treatment_id: str
    stage: str
    rule: str
    detail: str
    action_id: str
    channel: str


class DecisionAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """One decision: actions, best first, or the reason for none."""

    decision_id: str
    contact_id: str
    contact_known: Annotated[bool, Meta(description="whether the feature store knows the contact")]
    decided_at: _Time
    took_ms: Annotated[dict[str, float], Meta(description="milliseconds by step")]
    control_group: str
    degraded: Annotated[str | None, Meta(description="what was missing when this was decided; null: nothing")]
    versions: VersionsAnswer
    actions: list[ActionAnswer]
    no_action: NoActionAnswer | None
    filtered: list[FilteredAnswer]
    explanation: Annotated[
        Annotated[dict[str, Any], Meta(extra_json_schema={MODEL: "ExplanationOut"})] | None,
        Meta(description="with `explain`: the arithmetic, and what would change the choice"),
    ]


class RejectedAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """An item that was not kept."""

    index: Annotated[int, Meta(description="place in the request, from 0")]
    reason: str


class ReceiptAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """What became of the outcomes of one call."""

    accepted: int
    duplicates: int
    rejected: list[RejectedAnswer]


NAMES: dict[type[Struct], str] = {
    DecisionAnswer: "DecisionResponse",
    VersionsAnswer: "Versions",
    ActionAnswer: "ActionOut",
    NoActionAnswer: "NoAction",
    FilteredAnswer: "Filtered",
    ReceiptAnswer: "OutcomeReceipt",
    RejectedAnswer: "RejectedOutcome",
}
"""What the structs are called in the OpenAPI document."""

_REFERENCES = "#/components/schemas/"


def components() -> dict[str, Any]:
    """The JSON schemas of the structs, as components of the OpenAPI document; an answer may grow, so more keys than these are allowed.

    Examples
    --------
    >>> components()["OutcomeReceipt"]["properties"]["rejected"]["items"]
    {'$ref': '#/components/schemas/RejectedOutcome'}
    """
    _, found = msgspec.json.schema_components(NAMES, ref_template=f"{_REFERENCES}{{name}}")
    named = {struct.__name__: name for struct, name in NAMES.items()}
    schemas = {name: referred(_renamed(found[struct], named)) for struct, name in named.items()}
    return {name: {**schema, "title": name, "additionalProperties": True} for name, schema in schemas.items()}


def described(struct: type[Struct]) -> dict[str, str]:
    """The reference to a struct's component."""
    return {"$ref": f"{_REFERENCES}{NAMES[struct]}"}


EACH_DECISION = {"type": "array", "items": {"anyOf": [described(DecisionAnswer), {"$ref": f"{_REFERENCES}Problem"}]}}
"""The answer of a batch: in each place a decision or why there is none."""

DECISION, REJECTED = {MODEL: NAMES[DecisionAnswer]}, {"type": "array", "items": {MODEL: NAMES[RejectedAnswer]}}
"""What other models' answers say of theirs that these structs describe."""


def answers(schema: Any, *, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """What FastAPI is told of a route's answer that a struct describes."""
    return {status: {"description": "Successful Response", "content": {"application/json": {"schema": schema}}}}


def referred(schema: Any) -> Any:
    """A schema with a reference where it says that another model describes the value."""
    if isinstance(schema, list):
        return [referred(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if MODEL in schema:
        return {"$ref": f"{_REFERENCES}{schema[MODEL]}"}
    return {name: referred(value) for name, value in schema.items()}


def _renamed(schema: Any, named: dict[str, str]) -> Any:
    if isinstance(schema, list):
        return [_renamed(one, named) for one in schema]
    if not isinstance(schema, dict):
        return schema
    own = {name: _renamed(value, named) for name, value in schema.items()}
    reference = own.get("$ref")
    return own if reference is None else {**own, "$ref": _REFERENCES + named[reference.removeprefix(_REFERENCES)]}
