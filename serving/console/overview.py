"""The overview: what it was worth, what it costs, where the goals stand, and what needs somebody's eye."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from decisioning.errors import NudgeError
from serving.console import words
from serving.console.console import Console
from serving.console.figures import Figure

STALE_DAYS = 2.0
"""Features of real time older than this are an alarm."""

_STATUS = {"reached": "good", "on_track": "good", "likely": "good", "at_risk": "warn", "off_track": "bad", "missed": "bad"}
_MANY = 3


def overview(console: Console) -> dict[str, Any]:
    """What the page shows; each part says what is missing where it is."""
    roi, goals = console.report("roi"), console.report("goals")
    evaluation, gaps = console.evaluation(), console.reconciliation()
    return {
        "title": "Overview",
        "figures": [roi, goals, evaluation, gaps],
        "roi": roi,
        "worth": None if roi.document is None else worth(roi.document),
        "months": None if roi.document is None else months(roi.document),
        "goals": goals,
        "goal_rows": [] if goals.document is None else goal_rows(goals.document),
        "spending": spending(console),
        "alarms": alarms(console, evaluation, gaps, roi),
        "evaluation": evaluation,
        "gaps": gaps,
    }


def worth(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """Profit against those who were left alone: of what was decided here, else of what the log compares; None where neither can be said."""
    made, currency = document["incremental"], document["currency"]
    layers = (made["programme"] or {"layers": []})["layers"]
    holdout = next((one for one in layers if one["control_group"] == "holdout"), None)
    found = holdout or made["history"]
    if found is None:
        return None
    total, each = found["profit"]["total"], found["profit"]["per_contact"]
    against = "the holdout" if holdout else "the logged controls"
    return {
        "value": words.money(total["value"], currency),
        "between": words.between(total, "money", currency),
        "each": words.money(each["value"], currency),
        "each_between": words.between(each, "money", currency),
        "against": against,
        "decided_here": holdout is not None,
        "treated": found["treated"],
        "control": found["control"],
        "verdict": _verdict(total, against),
        "tone": _tone(total),
        "return": None if found["roi"] is None else words.percent(found["roi"]["value"]),
        "cost": words.money(found["cost"], currency),
        "fair": found.get("randomised", True),
        "beyond": made["attributed_beyond"],
    }


def months(document: Mapping[str, Any]) -> dict[str, Any]:
    """Profit a contact, month by month: of what was decided here, else of what the log compares; one line a month."""
    made, currency = document["incremental"], document["currency"]
    here = bool(made["programme_by_month"])
    rows = [
        {
            "month": words.month(one["month"]),
            "each": words.money(one["profit"]["value"], currency),
            "between": words.between(one["profit"], "money", currency),
            "treated": one["treated"],
            "control": one["control"],
        }
        for one in made["programme_by_month" if here else "by_month"]
    ]
    return {"decided_here": here, "rows": rows, "picture": "Decided here, month by month" if here else "In the log, month by month"}


def _verdict(total: Mapping[str, Any], against: str) -> str:
    if total["low"] is not None and total["low"] > 0:
        return f"Contacting people pays: compared with {against}, the gain is surely above zero."
    if total["high"] is not None and total["high"] < 0:
        return f"Contacting people loses money: compared with {against}, the result is surely below zero."
    return f"Not decided yet: compared with {against}, the difference may still be chance. More contacts or more time will tell."


def _tone(total: Mapping[str, Any]) -> str:
    if total["low"] is not None and total["low"] > 0:
        return "good"
    return "bad" if total["high"] is not None and total["high"] < 0 else "warn"


def goal_rows(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One line a goal."""
    currency = document["currency"]
    return [
        {
            "id": one["id"],
            "kpi": one["kpi"],
            "owner": one["owner"],
            "deadline": one["deadline"],
            "trade_offs": ", ".join(one["trade_offs"]),
            "current": words.figure(one["current"], one["unit"], currency),
            "target": words.figure(one["target"], one["unit"], currency),
            "progress": one["progress"],
            "forecast": words.between(one["forecast"], one["unit"] or "", currency),
            "status": words.name(one["status"]),
            "meaning": one["meaning"],
            "tone": _STATUS.get(one["status"], "plain"),
        }
        for one in document["goals"]
    ]


