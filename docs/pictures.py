"""Draw the picture of README.md from the benchmark `small_effects`: `.venv/bin/python docs/pictures.py`, under a minute."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from benchmarks.small_effects import DEFAULTS, NUDGE, ORACLE, POLICIES, RESPONSE, RESPONSE_VALUE, SILENCE, Profits, true_profits
from benchmarks.small_world import Array

IMAGES = Path(__file__).resolve().parent / "img"
COLOURS = {RESPONSE: "#c0504d", RESPONSE_VALUE: "#c0504d", DEFAULTS: "#9a9a9a", NUDGE: "#2e6f9e", ORACLE: "#d9d9d9"}


def standard_error(gain: Array) -> float:
    """Of the mean over the worlds."""
    return float(gain.std(ddof=1) / np.sqrt(len(gain)))


def draw_ranking_by_response(profits: Profits, path: Path) -> None:
    """One bar a policy: true profit a contact beyond contacting nobody, with its standard error over the worlds."""
    figure = Figure(figsize=(8.0, 3.2), layout="constrained")
    axes = figure.subplots()
    policies = [policy for policy in POLICIES if policy != SILENCE][::-1]
    gains = [profits[policy] - profits[SILENCE] for policy in policies]
    means = [gain.mean() for gain in gains]
    errors = [standard_error(gain) for gain in gains]
    axes.barh(policies, means, xerr=errors, color=[COLOURS[policy] for policy in policies], height=0.62, ecolor="#555555", capsize=3)
    axes.axvline(0.0, color="#222222", linewidth=1.0)
    axes.set_xlabel("true profit a contact, beyond contacting nobody")
    axes.text(0.0, 1.02, "contacting nobody", transform=axes.get_xaxis_transform(), ha="center", color="#222222")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure once, draw, and print the numbers that the README's text gives."""
    mpl.rcParams.update({"svg.hashsalt": "nudge", "font.size": 10})
    profits = true_profits()
    IMAGES.mkdir(exist_ok=True)
    draw_ranking_by_response(profits, IMAGES / "ranking_by_response.svg")
    for policy in POLICIES:
        gain = profits[policy] - profits[SILENCE]
        print(f"{policy:26} {profits[policy].mean():6.3f}   beyond silence {gain.mean():+.3f} (SE {standard_error(gain):.3f})")


if __name__ == "__main__":
    main()
