"""May this action be proposed to this contact, does it make sense now, is it in the contact's interest?

The treatments' place in the request, the catalogue's SQL conditions and the actions' dates of validity.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from decisioning.candidates import Candidates, Removal, Situation
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.quiet_hours import local_date
from decisioning.rules import Expression, Rows
from decisioning.vocabulary import BoolArray, Stage


def keep_requested_placements(candidates: Candidates, catalog: CompiledCatalog, situation: Situation) -> None:
    """Take out treatments for another channel or placement than the request's."""
    taken = []
    if situation.channel is not None:
        asked = f"channel {situation.channel}"
        taken += [
            (k, Removal("placement", asked, f"it is for {name}")) for name, k in catalog.on_channel.items() if name != situation.channel
        ]
    if situation.placements:
        asked = f"placements {', '.join(situation.placements)}"
        for name, columns in catalog.in_placement.items():
            if name not in situation.placements:
                taken.append((columns, Removal("placement", asked, f"it is for {name or 'no placement'}")))
    candidates.remove_of_everyone(taken)


def apply_conditions(
    candidates: Candidates, catalog: CompiledCatalog, situation: Situation, *, eligibility_only: BoolArray | None = None
) -> None:
    """Take out what fails eligibility, applicability or suitability, naming the part of the condition that failed.

    Contacts that are `eligibility_only` (shape (n_contacts,)) are judged by eligibility alone.
    """
    rows = situation.rows
    judged = np.ones(rows.length, dtype=np.bool_) if eligibility_only is None else ~eligibility_only
    if rows.length == 1:
        _apply_to_one(candidates, catalog, rows, "eligibility" if not judged[0] else None)
        return
    for stage, expression, columns in catalog.conditions.rules:
        fails = ~expression.holds(rows)
        candidates.remove(fails if stage == "eligibility" else fails & judged, columns, _failed(stage, expression, rows))


def _apply_to_one(candidates: Candidates, catalog: CompiledCatalog, rows: Rows, only: Stage | None) -> None:
    """The same for one contact, without an array an expression; `only` one stage, or all."""
    row = rows.only
    failed = [
        (columns, _failed(stage, expression, rows))
        for stage, expression, columns in catalog.conditions.concerning(candidates.alive[0])
        if expression.on_row(row) != 1 and only in (None, stage)
    ]
    candidates.remove_of_everyone(failed)


def _failed(stage: Stage, expression: Expression, rows: Rows) -> Removal:
    return Removal(stage, expression.text, partial(expression.reads, rows))


def apply_validity(candidates: Candidates, catalog: CompiledCatalog, situation: Situation) -> None:
    """Take out actions outside their dates, both inclusive, read in the catalogue's time zone."""
    if not catalog.valid_on:
        return
    today = local_date(situation.now, catalog.catalog.time_zone)
    candidates.remove_of_everyone(
        [
            (columns, Removal("contact_policy", f"valid {first} to {last}", f"today is {today}"))
            for (first, last), columns in catalog.valid_on.items()
            if not first <= today <= last
        ]
    )
