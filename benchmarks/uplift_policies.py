"""Does the uplift that `nudge train` serves decide as well as the best learner in hindsight, in twenty worlds that nobody tuned for?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

import numpy as np
import numpy.typing as npt

from benchmarks.results import Figure
from benchmarks.uplift_learners import LEARNERS, Pair
from benchmarks.uplift_worlds import NOW, Kind, People, World
from estimators.action_uplifts import MAX_WEIGHT_RATIO
from estimators.encoding import Encoded
from estimators.nuisance import balanced_weights, pseudo_outcomes
from estimators.stacking import weighted_average
from training.fit_uplift import FittedUplift, fit_uplift
from training.prepared import Prepared

Array = npt.NDArray[np.float64]

WORLDS, OTHERS = 20, 20_000
MORE_WORLDS = 580
"""Of which only the average effects are looked at: a world has few of them, and they share its controls."""
Z = 1.959964
CONSTANT = "average effect"


@dataclass(frozen=True)
class Held:
    """Whether a 95 % interval of an average effect held the truth: ours, and that of the same estimate where everything is known.

    The second one takes the true expectations and the true probabilities for the estimated ones. What it misses is the luck of the draw.
    """

    ours: bool
    known: bool


@dataclass(frozen=True)
class Told:
    """One world: true money a contact of each policy, and how often the 95 % intervals held the truth."""

    kind: Kind
    silence: float
    oracle: float
    nudge: float
    learners: dict[str, float]
    averages: list[Held] = field(default_factory=list)
    contacts: float = 0.0
    error: float = 0.0
    doubt: float = 0.0
    """The standard error, in money a contact, of the dearest action's average effect: what the log cannot tell apart."""

    @property
    def best(self) -> str:
        """The learner that did best in hindsight."""
        return max(self.learners, key=lambda name: self.learners[name])


def tell(number: int) -> Told:
    """Learn from one world's log and decide for other contacts."""
    kind = Kind.numbered(number)
    rng = np.random.default_rng([number, 0x7E11])
    world = World.drawn(kind, rng)
    seen, others = world.people(kind.rows, rng), world.people(OTHERS, rng)
    log, catalog = world.log(seen, rng), world.catalog()
    fitted = fit_uplift(log, catalog, seed=number)
    rows = log.encoder.encode(others.features, NOW)
    tau = fitted.bundle.uplift({}, NOW, [(action.id, None) for action in catalog.actions], encoded=rows)
    errors = fitted.bundle.standard_errors({}, NOW, [action.id for action in catalog.actions], encoded=rows)
    learners = {name: np.column_stack([_learned(name, log, k, world, rows) for k in range(kind.actions)]) for name in LEARNERS}
    silence = world.silence(others)
    return Told(
        kind=kind,
        silence=silence,
        oracle=silence + _earned(world, others, others.uplift),
        nudge=silence + _earned(world, others, tau),
        learners={name: silence + _earned(world, others, of_learner) for name, of_learner in learners.items()},
        averages=_averages_held(fitted, log, world, seen),
        contacts=float(np.mean(np.abs(tau - others.uplift) <= Z * errors)),
        error=float(np.sqrt(np.mean((tau - others.uplift) ** 2))),
        doubt=max(float(value) * fitted.bundle.average_effects[f"a{k}", None][1] for k, value in enumerate(world.value)),
    )


def averages_held(number: int) -> list[Held]:
    """Whether the 95 % intervals of one world's average effects hold the truth."""
    kind = Kind.numbered(number)
    rng = np.random.default_rng([number, 0x7E11])
    world = World.drawn(kind, rng)
    seen = world.people(kind.rows, rng)
    log = world.log(seen, rng)
    return _averages_held(fit_uplift(log, world.catalog(), seed=number), log, world, seen)


def measure() -> Sequence[Figure]:
    """Against the best learner and the best constant policy of each world, and the coverage of intervals."""
    with ProcessPoolExecutor(max_workers=min(2, os.cpu_count() or 1), mp_context=get_context("spawn")) as pool:
        told = list(pool.map(tell, range(WORLDS)))
        more = list(pool.map(averages_held, range(WORLDS, WORLDS + MORE_WORLDS)))
    return [*_against_the_best(told), *_coverage(told, more)]


