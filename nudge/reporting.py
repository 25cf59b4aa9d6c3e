"""`nudge report`: figures about the whole population, for the terminal or as a page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from decisioning.errors import NotFound, NotSupportedYet, RequestError, nearest
from nudge.features_ready import Say, ensure_built
from nudge.planning import read_population
from nudge.snapshot_source import WorkspaceSnapshots
from nudge.workspace import Workspace
from serving.reports import funnel_report

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
