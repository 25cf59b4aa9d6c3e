"""The geometry of the few drawings: bars with intervals, and the map of uplift by baseline. Colours and text belong to the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH = 100.0
"""A bar is drawn on so many units, and stretched by the page."""


@dataclass(frozen=True)
class Bar:
    """One bar in units of `WIDTH`: from `start`, `length` long, its whisker from `low` to `high` (None: none), zero at `zero`."""

    start: float
    length: float
    zero: float
    low: float | None = None
    high: float | None = None
    negative: bool = False


def bars(rows: Sequence[tuple[float | None, float | None, float | None]]) -> list[Bar | None]:
    """A bar for each (value, low, high), all on one scale that holds zero; None where there is no value.

    Examples
    --------
    >>> [one.start for one in bars([(1.0, None, None), (-1.0, None, None)])]
    [50.0, 0.0]
    """
    ends = [one for row in rows for one in row if one is not None and math.isfinite(one)]
    least, most = min([0.0, *ends]), max([0.0, *ends])
    span = most - least or 1.0

    def at(value: float) -> float:
        return WIDTH * (value - least) / span

    drawn: list[Bar | None] = []
    for value, low, high in rows:
        if value is None or not math.isfinite(value):
            drawn.append(None)
            continue
        first, last = sorted((at(0.0), at(value)))
        ends_at = [None if end is None or not math.isfinite(end) else at(end) for end in (low, high)]
        least_at, most_at = ends_at if None not in ends_at else (None, None)
        drawn.append(Bar(first, last - first, at(0.0), least_at, most_at, value < 0))
    return drawn


@dataclass(frozen=True)
class Tile:
    """One tile of the map: its corner and size in the drawing's units, its segment, how full it is (0..1), and what it says."""

    x: float
    y: float
    width: float
    height: float
    segment: str
    strength: float
    title: str


@dataclass(frozen=True)
class SegmentMap:
    """Uplift (upwards) by baseline (to the right): tiles, and the ticks of both axes as (place, label)."""

    width: float
    height: float
    tiles: Sequence[Tile]
    across: Sequence[tuple[float, str]]
    upwards: Sequence[tuple[float, str]]
    zero: float | None


_MAP = (480.0, 300.0)
_EVERY = 4


def segment_map(found: Mapping[str, Any]) -> SegmentMap:
    """The drawing of a segment map's document: {baseline_edges, uplift_edges, tiles: [{column, row, segment, contacts}]}."""
    width, height = _MAP
    across, upwards = [float(one) for one in found["baseline_edges"]], [float(one) for one in found["uplift_edges"]]
    most = max((one["contacts"] for one in found["tiles"]), default=1)
    wide, high = width / (len(across) - 1), height / (len(upwards) - 1)
    tiles = []
    for one in found["tiles"]:
        without, more = (f"{_share(low)} to {_share(high)}" for low, high in (_ends(across, one["column"]), _ends(upwards, one["row"])))
        title = f"{one['contacts']:,} contacts, {one['segment'].replace('_', ' ')}: {without} without us, {more} more with us"
        strength = 0.35 + 0.65 * math.sqrt(one["contacts"] / most)
        tiles.append(Tile(one["column"] * wide, height - (one["row"] + 1) * high, wide, high, one["segment"], strength, title))
    low, top = upwards[0], upwards[-1]
    zero = height * (1.0 - (0.0 - low) / (top - low)) if low < 0 < top else None
    return SegmentMap(
        width,
        height,
        tiles,
        [(place * wide, _share(across[place])) for place in range(0, len(across), _EVERY)],
        [(height - place * high, _share(upwards[place])) for place in range(0, len(upwards), _EVERY)],
        zero,
    )


def _ends(edges: Sequence[float], place: int) -> tuple[float, float]:
    return edges[place], edges[place + 1]


def _share(value: float) -> str:
    return f"{100 * value:.{0 if abs(value) >= 0.1 or value == 0 else 1}f}%".replace("-", "−")
