"""How does the population narrow to its choices? Counts that add up over chunks, so that no population need fit in memory.

`funnel_of(a, catalog) + funnel_of(b, catalog)` is the funnel of both populations: every figure is a sum over contacts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from decisioning.candidates import Candidates
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.control import GROUPS
from decisioning.explanation.reasons import explain_no_actions
from decisioning.explanation.sensitivity import first_choices, sensitivity
from decisioning.stages import Appraisal
from decisioning.vocabulary import BoolArray, IntArray, Stage

Counts: TypeAlias = Counter[tuple[str, ...]]

STAGES: tuple[Stage, ...] = (
    "placement",
    "eligibility",
    "applicability",
    "suitability",
    "consent",
    "contact_policy",
    "score",
    "control",
    "allocation",
    "arbitrate",
)
"""In the order in which a decision goes through them."""

SPREAD = ("0", "1", "2", "3-4", "5+")
"""How many actions or treatments are left to a contact, as it is counted."""

_FROM = np.array([1, 2, 3, 5])
_ALIVE = len(STAGES)


@dataclass(frozen=True)
class Funnel:
    """What became of a population's candidates. `counts` has these keys:

    ================================================ ======================================================================
    ``contacts``                                     contacts
    ``taken, stage, treatment_id``                   candidates that a stage took out
    ``rule, stage, rule``                            candidates that a rule took out, each counted for the first rule that did
    ``rule contacts, stage, rule``                   contacts who lost a candidate to the rule
    ``before, stage``                                contacts with a candidate left when the stage begins
    ``after``                                        contacts with a candidate left at the end
    ``chosen, treatment_id``                         contacts whose first choice it is
    ``action, id`` and ``channel, id``               contacts to whom the action, or something on the channel, is left
    ``group, name``                                  contacts of a control group
    ``nothing, group, reason``                       contacts of a control group to whom nothing is left, by reason
    ``left, actions or treatments, n of SPREAD``     contacts by how many are left to them at the end
    ``left, relevant actions, n of SPREAD``          the same before they are measured against doing nothing
    ``comparable``                                   contacts for whom worth decides and to whom something relevant is left
    ``swayed, factor, change``                       of these, those whose first choice changes without the factor, see `sensitivity`
    ================================================ ======================================================================
    """

    counts: Counts = field(default_factory=Counter)

    def __add__(self, other: Funnel) -> Funnel:
        return Funnel(self.counts + other.counts)

    def of(self, *key: str) -> int:
        """The count of `key`, 0 where there is none."""
        return self.counts[key]


def funnel_of(appraisal: Appraisal, catalog: CompiledCatalog) -> Funnel:
    """The funnel of the contacts of one appraisal."""
    alive = appraisal.candidates.alive
    best = first_choices(alive, catalog.mandatory, appraisal.preference)
    names = [treatment.id for _, treatment in catalog.treatments]
    counts: Counts = Counter({("contacts",): len(alive)})
    counts.update(_stages(stage_of(appraisal.candidates), names))
    counts.update(_rules(appraisal.candidates))
    counts.update(("chosen", names[column]) for column in best[best >= 0].tolist())
    counts.update({("action", one.action.id): _anyone(alive, one.columns) for one in catalog.actions})
    counts.update({("channel", name): _anyone(alive, columns) for name, columns in catalog.on_channel.items()})
    counts.update(_groups(appraisal, catalog, best < 0))
    counts.update(_spread("actions", _actions_left(alive, catalog)))
    counts.update(_spread("treatments", alive.sum(axis=1)))
    counts.update(_spread("relevant actions", _actions_left(appraisal.relevant, catalog)))
    counts.update(sensitivity(appraisal, catalog))
    return Funnel(+counts)


def stage_of(candidates: Candidates) -> IntArray:
    """The place in `STAGES` of the stage that took each candidate out, `len(STAGES)` while alive; shape (n_contacts, n_treatments)."""
    places = [STAGES.index(removal.stage) for removal in candidates.removals]
    return np.array([*places, _ALIVE], dtype=np.int64)[candidates.removed_by]


def _stages(stage: IntArray, names: list[str]) -> Counts:
    counts: Counts = Counter()
    furthest = stage.max(axis=1, initial=-1)
    for place, name in enumerate(STAGES):
        taken = (stage == place).sum(axis=0).tolist()
        counts.update({("taken", name, treatment_id): number for treatment_id, number in zip(names, taken, strict=True)})
        counts["before", name] = int((furthest >= place).sum())
    counts[("after",)] = int((furthest >= _ALIVE).sum())
    return counts


def _rules(candidates: Candidates) -> Counts:
    """Candidates and contacts by rule; a rule of several actions or channels is one rule."""
    counts: Counts = Counter()
    keys = list(dict.fromkeys((removal.stage, removal.rule) for removal in candidates.removals))
    place = {key: index for index, key in enumerate(keys)}
    of_removal = np.array([*(place[removal.stage, removal.rule] for removal in candidates.removals), -1], dtype=np.int64)
    rule = of_removal[candidates.removed_by]
    for index, (stage, text) in enumerate(keys):
        hit = rule == index
        counts["rule", stage, text] = int(hit.sum())
        counts["rule contacts", stage, text] = int(hit.any(axis=1).sum())
    return counts


def _anyone(alive: BoolArray, columns: Sequence[int] | IntArray) -> int:
    return int(alive[:, np.asarray(columns, dtype=np.int64)].any(axis=1).sum())


def _groups(appraisal: Appraisal, catalog: CompiledCatalog, nothing: BoolArray) -> Counts:
    counts: Counts = Counter()
    groups = [GROUPS[group] for group in appraisal.groups.tolist()]
    counts.update(("group", group) for group in groups)
    rows = np.flatnonzero(nothing)
    answers = explain_no_actions(appraisal, catalog, rows)
    counts.update(("nothing", groups[row], answer.reason) for row, answer in zip(rows.tolist(), answers, strict=True))
    return counts


def _actions_left(alive: BoolArray, catalog: CompiledCatalog) -> IntArray:
    left = np.zeros(len(alive), dtype=np.int64)
    for compiled in catalog.actions:
        left += alive[:, list(compiled.columns)].any(axis=1)
    return left


def _spread(what: str, left: IntArray) -> Counts:
    contacts = np.bincount(np.searchsorted(_FROM, left, side="right"), minlength=len(SPREAD)).tolist()
    return Counter({("left", what, name): number for name, number in zip(SPREAD, contacts, strict=True)})
