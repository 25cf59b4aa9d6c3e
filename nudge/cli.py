"""The commands. Each reads its options, calls one function and shows what it returned.

Exit codes: 0 done, 1 a refusal with its reason on stderr, 2 wrong usage.
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from decisioning.errors import NotSupportedYet, NudgeError, RequestError
from nudge import show
from nudge.terminal import Terminal

WorkspaceOption = Annotated[Path, typer.Option("-w", "--workspace", help="The workspace's folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No progress and no remarks.")]
AsOfOption = Annotated[str | None, typer.Option("--as-of", help="Only what happened before this time counts (ISO 8601, UTC).")]

app = typer.Typer(
    name="nudge",
    help="Next best action by incremental profit. Start with `nudge demo`, or `nudge init DIR --example NAME`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
features_app = typer.Typer(help="Features: build offline, materialise for serving, compare the two.", no_args_is_help=True)
app.add_typer(features_app, name="features")


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The new workspace.")],
    example: Annotated[str, typer.Option("--example", help="Which example to copy.")] = "demo",
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the example: data=PATH.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a workspace from an example."""
    from nudge.examples import init_workspace

    init_workspace(folder, example, _pairs(settings or [], "--set"))
    terminal = Terminal(as_json=as_json, quiet=quiet)
    if not terminal.result({"workspace": str(folder), "example": example}):
        terminal.print(f"{folder} is a workspace made from the example '{example}'.")
        first = f"nudge simulate -w {folder}" if example == "demo" else f"nudge ingest -w {folder}"
        terminal.print(f"Next: {first}")


