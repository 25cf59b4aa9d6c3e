"""The command line as anybody calls it: a process of its own, JSON out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def run(*arguments: object) -> dict[str, Any]:
    """Run `nudge ARGUMENTS --json --quiet` from the project's root; returns its document.

    Raises
    ------
    RuntimeError
        The command failed; the message is what it said.
    """
    command = [sys.executable, "-m", "nudge", *map(str, arguments), "--json", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    document: dict[str, Any] = json.loads(done.stdout)
    return document
