"""The models: which decides, which would like to, how good they are, and the gate between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from serving.console import words
from serving.console.console import Console
from serving.console.figures import Figure

NAMES = {"clv": "customer value"}
"""Kinds of models whose id says little."""

WHAT = {
    "propensity": "How likely a contact is to respond when contacted",
    "uplift": "How much more likely because of the contact",
    "clv": "What a contact will be worth over the coming year",
    "lead": "How likely a lead is to be won",
}

PICTURES = {
    "calibration.png": "Calibration: of contacts promised a chance of 20 %, do 20 % respond? On the diagonal, yes.",
    "qini.png": "Qini: what is gained by contacting those first whom the model ranks first. Above the straight line, it ranks well.",
    "uplift_by_segment.png": "Uplift by group: what the model expected, and what was measured.",
    "average_effects.png": "What each action changes on average. Where the line crosses zero, it may change nothing.",
    "policy_gains.png": "What deciding by the model earns, against contacting nobody.",
    "money_blend.png": "Customer value: expected and actual money, by group of what was expected.",
    "money_btyd.png": "The same from purchase histories alone.",
    "shap_summary.png": "The features that move the answers most.",
}
"""How to read the pictures of a model's training, in the order in which they are shown."""

POLICIES = {
    "champion": "what decides now",
    "challenger": "with the challengers in place",
    "propensity_greedy": "whoever responds most often, whatever is due to us",
    "random": "anything that is allowed, at random",
    "no_action": "nobody is contacted",
}
_METRICS = {
    "auc": ("ranking (AUC)", "0.5 is a coin, 1 is perfect"),
    "log_loss": ("log loss", "lower is better"),
    "brier": ("Brier score", "lower is better"),
    "ece": ("calibration error", "how far promises and results are apart"),
    "qini": ("Qini", "higher is better"),
    "auuc": ("area under the uplift curve", "higher is better"),
    "lift_10": ("lift of the best tenth", "times as many responses as on average"),
    "window_days": ("window of the test", "days of purchases that were kept out of learning"),
    "mean_money": ("money a contact, in the window", "what there was to predict"),
    "mean_purchases": ("purchases a contact, in the window", "what there was to predict"),
    "coverage_50": ("inside the 50 % interval", "should be half"),
    "coverage_80": ("inside the 80 % interval", "should be 80 %"),
    "coverage_90": ("inside the 90 % interval", "should be 90 %"),
    "coverage_95": ("inside the 95 % interval", "should be 95 %"),
}

_SHARES = ("coverage_", "ece")
"""Figures that are rates."""


def models(console: Console) -> dict[str, Any]:
    """What the page shows."""
    registry, evaluation, report = console.registry(), console.evaluation(), console.report("models")
    return {
        "title": "Models",
        "figures": [registry, evaluation, report],
        "registry": registry,
        "models": _registered(registry, report),
        "evaluation": evaluation,
        "policies": [] if evaluation.document is None else _policies(evaluation.document),
        "challengers": {}
        if evaluation.document is None
        else {one["model"]: _verdict(one, evaluation) for one in evaluation.document["challengers"]},
        "watch": None if evaluation.document is None else _watch(evaluation.document["watch"]),
        "source": "" if evaluation.document is None else evaluation.document["source"],
        "rows": 0 if evaluation.document is None else evaluation.document["rows"],
        "notes": [] if evaluation.document is None else evaluation.document["notes"],
    }


def kind_of(name: str) -> str:
    """The kind of a registered model, from its name: `demo-uplift` is an uplift."""
    return name.rsplit("-", 1)[-1]


def _registered(registry: Figure, report: Figure) -> list[dict[str, Any]]:
    if registry.document is None:
        return []
    figures = {} if report.document is None else {one["registered_as"]: one for one in report.document["models"]}
    return [_model(one, figures.get(one["name"])) for one in registry.document["models"]]


def _pictures(names: Sequence[str]) -> list[tuple[str, str]]:
    """(file, how to read it) of each picture."""
    order = list(PICTURES)
    return [(one, PICTURES.get(one, words.name(one.removesuffix(".png")))) for one in sorted(names, key=lambda one: _place(one, order))]


def _place(name: str, order: Sequence[str]) -> tuple[int, str]:
    return (order.index(name) if name in order else len(order), name)


def _model(one: Mapping[str, Any], figures: Mapping[str, Any] | None) -> dict[str, Any]:
    kind, champion = kind_of(one["name"]), one["champion"]
    return {
        "name": one["name"],
        "kind": kind,
        "heading": NAMES.get(kind, words.name(kind)),
        "what": WHAT.get(kind, ""),
        "champion": champion,
        "challenger": one["challenger"],
        "versions": one["versions"],
        "before": [each["version"] for each in one["versions"] if champion is not None and each["version"] < champion],
        "metrics": [] if figures is None else _metrics(figures["metrics"]),
        "findings": [] if figures is None else figures["findings"],
        "warnings": [] if figures is None else figures["warnings"],
        "pictures": _pictures(one["pictures"]),
    }


def _metrics(found: Mapping[str, float]) -> list[dict[str, Any]]:
    """The figures of the whole, with their intervals where there are any; those by action stay in MLflow."""
    rows = []
    for name, value in found.items():
        if "." in name or name.endswith(("_low", "_high")):
            continue
        said, how = _METRICS.get(name, (words.name(name), ""))
        between = words.between({"low": found.get(f"{name}_low"), "high": found.get(f"{name}_high")}, "plain")
        share = name.startswith(_SHARES)
        rows.append({"name": said, "value": words.percent(value) if share else words.figure(value, None), "between": between, "how": how})
    return rows


def _policies(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    currency, lines = document["currency"], document["policies"]
    return [
        {
            "name": words.name(one["name"]),
            "says": POLICIES.get(one["name"], ""),
            "value": words.money(one["value"], currency),
            "between": words.between(one, "money", currency),
            "gain": None if one["name"] == "champion" else words.money(one["gain"], currency),
            "gain_between": "" if one["name"] == "champion" else words.between({"low": one["gain_low"], "high": one["gain_high"]}, "money"),
            "warnings": one["warnings"],
        }
        for one in lines
    ]


def _verdict(one: Mapping[str, Any], evaluation: Figure) -> dict[str, Any]:
    currency = "" if evaluation.document is None else evaluation.document["currency"]
    return {
        "version": one["version"],
        "passes": one["passes"],
        "reason": one["reason"],
        "gain": words.money(one["gain"], currency),
        "between": words.between({"low": one["gain_low"], "high": one["gain_high"]}, "money", currency),
        "rows_needed": one["rows_needed"],
    }


def _watch(found: Mapping[str, Any]) -> dict[str, Any]:
    drift = found["drift"]
    features = [] if drift is None else sorted(drift["features"].items(), key=lambda pair: -pair[1])[:8]
    return {
        "alarms": found["alarms"],
        "drift": drift,
        "features": [{"name": words.name(name), "value": f"{value:.2f}", "large": value > 0.25} for name, value in features],
        "calibration": [
            {
                "action": words.name(one["action"]),
                "choices": one["choices"],
                "promised": words.percent(one["promised"]),
                "came": words.percent(one["came"]),
                "drifted": one["drifted"],
            }
            for one in found["calibration"]
        ],
    }
