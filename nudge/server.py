"""`nudge serve`: one process, or several that share the stores."""

from __future__ import annotations

import ipaddress
import logging
import os
from pathlib import Path
from typing import Any

from decisioning.errors import NotSupportedYet, RequestError
from nudge.workspace import Workspace

_WORKSPACE_VARIABLE = "NUDGE_SERVE_WORKSPACE"


def serve(workspace: Workspace, *, host: str, port: int, workers: int) -> None:
    """Serve until stopped; returns after a graceful stop.

    Raises
    ------
    NotSupportedYet
        Another host than loopback: that needs API keys.
    RequestError
        A port or number of workers that cannot be.
    """
    import uvicorn

    from serving.app import SERVER_OPTIONS

    if not is_loopback(host):
        raise NotSupportedYet(
            "serving beyond this machine needs API keys, which are not supported yet", field="--host", got=host, allowed="127.0.0.1"
        )
    if workers < 1:
        raise RequestError("at least one worker serves", field="--workers", got=workers)
    os.environ[_WORKSPACE_VARIABLE] = str(workspace.folder)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    uvicorn.run(
        "nudge.server:build_app",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_level="warning",
        **SERVER_OPTIONS,
    )


def build_app() -> Any:
    """The application of one worker process, for the workspace that `serve` named."""
    from nudge.leads_desk import WorkspaceLeads
    from nudge.models_desk import WorkspaceModels
    from nudge.plan_desk import WorkspacePlans
    from nudge.report_desk import WorkspaceReports
    from serving.app import create_app

    workspace = Workspace.open(Path(os.environ[_WORKSPACE_VARIABLE]))
    service = workspace.open_service(watch=True)
    service.models = WorkspaceModels(workspace)
    service.reports = WorkspaceReports(workspace)
    service.plans = WorkspacePlans(workspace)
    service.leads = WorkspaceLeads(workspace)
    return create_app(service)


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
