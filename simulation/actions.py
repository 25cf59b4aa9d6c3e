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
    Channel("web", "inbound", 0.0, None),
    Channel("app", "inbound", 0.0, "app_marketing"),
    Channel("email", "outbound", 0.02, "email_marketing"),
    Channel("sms", "outbound", 0.12, "sms_marketing"),
    Channel("call", "outbound", 18.0, "phone_marketing"),
)

PURPOSES: tuple[str, ...] = tuple(channel.purpose for channel in CHANNELS if channel.purpose is not None)

ACTIONS: tuple[Action, ...] = (
    Action(
        id="personal_loan",
        issue="sales",
        group="lending",
        goal="loan_taken",
        window_days=30,
        value="0.012 * preapproved_limit",
        channels=("web", "app", "email", "sms", "call"),
        eligibility="age BETWEEN 18 AND 70 AND preapproved_limit > 0 AND NOT coalesce(has_loan, false)",
        suitability="debt_ratio < 0.6",
        once="has_loan",
    ),
    Action(
        id="credit_card",
        issue="sales",
        group="cards",
        goal="card_opened",
        window_days=30,
        value="220",
        channels=("web", "app", "email", "sms"),
        eligibility="age >= 18 AND NOT coalesce(has_credit_card, false)",
        suitability="debt_ratio < 0.5",
        once="has_credit_card",
    ),
    Action(
        id="card_limit",
        issue="sales",
        group="cards",
        goal="limit_raised",
        window_days=14,
        value="least(20 + 0.008 * income, 140)",
        channels=("web", "app", "sms"),
        eligibility="has_credit_card AND income > 0",
        suitability="debt_ratio < 0.45",
    ),
    Action(
        id="savings_account",
        issue="sales",
        group="savings",
        goal="savings_opened",
        window_days=30,
        value="least(0.02 * balance, 400)",
        channels=("web", "app", "email"),
        eligibility="balance >= 1000 AND NOT coalesce(has_savings, false)",
        once="has_savings",
    ),
    Action(
        id="term_deposit",
        issue="sales",
        group="savings",
        goal="deposit_opened",
        window_days=30,
        value="CASE WHEN balance >= 20000 THEN 320 ELSE 110 END",
        channels=("web", "email", "call"),
        eligibility="age >= 18 AND balance >= 5000",
    ),
    Action(
        id="travel_insurance",
        issue="sales",
        group="insurance",
        goal="insurance_bought",
        window_days=21,
        value=OBSERVED,
        channels=("app", "email", "sms"),
        eligibility="age BETWEEN 18 AND 75",
        applicability="days_since_last_login <= 60",
    ),
    Action(
        id="business_credit_line",
        issue="sales",
        group="lending",
        goal="credit_line_opened",
        window_days=30,
        value="least(0.00015 * account_annual_turnover, 700)",
        channels=("web", "email", "call"),
        eligibility="account_employees >= 2 AND account_annual_turnover > 0",
    ),
    Action(
        id="investment_plan",
        issue="sales",
        group="investing",
        goal="investment_started",
        window_days=30,
        value="160",
        channels=("web", "app", "email"),
        eligibility="age BETWEEN 18 AND 65 AND balance >= 3000",
        suitability="debt_ratio < 0.5",
        in_pilot=False,
    ),
    Action(
        id="loyalty_bonus",
        issue="retention",
        group="loyalty",
        goal="bonus_activated",
        window_days=30,
        value="45",
        channels=("app", "email", "sms"),
        cost=2.5,
        applicability="coalesce(touches_30d, 0) <= 4",
    ),
    Action(
        id="salary_keeper",
        issue="retention",
        group="main_bank",
        goal="salary_paid_in",
        window_days=30,
        value="140",
        channels=("web", "app", "email", "call"),
        cost=0.2,
        eligibility="income >= 2500",
    ),
    Action(
        id="win_back",
        issue="retention",
        group="reactivation",
        goal="standing_order_set",
        window_days=30,
        value="160",
        channels=("email", "sms", "call"),
        applicability="days_since_last_login > 10",
    ),
    Action(
        id="cashback",
        issue="retention",
        group="loyalty",
        goal="cashback_activated",
        window_days=30,
        value="40",
        channels=("web", "app", "email"),
        cost=0.5,
        applicability="days_since_last_login <= 45",
    ),
    Action(
        id="app_activation",
        issue="service",
        group="digital",
        goal="app_activated",
        window_days=21,
        value="90",
        channels=("web", "email", "sms", "call"),
        eligibility="NOT coalesce(has_mobile_app, false)",
        once="has_mobile_app",
    ),
    Action(
        id="e_statement",
        issue="service",
        group="digital",
        goal="e_statement_on",
        window_days=21,
        value="30",
        channels=("web", "app", "email"),
        eligibility="NOT coalesce(has_e_statement, false)",
        once="has_e_statement",
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
