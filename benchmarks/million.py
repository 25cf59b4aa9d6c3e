"""A million contacts x 60 candidates planned under 12 constraints by `nudge plan`, as anybody would: time, CPU, memory.

`make bench ONLY=million` (NUDGE_CONTACTS=1000000). A tenth of the contacts is planned for first, in a workspace of its own, where the
models are trained that both use: what the other nine tenths take more is what a contact takes. Memory is looked at ten times a second,
that of the processes that help included; anonymous memory is what the system cannot write out to the files that offers are kept in.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.commands import ROOT, run
from benchmarks.million_world import write_workspace
from benchmarks.results import Figure

GIGABYTE_KB = 1e6


@dataclass(frozen=True)
class Cost:
    """What a command cost, all its processes together, and what it printed; `anonymous_gb` is NaN where the system does not say it."""

    wall_s: float
    cpu_s: float
    peak_gb: float
    anonymous_gb: float
    document: dict[str, Any]


def measure() -> Sequence[Figure]:
    """Prepare, plan for a tenth, then for all, and measure that."""
    contacts = int(os.environ.get("NUDGE_CONTACTS", "1000000"))
    part, whole = (_planned(count, train=count < contacts) for count in (contacts // 10, contacts))
    plan, more = whole.document, whole.document["contacts"] - part.document["contacts"]
    return [
        Figure("million.contacts planned, 60 candidates each", plan["contacts"], "contacts"),
        Figure("million.selected", plan["selected"], "contacts"),
        Figure("million.plan: time", whole.wall_s, "seconds", goal="<= 180"),
        Figure("million.plan: CPU", whole.cpu_s, "seconds"),
        Figure("million.plan: peak memory, mapped files included", whole.peak_gb, "GB", goal="<= 4"),
        Figure("million.plan: peak anonymous memory", whole.anonymous_gb, "GB", goal="<= 4"),
        Figure(
            "million.plan: anonymous memory a contact, above a tenth of them", (whole.anonymous_gb - part.anonymous_gb) / more * 1e9, "B"
        ),
        Figure("million.plan: CPU a contact, above a tenth of them", (whole.cpu_s - part.cpu_s) / more * 1e6, "us"),
        Figure("million.plan: optimality gap", plan["optimality_gap"], "of what there was to win", goal="<= 1e-5"),
    ]


def _planned(contacts: int, *, train: bool) -> Cost:
    with tempfile.TemporaryDirectory(prefix="nudge-million-") as name:
        prepare(Path(name), contacts, train=train)
        return measured("plan", "-w", name, "--out", Path(name) / "exports")


def prepare(folder: Path, contacts: int, *, train: bool = True) -> None:
    """The workspace, ingested and trained; without training it is served by the models of another one of its name."""
    write_workspace(folder, contacts=contacts)
    for arguments in (["ingest"], ["features", "build"], *([["train"]] if train else [])):
        begun = time.monotonic()
        run(*arguments, "-w", folder)
        print(f"  {contacts:,}: {' '.join(arguments)}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)


def measured(*arguments: object) -> Cost:
    """`nudge ARGUMENTS --json`, with what it cost."""
    command = [sys.executable, "-m", "nudge", *map(str, arguments), "--json"]
    begun, peak, anonymous = time.monotonic(), 0.0, math.nan
    with tempfile.TemporaryFile("w+") as out, subprocess.Popen(command, cwd=ROOT, stdout=out) as process:
        while True:
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            now, of_it = _memory_gb(process.pid)
            peak, anonymous = max(peak, now), np.fmax(anonymous, of_it)
            time.sleep(0.1)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
        cpu = used.ru_utime + used.ru_stime
        return Cost(time.monotonic() - begun, cpu, max(peak, used.ru_maxrss / GIGABYTE_KB), float(anonymous), json.load(out))


def _memory_gb(pid: int) -> tuple[float, float]:
    """Resident and anonymous memory of a process and those that it began; (0, NaN) where there is no /proc."""
    try:
        said = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines())
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    except OSError:
        return 0.0, math.nan
    own = [float(said.get(name, "0 kB").split()[0]) / GIGABYTE_KB for name in ("VmRSS", "RssAnon")]
    others = [_memory_gb(int(child)) for child in children]
    return own[0] + sum(one for one, _ in others), own[1] + float(np.nansum([one for _, one in others]))
