"""The routes: each reads its request, calls one verb of the service and hands back the answer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Body, Depends, Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, SkipValidation

from decisioning.errors import NudgeError, RequestError
from serving.http.http_errors import json_only, problem_of
from serving.ports.verbs import Service
from serving.schemas.decisions import (
    MAX_ITEMS,
    DecisionRequest,
    DecisionTrace,
    Id,
    Liveness,
    OutcomeIn,
    Prices,
    Readiness,
    Replayed,
)
from serving.schemas.explained import MAX_SAMPLE, SAMPLE, FunnelReport
from serving.schemas.hot_answers import EACH_DECISION, DecisionAnswer, ReceiptAnswer, answers, described
from serving.schemas.validation import InvalidFields, read

LOG = logging.getLogger(__name__)
_Model = TypeVar("_Model", bound=BaseModel)


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def json_or_nothing(request: Request) -> None:
    """`json_only`, but a call without a body needs no Content-Type. A browser's page, which tells its origin, still needs one."""
    headers = request.headers
    bodiless = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
    if not bodiless or "content-type" in headers or "origin" in headers:
        await json_only(request)


# The declared type is for the OpenAPI document; the routes read the raw JSON themselves, item by item where there are many.
Serving = Annotated[Service, Depends(_service)]
OneDecision = Annotated[SkipValidation[DecisionRequest], Body()]
ManyDecisions = Annotated[SkipValidation[Annotated[list[DecisionRequest], Field(max_length=MAX_ITEMS)]], Body()]
Outcomes = Annotated[SkipValidation[OutcomeIn | Annotated[list[OutcomeIn], Field(max_length=MAX_ITEMS)]], Body()]
PathId = Annotated[Id, Path()]
Sample = Annotated[int, Query(ge=1, le=MAX_SAMPLE, description="how many contacts the figures are of; always the same ones")]

router = APIRouter()


@router.post("/v1/decisions", response_model=None, responses=answers(described(DecisionAnswer)), dependencies=[Depends(json_only)])
def decide(service: Serving, body: OneDecision) -> Any:
    """Decide for one contact, now."""
    return _logged(service.decide(read(DecisionRequest, body)))


@router.post("/v1/decisions:batch", response_model=None, responses=answers(EACH_DECISION), dependencies=[Depends(json_only)])
def decide_many(service: Serving, body: ManyDecisions) -> Any:
    """Decide for up to 1,000 contacts; each request gets its decision, or its problem document, in the same place."""
    asked, refused = _each(DecisionRequest, items_of(body))
    answers: dict[int, Any] = {place: problem_of(error) for place, error in refused.items()}
    for place, answer in zip(asked, service.decide_many(list(asked.values())), strict=True):
        answers[place] = problem_of(answer) if isinstance(answer, NudgeError) else _logged(answer)
    return [answers[place] for place in sorted(answers)]


@router.post(
    "/v1/outcomes",
    response_model=None,
    status_code=202,
    responses=answers(described(ReceiptAnswer), status=202),
    dependencies=[Depends(json_only)],
)
def record_outcomes(service: Serving, body: Outcomes) -> Any:
    """Record one or up to 1,000 outcomes, each once; one that cannot be kept is named and the others are kept."""
    given, refused = _each(OutcomeIn, items_of([body] if isinstance(body, Mapping) else body))
    receipt = service.record_outcomes(list(given.values()))
    places = list(given)
    rejected = [{**item, "index": places[item["index"]]} for item in receipt["rejected"]]
    rejected += [{"index": place, "reason": str(error)} for place, error in refused.items()]
    return {**receipt, "rejected": sorted(rejected, key=lambda item: item["index"])}


@router.get("/v1/decisions/{decision_id}", response_model=DecisionTrace)
def decision(service: Serving, decision_id: PathId) -> Any:
    """Show a decision's full trace."""
    return service.decision(decision_id)


@router.post("/v1/decisions/{decision_id}:replay", response_model=Replayed)
def replay(service: Serving, decision_id: PathId) -> Any:
    """Make a past decision again from its versions, inputs and seed, and say where it differs."""
    return service.replay(decision_id)


@router.get("/v1/prices", response_model=Prices)
def prices(service: Serving) -> Any:
    """Show what one more unit of each budget and capacity costs now, and what is left of it."""
    return service.prices()


@router.get("/v1/reports/funnel", response_model=FunnelReport)
def report_funnel(service: Serving, contacts: Sample = SAMPLE) -> Any:
    """Show what becomes of the candidates of a sample of contacts, stage by stage, and what the choices hang on."""
    return service.report_funnel(contacts)


@router.get("/health/live", response_model=Liveness)
async def live() -> Any:
    """Say that the process answers."""
    return {"status": "alive"}


@router.get("/health/ready", response_model=Readiness, responses={503: {"model": Readiness, "description": "Not ready"}})
def ready(service: Serving) -> Any:
    """Say whether decisions can be made, dependency by dependency."""
    dependencies = service.readiness()
    ok = all(dependency["ok"] for dependency in dependencies.values())
    return JSONResponse({"status": "ready" if ok else "not_ready", "dependencies": dependencies}, status_code=200 if ok else 503)


def items_of(body: object) -> list[Any]:
    """The items of a call that takes several.

    Raises
    ------
    RequestError
        The body is no list, or a list of too many.
    """
    if not isinstance(body, list):
        raise RequestError("the body must be a list", field="body", got=type(body).__name__, allowed=f"a list of up to {MAX_ITEMS}")
    if len(body) > MAX_ITEMS:
        raise RequestError("too many in one call", field="body", got=len(body), allowed=f"a list of up to {MAX_ITEMS}")
    return body


def _each(model: type[_Model], items: list[Any]) -> tuple[dict[int, _Model], dict[int, InvalidFields]]:
    """Place -> item as a model, and place -> refusal of those that do not fit."""
    fitting: dict[int, _Model] = {}
    refused: dict[int, InvalidFields] = {}
    for place, item in enumerate(items):
        try:
            fitting[place] = read(model, item)
        except InvalidFields as error:
            refused[place] = error
    return fitting, refused


def _logged(answer: dict[str, Any]) -> dict[str, Any]:
    LOG.info("decision %s: %d actions in %s ms", answer["decision_id"], len(answer["actions"]), answer["took_ms"].get("total"))
    return answer
