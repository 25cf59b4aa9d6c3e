"""Pictures by matplotlib as SVG elements of a page: in the page's own ink and letters, for day and night; nothing is loaded.

Every picture is drawn twice, for a broad window and for a narrow one; the page's style shows the one that fits (`STYLE`). No element has a
`style` of its own, since the console's pages allow none.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from textwrap import fill
from threading import Lock
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, Formatter, MaxNLocator

INK = "#010203"
"""Drawn in this colour, and then in whatever colour the page's text has."""

FILL, PALE, GOOD, BAD = "#3d85c6", "#8e8e8e", "#3f9c6b", "#c4673d"
SERIES = (FILL, "#c99a2e", GOOD, "#9a6bb5", BAD, PALE, "#5aa9a3", "#b5657f")
"""Colours of several series side by side, all of middle lightness: seen on white and on black."""

SEGMENTS = {"persuadable": GOOD, "sure_thing": FILL, "lost_cause": PALE, "do_not_disturb": BAD}
"""Of the four segments; console.css has the same."""

STYLE = """
svg.narrow { display: none } svg.broad, svg.narrow { width: 100%; height: auto; max-width: 52rem; margin: .6rem 0 }
svg text { font-family: inherit }
@media (max-width: 40rem) { svg.broad { display: none } svg.narrow { display: block } }
"""
"""What a page needs to show one drawing of each pair."""


@dataclass(frozen=True)
class _Window:
    """How much room there is: inches, marks along the lower edge (numbers, names), letters of a name."""

    name: str
    width: float
    numbers: int
    names: int
    letters: int


_BROAD, _NARROW = _Window("broad", 8.4, 8, 12, 40), _Window("narrow", 3.7, 3, 4, 18)
_LETTERS = 10
"""Size of all letters, in points."""
_LETTERS_AN_INCH, _LETTERS_OF_A_KEY, _LINE = 11, 6, 0.2
_TALLER = 0.35
"""Inches that a narrow picture is taller: its texts take more lines."""

_DIGITS = 9
"""Decimals of a mark, at most."""

_ONE_AT_A_TIME = Lock()
"""matplotlib's settings are one for all threads."""


class Marks(Formatter):
    """Marks of an axis with as many decimals as tell them apart, all with the same.

    Examples
    --------
    >>> Marks().format_ticks([0.0, 0.75, 1.5]), Marks(percent=True).format_ticks([0.0, 0.005])
    (['0.00', '0.75', '1.50'], ['0.0%', '0.5%'])
    >>> Marks().format_ticks([0.0, 500_000.0, 1_000_000.0])
    ['0', '500,000', '1,000,000']
    """

    def __init__(self, *, percent: bool = False) -> None:
        self._scale, self._unit = (100.0, "%") if percent else (1.0, "")

    def format_ticks(self, values: Any) -> list[str]:
        """The marks at these places."""
        marks = self._scale * np.asarray(values, dtype=float)
        near = 1e-3 * float(np.abs(np.diff(marks)).min()) if len(marks) > 1 else 0.0
        digits = next((few for few in range(_DIGITS) if (np.abs(marks - marks.round(few)) <= near).all()), _DIGITS)
        return [self.fix_minus(f"{mark + 0.0:,.{digits}f}{self._unit}") for mark in marks.round(digits).tolist()]


def svg(draw: Callable[[Axes], None], title: str, *, height: float = 3.3) -> str:
    """What `draw` puts on axes, as two SVG elements with its title, of which a page shows one; texts stay texts.

    Parameters
    ----------
    draw : function
        Is called once for each element.
    title : str
        What the picture shows, for those who do not see it.
    height : float
        In inches, at a width of 8.4.
    """
    return _element(draw, title, height, _BROAD) + _element(draw, title, height + _TALLER, _NARROW)


