"""A real PostgreSQL for tests and benchmarks: started from the machine's own binaries on a free port, gone when they are."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PLACES = ("/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin")
_SUPERUSER = "nudge"


def binaries() -> Path | None:
    """The folder of PostgreSQL's own programs, the newest one; None where it is not installed."""
    found = shutil.which("initdb")
    folders = [folder for place in _PLACES for folder in sorted(Path("/").glob(place.removeprefix("/"))) if (folder / "initdb").exists()]
    return folders[-1] if folders else Path(found).resolve().parent if found else None


@contextmanager
def server(programs: Path, *, durable: bool = False) -> Iterator[str]:
    """A running server; yields the URL of its database `postgres`. Only a durable one waits for the disk."""
    with tempfile.TemporaryDirectory(prefix="nudge-pg-") as name, socket.create_server(("127.0.0.1", 0)) as found:
        folder, port = Path(name), found.getsockname()[1]
        found.close()
        account = _other_account(folder)
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **account}
        subprocess.run([programs / "initdb", "-D", folder / "data", "-U", _SUPERUSER, "-A", "trust", "-E", "UTF8"], check=True, **quiet)
        options = ["-p", str(port), "-h", "127.0.0.1", "-k", name, *([] if durable else ["-F"])]
        with subprocess.Popen([programs / "postgres", "-D", folder / "data", *options], **quiet) as process:
            try:
                _await(programs, port)
                yield f"postgresql://{_SUPERUSER}@127.0.0.1:{port}/postgres"
            finally:
                process.terminate()
                process.wait(timeout=30)


def _other_account(folder: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root: then as the account that its package made."""
    if os.geteuid() != 0:
        return {}
    shutil.chown(folder, "postgres")
    folder.chmod(0o700)
    return {"user": "postgres", "cwd": folder}


def _await(programs: Path, port: int) -> None:
    for _ in range(300):
        if subprocess.run([programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]).returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError("PostgreSQL never became ready")
