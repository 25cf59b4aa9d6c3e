"""What the reports print for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nudge.ground.terminal import Figure, Terminal

Document = Mapping[str, Any]

_RULES = 12
_BAR = 20


def funnel(terminal: Terminal, document: Document) -> None:
    """The population from all its candidates to its first choices, and what the choices hang on."""
    terminal.print(f"{document['contacts']:,} contacts x {_treatments(document)} treatments, as of {document['as_of']}")
    _stages(terminal, document["stages"])
    _rules(terminal, document["stages"])
    _groups(terminal, "By action", "action", [(one["action_id"], one) for one in document["actions"]], document["contacts"])
    _groups(terminal, "By channel", "channel", [(one["channel"], one) for one in document["channels"]], document["contacts"])
    _without_action(terminal, document)
    _optionality(terminal, document["optionality"])
    _sensitivity(terminal, document["sensitivity"])


def tables(terminal: Terminal, parts: Sequence[Any]) -> None:
    """The sections of a measured report (`report_sections.Section`): their tables, each with what one must know to read it."""
    for one in parts:
        if one.rows:
            terminal.table(one.title, one.header, one.rows)
            if one.note:
                terminal.print(f"  {one.note}")
        else:
            terminal.print(f"{one.title}: {one.note}")
        terminal.print("")


def _treatments(document: Document) -> int:
    return int(document["candidates"] / document["contacts"]) if document["contacts"] else 0


def percent(share: float) -> Figure:
    """A fraction for people: `12.3 %`, and no 0 where there is something.

    Examples
    --------
    >>> percent(0.1234), percent(0.0), percent(0.00001)
    ('12.3 %', '0 %', '< 0.1 %')
    """
    return Figure("0 %" if share == 0 else "< 0.1 %" if share < 0.001 else f"{share:.1%}".replace("%", " %"))


def _bar(share: float) -> str:
    return "█" * round(share * _BAR) or ("▏" if share > 0 else "")


def _stages(terminal: Terminal, stages: Sequence[Document]) -> None:
    rows = [
        [
            stage["stage"].replace("_", " "),
            stage["available"],
            stage["filtered"],
            stage["passing"],
            percent(stage["remaining"]),
            _bar(stage["remaining"]),
            stage["contacts_passing"],
        ]
        for stage in stages
    ]
    header = ["stage", "candidates", "taken out", "left", "of all", "", "contacts with any left"]
    terminal.table("From every candidate to what is worth proposing", header, rows)


def _rules(terminal: Terminal, stages: Sequence[Document]) -> None:
    found = [(stage["stage"], rule) for stage in stages for rule in stage["rules"]]
    found.sort(key=lambda one: -int(one[1]["filtered"]))
    rows = [[stage.replace("_", " "), rule["rule"], rule["filtered"], rule["contacts"]] for stage, rule in found[:_RULES]]
    if rows:
        more = f", of {len(found)}; all with --json" if len(found) > _RULES else ""
        terminal.table(f"The rules that take out most{more}", ["stage", "rule", "candidates", "contacts"], rows)


def _groups(terminal: Terminal, title: str, key: str, named: Sequence[tuple[str, Document]], contacts: int) -> None:
    rows = []
    for name, one in sorted(named, key=lambda pair: -int(pair[1]["first_choice"])):
        most = max(one["filtered"], key=lambda stage: one["filtered"][stage], default="")
        taken = f"{most.replace('_', ' ')} ({percent(one['filtered'][most] / one['available'])})" if most and one["filtered"][most] else "-"
        left = percent(one["contacts"] / contacts) if contacts else "-"
        rows.append([name, percent(one["remaining"]), taken, one["contacts"], left, one["first_choice"]])
    header = [key, "candidates left", "most taken out by", "contacts it is left to", "of all", "first choice of"]
    terminal.table(title, header, rows)


def _without_action(terminal: Terminal, document: Document) -> None:
    nothing = document["without_action"]
    rows: list[list[object]] = [
        [one["reason"], one["contacts"], percent(one["contacts"] / document["contacts"])] for one in nothing["reasons"]
    ]
    title = f"Without any action: {nothing['contacts']:,} contacts ({percent(nothing['share'])})"
    terminal.table(title, ["reason", "contacts", "of all"], rows)
    if len(document["control_groups"]) > 1:
        groups = [[one["control_group"], one["contacts"], one["without_action"]] for one in document["control_groups"]]
        terminal.table("Control groups", ["group", "contacts", "without any action"], groups)


def _optionality(terminal: Terminal, optionality: Document) -> None:
    names = {"relevant_actions": "actions that no rule takes out", "actions": "actions worth it", "treatments": "treatments worth it"}
    rows = [[title, *(percent(one["share"]) for one in optionality[name])] for name, title in names.items()]
    terminal.table("How much choice is left to a contact", ["contacts with", *(one["left"] for one in optionality["actions"])], rows)


def _sensitivity(terminal: Terminal, sensitivity: Document) -> None:
    rows = [
        [
            one["factor"].replace("opt_out", "opt-out").replace("_", " "),
            one["neutral"],
            one["contacts"],
            percent(one["share"]),
            one["becomes"]["no_action"],
            one["becomes"]["an action"],
        ]
        for one in sensitivity["factors"]
    ]
    title = f"What the first choices hang on: of {sensitivity['contacts']:,} contacts, those who would get another without the factor"
    terminal.table(title, ["factor", "made neutral", "contacts", "share", "no longer any action", "an action after all"], rows)
