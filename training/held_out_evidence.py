"""Held-out predictions of two versions -> the policies that would follow from them, on the interactions that both hold out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from decisioning.errors import NotFound
from decisioning.vocabulary import NO_ACTION as NO_ACTION_ID
from decisioning.vocabulary import BoolArray, FloatArray, IntArray
from training.comparison import BY_CHANCE, CHAMPION, NO_ACTION, NOTHING, PROPENSITY_GREEDY, RANDOM, Doing, Evidence
from training.held_out import HeldOut

SOURCE = "held-out interactions"
LIMITS = "opt-outs are not priced on held-out interactions: the lifetime value of then is not kept"


@dataclass(frozen=True, eq=False)
class System:
    """The held-out predictions that decide together: `uplift` is None where there is no such model."""

    propensity: HeldOut
    uplift: HeldOut | None

    @property
    def parts(self) -> tuple[HeldOut, ...]:
        """The predictions, each once."""
        return (self.propensity,) if self.uplift is None else (self.propensity, self.uplift)


@dataclass(frozen=True, eq=False)
class _Scores:
    """Of n rows and K actions: effect and baseline on the goal (NaN where not known), propensity, value."""

    effect: FloatArray
    baseline: FloatArray
    propensity: FloatArray
    value: FloatArray


def held_out_evidence(systems: Mapping[str, System]) -> Evidence:
    """The evidence about the policies of `systems`, beside ranking by propensity (of the champion), chance and silence.

    A system takes the open action of the greatest `tau * value - cost` above 0; where it has no uplift model the propensity stands for tau.
    The reward model is the mean of all systems, so that it takes no side.

    Parameters
    ----------
    systems : mapping of name to System
        `champion` among them.

    Raises
    ------
    NotFound
        The systems hold out no interaction in common.
    """
    parts = list({id(part): part for system in systems.values() for part in system.parts}.values())
    common = sorted(set.intersection(*(set(part.row.tolist()) for part in parts)))
    if not common:
        raise NotFound(
            "the versions hold out no interaction in common",
            hint="train the champion's recipe again on the same data (nudge train --refit), or wait for decisions in the ledger",
        )
    actions = tuple(dict.fromkeys(name for part in parts for name in part.actions))
    aligned = {id(part): part.take(_places(part, common), actions) for part in parts}
    facts = _facts([aligned[id(part)] for part in parts])
    scores = {name: _scores(system, aligned) for name, system in systems.items()}
    return _evidence(facts, scores)


def _places(part: HeldOut, rows: list[str]) -> IntArray:
    place = {row: k for k, row in enumerate(part.row.tolist())}
    return np.array([place[row] for row in rows], dtype=np.int64)


def _facts(parts: list[HeldOut]) -> HeldOut:
    """What happened, on the actions of all parts: of an action, or of a row's weight, that one part does not know, what another says."""
    first = parts[0]
    knows = [next(one for one in parts if one.goals[k]) for k in range(len(first.actions))]

    def matrix(name: str) -> FloatArray:
        return np.column_stack([getattr(one, name)[:, k] for k, one in enumerate(knows)])

    goals = tuple(one.goals[k] for k, one in enumerate(knows))
    stands_for = np.ones(len(first))
    for one in parts:
        stands_for = np.where(np.isnan(one.stands_for), stands_for, one.stands_for)
    return replace(first, goals=goals, stands_for=stands_for, happened=matrix("happened"), cost=matrix("cost"), open=matrix("open") > 0)


def _scores(system: System, aligned: Mapping[int, HeldOut]) -> _Scores:
    learned = aligned[id(system.propensity)]
    p, value = learned.propensity, learned.value
    tau = np.full_like(p, np.nan) if system.uplift is None else aligned[id(system.uplift)].uplift
    if np.isnan(tau).all():
        return _Scores(p, np.zeros_like(p), p, value)
    tau = np.where(np.isnan(p), tau, np.clip(tau, p - 1.0, p))
    return _Scores(tau, np.nan_to_num(p - tau), p, value)


