"""Which logged rows a response or an opt-out is learned from: those with a known label."""

from __future__ import annotations

import numpy as np

from decisioning.catalog import Action
from decisioning.vocabulary import IntArray
from training.prepared import Prepared


def labelled_rows(prepared: Prepared, action: Action) -> IntArray:
    """The rows of an action whose goal's label is known."""
    if action.goal is None:
        return np.empty(0, dtype=np.int64)
    known = ~np.isnan(prepared.data.labels.happened[action.goal])
    return np.flatnonzero(prepared.of_action(action.id) & known)


def touched_rows(prepared: Prepared) -> IntArray:
    """The rows of any action whose opt-out label is known."""
    return np.flatnonzero(~prepared.controls & ~np.isnan(prepared.data.opted_out))
