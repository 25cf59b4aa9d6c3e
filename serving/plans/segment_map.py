"""The four segments of a sample of contacts, as uplift by baseline."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np

from decisioning.arbitration import SEGMENTS
from decisioning.explanation.segment_map import SegmentMap, Standing, joined, segment_map, standing_of
from decisioning.quiet_hours import to_datetime
from decisioning.stages import House, appraise_candidates
from ledger.store import Ledger
from serving.plans.planner import PLANS
from serving.plans.population import Chunks, Population, gather_population
from serving.realtime.answers import iso
from serving.realtime.snapshot import Snapshot


def segment_document(population: Population, snapshot: Snapshot, ledger: Ledger, now: datetime) -> dict[str, Any]:
    """Where the contacts stand at the prices of now; what running plans have reserved does not count.

    Returns
    -------
    dict
        `contacts`; `segments`: each with its contacts, share, mean baseline and uplift (fractions) and mean expected profit; `unknown`:
        contacts for whom no uplift is known; `map`: edges and tiles, or None.
    """
    found = gather_population(population, snapshot, ledger, now, excluding_plan=PLANS)
    house = House(snapshot.catalog, snapshot.scorer, {name: line.price for name, line in snapshot.book.lines.items()})
    parts = [
        standing_of(appraise_candidates(house, situation, history))
        for situation, history in Chunks(found.situation, found.history, lambda done: None)
    ]
    standing = joined(parts) if parts else Standing(np.empty(0), np.empty(0), np.empty(0), np.empty(0, dtype=np.int64))
    total = len(standing.segment)
    drawn = segment_map(standing)
    return {
        "as_of": iso(to_datetime(population.moment)),
        "currency": snapshot.catalog.catalog.currency,
        "contacts": total,
        "segments": [_segment(standing, place, total) for place in range(len(SEGMENTS))],
        "unknown": int((standing.segment < 0).sum()),
        "map": None if drawn is None else _tiles(drawn),
    }


def _segment(standing: Standing, place: int, total: int) -> dict[str, Any]:
    of = standing.segment == place

    def mean(values: np.ndarray) -> float | None:
        return float(values[of].mean()) if of.any() else None

    means = {name: mean(getattr(standing, name)) for name in ("baseline", "uplift", "profit")}
    return {"segment": SEGMENTS[place], "contacts": int(of.sum()), "share": float(of.sum()) / total if total else 0.0, **means}


def _tiles(drawn: SegmentMap) -> dict[str, Any]:
    """A tile is drawn in the colour of the segment that most of its contacts are of."""
    together, most = drawn.contacts.sum(axis=0), drawn.contacts.argmax(axis=0)
    tiles = [
        {"row": int(row), "column": int(column), "contacts": int(together[row, column]), "segment": SEGMENTS[int(most[row, column])]}
        for row, column in zip(*np.nonzero(together), strict=True)
    ]
    return {"baseline_edges": drawn.baseline_edges.tolist(), "uplift_edges": drawn.uplift_edges.tolist(), "tiles": tiles}
