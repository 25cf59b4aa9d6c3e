"""What contacts do on their own: when each would reach each goal without a touch, and what a touch does to that.

Every goal is a Poisson process at the contact's own rate times the season; a goal that sets a flag happens once. A touch acts on
the process of its goal within its window: with a positive uplift it adds a response where there is none, with probability
uplift / (1 - baseline); with a negative one it takes the own response away, with probability -uplift / baseline. Hence
P(response | touched) = baseline + uplift exactly, and both potential outcomes of a contact share their luck.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from decisioning.vocabulary import BoolArray, FloatArray, IntArray
from simulation.actions import ACTIONS
from simulation.effects import EFFECTS, Weights
from simulation.population import Population
from simulation.seasons import LOOK_AHEAD_DAYS, cumulative, integral

WINDOW_DAYS: IntArray = np.array([action.window_days for action in ACTIONS])


@dataclass
class Responses:
    """The goals reached so far: `own[a]` (n, m) times of the contacts' own (inf: never), and those that touches added.

    rate: (n, actions) responses a day in an average season, 0 for those who can never reach the goal again.
    season: per action, the cumulated season. added: per action, pairs of arrays (contact, time).
    """

    rate: FloatArray
    season: list[FloatArray]
    own: list[FloatArray]
    added: list[list[tuple[IntArray, FloatArray]]]

    def baseline(self, action: int, contact: IntArray, at: FloatArray, leaves: FloatArray) -> FloatArray:
        """P(own response in (at, at + window]) for contacts (rows) who leave at `leaves`."""
        end = np.maximum(np.minimum(at + WINDOW_DAYS[action], leaves), at)
        return np.asarray(-np.expm1(-self.rate[contact, action] * integral(self.season[action], at, end)))

    def first(self, action: int) -> FloatArray:
        """When each contact first reached the goal, shape (n,), inf for not yet known to."""
        first = self.own[action].min(axis=1)
        for contact, at in self.added[action]:
            np.minimum.at(first, contact, at)
        return first

    def own_within(self, action: int, contact: IntArray, at: FloatArray, leaves: FloatArray) -> BoolArray:
        """Does an own response fall into (at, min(at + window, leaves)]?"""
        times = self.own[action][contact]
        end = np.minimum(at + WINDOW_DAYS[action], leaves)
        return np.asarray(((times > at[:, None]) & (times <= end[:, None])).any(axis=1))

    def cancel(self, action: int, contact: IntArray, at: FloatArray) -> None:
        """Take the own responses in (at, at + window] away."""
        times = self.own[action][contact]
        inside = (times > at[:, None]) & (times <= at[:, None] + WINDOW_DAYS[action])
        self.own[action][contact] = np.where(inside, np.inf, times)

    def add(self, action: int, contact: IntArray, at: FloatArray) -> None:
        """Record responses that a touch caused."""
        self.added[action].append((contact, at))

    def rows(self, action: int, leaves: FloatArray, end: float) -> tuple[IntArray, FloatArray]:
        """Every (contact, time) at which the goal was reached before `end` by contacts who had not left, sorted."""
        who, place = np.nonzero(np.isfinite(self.own[action]))
        pairs = [(who, self.own[action][who, place]), *self.added[action]]
        contact = np.concatenate([pair[0] for pair in pairs])
        at = np.concatenate([pair[1] for pair in pairs])
        kept = (at < end) & (at <= leaves[contact])
        contact, at = contact[kept], at[kept]
        order = np.lexsort((at, contact))
        contact, at = contact[order], at[order]
        if ACTIONS[action].once is not None:
            earliest = np.append(True, contact[1:] != contact[:-1])[: len(contact)]
            contact, at = contact[earliest], at[earliest]
        return contact, at


def draw_responses(rng: np.random.Generator, people: Population, weights: Weights, *, start: np.datetime64, days: int) -> Responses:
    """Draw everyone's own responses over the period, goal by goal."""
    rate = -np.log1p(-weights.baseline(people.traits)) / WINDOW_DAYS
    seasons, own = [], []
    for place, action in enumerate(ACTIONS):
        rate[_never(people, place), place] = 0.0
        season = cumulative(EFFECTS[action.id].season.daily(start, days + LOOK_AHEAD_DAYS))
        seasons.append(season)
        own.append(_times(rng, rate[:, place], season, people, days=days, once=action.once is not None))
    return Responses(rate, seasons, own, [[] for _ in ACTIONS])


def _never(people: Population, action: int) -> BoolArray:
    """Contacts who can never reach the goal: those with its flag from the start, and non-firms for a firm's product."""
    once = ACTIONS[action].once
    if once is not None:
        return np.asarray(people.fixed[once] == 1)
    if ACTIONS[action].id == "card_limit":
        return np.asarray(people.fixed["has_credit_card"] == 0)
    if ACTIONS[action].id == "business_credit_line":
        return people.firm < 0
    return np.zeros(people.size, dtype=bool)


def _times(rng: np.random.Generator, rate: FloatArray, season: FloatArray, people: Population, *, days: int, once: bool) -> FloatArray:
    """Arrival times in the period: unit exponentials summed and read back through the cumulated season."""
    begin = np.maximum(people.joined, 0.0)
    offset = integral(season, 0.0, begin)
    ceiling = np.max(rate) * season[days]
    most = 1 if once else int(np.ceil(ceiling + 6 * np.sqrt(ceiling) + 4))
    waits = np.cumsum(rng.exponential(size=(len(rate), most)), axis=1)
    with np.errstate(divide="ignore"):
        mass = offset[:, None] + waits / rate[:, None]
    grid = np.arange(len(season), dtype=np.float64)
    times = np.interp(mass, season, grid, right=np.inf)
    return np.where(times < days + WINDOW_DAYS.max(), times, np.inf)
