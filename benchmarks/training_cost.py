"""Training the demo bank with 100,000 contacts and a dozen actions, as anybody would: time, CPU, memory.

`make bench ONLY=training_cost` (NUDGE_CONTACTS=100000; it simulates and ingests the bank first, for some minutes).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.commands import run
from benchmarks.million import measured
from benchmarks.results import Figure


def measure() -> Sequence[Figure]:
    """Prepare, then build the features and train, each once."""
    contacts = int(os.environ.get("NUDGE_CONTACTS", "100000"))
    with tempfile.TemporaryDirectory(prefix="nudge-training-cost-") as name:
        folder = Path(name) / "bank"
        run("init", folder, "--example", "demo")
        run("simulate", "-w", folder, "--contacts", contacts)
        run("ingest", "-w", folder)
        built = measured("features", "build", "-w", folder)
        trained = measured("train", "-w", folder)
    return [
        Figure("training_cost.features built", built.document["rows"], "rows"),
        Figure("training_cost.features: time", built.wall_s, "seconds"),
        Figure("training_cost.features: CPU", built.cpu_s, "seconds"),
        Figure("training_cost.features: peak memory", built.peak_gb, "GB"),
        Figure("training_cost.models trained", len(trained.document["models"]), "models"),
        Figure("training_cost.training: time", trained.wall_s, "seconds", goal="<= 120"),
        Figure("training_cost.training: CPU", trained.cpu_s, "seconds"),
        Figure("training_cost.training: peak memory", trained.peak_gb, "GB", goal="<= 3"),
    ]
