"""What `nudge train` prints for people: the figures of each model as a whole, then side by side for its actions and for policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nudge.terminal import Terminal

Document = Mapping[str, Any]

_ENDS = ("_low", "_high")


def trained(terminal: Terminal, document: Document) -> None:
    """The tables of each model, and what to do next."""
    for model in document["models"]:
        terminal.print(f"{model['name']} version {model['version']} ({model['alias']})")
        metrics = {name: float(value) for name, value in model["metrics"].items()}
        whole = [[name, value] for name, value in sorted(metrics.items()) if "." not in name]
        if whole:
            terminal.table("As a whole", ["metric", "value"], whole)
        for subjects, columns in _side_by_side(metrics).items():
            rows = [[subject, *(column[subject] for column in columns.values())] for subject in subjects]
            kind = "policy" if "gain" in columns else "action"
            terminal.table(f"By {kind}", [kind, *(name.replace("_", " ") for name in columns)], rows)
    if document["models"]:
        terminal.print("Next: nudge plan, or nudge serve")


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
