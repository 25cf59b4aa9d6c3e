"""What would be chosen if a rule did not stand in the way? The stages once more, with nothing taken out and every rule remembered.

A decision records the first rule that removed a candidate and scores only what is left. Here each candidate keeps all the rules that
would remove it, and all are scored. A rule is its stage and its text: lifting it frees the candidates that nothing else holds. Whether
one rule holds a candidate does not depend on the others, so that lifting here and deciding again without the rule agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from decisioning.arbitration import ranking
from decisioning.candidates import Candidates, Removal
from decisioning.control import skips_arbitration
from decisioning.stages import Appraisal, House, appraise_candidates
from decisioning.vocabulary import BoolArray, FloatArray, IntArray

BY_WORTH = "arbitrate"
NOT_LIFTABLE = ("placement", "score", BY_WORTH)
"""What the request did not ask for, what cannot be compared, what loses on its worth: no rule, so nothing to lift."""

MOST_TOGETHER = 2
"""Rules that are lifted together at most: what needs more than that is no small change."""


@dataclass(frozen=True)
class Rule:
    """A rule that stands in the way, and what it saw of the contact."""

    stage: str
    rule: str
    saw: str


class EveryRule(Candidates):
    """Candidates that stay alive whatever a stage says; `hits` are the removals with whom each would have taken out."""

    def __init__(self, n_contacts: int, n_treatments: int) -> None:
        super().__init__(n_contacts, n_treatments)
        self.hits: list[tuple[Removal, BoolArray]] = []

    def remove(self, rows: BoolArray, columns: Sequence[int] | IntArray, removal: Removal) -> None:
        """Remember that `removal` concerns these contacts and treatments."""
        hit: BoolArray = np.zeros(self.removed_by.shape, dtype=np.bool_)
        hit[np.ix_(np.flatnonzero(rows), np.asarray(columns, dtype=np.int64))] = True
        self._remember(hit, removal)

    def remove_where(self, gone: BoolArray, removal: Removal) -> None:
        """Remember that `removal` concerns the candidates that are `gone`."""
        self._remember(np.asarray(np.broadcast_to(gone, self.removed_by.shape), dtype=np.bool_), removal)

    def remove_of_everyone(self, columns: Sequence[IntArray], removal: Callable[[int], Removal]) -> None:
        """Remember that each removal concerns everybody in its columns."""
        everyone = np.ones(len(self.removed_by), dtype=np.bool_)
        for place, own in enumerate(columns):
            self.remove(everyone, own, removal(place))

    def _remember(self, hit: BoolArray, removal: Removal) -> None:
        if hit.any():
            self.hits.append((removal, hit))


@dataclass(frozen=True)
class WhatIf:
    """One contact with every candidate scored and every rule that holds it.

    Attributes
    ----------
    appraisal : Appraisal
        Of the one contact; all candidates are alive in it.
    rules : tuple of Rule
        Those that hold at least one candidate of the request's placements.
    held : array of bool, shape (n_rules, n_treatments)
    open : array of bool, shape (n_treatments,)
        What can be asked for and compared: neither of another placement nor without a score.
    loses : array of bool, shape (n_treatments,)
        What does not beat no_action.
    mandatory : array of bool, shape (n_treatments,)
    preference : array, shape (n_treatments,)
        What the candidates are ranked by.
    """

    appraisal: Appraisal
    rules: tuple[Rule, ...]
    held: BoolArray
    open: BoolArray
    loses: BoolArray
    mandatory: BoolArray
    preference: FloatArray

    @property
    def by_worth(self) -> bool:
        """Whether it is worth that decides; in the groups that are ranked at random or by propensity it is not."""
        return not skips_arbitration(self.appraisal.groups)[0]

    @property
    def permitted(self) -> BoolArray:
        """What no rule holds, shape (n_treatments,), whatever its worth."""
        return self.open & ~self.held.any(axis=0)

    def leader(self, lifted: Sequence[int] = ()) -> int | None:
        """The first choice with the rules `lifted` (their places in `rules`) out of the way; None is no_action."""
        kept = np.delete(self.held, list(lifted), axis=0)
        ranked = ranking(self.open & ~self.loses & ~kept.any(axis=0), self.mandatory, self.preference)
        return int(ranked[0]) if len(ranked) else None


@dataclass(frozen=True)
class Lift:
    """Rules that, lifted together, make `winner` the choice; no smaller set of them frees it."""

    rules: tuple[Rule, ...]
    winner: int


def what_if(house: House, appraisal: Appraisal) -> WhatIf:
    """Everything that could be chosen for the one contact of `appraisal`, and what holds it; scores all candidates once."""
    n_treatments = len(house.catalog.treatments)
    everything = EveryRule(1, n_treatments)
    appraisal = appraise_candidates(house, appraisal.situation, appraisal.history, everything)
    is_open, loses = np.ones(n_treatments, dtype=np.bool_), np.zeros(n_treatments, dtype=np.bool_)
    merged: dict[tuple[str, str], tuple[Rule, BoolArray]] = {}
    for removal, hit in everything.hits:
        if removal.stage == BY_WORTH:
            loses |= hit[0]
        elif removal.stage in NOT_LIFTABLE:
            is_open &= ~hit[0]
        else:
            key = (removal.stage, removal.rule)
            rule, before = merged.get(key, (Rule(*key, removal.detail(0)), np.zeros(n_treatments, dtype=np.bool_)))
            merged[key] = (rule, before | hit[0])
    holding = [(rule, hit) for rule, hit in merged.values() if (hit & is_open).any()]
    return WhatIf(
        appraisal=appraisal,
        rules=tuple(rule for rule, _ in holding),
        held=np.array([hit for _, hit in holding], dtype=np.bool_).reshape(len(holding), n_treatments),
        open=is_open,
        loses=loses,
        mandatory=house.catalog.mandatory,
        preference=appraisal.preference[0],
    )


def lifts(seen: WhatIf) -> list[Lift]:
    """Every rule, or two together, whose lifting changes the first choice, each with the choice that it would bring."""
    found = []
    for places in dict.fromkeys(tuple(np.flatnonzero(seen.held[:, column]).tolist()) for column in np.flatnonzero(seen.open)):
        if not 1 <= len(places) <= MOST_TOGETHER:
            continue
        winner = seen.leader(places)
        if winner is not None and seen.held[list(places), winner].all():  # who is held by all of them is not today's choice
            found.append(Lift(tuple(seen.rules[place] for place in places), winner))
    return found
