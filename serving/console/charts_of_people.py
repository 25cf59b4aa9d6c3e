"""What is drawn of everybody: segments, the map of uplift by baseline, what is on offer, the funnel, and what the data lack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from serving.console import words
from serving.console.drawing import FILL, INK, PALE, SEGMENTS, SERIES, Marks, legend, lines_down, svg
from serving.console.estimates import estimates

Document: TypeAlias = Mapping[str, Any]

_COLUMNS = 12
"""Of the data, with most missing."""


def segments(document: Document) -> dict[str, str]:
    """Of the segments of the catalogue: sizes, what could be done in each, and what contacting was worth."""
    rows = document["segments"]
    compared = [
        (f"{words.name(one['segment'])}, {source}", one[key]["profit"]["per_contact"])
        for key, source in (("programme", "decided here"), ("history", "logged"))
        for one in rows
        if one[key]
    ]
    named = {"everybody": document["offers"]["everybody"], **document["offers"]["segments"]}
    return {
        "Segments": _sizes(rows),
        "What could be done in each": _stacked(named),
        "What contacting was worth in each": estimates(
            compared, f"incremental profit a contact, {document['currency']}, with 95 % interval"
        ),
    }


def _sizes(rows: Sequence[Document]) -> str:
    if not rows:
        return ""

    def draw(axes: Axes) -> None:
        axes.barh([words.name(one["segment"]) for one in rows], [one["share"] for one in rows], height=0.62, color=FILL)
        axes.xaxis.set_major_formatter(Marks(percent=True))
        axes.set_xlabel("of all contacts; a contact may be in several")
        lines_down(axes)

    return svg(draw, "The share of contacts in each segment", height=1.0 + 0.38 * len(rows))


def _stacked(named: Mapping[str, Document]) -> str:
    kinds = list(next(iter(named.values()))["uplift"])

    def draw(axes: Axes) -> None:
        left = np.zeros(len(named))
        for kind in kinds:
            shares = np.array([one["uplift"][kind] / one["contacts"] if one["contacts"] else 0.0 for one in named.values()])
            if shares.any():
                axes.barh(
                    [words.name(one) for one in named],
                    shares,
                    left=left,
                    height=0.62,
                    color=SEGMENTS.get(kind, SERIES[1]),
                    label=words.name(kind),
                )
            left += shares
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(Marks(percent=True))
        lines_down(axes)
        legend(axes, columns=5)

    return svg(draw, "The four segments of uplift within each segment", height=1.3 + 0.38 * len(named))


def value_finder(document: Document) -> dict[str, str]:
    """Contacts by what is on offer to them."""
    classes, everybody = document["classes"], document["contacts"] or 1

    def draw(axes: Axes) -> None:
        axes.barh([one["class"] for one in classes], [one["contacts"] / everybody for one in classes], height=0.62, color=FILL)
        _shares(axes)
        axes.set_xlabel("of the contacts that were looked at")

    return {"Who is well served": svg(draw, "The share of contacts by what is on offer to them", height=1.0 + 0.38 * len(classes))}


def gaps(document: Document) -> dict[str, str]:
    """The columns of the ingested tables with most missing; nothing where nothing is."""
    missing = [
        (about["nulls"] / one["rows"], f"{table}.{column}")
        for table, one in document["tables"].items()
        for column, about in one["columns"].items()
        if about["nulls"] and one["rows"]
    ]
    most = sorted(missing, reverse=True)[:_COLUMNS]
    if not most:
        return {}

    def draw(axes: Axes) -> None:
        axes.barh([name for _, name in most], [share for share, _ in most], height=0.62, color=PALE)
        _shares(axes)
        axes.set_xlabel("of the rows have nothing there")

    return {"Columns with gaps, or that never change": svg(draw, "The columns with most missing", height=1.0 + 0.38 * len(most))}


def segment_map(document: Document) -> dict[str, str]:
    """Tiles of uplift by baseline, in the colour of the segment that most of their contacts are of, fuller where there are more."""
    found = document["map"]
    if found is None:
        return {}
    across, upwards = found["baseline_edges"], found["uplift_edges"]
    wide, high = across[1] - across[0], upwards[1] - upwards[0]
    most = max(one["contacts"] for one in found["tiles"])

    def draw(axes: Axes) -> None:
        for one in found["tiles"]:
            corner = (across[one["column"]], upwards[one["row"]])
            alpha = 0.5 + 0.5 * (one["contacts"] / most) ** 0.5
            axes.add_patch(Rectangle(corner, wide, high, color=SEGMENTS[one["segment"]], alpha=alpha, linewidth=0, clip_on=False))
        axes.set_xlim(across[0], across[-1])
        axes.set_ylim(upwards[0], upwards[-1])
        axes.axhline(0, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1.0, decimals=None, symbol=" %"))
        axes.set_xlabel("how likely without us (baseline)")
        axes.set_ylabel("how much we add (uplift)")

    title = "Contacts by how likely they respond without us (to the right) and what we add (upwards), coloured by segment"
    return {"Who is worth contacting": svg(draw, title, height=4.6)}


def funnel(document: Document) -> dict[str, str]:
    """What each stage leaves, how much choice is left to a contact, and what the first choices hang on."""
    return {
        "Stages": _stages(document["stages"]),
        "Choice": _choice(document["optionality"]),
        "Sensitivity": _sensitivity(document["sensitivity"]["factors"]),
    }


def _stages(stages: Sequence[Document]) -> str:
    contacts = max((one["contacts_available"] for one in stages), default=0) or 1

    def draw(axes: Axes) -> None:
        names = [words.name(one["stage"]) for one in stages]
        axes.barh(names, [one["remaining"] for one in stages], height=0.62, color=FILL, label="candidates left")
        axes.plot(
            [one["contacts_passing"] / contacts for one in stages], names, "o", color=INK, markersize=5, label="contacts with any left"
        )
        _shares(axes)
        legend(axes)

    return svg(draw, "The share of candidates and of contacts that are left after each stage")


def _choice(optionality: Document) -> str:
    def draw(axes: Axes) -> None:
        names = [f"{one['left']} action{'' if one['left'] == '1' else 's'}" for one in optionality["actions"]]
        before, after = ([one["share"] for one in optionality[key]] for key in ("relevant_actions", "actions"))
        axes.barh(names, before, height=0.72, color=PALE, alpha=0.45, label="that no rule takes out")
        axes.barh(names, after, height=0.36, color=FILL, label="that are worth it")
        _shares(axes)
        legend(axes)

    return svg(draw, "The share of contacts by how many actions are left to them")


def _sensitivity(factors: Sequence[Document]) -> str:
    def draw(axes: Axes) -> None:
        axes.barh([words.name(one["factor"]) for one in factors], [one["share"] for one in factors], height=0.62, color=FILL)
        _shares(axes)

    return svg(draw, "The share of contacts whose first choice each factor changes")


def _shares(axes: Axes) -> None:
    """One line a name, from nothing to all."""
    lines_down(axes)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(Marks(percent=True))
