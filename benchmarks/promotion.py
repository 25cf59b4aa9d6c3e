"""The promotion gate on planted challengers: a bad one must be refused, a better one promoted, in every world.

Each world has a log of random decisions to learn from and another, held out, to be judged on. Champion and challenger are the same learner
(a logistic response model an action and side); what differs is what they learned from. The gate is the one that `nudge promote` asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from benchmarks.results import Figure
from benchmarks.small_world import N_ACTIONS, Array, Contacts, Log, World, pilot
from training.comparison import CHALLENGER, CHAMPION
from training.gate_verdict import Verdict, judged
from training.held_out import HeldOut
from training.held_out_evidence import System, held_out_evidence

SEEDS = 20
LEARNED, LEARNED_BY_A_WEAK_ONE, JUDGED = 40_000, 1_500, 40_000
"""Logged decisions to learn from, for a champion that has seen little, and to be judged on."""

PLANTED = 120
"""Worlds for the coverage of intervals of such challengers."""

COVERED, ERROR = 150, 0.03
"""Worlds of another kind for the coverage of intervals, and how much their challengers' uplifts err."""

ACTIONS = tuple(f"action_{k}" for k in range(N_ACTIONS))


@dataclass(frozen=True)
class Trial:
    """What the gate said of a challenger, and what it truly gains a decision."""

    verdict: Verdict
    true_gain: float


@dataclass(frozen=True)
class Beliefs:
    """What a learner believes of other contacts, shape (n, actions)."""

    propensity: Array
    uplift: Array

    def choice(self, world: World) -> Array:
        """The action taken of each contact, N_ACTIONS for none."""
        worth = self.uplift * world.value - world.cost
        best = worth.argmax(axis=1)
        return np.where(worth[np.arange(len(worth)), best] > 0, best, N_ACTIONS)


def trials(seed: int) -> dict[str, Trial]:
    """One world: a challenger whose labels were shuffled, one that learned from more, and a twin that learned from other rows."""
    rng = np.random.default_rng([seed, 0x9A7E])
    world = World.drawn(rng)
    seen, others = world.contacts(2 * LEARNED, rng), world.contacts(JUDGED, rng)
    log, held_out = pilot(seen, rng), pilot(others, rng)
    first, second = np.arange(LEARNED), np.arange(LEARNED, 2 * LEARNED)
    good, twin = _learned(seen, log, first, others), _learned(seen, log, second, others)
    weak = _learned(seen, log, first[:LEARNED_BY_A_WEAK_ONE], others)
    shuffled = Log(log.action, log.responses[rng.permutation(len(log.responses))], log.opted_out)
    bad = _learned(seen, shuffled, first, others)

    def trial(champion: Beliefs, challenger: Beliefs) -> Trial:
        return _trial(world, others, held_out, champion, challenger)

    return {"bad": trial(good, bad), "better": trial(weak, good), "twin": trial(good, twin)}


def measure() -> Sequence[Figure]:
    """How often the gate is right, and what it says when it is not yet sure."""
    planted = [trials(seed) for seed in range(PLANTED)]
    found = planted[:SEEDS]
    refused = sum(not one["bad"].verdict.passed for one in found)
    promoted = sum(one["better"].verdict.passed for one in found)
    wrong = sum(one[kind].verdict.passed and one[kind].true_gain <= 0 for one in found for kind in one)
    held = [float(np.mean([_holds(trial) for trial in one.values()])) for one in planted]
    apart = [_holds(_unlearned(seed)) for seed in range(COVERED)]
    rows = f"of {SEEDS} worlds, {JUDGED:,} held-out decisions"
    return [
        Figure("promotion.shuffled labels refused", refused, rows, goal=f">= {SEEDS}"),
        Figure(
            f"promotion.better ones promoted ({LEARNED:,} rows learned against {LEARNED_BY_A_WEAK_ONE:,})",
            promoted,
            rows,
            goal=f">= {SEEDS}",
        ),
        Figure("promotion.twins promoted", sum(one["twin"].verdict.passed for one in found), rows),
        Figure("promotion.promoted though truly no better", wrong, f"of {3 * SEEDS} challengers", goal="<= 1"),
        Figure(
            "promotion.95 % intervals hold the truth: these",
            float(np.mean(held)),
            f"of {3 * PLANTED}, three a world of {PLANTED} (SE {np.std(held) / np.sqrt(PLANTED):.3f})",
            goal=">= 0.9",
        ),
        Figure(
            "promotion.95 % intervals hold the truth: other worlds", float(np.mean(apart)), f"of {COVERED}, one a world", goal=">= 0.92"
        ),
        Figure("promotion.true gain of the better ones", float(np.mean([one["better"].true_gain for one in found])), "money a decision"),
        Figure("promotion.true gain of the bad ones", float(np.mean([one["bad"].true_gain for one in found])), "money a decision"),
    ]


