"""Looking: each route gathers what its page shows and answers with it as HTML."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeAlias
from urllib.parse import quote, unquote

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse

from decisioning.errors import NotFound, NudgeError
from serving.console import pages
from serving.console.actions import actions
from serving.console.audiences import audiences
from serving.console.channels import channels
from serving.console.console import Console
from serving.console.contact import choices, contact
from serving.console.forms import TOKEN_COOKIE, new_token
from serving.console.health import health
from serving.console.leads import leads
from serving.console.models import models
from serving.console.overview import overview
from serving.http.access import ADMIN, EXPORT
from serving.http.api_keys import KeyRing
from serving.http.gate import COOKIE, may
from serving.http.http_errors import failure, problem_of

LOG = logging.getLogger(__name__)

SAID_COOKIE = "nudge_said"
"""What a change came to, for the page that is shown next."""

router = APIRouter(include_in_schema=False)


async def _console(request: Request) -> Console:
    console: Console = request.app.state.console
    return console


Consoled = Annotated[Console, Depends(_console)]
Text: TypeAlias = Annotated[str, Query(max_length=300)]


@router.get("/")
def overview_page(request: Request, console: Consoled) -> Response:
    """What it was worth, what it costs, and what needs somebody's eye."""
    return answered(request, console, "overview", lambda: overview(console))


@router.get("/console/audiences")
def audiences_page(request: Request, console: Consoled) -> Response:
    """The segments, the newest plan, and questions about other limits."""
    return answered(request, console, "audiences", lambda: audiences(console, request.query_params))


@router.get("/console/audiences/{plan_id}/{channel}")
def audience_file(console: Consoled, plan_id: str, channel: str, form: Text = "csv") -> Response:
    """A plan's list for one channel: the bytes of the plan's file."""
    found = console.service.plans.audience(plan_id, channel, form)
    headers = {"Content-Disposition": f'attachment; filename="{found.name}"'} | pages.HEADERS
    if found.size is not None:
        headers["Content-Length"] = str(found.size)
    return StreamingResponse(found.chunks, media_type=found.media_type, headers=headers)


@router.get("/console/contact")
def contact_page(request: Request, console: Consoled, id: Text = "") -> Response:
    """One contact, or a search for one."""
    return answered(request, console, "contact", lambda: {**contact(console, id.strip()), "choices": choices(console.catalog)})


@router.get("/console/contact/export")
def contact_export(console: Consoled, id: Text = "") -> Response:
    """Everything held about a contact, as a file."""
    name = "".join(one if one.isalnum() or one in "-_" else "_" for one in id) or "contact"
    headers = {"Content-Disposition": f'attachment; filename="{name.encode("ascii", "replace").decode()}.json"'} | pages.HEADERS
    return JSONResponse(console.service.people.export(id), headers=headers)


@router.get("/console/actions")
def actions_page(request: Request, console: Consoled) -> Response:
    """The catalogue, its funnel, and what each action earns."""
    return answered(request, console, "actions", lambda: actions(console))


@router.get("/console/models")
def models_page(request: Request, console: Consoled) -> Response:
    """The models that decide, their challengers, and the gate."""
    return answered(request, console, "models", lambda: models(console))


@router.get("/console/models/{name}/{version}/{picture}")
def model_picture(console: Consoled, name: str, version: int, picture: str) -> Response:
    """A picture of a model's training."""
    found = console.desk.picture(name, version, picture) if picture in console.desk.pictures(name, version) else None
    if found is None:
        raise NotFound("there is no such picture", field="picture", got=picture)
    return Response(found, media_type="image/png", headers=pages.HEADERS | {"Cache-Control": "private, max-age=3600"})


@router.get("/console/channels")
def channels_page(request: Request, console: Consoled, drop: bool = False) -> Response:
    """What each channel brings in, and which one you would drop."""
    return answered(request, console, "channels", lambda: channels(console, drop=drop))


@router.get("/console/leads")
def leads_page(request: Request, console: Consoled) -> Response:
    """Leads, where the catalogue defines any."""
    return answered(request, console, "leads", lambda: leads(console))


@router.get("/console/health")
def health_page(request: Request, console: Consoled) -> Response:
    """What answers, what does not fit, and what the data is like."""
    return answered(request, console, "health", lambda: health(console))


@router.get("/console/static/{name}")
async def static_file(name: str) -> Response:
    """The style sheet and the script."""
    if name not in pages.STATIC:
        raise NotFound("there is no such file", field="name", got=name, allowed=", ".join(pages.STATIC))
    headers = pages.HEADERS | {"Cache-Control": "public, max-age=86400"}
    return Response(pages.static(name), media_type=pages.STATIC[name], headers=headers)


def answered(request: Request, console: Console, page: str, gather: Callable[[], Mapping[str, Any]], status: int = 200) -> Response:
    """A page with what `gather` returns; where that is refused or fails, a page that says so."""
    token = request.cookies.get(TOKEN_COOKIE) or new_token()
    about = {
        "workspace": console.desk.name,
        "token": token,
        "said": _said(request),
        "here": request.url.path,
        **_rights(request),
    }
    try:
        body = pages.render(page, {**about, **gather()})
    except Exception as error:  # noqa: BLE001 - whoever looks gets a page that says so, and the log the rest
        problem = problem_of(error) if isinstance(error, NudgeError) else failure(500, "this page cannot be shown", error)
        status = problem["status"]
        body = pages.render("refused", {**about, "figures": [], "title": problem["title"], "detail": problem["detail"]})
    answer = HTMLResponse(body, status_code=status, headers=pages.HEADERS)
    answer.set_cookie(TOKEN_COOKIE, token, httponly=True, samesite="strict", secure=request.url.scheme == "https", path="/")
    if SAID_COOKIE in request.cookies:
        answer.delete_cookie(SAID_COOKIE, path="/", httponly=True, samesite="strict")
    return answer


def _rights(request: Request) -> dict[str, bool]:
    """What the page may offer: whoever has no key that opens it would only be refused."""
    keys: KeyRing | None = request.app.state.keys
    if keys is None or keys.empty:
        return {"logged_in": False, "may_change": True, "may_export": True}
    key = keys.owner(request.cookies.get(COOKIE, ""))
    return {"logged_in": key is not None, "may_change": may(key, ADMIN), "may_export": may(key, EXPORT)}


def _said(request: Request) -> dict[str, str] | None:
    """What a change came to, as {tone, text}; the browser brings it from the change to the next page."""
    tone, colon, text = unquote(request.cookies.get(SAID_COOKIE, "")).partition(":")
    return {"tone": tone if tone in ("good", "bad", "warn") else "warn", "text": text} if colon else None


def say(answer: Response, tone: str, text: str) -> None:
    """Have the next page say what a change came to."""
    answer.set_cookie(SAID_COOKIE, quote(f"{tone}:{text[:900]}"), max_age=60, httponly=True, samesite="strict", path="/")
