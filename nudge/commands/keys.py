"""The commands about API keys."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from decisioning.errors import NotFound
from nudge.commands.options import JsonOption, QuietOption, WorkspaceOption, open_workspace
from nudge.ground.terminal import Terminal

if TYPE_CHECKING:
    from ledger.keys import ApiKey


def create(
    scope: Annotated[list[str], typer.Option("--scope", help="decide, record, export, read or admin (everything); may be repeated.")],
    name: Annotated[str, typer.Option("--name", help="Whose it is.")],
    days: Annotated[
        float | None, typer.Option("--days", min=0.001, max=36500.0, help="How long it holds; left out: until revoked.")
    ] = None,
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a key. It is shown once and kept nowhere: only its digest is."""
    from serving.http.api_keys import new_key

    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    text, key = new_key(name, scope, datetime.now(UTC), days)
    with found.open_ledger() as ledger:
        ledger.keys.add(key)
    if not terminal.result({"key": text, **_shown(key)}):
        terminal.print(text)
        terminal.say(f"Key {key.key_id} of {name} opens {', '.join(key.scopes)}. It is not shown again.")


def list_keys(workspace: WorkspaceOption = Path(), as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List every key that was made, without the keys themselves."""
    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    with found.open_ledger() as ledger:
        keys = [_shown(key) for key in ledger.keys.all()]
    if not terminal.result({"keys": keys}):
        header = ["id", "name", "scopes", "state", "created_at", "expires_at", "revoked_at"]
        rows = [[", ".join(one[name]) if name == "scopes" else one[name] for name in header] for one in keys]
        terminal.table("Keys", header, rows)


def revoke(
    key_id: Annotated[str, typer.Argument(help="The id of the key, as nudge keys list shows it.")],
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """End a key: servers refuse it within seconds."""
    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    with found.open_ledger() as ledger:
        key = ledger.keys.revoke(key_id, datetime.now(UTC))
    if key is None:
        raise NotFound("there is no such key", field="KEY_ID", got=key_id, hint="nudge keys list shows them")
    if not terminal.result(_shown(key)):
        terminal.print(f"Key {key.key_id} of {key.name} opens nothing any more.")


def _shown(key: ApiKey) -> dict[str, Any]:
    from serving.realtime.answers import iso

    state = "revoked" if key.revoked_at is not None else "holds" if key.holds(datetime.now(UTC)) else "expired"
    ends = {name: None if time is None else iso(time) for name, time in (("expires_at", key.expires_at), ("revoked_at", key.revoked_at))}
    return {"id": key.key_id, "name": key.name, "scopes": list(key.scopes), "state": state, "created_at": iso(key.created_at), **ends}