def _holds(trial: Trial) -> bool:
    return trial.verdict.gain is not None and trial.true_gain in trial.verdict.gain


def _unlearned(seed: int) -> Trial:
    """A world of its own in which the champion knows the truth and the challenger errs: one interval a world, independent of the others."""
    rng = np.random.default_rng([seed, 0xC0FE])
    world = World.drawn(rng)
    others = world.contacts(JUDGED // 2, rng)
    uplift = others.propensity - others.baseline
    erring = np.clip(uplift + rng.normal(0.0, ERROR, uplift.shape), others.propensity - 1.0, others.propensity)
    champion, challenger = Beliefs(others.propensity, uplift), Beliefs(others.propensity, erring)
    return _trial(world, others, pilot(others, rng), champion, challenger)


def _trial(world: World, others: Contacts, log: Log, champion: Beliefs, challenger: Beliefs) -> Trial:
    kept = {name: _held_out(world, log, one) for name, one in ((CHAMPION, champion), (CHALLENGER, challenger))}
    evidence = held_out_evidence({name: System(one, one) for name, one in kept.items()})
    return Trial(judged(evidence), _earned(world, others, challenger) - _earned(world, others, champion))


def _shapes(contacts: Contacts) -> Array:
    return np.hstack([contacts.traits, np.abs(contacts.traits), contacts.traits > 0.5])


def _learned(seen: Contacts, log: Log, rows: npt.NDArray[np.int64], others: Contacts) -> Beliefs:
    """A logistic model of each action's goal, one for those who got it and one for those who got nothing."""
    x, z, action = _shapes(seen)[rows], _shapes(others), log.action[rows]
    sides = np.empty((2, len(z), N_ACTIONS))
    for k in range(N_ACTIONS):
        for side, got in enumerate((k, N_ACTIONS)):
            mine = action == got
            sides[side, :, k] = _response(x[mine], log.responses[rows][mine, k], z)
    return Beliefs(sides[0], sides[0] - sides[1])


def _response(x: Array, y: Array, z: Array) -> Array:
    if not 0 < y.sum() < len(y):
        return np.full(len(z), (y.sum() + 0.5) / (len(y) + 1))
    return np.asarray(LogisticRegression(C=0.1).fit(x, y).predict_proba(z)[:, 1])


def _held_out(world: World, log: Log, beliefs: Beliefs) -> HeldOut:
    n = len(log.action)
    ids = np.arange(n).astype(str)
    return HeldOut(
        row=ids,
        contact=ids,
        action=np.array([*ACTIONS, "no_action"])[log.action],
        selection_prob=np.full(n, 1.0 / (N_ACTIONS + 1)),
        stands_for=np.ones(n),
        actions=ACTIONS,
        goals=tuple(f"goal_{k}" for k in range(N_ACTIONS)),
        happened=log.responses,
        open=np.ones((n, N_ACTIONS), dtype=np.bool_),
        value=np.tile(world.value, (n, 1)),
        cost=np.tile(world.cost, (n, 1)),
        propensity=beliefs.propensity,
        uplift=beliefs.uplift,
    )


def _earned(world: World, contacts: Contacts, beliefs: Beliefs) -> float:
    """The true gain a decision over silence; opt-outs are not priced, as on held-out rows."""
    gain = (contacts.propensity - contacts.baseline) * world.value - world.cost
    choice = beliefs.choice(world)
    return float(np.where(choice < N_ACTIONS, gain[np.arange(len(gain)), choice % N_ACTIONS], 0.0).mean())
