"""What `nudge evaluate` and `nudge promote` print for people: policies side by side, the gate's verdicts, and what to look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nudge.ground.terminal import Figure, Terminal

Document = Mapping[str, Any]

_MOST_SHOWN = 10


def evaluated(terminal: Terminal, document: Document) -> None:
    """The table of policies, the warnings of each, and what the gate says of each challenger."""
    policies(terminal, document)
    for one in document["policies"]:
        for warning in one["warnings"]:
            terminal.warn(f"{one['name']}: {warning}")
    for note in document["notes"]:
        terminal.say(f"note: {note}")
    _watched(terminal, document["watch"])
    _challengers(terminal, document["challengers"])


def _watched(terminal: Terminal, watch: Document) -> None:
    drift = watch["drift"]
    if drift is not None:
        words = f"{drift['after']:,} decisions against {drift['before']:,} interactions that the champion learned from"
        terminal.print(f"Drift, {words}: a classifier tells them apart with AUC {drift['area']:.3f} (SE {drift['area_error']:.3f})")
        terminal.table("Features, most moved first", ["feature", "stability index"], list(drift["features"].items())[:_MOST_SHOWN])
    if watch["calibration"]:
        rows = [[one["action"], one["choices"], one["promised"], one["came"]] for one in watch["calibration"]]
        terminal.table("Responses, as promised and as they came", ["action", "choices", "promised", "came"], rows)
    for alarm in watch["alarms"]:
        terminal.warn(alarm)


def policies(terminal: Terminal, document: Document) -> None:
    """What each policy would have earned, and how much of the log speaks about it."""
    title = f"Money a decision ({document['currency']}), on {document['rows']:,} rows: {document['source']}"
    header = ["policy", "value", "95 %", "more than the champion", "95 %", "decides like it", "effective rows"]
    terminal.table(title, header, [_line(one) for one in document["policies"]])


def _line(one: Document) -> list[object]:
    is_champion = one["name"] == "champion"
    gain = [None, None] if is_champion else [Figure(f"{one['gain']:+,.4g}"), _between(one["gain_low"], one["gain_high"], "+")]
    return [
        one["name"],
        one["value"],
        _between(one["low"], one["high"]),
        *gain,
        None if is_champion else Figure(f"{one['agreement']:.0%}"),
        Figure(f"{one['ess']:,.0f}"),
    ]


def _between(low: float, high: float, sign: str = "") -> Figure:
    return Figure(f"{low:{sign},.4g} to {high:{sign},.4g}")


def _challengers(terminal: Terminal, challengers: list[Document]) -> None:
    if not challengers:
        terminal.print("There is no challenger: the next nudge train makes one.")
    for one in challengers:
        word = "would pass the gate" if one["passes"] else "would not pass the gate"
        terminal.print(f"{one['model']} version {one['version']} {word}: {one['reason']}")
        if one["passes"]:
            terminal.print(f"Next: nudge promote {one['model']}")
