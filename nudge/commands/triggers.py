"""The commands about triggers that time alone fires: looking now, and how they stand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nudge.commands.options import JsonOption, QuietOption, WorkspaceOption, open_workspace
from nudge.ground.terminal import Terminal

triggers_app = typer.Typer(help="Triggers that time alone fires (every_minutes): look now, see how they stand.", no_args_is_help=True)
_BUSY = "looked at by another process now"
_NONE = "No trigger of the catalogue has every_minutes: none looks at everybody by time."


@triggers_app.command("run")
def run(
    trigger: Annotated[list[str] | None, typer.Argument(metavar="[TRIGGER]...", help="Which; left out: all.")] = None,
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Look at everybody now, due or not, and decide on who entered since the last look; a running server does so by itself."""
    from nudge.verbs.triggers import run_triggers

    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    with terminal.working("opening") as say:
        document = run_triggers(found, trigger or [], say)
    for one in document["triggers"]:
        if one["first"]:
            terminal.say(f"{one['trigger']}: a first look; who is inside is noted, and whoever enters from now on is decided on")
        if one["late"]:
            terminal.warn(f"{one['trigger']}: {one['late']:,} entered too long ago: the last look was longer ago than the trigger waits")
    if terminal.result(document):
        return
    if not document["triggers"]:
        terminal.print(_NONE)
        return
    header = ["trigger", "looked_at", "contacts", "inside", "entered", "left", "late"]
    rows = [[_BUSY if name == "looked_at" and one[name] is None else one[name] for name in header] for one in document["triggers"]]
    terminal.table("Triggers", header, rows)
    words = {"decided": "decided", "late": "too late", "refused": "refused", "wait": "tried again later"}
    said = ", ".join(f"{count:,} {words[word]}" for word, count in document["decided"].items())
    terminal.print(said or "nobody to decide on")


@triggers_app.command("list")
def list_(workspace: WorkspaceOption = Path(), as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List them: when each was looked at, how many are inside, how many wait for a decision."""
    from nudge.verbs.triggers import list_triggers

    terminal, found = Terminal(as_json=as_json, quiet=quiet), open_workspace(workspace)
    with terminal.working("opening"):
        listed = list_triggers(found)
    if terminal.result({"triggers": listed}):
        return
    if not listed:
        terminal.print(_NONE)
        return
    header = ["trigger", "every_minutes", "looked_at", "inside", "waiting"]
    terminal.table("Triggers by time", header, [[one[name] for name in header] for one in listed])
