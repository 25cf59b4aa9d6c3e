"""The web application over a service: routes, refusals, limits, the OpenAPI document and a plain front page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from serving import http_errors
from serving.access import Table
from serving.api_keys import KeyRing
from serving.body_limit import BodyLimit
from serving.counting import Counting
from serving.desk import Desk, Patience
from serving.gate import Gate
from serving.hot_routes import HotRoutes
from serving.metrics import Metrics
from serving.openapi import with_problems
from serving.ports import Service
from serving.routes import router
from serving.routes_events import router as events_router
from serving.routes_leads import router as leads_router
from serving.routes_login import router as login_router
from serving.routes_metrics import router as metrics_router
from serving.routes_models import router as models_router
from serving.routes_ofrep import router as ofrep_router
from serving.routes_people import router as people_router
from serving.routes_plans import router as plans_router
from serving.routes_reports import router as reports_router

SERVER_OPTIONS: dict[str, Any] = {"server_header": False, "access_log": False, "timeout_graceful_shutdown": 20}
"""Options for `uvicorn.run(app, ...)`: no Server header, no line per request beside our own, seconds to finish what is under way."""

ROUTERS = (
    router,
    events_router,
    metrics_router,
    models_router,
    ofrep_router,
    people_router,
    plans_router,
    reports_router,
    leads_router,
    login_router,
)

FRONT_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Nudge</title>
<style>
  body { font: 17px/1.6 system-ui, sans-serif; max-width: 38rem; margin: 15vh auto; padding: 0 1.5rem; color: #1d2433; background: #fbfbfd }
  @media (prefers-color-scheme: dark) { body { color: #e6e9f0; background: #14171f } a { color: #8db4ff } }
</style>
<h1>Nudge</h1>
<p>Next best action by incremental profit: who will buy because we act, and is it worth it?</p>
<p>The API answers here. The console comes later.</p>
<ul>
  <li><a href="/openapi.json">/openapi.json</a>: every route, request and answer</li>
  <li><a href="/health/ready">/health/ready</a>: what serving depends on, and whether it answers</li>
</ul>
</html>
"""


def create_app(
    service: Service,
    *,
    max_body_bytes: int = 2_000_000,
    patience: Patience | None = None,
    keys: KeyRing | None = None,
    may_be_open: bool = True,
) -> FastAPI:
    """The application; it closes the service when the server stops.

    Parameters
    ----------
    service : Service
        Its verbs run in the thread pool.
    max_body_bytes : int
        A larger request is refused with 413, and no more than this of any request is held in memory.
    patience : Patience, optional
        How much may wait, and how long.
    keys : KeyRing, optional
        Who may call; it is closed with the service. Without a ring nobody is asked for a key.
    may_be_open : bool
        Whether a ring without any key lets everybody in who names this machine: true only where nobody else can reach it.
    """
    desk = Desk(service, patience or Patience())

    metrics = Metrics(service.tally, lambda: desk.waiting, service.vitals)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        metrics.watch()
        yield
        desk.close()
        metrics.close()
        if keys is not None:
            keys.close()
        service.close()

    app = FastAPI(
        title="Nudge",
        summary="Next best action by incremental profit",
        version="1",
        lifespan=lifespan,
        docs_url=None,  # Swagger and Redoc load their pages from somebody else's network
        redoc_url=None,
    )
    app.state.service = service
    app.state.desk = desk
    app.state.keys = keys
    app.state.metrics = metrics
    plain = app.openapi
    app.openapi = lambda: with_problems(plain())  # type: ignore[method-assign]
    for routes in ROUTERS:
        app.include_router(routes)
    app.add_api_route("/", front_page, response_class=HTMLResponse, include_in_schema=False)
    http_errors.install(app)
    app.add_middleware(BodyLimit, max_body_bytes=max_body_bytes)
    app.add_middleware(HotRoutes, desk=desk, max_body_bytes=max_body_bytes)
    if keys is not None:
        app.add_middleware(Gate, table=Table(app.routes), keys=keys, may_be_open=may_be_open)
    app.add_middleware(http_errors.LastResort)
    app.add_middleware(Counting, tally=service.tally)
    return app


async def front_page() -> str:
    """A page that says where to look; nothing on it is loaded from elsewhere."""
    return FRONT_PAGE
