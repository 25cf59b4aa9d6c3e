"""What a response to an action is worth and what a contact costs, on logged rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from decisioning.catalog import Action, Catalog
from decisioning.rules import Rows, compile_value
from decisioning.vocabulary import FloatArray
from estimators.bundle import PropensityBundle
from training.fit_propensity import OBSERVED
from training.prepared import Prepared


@dataclass(frozen=True, eq=False)
class Money:
    """Of n rows and K actions: the money of a response (NaN where it is not known) and of a contact, shapes (n, K)."""

    value: FloatArray
    cost: FloatArray
    currency: str

    @classmethod
    def of(cls, actions: Sequence[Action], rows: Prepared, catalog: Catalog, propensity: PropensityBundle | None) -> Money:
        """What the catalogue says, and what the propensity model learned of observed values."""
        value = np.column_stack([value_of(action, propensity, rows) for action in actions])
        return cls(value, np.column_stack([cost_of(action, rows, catalog) for action in actions]), catalog.currency)


def value_of(action: Action, propensity: PropensityBundle | None, rows: Prepared) -> FloatArray:
    """Money of a response, shape (n,); NaN where it is not known: it reads the request's context, or no response with money was seen."""
    if action.value == OBSERVED:
        if propensity is None:
            return np.full(len(rows), np.nan)
        return propensity.observed_value({}, 0, [action.id], encoded=rows.encoded)[:, 0]
    if isinstance(action.value, str):
        expression = compile_value(action.value, rows.dtypes, path=f"actions.{action.id}.value")
        return np.zeros(len(rows)) * np.nan if expression.context_keys else expression.numbers(Rows(rows.data.features, len(rows)))
    return np.full(len(rows), float(action.value))


def cost_of(action: Action, rows: Prepared, catalog: Catalog) -> FloatArray:
    """Money of a contact, shape (n,): of the row's own channel where it got the action, else the mean over the contacts who got it."""
    by_channel = {treatment.channel: catalog.cost_of(action, treatment) for treatment in action.treatments}
    listed = float(np.mean(list(by_channel.values())))
    own = np.array([by_channel.get(channel, listed) for channel in rows.data.rows.channel.tolist()], dtype=np.float64)
    got_it = rows.of_action(action.id)
    mean = np.average(own[got_it], weights=rows.data.rows.sample_weight[got_it]) if got_it.any() else listed
    return np.where(got_it, own, mean)
