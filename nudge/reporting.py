"""`nudge report`: figures about the whole population, for the command line, a page, and the service."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decisioning.errors import NotFound, NotSupportedYet, RequestError, Unavailable, nearest
from nudge.features_ready import Say, ensure_built
from nudge.planning import read_population
from nudge.snapshot_source import WorkspaceSnapshots
from nudge.workspace import Workspace
from serving.reports import funnel_report

if TYPE_CHECKING:
    from ledger.store import Ledger
    from serving.snapshot import Snapshot

FUNNEL = "funnel"
REPORTS = (FUNNEL, "roi", "channels", "goals", "models", "data")
"""The names of the contract; all but the funnel come in a later version."""


def known_report(name: str) -> None:
    """Refuse a report that there is not.

    Raises
    ------
    NotSupportedYet
        A report of the contract that comes later.
    RequestError
        No report at all.
    """
    if name not in REPORTS:
        raise RequestError("no such report", field="report", got=name, allowed=", ".join(REPORTS), hint=nearest(name, REPORTS))
    if name != FUNNEL:
        raise NotSupportedYet(f"`nudge report {name}` is not supported yet")


def report_workspace(
    workspace: Workspace, name: str, *, as_of: datetime | None = None, contacts: Path | None = None, say: Say
) -> dict[str, Any]:
    """The report `name` over the whole population, or over the contacts listed in a parquet file."""
    known_report(name)
    ensure_built(workspace, say)
    with workspace.open_ledger() as ledger:
        snapshot = WorkspaceSnapshots(workspace, ledger).load()
        population = read_population(workspace, snapshot, as_of, contacts)
        total = len(population.contact_ids)
        return funnel_report(population, snapshot, ledger, datetime.now(UTC), lambda done: say(f"{done:,} of {total:,} contacts"))


def write_page(document: Mapping[str, Any], path: Path) -> None:
    """Write the report as one HTML page.

    Raises
    ------
    NotFound
        The file cannot be written where it should be.
    """
    from nudge.funnel_page import funnel_page

    try:
        path.write_text(funnel_page(document), encoding="utf-8")
    except OSError as error:
        raise NotFound("the page cannot be written", field="--html", got=error.strerror) from None


@dataclass(frozen=True)
class SampledReports:
    """Reports for the service: over a sample of the population, one at a time, so that decisions are not held up."""

    workspace: Workspace
    busy: threading.Lock

    @classmethod
    def of(cls, workspace: Workspace) -> SampledReports:
        """The reports of one workspace."""
        return cls(workspace, threading.Lock())

    def __call__(self, snapshot: Snapshot, ledger: Ledger, contacts: int) -> dict[str, Any]:
        """The funnel of at most `contacts` contacts, with what the snapshot in service would decide.

        Raises
        ------
        Unavailable
            Another report is being made, or a store does not answer.
        """
        if not self.busy.acquire(blocking=False):
            raise Unavailable("another report is being made", hint="try again in a moment")
        try:
            workspace = Workspace.open(self.workspace.folder, self.workspace.environment)
            population = read_population(workspace, snapshot, None, None, sample=contacts)
            return funnel_report(population, snapshot, ledger, datetime.now(UTC))
        finally:
            self.busy.release()
