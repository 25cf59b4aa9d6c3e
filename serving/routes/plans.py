"""The routes of plans: asked for, watched, and their audiences fetched."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Query
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import SkipValidation

from serving.routes.decisions import PathId, Serving, json_or_nothing
from serving.schemas.plans import PlanIn, PlanJob, PlanList
from serving.schemas.validation import read

OnePlan = Annotated[SkipValidation[PlanIn | None], Body()]
Form = Annotated[Literal["csv", "parquet", "ndjson"], Query(description="csv and parquet are the plan's own files")]
_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The audience, best first",
        "content": {"text/csv": {}, "application/vnd.apache.parquet": {}, "application/x-ndjson": {}},
    }
}

router = APIRouter()


@router.post("/v1/plans", response_model=PlanJob, status_code=202, dependencies=[Depends(json_or_nothing)])
def start_plan(service: Serving, body: OnePlan = None) -> Any:
    """Have the whole population planned for, or ask what other limits would come to; `Location` says where to look."""
    job = service.plans.start(read(PlanIn, {} if body is None else body))
    return JSONResponse(job, status_code=202, headers={"Location": f"/v1/plans/{job['id']}"})


@router.get("/v1/plans", response_model=PlanList)
def plans(service: Serving) -> Any:
    """Show the newest jobs and plans."""
    return service.plans.listed()


@router.get("/v1/plans/{plan_id}", response_model=PlanJob)
def plan(service: Serving, plan_id: PathId) -> Any:
    """Show how far a plan is, and what it came to."""
    return service.plans.plan(plan_id)


@router.get("/v1/plans/{plan_id}/audiences/{channel}", response_class=StreamingResponse, responses=_FILE)
def audience(service: Serving, plan_id: PathId, channel: PathId, format: Form = "csv") -> StreamingResponse:
    """Fetch a plan's audience for one channel; csv and parquet are the bytes of the plan's file."""
    found = service.plans.audience(plan_id, channel, format)
    headers = {"Content-Disposition": f'attachment; filename="{found.name}"'}
    if found.size is not None:
        headers["Content-Length"] = str(found.size)
    return StreamingResponse(found.chunks, media_type=found.media_type, headers=headers)
