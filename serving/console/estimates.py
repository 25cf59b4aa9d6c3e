"""Estimates with their intervals, the two pictures that most charts are: one a line, or month by month."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes

from serving.console import words
from serving.console.drawing import BAD, FILL, GOOD, INK, PALE, Marks, lines_down, svg

Estimate: TypeAlias = tuple[str, Mapping[str, Any] | None]
"""A name, and {value, low, high}; None where that is not known."""


def estimates(named: Sequence[Estimate], what: str, *, percent: bool = False) -> str:
    """Estimates with intervals, one a line; zero is marked. Those that are not known are left out."""
    known = [(name, one) for name, one in named if one is not None and None not in (one["value"], one["low"], one["high"])]
    if not known:
        return ""

    def draw(axes: Axes) -> None:
        axes.axvline(0, color=INK, linewidth=0.9)
        for place, (_, one) in enumerate(known):
            colour = GOOD if one["low"] > 0 else BAD if one["high"] < 0 else PALE
            axes.plot([one["low"], one["high"]], [place, place], color=colour, linewidth=5, alpha=0.45, solid_capstyle="round")
            axes.plot(one["value"], place, "o", color=colour, markersize=8)
        axes.set_yticks(range(len(known)), [name for name, _ in known])
        axes.set_ylim(-0.6, len(known) - 0.4)
        axes.xaxis.set_major_formatter(Marks(percent=percent))
        axes.set_xlabel(what)
        lines_down(axes)

    return svg(draw, what, height=1.1 + 0.42 * len(known))


def through_time(named: Sequence[Estimate], what: str) -> str:
    """Estimates of months with their band, from left to right; nothing of fewer than two."""
    known = [(name, one) for name, one in named if one is not None and None not in (one["value"], one["low"], one["high"])]
    if len(known) < 2:
        return ""

    def draw(axes: Axes) -> None:
        places = np.arange(len(known))
        low, value, high = (np.array([one[key] for _, one in known]) for key in ("low", "value", "high"))
        axes.fill_between(places, low, high, color=FILL, alpha=0.25, linewidth=0)
        axes.plot(places, value, color=FILL, marker="o", linewidth=2)
        axes.axhline(0, color=INK, linewidth=0.9)
        axes.set_xticks(places, [words.month(name) for name, _ in known])
        axes.yaxis.set_major_formatter(Marks())
        axes.set_ylabel(what.replace(", with", ",\nwith"))
        axes.grid(axis="y", color=PALE, alpha=0.35, linewidth=0.6)

    return svg(draw, f"Month by month: {what}")
