"""The commands about webhook messages: what waits, what arrived, what was given up, and sending again."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from decisioning.errors import NotFound, RequestError
from nudge.commands.options import JsonOption, QuietOption, WorkspaceOption, open_workspace
from nudge.ground.terminal import Terminal

if TYPE_CHECKING:
    from ledger.outbox import Sending

webhooks_app = typer.Typer(help="Webhook messages: what waits, what was given up, and sending again.", no_args_is_help=True)


@webhooks_app.command("list")
def list_messages(
    workspace: WorkspaceOption = Path(),
    dead: Annotated[bool, typer.Option("--dead", help="Only dead letters: those that were given up.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The newest so many.")] = 100,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List the newest messages, with what the last attempt met."""
    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    with found.open_ledger() as ledger:
        listed = [_row(one) for one in ledger.outbox.listed(state="dead" if dead else None, limit=limit)]
        counts = ledger.outbox.counts()
    if terminal.result({"counts": counts, "messages": listed}):
        return
    terminal.print(", ".join(f"{count:,} {state}" for state, count in counts.items()))
    if listed:
        header = ["message_id", "contact_id", "state", "attempts", "created_at", "due_at", "problem"]
        terminal.table("Messages", header, [[one[name] for name in header] for one in listed])


@webhooks_app.command("resend")
def resend(
    message_id: Annotated[str | None, typer.Argument(metavar="ID", help="Which message: its decision's id.")] = None,
    workspace: WorkspaceOption = Path(),
    all_dead: Annotated[bool, typer.Option("--all-dead", help="Every dead letter.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Put a message, or every dead letter, back to be sent by the running server, under the same id."""
    if (message_id is None) != all_dead:
        raise RequestError("which message?", field="ID", allowed="either an ID or --all-dead")
    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    with found.open_ledger() as ledger:
        count = ledger.outbox.resend(datetime.now(UTC), message_id)
    if message_id is not None and not count:
        raise NotFound("no such message was delivered or given up", field="ID", got=message_id, hint="nudge webhooks list shows them")
    if not terminal.result({"resent": count}):
        terminal.print(f"{count:,} put back; the running server sends them")


def _row(one: Sending) -> dict[str, Any]:
    times = {"created_at": one.message.created_at, "due_at": one.due_at, "settled_at": one.settled_at}
    return {
        "message_id": one.message.message_id,
        "contact_id": one.message.contact_id,
        "state": one.state,
        "attempts": one.attempts,
        **{name: None if at is None else at.isoformat().replace("+00:00", "Z") for name, at in times.items()},
        "problem": one.problem,
    }
