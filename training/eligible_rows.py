"""Which logged rows an action could have been proposed to: the effect of an action is learned on those it is for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from decisioning.catalog import Action
from decisioning.rules import Rows, compile_condition
from decisioning.vocabulary import BoolArray, Columns, Dtype


def eligible_rows(action: Action, dtypes: Mapping[str, Dtype], columns: Columns, length: int) -> BoolArray:
    """True where the action's eligibility condition holds on the features of then, shape (length,).

    Parts of the condition that read the request's `context.*` are left out: the log does not hold what the context was.

    Raises
    ------
    RuleError
        The condition does not fit the feature contract.
    """
    holds = np.ones(length, dtype=np.bool_)
    if action.eligibility is None:
        return holds
    rows = Rows(columns, length)
    for part in compile_condition(action.eligibility, dtypes, path=f"actions.{action.id}.eligibility"):
        if not part.context_keys:
            holds &= part.holds(rows)
    return holds
