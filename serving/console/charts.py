"""What is drawn of each report, of policies, and of everybody: the same on the console and in `nudge report --html`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes

from serving.console import charts_of_people as people
from serving.console import words
from serving.console.drawing import BAD, FILL, GOOD, INK, PALE, SERIES, Marks, legend, lines_down, svg
from serving.console.estimates import estimates, through_time

Document: TypeAlias = Mapping[str, Any]

_CHANNELS = 12
_ACTIONS = 40
_QINI = {"value": "qini", "low": "qini_low", "high": "qini_high"}
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
        "Decided here, month by month": through_time(
            [(one["month"], one["profit"]) for one in made["programme_by_month"]], f"decided here: {what}"
        ),
        "In the log, month by month": through_time([(one["month"], one["profit"]) for one in made["by_month"]], f"in the log: {what}"),
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
        axes.xaxis.set_major_formatter(Marks(percent=True))
        axes.set_xlabel("of the way from the baseline to the target; the band is the forecast to the deadline")
        lines_down(axes)

    return {"Goals": svg(draw, "How far each goal is, and what it is likely to reach", height=1.2 + 0.62 * len(drawn))}


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
        axes.xaxis.set_major_formatter(Marks())
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
        axes.xaxis.set_major_formatter(Marks())
        axes.set_xlabel(f"expected, {currency}; what is not lost is earned elsewhere")
        lines_down(axes)
        legend(axes)

    return svg(draw, "What each channel brings, and what dropping it would lose", height=1.4 + 0.42 * len(rows))


def _policies(document: Document) -> dict[str, str]:
    named = [
        (words.name(one["name"]), {"value": one["gain"], "low": one["gain_low"], "high": one["gain_high"]})
        for one in document["policies"]
        if one["name"] != "champion"
    ]
    what = f"gain over the champion, {document['currency']} a decision, with its interval"
    return {"What deciding this way is worth": estimates(named, what)}


def _models(document: Document) -> dict[str, str]:
    """Of the champion of uplift: action by action, whether its ranking finds those whom contacting changes."""
    metrics: Mapping[str, float] = next((one["metrics"] for one in document["models"] if one["name"] == "uplift"), {})
    actions = [name.removeprefix("qini.") for name in metrics if name.startswith("qini.")]
    named = [(words.name(one), {key: metrics.get(f"{metric}.{one}") for key, metric in _QINI.items()}) for one in actions[:_ACTIONS]]
    return {"The champions' figures": estimates(named, "Qini of the champion's uplift, with 95 % interval; 0 is a ranking by chance")}


_BY_NAME: Mapping[str, Callable[[Document], dict[str, str]]] = {
    "roi": _roi,
    "channels": _channels,
    "goals": _goals,
    "segments": people.segments,
    "value-finder": people.value_finder,
    "data": people.gaps,
    "models": _models,
    "segment map": people.segment_map,
    "evaluation": _policies,
    "funnel": people.funnel,
}
