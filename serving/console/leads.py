"""Leads: who is one, where those that were handed over stand, and what sales says of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from decisioning.errors import NudgeError
from decisioning.lead_catalog import LeadDefinition, PointsRule
from serving.console import words
from serving.console.console import Console

SHOWN = 100
"""Leads in a list."""

STEPS = ("handed_over", "accepted", "contacted", "won", "lost", "rejected")
"""Where a lead may stand, in the order of the counts."""

NEXT = {
    "handed_over": ("accepted", "contacted", "rejected", "won", "lost"),
    "accepted": ("contacted", "won", "lost", "rejected"),
    "contacted": ("won", "lost", "rejected"),
}
"""What may be said next of a lead that stands there."""

_OVERDUE = {"accept": "should have been accepted by now", "first_contact": "should have been contacted by now"}


def leads(console: Console) -> dict[str, Any]:
    """What the page shows."""
    shown: dict[str, Any] = {"title": "Leads", "figures": [], "definition": None, "problem": None, "counts": [], "rows": [], "overdue": 0}
    if console.catalog.lead is None:
        return shown
    shown["definition"] = _definition(console.catalog.lead)
    try:
        found = console.service.leads.listed(status=None, limit=SHOWN)
    except NudgeError as error:
        return {**shown, "problem": str(error)}
    currency = console.catalog.currency
    return {
        **shown,
        "counts": [(words.name(step), found[step]) for step in STEPS],
        "total": found["leads"],
        "revenue": words.money(found["revenue"], currency),
        "overdue": sum(found["overdue"].values()),
        "rows": [_lead(one, currency) for one in found["list"]],
        "most": SHOWN,
    }


def _definition(lead: LeadDefinition) -> dict[str, Any]:
    """Who is a lead, in words."""
    return {
        "who": lead.who,
        "parts": [(label, [_points(one) for one in rules]) for label, rules in (("fit", lead.fit), ("behaviour", lead.behaviour)) if rules],
        "questions": [one.ask for one in lead.asked],
        "grades": [(grade, points) for grade, points in lead.grades.items()],
        "score": lead.threshold.score,
        "grade": lead.threshold.grade,
        "owners": [(one.owner, one.when) for one in lead.owner],
        "accept_within": lead.accept_within_hours,
        "contact_within": lead.first_contact_within_hours,
    }


def _points(one: PointsRule) -> tuple[str, str]:
    """A line of points, and what it asks for."""
    halves = "" if one.half_life_days is None else f", halving every {one.half_life_days:g} days"
    return f"{one.points:+g}{halves}".replace("-", "−"), one.because or one.when or f"since {one.since}"


def _lead(one: Mapping[str, Any], currency: str) -> dict[str, Any]:
    return {
        "id": one["lead_id"],
        "contact": one["contact_id"],
        "status": one["status"],
        "grade": one["grade"],
        "score": words.figure(one["score"], None),
        "probability": None if one["probability"] is None else words.percent(one["probability"]),
        "owner": one["owner"],
        "since": one[f"{one['status']}_at"],
        "revenue": words.money(one["revenue"], currency),
        "overdue": _OVERDUE.get(one["overdue"] or ""),
        "reasons": [f"{each['because']} ({each['points']:+.3g})".replace("(-", "(−") for each in one["reasons"] if each["points"]],
        "questions": [each["ask"] for each in one["questions"]],
        "next": NEXT.get(one["status"], ()),
    }
