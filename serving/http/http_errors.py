"""Refusals as HTTP: the one table from error class to status, as problem documents (RFC 9457).

A refusal of the caller's making says everything. A failure of ours (500, 503) says what cannot be done and an id; the rest, and the stack
trace, stand under that id in the log.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import HTTPException, RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from decisioning.errors import (
    Conflict,
    Forbidden,
    NotFound,
    NotSupportedYet,
    NudgeError,
    Overloaded,
    RequestError,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from serving.schemas.decisions import FieldProblem
from serving.schemas.validation import InvalidFields, problems

LOG = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"

STATUSES: dict[type[NudgeError], int] = {
    NudgeError: 500,  # and so every class that is not below: the workspace is at fault, not the caller
    RequestError: 422,
    TooLarge: 413,
    Unauthorized: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    NotSupportedYet: 501,
    Unavailable: 503,
    Overloaded: 429,
}
"""Status of an error: that of the nearest of its classes."""

TITLES: dict[int, str] = {
    400: "The request cannot be read",
    401: "A key is needed",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Not possible now",
    413: "Too large",
    415: "Not JSON",
    422: "The request is not valid",
    429: "Too much at once",
    500: "Something failed here",
    501: "Not supported yet",
    503: "Not available now",
}

RETRY_AFTER_SECONDS = 1
_LATER = (429, 503)
_OURS = (500, 503)
_OPTION = "--"


class ProblemResponse(JSONResponse):
    """A problem document; ASCII, so that nothing a caller sent can make it unwritable."""

    media_type = PROBLEM_JSON

    def __init__(self, problem: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        retry = {"Retry-After": str(RETRY_AFTER_SECONDS)} if problem["status"] in _LATER else {}
        super().__init__(problem, status_code=problem["status"], headers={**retry, **(headers or {})})

    def render(self, content: Any) -> bytes:
        """The document's bytes."""
        return json.dumps(content, allow_nan=False).encode("ascii")


def status_of(error: NudgeError) -> int:
    """The status of a refusal.

    Examples
    --------
    >>> from decisioning.errors import ContractMismatch
    >>> status_of(ContractMismatch("trained on another feature contract"))
    409
    """
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


def problem_of(error: NudgeError) -> dict[str, Any]:
    """The problem document of a refusal."""
    status = status_of(error)
    if status in _OURS:
        return failure(status, error.what, error)
    if isinstance(error, InvalidFields):
        return problem(status, str(error), error.problems)
    fields = [] if error.field is None else [FieldProblem(field=_as_key(error.field), got=error.got, expected=error.allowed)]
    return problem(status, str(error).removeprefix(_OPTION), fields)


def _as_key(field: str) -> str:
    """An option of the command line as the key of a request: `--why` is `why` there."""
    return field.removeprefix(_OPTION).replace("-", "_") if field.startswith(_OPTION) else field


def problem(status: int, detail: str, errors: list[FieldProblem] | tuple[FieldProblem, ...] = ()) -> dict[str, Any]:
    """A problem document."""
    title = TITLES.get(status, "The request was refused")
    kind = title.lower().replace(" ", "-")
    return {
        "type": f"urn:nudge:problem:{kind}",
        "title": title,
        "status": status,
        "detail": detail,
        "errors": [e.model_dump() for e in errors],
    }


def failure(status: int, what: str, error: BaseException) -> dict[str, Any]:
    """The problem document of a failure of ours, logged with its id; a short one where the error is a refusal in plain words."""
    name = uuid.uuid4().hex[:12]
    LOG.error("failure %s: %s: %s", name, type(error).__name__, error, exc_info=None if isinstance(error, Unavailable) else error)
    return {**problem(status, f"{what} (the log has more under {name})"), "instance": f"urn:nudge:failure:{name}"}


def install(app: FastAPI) -> None:
    """Have every refusal and failure of `app` answered with a problem document."""
    app.add_exception_handler(NudgeError, _refused)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(AnyHTTPException, _http)


async def json_only(request: Request) -> None:
    """A dependency of routes with a body: 415 unless it is JSON. A browser's form or plain text is no request of ours.

    Raises
    ------
    HTTPException
        415.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if not is_json(kind):
        raise HTTPException(415, f"the body must be JSON; got Content-Type {kind or 'none'}; allowed: application/json")


def is_json(kind: str) -> bool:
    """Whether a media type, in small letters and without its parameters, is one of JSON.

    Examples
    --------
    >>> is_json("application/vnd.shop+json"), is_json("text/plain")
    (True, False)
    """
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


class LastResort:
    """ASGI middleware: an error that nobody foresaw becomes a 500 with an id, never a stack trace or a dropped connection."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, and answer it if nobody else could."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:
            answer = failure(500, "the request could not be answered", error)
            if started:
                raise
            await ProblemResponse(answer)(scope, receive, send)


async def _refused(_request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, NudgeError)
    return ProblemResponse(problem_of(error))


async def _unreadable(_request: Request, error: Exception) -> ProblemResponse:
    """A body that is no JSON is a 400; anything else that does not fit is a 422."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return ProblemResponse(problem(400, f"the body is not JSON: {first['ctx']['error']} at character {first['loc'][-1]}"))
    if first["type"] == "missing" and tuple(first["loc"]) == ("body",):
        return ProblemResponse(problem(400, "the body is missing; expected JSON"))
    details = [{**detail, "loc": tuple(detail["loc"])[1:]} for detail in error.errors()]
    return ProblemResponse(problem_of(InvalidFields(problems(details))))


async def _http(_request: Request, error: Exception) -> ProblemResponse:
    """What the framework itself refuses: an unknown route, a wrong method, a body that cannot be decoded."""
    assert isinstance(error, AnyHTTPException)
    if error.status_code == 400:
        return ProblemResponse(problem(400, "the body is not JSON: not UTF-8, too deep, or a number too long"), error.headers)
    return ProblemResponse(problem(error.status_code, str(error.detail)), error.headers)
