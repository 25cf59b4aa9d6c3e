"""Leads as the API shows and changes them: the same as `nudge leads list` and `nudge leads status`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ledger.leads import LeadStep
from nudge.ground.workspace import Workspace
from nudge.verbs.leads import counted, keep_steps, listed


class WorkspaceLeads:
    """`serving.ports.leads.LeadsDesk` of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def listed(self, *, status: str | None, limit: int) -> dict[str, Any]:
        """See `nudge.leads.listed`."""
        leads = listed(self._workspace, None if status is None else [status], limit)
        return {**counted(leads), "list": leads}

    def step(self, lead_id: str, status: str, *, at: datetime | None, revenue: float | None, reason: str | None) -> dict[str, Any]:
        """See `ledger.leads.step`."""
        moment = datetime.now(UTC) if at is None else at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        [lead] = keep_steps(self._workspace, [LeadStep(lead_id, status, moment, revenue, reason)])
        return lead
