"""The stages of a decision in their one order: `plan.py` calls `appraise_candidates`, `decide.py` its short form, nothing else chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from decisioning.arbitration import Economics, appraise, drop_unprofitable, drop_unscored
from decisioning.candidates import Candidates, Scores, Situation
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.consent import apply_consent
from decisioning.contact_policy import apply_contact_policy
from decisioning.control import ELIGIBLE_ONLY, HOLDOUT, apply_holdout, control_groups, members, preference, skips_arbitration
from decisioning.eligibility import apply_conditions, apply_validity, keep_requested_placements
from decisioning.history import History
from decisioning.limits import apply_limits
from decisioning.vocabulary import BoolArray, FloatArray, IntArray

ScoreFunction = Callable[[Situation, BoolArray], Scores]
"""Scores the candidates of a situation; those that are not alive (the second argument) need no score."""


@dataclass(frozen=True)
class Appraisal:
    """Candidates after all stages but the choice itself.

    Attributes
    ----------
    groups : array of int, shape (n_contacts,)
        The control group of each contact, an index into `control.GROUPS`.
    preference : array, shape (n_contacts, n_treatments)
        What each contact's candidates are ranked by: the priority, but for some control groups.
    relevant : array of bool, shape (n_contacts, n_treatments)
        The candidates that nothing took out before they were measured against no_action.
    """

    situation: Situation
    history: History
    candidates: Candidates
    scores: Scores
    economics: Economics
    groups: IntArray
    preference: FloatArray
    relevant: BoolArray

    @property
    def held_out(self) -> BoolArray:
        """Which contacts belong to the universal control, shape (n_contacts,)."""
        return members(self.groups, HOLDOUT)


@dataclass(frozen=True)
class House:
    """What every decision shares.

    Attributes
    ----------
    catalog : CompiledCatalog
    score : ScoreFunction
        The models as one function.
    prices : mapping constraint id -> money
        The price book: what one more unit costs now.
    room : mapping constraint id -> units
        What the running period leaves of each constraint; infinite where it says nothing.
    allowance : float
        Money of expected profit that one decision may give up to explore.
    """

    catalog: CompiledCatalog
    score: ScoreFunction
    prices: Mapping[str, float] = field(default_factory=dict)
    room: Mapping[str, float] = field(default_factory=dict)
    allowance: float = 0.0


def appraise_candidates(
    house: House,
    situation: Situation,
    history: History,
    candidates: Candidates | None = None,
    *,
    wanted_anyway: BoolArray | None = None,
) -> Appraisal:
    """Every stage before the choice, for every contact and treatment of `situation`.

    Parameters
    ----------
    house, situation, history
    candidates : Candidates, optional
        Where the stages mark what they take out; a fresh one unless given: `explanation/what_if.py` gives one that keeps everything alive.
    wanted_anyway : array of bool, shape (n_treatments,), optional
        Treatments that need not beat no_action, because a minimum asks for them.
    """
    catalog = house.catalog
    candidates = Candidates(len(situation.contact_ids), len(catalog.treatments)) if candidates is None else candidates
    groups = control_groups(situation.contact_ids, catalog.catalog.controls)
    keep_requested_placements(candidates, catalog, situation)
    apply_conditions(candidates, catalog, situation, eligibility_only=members(groups, ELIGIBLE_ONLY))
    apply_consent(candidates, catalog, situation)
    apply_validity(candidates, catalog, situation)
    apply_contact_policy(candidates, catalog, situation, history)
    scores = house.score(situation, candidates.alive)
    economics = appraise(catalog, situation, scores, house.prices, history.planned)
    drop_unscored(candidates, catalog, scores, economics)
    apply_holdout(candidates, catalog, members(groups, HOLDOUT))
    apply_limits(candidates, catalog, situation, house.room, history.planned)
    relevant = candidates.alive
    preferred = preference(groups, catalog, scores, economics, situation.seeds_or_ids)
    anyway = skips_arbitration(groups)[:, None]
    drop_unprofitable(candidates, catalog, preferred, anyway if wanted_anyway is None else anyway | wanted_anyway)
    return Appraisal(situation, history, candidates, scores, economics, groups, preferred, relevant)
