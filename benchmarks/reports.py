"""What it was worth, of a million decisions and five million events: how long the report takes, and whether it finds the planted effect.

The report reads the ledger's export, which holds all of it already: the first export, of all that at once, is timed apart. The wall clock
is that of the machine as it was; CPU over its cores is what it would take with nobody beside.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import report_world
from benchmarks.results import Figure
from nudge.ground.workspace import Workspace
from nudge.reports.facts import Span, open_facts
from nudge.reports.roi import roi_report
from nudge.verbs.ledger_export import export_ledger


def measure() -> Sequence[Figure]:
    """Seconds of `nudge report roi`, and how far the measured revenue a contact is from the planted one, in its standard errors."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = report_world.write(Path(folder) / "big")
        exported, exported_cpu, _ = _timed(lambda: export_ledger(workspace))
        wall, cpu, document = _timed(lambda: _report(workspace))
    name = f"reports.roi of {report_world.DECISIONS:,} decisions and {report_world.EVENTS:,} events"
    return [
        Figure("reports.first export of that ledger", exported, "s"),
        Figure("reports.first export of that ledger, CPU", exported_cpu, "s CPU"),
        Figure(name, wall, "s", goal="<= 10"),
        Figure(f"{name}, CPU", cpu, "s CPU", goal="<= 20"),
        Figure("reports.measured less planted revenue", _off(document), "standard errors", goal="<= 3"),
    ]


def _report(workspace: Workspace) -> dict[str, Any]:
    with open_facts(workspace) as facts:
        return roi_report(facts, Span())


def _timed(call: Callable[[], dict[str, Any]]) -> tuple[float, float, dict[str, Any]]:
    wall, cpu = time.perf_counter(), time.process_time()
    found = call()
    return time.perf_counter() - wall, time.process_time() - cpu, found


def _off(document: dict[str, object]) -> float:
    """Planted: each decision of a treated contact sells `TREATED - HELD_OUT` more often. Only sales after the first decision count."""
    (layer,) = document["incremental"]["programme"]["layers"]  # type: ignore[index]
    found = layer["revenue"]["per_contact"]
    decided = layer["treated"] + layer["control"]
    a_contact = report_world.DECISIONS / decided * (report_world.TREATED - report_world.HELD_OUT) * report_world.SALE
    return float(abs(found["value"] - a_contact) / ((found["high"] - found["low"]) / 2 / 1.96))
