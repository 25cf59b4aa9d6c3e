"""A price book as JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from decisioning.catalog import Catalog
from decisioning.price_book import Line, PriceBook
from ledger.store import Ledger
from serving.realtime.running_period import EXPLORATION, running_period


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
    begins_at = np.datetime64(str(kept.get("begins_at") or kept.get("as_of") or "1970-01-01").removesuffix("Z"), "us")
    return PriceBook(str(kept["id"]), begins_at, float(kept.get("period_days") or 30.0), lines)


def prices_view(book: PriceBook, plan_id: str | None, ledger: Ledger, catalog: Catalog, now: np.datetime64) -> dict[str, Any]:
    """The book as it stands at `now`: what one more unit costs, what was published, what is used and what is left."""
    period, running = book.period(now), running_period(book, catalog, ledger, now)
    ends_at = period.begins_at + np.timedelta64(round(book.period_days * 86_400_000_000), "us")
    meters = ledger.meters(running.key)
    return {
        "id": plan_id,
        "as_of": f"{now}Z",
        "period": {"number": period.number, "begins_at": f"{period.begins_at}Z", "ends_at": f"{ends_at}Z", "elapsed": period.elapsed},
        "currency": catalog.currency,
        "constraints": [
            {
                "id": one.id,
                "measure": one.measure,
                "max": one.max,
                "min": one.min,
                "used": meters.get(one.id, running.used_at_first[one.id]),
                "planned": running.used_at_first[one.id],
                "room": None if one.max is None else running.room[one.id],
                "price": running.prices[one.id],
                "published_price": book.lines[one.id].price,
            }
            for one in catalog.constraints
        ],
        "exploration": {"budget": catalog.exploration.budget, "spent": meters.get(EXPLORATION, 0.0)},
    }
