"""The routes of OpenFeature's Remote Evaluation Protocol: a placement is a flag."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from decisioning.errors import NudgeError, Overloaded
from serving.http import ofrep
from serving.http.desk import Desk
from serving.http.http_errors import json_only, status_of
from serving.routes.decisions import PathId, Serving
from serving.schemas.decisions import DecisionRequest
from serving.schemas.ofrep import FlagEvaluated, FlagFailed, FlagRequest, FlagsEvaluated

_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": FlagRequest.model_json_schema()}}}}
_FAILED: dict[int | str, dict[str, Any]] = {
    400: {"model": FlagFailed, "description": "The request cannot be evaluated"},
    404: {"model": FlagFailed, "description": "There is no such placement"},
}

router = APIRouter()


@router.post(
    "/ofrep/v1/evaluate/flags/{placement}",
    response_model=FlagEvaluated,
    responses=_FAILED,
    dependencies=[Depends(json_only)],
    openapi_extra=_BODY,
)
async def evaluate_flag(service: Serving, request: Request, placement: PathId) -> Any:
    """Decide what one placement shows to a contact, as OpenFeature asks for it."""
    try:
        context = ofrep.context_of(await request.body())
        channel = ofrep.channel_of(placement, service.placements())
        (answer,) = await _decided(request, [ofrep.request_of(context, channel, [placement])])
    except ofrep.FlagError as error:
        return JSONResponse(error.body(placement), status_code=error.status)
    return ofrep.flag(placement, answer)


@router.post(
    "/ofrep/v1/evaluate/flags",
    response_model=FlagsEvaluated,
    responses={400: _FAILED[400]},
    dependencies=[Depends(json_only)],
    openapi_extra=_BODY,
)
async def evaluate_flags(service: Serving, request: Request) -> Any:
    """Decide what every placement shows to a contact: one decision a channel, so that no two of its placements show the same."""
    placements = service.placements()
    by_channel: dict[str | None, list[str]] = {}
    for name, channel in placements.items():
        by_channel.setdefault(channel, []).append(name)
    try:
        context = ofrep.context_of(await request.body())
        answers = await _decided(request, [ofrep.request_of(context, channel, names) for channel, names in by_channel.items()])
    except ofrep.FlagError as error:
        return JSONResponse(error.body(None), status_code=error.status)
    names_of = zip(by_channel.values(), answers, strict=True)
    return {"flags": [ofrep.flag(name, answer) for names, answer in names_of for name in names]}


async def _decided(request: Request, asked: list[DecisionRequest]) -> list[dict[str, Any]]:
    """The decisions, made with whatever else is asked meanwhile.

    Raises
    ------
    Overloaded
        Too much is asked at once: 429, as everywhere.
    FlagError
        One of them cannot be made.
    """
    desk: Desk = request.app.state.desk
    try:
        answers = await desk.decide(asked) if asked else []
    except Overloaded:
        raise
    except NudgeError as error:
        raise ofrep.failed(error, status_of(error)) from None
    return [_whole(answer) for answer in answers]


def _whole(answer: dict[str, Any] | NudgeError) -> dict[str, Any]:
    if isinstance(answer, NudgeError):
        raise ofrep.failed(answer, status_of(answer))
    return answer
