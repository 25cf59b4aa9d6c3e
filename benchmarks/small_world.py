"""A small simulated business where actions change little: who would buy anyway is plain to see, what an action adds is not.

Effects are small on purpose, of both signs, and smaller for those who are likely to buy anyway: the reminder to a loyal customer. All of it
is known here, so a policy's profit is read off and not estimated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

N_ACTIONS = 6
N_TRAITS = 8
BASELINE_STRENGTH = 1.6
EFFECT_STRENGTH = 1.0
SURE_THINGS_GAIN_LESS = 0.2
OPT_OUT_STRENGTH = 0.6


@dataclass(frozen=True)
class Contacts:
    """n contacts and the truth about them: shapes (n, traits), (n,), (n, actions).

    Parameters
    ----------
    traits : array, shape (n, N_TRAITS)
        What the business knows.
    clv : array, shape (n,)
        Money lost when the contact opts out.
    baseline, propensity, opt_out : array, shape (n, N_ACTIONS)
        P(response | not contacted), P(response | contacted), P(opt-out | contacted).
    """

    traits: Array
    clv: Array
    baseline: Array
    propensity: Array
    opt_out: Array


@dataclass(frozen=True)
class World:
    """Six actions, each with its money and its effects on the log-odds of a response."""

    value: Array
    cost: Array
    level: Array
    effect: Array
    opt_out_level: Array
    baseline_weights: Array
    effect_weights: Array
    opt_out_weights: Array

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> World:
        """A world of its own for every generator."""
        baseline_weights = BASELINE_STRENGTH * _directions(rng, 3 * N_TRAITS)
        return cls(
            value=rng.uniform(2.0, 14.0, N_ACTIONS),
            cost=rng.uniform(0.05, 0.35, N_ACTIONS),
            level=rng.uniform(-3.9, -2.7, N_ACTIONS),
            effect=rng.uniform(-0.25, 0.3, N_ACTIONS),
            opt_out_level=rng.uniform(-5.7, -4.9, N_ACTIONS),
            baseline_weights=baseline_weights,
            effect_weights=EFFECT_STRENGTH * _directions(rng, 3 * N_TRAITS) - SURE_THINGS_GAIN_LESS * baseline_weights,
            opt_out_weights=OPT_OUT_STRENGTH * _directions(rng, N_TRAITS),
        )

    def contacts(self, n: int, rng: np.random.Generator) -> Contacts:
        """`n` contacts with the truth about each."""
        traits = rng.standard_normal((n, N_TRAITS))
        shapes = np.hstack([traits, np.abs(traits) - 0.8, (traits > 0.5) - 0.31])
        log_odds = self.level + shapes @ self.baseline_weights
        return Contacts(
            traits=traits,
            clv=rng.lognormal(3.4, 0.6, n),
            baseline=_probability(log_odds),
            propensity=_probability(log_odds + self.effect + shapes @ self.effect_weights),
            opt_out=_probability(self.opt_out_level + traits @ self.opt_out_weights),
        )

    def silence(self, contacts: Contacts) -> float:
        """Profit a contact when nobody is contacted."""
        return float((contacts.baseline * self.value).sum(axis=1).mean())

    def gain(self, contacts: Contacts) -> Array:
        """True incremental profit of each action: `uplift * value - opt_out * clv - cost`, shape (n, actions)."""
        uplift = contacts.propensity - contacts.baseline
        return uplift * self.value - contacts.opt_out * contacts.clv[:, None] - self.cost


@dataclass(frozen=True)
class Log:
    """What a pilot with random decisions leaves behind: one row a contact.

    Parameters
    ----------
    action : array, shape (n,)
        0 .. N_ACTIONS - 1, or N_ACTIONS for a contact who got nothing.
    responses : array, shape (n, N_ACTIONS)
        Whether the contact did what each action asks for.
    opted_out : array, shape (n,)
        Whether the contact opted out.
    """

    action: npt.NDArray[np.int64]
    responses: Array
    opted_out: Array


def pilot(contacts: Contacts, rng: np.random.Generator) -> Log:
    """Every contact gets one of the actions or nothing, all equally likely."""
    n = len(contacts.clv)
    action = rng.integers(0, N_ACTIONS + 1, n)
    contacted = action[:, None] == np.arange(N_ACTIONS)
    chances = np.where(contacted, contacts.propensity, contacts.baseline)
    opted_out = rng.random(n) < (contacts.opt_out * contacted).sum(axis=1)
    return Log(action=action, responses=(rng.random(chances.shape) < chances).astype(float), opted_out=opted_out.astype(float))


def _directions(rng: np.random.Generator, size: int) -> Array:
    """One direction of length 1 an action, shape (size, N_ACTIONS)."""
    drawn = rng.standard_normal((size, N_ACTIONS))
    return drawn / np.linalg.norm(drawn, axis=0)


def _probability(log_odds: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-log_odds))
