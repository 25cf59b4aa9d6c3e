"""The route that Prometheus scrapes."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from serving.watching.metrics import CONTENT_TYPE, Metrics

router = APIRouter()


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request) -> Response:
    """Show the metrics of all workers, for Prometheus."""
    found: Metrics = request.app.state.metrics
    return Response(found.exposition(), media_type=CONTENT_TYPE)
