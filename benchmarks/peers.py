"""Training an uplift on 1,000,000 x 40: time and peak memory beside causalml's and EconML's learners on the same LightGBM settings.

Optional: `make bench-peers` installs the peers into `.venv-peers` first. Each learner trains and predicts in a fresh process on one thread;
time is that of the processor, which other work on the machine does not stretch. Memory is the process' peak beyond what libraries and data
take before the training begins; the peak with both stands beside it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.special import expit

from benchmarks.commands import ROOT
from benchmarks.peers_run import LEARNERS
from benchmarks.results import Figure

ROWS, COLUMNS = 1_000_000, 40
COMPARED = {
    "cpu_seconds": ("train and predict", "seconds CPU", "<= 0.2 x"),
    "gigabytes": ("memory of training", "GB", "<= 0.25 x"),
    "gigabytes_in_all": ("peak memory, libraries and data included", "GB", None),
    "correlation": ("correlation with the truth", "", ">= 1 x"),
}
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"


def write_data(folder: Path, rows: int = ROWS, seed: int = 7) -> None:
    """A randomised exposure and a binary outcome whose uplift is known; half of the columns are rounded, some values are 0."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, COLUMNS), dtype=np.float32)
    x[:, COLUMNS // 2 :] = np.round(2.0 * x[:, COLUMNS // 2 :])
    x[rng.random((rows, COLUMNS), dtype=np.float32) < 0.05] = 0.0
    base = -2.0 + 0.5 * x[:, 0] - 0.4 * x[:, 1] + 0.3 * np.abs(x[:, 2]) + 0.2 * x[:, 21] * (x[:, 3] > 0)
    baseline, propensity = expit(base), expit(base + 0.3 + 0.4 * x[:, 4] * (x[:, 5] > 0))
    exposed = rng.integers(0, 2, rows)
    happened = rng.random(rows) < np.where(exposed == 1, propensity, baseline)
    parts = {"X": x.astype(np.float64), "y": happened.astype(np.float64), "w": exposed, "uplift": propensity - baseline}
    for name, part in parts.items():
        np.save(folder / f"{name}.npy", part)


def run(name: str, folder: Path) -> dict[str, float]:
    """One learner in a process of its own; see `peers_run.main`."""
    python = sys.executable if name == "Nudge" else str(PEERS_PYTHON)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    command = [python, "-W", "ignore", "-m", "benchmarks.peers_run", name, str(folder)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **threads}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} failed: {done.stderr.strip()[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def measure(rows: int = ROWS) -> Sequence[Figure]:
    """Ours beside each peer: processor seconds, gigabytes, and the correlation with the true uplift."""
    if not PEERS_PYTHON.exists():
        raise SystemExit(f"the peers are not installed in {PEERS_PYTHON.parent.parent.name}. Hint: make bench-peers")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_data(folder, rows)
        found = {name: run(name, folder) for name in LEARNERS}
    ours, figures = found["Nudge"], []
    for peer in (name for name in LEARNERS if name != "Nudge"):
        theirs = found[peer]
        # The same learner is a doubly robust one; the others show what simpler ones cost.
        held = peer.endswith("DR")
        for key, (what, unit, goal) in COMPARED.items():
            name = f"peers.{what} beside {peer}"
            figures.append(Figure(name, ours[key], unit, peer=peer, peer_value=theirs[key], goal=goal if held else None))
    return figures
