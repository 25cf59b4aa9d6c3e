"""What is used up? In real time a candidate may use of each constraint only what the running period's meter leaves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from decisioning.arbitration import use_of
from decisioning.candidates import Candidates, Removal, Situation
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.history import Planned
from decisioning.vocabulary import FloatArray

ROUNDING = 1e-12
"""Sums of money may be this much too large, as a fraction of the limit."""


def apply_limits(
    candidates: Candidates, catalog: CompiledCatalog, situation: Situation, room: Mapping[str, float], planned: tuple[Planned, ...] = ()
) -> None:
    """Take out the candidates that use more of a constraint than is left of it.

    `room` holds the units left by constraint id, infinite where it says nothing. What the running plan has reserved for a contact was
    counted when it was published: it still fits.
    """
    for constraint in catalog.catalog.constraints:
        left = room.get(constraint.id, np.inf)
        if constraint.max is None or not np.isfinite(left):
            continue
        too_much = use_of(constraint, catalog, situation) > left + ROUNDING * constraint.max
        for one in planned:
            if one.treatment_id in catalog.column_of:
                too_much[one.row, catalog.column_of[one.treatment_id]] = False
        words = f"{constraint.max - left:g} of {constraint.max:g} are used in this period"
        candidates.remove_where(too_much, Removal("allocation", constraint.id, words))


def uses_of_one(catalog: CompiledCatalog, situation: Situation) -> FloatArray:
    """What each candidate of the one contact of `situation` uses of each constraint, shape (n_treatments, n_constraints)."""
    columns = [use_of(one, catalog, situation)[0] for one in catalog.catalog.constraints]
    return np.column_stack(columns) if columns else np.zeros((len(catalog.treatments), 0))
