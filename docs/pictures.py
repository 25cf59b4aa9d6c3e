"""Draw the pictures of the documents from the benchmarks `small_effects` and `real_time_month`: `.venv/bin/python docs/pictures.py`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from benchmarks.real_time_month import ADAPTIVE, FIRST_COME, PUBLISHED, all_shares
from benchmarks.small_effects import DEFAULTS, NUDGE, ORACLE, POLICIES, RESPONSE, RESPONSE_VALUE, SILENCE, Profits, true_profits
from benchmarks.small_world import Array

IMAGES = Path(__file__).resolve().parent / "img"
COLOURS = {RESPONSE: "#c0504d", RESPONSE_VALUE: "#c0504d", DEFAULTS: "#9a9a9a", NUDGE: "#2e6f9e", ORACLE: "#d9d9d9"}

POLICY_COLOURS = {FIRST_COME: "#c0504d", PUBLISHED: "#9a9a9a", ADAPTIVE: "#2e6f9e"}


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


def draw_real_time_month(found: Mapping[str, Mapping[str, Array]], path: Path) -> None:
    """One line a month, one dot a policy: what it earns of the best possible month, with its standard error over the seeds."""
    figure = Figure(figsize=(8.0, 3.2), layout="constrained")
    axes = figure.subplots()
    months = list(found)[::-1]
    for policy, colour in POLICY_COLOURS.items():
        means = [found[month][policy].mean() for month in months]
        errors = [standard_error(found[month][policy]) for month in months]
        axes.errorbar(means, months, xerr=errors, fmt="o", color=colour, ecolor="#555555", capsize=2, markersize=6, label=policy)
    axes.axvline(1.0, color="#222222", linewidth=1.0)
    axes.set_xlabel("profit, as a share of the best possible month in hindsight")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=len(POLICY_COLOURS), frameon=False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color="#eeeeee")
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure once, draw, and print the numbers that the README's text gives."""
    mpl.rcParams.update({"svg.hashsalt": "nudge", "font.size": 10})
    profits = true_profits()
    IMAGES.mkdir(exist_ok=True)
    draw_ranking_by_response(profits, IMAGES / "ranking_by_response.svg")
    draw_real_time_month(all_shares(), IMAGES / "real_time_month.svg")
    for policy in POLICIES:
        gain = profits[policy] - profits[SILENCE]
        print(f"{policy:26} {profits[policy].mean():6.3f}   beyond silence {gain.mean():+.3f} (SE {standard_error(gain):.3f})")


if __name__ == "__main__":
    main()
