"""The stages of a decision in their one order. `decide.py` and `plan.py` both call `appraise_candidates`, and nothing else chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from decisioning.arbitration import Economics, appraise, drop_unprofitable, drop_unscored
from decisioning.candidates import Candidates, Scores, Situation
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.consent import apply_consent
from decisioning.contact_policy import apply_contact_policy
from decisioning.control import apply_holdout, in_holdout
from decisioning.eligibility import apply_conditions, apply_validity, keep_requested_placements
from decisioning.history import History
from decisioning.vocabulary import BoolArray

ScoreFunction = Callable[[Situation, BoolArray], Scores]
"""Scores the candidates of a situation; those that are not alive (the second argument) need no score."""


@dataclass(frozen=True)
class Appraisal:
    """Candidates after all stages but the choice itself."""

    situation: Situation
    candidates: Candidates
    scores: Scores
    economics: Economics
    held_out: BoolArray


@dataclass(frozen=True)
class House:
    """What every decision shares: the catalogue, the models as one function, and the price book (constraint id -> shadow price)."""

    catalog: CompiledCatalog
    score: ScoreFunction
    prices: Mapping[str, float] = field(default_factory=dict)


def appraise_candidates(house: House, situation: Situation, history: History, candidates: Candidates | None = None) -> Appraisal:
    """Eligibility, consent, contact policy, score, arbitration and control, for every contact and treatment of `situation`.

    The stages mark in `candidates` what they take out, a fresh one unless given: `what_if.py` gives one that keeps everything alive.
    """
    catalog = house.catalog
    candidates = Candidates(len(situation.contact_ids), len(catalog.treatments)) if candidates is None else candidates
    keep_requested_placements(candidates, catalog, situation)
    apply_conditions(candidates, catalog, situation)
    apply_consent(candidates, catalog, situation)
    apply_validity(candidates, catalog, situation)
    apply_contact_policy(candidates, catalog, situation, history)
    scores = house.score(situation, candidates.alive)
    economics = appraise(catalog, situation, scores, house.prices)
    drop_unscored(candidates, catalog, scores, economics)
    held_out = in_holdout(situation.contact_ids, catalog.catalog.controls)
    apply_holdout(candidates, catalog, held_out)
    drop_unprofitable(candidates, catalog, economics)
    return Appraisal(situation, candidates, scores, economics, held_out)
