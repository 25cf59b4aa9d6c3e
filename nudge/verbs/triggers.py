"""`nudge triggers`: those that time alone fires, looked at now, and how they stand."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from nudge.ground.workspace import Workspace
from nudge.verbs.features_ready import Say, ensure_online
from nudge.verbs.opening import open_service


def run_triggers(workspace: Workspace, trigger_ids: Collection[str], say: Say) -> dict[str, Any]:
    """Look at these triggers, or at all that time fires, and decide on who entered: `TimedTriggers.run`.

    Raises
    ------
    RequestError
        There is no such trigger.
    """
    ensure_online(workspace, say)
    service = open_service(workspace)
    try:
        say("looking at everybody")
        return service.timed.run(trigger_ids)
    finally:
        service.close()


def list_triggers(workspace: Workspace) -> list[dict[str, Any]]:
    """How each trigger that time fires stands: `TimedTriggers.listed`."""
    service = open_service(workspace)
    try:
        return service.timed.listed()
    finally:
        service.close()
