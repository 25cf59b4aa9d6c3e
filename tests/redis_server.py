"""A real Redis for tests: started from the machine's own binary on a free port, gone when the tests are."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def binary() -> str | None:
    """Redis' own program; None where it is not installed."""
    return shutil.which("redis-server")


class RedisServer:
    """A server that can be stopped, killed and started again with what it held when it was last stopped."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program, self._folder = program, folder
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port = int(found.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Its connection string as nudge.yaml has it."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", "3600 1"]
        self._process = subprocess.Popen([self._program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(300):
            if self._answers():
                return
            time.sleep(0.02)
        raise AssertionError("Redis never became ready")

    def stop(self, *, frozen: bool = False) -> None:
        """Stop it, saving what it holds; or freeze it, so that it takes connections and never answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGTERM)
        if not frozen:
            self._process.wait(timeout=30)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as client:
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False


@contextmanager
def server(program: str) -> Iterator[RedisServer]:
    """A running server."""
    with tempfile.TemporaryDirectory(prefix="nudge-redis-") as name:
        running = RedisServer(program, Path(name))
        running.start()
        try:
            yield running
        finally:
            running.thaw()
            running.stop()
