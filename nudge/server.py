"""`nudge serve`: one process, or several that share the stores."""

from __future__ import annotations

import ipaddress
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from decisioning.errors import ConfigError, Conflict, RequestError
from nudge.ground.workspace import WEBHOOK_SECRET, Workspace

_WORKSPACE_VARIABLE = "NUDGE_SERVE_WORKSPACE"
_LOOPBACK_VARIABLE = "NUDGE_SERVE_LOOPBACK"
_METRICS_VARIABLE = "NUDGE_SERVE_METRICS"


def serve(workspace: Workspace, *, host: str, port: int, workers: int) -> None:
    """Serve until stopped; returns after a graceful stop.

    Raises
    ------
    ConfigError
        The catalogue has a webhook, and there is no secret to sign with.
    RequestError
        A number of workers that cannot be.
    Conflict
        Another host than loopback, and no key: nobody could call.
    """
    import uvicorn

    from serving.app import SERVER_OPTIONS

    who_may_call(workspace, host)
    if workers < 1:
        raise RequestError("at least one worker serves", field="--workers", got=workers)
    if workspace.webhook_secrets() is None and workspace.catalog.triggers_webhook is not None:
        hint = f"export {WEBHOOK_SECRET}=whsec_..., or leave triggers_webhook out"
        raise ConfigError(f"a webhook's messages are signed, and {WEBHOOK_SECRET} is not set", field="triggers_webhook", hint=hint)
    os.environ[_WORKSPACE_VARIABLE] = str(workspace.folder)
    os.environ[_LOOPBACK_VARIABLE] = "1" if is_loopback(host) else ""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    with _counted_together(workers):
        uvicorn.run(
            "nudge.server:build_app",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            log_level="warning",
            **SERVER_OPTIONS,
        )


@contextmanager
def _counted_together(workers: int) -> Iterator[None]:
    """A folder in which several workers count their metrics, while they serve."""
    if workers == 1:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="nudge-metrics-") as folder:
        os.environ[_METRICS_VARIABLE] = folder
        yield


def build_app() -> Any:
    """The application of one worker process, for the workspace that `serve` named."""
    workspace = Workspace.open(Path(os.environ[_WORKSPACE_VARIABLE]))
    together = os.environ.get(_METRICS_VARIABLE)
    return application(
        workspace, may_be_open=bool(os.environ.get(_LOOPBACK_VARIABLE)), metrics_folder=None if together is None else Path(together)
    )


def application(
    workspace: Workspace,
    *,
    may_be_open: bool,
    metrics_folder: Path | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Any:
    """API and console over a workspace; `may_be_open` where it answers without keys as long as there are none."""
    from nudge.desks.console import WorkspaceConsole
    from nudge.desks.leads import WorkspaceLeads
    from nudge.desks.models import WorkspaceModels
    from nudge.desks.plans import WorkspacePlans
    from nudge.desks.reports import WorkspaceReports
    from nudge.verbs.opening import open_service
    from serving.app import create_app

    service = open_service(workspace, watch=True, clock=clock)
    service.models = WorkspaceModels(workspace)
    service.reports = WorkspaceReports(workspace)
    service.plans = WorkspacePlans(workspace)
    service.leads = WorkspaceLeads(workspace)
    service.console = WorkspaceConsole(workspace, service)
    keys = service.key_ring()
    keys.watch()
    return create_app(service, keys=keys, may_be_open=may_be_open, metrics_folder=metrics_folder)


def who_may_call(workspace: Workspace, host: str) -> str:
    """Who may call a server on `host`, in words.

    Raises
    ------
    Conflict
        Nobody: others than this machine can reach it, and no key holds.
    """
    now = datetime.now(UTC)
    with workspace.open_ledger() as ledger:
        keys = ledger.keys.all()
    holding = sum(key.holds(now) for key in keys)
    if not is_loopback(host) and not holding:
        raise Conflict(
            "serving beyond this machine needs API keys, and none holds",
            field="--host",
            got=host,
            allowed="127.0.0.1",
            hint="nudge keys create --scope decide --scope record --name NAME",
        )
    return f"for whoever has one of {holding} keys" if keys else "open to this machine, without keys"


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine only.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
