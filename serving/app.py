"""The web application over a service: routes, refusals, limits, the OpenAPI document and the console."""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from serving.console import pages
from serving.console.console import Console
from serving.console.routes import router as console_router
from serving.console.routes_changes import router as console_changes
from serving.http import http_errors
from serving.http.access import Table
from serving.http.api_keys import KeyRing
from serving.http.body_limit import ASGIApp, BodyLimit, Receive, Scope, Send
from serving.http.counting import Counting
from serving.http.desk import Desk, Patience
from serving.http.doorway import DOORKEEPER, Doorway
from serving.http.gate import Gate
from serving.http.hot_routes import AtTheDoor, HotRoutes
from serving.http.openapi import with_problems
from serving.ports.verbs import Service
from serving.routes.decisions import router
from serving.routes.events import router as events_router
from serving.routes.leads import router as leads_router
from serving.routes.login import router as login_router
from serving.routes.metrics import router as metrics_router
from serving.routes.models import router as models_router
from serving.routes.ofrep import router as ofrep_router
from serving.routes.people import router as people_router
from serving.routes.plans import router as plans_router
from serving.routes.reports import router as reports_router
from serving.watching.metrics import Metrics

SERVER_OPTIONS: dict[str, Any] = {
    "http": Doorway,
    "server_header": False,
    "access_log": False,
    "timeout_graceful_shutdown": 20,
}
"""Options for `uvicorn.run(app, ...)`: our protocol, no Server header, no line per request beside our own, seconds to finish what is under
way."""

SHORT_TURN = 0.0005
"""Seconds that a thread may keep the interpreter while others wait: the thread that decides lets go of it whenever it asks a store, and the
event loop has it back a moment later, not after Python's five milliseconds."""

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
    console_router,
    console_changes,
)


SELDOM = 20_000
"""New objects between two collections of the youngest."""


class Fronted(FastAPI):
    """The framework's application behind what every request passes first: counted, let in, and answered there where it is hot."""

    front: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await (self.front or self.behind)(scope, receive, send)

    async def behind(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What the framework makes of a request: routing, and what it puts around that, costs more than a hot route may."""
        await super().__call__(scope, receive, send)


def settle() -> None:
    """Spare what is loaded by now all later garbage collections: modules, routes, catalogue and models live as long as the server.

    What comes later is looked through each time some `SELDOM` objects more have been made than let go, not every 700: that is every few
    decisions, while all that a batch is made of is alive and is looked at again and again, a twentieth of what deciding takes.

    Looking through some hundred thousand objects keeps every thread waiting for a sixth of a second, several times a minute under load.
    Models that are swapped in later are a few thousand, and one that is swapped out goes without the collector's help. Once a process: what
    is settled stays.
    """
    if not gc.get_freeze_count():
        gc.collect()
        gc.freeze()
        gc.set_threshold(SELDOM)
        atexit.register(gc.unfreeze)  # what the interpreter clears away at its end it must see


def create_app(
    service: Service,
    *,
    max_body_bytes: int = 2_000_000,
    patience: Patience | None = None,
    keys: KeyRing | None = None,
    may_be_open: bool = True,
    metrics_folder: Path | None = None,
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
    metrics_folder : Path, optional
        Where the workers of one server count together.
    """
    pages.get_ready()
    desk, console = Desk(service, patience or Patience()), Console(service)
    metrics = Metrics(service.tally, lambda: desk.waiting, service.vitals, folder=metrics_folder)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        metrics.watch()
        settle()
        turn = sys.getswitchinterval()
        sys.setswitchinterval(SHORT_TURN)
        yield {DOORKEEPER: AtTheDoor(desk, service.tally, gate)}
        sys.setswitchinterval(turn)
        desk.close()
        metrics.close()
        if keys is not None:
            keys.close()
        console.close()
        service.close()

    app = Fronted(
        title="Nudge",
        summary="Next best action by incremental profit",
        version="1",
        lifespan=lifespan,
        docs_url=None,  # Swagger and Redoc load their pages from somebody else's network
        redoc_url=None,
    )
    app.state.service, app.state.console, app.state.desk, app.state.keys = service, console, desk, keys
    app.state.metrics = metrics
    plain = app.openapi
    app.openapi = lambda: with_problems(plain())  # type: ignore[method-assign]
    for routes in ROUTERS:
        app.include_router(routes)
    http_errors.install(app)
    app.add_middleware(BodyLimit, max_body_bytes=max_body_bytes)
    app.add_middleware(http_errors.LastResort)
    hot = HotRoutes(app.behind, desk=desk, max_body_bytes=max_body_bytes)
    gate = None if keys is None else Gate(hot, table=Table(), keys=keys, may_be_open=may_be_open)
    app.front = Counting(http_errors.LastResort(gate or hot), tally=service.tally)
    return app
