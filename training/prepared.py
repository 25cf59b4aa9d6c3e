"""The dataset encoded once, with selection probabilities: what every fit on interactions starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from decisioning.catalog import Action
from decisioning.vocabulary import NO_ACTION, BoolArray, Dtype, IntArray
from estimators.encoding import Encoded, FeatureEncoder
from training.dataset import Dataset
from training.eligible_rows import eligible_rows
from training.memory import give_back
from training.narrow import Narrow
from training.selection import Selection, selection_probabilities

MANY_ROWS = 200_000
"""More rows are kept in single precision: LightGBM and the linear models learn in no more, and half the memory holds them."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """Logged interactions as matrices; every array has one row an interaction, shape (n,) or (n, d).

    Attributes
    ----------
    data : Dataset
    encoder : FeatureEncoder
        Fitted on all rows; it sees no label.
    encoded : Encoded
        Both matrices, at each row's own cut in time.
    selection : Selection
        The probability with which the log chose the row's action.
    dtypes : mapping
        Every feature of the contract, for conditions; models read `encoder.dtypes`.
    contract_hash : str
    """

    data: Dataset
    encoder: FeatureEncoder
    encoded: Encoded
    selection: Selection
    dtypes: Mapping[str, Dtype]
    contract_hash: str

    def __len__(self) -> int:
        return len(self.data)

    def take(self, rows: BoolArray | IntArray | slice) -> Prepared:
        """Some of the rows, with the same encoder; a slice of them is not copied."""
        known = self.selection
        selection = Selection(known.prob[rows], known.estimated[rows], known.clipped[rows])
        return Prepared(self.data.take(rows), self.encoder, self.encoded.take(rows), selection, self.dtypes, self.contract_hash)

    def of_action(self, action_id: str) -> BoolArray:
        """True for the rows of an action, shape (n,)."""
        return np.asarray(self.data.rows.action_id == action_id, dtype=np.bool_)

    def open_to(self, action: Action) -> BoolArray:
        """True for the rows that the action could have been proposed to: it is for their contacts, and their decision could choose it."""
        holds = eligible_rows(action, self.dtypes, self.data.features, len(self))
        return holds & self.data.reachable[action.id] if action.id in self.data.reachable else holds

    @property
    def controls(self) -> BoolArray:
        """True for the logged controls, shape (n,)."""
        return self.of_action(NO_ACTION)


def prepare(data: Dataset, dtypes: Mapping[str, Dtype], model_dtypes: Mapping[str, Dtype], contract_hash: str, *, seed: int) -> Prepared:
    """Encode a dataset and complete its selection probabilities.

    Parameters
    ----------
    dtypes, model_dtypes : mapping
        All features, and those that models read.
    """
    rows = data.rows
    if len(rows) > MANY_ROWS:
        give_back()
    encoder = FeatureEncoder.fit(data.features, model_dtypes, rows.features_at)
    encode = encoder.encode if len(rows) <= MANY_ROWS else encoder.encode_narrow
    encoded = encode(data.features, rows.features_at)
    data = replace(data, features=Narrow(data.features.items()))  # from here on a few are read, and seldom
    selection = selection_probabilities(rows.selection_prob, rows.action_id, rows.contact_id, encoded, seed=seed)
    return Prepared(data, encoder, encoded, selection, dtypes, contract_hash)
