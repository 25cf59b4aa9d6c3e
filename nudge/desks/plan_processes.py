"""A process that has everything loaded that a plan needs, and waits to hear what to plan.

Loading takes many times as long as planning for ten thousand contacts: who asks "what if the budget were another" should not wait for it.
Each process makes one plan and ends. It is told by a socket in the place of its stdin: the arguments of `nudge`, with the open files that
become its stdout and stderr and the locks that it holds. Where the socket closes before, nobody needs it any more.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

SECONDS_KEPT = 600.0
"""How long a process waits that nobody asks anything of."""


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
            command = [sys.executable, "-m", "nudge.plan_worker", str(self._workspace)]
            process = subprocess.Popen(command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return process, ours

    def _drop(self) -> None:
        if self._ready is not None:
            process, channel = self._ready
            channel.close()
            process.terminate()
            process.wait()
            self._ready = None
