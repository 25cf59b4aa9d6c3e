"""Channels and return: what each channel brings in, by comparison and by attribution, and which one you would drop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from serving.console import words
from serving.console.actions import performance
from serving.console.console import Console
from serving.console.figures import Figure
from serving.console.overview import worth

HEADS = {
    "value": "What it is worth",
    "performance": "How well it works",
    "response": "How people respond",
    "activity": "What was done",
}


def channels(console: Console, *, drop: bool) -> dict[str, Any]:
    """What the page shows; the plans without each channel only where they were asked for, since they take longest."""
    roi, measured = console.report("roi"), console.report("channels")
    dropped = console.dropped() if drop else Figure()
    currency = console.catalog.currency
    return {
        "title": "Channels & ROI",
        "figures": [roi, measured, *([dropped] if drop else [])],
        "roi": roi,
        "measured": measured,
        "worth": None if roi.document is None else worth(roi.document),
        "incremental": [] if measured.document is None else _incremental(measured.document),
        "stages": [] if measured.document is None else _stages(measured.document),
        "performance": [] if roi.document is None else performance(roi.document, "channel", currency),
        "heads": [] if roi.document is None else _heads(roi.document),
        "attribution": None if roi.document is None else _attribution(roi.document),
        "launch": None if roi.document is None else _launch(roi.document),
        "asked_drop": drop,
        "dropped": dropped,
        "drops": None if dropped.document is None else _drops(dropped.document),
    }


def _incremental(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of each channel that could be compared: profit a contact against those who were left alone."""
    currency = document["currency"]
    rows = [one for one in document["channels"] if one["incremental"]]
    each = [one["incremental"]["profit"]["per_contact"] for one in rows]
    return [
        {
            "channel": one["channel"],
            "treated": one["incremental"]["treated"],
            "each": words.money(profit["value"], currency),
            "between": words.between(profit, "money", currency),
            "sure": _sure(profit),
        }
        for one, profit in zip(rows, each, strict=True)
    ]


def _stages(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same by what the contacts were when touched: new, engaged or customers."""
    currency = document["currency"]
    return [
        {
            "channel": one["channel"],
            "stage": stage,
            "treated": found["treated"],
            "each": words.money(found["profit"]["per_contact"]["value"], currency),
            "between": words.between(found["profit"]["per_contact"], "money", currency),
        }
        for one in document["channels"]
        for stage, found in one["stages"].items()
        if found
    ]


def _sure(profit: Mapping[str, Any]) -> str:
    if profit["low"] is None or profit["high"] is None:
        return "not known"
    return "surely earns" if profit["low"] > 0 else "surely loses" if profit["high"] < 0 else "may be chance"


def _heads(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    currency = document["currency"]
    return [
        {
            "head": HEADS.get(head, words.name(head)),
            "rows": [
                {
                    "kpi": words.name(one["kpi"]),
                    "value": words.figure(one["value"], one["unit"], currency),
                    "between": words.between(one, one["unit"], currency),
                    "meaning": one["meaning"],
                }
                for one in rows
            ],
        }
        for head, rows in document["heads"].items()
        if rows
    ]


def _attribution(document: Mapping[str, Any]) -> dict[str, Any] | None:
    found, currency = document["attribution"], document["currency"]
    if found is None:
        return None
    names: Sequence[str] = found["models"]
    return {
        "sales": words.count(found["conversions"]),
        "value": words.money(found["value"], currency),
        "models": [words.ATTRIBUTION.get(name, words.name(name)) for name in names],
        "rows": [(one["channel"], [words.money(one["value"][name]) for name in names]) for one in found["channels"]],
        "currency": currency,
    }


def _launch(document: Mapping[str, Any]) -> dict[str, Any] | None:
    found, currency = document["launch"], document["currency"]
    if found is None:
        return None
    return {
        "rows": [
            {
                "when": "looked at any time" if one["always_valid"] else "looked at once",
                "contacts": one["contacts"],
                "effect": words.money(one["minimum_detectable_effect"], currency),
                "needed": words.count(one["required_contacts_for_a_tenth"]),
            }
            for one in found["holdout"]
        ],
        "mean": words.money(found["mean"], currency),
        "alarm": bool(found["sample_ratio"] and found["sample_ratio"]["alarm"]),
    }


def _drops(document: Mapping[str, Any]) -> dict[str, Any]:
    found, currency = document["drop"], document["currency"]
    return {
        "contacts": found["contacts"],
        "infeasible": found["infeasible"],
        "rows": [
            {
                "channel": one["channel"],
                "contacts": one["now"]["contacts"],
                "profit": words.money(one["now"]["profit"], currency),
                "elsewhere": words.money(one["earned_elsewhere"], currency),
                "loss": words.money(one["loss"], currency),
            }
            for one in found["drops"]
        ],
    }
