"""What the commands share: the options of every one of them, and how a text of the command line is read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from decisioning.errors import RequestError

if TYPE_CHECKING:
    from nudge.ground.workspace import Workspace

WorkspaceOption = Annotated[Path, typer.Option("-w", "--workspace", help="The workspace's folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No progress and no remarks.")]
AsOfOption = Annotated[str | None, typer.Option("--as-of", help="Only what happened before this time counts (ISO 8601, UTC).")]


def open_workspace(folder: Path) -> Workspace:
    """The workspace in `folder`; what it needs is imported only now, so that `--help` answers at once."""
    from nudge.ground.workspace import Workspace

    return Workspace.open(folder)


def pairs(texts: list[str], option: str) -> dict[str, str]:
    """`KEY=VALUE` texts as a mapping.

    Examples
    --------
    >>> pairs(["intent=save"], "--context")
    {'intent': 'save'}
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise RequestError("is not KEY=VALUE", field=option, got=f"'{text}'")
        found[key] = value
    return found
