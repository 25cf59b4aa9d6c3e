"""What is drawn of reports, segments, funnel and policies: the same pictures on the console and in `nudge report --html`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from serving.console import words
from serving.console.drawing import BAD, FILL, GOOD, INK, PALE, SEGMENTS, SERIES, legend, lines_down, svg

Document: TypeAlias = Mapping[str, Any]
Estimate: TypeAlias = tuple[str, Document | None]
"""A name, and {value, low, high}; None where that is not known."""

_CHANNELS = 12
_SEEN = (-0.5, 2.0)
"""The part of a goal's way that is drawn: a forecast of months that say little may lie far outside."""
_STATUS = {"reached": GOOD, "on_track": GOOD, "likely": FILL, "at_risk": SERIES[1], "off_track": BAD}


def charts(name: str, document: Document) -> dict[str, str]:
    """SVG elements by the title of the section that they stand in; only of what there is to draw.

    Parameters
    ----------
    name : str
        Of the report; `funnel`, `segment map` and `evaluation` beside those of `nudge report`.
    document : dict
        What it says as JSON.
    """
    made = _BY_NAME.get(name)
    return {} if made is None else {title: element for title, element in made(document).items() if element}


def _roi(document: Document) -> dict[str, str]:
    currency = document["currency"]
    made = document["incremental"]
    named = [(f"against {one['control_group']}", one) for one in (made["programme"] or {"layers": []})["layers"]]
    if made["history"] is not None:
        named.append(("logged, against logged controls", made["history"]))
    what = f"incremental profit a contact, {currency}, with 95 % interval"
    return {
        "What contacting was worth": estimates([(name, one["profit"]["per_contact"]) for name, one in named], what),
        "Decided here, month by month": through_time([(one["month"], one["profit"]) for one in made["programme_by_month"]], what),
        "In the log, month by month": through_time([(one["month"], one["profit"]) for one in made["by_month"]], what),
        "Attribution": _attribution(document["attribution"], currency),
    }


def _channels(document: Document) -> dict[str, str]:
    currency = document["currency"]
    found = [(one["channel"], one["incremental"]) for one in document["channels"] if one["incremental"] is not None]
    drop = document.get("drop")
    return {
        "Channels": estimates(
            [(name, one["profit"]["per_contact"]) for name, one in found], f"incremental profit a touch, {currency}, with 95 % interval"
        )
        + estimates(
            [(name, one["roi"]) for name, one in found if one["roi"] is not None],
            "(incremental revenue - cost) / cost, with 95 % interval",
            percent=True,
        ),
        "Which channel would you drop?": "" if not drop else _drop(drop["drops"], currency),
    }


def _goals(document: Document) -> dict[str, str]:
    drawn = [one for one in document["goals"] if one["progress"] is not None]
    if not drawn:
        return {}

    def draw(axes: Axes) -> None:
        for place, one in enumerate(drawn):
            way = one["target"] - one["baseline"]
            axes.barh(place, one["progress"], height=0.34, color=_STATUS.get(one["status"], PALE))
            ahead = one["forecast"]
            if ahead is not None and way and None not in (ahead["low"], ahead["high"]):
                low, high = sorted((ahead[key] - one["baseline"]) / way for key in ("low", "high"))
                axes.barh(place, high - low, left=low, height=0.72, color=FILL, alpha=0.25)
                axes.plot([(ahead["value"] - one["baseline"]) / way] * 2, [place - 0.36, place + 0.36], color=FILL, linewidth=2)
        axes.axvline(1.0, color=INK, linewidth=1.2)
        axes.axvline(0.0, color=PALE, linewidth=0.8)
        axes.set_xlim(*np.clip(axes.get_xlim(), *_SEEN))
        axes.set_yticks(range(len(drawn)), [f"{words.name(one['id'])}\n{words.name(one['status'])}" for one in drawn])
        axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        axes.set_xlabel("of the way from the baseline to the target; the band is the forecast to the deadline")
        lines_down(axes)

    return {"Goals": svg(draw, "How far each goal is, and what it is likely to reach", height=1.2 + 0.62 * len(drawn))}


