"""Bars inside tables: one figure a line, on one scale, drawn by the page itself.

A picture by matplotlib (`charts.py`) for every cell would make a page slow and heavy, and say no more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 100.0
"""A bar is drawn on so many units, and stretched by the page."""


@dataclass(frozen=True)
class Bar:
    """One bar in units of `WIDTH`: from `start`, `length` long, zero at `zero`."""

    start: float
    length: float
    zero: float
    negative: bool = False


def bars(values: Sequence[float | None]) -> list[Bar | None]:
    """A bar for each value, all on one scale that holds zero; None where there is no value.

    Examples
    --------
    >>> [one.start for one in bars([1.0, -1.0])]
    [50.0, 0.0]
    """
    known = [one for one in values if one is not None and math.isfinite(one)]
    least, most = min([0.0, *known]), max([0.0, *known])
    span = most - least or 1.0

    def at(value: float) -> float:
        return WIDTH * (value - least) / span

    def drawn(value: float | None) -> Bar | None:
        if value is None or not math.isfinite(value):
            return None
        first, last = sorted((at(0.0), at(value)))
        return Bar(first, last - first, at(0.0), value < 0)

    return [drawn(one) for one in values]
