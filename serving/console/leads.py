"""Leads: what the catalogue says of them, or how to say it."""

from __future__ import annotations

from typing import Any

from serving.console.console import Console


def leads(console: Console) -> dict[str, Any]:
    """What the page shows."""
    return {"title": "Leads", "figures": [], "defined": console.catalog.lead is not None}
