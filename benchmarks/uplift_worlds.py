"""Businesses whose truth is known, each drawn anew: how strong effects are, how they bend, who was contacted, what of it was logged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from decisioning.catalog import Catalog, parse_catalog
from estimators.encoding import FeatureEncoder
from training.dataset import Dataset
from training.labels import Labels, LoggedRows
from training.prepared import Prepared
from training.selection import Selection, selection_probabilities

Array = npt.NDArray[np.float64]

STRENGTHS = {"none": 0.0, "weak": 0.15, "medium": 0.45, "strong": 1.0}
LOGS = ("randomised", "confounded, known", "confounded, unknown")
SHAPES = ("straight", "bent", "stepped", "crossed")
NUMBERS, FLAGS, LEVELS = 8, 2, 30
NOW = np.datetime64("2026-06-01", "us")


@dataclass(frozen=True)
class Kind:
    """What is drawn about a world before its coefficients: the strength and shape of effects, the log, actions and rows."""

    strength: str
    shape: str
    log: str
    actions: int
    rows: int
    one_goal: bool

    @classmethod
    def numbered(cls, number: int) -> Kind:
        """The kinds in turn, so that twenty worlds hold every strength and every log with every other."""
        rng = np.random.default_rng([number, 0xC1])
        strengths = tuple(STRENGTHS)
        return cls(
            strength=strengths[number % len(strengths)],
            shape=SHAPES[(number // len(strengths)) % len(SHAPES)],
            log=LOGS[number % len(LOGS)],
            actions=int(rng.choice([1, 2, 3, 6])),
            rows=int(rng.choice([8_000, 16_000, 30_000])),
            one_goal=bool(rng.random() < 0.5),
        )


@dataclass(frozen=True)
class People:
    """n contacts: what is known of them, and the truth; `baseline` and `propensity` have shape (n, actions)."""

    features: dict[str, Any]
    baseline: Array
    propensity: Array
    pull: Array

    @property
    def uplift(self) -> Array:
        """propensity - baseline."""
        return self.propensity - self.baseline


@dataclass(frozen=True)
class World:
    """The coefficients of a world, and its money."""

    kind: Kind
    level: Array
    main: Array
    effect: Array
    slopes: Array
    log_pull: Array
    category: Array
    value: Array
    cost: Array

    @classmethod
    def drawn(cls, kind: Kind, rng: np.random.Generator) -> World:
        """A world of its kind."""
        k, width = kind.actions, NUMBERS + FLAGS
        strength = STRENGTHS[kind.strength]
        directions = rng.standard_normal((4 * width, k))
        return cls(
            kind=kind,
            level=np.repeat(rng.uniform(-3.2, -1.2, 1), k) if kind.one_goal else rng.uniform(-3.6, -1.2, k),
            main=np.repeat(rng.standard_normal((width, 1)), k, axis=1) * 0.35 if kind.one_goal else rng.standard_normal((width, k)) * 0.35,
            effect=strength * rng.uniform(-0.5, 0.9, k),
            slopes=strength * directions / np.linalg.norm(directions, axis=0),
            log_pull=rng.standard_normal((width, k)) * 0.3,
            category=np.repeat(rng.standard_normal((LEVELS, 1)), k, axis=1) * 0.3
            if kind.one_goal
            else rng.standard_normal((LEVELS, k)) * 0.3,
            value=rng.uniform(10.0, 60.0, k),
            cost=rng.uniform(0.1, 0.8, k),
        )

    def people(self, n: int, rng: np.random.Generator) -> People:
        """`n` contacts with the truth about each."""
        common = rng.standard_normal((n, 1))
        numbers = 0.4 * common + 0.92 * rng.standard_normal((n, NUMBERS))
        flags = (rng.random((n, FLAGS)) < (0.5, 0.15)).astype(float)
        level = np.minimum(rng.geometric(0.15, n) - 1, LEVELS - 1)
        x = np.hstack([numbers, flags - (0.5, 0.15)])
        log_odds = self.level + x @ self.main + self.category[level]
        baseline = expit(log_odds)
        propensity = expit(log_odds + self.effect + _shaped(x, self.kind.shape) @ self.slopes)
        features = {f"x{j}": numbers[:, j] for j in range(NUMBERS)} | {f"flag{j}": flags[:, j] for j in range(FLAGS)}
        features["place"] = np.array([f"p{code:02d}" for code in level.tolist()], dtype=object)
        return People(features, baseline, propensity, x @ self.log_pull + 1.2 * (log_odds - log_odds.mean(axis=0)))

    def gain(self, people: People) -> Array:
        """True incremental profit of each action, shape (n, actions)."""
        return people.uplift * self.value - self.cost

    def silence(self, people: People) -> float:
        """Money a contact when nobody is contacted: of each goal once."""
        goals = slice(0, 1) if self.kind.one_goal else slice(None)
        return float((people.baseline * self.value)[:, goals].sum(axis=1).mean())

    def catalog(self) -> Catalog:
        """What the marketer would write."""
        goals = ["goal0" if self.kind.one_goal else f"goal{k}" for k in range(self.kind.actions)]
        channels = {f"c{k}": {"direction": "outbound", "cost": float(self.cost[k])} for k in range(self.kind.actions)}
        actions = [
            {
                "id": f"a{k}",
                "issue": "sales",
                "group": f"group{k // 2}",
                "goal": goals[k],
                "value": float(self.value[k]),
                "treatments": [{"id": f"t{k}", "channel": f"c{k}"}],
            }
            for k in range(self.kind.actions)
        ]
        outcomes = {goal: {"kind": "conversion", "window_days": 14} for goal in dict.fromkeys(goals)}
        return parse_catalog(
            {"version": "1", "currency": "EUR", "time_zone": "UTC", "channels": channels, "outcomes": outcomes, "actions": actions}
        )

    def chances(self, people: People) -> Array:
        """The probabilities with which the logging policy leaves each contact alone, or chooses each action, shape (n, 1 + actions)."""
        n, k = people.baseline.shape
        pull = np.hstack([np.full((n, 1), np.log(max(1.0, k / 2))), people.pull if self.kind.log != "randomised" else np.zeros((n, k))])
        prob = np.exp(np.clip(pull, -1.6, 1.6))
        return np.asarray(prob / prob.sum(axis=1, keepdims=True))

    def log(self, people: People, rng: np.random.Generator) -> Prepared:
        """What a logging policy leaves behind, encoded as `nudge train` does it."""
        n, k = people.baseline.shape
        prob = self.chances(people)
        chosen = (rng.random((n, 1)) > np.cumsum(prob, axis=1)).sum(axis=1).clip(max=k) - 1
        reached = rng.random((n, k)) < np.where(chosen[:, None] == np.arange(k), people.propensity, people.baseline)
        if self.kind.one_goal:
            own = rng.random(n) < np.where(chosen >= 0, people.propensity[np.arange(n), np.maximum(chosen, 0)], people.baseline[:, 0])
            reached = own[:, None]
        return _prepared(
            people, chosen, reached.astype(float), prob[np.arange(n), chosen + 1], known=self.kind.log != "confounded, unknown"
        )


def _shaped(x: Array, shape: str) -> Array:
    """The columns that effects depend on, shape (n, 4 * width): straight, or three quarters of the weight on another shape."""
    shapes = {
        "straight": x,
        "bent": np.abs(x) - 0.8,
        "stepped": 1.6 * (x > 0.7) - 0.4,
        "crossed": x * np.roll(x, 1, axis=1),
    }
    small = 0.15
    return np.hstack(
        [(1.0 if name == shape or (name == "straight" and shape != "straight") else small) * part for name, part in shapes.items()]
    )


def _prepared(people: People, chosen: npt.NDArray[np.int64], reached: Array, prob: Array, *, known: bool) -> Prepared:
    n = len(chosen)
    ids = np.array([f"c{i}" for i in range(n)], dtype=object)
    action = np.array([f"a{k}" if k >= 0 else "no_action" for k in chosen.tolist()], dtype=object)
    channel = np.array([f"c{k}" if k >= 0 else None for k in chosen.tolist()], dtype=object)
    logged = prob if known else np.full(n, np.nan)
    rows = LoggedRows(ids, ids, action, channel, np.full(n, np.datetime64("NaT", "us")), np.full(n, NOW), logged, np.ones(n))
    labels = Labels({f"goal{g}": reached[:, g] for g in range(reached.shape[1])}, {})
    dtypes: dict[str, Any] = {name: "string" if name == "place" else "float" for name in people.features}
    encoder = FeatureEncoder.fit(people.features, dtypes, NOW)
    encoded = encoder.encode(people.features, NOW)
    selection: Selection = selection_probabilities(logged, action, ids, encoded, seed=7)
    return Prepared(Dataset(rows, labels, np.full(n, np.nan), people.features), encoder, encoded, selection, dtypes, "worlds")
