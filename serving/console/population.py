"""The population in groups: the segments of the catalogue with what contacting is worth in each, and for whom nothing good is on offer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serving.console import words

_MISSING = 6
_RULES = 5


def customer_segments(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One line a segment of the catalogue: how many, and profit a contact because of us, with its interval."""
    currency, rows = document["currency"], document["segments"]
    found = [one["programme"] or one["history"] for one in rows]
    each = [None if one is None else one["profit"]["per_contact"] for one in found]
    return [
        {
            "name": words.name(one["segment"]),
            "condition": one["condition"],
            "contacts": one["contacts"],
            "share": one["share"],
            "each": words.NOTHING if profit is None else words.money(profit["value"], currency),
            "between": words.between(profit, "money", currency),
        }
        for one, profit in zip(rows, each, strict=True)
    ]


def value_finder(document: Mapping[str, Any]) -> dict[str, Any]:
    """Contacts by what is on offer to them, and which kind of action would help those to whom nothing good is."""
    currency, contacts = document["currency"], document["contacts"]
    return {
        "contacts": contacts,
        "underserved": document["underserved"],
        "share": document["underserved"] / contacts if contacts else 0.0,
        "classes": [
            {
                "name": one["class"],
                "contacts": one["contacts"],
                "share": one["contacts"] / contacts if contacts else 0.0,
                "clv": words.money(one["clv_each"], currency),
            }
            for one in document["classes"]
        ],
        "missing": [
            {
                "kind": words.name(one["kind"]),
                "no_candidate": one["no_candidate"],
                "unwanted": one["unwanted"],
                "not_worth_it": one["not_worth_it"],
                "best": words.money(one["best_profit"], currency),
            }
            for one in document["missing"]["group"][:_MISSING]
        ],
        "rules": document["taken_out_by"][:_RULES],
    }
