"""What exploring well is worth: the regret in a simulated world that a model of the response learns from what was chosen."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy.special import expit

from decisioning.catalog import Exploration
from decisioning.exploration import draw_of_offers, probabilities_of_offers
from decisioning.exploration.thompson import Belief
from decisioning.vocabulary import FloatArray, IntArray

ACTIONS, FEATURES, ARRIVALS = 4, 3, 150
WORLDS = range(2)


class World:
    """Responses by a logistic model of the contact's features, one an action, each of a known value and cost."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.weights = np.column_stack([rng.normal(-2.5, 0.6, ACTIONS), rng.normal(0.0, 0.6, (ACTIONS, FEATURES))])
        self.value = rng.uniform(20.0, 100.0, ACTIONS)
        self.cost = rng.choice([0.02, 0.5, 1.0], ACTIONS)


@dataclass
class Model:
    """A logistic regression an action with a normal prior (Laplace's approximation), fitted anew on all that was seen."""

    mean: FloatArray = field(default_factory=lambda: np.tile(np.array([-2.5, 0.0, 0.0, 0.0]), (ACTIONS, 1)))
    seen: list[list[FloatArray]] = field(default_factory=lambda: [[] for _ in range(ACTIONS)])

    def __post_init__(self) -> None:
        self.covariance = np.stack([np.eye(1 + FEATURES)] * ACTIONS)

    def learn(self, features: FloatArray, action: IntArray, response: FloatArray) -> None:
        for one in range(ACTIONS):
            self.seen[one].append(np.column_stack([features, response])[action == one])
            rows = np.concatenate(self.seen[one])
            x, y = rows[:, :-1], rows[:, -1]
            prior = np.array([-2.5, 0.0, 0.0, 0.0])
            for _ in range(6):
                p = expit(x @ self.mean[one])
                curvature = np.eye(len(prior)) + (x * (p * (1 - p))[:, None]).T @ x
                step = np.linalg.solve(curvature, x.T @ (y - p) - (self.mean[one] - prior))
                self.mean[one] += step / max(1.0, np.abs(step).max())
            self.covariance[one] = np.linalg.inv(curvature)

    def predict(self, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Expected responses, and the evidence of a Beta of the same variance, each of shape (n_contacts, n_actions)."""
        mean = expit(features @ self.mean.T)
        spread = mean * (1 - mean) * np.einsum("nd,kde,ne->nk", features, self.covariance, features)
        return mean, np.maximum(1 / spread - 1, 1.0)


def regret(settings: Exploration, seed: int, batches: int) -> float:
    """Money lost against the one who knows, over `batches` of contacts, with the model fitted anew after each."""
    world, model, rng = World(seed), Model(), np.random.default_rng(seed + 100)
    lost, rows = 0.0, np.arange(ARRIVALS)
    contact = np.repeat(rows, ACTIONS + 1)
    no_action = np.zeros((ARRIVALS, 1))
    for batch in range(batches):
        features = np.column_stack([np.ones(ARRIVALS), rng.normal(size=(ARRIVALS, FEATURES))])
        truth = expit(features @ world.weights.T)
        mean, evidence = model.predict(features)
        worth = np.hstack([mean * world.value - world.cost, no_action]).ravel()
        slope = np.hstack([np.tile(world.value, (ARRIVALS, 1)), no_action]).ravel()
        belief = Belief(np.hstack([mean, no_action]).ravel(), np.hstack([evidence, no_action + 1]).ravel(), slope)
        found = probabilities_of_offers(contact, worth, settings, belief=belief)
        chosen = draw_of_offers(contact, found, [f"{seed}-{batch}-{row}" for row in rows], 0) - rows * (ACTIONS + 1)
        true_worth = np.hstack([truth * world.value - world.cost, no_action])
        lost += float((true_worth.max(axis=1) - true_worth[rows, chosen]).sum())
        response = (rng.random(ARRIVALS) < np.hstack([truth, no_action])[rows, chosen]).astype(float)
        model.learn(features, chosen, response)
    return lost


@pytest.mark.parametrize(("method", "batches"), [("squarecb", 30), ("thompson", 8)])
def test_exploring_where_it_costs_little_loses_less_than_exploring_anywhere(method: str, batches: int) -> None:
    wasteful = Exploration(method="epsilon_greedy", epsilon=0.2)
    lost = sum(regret(Exploration(method=method), seed, batches) for seed in WORLDS)  # type: ignore[arg-type]
    assert lost < 0.8 * sum(regret(wasteful, seed, batches) for seed in WORLDS)
