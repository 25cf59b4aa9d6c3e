"""Health: does everything answer, does what was reported fit what was decided, does learning starve, and is the data sound?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from decisioning.errors import NudgeError
from serving.console import words
from serving.console.console import Console

_DAYS = 14
LETTERS = 20
"""Dead letters in the list."""

_MEANINGS = {
    "ledger": "remembers every decision and outcome",
    "features": "what is known of contacts, for real time",
    "catalog": "the actions and rules that decide",
    "models": "the models that decide",
}


def health(console: Console) -> dict[str, Any]:
    """What the page shows."""
    gaps, data, evaluation = console.reconciliation(), console.report("data"), console.evaluation()
    return {
        "title": "Health",
        "figures": [gaps, data, evaluation],
        "ready": _ready(console),
        "freshness": _freshness(console),
        "letters": _letters(console),
        "gaps": gaps,
        "flows": [] if gaps.document is None else gaps.document["channels"],
        "gap_texts": [] if gaps.document is None else gaps.document["gaps"][:_DAYS],
        "evaluation": evaluation,
        "starving": [] if evaluation.document is None else evaluation.document["watch"]["alarms"],
        "data": data,
        "tables": [] if data.document is None else _tables(data.document),
        "warnings": [] if data.document is None else data.document["warnings"],
        "misfits": [] if data.document is None else _misfits(data.document),
        "ingested_at": None if data.document is None else data.document["ingested_at"],
    }


def _ready(console: Console) -> list[dict[str, Any]]:
    return [
        {"name": name, "ok": one["ok"], "detail": words.moments_in(one["detail"]), "meaning": _MEANINGS.get(name, "")}
        for name, one in console.service.readiness().items()
    ]


def _freshness(console: Console) -> dict[str, Any]:
    try:
        held = console.desk.freshness()
    except NudgeError as error:
        return {"problem": str(error), "held": None}
    return {"problem": None, "held": held}


def _letters(console: Console) -> dict[str, Any]:
    """What became of the messages for the webhook; nothing where none ever was and none is asked for."""
    try:
        found = console.service.letters.standing(LETTERS)
    except NudgeError as error:
        return {"problem": str(error), "shown": True, "counts": {}, "dead": []}
    return {**found, "problem": None, "shown": found["host"] is not None or any(found["counts"].values())}


def _tables(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "rows": one["rows"],
            "duplicates": one["duplicates"],
            "orphans": one["orphans"],
            "first": one["first_at"],
            "last": one["last_at"],
            "gaps": _gaps(one),
        }
        for name, one in document["tables"].items()
    ]


def _gaps(table: Mapping[str, Any]) -> str:
    """The columns with most missing, in words."""
    rows = table["rows"] or 1
    found = sorted(((one["nulls"] / rows, name) for name, one in table["columns"].items() if one["nulls"]), reverse=True)[:3]
    return ", ".join(f"{name} {words.percent(share)} missing" for share, name in found)


def _misfits(document: Mapping[str, Any]) -> list[tuple[str, int]]:
    return [(words.name(name), number) for name, number in document["reconciliation"].items() if number]