@app.command()
def simulate(
    workspace: WorkspaceOption = Path(),
    contacts: Annotated[int, typer.Option(min=1, help="How many contacts.")] = 20_000,
    days: Annotated[int, typer.Option(min=1, help="How many days.")] = 180,
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another world.")] = 7,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write the demo business' raw data: a bank whose customers' responses are known."""
    from nudge.demo import simulate_into

    terminal = Terminal(as_json=as_json, quiet=quiet)
    with terminal.working(f"simulating {contacts:,} contacts over {days} days"):
        counts = simulate_into(workspace, contacts=contacts, days=days, seed=seed)
    if not terminal.result(counts):
        terminal.table(f"Simulated into {workspace / 'raw'}", ["table", "rows"], list(counts.items()))


@app.command()
def ingest(
    workspace: WorkspaceOption = Path(),
    quarantine: Annotated[bool, typer.Option("--quarantine", help="Set bad rows aside in data/quarantine/ and go on.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Check the sources and turn them into contract tables, with a data audit."""
    from nudge.ingesting import ingest_workspace

    terminal = Terminal(as_json=as_json, quiet=quiet)
    with terminal.working("ingesting") as say:
        document = ingest_workspace(_open(workspace), quarantine=quarantine, progress=say)
    if not terminal.result(document):
        show.ingested(terminal, document)


@features_app.command("build")
def features_build(
    workspace: WorkspaceOption = Path(), as_of: AsOfOption = None, as_json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Build the features of every contact, and of every interaction as of its own time."""
    from nudge.features_ready import build, default_as_of, to_datetime64

    terminal, found = Terminal(as_json=as_json, quiet=quiet), _open(workspace)
    moment = _moment(as_of)
    with terminal.working("building features") as say:
        report = build(found, default_as_of(found) if moment is None else to_datetime64(moment), say)
    if not terminal.result({"features": report.features, "rows": report.rows, "contract_hash": report.contract_hash}):
        terminal.print(f"{report.features} features in {report.rows:,} rows, contract {report.contract_hash}")


@features_app.command("materialize")
def features_materialize(workspace: WorkspaceOption = Path(), as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Put every contact's newest features where serving reads them."""
    from nudge.features_ready import ensure_built, materialize

    terminal, found = Terminal(as_json=as_json, quiet=quiet), _open(workspace)
    with terminal.working("materialising features") as say:
        ensure_built(found, say)
        rows = materialize(found)
    if not terminal.result({"rows": rows}):
        terminal.print(f"{rows:,} contacts are in the online store")


@features_app.command("audit")
def features_audit(workspace: WorkspaceOption = Path(), as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Compare what serving reads with what training reads, feature by feature."""
    from nudge.features_ready import ensure_online

    terminal, found = Terminal(as_json=as_json, quiet=quiet), _open(workspace)
    with terminal.working("comparing online with offline features") as say:
        ensure_online(found, say)
        skew = found.door.skew()
    if not terminal.result({"skew": skew}):
        terminal.table("Skew between online and offline features", ["feature", "share of contacts that differ"], list(skew.items()))


@app.command()
def train(
    workspace: WorkspaceOption = Path(),
    as_of: AsOfOption = None,
    only: Annotated[str | None, typer.Option("--only", help="One of propensity, uplift, clv.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Learn propensity, uplift and CLV; evaluate; register the models in MLflow."""
    from nudge.training_command import train_workspace

    terminal = Terminal(as_json=as_json, quiet=quiet)
    if only == "lead":
        raise NotSupportedYet("not supported yet", field="--only lead")
    with terminal.working("training") as say:
        document = train_workspace(_open(workspace), as_of=_moment(as_of), only=only, say=say)
    for warning in document["warnings"]:
        terminal.warn(warning)
    if not terminal.result(document):
        show.trained(terminal, document)


@app.command()
def promote(
    model: Annotated[str, typer.Argument(help="propensity, uplift or clv, or the registered name.")],
    workspace: WorkspaceOption = Path(),
    version: Annotated[int | None, typer.Option("--version", help="Default: the challenger.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Promote past the gate; needs --why.")] = False,
    why: Annotated[str | None, typer.Option("--why", help="The reason, kept on the version.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a model version the champion, the one that decides."""
    from training.promote import promote as promote_version

    terminal, found = Terminal(as_json=as_json, quiet=quiet), _open(workspace)
    done = promote_version(found.tracker, model, version=version, force=force, why=why)
    document = {"promoted": done.promoted, "reason": done.reason, "model": done.model, "version": done.version, "previous": done.previous}
    if not terminal.result(document):
        terminal.print(f"{done.model} version {done.version}: {done.reason}")


@app.command()
def decide(
    contact_id: Annotated[str, typer.Argument(help="Whom to decide for.")],
    workspace: WorkspaceOption = Path(),
    channel: Annotated[str | None, typer.Option("--channel")] = None,
    placement: Annotated[list[str] | None, typer.Option("--placement")] = None,
    context: Annotated[list[str] | None, typer.Option("--context", metavar="K=V")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, max=100)] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show what was filtered and why.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Log and count nothing.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Decide for one contact, now."""
    from nudge.deciding import decide_once

    terminal, found = Terminal(as_json=as_json, quiet=quiet), _open(workspace)
    request: dict[str, Any] = {"contact_id": contact_id, "channel": channel, "context": _pairs(context or [], "--context")}
    request |= {"placements": placement or [], "limit": limit, "explain": explain, "dry_run": dry_run}
    with terminal.working("deciding") as say:
        document = decide_once(found, {key: value for key, value in request.items() if value is not None}, say)
    if not terminal.result(document):
        show.decided(terminal, document)


@app.command()
def plan(
    workspace: WorkspaceOption = Path(),
    out: Annotated[Path | None, typer.Option("--out", help="Default: exports/ of the workspace.")] = None,
    as_of: AsOfOption = None,
    contacts: Annotated[Path | None, typer.Option("--contacts", help="A parquet file with the contact_ids to plan for.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compute only: no files, nothing kept.")] = False,
    prices_only: Annotated[
        bool, typer.Option("--prices-only", help="Publish the shadow prices for real time; reserve nothing, write no files.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Decide for everyone, within budgets and capacities, and write the audiences."""
    from nudge.planning import PlanOptions, plan_workspace

    terminal, found = Terminal(as_json=as_json, quiet=quiet), _open(workspace)
    with terminal.working("planning") as say:
        options = PlanOptions(_moment(as_of), contacts, dry_run=dry_run, prices_only=prices_only)
        document = plan_workspace(found, out=out or found.folder / "exports", options=options, say=say)
    if document["selected"] and not document["incremental"]:
        terminal.warn("uplift is not known for some actions: they are ranked by response, and their profit is not incremental")
    if not terminal.result(document):
        show.planned(terminal, document)


@app.command()
def serve(
    workspace: WorkspaceOption = Path(),
    host: Annotated[str, typer.Option("--host")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535)] = 8000,
    workers: Annotated[int, typer.Option("--workers", min=1)] = 1,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Answer over HTTP."""
    from nudge.features_ready import ensure_online
    from nudge.server import serve as run_server

    terminal, found = Terminal(as_json=as_json, quiet=quiet), _open(workspace)
    with terminal.working("getting ready to serve") as say:
        ensure_online(found, say)
        found.open_service().close()
    terminal.say(f"Nudge serves {found.config.name} on http://{host}:{port} - open to this machine, without keys. Stop with Ctrl-C.")
    run_server(found, host=host, port=port, workers=workers)


@app.command()
def demo(
    workspace: WorkspaceOption = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another world.")] = 7,
    contacts: Annotated[int, typer.Option(min=500)] = 20_000,
    days: Annotated[int, typer.Option(min=90)] = 180,
    serving: Annotated[bool, typer.Option("--serve/--no-serve", help="Serve when the table is printed.")] = False,
    port: Annotated[int, typer.Option("--port")] = 8000,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """The whole job once through on a simulated bank, ending with what each policy truly earns."""
    from nudge.demo import run_demo

    terminal = Terminal(as_json=as_json, quiet=quiet)
    document = run_demo(workspace, seed=seed, contacts=contacts, days=days, terminal=terminal)
    if not terminal.result(document):
        show.policies(terminal, document)
    if serving:
        serve(workspace=workspace, host="127.0.0.1", port=port, workers=1, as_json=False, quiet=quiet)


@app.command()
def replay(
    decision_id: Annotated[str, typer.Argument(help="The decision to make again.")],
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a past decision again from its versions, features and seed; says whether it is identical, or where it differs."""
    from nudge.remembering import replay_decision

    terminal, found = Terminal(as_json=as_json, quiet=quiet), _open(workspace)
    with terminal.working("replaying"):
        document = replay_decision(found, decision_id)
    if not terminal.result(document):
        show.replayed(terminal, document)


@app.command()
def suppress(
    contact_id: Annotated[str, typer.Argument(help="Whom to leave alone.")],
    until: Annotated[str, typer.Option("--until", help="Exclusive, ISO 8601, UTC; a time that is past lifts the suppression.")],
    workspace: WorkspaceOption = Path(),
    action: Annotated[str | None, typer.Option("--action", help="This action only.")] = None,
    channel: Annotated[str | None, typer.Option("--channel", help="This channel only.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Kept beside it.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Switch an action, a channel, or with neither everything off for one contact until a date."""
    from nudge.remembering import suppress_contact

    terminal, found = Terminal(as_json=as_json, quiet=quiet), _open(workspace)
    asked = {"until": until, "action_id": action, "channel": channel, "reason": reason}
    document = suppress_contact(found, contact_id, asked)
    if not terminal.result(document):
        what = " on ".join(name for name in (action, channel) if name) or "everything"
        terminal.print(f"{what} is off for {contact_id} until {document['until']}")


@app.command()
def report(
    name: Annotated[str, typer.Argument(help="funnel; roi, channels, goals, models and data come later.")],
    workspace: WorkspaceOption = Path(),
    as_of: AsOfOption = None,
    contacts: Annotated[Path | None, typer.Option("--contacts", help="A parquet file with the contact_ids to report on.")] = None,
    period: Annotated[str | None, typer.Option("--period", help="Not supported yet.")] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write the report as one page.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """What becomes of everyone's candidates, stage by stage, and what the choices hang on."""
    from nudge import show_reports
    from nudge.reporting import known_report, report_workspace, write_page

    terminal = Terminal(as_json=as_json, quiet=quiet)
    known_report(name)
    if period is not None:
        raise NotSupportedYet("not supported yet", field="--period")
    with terminal.working("reporting") as say:
        document = report_workspace(_open(workspace), name, as_of=_moment(as_of), contacts=contacts, say=say)
    if html is not None:
        write_page(document, html)
        terminal.say(f"written to {html}")
    if not terminal.result(document):
        show_reports.funnel(terminal, document)


def _not_yet(name: str) -> None:
    """A command of the contract that this version does not do: known, and refused by name."""

    def command() -> None:
        raise NotSupportedYet(f"`nudge {name}` is not supported yet")

    command.__doc__ = "Not supported yet."
    app.command(name, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(command)


for _name in ("evaluate", "verify-ledger", "export-decisions", "erase", "export-contact", "keys"):
    _not_yet(_name)


def _open(folder: Path) -> Any:
    from nudge.workspace import Workspace

    return Workspace.open(folder)


def _pairs(texts: list[str], option: str) -> dict[str, str]:
    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise RequestError("is not KEY=VALUE", field=option, got=text)
        pairs[key] = value
    return pairs


def _moment(text: str | None) -> datetime | None:
    from nudge.workspace import parse_moment

    try:
        return parse_moment(text)
    except ValueError:
        raise RequestError(
            "is not a time", field="--as-of", got=text, allowed="ISO 8601 from 1900 to 2199, such as 2026-11-22T10:00:00Z"
        ) from None


def main() -> None:
    """Run the command line; a refusal is one line on stderr and exit code 1."""
    try:
        app()
    except NudgeError as error:
        sys.stderr.write(f"nudge: {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("nudge: stopped\n")
        sys.exit(130)
