"""The commands that decide, for one contact or for everyone, and answer for what was decided."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nudge.answers import decisions as show
from nudge.answers import evaluation as show_evaluation
from nudge.answers import plan as show_plan
from nudge.commands.options import AsOfOption, JsonOption, QuietOption, WorkspaceOption, open_workspace, pairs
from nudge.ground.moments import moment
from nudge.ground.terminal import Terminal


def decide(
    contact_id: Annotated[str, typer.Argument(help="Whom to decide for.")],
    workspace: WorkspaceOption = Path(),
    channel: Annotated[str | None, typer.Option("--channel", help="Only this channel's treatments.")] = None,
    placement: Annotated[list[str] | None, typer.Option("--placement", help="Only this placement's treatments; may be repeated.")] = None,
    context: Annotated[
        list[str] | None, typer.Option("--context", metavar="KEY=VALUE", help="What conditions read as context.KEY; may be repeated.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, max=100, help="At most so many actions; otherwise one a placement.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also show why, why not the next one, what would change it, and what was taken out.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide, but keep nothing: no record, no touch, no budget.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Decide for one contact, now."""
    from nudge.verbs.deciding import decide_once

    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    request: dict[str, Any] = {"contact_id": contact_id, "channel": channel, "context": pairs(context or [], "--context")}
    request |= {"placements": placement or [], "limit": limit, "explain": explain, "dry_run": dry_run}
    with terminal.working("deciding") as say:
        document = decide_once(found, {key: value for key, value in request.items() if value is not None}, say)
    if not terminal.result(document):
        show.decided(terminal, document, found.catalog.currency)


