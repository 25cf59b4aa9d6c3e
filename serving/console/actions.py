"""The actions: what may be proposed, how far it gets, what it earns, and how much is known about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from decisioning.catalog import Action, Catalog
from serving.console import words
from serving.console.bars import bars
from serving.console.console import Console
from serving.console.figures import Figure

ENOUGH = 1_000
"""Touches from which on an action's own figures say more than its prior."""

_STRONGEST = 2
"""Rules that are named of a stage."""

_RULES = ("eligibility", "applicability", "suitability")
_STAGES = {
    "eligibility": "not allowed",
    "applicability": "makes no sense now",
    "suitability": "not in their interest",
    "consent": "no consent",
    "contact_policy": "contacted often enough",
    "score": "worth unknown",
    "control": "control group",
    "allocation": "limit used up",
    "arbitrate": "not worth it",
}
"""What each stage says of the contacts that it takes out."""

_NOTHING = {
    "all_filtered": "the rules leave nothing",
    "not_worth_it": "nothing is worth it",
    "limits": "limits are used up",
    "holdout": "left alone to compare with",
}
"""Why contacts are left with no action."""


def actions(console: Console) -> dict[str, Any]:
    """What the page shows."""
    funnel, roi = console.funnel(), console.report("roi")
    catalog = console.catalog
    return {
        "title": "Actions",
        "figures": [funnel, roi],
        "catalog": {"version": catalog.fingerprint, "actions": len(catalog.actions), "treatments": len(catalog.treatments)},
        "tree": _tree(catalog),
        "funnel": funnel,
        "stages": [] if funnel.document is None else _stages(funnel.document),
        "rules": [] if funnel.document is None else _rules(funnel.document),
        "reach": [] if funnel.document is None else _reach(funnel.document),
        "nothing": None if funnel.document is None else _nothing(funnel.document),
        "roi": roi,
        "performance": [] if roi.document is None else performance(roi.document, "action", catalog.currency),
        "maturity": _maturity(catalog, roi),
    }


def _tree(catalog: Catalog) -> list[dict[str, Any]]:
    """Issue > group > action > treatments."""
    issues: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for one in catalog.actions:
        issues.setdefault(one.issue, {}).setdefault(one.group, []).append(_action(one, catalog))
    return [
        {"issue": issue, "groups": [{"group": group, "actions": rows} for group, rows in groups.items()]}
        for issue, groups in issues.items()
    ]


def _action(one: Action, catalog: Catalog) -> dict[str, Any]:
    value = words.money(one.value, catalog.currency) if isinstance(one.value, int | float) else str(one.value)
    return {
        "id": one.id,
        "kind": one.kind,
        "goal": one.goal,
        "value": "learned from what was paid" if value == "observed" else value,
        "valid": None if one.valid is None else f"{one.valid[0]} to {one.valid[1]}",
        "lever": one.lever if one.lever != 1.0 else None,
        "rules": [(name, getattr(one, name)) for name in _RULES if getattr(one, name) is not None],
        "weights": [(each.when, each.weight) for each in one.context_weights],
        "treatments": [
            {
                "id": each.id,
                "channel": each.channel,
                "placement": each.placement,
                "content": each.content,
                "cost": words.money(catalog.cost_of(one, each), catalog.currency),
            }
            for each in one.treatments
        ],
    }


def _stages(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{**one, "says": _STAGES.get(one["stage"], ""), "share": one["remaining"]} for one in document["stages"]]


def _rules(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those by which most contacts lose something, in the order of the stages."""
    return [
        {"stage": one["stage"], "rule": rule["rule"], "contacts": rule["contacts"]}
        for one in document["stages"]
        for rule in one["rules"][:_STRONGEST]
    ]


def _reach(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of each action: who could get it at all, whose first choice it is, and what takes it out most."""
    total = document["contacts"] or 1
    rows = []
    for one in document["actions"]:
        stage, taken = max(one["filtered"].items(), key=lambda pair: pair[1], default=("", 0))
        rows.append(
            {
                "id": one["action_id"],
                "contacts": one["contacts"],
                "share": one["contacts"] / total,
                "first_choice": one["first_choice"],
                "obstacle": _STAGES.get(stage, stage) if taken else words.NOTHING,
            }
        )
    return sorted(rows, key=lambda row: -row["first_choice"])


def _nothing(document: Mapping[str, Any]) -> dict[str, Any]:
    found = document["without_action"]
    return {
        **found,
        "reasons": [
            {"reason": _NOTHING.get(one["reason"], words.name(one["reason"])), "contacts": one["contacts"]} for one in found["reasons"]
        ],
    }


def performance(document: Mapping[str, Any], by: str, currency: str) -> list[dict[str, Any]]:
    """One line an action or channel of the ROI report, best first."""
    rows = [one for one in document["by"][by] if one.get("touches")]
    left = [(one.get("attributed_revenue") or 0.0) - (one.get("marketing_cost") or 0.0) for one in rows]
    drawn = bars(left)
    return [
        {
            "name": one["name"],
            "touches": words.count(one.get("touches")),
            "conversions": words.count(one.get("conversions")),
            "conversion_rate": words.percent(one.get("conversion_rate")),
            "click_rate": words.percent(one.get("click_rate")),
            "unsubscribe_rate": words.percent(one.get("unsubscribe_rate")),
            "revenue": words.money(one.get("attributed_revenue"), currency),
            "cost": words.money(one.get("marketing_cost"), currency),
            "left": words.money(value, currency),
            "bar": bar,
        }
        for one, value, bar in zip(rows, left, drawn, strict=True)
    ]


def _maturity(catalog: Catalog, roi: Figure) -> list[dict[str, Any]]:
    """How much is known of each action: touches so far against its prior, and what stands in until then."""
    known = {} if roi.document is None else {one["name"]: one for one in roi.document["by"]["action"]}
    rows = []
    for one in catalog.actions:
        touches = known.get(one.id, {}).get("touches") or 0.0
        prior = one.cold_start
        rows.append(
            {
                "id": one.id,
                "touches": touches,
                "share": min(1.0, touches / ENOUGH),
                "stands": "mature" if touches >= ENOUGH else "learning" if touches else "cold start" if prior else "never tried",
                "prior": None
                if prior is None
                else f"starts from {words.percent(prior.propensity)} response, {words.percent(prior.uplift)} of it because of us, "
                f"as if seen on {prior.evidence:,.0f} contacts",
            }
        )
    return sorted(rows, key=lambda row: row["touches"])
