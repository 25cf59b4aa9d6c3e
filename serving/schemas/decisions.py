"""The JSON of the API: what comes in, exactly; what goes out, at least. What the hot routes answer stands in `hot_answers.py`.

A request with a key that is not listed here is refused, so that a misspelt key never passes in silence. An answer may carry more than is
listed: additions break nobody. Nothing is coerced: "3" is no number, 1 is not true; but where an id of the
data is due, an integer is cast to text as in the contract tables. A number is finite. A time without a zone is UTC.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from decisioning.vocabulary import LONGEST_ID, UNFIT_FOR_IDS

MAX_ITEMS = 1_000
"""Decisions or outcomes in one call."""

MAX_LIMIT = 100
"""Actions in one decision."""

MAX_DEADLINE_MS = 60_000
"""The longest that a caller may allow one decision to take."""

_BIGGEST_INTEGER = 2**63
_UNFIT = re.compile(UNFIT_FOR_IDS)


def _printable(text: str) -> str:
    if _UNFIT.search(text):
        raise PydanticCustomError("text", "text without control characters, not blank")
    return text


def _moment(value: object) -> datetime:
    """An aware UTC datetime from ISO 8601 text; a bare number is refused, because its unit would be a guess."""
    if not isinstance(value, datetime | str):
        raise PydanticCustomError("time", "an ISO 8601 time such as 2026-11-22T10:00:00Z")
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise PydanticCustomError("time", "an ISO 8601 time such as 2026-11-22T10:00:00Z") from None


def _id_of_data(value: object) -> object:
    """An integer as text, as `nudge ingest` casts it."""
    return str(value) if type(value) is int and abs(value) < _BIGGEST_INTEGER else value


def _scalar(value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value):
        return value
    if isinstance(value, int) and -_BIGGEST_INTEGER <= value < _BIGGEST_INTEGER:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise PydanticCustomError("scalar", "text, a finite number, true, false or null")


Id: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_ID), AfterValidator(_printable)]
_TEXT_OR_INTEGER = {"type": ["string", "integer"], "minLength": 1, "maxLength": LONGEST_ID}
DataId: TypeAlias = Annotated[Id, BeforeValidator(_id_of_data), WithJsonSchema(_TEXT_OR_INTEGER, mode="validation")]
Moment: TypeAlias = Annotated[datetime, BeforeValidator(_moment)]
Scalar: TypeAlias = Annotated[
    bool | int | float | str | None, PlainValidator(_scalar, json_schema_input_type=bool | int | float | str | None)
]
Money: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]
TimeText: TypeAlias = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Number: TypeAlias = float | None


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Out(BaseModel):
    model_config = ConfigDict(extra="allow")


class DecisionRequest(_In):
    """Which action for this contact, now? An unknown contact is decided from `context` and `features`."""

    contact_id: DataId
    session_id: Id | None = None
    request_id: Annotated[Id | None, Field(description="the same request_id within a day gets the same decision")] = None
    channel: Id | None = None
    placements: Annotated[list[Id] | None, Field(max_length=MAX_LIMIT)] = None
    actions: Annotated[list[Id] | None, Field(max_length=MAX_LIMIT, description="only these are considered; left out: all")] = None
    limit: Annotated[int | None, Field(ge=1, le=MAX_LIMIT, description="actions at most; left out: one a placement, at least 1")] = None
    context: Annotated[dict[str, Scalar] | None, Field(description="the request's own facts: `context.*` in conditions")] = None
    features: Annotated[dict[str, Scalar] | None, Field(description="feature values that replace the stored ones, for this request")] = None
    explain: Annotated[bool, Field(description="also answer what was filtered, where and why, and what would change the choice")] = False
    dry_run: Annotated[bool, Field(description="log and count nothing")] = False
    deadline_ms: Annotated[
        int | None,
        Field(ge=1, le=MAX_DEADLINE_MS, description="answer within; what cannot be done in that time is left out and `degraded` says so"),
    ] = None


class OutcomeIn(_In):
    """What happened after a decision, or to a contact. The same event_id counts once."""

    event_id: DataId
    decision_id: Id | None = None
    contact_id: DataId | None = None
    treatment_id: Id | None = None
    outcome: Id
    value: Annotated[Money | None, Field(description="money, in the catalog's currency")] = None
    occurred_at: Annotated[Moment | None, Field(description="left out: now")] = None

    @model_validator(mode="after")
    def _names_its_decision_or_contact(self) -> OutcomeIn:
        if self.decision_id is None and self.contact_id is None:
            raise PydanticCustomError("whose", "a decision_id or a contact_id")
        return self


class SuppressionIn(_In):
    """Switch off for one contact until a date: an action, a channel, an action on a channel, or with neither everything."""

    until: Annotated[Moment, Field(description="exclusive; a time that is past lifts the suppression")]
    action_id: Id | None = None
    channel: Id | None = None
    reason: Id | None = None


class SuppressionOut(_Out):
    """A suppression as it holds now."""

    contact_id: str
    until: TimeText
    action_id: str | None
    channel: str | None


class Replayed(_Out):
    """A past decision made again."""

    decision_id: str
    identical: bool
    differences: list[dict[str, Any]]


class Prices(_Out):
    """The running price book: what one more unit of each constraint costs now, and what is left of it."""

    id: Annotated[str | None, Field(description="the plan that published it; null before the first")]
    period: dict[str, Any]
    constraints: list[dict[str, Any]]


class DecisionTrace(_Out):
    """Everything a decision came from, and what came of it."""

    decision_id: str
    contact_id: str
    decided_at: TimeText
    control_group: str


class ContactView(_Out):
    """Everything held about a contact."""

    contact_id: str
    attributes: dict[str, Any]
    features: dict[str, Any]
    segment: str | None
    clv: Number
    touches: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    outcomes: list[dict[str, Any]]
    consents: list[dict[str, Any]]


class Dependency(_Out):
    """One thing that serving depends on."""

    ok: bool
    detail: str


class Readiness(_Out):
    """Whether decisions can be made, and what stands in the way."""

    status: Literal["ready", "not_ready"]
    dependencies: dict[str, Dependency]


class Liveness(_Out):
    """The process answers."""

    status: str


class FieldProblem(BaseModel):
    """One field that is not as it must be."""

    field: str
    got: str | None
    expected: str | None


class Problem(BaseModel):
    """A problem document (RFC 9457): one refusal, in plain words."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = []
    instance: str | None = None
