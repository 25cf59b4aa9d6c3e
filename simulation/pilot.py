"""The randomised pilot: every few days some contacts are in scope and get, by chance alone, one allowed action or none.

The chance is known: no_action with NO_ACTION_SHARE, otherwise an action drawn evenly from those that the rules and the contact's
consents allow, then a channel drawn evenly from those open for that action. `selection_prob` is the probability of the action (or
of no_action); `treatment_prob` that of the action on its channel.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from decisioning.vocabulary import BoolArray, FloatArray, IntArray
from simulation.actions import ACTION_OF, ACTIONS, CHANNEL_OF, CHANNELS, TREATMENTS
from simulation.behaviour import Behaviour
from simulation.effects import Weights, bounded
from simulation.permissions import Permissions
from simulation.population import Population
from simulation.responses import WINDOW_DAYS, Responses
from simulation.rules import Rules
from simulation.state import History, Snapshot, snapshot

NO_ACTION_SHARE = 0.3
WAVE_EVERY_DAYS = 3
BEGINS_AT_SHARE = 0.4
"""The pilot covers the rest of the period from this share of it."""
ROWS_PER_CONTACT = 4.5
"""Decisions per contact whose month-long window closes within the period, on average."""
CLOSING_DAYS = 30
DELIVERY_HOURS = (9.1, 16.8)
"""UTC; in every time zone of ours, summer and winter, within nobody's quiet hours."""
LEAVING_DAYS = 30
"""A contact who opts out still uses the bank for so long."""

CLICK_SHARE = {"web": 0.06, "app": 0.08, "email": 0.05, "sms": 0.04, "call": 0.0}
REJECT_SHARE = {"web": 0.03, "app": 0.04, "email": 0.0, "sms": 0.0, "call": 0.25}
CLICK_DAYS = 7.0
OPT_OUT_DAYS = 30.0


@dataclass(frozen=True)
class Log:
    """The pilot's rows: what was decided, with what probability, what the truth was, and what the contact did with the touch.

    contact, treatment (-1: no_action): codes. decided_at, delivered_at: days. baseline, uplift: the truth for the chosen action
    (0 for no_action). allowed: (rows, actions). clicked_at, rejected_at, opted_out_at: days, inf where it did not happen.
    """

    contact: IntArray
    treatment: IntArray
    decided_at: FloatArray
    delivered_at: FloatArray
    selection_prob: FloatArray
    treatment_prob: FloatArray
    baseline: FloatArray
    uplift: FloatArray
    opt_out_risk: FloatArray
    allowed: BoolArray
    clicked_at: FloatArray
    rejected_at: FloatArray
    opted_out_at: FloatArray


@dataclass(frozen=True)
class Touches:
    """Touches of one wave with one treatment: contacts (rows), times, and the truth about each."""

    action: int
    contact: IntArray
    at: FloatArray
    baseline: FloatArray
    uplift: FloatArray


@dataclass(frozen=True)
class Bank:
    """The bank over its period of `days` days from `start`; the pilot writes `responses`, `permissions.opted_out_at`, `people.leaves`."""

    start: np.datetime64
    days: int
    people: Population
    behaviour: Behaviour
    permissions: Permissions
    responses: Responses
    history: History
    weights: Weights
    rules: Rules


def run_pilot(rng: np.random.Generator, bank: Bank) -> Log:
    """Run the waves in order, each on the state that the earlier ones left."""
    waves = np.arange(np.ceil(BEGINS_AT_SHARE * bank.days), bank.days - 1, WAVE_EVERY_DAYS)
    closed = max(int((waves < bank.days - CLOSING_DAYS - 1).sum()), 1)
    eagerness = rng.gamma(2.0, 0.5, bank.people.size) * min(ROWS_PER_CONTACT / closed, 0.4)
    logs: list[Log] = []
    for at in waves:
        in_scope = rng.random(bank.people.size) < eagerness
        logs.append(_wave(rng, bank, in_scope, float(at), recent_touches(logs, bank.people.size, float(at))))
    return Log(*(np.concatenate([getattr(log, field.name) for log in logs]) for field in fields(Log)))


def recent_touches(logs: list[Log], contacts: int, at: float, window_days: float = 30.0) -> FloatArray:
    """Touches per contact delivered in [at - window, at), shape (contacts,)."""
    counts = np.zeros(contacts)
    for log in logs:
        rows = (log.treatment >= 0) & (log.delivered_at >= at - window_days) & (log.delivered_at < at)
        counts += np.bincount(log.contact[rows], minlength=contacts)
    return counts


