"""The commands that make a workspace, read its data and learn from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nudge.answers import decisions as show
from nudge.answers import evaluation as show_evaluation
from nudge.answers import training as show_training
from nudge.commands.options import AsOfOption, JsonOption, QuietOption, WorkspaceOption, open_workspace, pairs
from nudge.ground.moments import moment
from nudge.ground.terminal import Terminal


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The new workspace.")],
    example: Annotated[str, typer.Option("--example", help="Which example to copy.")] = "demo",
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the example: data=PATH.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a workspace from an example."""
    from nudge.verbs.examples import init_workspace

    init_workspace(folder, example, pairs(settings or [], "--set"))
    terminal = Terminal(as_json=as_json, quiet=quiet)
    if not terminal.result({"workspace": str(folder), "example": example}):
        terminal.print(f"{folder} is a workspace made from the example '{example}'.")
        first = f"nudge simulate -w {folder}" if example == "demo" else f"nudge ingest -w {folder}"
        terminal.print(f"Next: {first}")


def simulate(
    workspace: WorkspaceOption = Path(),
    contacts: Annotated[int, typer.Option(min=1, help="How many contacts.")] = 20_000,
    days: Annotated[int, typer.Option(min=1, help="How many days.")] = 180,
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another world.")] = 7,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write the demo business' raw data: a bank whose customers' responses are known."""
    from nudge.verbs.demo import simulate_into

    terminal = Terminal(as_json=as_json, quiet=quiet)
    with terminal.working(f"simulating {contacts:,} contacts over {days} days"):
        counts = simulate_into(workspace, contacts=contacts, days=days, seed=seed)
    if not terminal.result(counts):
        terminal.table(f"Simulated into {workspace / 'raw'}", ["table", "rows"], list(counts.items()))


def ingest(
    workspace: WorkspaceOption = Path(),
    quarantine: Annotated[bool, typer.Option("--quarantine", help="Set bad rows aside in data/quarantine/ and go on.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Check the sources and turn them into contract tables, with a data audit."""
    from nudge.verbs.ingesting import ingest_workspace

    terminal = Terminal(as_json=as_json, quiet=quiet)
    with terminal.working("ingesting") as say:
        document = ingest_workspace(open_workspace(workspace), quarantine=quarantine, progress=say)
    if not terminal.result(document):
        show.ingested(terminal, document)


def features_build(
    workspace: WorkspaceOption = Path(), as_of: AsOfOption = None, as_json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Build the features of every contact, and of every interaction as of its own time."""
    from nudge.verbs.features_ready import build, default_as_of, to_datetime64
    from nudge.verbs.ledger_events import merge_ledger_events

    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    cut = moment(as_of)
    with terminal.working("building features") as say:
        merge_ledger_events(found)
        report = build(found, default_as_of(found) if cut is None else to_datetime64(cut), say)
    if not terminal.result({"features": report.features, "rows": report.rows, "contract_hash": report.contract_hash}):
        terminal.print(f"{report.features} features in {report.rows:,} rows, contract {report.contract_hash}")


def features_materialize(workspace: WorkspaceOption = Path(), as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Put every contact's newest features where serving reads them."""
    from nudge.verbs.features_ready import ensure_built, materialize

    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    with terminal.working("materialising features") as say:
        ensure_built(found, say)
        rows = materialize(found)
    if not terminal.result({"rows": rows}):
        terminal.print(f"{rows:,} contacts are in the online store")


def features_audit(workspace: WorkspaceOption = Path(), as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Compare what serving reads with what training reads, feature by feature."""
    from nudge.verbs.features_ready import ensure_online
    from nudge.verbs.ledger_events import consent_tables, event_tables

    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    with terminal.working("comparing online with offline features") as say:
        ensure_online(found, say)
        with found.open_ledger() as ledger:
            skew = found.door.skew(event_tables(ledger), consent_tables(ledger))
    if not terminal.result({"skew": skew}):
        terminal.table("Skew between online and offline features", ["feature", "share of contacts that differ"], list(skew.items()))


def train(
    workspace: WorkspaceOption = Path(),
    as_of: AsOfOption = None,
    only: Annotated[str | None, typer.Option("--only", help="One of propensity, uplift, clv, lead.")] = None,
    refit: Annotated[bool, typer.Option("--refit", help="Fit also the models that nothing has changed for.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Learn propensity, uplift and CLV, or with --only lead the score of leads; evaluate; register the models in MLflow."""
    from nudge.verbs.training import train_workspace

    terminal = Terminal(as_json=as_json, quiet=quiet)
    with terminal.working("training") as say:
        document = train_workspace(open_workspace(workspace), as_of=moment(as_of), only=only, refit=refit, say=say)
    if not terminal.result(document):
        show_training.trained(terminal, document)
        return
    for warning in document["warnings"]:
        terminal.warn(warning)


def evaluate(
    workspace: WorkspaceOption = Path(),
    decisions: Annotated[int, typer.Option("--decisions", min=1, help="So many of the newest decisions of the ledger.")] = 5_000,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare champion, challenger and simple policies by what each would have earned."""
    from nudge.verbs.evaluating import evaluate_workspace

    terminal = Terminal(as_json=as_json, quiet=quiet)
    with terminal.working("evaluating") as say:
        document = evaluate_workspace(open_workspace(workspace), say=say, decisions=decisions)
    if not terminal.result(document):
        show_evaluation.evaluated(terminal, document)


def promote(
    model: Annotated[str, typer.Argument(help="propensity, uplift or clv, or the registered name.")],
    workspace: WorkspaceOption = Path(),
    version: Annotated[int | None, typer.Option("--version", help="Default: the challenger.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Promote past the gate; needs --why.")] = False,
    why: Annotated[str | None, typer.Option("--why", help="The reason, kept on the version.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a model version the champion, the one that decides, if it surely earns more than the present one."""
    from nudge.verbs.evaluating import promote_workspace

    terminal = Terminal(as_json=as_json, quiet=quiet)
    with terminal.working("asking the gate") as say:
        document = promote_workspace(open_workspace(workspace), model, say=say, version=version, force=force, why=why)
    if not terminal.result(document):
        word = "is promoted" if document["promoted"] else "is not promoted"
        terminal.print(f"{document['model']} version {document['version']} {word}: {document['reason']}")


def rollback(
    model: Annotated[str, typer.Argument(help="propensity, uplift or clv, or the registered name.")],
    workspace: WorkspaceOption = Path(),
    why: Annotated[str | None, typer.Option("--why", help="The reason, kept on the version that steps down.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make the previous champion the champion again."""
    from nudge.verbs.evaluating import rollback_workspace

    terminal = Terminal(as_json=as_json, quiet=quiet)
    document = rollback_workspace(open_workspace(workspace), model, why=why)
    if not terminal.result(document):
        terminal.print(f"{document['model']} version {document['version']} is the champion again: {document['reason']}")
