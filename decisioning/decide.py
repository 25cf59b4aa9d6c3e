"""Composition one: one contact, now."""

from __future__ import annotations

from dataclasses import dataclass

from decisioning.arbitration import ranking
from decisioning.candidates import Situation
from decisioning.history import History
from decisioning.select import select
from decisioning.stages import Appraisal, House, appraise_candidates


@dataclass(frozen=True)
class Decision:
    """What was chosen for one contact: treatment columns, best first, each with its selection_prob; empty means no_action."""

    appraisal: Appraisal
    chosen: tuple[int, ...]
    selection_probs: tuple[float, ...]


def decide(house: House, situation: Situation, history: History, *, limit: int = 1) -> Decision:
    """The best treatments for the one contact of `situation`, at most `limit`.

    The choice is deterministic, so that each selection_prob is 1.
    """
    appraisal = appraise_candidates(house, situation, history)
    ranked = ranking(appraisal.candidates.alive[0], house.catalog.mandatory, appraisal.economics.priority[0])
    chosen = select(ranked, house.catalog, placements=situation.placements, limit=limit)
    return Decision(appraisal, tuple(chosen), tuple(1.0 for _ in chosen))
