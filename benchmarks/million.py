"""A million contacts x 60 candidates planned under 12 constraints by `nudge plan`, as anybody would: time, CPU, memory.

`make bench ONLY=million` (NUDGE_CONTACTS=1000000; it makes and trains a workspace first, for some minutes).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.commands import ROOT, run
from benchmarks.million_world import write_workspace
from benchmarks.results import Figure

GIGABYTE_KB = 1e6


@dataclass(frozen=True)
class Cost:
    """What a command cost, and what it printed."""

    wall_s: float
    cpu_s: float
    peak_gb: float
    document: dict[str, Any]


def measure() -> Sequence[Figure]:
    """Prepare, then plan once and measure that."""
    contacts = int(os.environ.get("NUDGE_CONTACTS", "1000000"))
    with tempfile.TemporaryDirectory(prefix="nudge-million-") as name:
        folder = Path(name)
        prepare(folder, contacts)
        cost = measured("plan", "-w", folder, "--out", folder / "exports")
    plan = cost.document
    return [
        Figure("million.contacts planned, 60 candidates each", plan["contacts"], "contacts"),
        Figure("million.selected", plan["selected"], "contacts"),
        Figure("million.plan: time", cost.wall_s, "seconds", goal="<= 180"),
        Figure("million.plan: CPU", cost.cpu_s, "seconds"),
        Figure("million.plan: peak memory", cost.peak_gb, "GB", goal="<= 4"),
        Figure("million.plan: optimality gap", plan["optimality_gap"], "of what there was to win", goal="<= 1e-5"),
    ]


def prepare(folder: Path, contacts: int) -> None:
    """The workspace, ingested and trained."""
    write_workspace(folder, contacts=contacts)
    for arguments in (["ingest"], ["features", "build"], ["train"]):
        begun = time.monotonic()
        run(*arguments, "-w", folder)
        print(f"  {' '.join(arguments)}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)


def measured(*arguments: object) -> Cost:
    """`nudge ARGUMENTS --json`, with what it cost."""
    command = [sys.executable, "-m", "nudge", *map(str, arguments), "--json"]
    begun = time.monotonic()
    with tempfile.TemporaryFile("w+") as out, subprocess.Popen(command, cwd=ROOT, stdout=out) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
        return Cost(time.monotonic() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / GIGABYTE_KB, json.load(out))
