"""What would a policy earn? Money a contact more than silence, judged on the logged decisions of the test rows.

A policy names for each row the action it would take, or none. Its gain is the value of the responses that the action brings beyond those
that come anyway, minus its cost:

    gain_i = V_i (Y_i(a_i) - Y_i(no_action)) - c_i,   a_i the policy's action, Y_i its goal

estimated doubly robustly: the propensity and the uplift model predict both terms, the logged outcomes correct them by 1 / selection_prob.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from decisioning.catalog import Action, Catalog
from decisioning.vocabulary import BoolArray, FloatArray, IntArray
from estimators.bundle import PropensityBundle, UpliftBundle
from measurement.off_policy_log import Log, overlap
from measurement.policy_values import How, policy_gain
from training.money import cost_of, value_of
from training.prepared import Prepared

NOTHING = -1
"""The index of no_action in a policy."""


@dataclass(frozen=True)
class PolicyGain:
    """Money a contact more than silence, with its 95 % interval and what stands behind it."""

    value: float
    low: float
    high: float
    effective_sample_size: float
    share_contacted: float


@dataclass(frozen=True, eq=False)
class Prospects:
    """What the models expect of every action with an uplift model, for n test rows; arrays have shape (n, K).

    Attributes
    ----------
    actions : tuple of Action
    happened : float array
        The label of each action's goal.
    propensity, uplift : float arrays
    value : float array
        Money of a response.
    cost : float array
        Money of a contact: of the row's own channel where it got the action, else the mean over the contacts who got it.
    open : bool array
        The action may be taken: it is for the contact, and its value is known.
    """

    actions: tuple[Action, ...]
    happened: FloatArray
    propensity: FloatArray
    uplift: FloatArray
    value: FloatArray
    cost: FloatArray
    open: BoolArray


def policy_gains(propensity: PropensityBundle, uplift: UpliftBundle, test: Prepared, catalog: Catalog) -> dict[str, PolicyGain]:
    """Gains of the best constant action, of ranking by propensity, by propensity times value, and by expected incremental profit.

    The best constant action is the one whose average effect on the train rows promises most. Only rows whose goals are all known count,
    each as many times as it stands for (`sample_weight`); intervals count contacts.
    """
    known = np.all([~np.isnan(y) for y in test.data.labels.happened.values()], axis=0)
    rows = test.take(np.flatnonzero(known))
    actions = tuple(action for action in catalog.actions if action.id in uplift.heads and action.id in propensity.heads)
    if not actions or not rows.controls.any():
        return {}
    prospects = _prospects(propensity, uplift, rows, catalog, actions)
    found = {name: _gain(policy, prospects, rows) for name, policy in _policies(prospects, uplift, rows.data.rows.sample_weight).items()}
    return {name: gain for name, gain in found.items() if gain is not None}


def gain_metrics(gains: Mapping[str, PolicyGain]) -> dict[str, float]:
    """Their figures by name."""
    metrics: dict[str, float] = {}
    for name, gain in gains.items():
        metrics |= {f"gain.{name}": gain.value, f"gain.{name}_low": gain.low, f"gain.{name}_high": gain.high}
        metrics |= {f"ess.{name}": gain.effective_sample_size, f"share_contacted.{name}": gain.share_contacted}
    return metrics


def _prospects(
    propensity: PropensityBundle, uplift: UpliftBundle, rows: Prepared, catalog: Catalog, actions: tuple[Action, ...]
) -> Prospects:
    arms = [(action.id, None) for action in actions]
    p = propensity.propensity({}, 0, arms, encoded=rows.encoded)
    tau = np.clip(uplift.uplift({}, 0, arms, encoded=rows.encoded), p - 1.0, p)
    value = np.column_stack([value_of(action, propensity, rows) for action in actions])
    allowed = np.column_stack([rows.open_to(action) for action in actions])
    return Prospects(
        actions=actions,
        happened=np.column_stack([rows.data.labels.happened[str(action.goal)] for action in actions]),
        propensity=p,
        uplift=tau,
        value=np.nan_to_num(value),
        cost=np.column_stack([cost_of(action, rows, catalog) for action in actions]),
        open=allowed & np.isfinite(value),
    )


def _policies(prospects: Prospects, uplift: UpliftBundle, weight: FloatArray) -> dict[str, IntArray]:
    expected = prospects.uplift * prospects.value - prospects.cost
    averages = np.array([uplift.heads[action.id].average_effect for action in prospects.actions])
    promise = np.average(np.where(prospects.open, averages * prospects.value - prospects.cost, 0.0), axis=0, weights=weight)
    best = int(np.argmax(promise))
    return {
        "best_constant": np.where(prospects.open[:, best], best, NOTHING) if promise[best] > 0 else np.full(len(expected), NOTHING),
        "propensity": _highest(np.where(prospects.open, prospects.propensity, -np.inf)),
        "propensity_value": _highest(np.where(prospects.open, prospects.propensity * prospects.value - prospects.cost, -np.inf)),
        "uplift": _highest(np.where(prospects.open, expected, -np.inf)),
    }


def _highest(score: FloatArray) -> IntArray:
    """The column of the highest score of each row where it is above 0, else `NOTHING`."""
    best = np.argmax(score, axis=1)
    return np.where(score[np.arange(len(score)), best] > 0, best, NOTHING)


def _gain(policy: IntArray, prospects: Prospects, rows: Prepared) -> PolicyGain | None:
    acts = policy != NOTHING
    if not acts.any():
        return PolicyGain(0.0, 0.0, 0.0, float(len(rows)), 0.0)
    at = np.arange(len(policy)), np.where(acts, policy, 0)
    value, cost = prospects.value[at] * acts, prospects.cost[at] * acts
    names = np.array([action.id for action in prospects.actions], dtype=object)
    agrees = np.where(acts, rows.data.rows.action_id == names[at[1]], rows.controls)
    reward = value * prospects.happened[at] - cost * agrees
    p1, p0 = prospects.propensity[at], prospects.propensity[at] - prospects.uplift[at]
    prob, weight = rows.selection.prob, rows.data.rows.sample_weight
    would_act = Log(reward, agrees.astype(np.float64), prob, value * p1 - cost, value * p1 - cost, weight)
    would_not = Log(reward, rows.controls.astype(np.float64), prob, value * p0, value * p0, weight)
    contacts = rows.data.rows.contact_id.astype(str)
    how = How(contact=None if len(np.unique(contacts)) == len(contacts) else contacts)
    gain, behind = policy_gain(would_act, would_not, how=how), overlap(would_act)
    return PolicyGain(gain.value, gain.low, gain.high, behind.effective_sample_size, float(np.average(acts, weights=weight)))
