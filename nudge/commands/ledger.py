"""The commands about the ledger as evidence, and about one person in all stores."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from decisioning.errors import Conflict, RequestError
from nudge.answers import ledger as show_ledger
from nudge.commands.options import JsonOption, QuietOption, WorkspaceOption, open_workspace, pairs
from nudge.ground.moments import moment
from nudge.ground.terminal import Terminal

if TYPE_CHECKING:
    from decisioning.catalog import Catalog

_ContactId = Annotated[str, typer.Argument(help="Whom.")]


def verify_ledger(
    workspace: WorkspaceOption = Path(),
    known: Annotated[
        Path | None,
        typer.Option("--known", metavar="FILE", help="An earlier check's --json: its links must still be there."),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Check that every decision and outcome is what it was when it was written; exit code 1 where one is not."""
    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    heads = None if known is None else _heads(known)
    with terminal.working("checking the ledger"), found.open_ledger() as ledger:
        verdict = ledger.verify(heads)
    if not terminal.result(verdict.to_json()):
        show_ledger.verified(terminal, verdict.to_json())
    if verdict.first_bad is not None:
        bad = verdict.first_bad
        raise Conflict(f"the ledger is not what it was: {bad.what}", field=f"{bad.stream} {bad.seq}", got=bad.key)


def erase(
    contact_id: _ContactId,
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Erase a contact from every store (GDPR article 17); sums and hash chains stay."""
    from nudge.verbs.people import erase_contact

    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    with terminal.working("erasing"):
        document = erase_contact(found, contact_id)
    if not terminal.result(document):
        show_ledger.erased(terminal, document)


def export_contact(
    contact_id: _ContactId,
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Everything held about a contact (GDPR article 15), as JSON."""
    from nudge.verbs.people import export_contact as export

    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    with terminal.working("gathering"):
        document = export(found, contact_id)
    if not terminal.result(document):
        terminal.print(json.dumps(document, ensure_ascii=False, indent=2, default=str))


def ingest_outcomes(
    file: Annotated[Path, typer.Argument(help="csv, parquet or ndjson: decision_id or contact_id, outcome, occurred_at, value, event_id.")],
    workspace: WorkspaceOption = Path(),
    words: Annotated[
        list[str] | None, typer.Option("--map", metavar="WORD=OUTCOME", help="What a word of the tool means; WORD= ignores it.")
    ] = None,
    quarantine: Annotated[bool, typer.Option("--quarantine", help="Set bad rows aside in data/quarantine/ and go on.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Keep what an orchestration tool reports: sent, delivered, opened, clicked, replied; each row once, all or none."""
    from nudge.verbs.outcome_files import ingest_outcomes as ingest

    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    with terminal.working("reading outcomes") as say:
        document = ingest(found, file, pairs(words or [], "--map"), quarantine=quarantine, say=say)
    if document["orphans"]:
        terminal.warn(f"{document['orphans']:,} outcomes name a decision that is not in the ledger: kept for their contacts")
    if not terminal.result(document):
        terminal.table("Outcomes", list(document), [list(document.values())])


def reconcile(
    workspace: WorkspaceOption = Path(),
    since: Annotated[str | None, typer.Option("--since", help="Decisions from this time on (ISO 8601, UTC).")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Decisions before this time.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Decided, delivered, seen and responded by channel and day, with what is missing named."""
    from serving.feedback.reconciling import reconcile as reconciled

    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    span = (moment(since, "--since"), moment(until, "--until"))
    with terminal.working("reconciling"), found.open_ledger() as ledger:
        document = reconciled(ledger, found.catalog, datetime.now(UTC), span)
    for gap in document["gaps"]:
        terminal.warn(gap)
    if not terminal.result(document):
        show_ledger.reconciled(terminal, document)


def retain(
    days: Annotated[int, typer.Option("--days", min=1, help="How long decisions, outcomes and events are kept.")],
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Remove decisions, outcomes and events older than so many days; the hash chains stay whole."""
    from nudge.verbs.ledger_export import forget_in_ledger_export

    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    needed = _longest(found.catalog)
    if days < needed:
        allowed = f"{needed} or more: caps, windows and prices look back so far"
        raise Conflict("would remove what decisions still count on", field="--days", got=days, allowed=allowed)
    now = datetime.now(UTC)
    with terminal.working("removing what is old"), found.open_ledger() as ledger:
        document = ledger.remove_before(now - timedelta(days=days), now)
        forget_in_ledger_export(found)
    if not terminal.result(document):
        gone = f"{document['decisions']:,} decisions, {document['outcomes']:,} outcomes and {document['events']:,} events"
        terminal.print(f"{gone} of more than {days} days ago are gone")


def _longest(catalog: Catalog) -> int:
    """The days that contact policies, outcome windows and the period of prices look back."""
    spans = [span for one in catalog.contact_policy for span in (one.per_days, one.suppress_days) if span is not None]
    return math.ceil(max([*spans, *(one.window_days for one in catalog.outcomes.values()), catalog.period_days]))


def export_decisions(
    file: Annotated[Path | None, typer.Argument(help="Where to: a name that ends in .parquet or .csv.")] = None,
    workspace: WorkspaceOption = Path(),
    partitioned: Annotated[
        Path | None, typer.Option("--partitioned", metavar="DIR", help="Into a new folder, decisions and outcomes by day.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """The decision log for analysts: a row a candidate, in pdstools' column names."""
    from serving.feedback.decision_export import export_decisions as export
    from serving.feedback.decision_export import export_partitioned

    if (file is None) == (partitioned is None):
        raise RequestError("one place to write to", field="FILE", allowed="either FILE or --partitioned DIR")
    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    with terminal.working("exporting") as say, found.open_ledger() as ledger:

        def tell(done: int) -> None:
            say(f"{done:,} decisions")

        counts = export_partitioned(ledger, partitioned, tell) if partitioned is not None else export(ledger, Path(str(file)), tell)
    document = {**counts, "file": str(partitioned or file)}
    if not terminal.result(document):
        terminal.print(f"{counts['rows']:,} rows of {counts['decisions']:,} decisions written to {document['file']}")


def export_ledger(
    folder: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="Default: exports/ledger/ of the workspace.")] = None,
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """The ledger's tables as Parquet by day, for analysts; only what is new since the last time is read."""
    from nudge.verbs.ledger_export import export_ledger as export

    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    with terminal.working("exporting the ledger") as say:
        document = export(found, folder, say)
    if not terminal.result(document):
        show_ledger.exported(terminal, document)


def _heads(path: Path) -> dict[str, Any]:
    try:
        heads = json.loads(path.read_text(encoding="utf-8"))["heads"]
        return {str(name): (int(seq), str(digest)) for name, (seq, digest) in heads.items()}
    except OSError as error:
        raise RequestError("cannot be read", field="--known", got=str(path), hint=error.strerror) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        allowed = "the JSON of an earlier nudge verify-ledger --json"
        raise RequestError("holds no heads of a ledger", field="--known", got=str(path), allowed=allowed) from None
