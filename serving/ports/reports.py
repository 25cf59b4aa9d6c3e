"""What the routes need to know of measured reports: roi, channels, goals, models and data of the workspace."""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeAlias

from decisioning.errors import Unavailable

ReportName: TypeAlias = Literal["roi", "channels", "goals", "segments", "value-finder", "models", "data"]


class ReportDesk(Protocol):
    """Makes the reports of the command line."""

    def report(self, name: ReportName, *, period: str | None, drop: bool) -> dict[str, Any]:
        """The report (`schemas.reports.MeasuredReport`); refused while another is being made."""


class NoReports:
    """Where no workspace is known to report on: says so."""

    def report(self, name: ReportName, *, period: str | None, drop: bool) -> dict[str, Any]:
        """Refuse."""
        del period, drop
        raise Unavailable("there is nothing to report on here", hint=f"use nudge report {name}")
