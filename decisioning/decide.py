"""Composition one: one contact, now."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct, structs

from decisioning import exploration
from decisioning.arbitration import DO_NOT_DISTURB, ranking, segment_of
from decisioning.candidates import Situation
from decisioning.contact_policy import rooms
from decisioning.control import GROUPS, RANDOM, TREATED
from decisioning.exploration.thompson import Belief
from decisioning.history import History
from decisioning.limits import uses_of_one
from decisioning.one_contact import appraise_one
from decisioning.one_worth import OneAppraisal
from decisioning.select import Slate, by_best_slate, select
from decisioning.stages import Appraisal, House, appraise_candidates
from decisioning.vocabulary import BoolArray, FloatArray, IntArray


class Decision(Struct, frozen=True, eq=False):
    """What was chosen for one contact: treatment columns, best first; empty means no_action.

    Attributes
    ----------
    seen : Appraisal or OneAppraisal
        What it was chosen from.
    selection_probs : tuple of float
        The probability of each choice, given the choices before it; of no_action where nothing was chosen.
    expected_cost : float
        Money of expected profit that exploring gave up, before the draw.
    """

    seen: Appraisal | OneAppraisal
    chosen: tuple[int, ...]
    selection_probs: tuple[float, ...]
    no_action_prob: float = 1.0
    expected_cost: float = 0.0

    @property
    def group(self) -> str:
        """The contact's control group."""
        return GROUPS[self.seen.group if isinstance(self.seen, OneAppraisal) else int(self.seen.groups[0])]

    @property
    def appraisal(self) -> Appraisal:
        """What was seen, as the stages know it."""
        return self.seen.as_arrays if isinstance(self.seen, OneAppraisal) else self.seen


def decide(house: House, situation: Situation, history: History, *, limit: int = 1) -> Decision:
    """The best treatments for the one contact of `situation`, at most `limit`.

    A contact of the group `nudge` may be explored where the catalogue has an exploration budget and `house.allowance` leaves some of it;
    every draw derives from the situation's seed, so that the decision can be made again.
    """
    return choose(house, appraise_one(house, situation, history), limit=limit)


def choose(house: House, seen: Appraisal | OneAppraisal, *, limit: int = 1) -> Decision:
    """The choice of `decide` for one contact whose candidates are appraised already."""
    if isinstance(seen, OneAppraisal):
        if min(limit, len(seen.situation.placements) or limit) == 1 and (seen.held_out or not _explores(house)):
            chosen = tuple(seen.ranked[:1])
            return Decision(seen, chosen, (1.0,) * len(chosen))
        return structs.replace(_choose(house, seen.as_arrays, limit), seen=seen)
    return _choose(house, seen, limit)


def _choose(house: House, appraisal: Appraisal, limit: int) -> Decision:
    situation = appraisal.situation
    catalog, preferred = house.catalog, appraisal.preference[0]
    ranked = ranking(appraisal.candidates.alive[0], catalog.mandatory, preferred)
    slate = _slate(house, appraisal, limit)
    group = GROUPS[int(appraisal.groups[0])]
    if group == TREATED and _explores(house):
        return _explored(house, appraisal, slate)
    if group == RANDOM:
        return _at_random(appraisal, ranked, slate)
    if len(situation.placements) > 1:
        ranked = by_best_slate(ranked, _mandatory_first(preferred, catalog.mandatory), slate)
    chosen = select(ranked, slate)
    return Decision(appraisal, tuple(chosen), (1.0,) * len(chosen))


def chance_of(house: House, situation: Situation, history: History, chosen: Sequence[int], *, limit: int = 1) -> float:
    """The probability with which `decide` makes exactly this choice, in this order, whatever the situation's seed draws.

    Parameters
    ----------
    chosen : sequence of int
        Treatment columns, best first; empty is no_action.
    """
    appraisal = appraise_candidates(house, situation, history)
    slate, group = _slate(house, appraisal, limit), GROUPS[int(appraisal.groups[0])]
    if group == TREATED and _explores(house):
        return _chance_explored(house, appraisal, slate, chosen)
    if group == RANDOM:
        alive = np.flatnonzero(appraisal.candidates.alive[0])
        return _chance_at_random(alive, slate, chosen)
    return float(decide(house, situation, history, limit=limit).chosen == tuple(chosen))


def _explores(house: House) -> bool:
    return house.allowance > 0 and house.catalog.catalog.exploration.budget > 0


def _chance_at_random(alive: IntArray, slate: Slate, chosen: Sequence[int]) -> float:
    chance = 1.0
    for column in chosen:
        free = slate.free(alive)
        if column not in free:
            return 0.0
        chance /= len(free)
        slate.take(column)
    return 0.0 if len(slate.free(alive)) else chance


