"""The measured reports as the API makes them: the same as `nudge report`, one at a time."""

from __future__ import annotations

import threading
from typing import Any

from decisioning.errors import Unavailable
from nudge.ground.workspace import Workspace
from nudge.reports.reporting import ReportOptions, report_workspace
from serving.ports.reports import ReportName


class WorkspaceReports:
    """`serving.ports.reports.ReportDesk` of one workspace: it reads the catalogue and the data as they are now."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._reporting = threading.Lock()

    def report(self, name: ReportName, *, period: str | None, drop: bool) -> dict[str, Any]:
        """See `report_workspace`.

        Raises
        ------
        Unavailable
            Another report is being made.
        """
        if not self._reporting.acquire(blocking=False):
            raise Unavailable("another report is being made", hint="try again in a moment")
        try:
            now = Workspace.open(self._workspace.folder, self._workspace.environment)
            return report_workspace(now, name, ReportOptions(period=period, drop=drop), lambda text: None)
        finally:
            self._reporting.release()
