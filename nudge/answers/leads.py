"""What the commands about leads say to people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nudge.answers.reports import percent
from nudge.ground.terminal import Figure, Terminal

Document = Mapping[str, Any]


def scored(terminal: Terminal, document: Document) -> None:
    """Everybody as a lead: grades, what gives points, what is to be asked, and the best."""
    terminal.print(
        f"{document['qualified']:,} of {document['may_be_leads']:,} contacts are qualified leads, as of {document['as_of'][:16]}"
    )
    terminal.table("Grades", ["grade", "contacts", "qualified"], [list(one.values()) for one in document["grades"]])
    lines = [[one["part"], one["because"], one["contacts"], one["points"]] for one in document["lines"]]
    terminal.table("What gives points", ["part", "because", "contacts", "points in all"], lines)
    if document["questions"]:
        asked = [[one["ask"], one["unanswered"]] for one in document["questions"]]
        terminal.table("To be asked, not guessed", ["question", "contacts without an answer"], asked)
    rows = [
        [
            one["contact_id"],
            one["grade"],
            one["score"],
            Figure("-") if one["probability"] is None else percent(one["probability"]),
            one["owner"] or "-",
            _reasons(one),
        ]
        for one in document["leads"]
    ]
    if rows:
        terminal.table("The best leads", ["contact", "grade", "score", "learned", "owner", "because"], rows)


def listed(terminal: Terminal, document: Document, currency: str) -> None:
    """Leads as they stand; what is overdue is named first."""
    late = [one for one in document["list"] if one["overdue"] is not None]
    for one in late[:10]:
        limit = one["accept_by"] if one["overdue"] == "accept" else one["contact_by"]
        what = "not accepted" if one["overdue"] == "accept" else "not contacted"
        terminal.warn(f"{one['lead_id']} of {one['owner'] or 'nobody'} is {what}: it was due {limit[:16]}")
    if len(late) > 10:
        terminal.warn(f"and {len(late) - 10:,} more are overdue")
    names = ("handed_over", "accepted", "contacted", "rejected", "won", "lost")
    terminal.table("Leads", [name.replace("_", " ") for name in names], [[document[name] for name in names]])
    if document["won"]:
        terminal.print(f"  Won: {document['revenue']:,.2f} {currency}")
    rows = [
        [one["lead_id"], one["contact_id"], one["status"].replace("_", " "), one["grade"], one["score"], one["owner"] or "-"]
        for one in document["list"]
    ]
    if rows:
        terminal.table("Each", ["lead", "contact", "stands", "grade", "score", "owner"], rows)


def _reasons(lead: Document) -> str:
    return "; ".join(f"{one['because']} ({one['points']:+g})" for one in lead["reasons"][:3])
