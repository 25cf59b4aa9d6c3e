"""The commands about leads."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from decisioning.errors import RequestError
from nudge.answers import leads as show_leads
from nudge.commands.options import AsOfOption, JsonOption, QuietOption, WorkspaceOption, open_workspace
from nudge.ground.moments import moment
from nudge.ground.terminal import Terminal


def score(workspace: WorkspaceOption = Path(), as_of: AsOfOption = None, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Score everybody as a lead: points with their reasons, grades, and what is still to be asked. Nothing is handed over."""
    from nudge.verbs.leads import score_workspace

    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    with terminal.working("scoring leads") as say:
        document = score_workspace(found, moment(as_of), say)
    if not terminal.result(document):
        show_leads.scored(terminal, document)


def hand_over(
    workspace: WorkspaceOption = Path(),
    out: Annotated[
        Path | None, typer.Option("--out", help="A .csv, or .ndjson for CloudEvents. Default: exports/leads/ of the workspace.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Hand over nobody new: write the leads that are open once more.")] = False,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Hand over the leads that are qualified, each once, with the reasons."""
    from nudge.verbs.lead_files import check_name, write_leads
    from nudge.verbs.leads import hand_over as hand
    from nudge.verbs.leads import open_leads

    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    path = out or found.folder / "exports" / "leads" / f"leads_{datetime.now(UTC):%Y%m%dT%H%M%SZ}.csv"
    check_name(path)
    with terminal.working("handing over") as say:
        leads = open_leads(found) if again else hand(found, moment(as_of), say)
        if leads or out is not None:
            write_leads(leads, path, f"/nudge/{found.config.name}")
    document = {"handed_over": 0 if again else len(leads), "written": len(leads), "file": str(path) if leads or out is not None else None}
    if not terminal.result(document | {"leads": leads}):
        terminal.print(f"{len(leads):,} leads written to {path}" if leads else "There is no new lead to hand over.")


def status(
    workspace: WorkspaceOption = Path(),
    file: Annotated[
        Path | None, typer.Argument(help="csv, parquet or ndjson: lead_id, status, and where known at, revenue, reason.")
    ] = None,
    lead: Annotated[str | None, typer.Option("--lead", help="One lead, by its id.")] = None,
    status: Annotated[str | None, typer.Option("--status", help="accepted, contacted, rejected, won or lost.")] = None,
    revenue: Annotated[float | None, typer.Option("--revenue", help="Money of a lead that was won.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why, in a few words.")] = None,
    at: Annotated[str | None, typer.Option("--at", help="When (ISO 8601, UTC); default: now.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Keep what became of leads: of one, or of a file's, all of its rows or none."""
    from ledger.leads import LeadStep
    from nudge.verbs.lead_files import read_steps
    from nudge.verbs.leads import keep_steps

    terminal, found, now = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace), datetime.now(UTC)
    if (file is None) == (lead is None) or (lead is None) != (status is None):
        raise RequestError("say what became of which lead", field="FILE", allowed="either FILE, or --lead ID with --status")
    steps = read_steps(file, now) if file is not None else [LeadStep(str(lead), str(status), moment(at, "--at") or now, revenue, reason)]
    changed = keep_steps(found, steps)
    news = [one for one in changed if not one["again"]]
    if not terminal.result({"rows": len(steps), "changed": len(news), "leads": changed}):
        terminal.print(f"{len(news):,} of {len(steps):,} rows changed a lead")


def list_(
    workspace: WorkspaceOption = Path(),
    status: Annotated[list[str] | None, typer.Option("--status", help="Only leads that stand so; may be repeated.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many, newest first.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show the leads that were handed over, where they stand, and which are overdue."""
    from nudge.verbs.leads import counted, listed

    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    leads = listed(found, status, limit)
    document = {**counted(leads), "list": leads}
    if not terminal.result(document):
        show_leads.listed(terminal, document, found.catalog.currency)