def _evidence(facts: HeldOut, scores: Mapping[str, _Scores]) -> Evidence:
    goals = tuple(dict.fromkeys(facts.goals))
    goal_of = np.array([goals.index(goal) for goal in facts.goals], dtype=np.int64)
    # the mean over the systems that know it; where none does the action is closed anyway
    value = _mean([one.value for one in scores.values()])
    profit = _mean([one.effect * one.value for one in scores.values()]) - facts.cost
    expected_anyway = _mean([one.baseline for one in scores.values()]) * value
    names = {name: k for k, name in enumerate(facts.actions)}
    logged = np.array([NOTHING if name == NO_ACTION_ID else names.get(name, len(names)) for name in facts.action.tolist()], dtype=np.int64)
    worth = _of_goals(np.where(facts.open, value, np.nan), goal_of, len(goals), logged)
    reached = np.column_stack([facts.happened[:, np.flatnonzero(goal_of == g)[0]] for g in range(len(goals))])
    at = np.arange(len(logged)), np.where((logged >= 0) & (logged < len(names)), logged, 0)
    got_known = (logged >= 0) & (logged < len(names))
    table = _Table(facts, goal_of, len(goals), profit, logged)
    doings = {name: table.greedy(one.effect * one.value - facts.cost) for name, one in scores.items()}
    champion = scores[CHAMPION]
    doings |= {
        PROPENSITY_GREEDY: table.greedy(champion.propensity * champion.value - facts.cost),
        RANDOM: table.by_chance(champion.effect * champion.value),
        NO_ACTION: table.greedy(np.full_like(profit, -np.inf)),
    }
    return Evidence(
        source=SOURCE,
        contact=facts.contact,
        came=worth * np.nan_to_num(reached),
        spent=np.where(got_known, np.nan_to_num(facts.cost)[at], 0.0),
        selection_prob=facts.selection_prob,
        baseline=_of_goals(np.where(facts.open, expected_anyway, np.nan), goal_of, len(goals), logged),
        logged_profit=np.where(got_known, np.nan_to_num(profit)[at], 0.0),
        policies=doings,
        notes=(LIMITS,),
        stands_for=facts.stands_for,
    )


@dataclass(frozen=True, eq=False)
class _Table:
    """What policies choose from: `profit` as all systems see it together, shape (n, K)."""

    facts: HeldOut
    goal_of: IntArray
    n_goals: int
    profit: FloatArray
    logged: IntArray

    def greedy(self, score: FloatArray) -> Doing:
        """The open action of the highest score above 0, else none."""
        found = np.where(self.facts.open & np.isfinite(score), score, -np.inf)
        best, rows = np.argmax(found, axis=1), np.arange(len(found))
        does = np.where(found[rows, best] > 0, best, NOTHING)
        goals = np.zeros((len(does), self.n_goals), dtype=np.bool_)
        acts = does != NOTHING
        goals[rows[acts], self.goal_of[does[acts]]] = True
        profit = np.where(acts, np.nan_to_num(self.profit)[rows, np.maximum(does, 0)], 0.0)
        return Doing(does, (does == self.logged).astype(np.float64), profit, goals)

    def by_chance(self, score: FloatArray) -> Doing:
        """One of the open actions with a score, each as likely; none where there is none."""
        choices: BoolArray = self.facts.open & np.isfinite(score)
        count, rows = choices.sum(axis=1), np.arange(len(choices))
        known = (self.logged >= 0) & (self.logged < choices.shape[1])
        own = known & choices[rows, np.where(known, self.logged, 0)]
        agrees = np.where(count > 0, own / np.maximum(count, 1), self.logged == NOTHING)
        goals = np.column_stack([choices[:, self.goal_of == g].any(axis=1) for g in range(self.n_goals)])
        profit = (np.nan_to_num(self.profit) * choices).sum(axis=1) / np.maximum(count, 1)
        does = np.where(count > 1, BY_CHANCE, np.where(count == 1, np.argmax(choices, axis=1), NOTHING))  # of one there is nothing to draw
        return Doing(does, agrees.astype(np.float64), profit, goals)


def _of_goals(per_action: FloatArray, goal_of: IntArray, n_goals: int, logged: IntArray) -> FloatArray:
    """A figure of actions as one of goals, shape (n, G): that of the logged action where it has the goal, else of the first known one."""
    found = np.zeros((len(per_action), n_goals))
    for g in range(n_goals):
        columns = np.flatnonzero(goal_of == g)
        first = per_action[:, columns]
        known = ~np.isnan(first)
        place = np.argmax(known, axis=1)
        own = (logged[:, None] == columns[None, :]) & known
        place = np.where(own.any(axis=1), np.argmax(own, axis=1), place)
        found[:, g] = np.nan_to_num(first[np.arange(len(first)), place])
    return found


def _mean(matrices: list[FloatArray]) -> FloatArray:
    """The mean of what is known, NaN where nothing is."""
    stacked = np.stack(matrices)
    known = ~np.isnan(stacked)
    count = known.sum(axis=0)
    return np.where(count > 0, np.where(known, stacked, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)
