"""Is a plan for Hillstrom's 64,000 customers worth as much as the best single e-mail?

Through the public commands only: trained on a random half of the interactions, valued in visits on the other half.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from benchmarks.commands import ROOT, run
from benchmarks.results import Figure

SPLITS = 5
ARMS = ("mens_email", "womens_email", "no_action")
_ARM_OF = {"Mens E-Mail": "mens_email", "Womens E-Mail": "womens_email", "No E-Mail": "no_action"}


@dataclass(frozen=True)
class Split:
    """One split: who was trained on, and what the plan is worth on the others."""

    contacts: int
    actions: dict[str, int]
    best_arm: str
    difference: float
    standard_error: float


def play(folder: Path, data_dir: Path, *, seed: int) -> Split:
    """Init, ingest, train and plan in `folder`; value the plan in visits a contact against the best single e-mail.

    Value by inverse probability weighting at 1/3 on the half that was not trained on; the difference is paired, contact by contact.
    """
    raw = data_dir / "hillstrom.csv"
    run("init", folder, "--example", "hillstrom", "--set", f"data={raw}")
    trained = _restrict_to_half(folder, len(pd.read_csv(raw)), seed)
    for command in ("ingest", "train"):
        run(command, "-w", folder)
    planned = run("plan", "-w", folder)
    plan = pq.read_table(Path(planned["files"][0]).parent / "plan.parquet").to_pandas()
    return _value(plan, pd.read_csv(raw), trained)


def _restrict_to_half(folder: Path, rows: int, seed: int) -> np.ndarray:
    """Keep a random half of the interactions and their outcomes in nudge.yaml; returns which rows, shape (rows,)."""
    trained = np.zeros(rows, dtype=bool)
    trained[np.random.default_rng(seed).permutation(rows)[: rows // 2]] = True
    pq.write_table(pa.table({"place": np.flatnonzero(trained) + 1}), folder / "half.parquet")
    config = yaml.safe_load((folder / "nudge.yaml").read_text())
    for table in ("interactions", "outcomes"):
        config["sources"][table] = f"SELECT * FROM ({config['sources'][table]}) WHERE interaction_id IN (SELECT place FROM 'half.parquet')"
    config["stores"] = {"tracking": f"sqlite:///{folder}/mlflow.db"}
    (folder / "nudge.yaml").write_text(yaml.safe_dump(config))
    return trained


def _value(plan: pd.DataFrame, raw: pd.DataFrame, trained: np.ndarray) -> Split:
    action = plan.set_index(plan["contact_id"].astype(int))["action_id"].sort_index().to_numpy()
    logged, visit = raw["segment"].map(_ARM_OF).to_numpy(), raw["visit"].to_numpy(dtype=float)
    means = {arm: visit[trained & (logged == arm)].mean() for arm in ARMS}
    best = max(ARMS, key=lambda arm: means[arm])
    gain = 3.0 * visit * ((logged == action).astype(float) - (logged == best))
    test = gain[~trained]
    counts = {str(name): int(count) for name, count in plan["action_id"].value_counts().items()}
    return Split(len(plan), counts, best, float(test.mean()), float(test.std(ddof=1) / np.sqrt(len(test))))


def measure() -> Sequence[Figure]:
    """The mean paired difference in visits a contact over the splits, its standard error, and the time of one run."""
    data_dir = Path(os.environ.get("NUDGE_DATA") or ROOT.parent / "shared" / "data")
    splits, seconds = [], []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(SPLITS):
            started = time.perf_counter()
            splits.append(play(Path(folder) / str(seed), data_dir, seed=seed))
            seconds.append(time.perf_counter() - started)
    difference = float(np.mean([split.difference for split in splits]))
    error = float(np.mean([split.standard_error for split in splits]))
    return [
        Figure("hillstrom_plan.visits beyond the best single e-mail", difference, "visits a contact", goal=">= -0.001"),
        # Small where the plan is nearly that e-mail, and then of a few contacts: no goal can be set by it.
        Figure("hillstrom_plan.standard error of that in one split", error, "visits a contact"),
        Figure("hillstrom_plan.init, ingest, train and plan", float(np.median(seconds)), "seconds", goal="<= 300"),
    ]