def _chance_explored(house: House, appraisal: Appraisal, slate: Slate, chosen: Sequence[int]) -> float:
    """As `_explored` draws, slot by slot; after the last choice no_action must have been drawn, unless nothing was free any more."""
    ranked, chance, spent = _open_to_draws(house, appraisal), 1.0, 0.0
    for column in [*chosen, None]:
        free = slate.free(ranked)
        if not len(free) or (column is not None and column not in free):
            return chance if column is None else 0.0
        if house.catalog.mandatory[free[0]]:
            if column != free[0]:
                return 0.0
        else:
            chances = _chances(house, appraisal, free, house.allowance - spent)
            spent += exploration.expected_cost(np.append(appraisal.preference[0][free], 0.0), chances)
            chance *= float(chances[len(free) if column is None else int(np.flatnonzero(free == column)[0])])
        if column is not None:
            slate.take(column)
    return chance


def _slate(house: House, appraisal: Appraisal, limit: int) -> Slate:
    catalog, situation = house.catalog, appraisal.situation
    if situation.placements:  # each takes one treatment
        limit = min(limit, len(situation.placements))
    if limit == 1:
        return Slate(catalog, situation.placements, limit)
    left = np.array([house.room.get(one.id, np.inf) for one in catalog.catalog.constraints], dtype=np.float64)
    allowed = rooms(catalog, situation, appraisal.history, of_each_action=False)  # a slate names an action once: these cannot fill in it
    return Slate(catalog, situation.placements, limit, allowed, uses_of_one(catalog, situation), left)


def _mandatory_first(preferred: FloatArray, mandatory: BoolArray) -> FloatArray:
    """`preferred` with the mandatory treatments raised above all others."""
    known = np.nan_to_num(preferred, nan=0.0, neginf=0.0, posinf=0.0)
    return np.where(mandatory, known + 2.0 * (np.abs(known).max(initial=0.0) + 1.0), known)


def _at_random(appraisal: Appraisal, ranked: IntArray, slate: Slate) -> Decision:
    """The control group of random relevant actions: `ranked` is a random order, so each free candidate comes first equally often."""
    probabilities = []
    while len(free := slate.free(ranked)):
        slate.take(int(free[0]))
        probabilities.append(1.0 / len(free))
    return Decision(appraisal, tuple(slate.chosen), tuple(probabilities))


def _explored(house: House, appraisal: Appraisal, slate: Slate) -> Decision:
    """Slot by slot, drawn from all relevant candidates that would not drive the contact away, no_action among them."""
    catalog, preferred, ranked = house.catalog, appraisal.preference[0], _open_to_draws(house, appraisal)
    probabilities: list[float] = []
    spent, no_action_prob = 0.0, 1.0
    while len(free := slate.free(ranked)):
        if catalog.mandatory[free[0]]:
            slate.take(int(free[0]))
            probabilities.append(1.0)
            continue
        chances = _chances(house, appraisal, free, house.allowance - spent)
        spent += exploration.expected_cost(np.append(preferred[free], 0.0), chances)
        place = exploration.draw(chances, str(appraisal.situation.seeds_or_ids[0]), len(slate.chosen))
        if place == len(free):
            no_action_prob = float(chances[place])
            break
        slate.take(int(free[place]))
        probabilities.append(float(chances[place]))
    return Decision(appraisal, tuple(slate.chosen), tuple(probabilities), no_action_prob, spent)


def _open_to_draws(house: House, appraisal: Appraisal) -> IntArray:
    """What may be drawn, best first: what nothing took out before arbitration and would not drive the contact away."""
    mandatory = house.catalog.mandatory
    gentle = appraisal.relevant[0] & (segment_of(appraisal.scores, appraisal.economics)[0] != DO_NOT_DISTURB)
    return ranking(gentle | (appraisal.candidates.alive[0] & mandatory), mandatory, appraisal.preference[0])


def _chances(house: House, appraisal: Appraisal, free: IntArray, allowance: float) -> FloatArray:
    """The selection probabilities of the candidates `free` and, last, of no_action."""
    settings = house.catalog.catalog.exploration
    worth = np.append(appraisal.preference[0][free], 0.0)
    belief = _belief(house, appraisal, free) if settings.method == "thompson" else None
    return exploration.probabilities(worth, settings, belief=belief, allowance=max(0.0, allowance))


def _belief(house: House, appraisal: Appraisal, free: IntArray) -> Belief:
    """What is believed of the responses to the candidates `free`, and of no_action, of which everything is known."""
    scores, economics = appraisal.scores, appraisal.economics
    slope = economics.context_weight[0, free] * house.catalog.lever[free] * scores.value[0, free]
    mean = np.clip(np.nan_to_num(scores.propensity[0, free]), 0.0, 1.0)
    evidence = np.full(len(free), np.inf) if scores.evidence is None else scores.evidence[free]
    return Belief(np.append(mean, 0.0), np.append(evidence, np.inf), np.append(np.nan_to_num(slope), 0.0))
