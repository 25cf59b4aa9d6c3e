"""What a plan is worth in the simulated world: its true profit, and draws of what would follow it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from decisioning.errors import DataError
from decisioning.vocabulary import NO_ACTION, Columns, FloatArray, IntArray
from simulation.truth import Truth

Ids = npt.NDArray[np.generic] | Sequence[str | None]


def true_profit(truth: Truth, contact_ids: Ids, treatment_ids: Ids) -> FloatArray:
    """The true expected incremental profit of each row in PLN, shape (n,): uplift * value - opt_out_risk * clv - cost.

    A treatment that is NULL or `no_action` brings 0.

    Raises
    ------
    DataError
        A contact or treatment that the world does not know, or lists of different lengths.
    """
    contact, treatment = _places(truth, contact_ids, treatment_ids)
    k = np.maximum(treatment, 0)
    a, c = truth.action_of[k], truth.channel_of[k]
    gain = truth.uplift[contact, k] * truth.value[contact, a] - truth.opt_out[contact, c] * truth.clv[contact]
    return np.where(treatment < 0, 0.0, gain - truth.cost[k])


def respond(truth: Truth, contact_ids: Ids, treatment_ids: Ids, rng: np.random.Generator) -> Columns:
    """Draw what follows each row: one row of the answer an outcome, goals reached without a touch too.

    Returns the columns row (float64: place in the input), contact_id, treatment_id (None: no_action), outcome, behaviour and value
    (PLN, NaN for an opt-out). A touched contact reaches the action's goal with probability baseline + uplift, every other goal with
    its baseline, and opts out (`unsubscribe`) with the incremental risk.
    """
    contact, treatment = _places(truth, contact_ids, treatment_ids)
    k = np.maximum(treatment, 0)
    touched = np.nonzero(treatment >= 0)[0]
    chance = truth.baseline[contact]
    chance[touched, truth.action_of[k[touched]]] += truth.uplift[contact[touched], k[touched]]
    row, action = np.nonzero(rng.random(chance.shape) < chance)
    risk = np.where(treatment < 0, 0.0, truth.opt_out[contact, truth.channel_of[k]])
    gone = np.nonzero(rng.random(len(contact)) < risk)[0]
    rows = np.concatenate([row, gone])
    named = np.array([*truth.treatment_ids.tolist(), None], dtype=object)
    return {
        "row": rows.astype(np.float64),
        "contact_id": truth.contact_ids[contact[rows]].astype(object),
        "treatment_id": named[treatment[rows]],
        "outcome": np.concatenate([truth.goals[action].astype(object), np.full(len(gone), "unsubscribe", dtype=object)]),
        "behaviour": np.repeat(np.array(["positive", "negative"], dtype=object), [len(row), len(gone)]),
        "value": np.concatenate([truth.value[contact[row], action], np.full(len(gone), np.nan)]),
    }


def _places(truth: Truth, contact_ids: Ids, treatment_ids: Ids) -> tuple[IntArray, IntArray]:
    """Rows of the contacts and places of the treatments in the truth (-1: no_action)."""
    if len(contact_ids) != len(treatment_ids):
        raise DataError("a plan has one treatment a contact", got=f"{len(contact_ids)} contacts, {len(treatment_ids)} treatments")
    contacts = {str(name): place for place, name in enumerate(truth.contact_ids)}
    treatments = {str(name): place for place, name in enumerate(truth.treatment_ids)}
    treatments[NO_ACTION] = -1
    return _find(contacts, contact_ids, "contact_id"), _find(treatments, treatment_ids, "treatment_id")


def _find(places: dict[str, int], wanted: Ids, field: str) -> IntArray:
    try:
        return np.array([places[NO_ACTION if name is None or name != name else name] for name in wanted], dtype=np.int64)
    except KeyError as error:
        raise DataError("the simulated world does not know it", field=field, got=str(error.args[0])) from None
