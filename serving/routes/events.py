"""The route of contact events: plain or CloudEvents, one or many; and how each form is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request
from pydantic import Field, SkipValidation

from decisioning.errors import RequestError
from serving.feedback import cloud_events
from serving.http.http_errors import json_only
from serving.routes.decisions import Serving, items_of
from serving.schemas.decisions import MAX_ITEMS
from serving.schemas.events import CloudEventIn, EventIn, EventReceipt
from serving.schemas.validation import read

_Many = Annotated[list[EventIn], Field(max_length=MAX_ITEMS)]
Events = Annotated[SkipValidation[EventIn | _Many], Body()]
_CONTENT = {
    cloud_events.ONE: {"schema": CloudEventIn.model_json_schema()},
    cloud_events.BATCH: {"schema": {"type": "array", "maxItems": MAX_ITEMS, "items": CloudEventIn.model_json_schema()}},
}

router = APIRouter()


@router.post(
    "/v1/events",
    response_model=EventReceipt,
    status_code=202,
    dependencies=[Depends(json_only)],
    openapi_extra={"requestBody": {"content": _CONTENT}},
)
def record_events(service: Serving, request: Request, body: Events) -> Any:
    """Record one or up to 1,000 contact events, each once, plain or as CloudEvents 1.0; an event that a trigger waits for is decided on.

    The contact's online features know them at once; one that cannot be kept is named and the others are kept.
    """
    how, items = _form(request.headers, body)
    given: dict[int, EventIn] = {}
    refused: list[dict[str, Any]] = []
    for place, item in enumerate(items):
        try:
            given[place] = how(item)
        except RequestError as error:
            refused.append({"index": place, "reason": str(error)})
    receipt = service.events.record(list(given.values()))
    places = list(given)
    rejected = [*refused, *({**one, "index": places[one["index"]]} for one in receipt["rejected"])]
    decisions = [{**one, "index": places[one["index"]]} for one in receipt["decisions"]]
    return {**receipt, "rejected": sorted(rejected, key=lambda one: one["index"]), "decisions": decisions}


def _form(headers: Mapping[str, str], body: Any) -> tuple[Callable[[object], EventIn], list[Any]]:
    """How the events of a request are read, and the events."""
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == cloud_events.BATCH:
        return cloud_events.read_event, items_of(body)
    if kind == cloud_events.ONE:
        return cloud_events.read_event, [body]
    if cloud_events.is_binary(headers):
        return cloud_events.read_event, [cloud_events.from_headers(headers, body)]
    return _plain, items_of([body] if isinstance(body, Mapping) else body)


def _plain(value: object) -> EventIn:
    return read(EventIn, value)
