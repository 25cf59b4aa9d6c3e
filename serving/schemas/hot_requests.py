"""The bodies of the hot routes as structs that msgspec decodes and checks in one pass.

The OpenAPI document describes these bodies by the structs' own schemas (`components`). The models `DecisionRequest` and `OutcomeIn` say the
same, and a law holds the two together: what a struct takes, the model takes with the same values. Whatever a struct does not take, or is in
doubt about, is left to the model, which names every misfit.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta, Struct

from decisioning.vocabulary import LONGEST_ID
from serving.schemas.decisions import MAX_DEADLINE_MS, MAX_ITEMS, MAX_LIMIT, DecisionRequest, OutcomeIn

_CAST = "x-cast"
"""Marks an id of the data, for which an integer will do, too: `components` says so in the schema, where msgspec knows no such text."""

_Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=LONGEST_ID)]
_DataId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=LONGEST_ID, extra_json_schema={_CAST: "integer"})]
_Scalars: TypeAlias = dict[str, bool | int | float | str | None]
_BIGGEST_INTEGER = 2**63
_YEARS = (2, 9998)  # a zone moves no time of these out of the calendar


class HotDecision(Struct, frozen=True, forbid_unknown_fields=True):
    """Which action for this contact, now? An unknown contact is decided from `context` and `features`."""

    contact_id: _DataId
    session_id: _Id | None = None
    request_id: Annotated[_Id | None, Meta(description="the same request_id within a day gets the same decision")] = None
    channel: _Id | None = None
    placements: Annotated[list[_Id], Meta(max_length=MAX_LIMIT)] | None = None
    actions: Annotated[
        Annotated[list[_Id], Meta(max_length=MAX_LIMIT)] | None, Meta(description="only these are considered; left out: all")
    ] = None
    limit: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_LIMIT)] | None, Meta(description="actions at most; left out: one a placement, at least 1")
    ] = None
    context: Annotated[_Scalars | None, Meta(description="the request's own facts: `context.*` in conditions")] = None
    features: Annotated[_Scalars | None, Meta(description="feature values that replace the stored ones, for this request")] = None
    explain: Annotated[bool, Meta(description="also answer what was filtered, where and why, and what would change the choice")] = False
    dry_run: Annotated[bool, Meta(description="log and count nothing")] = False
    deadline_ms: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_DEADLINE_MS)] | None,
        Meta(description="answer within; what cannot be done in that time is left out and `degraded` says so"),
    ] = None


class HotOutcome(Struct, frozen=True, forbid_unknown_fields=True):
    """What happened after a decision, or to a contact: one of the two ids is needed. The same event_id counts once."""

    event_id: _DataId
    outcome: _Id
    decision_id: _Id | None = None
    contact_id: _DataId | None = None
    treatment_id: _Id | None = None
    value: Annotated[float | None, Meta(description="money, in the catalog's currency")] = None
    occurred_at: Annotated[Annotated[datetime, Meta(tz=True)] | None, Meta(description="left out: now")] = None


NAMES = {"HotDecision": "DecisionRequest", "HotOutcome": "OutcomeIn"}
"""What the structs are called in the OpenAPI document."""


def components() -> dict[str, Any]:
    """The JSON schemas of the structs, as components of the OpenAPI document.

    Examples
    --------
    >>> components()["DecisionRequest"]["properties"]["contact_id"]
    {'maxLength': 256, 'minLength': 1, 'type': ['string', 'integer']}
    """
    _, found = msgspec.json.schema_components([HotDecision, HotOutcome])
    return {name: {**_cast(found[struct]), "title": name} for struct, name in NAMES.items()}


def _cast(schema: Any) -> Any:
    """A schema that takes whole numbers where they are cast to text."""
    if isinstance(schema, list):
        return [_cast(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    own = {name: _cast(value) for name, value in schema.items() if name != _CAST}
    return dict(sorted({**own, "type": [own["type"], schema[_CAST]]}.items())) if _CAST in schema else own


AnyDecision: TypeAlias = DecisionRequest | HotDecision
"""A request for a decision, whoever read it."""

AnyOutcome: TypeAlias = OutcomeIn | HotOutcome
"""An outcome, whoever read it."""

_ONE = msgspec.json.Decoder(HotDecision)
_MANY = msgspec.json.Decoder(Annotated[list[HotDecision], Meta(max_length=MAX_ITEMS)])
_OUTCOMES = msgspec.json.Decoder(HotOutcome | Annotated[list[HotOutcome], Meta(max_length=MAX_ITEMS)])
_UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)


def one_decision(body: bytes) -> list[HotDecision] | None:
    """The one request of a body; None where the model has to look at it.

    Examples
    --------
    >>> one_decision(b'{"contact_id": "c-17", "limit": 3}')[0].limit
    3
    >>> one_decision(b'{"contact_id": "c-17", "limt": 3}')
    """
    try:
        request = _ONE.decode(body)
    except _UNREADABLE:
        return None
    return [request] if _plain(request) else None


def many_decisions(body: bytes) -> list[HotDecision] | None:
    """The requests of a batch; None where the model has to look at it."""
    try:
        requests = _MANY.decode(body)
    except _UNREADABLE:
        return None
    return requests if all(map(_plain, requests)) else None


def outcomes(body: bytes) -> list[HotOutcome] | None:
    """The one or many outcomes of a body; None where the model has to look at it."""
    try:
        given = _OUTCOMES.decode(body)
    except _UNREADABLE:
        return None
    found = given if isinstance(given, list) else [given]
    return found if all(map(_placed, found)) else None


def as_json(request: AnyDecision) -> Any:
    """The request as it is kept in the ledger: a value that `ledger.codec.to_json` writes."""
    return request if isinstance(request, HotDecision) else request.model_dump(mode="json")


def _plain(request: HotDecision) -> bool:
    """Whether the texts are printable and the numbers are 64 bits wide."""
    return (
        _printable(request.contact_id)
        and all(one is None or _printable(one) for one in (request.session_id, request.request_id, request.channel))
        and (request.placements is None or all(map(_printable, request.placements)))
        and (request.actions is None or all(map(_printable, request.actions)))
        and (request.context is None or _narrow(request.context))
        and (request.features is None or _narrow(request.features))
    )


def _placed(outcome: HotOutcome) -> bool:
    named = (outcome.event_id, outcome.outcome, outcome.decision_id, outcome.contact_id, outcome.treatment_id)
    at = outcome.occurred_at
    return (
        (outcome.decision_id is not None or outcome.contact_id is not None)
        and all(one is None or _printable(one) for one in named)
        and (at is None or _YEARS[0] <= at.year <= _YEARS[1])
    )


def _printable(text: str) -> bool:
    return text.isprintable() and not text.isspace()


def _narrow(facts: dict[str, Any]) -> bool:
    for value in facts.values():  # noqa: SIM110 - all() of a generator takes twice as long
        if type(value) is int and not -_BIGGEST_INTEGER <= value < _BIGGEST_INTEGER:
            return False
    return True