def _segments(document: Document) -> dict[str, str]:
    rows = document["segments"]
    compared = [
        (words.name(one["segment"]), one[key]["profit"]["per_contact"]) for key in ("programme", "history") for one in rows if one[key]
    ]
    named = {"everybody": document["offers"]["everybody"], **document["offers"]["segments"]}
    return {
        "Segments": _sizes(rows),
        "What could be done in each": _stacked(named),
        "What contacting was worth in each": estimates(
            compared, f"incremental profit a contact, {document['currency']}, with 95 % interval"
        ),
    }


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
        if percent:
            axes.xaxis.set_major_formatter(lambda share, _: f"{share:,.0%}")
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
        axes.set_ylabel(what.replace(", with", ",\nwith"))
        axes.grid(axis="y", color=PALE, alpha=0.35, linewidth=0.6)

    return svg(draw, f"Month by month: {what}")


def _attribution(found: Document | None, currency: str) -> str:
    if found is None:
        return ""
    rows, models = found["channels"][:_CHANNELS], found["models"]

    def draw(axes: Axes) -> None:
        height = 0.8 / len(models)
        for k, name in enumerate(models):
            places = np.arange(len(rows)) - 0.4 + height * (k + 0.5)
            values = [one["value"][name] for one in rows]
            axes.barh(
                places, values, height=height * 0.86, color=SERIES[k % len(SERIES)], label=words.ATTRIBUTION.get(name, words.name(name))
            )
        axes.set_yticks(range(len(rows)), [one["channel"] for one in rows])
        axes.set_xlabel(f"attributed revenue, {currency}")
        axes.xaxis.set_major_formatter(lambda money, _: f"{money:,.0f}")
        lines_down(axes)
        legend(axes, columns=4)

    return svg(draw, "Attributed revenue of each channel, by model", height=1.4 + 0.75 * len(rows))


def _drop(rows: Sequence[Document], currency: str) -> str:
    if not rows:
        return ""

    def draw(axes: Axes) -> None:
        names = [one["channel"] for one in rows]
        axes.barh(names, [one["now"]["profit"] for one in rows], height=0.66, color=PALE, alpha=0.45, label="expected profit with it")
        axes.barh(names, [one["loss"] for one in rows], height=0.34, color=BAD, label="lost by dropping it")
        axes.xaxis.set_major_formatter(lambda money, _: f"{money:,.0f}")
        axes.set_xlabel(f"expected, {currency}; what is not lost is earned elsewhere")
        lines_down(axes)
        legend(axes)

    return svg(draw, "What each channel brings, and what dropping it would lose", height=1.4 + 0.42 * len(rows))


def _sizes(rows: Sequence[Document]) -> str:
    if not rows:
        return ""

    def draw(axes: Axes) -> None:
        axes.barh([words.name(one["segment"]) for one in rows], [one["share"] for one in rows], height=0.62, color=FILL)
        axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
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
        axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        lines_down(axes)
        legend(axes, columns=5)

    return svg(draw, "The four segments of uplift within each segment", height=1.3 + 0.38 * len(named))


def _segment_map(document: Document) -> dict[str, str]:
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


def _policies(document: Document) -> dict[str, str]:
    named = [
        (words.name(one["name"]), {"value": one["gain"], "low": one["gain_low"], "high": one["gain_high"]})
        for one in document["policies"]
        if one["name"] != "champion"
    ]
    what = f"gain over the champion, {document['currency']} a decision, with its interval"
    return {"What deciding this way is worth": estimates(named, what)}


def _funnel(document: Document) -> dict[str, str]:
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
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")


_BY_NAME: Mapping[str, Callable[[Document], dict[str, str]]] = {
    "roi": _roi,
    "channels": _channels,
    "goals": _goals,
    "segments": _segments,
    "segment map": _segment_map,
    "evaluation": _policies,
    "funnel": _funnel,
}