def plan(
    workspace: WorkspaceOption = Path(),
    out: Annotated[Path | None, typer.Option("--out", help="Default: exports/ of the workspace.")] = None,
    as_of: AsOfOption = None,
    contacts: Annotated[Path | None, typer.Option("--contacts", help="A parquet file with the contact_ids to plan for.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only compute: no files, nothing kept or published.")] = False,
    prices_only: Annotated[
        bool, typer.Option("--prices-only", help="Publish the shadow prices for real time; reserve nothing, write no files.")
    ] = False,
    limit: Annotated[
        list[str] | None,
        typer.Option("--limit", metavar="ID=NUMBER", help="What if a constraint were another (or ID=MIN..MAX)? Only computes; repeatable."),
    ] = None,
    sample: Annotated[
        int | None, typer.Option("--sample", min=1, help="Estimate from so many contacts, always the same ones. Only computes.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes at work, at most 4; default: one a core.")] = None,
    progress: Annotated[bool, typer.Option("--progress", help="Progress as JSON lines on stderr.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Decide for everyone, within budgets and capacities, and write the audiences."""
    from nudge.verbs.planning import PlanOptions, plan_workspace
    from nudge.verbs.what_if import parse_limit

    terminal, found = Terminal(as_json=as_json, quiet=quiet, progress=progress), open_workspace(workspace)
    limits = tuple(parse_limit(one, found.catalog) for one in limit or ())
    with terminal.working("planning") as say:
        options = PlanOptions(
            moment(as_of), contacts, dry_run=dry_run, prices_only=prices_only, limits=limits, sample=sample, workers=workers
        )
        document = plan_workspace(found, out=out or found.folder / "exports", options=options, say=say)
    for warning in document["warnings"]:
        terminal.warn(warning)
    if document["selected"] and not document["incremental"]:
        terminal.warn("uplift is not known for some actions: they are ranked by response, and their profit is not incremental")
    if not terminal.result(document):
        show_plan.planned(terminal, document, found.catalog.currency, found.catalog.exploration.budget)


def serve(
    workspace: WorkspaceOption = Path(),
    host: Annotated[str, typer.Option("--host", help="Beyond this machine only with API keys: nudge keys create.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Where it listens.")] = 8000,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that answer.")] = 1,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Answer over HTTP, with the newest plan's prices; stops with Ctrl-C."""
    from nudge.server import serve as run_server
    from nudge.server import who_may_call
    from nudge.verbs.features_ready import ensure_online
    from nudge.verbs.opening import open_service

    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    who = who_may_call(found, host)
    with terminal.working("getting ready to serve") as say:
        ensure_online(found, say)
        open_service(found).close()
    terminal.say(f"Nudge serves {found.config.name} on http://{host}:{port}, {who}. Stop with Ctrl-C.")
    run_server(found, host=host, port=port, workers=workers)


def demo(
    workspace: WorkspaceOption = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another world.")] = 7,
    contacts: Annotated[int, typer.Option(min=500)] = 10_000,
    days: Annotated[int, typer.Option(min=90)] = 180,
    serving: Annotated[bool, typer.Option("--serve/--no-serve", help="Serve when the table is printed.")] = False,
    port: Annotated[int, typer.Option("--port")] = 8000,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """The whole job once through on a simulated bank, ending with what each policy truly earns."""
    from nudge.verbs.demo import run_demo

    terminal = Terminal(as_json=as_json, quiet=quiet)
    document = run_demo(workspace, seed=seed, contacts=contacts, days=days, terminal=terminal)
    if not terminal.result(document):
        show_evaluation.policies(terminal, document["evaluation"])
        show.policies(terminal, document)
    if serving:
        serve(workspace=workspace, host="127.0.0.1", port=port, workers=1, as_json=False, quiet=quiet)


def replay(
    decision_id: Annotated[str, typer.Argument(help="The decision to make again.")],
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a past decision again from its versions, features and seed; says whether it is identical, or where it differs."""
    from nudge.verbs.remembering import replay_decision

    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    with terminal.working("replaying"):
        document = replay_decision(found, decision_id)
    if not terminal.result(document):
        show.replayed(terminal, document)


def suppress(
    contact_id: Annotated[str, typer.Argument(help="Whom to leave alone.")],
    until: Annotated[str, typer.Option("--until", help="Until this time, exclusive (ISO 8601, UTC); a past one lifts the suppression.")],
    workspace: WorkspaceOption = Path(),
    action: Annotated[str | None, typer.Option("--action", help="This action only.")] = None,
    channel: Annotated[str | None, typer.Option("--channel", help="This channel only.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; kept with it.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Switch an action, a channel, or with neither everything off for one contact until a date."""
    from nudge.verbs.remembering import suppress_contact

    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    moment(until, "--until")
    asked = {"until": until, "action_id": action, "channel": channel, "reason": reason}
    document = suppress_contact(found, contact_id, asked)
    if not terminal.result(document):
        what = " on ".join(name for name in (action, channel) if name) or "everything"
        show.suppressed(terminal, what, contact_id, document["until"])


def report(
    name: Annotated[str, typer.Argument(help="One of funnel, roi, channels, goals, segments, value-finder, models, data.")],
    workspace: WorkspaceOption = Path(),
    as_of: AsOfOption = None,
    contacts: Annotated[Path | None, typer.Option("--contacts", help="A parquet file with the contact_ids to report on.")] = None,
    period: Annotated[
        str | None, typer.Option("--period", help="Of roi, channels and segments: 2026, 2026-Q3, 2026-11, 90d, or two dates A..B.")
    ] = None,
    since: Annotated[str | None, typer.Option("--from", help="Of segments: what moved from this time on.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Of segments: as of this time; default: now.")] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write the report as one page.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """What becomes of everyone's candidates (funnel); what it was worth (roi, channels, goals);
    who is in which segment, for whom nothing good is on offer; models and data."""
    from nudge.answers import reports as show_reports
    from nudge.reports.periods import known_period
    from nudge.reports.reporting import FUNNEL, ReportOptions, known_report, report_workspace, write_page
    from nudge.reports.sections import sections

    terminal = Terminal(as_json=as_json, quiet=quiet)
    known_report(name)
    known_period(period)
    options = ReportOptions(moment(as_of), contacts, period, since=moment(since, "--from"), until=moment(until, "--to"))
    with terminal.working("reporting") as say:
        document = report_workspace(open_workspace(workspace), name, options, say)
    if html is not None:
        write_page(document, html)
        terminal.say(f"written to {html}")
    if terminal.result(document):
        return
    if name == FUNNEL:
        show_reports.funnel(terminal, document)
    else:
        show_reports.tables(terminal, sections(document))
