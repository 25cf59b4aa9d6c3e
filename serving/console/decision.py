"""A decision in words: what is proposed, how its worth comes about, why not something else, and what would change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from serving.console import words
from serving.console.bars import bars

_CHANGES = 6
_STAGES = {
    "placement": "no place for it here",
    "eligibility": "not allowed",
    "applicability": "makes no sense now",
    "suitability": "not in the contact's interest",
    "consent": "no consent",
    "contact_policy": "contacted often enough",
    "score": "worth unknown",
    "control": "control group",
    "allocation": "limit used up",
    "arbitrate": "not worth it",
}


def decision_in_words(answer: Mapping[str, Any], currency: str) -> dict[str, Any]:
    """What the page shows of an answer of the service with its explanation."""
    explained = answer.get("explanation")
    return {
        "actions": [_action(one, currency) for one in answer["actions"]],
        "no_action": answer["no_action"],
        "group": answer["control_group"],
        "degraded": answer["degraded"],
        "waterfall": [] if explained is None or explained["treatment_id"] is None else _sum(explained["waterfall"], currency),
        "others": [] if explained is None else [_other(explained[key], currency) for key in ("runner_up", "next_action") if explained[key]],
        "changes": [] if explained is None else [_change(one) for one in explained["changes"][:_CHANGES]],
        "filtered": _filtered(answer["filtered"]),
    }


def _action(one: Mapping[str, Any], currency: str) -> dict[str, Any]:
    return {
        "name": words.name(one["action_id"]),
        "channel": one["channel"],
        "placement": one["placement"],
        "content": one["content_id"],
        "segment": one["segment"],
        "profit": words.money(one["expected_profit"], currency),
        "propensity": words.percent(one["propensity"]),
        "baseline": words.percent(one["baseline"]),
        "uplift": words.percent(one["uplift"]),
        "value": words.money(one["value"], currency),
        "cost": words.money(one["cost"], currency),
        "send_at": one.get("send_at"),
        "reasons": [words.rates_in(text) for text in one["reasons"]],
    }


def _change(one: Mapping[str, Any]) -> str:
    """What would change the choice: a rule as it is written, a number in its unit."""
    text = str(one["sentence"])
    if one["beyond"] is not None:  # of a number: no rule of the catalogue, in which other numbers may stand
        text = words.rates_in(text.replace(one["what"], words.name(one["what"])))
    return text.replace(one["then"], words.name(one["then"]))


def _sum(parts: Sequence[Mapping[str, Any]], currency: str) -> list[dict[str, Any]]:
    """The steps of a sum, and the sum."""
    total = sum(part["amount"] or 0.0 for part in parts)
    rows = [(words.name(part["name"]), words.rates_in(part["how"]), part["amount"]) for part in parts] + [
        ("priority", "the sum: the highest wins", total)
    ]
    drawn = bars([amount for *_, amount in rows])
    return [
        {"name": name, "how": how, "amount": words.money(amount, currency), "bar": bar, "total": place == len(rows) - 1}
        for place, ((name, how, amount), bar) in enumerate(zip(rows, drawn, strict=True))
    ]


def _other(one: Mapping[str, Any], currency: str) -> dict[str, Any]:
    lead = one["lead"]
    stands = f"{words.money(abs(lead), currency)} {'behind' if lead >= 0 else 'ahead, but not by priority alone'}"
    return {"name": one["treatment_id"], "stands": stands, "parts": _sum(one["parts"], currency)[:-1]}


def _filtered(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What was taken out, one line a rule."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for one in found:
        names = rows.setdefault((one["stage"], one["rule"], one["detail"]), [])
        if one["action_id"] not in names:
            names.append(one["action_id"])
    return [
        {"says": _STAGES.get(stage, stage), "rule": rule, "detail": detail, "actions": ", ".join(map(words.name, names))}
        for (stage, rule, detail), names in rows.items()
    ]
