"""What the routes need to know of leads: where they stand, and what sales says of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from decisioning.errors import Unavailable


class LeadsDesk(Protocol):
    """The leads that were handed over."""

    def listed(self, *, status: str | None, limit: int) -> dict[str, Any]:
        """Leads, newest first, with what is overdue (`schemas.leads.LeadList`)."""

    def step(self, lead_id: str, status: str, *, at: datetime | None, revenue: float | None, reason: str | None) -> dict[str, Any]:
        """Keep what became of a lead (`schemas.leads.LeadStepped`)."""


class NoLeads:
    """Where no workspace is known: says so."""

    def listed(self, *, status: str | None, limit: int) -> dict[str, Any]:
        """Refuse."""
        raise _unknown(status, limit)

    def step(self, lead_id: str, status: str, *, at: datetime | None, revenue: float | None, reason: str | None) -> dict[str, Any]:
        """Refuse."""
        raise _unknown(lead_id, status, at, revenue, reason)


def _unknown(*_asked: object) -> Unavailable:
    return Unavailable("leads are not known here", hint="use nudge leads")
