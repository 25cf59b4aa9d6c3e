"""What `nudge train` prints for people: the figures of each model as a whole, then side by side for its actions and for policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nudge.ground.terminal import Figure, Terminal

Document = Mapping[str, Any]

_ENDS = ("_low", "_high")
_WITH_INTERVAL = ("gain", "qini")
"""Whose intervals are shown for each action or policy; those of the others are in --json and in MLflow."""

GATE = "gate."
HARDLY = 0.002
"""A share of contacts so small that who gets what counts as unchanged, as for the gate."""


def trained(terminal: Terminal, document: Document) -> None:
    """One line a model, what was found, the warnings, the gate's verdicts, then every figure of each model, and what to do next."""
    models = document["models"]
    if models:
        header = ["model", "version", "fitted", "figure", "value", "95 %", "against", "its value", "seconds"]
        terminal.table("Trained", header, [_line(model) for model in models])
    for finding in (finding for model in models for finding in model["findings"]):
        terminal.print(finding)
    for warning in document["warnings"]:
        terminal.warn(warning)
    for model in models:
        metrics = {name: float(value) for name, value in model["metrics"].items()}
        _verdicts(terminal, {name.removeprefix(GATE): value for name, value in metrics.items() if name.startswith(GATE)})
        _figures(terminal, model["name"], {name: value for name, value in metrics.items() if not name.startswith(GATE)})
    if models:
        terminal.print("Next: nudge plan, or nudge serve")


def _line(model: Mapping[str, Any]) -> list[object]:
    """The model's row in the first table; figures are of different kinds, so each brings its own decimals."""
    version = f"{model['version']} ({model['alias']})"
    fitted = "no: unchanged" if model["cached"] else "yes"
    seconds = None if model["cached"] else Figure(f"{model['seconds']:.1f}")
    found = model["headline"]
    if found is None:
        return [model["name"], version, fitted, "no test rows", None, None, None, None, seconds]
    interval = None if found["low"] is None or found["high"] is None else Figure(f"{found['low']:.4g} to {found['high']:.4g}")
    compared = None if found["against_value"] is None else Figure(f"{found['against_value']:.4g}")
    return [model["name"], version, fitted, found["metric"], Figure(f"{found['value']:.4g}"), interval, found["against"], compared, seconds]


def _verdicts(terminal: Terminal, gate: Mapping[str, float]) -> None:
    """What the uplift gate decided of each action: whether personal differences are acted on."""
    actions = sorted(name.removesuffix(".trust") for name in gate if name.endswith(".trust"))
    if not actions:
        return
    rows = [
        [action, *(gate.get(f"{action}.{name}") for name in ("gain", "gain_low", "gain_high")), _verdict(gate, action)]
        for action in actions
    ]
    title = "Do contacts differ enough in what they gain? Money a contact over the best constant action"
    terminal.table(title, ["action", "gain", "low", "high", "verdict"], rows)


def _verdict(gate: Mapping[str, float], action: str) -> str:
    trust, changed = gate[f"{action}.trust"], gate.get("decided_changed", gate.get("changed", 1.0))
    if not trust < 1.0:
        return (
            "personal: each contact's own uplift counts"
            if changed > HARDLY
            else "hardly anybody's action changes: differences order the audience"
        )
    if not gate.get("passed", 1.0):
        return "not enough evidence: its average effect decides, differences only order the audience"
    return "the average counts for everybody" if trust <= 0.0 else f"differences count by {trust:.0%}"


def _figures(terminal: Terminal, name: str, metrics: Mapping[str, float]) -> None:
    whole = {metric: value for metric, value in sorted(metrics.items()) if "." not in metric}
    rows = [[metric, value, *(whole.get(metric + end) for end in _ENDS)] for metric, value in whole.items() if not metric.endswith(_ENDS)]
    if rows:
        terminal.table(f"{name}: as a whole", ["metric", "value", "low", "high"], rows)
    for subjects, found in _side_by_side(metrics).items():
        columns = {column: values for column, values in found.items() if not column.endswith(_ENDS) or column.startswith(_WITH_INTERVAL)}
        if not columns:
            continue
        kind = "policy" if "gain" in columns else "model" if "gini" in columns else "action"
        lines = [[subject, *(column[subject] for column in columns.values())] for subject in subjects]
        terminal.table(f"{name}: by {kind}", [kind, *(column.replace("_", " ") for column in columns)], lines)


def _side_by_side(metrics: Mapping[str, float]) -> dict[tuple[str, ...], dict[str, dict[str, float]]]:
    """The metrics `name.subject` as columns: those that are known of the same subjects stand in one table.

    Examples
    --------
    >>> _side_by_side({"auc": 0.7, "auc.loan": 0.6, "brier.loan": 0.1, "gain.uplift": 2.0, "gain.uplift_low": 1.0})
    {('loan',): {'auc': {'loan': 0.6}, 'brier': {'loan': 0.1}}, ('uplift',): {'gain': {'uplift': 2.0}, 'gain_low': {'uplift': 1.0}}}
    """
    columns: dict[str, dict[str, float]] = {}
    for name, value in sorted(metrics.items()):
        base, dot, subject = name.partition(".")
        for end in _ENDS:
            if subject.endswith(end) and f"{base}.{subject.removesuffix(end)}" in metrics:
                base, subject = base + end, subject.removesuffix(end)
        if dot:
            columns.setdefault(base, {})[subject] = value
    tables: dict[tuple[str, ...], dict[str, dict[str, float]]] = {}
    for base, column in sorted(columns.items()):
        tables.setdefault(tuple(sorted(column)), {})[base] = column
    return tables