def lines_down(axes: Axes) -> None:
    """One line a name, the first on top, with a grid to read along."""
    axes.invert_yaxis()
    axes.grid(axis="x", color=PALE, alpha=0.35, linewidth=0.6)


def legend(axes: Axes, columns: int = 2) -> None:
    """The legend above the picture, to the left."""
    figure = axes.get_figure(root=True)
    handles, names = axes.get_legend_handles_labels()
    if figure is None or not names:
        return
    room = int(figure.get_figwidth() * _LETTERS_AN_INCH / (max(map(len, names)) + _LETTERS_OF_A_KEY))
    columns = max(1, min(columns, room))
    figure.set_figheight(figure.get_figheight() + _LINE * -(-len(names) // columns))
    figure.legend(handles, names, frameon=False, labelcolor=INK, loc="outside upper left", ncols=columns)


def _element(draw: Callable[[Axes], None], title: str, height: float, window: _Window) -> str:
    written = io.StringIO()
    salt = f"{title} {window.name}"
    texts = mpl.rc_context(
        {"font.family": "sans-serif", "font.size": _LETTERS, "text.parse_math": False}
    )  # a dollar in a name is no formula
    with _ONE_AT_A_TIME, texts, mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure = Figure(figsize=(window.width, height), layout="constrained")
        axes = figure.subplots()
        axes.tick_params(colors=INK, length=0)
        axes.patch.set_alpha(0)
        axes.spines[:].set_visible(False)
        axes.set_axisbelow(True)
        draw(axes)
        axes.yaxis.label.set_color(INK)
        _fit(figure, axes, window)
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    element = _plain(written.getvalue())
    about = f'<svg class="{window.name}" role="img" aria-label="{escape(title)}" stroke-linejoin="round" stroke-linecap="butt" '
    return element.replace("<svg ", about, 1)


def _fit(figure: Figure, axes: Axes, window: _Window) -> None:
    """Break long texts, and leave out marks for which there is no room."""
    letters = int(window.width * _LETTERS_AN_INCH)
    below = fill(axes.get_xlabel(), letters)
    axes.set_xlabel("")
    if below:
        figure.supxlabel(below, fontsize=_LETTERS, color=INK)
    axes.set_ylabel("\n".join(fill(line, 34) for line in axes.get_ylabel().splitlines()))
    at = axes.xaxis.get_major_locator()
    if isinstance(at, FixedLocator):
        places, names = list(axes.get_xticks()), [one.get_text() for one in axes.get_xticklabels()]
        every = -(-len(places) // window.names)
        axes.set_xticks(places[::every], names[::every])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(window.numbers))
    names = [one.get_text() for one in axes.get_yticklabels()]
    if any(len(one) > window.letters for one in names):
        axes.set_yticks(axes.get_yticks(), ["\n".join(fill(line, window.letters) for line in one.splitlines()) for one in names])


def _plain(written: str) -> str:
    """The element without what a page does not need or does not allow: styles become attributes, families of letters are the page's."""
    element = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", written[written.index("<svg") :], flags=re.DOTALL)
    element = re.sub(r"<[^>]*>", _plain_tag, element)  # never what stands between: names and marks stay as they were written
    return re.sub(r"\s*\n\s*", "\n", element)


def _plain_tag(found: re.Match[str]) -> str:
    tag = re.sub(r'^<g id="[^"]*"', "<g", found[0].replace(INK, "currentColor"))
    tag = re.sub(r' transform="rotate\(-?0 [^"]*\)"', "", tag)
    tag = re.sub(r' style="([^"]*)"', _attributes, tag)
    return re.sub(r"-?\d+\.\d{3,}", lambda one: f"{float(one[0]):.2f}".rstrip("0").rstrip("."), tag)


def _attributes(style: re.Match[str]) -> str:
    found = [one.split(":", 1) for one in style[1].split(";") if ":" in one]
    return "".join(f' {name.strip()}="{value.strip()}"' for name, value in found if name.strip() != "font-family")
