"""CloudEvents 1.0 as contact events, and our own decisions as CloudEvents.

Structured mode is one JSON document, batched mode a list of them; in binary mode the attributes are headers `ce-*` and the body is the
data. https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md and its HTTP protocol binding.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from decisioning.errors import RequestError
from ledger.codec import to_json
from serving.realtime.answers import iso
from serving.schemas.events import CloudEventIn, EventIn
from serving.schemas.validation import read

ONE, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
DECISION_MADE = "com.nudge.decision.made.v1"
_HEADER = "ce-"


def is_binary(headers: Mapping[str, str]) -> bool:
    """Whether a request carries a CloudEvent's attributes in its headers."""
    return "ce-specversion" in headers


def from_headers(headers: Mapping[str, str], data: object) -> dict[str, Any]:
    """The structured form of a CloudEvent in binary mode.

    Examples
    --------
    >>> from_headers({"ce-id": "1", "ce-specversion": "1.0", "ce-type": "caf%C3%A9", "host": "x"}, {"value": 2})
    {'id': '1', 'specversion': '1.0', 'type': 'café', 'data': {'value': 2}}
    """
    attributes = {name.removeprefix(_HEADER): unquote(value) for name, value in headers.items() if name.startswith(_HEADER)}
    return {**attributes, "data": data}


def read_event(value: object) -> EventIn:
    """A contact event from a structured CloudEvent.

    `data` has the keys of a plain event; `type`, `time` and `subject` stand in for those that it leaves out. The event_id is `source` and
    `id`, with a blank between them, which no source contains.

    Raises
    ------
    RequestError
        It is no CloudEvent 1.0 of a contact.

    Examples
    --------
    >>> event = read_event({"specversion": "1.0", "id": "7", "source": "/shop", "type": "cart", "subject": "c-1", "data": {"value": 3.5}})
    >>> event.event_id, event.contact_id, event.event_type, event.value
    ('/shop 7', 'c-1', 'cart', 3.5)
    """
    one = read(CloudEventIn, value)
    if " " in one.source:
        raise RequestError("is no URI reference", field="source", got=one.source, allowed="a text without blanks")
    given = dict(one.data or {})
    event = {"event_type": one.type, "occurred_at": one.time, "contact_id": _subject(one, given), **given}
    return read(EventIn, {**event, **(one.model_extra or {}), "event_id": f"{one.source} {one.id}"})


def _subject(one: CloudEventIn, data: Mapping[str, Any]) -> str | None:
    return None if "anonymous_id" in data else one.subject


def decision_event(decision: Mapping[str, Any], *, source: str, trigger: str, event_id: str | None, decided_at: datetime) -> str:
    """A decision as the body of a webhook: a CloudEvent in structured JSON whose id is the decision's; no event_id where time fired it."""
    body = {
        "specversion": "1.0",
        "id": decision["decision_id"],
        "source": source,
        "type": DECISION_MADE,
        "time": iso(decided_at),
        "subject": decision["contact_id"],
        "datacontenttype": "application/json",
        "data": {"trigger": trigger, "event_id": event_id, "decision": decision},
    }
    return to_json(body)
