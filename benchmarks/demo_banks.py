"""What do policies truly earn in simulated banks that nobody tuned for? The demo on five seeds."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.commands import run
from benchmarks.results import Figure

SEEDS = (1, 2, 3, 4, 5)
CONTACTS, DAYS = 20_000, 180


def earned(folder: Path, seed: int) -> dict[str, float]:
    """True profit a contact of each policy in one bank."""
    done = run("demo", "-w", folder, "--seed", seed, "--contacts", CONTACTS, "--days", DAYS)
    return {row["policy"]: row["per_contact"] for row in done["policies"]}


def measure() -> Sequence[Figure]:
    """The mean over seeds of each policy's true profit, and the least lead of Nudge over ranking by response in any of them."""
    with tempfile.TemporaryDirectory() as folder:
        banks = [earned(Path(folder) / str(seed), seed) for seed in SEEDS]
    means = {policy: float(np.mean([bank[policy] for bank in banks])) for policy in banks[0]}
    figures = [
        Figure(f"demo_banks.{policy}", mean, "PLN a contact", peer="oracle", peer_value=means["oracle"]) for policy, mean in means.items()
    ]
    least = min(bank["Nudge"] - bank["propensity-greedy"] for bank in banks)
    return [*figures, Figure("demo_banks.least lead of Nudge over propensity-greedy", least, "PLN a contact", goal=">= 0.5")]
