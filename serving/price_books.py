"""A price book as JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from decisioning.price_book import Line, PriceBook


def to_json(book: PriceBook) -> dict[str, Any]:
    """The published part of a book: the limits themselves stand in the catalogue.

    Examples
    --------
    >>> book = PriceBook("p-1", np.datetime64("2026-11-01", "us"), 30.0, {"calls": Line(500.0, price=2.5, scale=4.0, planned=120.0)})
    >>> from_json(to_json(book)).lines["calls"]
    Line(most=inf, least=0.0, price=2.5, scale=4.0, planned=120.0)
    """
    return {
        "id": book.id,
        "begins_at": str(book.begins_at),
        "valid_until": str(book.begins_at + np.timedelta64(round(book.period_days * 86_400_000_000), "us")),
        "period_days": book.period_days,
        "prices": {name: line.price for name, line in book.lines.items()},
        "scales": {name: line.scale for name, line in book.lines.items()},
        "planned": {name: line.planned for name, line in book.lines.items()},
    }


def from_json(kept: Mapping[str, Any]) -> PriceBook:
    """The book that `to_json` wrote, without limits until it stands `under` a catalogue; an older one begins at its plan's moment."""
    prices: Mapping[str, float] = kept.get("prices") or {}
    scales, planned = kept.get("scales") or {}, kept.get("planned") or {}
    lines = {
        name: Line(np.inf, 0.0, float(price or 0.0), float(scales.get(name) or 0.0), float(planned.get(name) or 0.0))
        for name, price in prices.items()
    }
    begins_at = np.datetime64(str(kept.get("begins_at") or kept.get("as_of") or "1970-01-01"), "us")
    return PriceBook(str(kept["id"]), begins_at, float(kept.get("period_days") or 30.0), lines)
