"""The routes about one person: what is held, consents, suppressions, erasure, export, and visitors who become contacts.

An id may have slashes, so the longer addresses come first: `/v1/contacts/a/b/export` is the export of `a/b`.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends
from pydantic import SkipValidation

from serving.http.http_errors import json_only
from serving.routes.decisions import PathId, Serving
from serving.schemas.decisions import ContactView, SuppressionIn, SuppressionOut
from serving.schemas.people import ConsentIn, ConsentOut, ErasureOut, ExportOut, IdentityIn, IdentityOut
from serving.schemas.validation import read

OneConsent = Annotated[SkipValidation[ConsentIn], Body()]
OneSuppression = Annotated[SkipValidation[SuppressionIn], Body()]
OneIdentity = Annotated[SkipValidation[IdentityIn], Body()]

router = APIRouter()


@router.put("/v1/contacts/{contact_id:path}/consents/{purpose}", response_model=ConsentOut, dependencies=[Depends(json_only)])
def consent(service: Serving, contact_id: PathId, purpose: PathId, body: OneConsent) -> Any:
    """Keep what a contact says about a purpose: granted, denied or revoked; the newest counts, absence is never consent."""
    return service.people.consent(contact_id, purpose, read(ConsentIn, body))


@router.put("/v1/contacts/{contact_id:path}/suppressions", response_model=SuppressionOut, dependencies=[Depends(json_only)])
def suppress(service: Serving, contact_id: PathId, body: OneSuppression) -> Any:
    """Switch an action, a channel or everything off for a contact until a date."""
    return service.suppress(contact_id, read(SuppressionIn, body))


@router.get("/v1/contacts/{contact_id:path}/export", response_model=ExportOut)
def export(service: Serving, contact_id: PathId) -> Any:
    """Give everything that is held about a contact (GDPR article 15)."""
    return service.people.export(contact_id)


@router.get("/v1/contacts/{contact_id:path}", response_model=ContactView)
def contact(service: Serving, contact_id: PathId) -> Any:
    """Show everything held about a contact."""
    return service.contact(contact_id)


@router.delete("/v1/contacts/{contact_id:path}", response_model=ErasureOut)
def erase(service: Serving, contact_id: PathId) -> Any:
    """Erase a contact from every store (GDPR article 17); the sums stay, as nobody's."""
    return service.people.erase(contact_id)


@router.post("/v1/identities", response_model=IdentityOut, dependencies=[Depends(json_only)])
def join(service: Serving, body: OneIdentity) -> Any:
    """Make an anonymous visitor a contact: decisions, touches, caps, outcomes and history are the contact's from now on."""
    return service.people.join(read(IdentityIn, body))
