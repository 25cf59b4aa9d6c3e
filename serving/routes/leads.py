"""The routes about leads: where they stand, and what sales says of them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query
from pydantic import SkipValidation

from serving.http.http_errors import json_only
from serving.routes.decisions import PathId, Serving
from serving.schemas.leads import LeadList, LeadStatus, LeadStatusIn, LeadStepped
from serving.schemas.validation import read

OneStatus = Annotated[SkipValidation[LeadStatusIn], Body()]
Stands = Annotated[LeadStatus | None, Query(description="only leads that stand so")]
Limit = Annotated[int, Query(ge=1, le=10_000, description="at most so many, newest first")]

router = APIRouter()


@router.get("/v1/leads", response_model=LeadList)
def leads(service: Serving, status: Stands = None, limit: Limit = 100) -> Any:
    """Show the leads that were handed over to sales, with their reasons, where they stand, and which are overdue."""
    return service.leads.listed(status=status, limit=limit)


@router.post("/v1/leads/{lead_id}:status", response_model=LeadStepped, dependencies=[Depends(json_only)])
def status(service: Serving, lead_id: PathId, body: OneStatus) -> Any:
    """Keep what became of a lead: accepted, contacted, rejected, won (with its revenue) or lost; the same again changes nothing."""
    said = read(LeadStatusIn, body)
    return service.leads.step(lead_id, said.status, at=said.at, revenue=said.revenue, reason=said.reason)
