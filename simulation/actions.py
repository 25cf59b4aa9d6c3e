"""What the bank could do: channels, actions and the treatments they render, with their rules and economics.

`examples/demo/catalog.yaml` says the same to the marketer; a test holds the two together. Conditions and values are SQL
expressions over the standard feature names, evaluated by DuckDB in `rules.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from decisioning.vocabulary import IntArray

OBSERVED = "observed"
"""The value of a response is not known in advance: it is learned from outcomes.value."""


@dataclass(frozen=True)
class Channel:
    """A way to a contact; `cost` in PLN a touch, `purpose` the consent it needs (None: needs none)."""

    id: str
    direction: str
    cost: float
    purpose: str | None
    placement: str | None = None


@dataclass(frozen=True)
class Action:
    """What could be proposed, to whom, and what a response is worth (`value`: SQL for PLN, or `observed`).

    `once` names the contact's flag that the goal sets: who has it can neither be offered the action nor reach the goal again.
    `in_pilot` is False for an action added after the pilot ended: nothing is logged about it.
    """

    id: str
    issue: str
    group: str
    goal: str
    window_days: int
    value: str
    channels: tuple[str, ...]
    cost: float = 0.0
    eligibility: str = "true"
    applicability: str = "true"
    suitability: str = "true"
    once: str | None = None
    in_pilot: bool = True


CHANNELS: tuple[Channel, ...] = (
    Channel("web", "inbound", 0.0, None, "home_hero"),
    Channel("app", "inbound", 0.0, "app_marketing", "start_banner"),
    Channel("email", "outbound", 0.02, "email_marketing"),
    Channel("sms", "outbound", 0.12, "sms_marketing"),
    Channel("call", "outbound", 18.0, "phone_marketing"),
)

PURPOSES: tuple[str, ...] = tuple(channel.purpose for channel in CHANNELS if channel.purpose is not None)

ACTIONS: tuple[Action, ...] = (
    Action(
        "personal_loan", "sales", "lending", "loan_taken", 30, "0.02 * preapproved_limit", ("web", "app", "email", "sms", "call"),
        eligibility="age BETWEEN 18 AND 70 AND preapproved_limit > 0 AND NOT coalesce(has_loan, false)",
        suitability="debt_ratio < 0.6", once="has_loan",
    ),
    Action(
        "credit_card", "sales", "cards", "card_opened", 30, "160", ("web", "app", "email", "sms"),
        eligibility="age >= 18 AND NOT coalesce(has_credit_card, false)", suitability="debt_ratio < 0.5", once="has_credit_card",
    ),
    Action(
        "card_limit", "sales", "cards", "limit_raised", 14, "least(15 + 0.005 * income, 90)", ("web", "app", "sms"),
        eligibility="has_credit_card AND income > 0", suitability="debt_ratio < 0.45",
    ),
    Action(
        "savings_account", "sales", "savings", "savings_opened", 30, "least(0.012 * balance, 400)", ("web", "app", "email"),
        eligibility="balance >= 1000 AND NOT coalesce(has_savings, false)", once="has_savings",
    ),
    Action(
        "term_deposit", "sales", "savings", "deposit_opened", 30, "CASE WHEN balance >= 20000 THEN 320 ELSE 110 END", ("web", "email", "call"),
        eligibility="age >= 18 AND balance >= 5000",
    ),
    Action(
        "travel_insurance", "sales", "insurance", "insurance_bought", 21, OBSERVED, ("app", "email", "sms"),
        eligibility="age BETWEEN 18 AND 75", applicability="days_since_last_login <= 60",
    ),
    Action(
        "business_credit_line", "sales", "lending", "credit_line_opened", 30, "least(0.0002 * account_annual_turnover, 900)", ("web", "email", "call"),
        eligibility="account_employees >= 2 AND account_annual_turnover > 0",
    ),
    Action(
        "investment_plan", "sales", "investing", "investment_started", 30, "160", ("web", "app", "email"),
        eligibility="age BETWEEN 18 AND 65 AND balance >= 3000", suitability="debt_ratio < 0.5", in_pilot=False,
    ),
    Action(
        "loyalty_bonus", "retention", "loyalty", "bonus_activated", 21, "45", ("app", "email", "sms"), cost=2.5,
        applicability="coalesce(touches_30d, 0) <= 4",
    ),
    Action(
        "salary_keeper", "retention", "main_bank", "salary_paid_in", 30, "110", ("web", "app", "email", "call"), cost=0.2,
        eligibility="income >= 2500",
    ),
    Action(
        "win_back", "retention", "reactivation", "standing_order_set", 30, "95", ("email", "sms", "call"),
        applicability="days_since_last_login > 10",
    ),
    Action(
        "cashback", "retention", "loyalty", "cashback_activated", 14, "30", ("web", "app", "email"), cost=0.5,
        applicability="days_since_last_login <= 45",
    ),
    Action(
        "app_activation", "service", "digital", "app_activated", 21, "55", ("web", "email", "sms", "call"),
        eligibility="NOT coalesce(has_mobile_app, false)", once="has_mobile_app",
    ),
    Action(
        "e_statement", "service", "digital", "e_statement_on", 21, "18", ("web", "app", "email"),
        eligibility="NOT coalesce(has_e_statement, false)", once="has_e_statement",
    ),
)


@dataclass(frozen=True)
class Treatment:
    """An action rendered for a channel, with the places of both in their tables and its whole cost (PLN a touch)."""

    id: str
    action: int
    channel: int
    cost: float


def _treatments() -> tuple[Treatment, ...]:
    places = {channel.id: place for place, channel in enumerate(CHANNELS)}
    return tuple(
        Treatment(f"{action.id}_{channel}", a, places[channel], CHANNELS[places[channel]].cost + action.cost)
        for a, action in enumerate(ACTIONS)
        for channel in action.channels
    )


TREATMENTS: tuple[Treatment, ...] = _treatments()
ACTION_OF: IntArray = np.array([treatment.action for treatment in TREATMENTS])
CHANNEL_OF: IntArray = np.array([treatment.channel for treatment in TREATMENTS])
