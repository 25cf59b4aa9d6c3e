"""Why uplift first: in a business where actions change little, ranking by response can earn less than saying nothing.

Five worlds. In each, a pilot of random decisions is all that anybody may learn from; each policy then decides for other contacts, and is
paid what is true. Every policy learns from the same rows; the response model is Nudge's own for all who need one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from lightgbm import LGBMClassifier
from sklearn.linear_model import LogisticRegression

from benchmarks.results import Figure
from benchmarks.small_world import N_ACTIONS, Array, Contacts, Log, World, pilot
from estimators.propensity import ResponseModel
from estimators.uplift import DoublyRobustUplift

WORLDS = 5
CONTACTS = 20_000

SILENCE = "no contact at all"
RESPONSE = "rank by response"
RESPONSE_VALUE = "response x value - cost"
DEFAULTS = "uplift, library defaults"
NUDGE = "Nudge"
ORACLE = "the oracle"
POLICIES = (SILENCE, RESPONSE, RESPONSE_VALUE, DEFAULTS, NUDGE, ORACLE)

Profits = dict[str, Array]
"""True profit a contact of each policy, one number a world."""


@dataclass(frozen=True)
class Learned:
    """What was learned from the pilot about other contacts, each of shape (n, actions)."""

    propensity: Array
    uplift: Array
    uplift_defaults: Array
    opt_out: Array


def true_profits(worlds: int = WORLDS, contacts: int = CONTACTS) -> Profits:
    """True profit a contact of each policy, one number a world."""
    with ProcessPoolExecutor(max_workers=min(2, os.cpu_count() or 1), mp_context=get_context("spawn")) as pool:
        profits = list(pool.map(_profits_in, range(worlds), [contacts] * worlds))
    return {policy: np.array([profit[policy] for profit in profits]) for policy in POLICIES}


def measure() -> Sequence[Figure]:
    """The figures of `science`: what Nudge earns beyond response x value, and beyond silence."""
    profits = true_profits()
    silence, market = float(profits[SILENCE].mean()), float(profits[RESPONSE_VALUE].mean())
    figures = [
        Figure(f"small_effects.{policy}", float(profits[policy].mean()), "money a contact", peer=SILENCE, peer_value=silence)
        for policy in POLICIES
    ]
    nudge = float(profits[NUDGE].mean())
    return [
        *figures,
        Figure("small_effects.Nudge beyond response x value", nudge - market, "money a contact", goal=">= 0.25"),
        Figure("small_effects.Nudge beyond no contact", nudge - silence, "money a contact", goal=">= 0.10"),
    ]


def _profits_in(seed: int, n: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    world = World.drawn(rng)
    seen, others = world.contacts(n, rng), world.contacts(n, rng)
    learned = _learn(seen, pilot(seen, rng), others)
    lost = learned.opt_out * others.clv[:, None] + world.cost
    gain = world.gain(others)
    scores = {
        RESPONSE: learned.propensity,
        RESPONSE_VALUE: learned.propensity * world.value - world.cost,
        DEFAULTS: learned.uplift_defaults * world.value - lost,
        NUDGE: learned.uplift * world.value - lost,
        ORACLE: gain,
    }
    silence = world.silence(others)
    return {SILENCE: silence} | {policy: silence + _earned(score, gain) for policy, score in scores.items()}


def _earned(score: Array, gain: Array) -> float:
    """Mean true gain when each contact gets the action of the highest score, and nothing where no score is above 0."""
    best = score.argmax(axis=1)
    rows = np.arange(len(score))
    return float(np.where(score[rows, best] > 0.0, gain[rows, best], 0.0).mean())


def _learn(seen: Contacts, log: Log, others: Contacts) -> Learned:
    propensity, uplift, defaults = np.empty((3, len(others.clv), N_ACTIONS))
    untouched = log.action == N_ACTIONS
    for action in range(N_ACTIONS):
        touched = log.action == action
        response = log.responses[:, action]
        model = ResponseModel().fit(seen.traits[touched], response[touched], X_linear=seen.traits[touched])
        propensity[:, action] = model.predict_proba(others.traits, others.traits)[:, 1]
        pair = touched | untouched
        learner = DoublyRobustUplift(n_jobs=1).fit(seen.traits[pair], seen.traits[pair], response[pair], touched[pair].astype(float))
        uplift[:, action] = learner.predict(others.traits, others.traits)
        defaults[:, action] = _t_learner(seen.traits, response, touched, untouched, others.traits)
    return Learned(propensity, uplift, defaults, _opt_out(seen, log, others))


def _t_learner(traits: Array, response: Array, touched: Array, untouched: Array, others: Array) -> Array:
    """Two LightGBM models with the library's own settings, one a side; the uplift is their difference."""
    sides = [LGBMClassifier(verbose=-1, n_jobs=1, random_state=0).fit(traits[rows], response[rows]) for rows in (touched, untouched)]
    on, off = (np.asarray(side.predict_proba(others), dtype=np.float64)[:, 1] for side in sides)
    return on - off


def _opt_out(seen: Contacts, log: Log, others: Contacts) -> Array:
    """P(opt-out | contacted): one logistic model with the action as a feature."""
    contacted = log.action < N_ACTIONS
    one_hot = np.eye(N_ACTIONS)
    model = LogisticRegression(C=0.1).fit(np.hstack([seen.traits, one_hot[log.action % N_ACTIONS]])[contacted], log.opted_out[contacted])
    n = len(others.clv)
    risks = [model.predict_proba(np.hstack([others.traits, np.tile(one_hot[action], (n, 1))]))[:, 1] for action in range(N_ACTIONS)]
    return np.column_stack(risks)
