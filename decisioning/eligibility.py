"""May this action be proposed to this contact, does it make sense now, is it in the contact's interest?

The catalogue's SQL conditions, the treatments' place in the request and the actions' dates of validity.
"""

from __future__ import annotations

import numpy as np

from decisioning.candidates import Candidates, Situation
from decisioning.compiled_catalog import CONDITION_STAGES, CompiledCatalog
from decisioning.quiet_hours import local_date


def keep_requested_placements(candidates: Candidates, catalog: CompiledCatalog, situation: Situation) -> None:
    """Take out treatments for another channel or placement than the request's."""
    for column, (_, treatment) in enumerate(catalog.treatments):
        gone = np.zeros(candidates.alive.shape[1], dtype=np.bool_)
        gone[column] = True
        if situation.channel is not None and treatment.channel != situation.channel:
            candidates.remove(gone, "placement", f"channel {situation.channel}", lambda row, c=treatment.channel: f"it is for {c}")
        elif situation.placements and treatment.placement not in situation.placements:
            asked = ", ".join(situation.placements)
            candidates.remove(gone, "placement", f"placements {asked}", lambda row, p=treatment.placement: f"it is for {p or 'no placement'}")


def apply_conditions(candidates: Candidates, catalog: CompiledCatalog, situation: Situation) -> None:
    """Take out what fails eligibility, applicability or suitability, naming the part of the condition that failed."""
    rows = situation.rows
    n_treatments = len(catalog.treatments)
    for stage in CONDITION_STAGES:
        for compiled in catalog.actions:
            of_action = np.zeros(n_treatments, dtype=np.bool_)
            of_action[list(compiled.columns)] = True
            for expression in compiled.conditions[stage]:
                fails = ~expression.holds(rows)
                if fails.any():
                    candidates.remove(fails[:, None] & of_action, stage, expression.text, lambda row, e=expression: e.reads(rows, row))


def apply_validity(candidates: Candidates, catalog: CompiledCatalog, situation: Situation) -> None:
    """Take out actions outside their dates, both inclusive, read in the catalogue's time zone."""
    today = local_date(situation.now, catalog.catalog.time_zone)
    for compiled in catalog.actions:
        valid = compiled.action.valid
        if valid is None or valid[0] <= today <= valid[1]:
            continue
        gone = np.zeros(len(catalog.treatments), dtype=np.bool_)
        gone[list(compiled.columns)] = True
        candidates.remove(gone, "contact_policy", f"valid {valid[0]} to {valid[1]}", lambda row: f"today is {today}")

