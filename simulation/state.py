"""What is known of every contact at a point in time: the signals that drive uplift, and the columns that the catalogue's rules read.

Columns carry the names of the standard features, so that a rule means the same here and in a workspace.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from decisioning.vocabulary import FloatArray, IntArray
from simulation.actions import ACTIONS
from simulation.behaviour import EVENT_TYPES, Events
from simulation.effects import SIGNALS
from simulation.population import Population
from simulation.responses import Responses

FLAGS: tuple[str, ...] = ("has_loan", "has_credit_card", "has_savings", "has_mobile_app", "has_e_statement")
VIEWS: tuple[str, ...] = ("loan_view", "savings_view", "card_view")


@dataclass(frozen=True)
class Snapshot:
    """Everyone at a time: signals (n, SIGNALS) and the rule columns, each (n,), NaN for NULL."""

    signals: FloatArray
    columns: dict[str, FloatArray]


class History:
    """The events, cut by type so that counts over a window are one slice and one bincount."""

    def __init__(self, events: Events, contacts: int) -> None:
        self._size = contacts
        self._by_kind: dict[str, tuple[IntArray, FloatArray]] = {}
        for code, name in enumerate(EVENT_TYPES):
            rows = events.kind == code
            self._by_kind[name] = (events.contact[rows], events.at[rows])

    def count(self, kind: str, at: float, window_days: float) -> FloatArray:
        """Events of a type in [at - window, at) per contact, shape (n,)."""
        contact, when = self._by_kind[kind]
        low, high = np.searchsorted(when, [at - window_days, at])
        return np.bincount(contact[low:high], minlength=self._size).astype(np.float64)

    def days_since_last(self, kind: str, at: float) -> FloatArray:
        """Days from the last event of a type before `at`, NaN without one, shape (n,)."""
        contact, when = self._by_kind[kind]
        high = np.searchsorted(when, at)
        last = np.full(self._size, np.nan)
        last[contact[:high]] = when[:high]  # in time order: the last one stays
        return at - last


def flags_at(people: Population, responses: Responses, contact: IntArray, at: FloatArray | float) -> dict[str, FloatArray]:
    """Which flags the rows `contact` have at the times `at`: from the start, or since their goal was reached."""
    columns = {name: people.fixed[name][contact].astype(np.float64) for name in FLAGS}
    for place, action in enumerate(ACTIONS):
        if action.once is not None:
            reached = responses.first(place)[contact] < at
            columns[action.once] = np.maximum(columns[action.once], reached)
    return columns


def snapshot(people: Population, responses: Responses, history: History, touches: FloatArray, at: float) -> Snapshot:
    """Everyone at the time `at`; `touches` (n,) are those of the 30 days before it."""
    everyone = np.arange(people.size)
    columns = {
        "age": people.fixed["age"].astype(np.float64),
        "debt_ratio": people.fixed["debt_ratio"].astype(np.float64),
        **people.changing(everyone, at),
        **flags_at(people, responses, everyone, at),
        "account_employees": people.firm_attribute("employees", everyone),
        "account_annual_turnover": people.firm_attribute("annual_turnover", everyone),
        "days_since_last_login": history.days_since_last("login", at),
        "login_count_30d": history.count("login", at, 30),
        "touches_30d": touches,
    }
    return Snapshot(_signals(people, history, columns, at), columns)


def _signals(people: Population, history: History, columns: dict[str, FloatArray], at: float) -> FloatArray:
    traits = people.traits
    since = np.nan_to_num(columns["days_since_last_login"], nan=120.0)
    views = {name: np.log1p(history.count(name, at, 30)) / 0.45 - 0.6 for name in VIEWS}
    signals = {
        "digital": (np.log1p(columns["login_count_30d"]) - 1.2) / 0.75,
        "fresh": 2 * np.exp(-since / 12) - 1,
        "young": traits["young"],
        "wealth": traits["wealth"],
        "credit": traits["credit"],
        "loans": views["loan_view"],
        "savings": views["savings_view"],
        "cards": views["card_view"],
        "deal": traits["deal"],
        "unhappy": 0.6 * traits["irritable"] + 0.8 * np.minimum(history.count("complaint", at, 90), 2) - 0.2,
        "loyal": traits["loyal"],
        "tired": columns["touches_30d"],
    }
    return np.column_stack([signals[name] for name in SIGNALS])
