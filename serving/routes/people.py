"""The routes about one person: consents, erasure, export, and visitors who become contacts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends
from pydantic import SkipValidation

from serving.http.http_errors import json_only
from serving.routes.decisions import PathId, Serving
from serving.schemas.people import ConsentIn, ConsentOut, ErasureOut, ExportOut, IdentityIn, IdentityOut
from serving.schemas.validation import read

OneConsent = Annotated[SkipValidation[ConsentIn], Body()]
OneIdentity = Annotated[SkipValidation[IdentityIn], Body()]

router = APIRouter()


@router.put("/v1/contacts/{contact_id}/consents/{purpose}", response_model=ConsentOut, dependencies=[Depends(json_only)])
def consent(service: Serving, contact_id: PathId, purpose: PathId, body: OneConsent) -> Any:
    """Keep what a contact says about a purpose: granted, denied or revoked; the newest counts, absence is never consent."""
    return service.people.consent(contact_id, purpose, read(ConsentIn, body))


@router.delete("/v1/contacts/{contact_id}", response_model=ErasureOut)
def erase(service: Serving, contact_id: PathId) -> Any:
    """Erase a contact from every store (GDPR article 17); the sums stay, as nobody's."""
    return service.people.erase(contact_id)


@router.get("/v1/contacts/{contact_id}/export", response_model=ExportOut)
def export(service: Serving, contact_id: PathId) -> Any:
    """Give everything that is held about a contact (GDPR article 15)."""
    return service.people.export(contact_id)


@router.post("/v1/identities", response_model=IdentityOut, dependencies=[Depends(json_only)])
def join(service: Serving, body: OneIdentity) -> Any:
    """Make an anonymous visitor a contact: decisions, touches, caps, outcomes and history are the contact's from now on."""
    return service.people.join(read(IdentityIn, body))
