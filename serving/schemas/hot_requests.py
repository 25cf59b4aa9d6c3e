"""The bodies of the hot routes as structs that msgspec decodes and checks in one pass.

They say what `schemas.DecisionRequest` and `schemas.OutcomeIn` say, and a law holds the two together: what a struct takes, the model takes
with the same values. Whatever a struct does not take, or is in doubt about, is left to the model, which names every misfit.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta, Struct

from serving.schemas.decisions import MAX_DEADLINE_MS, MAX_ITEMS, MAX_LIMIT, DecisionRequest, OutcomeIn

_Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
_Scalars: TypeAlias = dict[str, bool | int | float | str | None]
_BIGGEST_INTEGER = 2**63
_YEARS = (2, 9998)  # a zone moves no time of these out of the calendar


class HotDecision(Struct, frozen=True, forbid_unknown_fields=True):
    """`schemas.DecisionRequest`, read at once."""

    contact_id: _Id
    session_id: _Id | None = None
    request_id: _Id | None = None
    channel: _Id | None = None
    placements: Annotated[list[_Id], Meta(max_length=MAX_LIMIT)] | None = None
    actions: Annotated[list[_Id], Meta(max_length=MAX_LIMIT)] | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT)] | None = None
    context: _Scalars | None = None
    features: _Scalars | None = None
    explain: bool = False
    dry_run: bool = False
    deadline_ms: Annotated[int, Meta(ge=1, le=MAX_DEADLINE_MS)] | None = None


class HotOutcome(Struct, frozen=True, forbid_unknown_fields=True):
    """`schemas.OutcomeIn`, read at once."""

    event_id: _Id
    outcome: _Id
    decision_id: _Id | None = None
    contact_id: _Id | None = None
    treatment_id: _Id | None = None
    value: float | None = None
    occurred_at: Annotated[datetime, Meta(tz=True)] | None = None


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
