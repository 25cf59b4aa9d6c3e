"""A process that has everything loaded that a plan needs, and waits to hear what to plan.

Loading takes many times as long as planning for ten thousand contacts: who asks "what if the budget were another" should not wait for it.
Each process makes one plan and ends. It is told by a socket in the place of its stdin: the arguments of `nudge`, with the open files that
become its stdout and stderr and the locks that it holds. Where the socket closes before, nobody needs it any more.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

SECONDS_KEPT = 600.0
"""How long a process waits that nobody asks anything of."""

_MOST_BYTES = 1 << 20
_MOST_FILES = 8


class PlanProcesses:
    """Starts `nudge` in a process that was prepared, or in a new one; threads may share one.

    Parameters
    ----------
    workspace : Path
        What is loaded ahead.
    """

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._ready: tuple[subprocess.Popen[bytes], socket.socket] | None = None
        self._wanted = monotonic()

    def prepare(self) -> None:
        """Have a process load what it needs, if none does already: somebody is likely to ask."""
        with self._lock:
            self._wanted = monotonic()
            if self._ready is None or self._ready[0].poll() is not None:
                self._drop()
                self._ready = self._started()

    def run(self, arguments: Sequence[str], files: Sequence[int]) -> subprocess.Popen[bytes]:
        """Run `nudge ARGUMENTS`; `files` are descriptors: its stdout, its stderr, and what else it holds open."""
        self.prepare()
        with self._lock:
            assert self._ready is not None
            process, channel = self._ready
            self._ready = None
        with channel:
            socket.send_fds(channel, [json.dumps(list(arguments)).encode()], list(files))
        return process

    def tidy(self) -> None:
        """End a process that nobody has asked anything of for long."""
        with self._lock:
            if self._ready is not None and monotonic() - self._wanted > SECONDS_KEPT:
                self._drop()

    def close(self) -> None:
        """End the process that waits."""
        with self._lock:
            self._drop()

    def _started(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "nudge.plan_process", str(self._workspace)]
            process = subprocess.Popen(command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return process, ours

    def _drop(self) -> None:
        if self._ready is not None:
            process, channel = self._ready
            channel.close()
            process.terminate()
            process.wait()
            self._ready = None


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
    import nudge.planning  # noqa: F401 - and with it all that planning needs
    from decisioning.errors import NudgeError
    from nudge.snapshot_source import WorkspaceSnapshots
    from nudge.workspace import Workspace

    warnings.simplefilter("ignore")
    try:
        workspace = Workspace.open(folder)
        with workspace.open_ledger() as ledger:
            WorkspaceSnapshots(workspace, ledger).load()
    except NudgeError:
        return


if __name__ == "__main__":
    main()
