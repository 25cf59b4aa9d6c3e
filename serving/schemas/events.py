"""The JSON of contact events and of what they call for."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from serving.schemas import hot_answers
from serving.schemas.decisions import DataId, Id, Moment, Money, _In, _Out


class EventIn(_In):
    """Something that a contact did. The same event_id counts once; keys that are not listed here are kept with the event."""

    model_config = ConfigDict(extra="allow")

    contact_id: DataId | None = None
    anonymous_id: Annotated[DataId | None, Field(description="the visitor, where the contact is not known")] = None
    event_type: Id
    occurred_at: Annotated[Moment | None, Field(description="left out: now")] = None
    event_id: Annotated[DataId | None, Field(description="left out: derived from the event where it says when it occurred")] = None
    value: Annotated[Money | None, Field(description="money, in the catalog's currency; above 0 it is a purchase")] = None
    channel: Id | None = None
    session_id: Id | None = None
    content_id: Id | None = None

    @model_validator(mode="after")
    def _says_whose_it_is(self) -> EventIn:
        if self.contact_id is None and self.anonymous_id is None:
            raise PydanticCustomError("whose", "a contact_id or an anonymous_id")
        return self


class EventDecision(_Out):
    """What a trigger made of one event: a decision, or the reason for none."""

    index: Annotated[int, Field(description="place of the event in the request, from 0")]
    event_id: str
    trigger: str
    decision: Annotated[dict[str, Any] | None, WithJsonSchema({"anyOf": [hot_answers.DECISION, {"type": "null"}]})]
    reason: str | None


class EventReceipt(_Out):
    """What became of the events of one call."""

    accepted: int
    duplicates: int
    rejected: Annotated[list[dict[str, Any]], WithJsonSchema(hot_answers.REJECTED)]
    decisions: list[EventDecision]


class CloudEventIn(_In):
    """A CloudEvent 1.0 in structured JSON; `source` and `id` together are the idempotency key, further attributes are kept."""

    model_config = ConfigDict(extra="allow")

    specversion: Annotated[str, Field(pattern=r"^1\.0$")]
    id: Id
    source: Id
    type: Annotated[Id, Field(description="the event_type, unless `data` says another")]
    time: Annotated[Moment | None, Field(description="when it occurred, unless `data` says otherwise")] = None
    subject: Annotated[Id | None, Field(description="the contact_id, unless `data` names one")] = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    data: dict[str, Any] | None = None
