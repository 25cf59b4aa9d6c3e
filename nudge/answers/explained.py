"""A decision that explains itself, for people: its arithmetic, why not the next one, what would change it, and what was taken out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nudge.ground.terminal import Terminal

Document = Mapping[str, Any]

_BAR = 24
_NAMES = 3
_CHANGES = 5


def explained(terminal: Terminal, document: Document) -> None:
    """Everything that `--explain` adds to an answer."""
    explanation = document["explanation"]
    if explanation is not None:
        if explanation["treatment_id"] is not None:
            _waterfall(terminal, explanation)
        for other in (explanation["runner_up"], explanation["next_action"]):
            if other is not None:
                _runner_up(terminal, other)
        _changes(terminal, explanation["changes"])
        _funnel(terminal, explanation)
    _filtered(terminal, document)


def _waterfall(terminal: Terminal, explanation: Document) -> None:
    parts = explanation["waterfall"]
    _head(terminal, f"Why {explanation['treatment_id']}")
    _sum(terminal, parts, total=("priority", sum(part["amount"] for part in parts)))


def _runner_up(terminal: Terminal, runner_up: Document) -> None:
    lead = runner_up["lead"]
    place = f"{abs(lead):,.2f} {'behind' if lead >= 0 else 'ahead'} in priority, because of"
    _head(terminal, f"Why not {runner_up['treatment_id']}: {place}")
    if lead < 0:
        terminal.print("  (what is mandatory, drawn or of a control group goes before priority)")
    _sum(terminal, runner_up["parts"], total=None)


def _sum(terminal: Terminal, parts: Sequence[Document], total: tuple[str, float] | None) -> None:
    """The parts of a sum, each with a bar from where the sum stood before it to where it stands after."""
    rows, stands = [], 0.0
    for part in parts:
        name = part["name"].replace("opt_out", "opt-out").replace("_", " ")
        rows.append((name, part["how"], f"{part['amount']:+,.2f}", (stands, stands + part["amount"])))
        stands += part["amount"]
    if total is not None:
        rows.append((total[0], "", f"{total[1]:,.2f}", (0.0, total[1])))
    ends = [0.0, *(end for *_, bar in rows for end in bar)]
    low, span = min(ends), max(ends) - min(ends) or 1.0
    names, hows = max((len(row[0]) for row in rows), default=0), max((len(row[1]) for row in rows), default=0)
    for name, how, figure, bar in rows:
        first, last = (round((end - low) / span * _BAR) for end in sorted(bar))
        terminal.print(f"  {name:<{names}}  {how:<{hows}}  {figure:>12}  {' ' * first}{'█' * max(1, last - first)}")


def _changes(terminal: Terminal, changes: Sequence[Document]) -> None:
    if not changes:
        return
    _head(terminal, "What would change this, the smallest change first")
    for change in changes[:_CHANGES]:
        terminal.print(f"  - {change['sentence']}")
    if len(changes) > _CHANGES:
        terminal.print(f"  - and {len(changes) - _CHANGES} more, with --json")


def _funnel(terminal: Terminal, explanation: Document) -> None:
    stages = [stage for stage in explanation["funnel"] if stage["filtered"]]
    if stages:
        steps = " -> ".join(f"{stage['remaining']} after {stage['stage'].replace('_', ' ')}" for stage in stages)
        _head(terminal, f"{explanation['available']} treatments -> {steps}")


def _filtered(terminal: Terminal, document: Document) -> None:
    """One line for each rule and what it saw, in the order of the stages, with the actions that it took out and on which channels."""
    order = [stage["stage"] for stage in (document["explanation"] or {"funnel": []})["funnel"]]
    grouped: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for one in document["filtered"]:
        actions = grouped.setdefault((one["stage"], one["rule"], one["detail"]), {})
        actions.setdefault(one["action_id"], []).append(one["channel"])
    rows = [
        [stage.replace("_", " "), rule, detail, _some([f"{action} ({', '.join(channels)})" for action, channels in actions.items()])]
        for (stage, rule, detail), actions in sorted(grouped.items(), key=lambda one: order.index(one[0][0]) if one[0][0] in order else 0)
    ]
    if rows:
        terminal.table("Taken out", ["stage", "rule", "because", "actions (channels)"], rows)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMES])
    return shown if len(names) <= _NAMES else f"{shown} and {len(names) - _NAMES} more"


def _head(terminal: Terminal, text: str) -> None:
    terminal.print("")
    terminal.print(text)