def spending(console: Console) -> dict[str, Any]:
    """The running period's limits: what is used of each, what is left, what one more unit is worth."""
    try:
        book = console.service.prices()
    except NudgeError as error:
        return {"problem": str(error), "lines": [], "period": None, "exploration": None, "plan": None}
    currency = book["currency"]
    lines = [
        {
            "id": one["id"],
            "used": _measured(one["used"], one["measure"], currency),
            "limit": None if one["max"] is None else _measured(one["max"], one["measure"], currency),
            "least": None if one["min"] is None else _measured(one["min"], one["measure"], currency),
            "left": None if one["room"] is None else _measured(one["room"], one["measure"], currency),
            "share": one["used"] / one["max"] if one["max"] else None,
            "price": words.money(one["price"], currency),
            "worth_more": one["price"] > 0,
            "unit": f"1{words._SPACE}{currency}" if one["measure"] == "cost" else "contact",
        }
        for one in book["constraints"]
    ]
    exploring = book["exploration"]
    return {
        "problem": None,
        "lines": lines,
        "period": book["period"],
        "plan": book["id"],
        "exploration": None
        if not exploring["budget"]
        else {"spent": words.money(exploring["spent"], currency), "budget": words.money(exploring["budget"], currency)},
    }


def _measured(value: float, measure: str, currency: str) -> str:
    return words.money(value, currency) if measure == "cost" else words.count(value)


def alarms(console: Console, evaluation: Figure, gaps: Figure, roi: Figure) -> list[dict[str, str]]:
    """What needs somebody's eye: {tone, text, where}; the worst first."""
    found = [*_readiness(console), *_freshness(console), *_letters(console), *_watched(evaluation), *_reconciled(gaps), *_ratio(roi)]
    return sorted(found, key=lambda one: one["tone"] != "bad")


def _alarm(tone: str, text: str, where: str) -> dict[str, str]:
    return {"tone": tone, "text": text, "where": where}


def _readiness(console: Console) -> list[dict[str, str]]:
    state = console.service.readiness()
    return [_alarm("bad", f"{name}: {one['detail']}", "/console/health") for name, one in state.items() if not one["ok"]]


def _freshness(console: Console) -> list[dict[str, str]]:
    try:
        held = console.desk.freshness()
    except NudgeError as error:
        return [_alarm("bad", f"features: {error}", "/console/health")]
    if held is None:
        return [_alarm("warn", "No features are ready for real time yet: run nudge features materialize", "/console/health")]
    if held["days"] is not None and held["days"] > STALE_DAYS:
        text = f"Features are {held['days']:.0f} days old (as of {words.moment(held['as_of'])}): ingest newer data"
        return [_alarm("warn", text, "/console/health")]
    return []


def _letters(console: Console) -> list[dict[str, str]]:
    try:
        dead = console.service.letters.standing(0)["counts"]["dead"]
    except NudgeError:
        return []  # that the ledger does not answer is an alarm of its own
    text = f"{dead:,} {'message was' if dead == 1 else 'messages were'} given up: the webhook did not take them"
    return [_alarm("bad", text, "/console/health#messages")] if dead else []


def _watched(evaluation: Figure) -> list[dict[str, str]]:
    if evaluation.document is None:
        return []
    return [_alarm("warn", text, "/console/models") for text in evaluation.document["watch"]["alarms"]]


def _reconciled(gaps: Figure) -> list[dict[str, str]]:
    texts = [] if gaps.document is None else gaps.document["gaps"]
    shown = [_alarm("warn", text, "/console/health") for text in texts[:_MANY]]
    more = len(texts) - len(shown)
    return [
        *shown,
        *([_alarm("warn", f"and {more} more gaps between what was decided and what was reported", "/console/health")] if more else []),
    ]


def _ratio(roi: Figure) -> list[dict[str, str]]:
    launch = None if roi.document is None else roi.document["launch"]
    if launch is None or launch["sample_ratio"] is None or not launch["sample_ratio"]["alarm"]:
        return []
    return [
        _alarm(
            "bad", "The control groups are not as large as they should be: trust no comparison until it is known why", "/console/channels"
        )
    ]
