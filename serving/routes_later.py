"""The routes of the contract that this version does not have yet: one table, and one answer that names the route."""

from __future__ import annotations

from fastapi import APIRouter, Request

from decisioning.errors import NotSupportedYet

LATER: tuple[tuple[str, str], ...] = (("POST", "/ofrep/v1/evaluate/flags/{placement}"),)
"""Method and path of each; a route that is built leaves the table."""


def later_routes() -> APIRouter:
    """Routes that answer 501 and stay out of the OpenAPI document: it shows what works."""
    router = APIRouter(include_in_schema=False)
    for method, path in LATER:
        router.add_api_route(path, _not_yet, methods=[method])
    return router


async def _not_yet(request: Request) -> None:
    route = request.scope["route"]
    raise NotSupportedYet(f"{request.method} {route.path} is not supported yet")