def _against_the_best(told: Sequence[Told]) -> list[Figure]:
    ratio = np.array([one.nudge / one.learners[one.best] for one in told])
    best_constant = np.array([max(one.silence, one.learners[CONSTANT]) for one in told])
    nudges = np.array([one.nudge for one in told])
    constant, behind = nudges / best_constant, (best_constant - nudges) / [one.doubt for one in told]
    gain = {name: float(np.mean([one.learners[name] - one.silence for one in told])) for name in LEARNERS}
    nudge = float(np.mean([one.nudge - one.silence for one in told]))
    oracle = float(np.mean([one.oracle - one.silence for one in told]))
    hindsight = float(np.mean([one.learners[one.best] - one.silence for one in told]))
    name = "uplift_policies"
    return [
        Figure(f"{name}.worst world: value beside the best learner in hindsight", float(ratio.min()), "of its value", goal=">= 0.95"),
        Figure(f"{name}.mean of the same", float(ratio.mean()), f"of its value (SE {ratio.std(ddof=1) / np.sqrt(len(ratio)):.4f})"),
        Figure(f"{name}.worst world: value beside the best constant policy", float(constant.min()), "of its value", goal=">= 0.99"),
        Figure(
            f"{name}.largest loss to the best constant policy",
            float(behind.max()),
            "standard errors of what an action is worth",
            goal="<= 1",
        ),
        Figure(f"{name}.Nudge beyond silence", nudge, "money a contact", peer="oracle", peer_value=oracle),
        Figure(f"{name}.the best learner of each world beyond silence", hindsight, "money a contact", peer="oracle", peer_value=oracle),
        *[
            Figure(f"{name}.{learner} beyond silence", value, "money a contact", peer="oracle", peer_value=oracle)
            for learner, value in gain.items()
        ],
    ]


def _coverage(told: Sequence[Told], more: Sequence[Sequence[Held]]) -> list[Figure]:
    worlds = [*(world.averages for world in told), *more]
    ours, known = ([np.array([getattr(one, name) for one in world], dtype=float) for world in worlds] for name in ("ours", "known"))
    contacts = np.array([one.contacts for one in told])
    averages, error = _mean_by_world(ours)
    difference, of_difference = _mean_by_world([a - b for a, b in zip(ours, known, strict=True)])
    return [
        Figure(
            "uplift_policies.95 % intervals of average effects hold the truth",
            averages,
            f"of {sum(map(len, worlds))} intervals (SE {error:.3f})",
            peer="true expectations and probabilities",
            peer_value=averages - difference,
            goal=">= 0.93",
        ),
        Figure(
            "uplift_policies.the same less those of true expectations and probabilities",
            difference,
            f"of intervals (SE {of_difference:.3f})",
            goal=">= -0.02",
        ),
        Figure(
            "uplift_policies.95 % intervals of a contact's uplift hold the truth",
            float(contacts.mean()),
            "of contacts, mean over worlds",
            goal=">= 0.93",
        ),
    ]


def _learned(name: str, log: Prepared, action: int, world: World, rows: Encoded) -> Array:
    goal = "goal0" if world.kind.one_goal else f"goal{action}"
    at = np.flatnonzero(log.of_action(f"a{action}") | log.controls)
    y, w = log.data.labels.happened[goal][at], log.of_action(f"a{action}")[at]
    pair = Pair(log.encoded.take(at), y, w, 1.0 / log.selection.prob[at], log.encoder.categorical_indices)
    return LEARNERS[name](pair, rows)


def _earned(world: World, people: People, tau: Array) -> float:
    expected, gain = tau * world.value - world.cost, world.gain(people)
    best = expected.argmax(axis=1)
    at = np.arange(len(best))
    return float(np.where(expected[at, best] > 0, gain[at, best], 0.0).mean())


def _averages_held(fitted: FittedUplift, log: Prepared, world: World, seen: People) -> list[Held]:
    held, chances = [], world.chances(seen)
    for k in range(world.kind.actions):
        contacted = log.of_action(f"a{k}")
        at = np.flatnonzero(contacted | log.controls)
        exposed, y = contacted[at], log.data.labels.happened["goal0" if world.kind.one_goal else f"goal{k}"][at]
        psi = pseudo_outcomes(y, exposed, seen.propensity[at, k], seen.baseline[at, k])
        weight = balanced_weights(exposed, 1.0 / np.where(exposed, chances[at, k + 1], chances[at, 0]), MAX_WEIGHT_RATIO)
        told = fitted.bundle.average_effects[f"a{k}", None], weighted_average(psi, weight)
        truth = seen.uplift[:, k].mean()
        held.append(Held(*(bool(abs(effect - truth) <= Z * error) for effect, error in told)))
    return held


def _mean_by_world(values: Sequence[Array]) -> tuple[float, float]:
    """The mean over all, and its standard error: what one world tells is not independent."""
    count = sum(map(len, values))
    mean = float(sum(world.sum() for world in values) / count)
    return mean, float(np.sqrt(sum((world - mean).sum() ** 2 for world in values)) / count)
