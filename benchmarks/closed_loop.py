"""Sixty days from nothing: decide, hear what followed, learn every night, ask the gate, decide better.

`make bench ONLY=closed_loop` (NUDGE_DAYS=60, NUDGE_SEEDS=3). A shop of 4,000 contacts without any history opens. Every day 400 of them
come to its site and are decided for over HTTP; what they do is posted as outcomes when it happens. Every night `nudge train` learns from
the ledger, and `nudge promote` asks the gate whether what it learned may decide. The server is that of `nudge serve`, with a clock that is
moved. What each decision truly earns is known to the world alone. The picture is `docs/img/closed_loop.svg`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.closed_loop_shop import Day
from benchmarks.commands import ROOT
from benchmarks.results import Figure

DAYS, SEEDS, AT_ONCE = 60, 3, 3
LAST_DAYS = 14
FIRST_NIGHTS = 7
"""On which there may be too little to learn from, or to judge by."""
RANDOM, BY_RESPONSE, NUDGE, ORACLE = "random", "propensity-greedy", "nudge", "oracle"
"""Propensity-greedy knows every true propensity: it ranks by propensity x value - cost, and nobody who learns could rank better by it."""
PICTURE = ROOT / "docs" / "img" / "closed_loop.svg"
COLOURS = {RANDOM: "#9a9a9a", BY_RESPONSE: "#c0504d", NUDGE: "#2e6f9e", ORACLE: "#222222"}


def measure() -> Sequence[Figure]:
    """Every seed in a process of its own, three at a time: they wait for their servers now and then."""
    days, seeds = int(os.environ.get("NUDGE_DAYS", DAYS)), int(os.environ.get("NUDGE_SEEDS", SEEDS))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = list(pool.map(lambda seed: run_seed(seed, days), range(1, seeds + 1)))
    draw(runs, PICTURE)
    return figures(runs)


def run_seed(seed: int, days: int) -> list[Day]:
    """One seed; its days go to stderr as they end."""
    with tempfile.TemporaryDirectory(prefix="nudge-closed-loop-") as folder:
        command = [sys.executable, "-m", "benchmarks.closed_loop_shop", f"{folder}/shop", str(seed), str(days)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                print(f"  seed {seed}: {line.rstrip()}", file=sys.stderr, flush=True)
                lines.append(line)
        if process.returncode:
            raise RuntimeError(f"the loop of seed {seed} ended with {process.returncode}")
    return read_days(lines)


def read_days(lines: Sequence[str]) -> list[Day]:
    """The days that a run has printed, one JSON document a line; other lines are no days."""
    return [Day(**json.loads(line)) for line in lines if line.startswith("{")]


def figures(runs: Sequence[Sequence[Day]]) -> list[Figure]:
    """The last two weeks of every seed, beside what the same visitors would have earned otherwise."""
    last = [{name: _mean(days[-LAST_DAYS:], name) for name in COLOURS} for days in runs]
    shares = [share(one) for one in last]
    by_response = [(one[BY_RESPONSE] - one[RANDOM]) / (one[ORACLE] - one[RANDOM]) for one in last]
    unit = f"PLN a decision, last {LAST_DAYS} of {len(runs[0])} days, mean of {len(runs)} seeds"
    means = {name: float(np.mean([one[name] for one in last])) for name in COLOURS}
    refused = [night for days in runs for day in days[FIRST_NIGHTS:] for night in day.night if night.get("refused")]
    asked = [night for days in runs for day in days for night in day.night if night.get("asked") == "uplift"]
    return [
        *(Figure(f"closed_loop.{name}", means[name], unit, ORACLE, means[ORACLE]) for name in COLOURS),
        Figure("closed_loop.of the oracle's gain over random, mean of the seeds", float(np.mean(shares)), "as a fraction", goal=">= 0.8"),
        Figure("closed_loop.of the oracle's gain over random, worst seed", min(shares), "as a fraction", goal=">= 0.8"),
        Figure(
            "closed_loop.the same of propensity-greedy, which knows the true propensities", float(np.mean(by_response)), "as a fraction"
        ),
        Figure("closed_loop.first day above half of the oracle's gain", max(_first_above(days, 0.5) for days in runs), "days, worst seed"),
        Figure(f"closed_loop.refusals of training and gate after {FIRST_NIGHTS} nights", len(refused), "nights x models", goal="<= 0"),
        Figure("closed_loop.challengers of uplift that the gate was asked about", len(asked), "nights"),
        Figure("closed_loop.of them promoted", sum(bool(night["promoted"]) for night in asked), "nights"),
        Figure(
            "closed_loop.CPU of a day and its night, server apart", max(day.cpu for days in runs for day in days), "seconds, the longest"
        ),
        Figure("closed_loop.CPU of all days and nights, server apart", max(map(_minutes, runs)), "minutes, worst seed"),
    ]


def share(earned: dict[str, float]) -> float:
    """What Nudge gains over random, as a share of what the oracle does."""
    return (earned[NUDGE] - earned[RANDOM]) / (earned[ORACLE] - earned[RANDOM])


def _mean(days: Sequence[Day], name: str) -> float:
    return float(np.mean([day.earned[name] for day in days]))


def _minutes(days: Sequence[Day]) -> float:
    return sum(day.cpu for day in days) / 60


def _first_above(days: Sequence[Day], least: float) -> int:
    """The first day (from 1) of the first three in a row on which so much was reached; one more than there are where none is."""
    reached = [share(day.earned) >= least for day in days]
    return next((k + 1 for k in range(len(days) - 2) if all(reached[k : k + 3])), len(days) + 1)


def draw(runs: Sequence[Sequence[Day]], path: Path) -> None:
    """Profit per day: the mean over the seeds, and each seed's own days thinly."""
    from matplotlib.figure import Figure as Picture

    picture = Picture(figsize=(8.0, 3.6), layout="constrained")
    axes = picture.subplots()
    days = np.arange(1, min(len(run) for run in runs) + 1)
    for name, colour in COLOURS.items():
        earned = np.array([[day.earned[name] for day in run[: len(days)]] for run in runs])
        if name == NUDGE:
            axes.plot(days, earned.T, color=colour, linewidth=0.6, alpha=0.4)
        axes.plot(days, earned.mean(axis=0), color=colour, linewidth=2.0, label=name, linestyle="--" if name == ORACLE else "-")
    axes.axhline(0.0, color="#cccccc", linewidth=0.8)
    axes.set_xlabel("day since the shop opened")
    axes.set_ylabel("true profit a decision, PLN")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#eeeeee")
    picture.savefig(path, metadata={"Date": None})
