"""Which of the ranked candidates are shown? Top-k over placements, no action twice."""

from __future__ import annotations

from collections.abc import Sequence

from decisioning.compiled_catalog import CompiledCatalog
from decisioning.vocabulary import IntArray


def select(ranked: IntArray, catalog: CompiledCatalog, *, placements: Sequence[str], limit: int) -> list[int]:
    """The first `limit` of `ranked` (treatment columns, best first), each action and each requested placement at most once.

    With `placements`, a treatment takes its own placement, so there are never more answers than placements.
    """
    chosen: list[int] = []
    actions: set[str] = set()
    free = set(placements)
    for column in ranked:
        action, treatment = catalog.treatments[column]
        if len(chosen) == limit:
            break
        if action.id in actions or (placements and treatment.placement not in free):
            continue
        chosen.append(int(column))
        actions.add(action.id)
        free.discard(treatment.placement or "")
    return chosen
