"""The process of `desks/plan_processes.py`: loads what a plan needs, waits to be told what to plan, plans it and ends."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

_MOST_BYTES = 1 << 20
_MOST_FILES = 8


def main() -> None:
    """The process itself."""
    with socket.socket(fileno=os.dup(0)) as channel:
        _load(Path(sys.argv[1]))
        message, files, _, _ = socket.recv_fds(channel, _MOST_BYTES, _MOST_FILES)
    if not message:
        return
    for place, descriptor in ((0, os.open(os.devnull, os.O_RDONLY)), (1, files[0]), (2, files[1])):
        os.dup2(descriptor, place)
        os.close(descriptor)
    sys.argv = ["nudge", *json.loads(message)]
    from nudge.cli import main as nudge

    nudge()


def _load(folder: Path) -> None:
    """Import and compile what a plan uses; what is wrong with the workspace is said when the plan is made."""
    import warnings

    import features.feast_repo.definitions  # noqa: F401 - it imports Feast
    import nudge.verbs.planning  # noqa: F401 - and with it all that planning needs
    from decisioning.errors import NudgeError
    from nudge.ground.workspace import Workspace
    from nudge.verbs.snapshot_source import WorkspaceSnapshots

    warnings.simplefilter("ignore")
    try:
        workspace = Workspace.open(folder)
        with workspace.open_ledger() as ledger:
            WorkspaceSnapshots(workspace, ledger).load()
    except NudgeError:
        return


if __name__ == "__main__":
    main()