def _wave(rng: np.random.Generator, bank: Bank, in_scope: BoolArray, at: float, touches: FloatArray) -> Log:
    """Decide, deliver and see what follows, for the contacts in scope at the time `at`."""
    now = snapshot(bank.people, bank.responses, bank.history, touches, at)
    contact, open_now = _in_scope(bank, now, in_scope, at)
    treatment, action_prob, treatment_prob, actions_open = _choose(rng, open_now)
    delivered_at = at + rng.uniform(*DELIVERY_HOURS, len(contact)) / 24
    alive = bank.people.leaves[contact] > delivered_at
    baseline, uplift, risk = np.zeros(len(contact)), np.zeros(len(contact)), np.zeros(len(contact))
    for k in np.unique(treatment[treatment >= 0]):
        rows = np.nonzero(treatment == k)[0]
        who, when, signals = contact[rows], delivered_at[rows], now.signals[contact[rows]]
        a, c = int(ACTION_OF[k]), int(CHANNEL_OF[k])
        baseline[rows] = bank.responses.baseline(a, who, when, bank.people.leaves[who])
        uplift[rows] = bounded(alive[rows] * bank.weights.uplift(signals, a, c), baseline[rows])
        risk[rows] = alive[rows] * bank.weights.opt_out_risk(signals)[:, c]
        _respond(rng, bank, Touches(a, who, when, baseline[rows], uplift[rows]))
    clicked, rejected, opted_out = _reactions(rng, treatment, delivered_at, alive=alive, risk=risk, uplift=uplift)
    bank.permissions.opted_out_at[contact] = np.minimum(bank.permissions.opted_out_at[contact], opted_out)
    bank.people.leaves[contact] = np.minimum(bank.people.leaves[contact], opted_out + LEAVING_DAYS)
    return Log(
        contact=contact,
        treatment=treatment,
        decided_at=np.full(len(contact), at),
        delivered_at=delivered_at,
        selection_prob=action_prob,
        treatment_prob=treatment_prob,
        baseline=baseline,
        uplift=uplift,
        opt_out_risk=risk,
        allowed=actions_open,
        clicked_at=clicked,
        rejected_at=rejected,
        opted_out_at=opted_out,
    )


def _in_scope(bank: Bank, now: Snapshot, drawn: BoolArray, at: float) -> tuple[IntArray, BoolArray]:
    """The drawn contacts for whom something is open, as rows, and their open treatments (rows, treatments)."""
    known = drawn & (bank.people.joined < at) & (bank.permissions.opted_out_at > at)
    contact = np.nonzero(known)[0]
    allowed, _ = bank.rules.evaluate({name: values[contact] for name, values in now.columns.items()})
    open_now = available(allowed, bank.permissions.allowed(at)[contact]) & np.array([ACTIONS[a].in_pilot for a in ACTION_OF])
    some = open_now.any(axis=1)
    return contact[some], open_now[some]


def available(allowed: BoolArray, consented: BoolArray) -> BoolArray:
    """Which treatments are open by rule (n, actions) and by consent (n, channels): (n, treatments)."""
    return np.asarray(allowed[:, ACTION_OF] & consented[:, CHANNEL_OF])


def _choose(rng: np.random.Generator, open_now: BoolArray) -> tuple[IntArray, FloatArray, FloatArray, BoolArray]:
    """Draw a treatment (-1: none) per row: its code, the probabilities of its action and of itself, and the open actions."""
    n = len(open_now)
    actions_open = np.zeros((n, len(ACTIONS)), dtype=bool)
    for k in range(len(TREATMENTS)):
        actions_open[:, ACTION_OF[k]] |= open_now[:, k]
    silent = rng.random(n) < NO_ACTION_SHARE
    action = _draw_open(rng, actions_open)
    channels_open = open_now & (action[:, None] == ACTION_OF)
    treatment = np.where(silent, -1, _draw_open(rng, channels_open))
    action_prob = np.where(silent, NO_ACTION_SHARE, (1 - NO_ACTION_SHARE) / actions_open.sum(axis=1))
    treatment_prob = np.where(silent, NO_ACTION_SHARE, action_prob / channels_open.sum(axis=1))
    return treatment, action_prob, treatment_prob, actions_open


def _draw_open(rng: np.random.Generator, open_now: BoolArray) -> IntArray:
    """One open column per row, each with the same probability."""
    place = np.floor(rng.random(len(open_now)) * open_now.sum(axis=1)) + 1
    return np.argmax(np.cumsum(open_now, axis=1) >= place[:, None], axis=1).astype(np.int64)


def _respond(rng: np.random.Generator, bank: Bank, touches: Touches) -> None:
    """Let the touches act on the goal's own process: add where the uplift is positive, take away where it is negative."""
    action, contact, at = touches.action, touches.contact, touches.at
    leaves = bank.people.leaves[contact]
    own = bank.responses.own_within(action, contact, at, leaves)
    luck = rng.random(len(contact))
    delay = WINDOW_DAYS[action] * rng.beta(1.0, 3.0, len(contact))
    with np.errstate(divide="ignore", invalid="ignore"):
        added = ~own & (luck < touches.uplift / (1 - touches.baseline))
        taken = own & (luck < -touches.uplift / touches.baseline)
    bank.responses.add(action, contact[added], np.minimum(at + delay, leaves)[added])
    bank.responses.cancel(action, contact[taken], at[taken])


def _reactions(
    rng: np.random.Generator, treatment: IntArray, at: FloatArray, *, alive: BoolArray, risk: FloatArray, uplift: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """When each touch was clicked, rejected and answered by an opt-out (inf: not)."""
    n = len(treatment)
    touched = (treatment >= 0) & alive
    channel = CHANNEL_OF[np.maximum(treatment, 0)]
    click = np.array([CLICK_SHARE[c.id] for c in CHANNELS])[channel]
    reject = np.array([REJECT_SHARE[c.id] for c in CHANNELS])[channel]
    clicks = touched & (rng.random(n) < click + np.where(click > 0, np.maximum(uplift, 0), 0))
    rejects = touched & ~clicks & (rng.random(n) < reject)
    opts_out = touched & (rng.random(n) < risk)
    return (
        np.where(clicks, at + CLICK_DAYS * rng.beta(1.0, 8.0, n), np.inf),
        np.where(rejects, at + 0.5 * rng.random(n) + 0.001, np.inf),
        np.where(opts_out, at + OPT_OUT_DAYS * rng.beta(1.0, 6.0, n), np.inf),
    )
