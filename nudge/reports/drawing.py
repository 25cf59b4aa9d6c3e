"""Pictures for pages: SVG elements in the page's own ink, which read well by day and by night and load nothing."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from html import escape

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#010203"
"""Drawn in this colour, and then in whatever colour the page's text has."""

FILL, PALE, GOOD, BAD = "#3d85c6", "#8e8e8e", "#3f9c6b", "#c4673d"
SERIES = (FILL, "#c99a2e", GOOD, "#9a6bb5", BAD, PALE, "#5aa9a3", "#b5657f")
"""Colours of several series side by side, all of middle lightness: seen on white and on black."""


def svg(draw: Callable[[Axes], None], title: str, *, height: float = 3.3) -> str:
    """What `draw` puts on axes, as an SVG element with its title; texts stay texts."""
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": title, "font.family": "sans-serif", "font.size": 10}):
        figure = Figure(figsize=(8.4, height), layout="constrained")
        axes = figure.subplots()
        axes.tick_params(colors=INK, length=0)
        axes.patch.set_alpha(0)
        axes.spines[:].set_visible(False)
        axes.set_axisbelow(True)
        draw(axes)
        axes.xaxis.label.set_color(INK)
        axes.yaxis.label.set_color(INK)
        written = io.StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    element = written.getvalue()[written.getvalue().index("<svg") :].replace(INK, "currentColor")
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    return element.replace("<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1)


def lines_down(axes: Axes) -> None:
    """One line a name, the first on top, with a grid to read along."""
    axes.invert_yaxis()
    axes.grid(axis="x", color=PALE, alpha=0.35, linewidth=0.6)


def legend(axes: Axes, columns: int = 2) -> None:
    """The legend above the picture, to the left."""
    axes.legend(frameon=False, labelcolor=INK, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns)
