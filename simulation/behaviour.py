"""What contacts do: logins, page views, card payments and complaints, and the true customer lifetime value behind them.

Card payments follow a Pareto/NBD: Poisson at the contact's own rate until the contact silently leaves; their margins are
gamma about the contact's own mean, as in the Gamma-Gamma model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from decisioning.vocabulary import FloatArray, IntArray
from simulation.population import Population
from simulation.seasons import LOOK_AHEAD_DAYS, Season, cumulative

ANNUAL_DISCOUNT_RATE = 0.1
MARGIN_SHAPE = 2.5
HORIZON_DAYS = 365

OFFICE_WEEK = (1.15, 1.1, 1.1, 1.1, 1.1, 0.75, 0.7)
SHOPPING_WEEK = (0.85, 0.85, 0.9, 1.0, 1.3, 1.3, 0.8)

EVENT_TYPES: tuple[str, ...] = ("login", "page_view", "loan_view", "savings_view", "card_view", "card_payment", "complaint")
EVENT_CHANNELS: tuple[str, ...] = ("web", "app", "pos", "branch")
SEASONS: dict[str, Season] = {
    "login": Season(0.06, 350, OFFICE_WEEK),
    "page_view": Season(0.1, 345, OFFICE_WEEK),
    "loan_view": Season(0.2, 335, OFFICE_WEEK),
    "savings_view": Season(0.2, 15, OFFICE_WEEK),
    "card_view": Season(0.15, 335, SHOPPING_WEEK),
    "card_payment": Season(0.15, 350, SHOPPING_WEEK),
    "complaint": Season(0.0, 1, OFFICE_WEEK),
}


@dataclass(frozen=True)
class Behaviour:
    """Each contact's own rates: events a day by type, shape (n,) each, and the mean margin of a card payment in PLN (n,)."""

    rates: dict[str, FloatArray]
    margin: FloatArray


@dataclass(frozen=True)
class Events:
    """Events in time order: contact (row), type and channel (codes), at (days from the start), value (PLN margin, NaN: none)."""

    contact: IntArray
    kind: IntArray
    channel: IntArray
    at: FloatArray
    value: FloatArray

    def before(self, leaves: FloatArray) -> Events:
        """The events of contacts who had not left yet; `leaves` (n,)."""
        kept = self.at < leaves[self.contact]
        return Events(self.contact[kept], self.kind[kept], self.channel[kept], self.at[kept], self.value[kept])


def draw_behaviour(rng: np.random.Generator, people: Population) -> Behaviour:
    """Draw everyone's own rates from the traits."""
    n, traits = people.size, people.traits
    rates = {
        "login": 0.095 * np.exp(0.75 * traits["digital"]),
        "page_view": 0.035 * np.exp(0.5 * traits["digital"]),
        "loan_view": 0.012 * np.exp(0.7 * traits["credit"] + 0.2 * traits["digital"]),
        "savings_view": 0.013 * np.exp(0.6 * traits["wealth"] + 0.2 * traits["digital"]),
        "card_view": 0.013 * np.exp(0.7 * traits["deal"] + 0.2 * traits["digital"]),
        "card_payment": 0.075 * rng.gamma(1.4, 1 / 1.4, n),
        "complaint": 0.0025 * np.exp(1.0 * traits["irritable"]),
    }
    margin = 20.0 * np.exp(0.45 * traits["wealth"] + rng.normal(0, 0.3, n))
    return Behaviour(rates, margin)


def draw_events(rng: np.random.Generator, people: Population, behaviour: Behaviour, *, start: np.datetime64, days: int) -> Events:
    """Draw the events of the whole period, sorted by time."""
    contact, kind, at = [], [], []
    for code, name in enumerate(EVENT_TYPES):
        cumulated = cumulative(SEASONS[name].daily(start, days))
        counts = rng.poisson(behaviour.rates[name] * cumulated[-1])
        who = np.repeat(np.arange(people.size), counts)
        when = np.floor(np.interp(rng.random(len(who)) * cumulated[-1], cumulated, np.arange(days + 1.0)))
        when = np.minimum(when, days - 1) + _hour_of_day(rng, len(who))
        lived = (when >= people.joined[who]) & (when < people.leaves[who])
        contact.append(who[lived])
        at.append(when[lived])
        kind.append(np.full(int(lived.sum()), code))
    who, when, what = np.concatenate(contact), np.concatenate(at), np.concatenate(kind)
    order = np.argsort(when, kind="stable")
    who, when, what = who[order], when[order], what[order]
    paid = what == EVENT_TYPES.index("card_payment")
    value = np.full(len(who), np.nan)
    value[paid] = np.round(rng.gamma(MARGIN_SHAPE, 1 / MARGIN_SHAPE, int(paid.sum())) * behaviour.margin[who[paid]], 2) + 0.01
    return Events(who, what, _channels(rng, people, who, what), when, value)


def _hour_of_day(rng: np.random.Generator, size: int) -> FloatArray:
    """Fractions of a day (UTC) that gather in the afternoon and never reach the next day."""
    return np.asarray(0.2 + 0.75 * rng.beta(2.2, 1.8, size))


def _channels(rng: np.random.Generator, people: Population, who: IntArray, what: IntArray) -> IntArray:
    in_app = (people.fixed["has_mobile_app"][who] == 1) & (rng.random(len(who)) < 0.65)
    by_kind = np.where(in_app, EVENT_CHANNELS.index("app"), EVENT_CHANNELS.index("web"))
    by_kind[what == EVENT_TYPES.index("card_payment")] = EVENT_CHANNELS.index("pos")
    complaint = (what == EVENT_TYPES.index("complaint")) & (rng.random(len(who)) < 0.5)
    by_kind[complaint] = EVENT_CHANNELS.index("branch")
    return by_kind


def true_clv(people: Population, behaviour: Behaviour, *, alive: FloatArray, start: np.datetime64, days: int) -> FloatArray:
    """Expected discounted margin of the HORIZON_DAYS after the period, in PLN, shape (n,).

    rate * mean margin * sum over days of season * exp(-(churn + discount) * day); 0 for contacts who are no longer `alive`.
    """
    season = SEASONS["card_payment"].daily(start, days + LOOK_AHEAD_DAYS)[days : days + HORIZON_DAYS]
    decay = people.churn_per_day + np.log1p(ANNUAL_DISCOUNT_RATE) / 365
    expected, weight, step = np.zeros(people.size), np.exp(-decay / 2), np.exp(-decay)
    for factor in season:
        expected += factor * weight
        weight *= step
    return np.asarray(alive * behaviour.rates["card_payment"] * behaviour.margin * expected)
