"""Changing: each route reads a form of ours, calls one verb, and sends the browser back to where it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from decisioning.errors import NudgeError, RequestError
from serving.console import pages
from serving.console.audiences import make
from serving.console.console import EVALUATION, REGISTRY
from serving.console.forms import amount, read_form
from serving.console.routes import Consoled, say
from serving.http.http_errors import problem_of
from serving.schemas.decisions import SuppressionIn
from serving.schemas.leads import LeadStatusIn
from serving.schemas.people import ConsentIn
from serving.schemas.validation import read

router = APIRouter(include_in_schema=False)


async def _body(request: Request) -> bytes:
    return await request.body()


Body = Annotated[bytes, Depends(_body)]
_Change = Callable[[Mapping[str, str]], tuple[str, str, str]]
"""Takes the fields; gives the tone, what to say, and where to go."""


@router.post("/console/audiences/make")
def make_plan(request: Request, console: Consoled, body: Body) -> Response:
    """Write changed limits into the catalogue, and plan."""

    def change(fields: Mapping[str, str]) -> tuple[str, str, str]:
        return "good", "The plan is being made.", f"/console/audiences?{urlencode({'making': make(console, fields)})}"

    return _changed(request, body, "/console/audiences", change)


@router.post("/console/contact/consent")
def change_consent(request: Request, console: Consoled, body: Body) -> Response:
    """Keep what a contact says about a purpose."""

    def change(fields: Mapping[str, str]) -> tuple[str, str, str]:
        contact_id, purpose = _field(fields, "id"), _field(fields, "purpose")
        asked = read(ConsentIn, {"status": _field(fields, "status"), "source": "console"})
        kept = console.service.people.consent(contact_id, purpose, asked)
        said = f"Consent for {purpose}: {kept['status']}."
        if not kept["holds"]:
            return "warn", f"{said} Something newer was said already, and counts.", _contact(contact_id)
        return "good", said, _contact(contact_id)

    return _changed(request, body, "/console/contact", change)


@router.post("/console/contact/suppress")
def suppress(request: Request, console: Consoled, body: Body) -> Response:
    """Switch an action, a channel or everything off for a contact."""

    def change(fields: Mapping[str, str]) -> tuple[str, str, str]:
        contact_id = _field(fields, "id")
        kind, _, name = fields.get("what", "").partition(":")
        until = _end_of(_field(fields, "until"))
        what = {"channel": name} if kind == "channel" else {"action_id": name} if kind == "action" else {}
        asked = read(SuppressionIn, {"until": until.isoformat(), **what, "reason": fields.get("reason") or None})
        console.service.suppress(contact_id, asked)
        off = name.replace("_", " ") or "everything"
        if until <= datetime.now(UTC):
            return "good", f"Switched on again: {off}.", _contact(contact_id)
        return "good", f"Switched off until the end of {fields['until']}: {off}.", _contact(contact_id)

    return _changed(request, body, "/console/contact", change)


@router.post("/console/contact/erase")
def erase(request: Request, console: Consoled, body: Body) -> Response:
    """Erase a contact whose id was typed once more."""

    def change(fields: Mapping[str, str]) -> tuple[str, str, str]:
        contact_id = _field(fields, "id")
        if fields.get("again") != contact_id:
            return "bad", "Nothing was erased: the id that was typed to confirm is another one.", _contact(contact_id)
        left = console.service.people.erase(contact_id)["left"]
        more = f" What is left: {'; '.join(left)}." if left else ""
        return "good", f"The contact was erased from every store.{more}", "/console/contact"

    return _changed(request, body, "/console/contact", change)


@router.post("/console/models/promote")
def promote(request: Request, console: Consoled, body: Body) -> Response:
    """Ask the gate for a version, or pass it by force with a reason."""

    def change(fields: Mapping[str, str]) -> tuple[str, str, str]:
        force = fields.get("force") == "yes"
        why = fields.get("why") or None
        done = console.service.models.promote(_field(fields, "name"), version=_version(fields), force=force, why=why)
        console.figures.forget(EVALUATION, REGISTRY, "models")
        said = f"{done['model']} version {done['version']}: {done['reason']}"
        return (
            ("good", f"Promoted. {said}", "/console/models") if done["promoted"] else ("warn", f"Not promoted. {said}", "/console/models")
        )

    return _changed(request, body, "/console/models", change)


@router.post("/console/models/rollback")
def rollback(request: Request, console: Consoled, body: Body) -> Response:
    """The previous champion serves again."""

    def change(fields: Mapping[str, str]) -> tuple[str, str, str]:
        done = console.service.models.rollback(_field(fields, "name"), why=fields.get("why") or None)
        console.figures.forget(EVALUATION, REGISTRY, "models")
        return "good", f"{done['model']} version {done['version']} serves again: {done['reason']}", "/console/models"

    return _changed(request, body, "/console/models", change)


@router.post("/console/leads/step")
def lead_step(request: Request, console: Consoled, body: Body) -> Response:
    """Keep what became of a lead."""

    def change(fields: Mapping[str, str]) -> tuple[str, str, str]:
        revenue = amount(fields, "revenue") if fields.get("revenue") else None
        given = {"status": _field(fields, "status"), "revenue": revenue, "reason": fields.get("reason") or None}
        asked = read(LeadStatusIn, given)
        kept = console.service.leads.step(_field(fields, "lead"), asked.status, at=None, revenue=asked.revenue, reason=asked.reason)
        return "good", f"The lead of {kept['contact_id']} is {kept['status'].replace('_', ' ')} now.", "/console/leads"

    return _changed(request, body, "/console/leads", change)


@router.post("/console/messages/resend")
def resend(request: Request, console: Consoled, body: Body) -> Response:
    """Put a dead letter, or all of them, back to be sent."""

    def change(fields: Mapping[str, str]) -> tuple[str, str, str]:
        count = console.service.letters.resend(fields.get("message") or None)
        what = "One message is" if count == 1 else f"{count:,} messages are"
        return "good", f"{what} on the way again.", "/console/health"

    return _changed(request, body, "/console/health", change)


@router.post("/console/figures/again")
def make_again(request: Request, console: Consoled, body: Body) -> Response:
    """Forget the figures of a page, so that they are made anew."""

    def change(fields: Mapping[str, str]) -> tuple[str, str, str]:
        where = fields.get("where", "/")
        known = {address for _, address, _ in pages.MENU}
        console.figures.forget_all()
        return "", "", where if where in known else "/"

    return _changed(request, body, "/", change)


def _changed(request: Request, body: bytes, back: str, change: _Change) -> Response:
    """Do what a form asks for; a refusal is said on the page that the form came from."""
    try:
        fields = read_form(body, request.headers, request.cookies)
    except NudgeError as error:
        return _to(back, "bad", str(error))
    try:
        tone, text, where = change(fields)
    except NudgeError as error:
        return _to(_contact(fields["id"]) if "id" in fields else back, "bad", problem_of(error)["detail"])
    return _to(where, tone, text)


def _to(where: str, tone: str, text: str) -> Response:
    answer = RedirectResponse(where, status_code=303, headers=pages.HEADERS)
    if text:
        say(answer, tone, text)
    return answer


def _contact(contact_id: str) -> str:
    return f"/console/contact?{urlencode({'id': contact_id})}"


def _field(fields: Mapping[str, str], name: str) -> str:
    if not fields.get(name):
        raise RequestError("is missing", field=name)
    return fields[name]


def _version(fields: Mapping[str, str]) -> int | None:
    text = fields.get("version", "")
    if text and not text.isdecimal():
        raise RequestError("is no version", field="version", got=text, allowed="a whole number")
    return int(text) if text else None


def _end_of(day: str) -> datetime:
    """The end of a day, UTC."""
    try:
        return datetime.fromisoformat(day).replace(tzinfo=UTC, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise RequestError("is no day", field="until", got=day, allowed="a day such as 2026-12-31") from None
