"""May this action be proposed to this contact, does it make sense now, is it in the contact's interest?

The treatments' place in the request, the catalogue's SQL conditions and the actions' dates of validity.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from decisioning.candidates import Candidates, Removal, Situation
from decisioning.compiled_catalog import CONDITION_STAGES, CompiledAction, CompiledCatalog
from decisioning.quiet_hours import local_date
from decisioning.rules import Rows
from decisioning.vocabulary import BoolArray, Stage


def keep_requested_placements(candidates: Candidates, catalog: CompiledCatalog, situation: Situation) -> None:
    """Take out treatments for another channel or placement than the request's."""
    asked = ", ".join(situation.placements)
    everyone = np.ones(len(situation.contact_ids), dtype=np.bool_)
    for column, (_, treatment) in enumerate(catalog.treatments):
        if situation.channel not in (None, treatment.channel):
            removal = Removal("placement", f"channel {situation.channel}", f"it is for {treatment.channel}")
        elif situation.placements and treatment.placement not in situation.placements:
            removal = Removal("placement", f"placements {asked}", f"it is for {treatment.placement or 'no placement'}")
        else:
            continue
        candidates.remove(everyone, [column], removal)


def apply_conditions(
    candidates: Candidates, catalog: CompiledCatalog, situation: Situation, *, eligibility_only: BoolArray | None = None
) -> None:
    """Take out what fails eligibility, applicability or suitability, naming the part of the condition that failed.

    Contacts that are `eligibility_only` (shape (n_contacts,)) are judged by eligibility alone.
    """
    rows = situation.rows
    judged = np.ones(rows.length, dtype=np.bool_) if eligibility_only is None else ~eligibility_only
    everyone = np.ones(rows.length, dtype=np.bool_)
    for stage in CONDITION_STAGES:
        for compiled in catalog.actions:
            _apply_stage(candidates, compiled, stage, rows, everyone if stage == "eligibility" else judged)


def _apply_stage(candidates: Candidates, compiled: CompiledAction, stage: Stage, rows: Rows, judged: BoolArray) -> None:
    for expression in compiled.conditions[stage]:
        fails = ~expression.holds(rows) & judged
        candidates.remove(fails, compiled.columns, Removal(stage, expression.text, partial(expression.reads, rows)))


def apply_validity(candidates: Candidates, catalog: CompiledCatalog, situation: Situation) -> None:
    """Take out actions outside their dates, both inclusive, read in the catalogue's time zone."""
    today = local_date(situation.now, catalog.catalog.time_zone)
    everyone = np.ones(len(situation.contact_ids), dtype=np.bool_)
    for compiled in catalog.actions:
        valid = compiled.action.valid
        if valid is not None and not valid[0] <= today <= valid[1]:
            removal = Removal("contact_policy", f"valid {valid[0]} to {valid[1]}", f"today is {today}")
            candidates.remove(everyone, compiled.columns, removal)
