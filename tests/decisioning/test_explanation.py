"""Why this and not that: each removed candidate names its stage, its rule and what the rule saw."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from decisioning.decide import Decision, decide
from decisioning.explanation import explain_choice, explain_filtered, explain_no_action, segment_name
from decisioning.lines import line_of
from tests.decisioning.strategies import (
    DAY,
    NOW,
    columns_of,
    compiled,
    history_of,
    house_of,
    make_action,
    make_catalog,
    scores_of,
    situation_of,
)


def decided(data: dict[str, Any], scores: dict[str, Any] | None = None, *, limit: int = 1, **more: Any) -> tuple[Decision, Any]:
    """One decision by a catalogue, and the compiled catalogue; what `more` says is of the situation, `prices` and `touches` apart."""
    catalog = compiled(data)
    prices, touches = more.pop("prices", {}), more.pop("touches", [])
    situation = situation_of(1, **more)
    house = house_of(catalog, situation, scores_of((1, len(catalog.treatments)), **(scores or {})), prices=prices)
    return decide(house, situation, history_of(situation, touches), limit=limit), catalog


def email_only(action_id: str, **more: Any) -> dict[str, Any]:
    return make_action(action_id, treatments=[{"id": f"{action_id}_email", "channel": "email"}], **more)


def test_each_stage_that_takes_a_candidate_out_is_named_with_what_it_saw() -> None:
    data = make_catalog(
        [
            email_only("savings", eligibility="age >= 26"),
            email_only("app", applicability="NOT has_loan"),
            email_only("loan", suitability="debt_ratio < 0.6"),
            make_action("visit", treatments=[{"id": "visit_call", "channel": "call"}]),
            email_only("spring", valid=["2026-03-01", "2026-05-31"]),
            email_only("card"),
            email_only("new", group="new"),
            email_only("dear", cost=50.0, group="new"),
            make_action("banner", treatments=[{"id": "banner_web", "channel": "web"}]),
        ],
        contact_policy=[{"id": "card_week", "action": "card", "max": 1, "per_days": 7}],
    )
    known = np.array([[0.1] * 6 + [np.nan, 0.1, 0.1]])
    decision, catalog = decided(
        data,
        {"propensity": known, "uplift": known},
        columns=columns_of(1, age=[22.0], has_loan=[1.0], debt_ratio=[0.75]),
        granted={"marketing": np.array([True])},
        touches=[(0, "card", "email", NOW - DAY)],
    )
    assert [(one.treatment_id, one.stage, one.rule, one.detail) for one in explain_filtered(decision.appraisal, catalog, 0)] == [
        ("savings_email", "eligibility", "age >= 26", "age is 22"),
        ("app_email", "applicability", "NOT has_loan", "has_loan is true"),
        ("loan_email", "suitability", "debt_ratio < 0.6", "debt_ratio is 0.75"),
        ("visit_call", "consent", "phone", "consent for phone is not granted"),
        ("spring_email", "contact_policy", "valid 2026-03-01 to 2026-05-31", "today is 2026-11-22"),
        ("card_email", "contact_policy", "card_week", "at most 1 per 7 days; 1 so far"),
        ("new_email", "score", "no model", "no model has learned this action and it has no cold_start"),
        ("dear_email", "arbitrate", "no_action", "doing nothing is worth more"),
    ]


def test_treatments_of_other_placements_are_not_reported_as_filtered() -> None:
    decision, catalog = decided(make_catalog([make_action("loan")]), channel="web", placements=("hero",))
    assert explain_filtered(decision.appraisal, catalog, 0) == []


@pytest.mark.parametrize(
    ("data", "more", "reason", "detail"),
    [
        (
            make_catalog([email_only("loan")], controls={"holdout": 1.0}),
            {},
            "holdout",
            "this contact is in the universal control group and receives no action",
        ),
        (
            make_catalog([email_only("loan"), email_only("card", eligibility="age > 90")]),
            {"scores": {"uplift": np.array([[0.002, 0.9]])}},
            "not_worth_it",
            "doing nothing is worth more than any action that may be proposed; the best has priority -0.30 PLN",
        ),
        (
            make_catalog([email_only("loan")], constraints=[{"id": "mails", "measure": "contacts", "max": 1}]),
            {"prices": {"mails": 10.0}},
            "limits",
            "what it would use of the budgets and capacities is worth more elsewhere; the best has priority -5.50 PLN",
        ),
        (
            make_catalog([email_only("loan", eligibility="age > 90"), make_action("card", eligibility="age > 90")]),
            {"granted": {}},
            "all_filtered",
            "every treatment was taken out: 4 by eligibility",
        ),
        (
            make_catalog([email_only("loan", eligibility="age > 90"), email_only("card")]),
            {"granted": {}},
            "all_filtered",
            "every treatment was taken out: 1 by eligibility, 1 by consent",
        ),
        (
            make_catalog([email_only("loan"), email_only("card", eligibility="age > 90")]),
            {"scores": {"value": np.array([[np.nan, np.nan]])}},
            "all_filtered",
            "every treatment was taken out: 1 by score (value not known), 1 by eligibility",
        ),
        (make_catalog([email_only("loan")]), {"channel": "web"}, "no_candidate", "no treatment is rendered for this channel and placement"),
    ],
)
def test_no_action_says_why(data: dict[str, Any], more: dict[str, Any], reason: str, detail: str) -> None:
    scores = more.pop("scores", None)
    decision, catalog = decided(data, scores, **more)
    assert decision.chosen == ()
    assert explain_no_action(decision.appraisal, catalog, 0) == type(explain_no_action(decision.appraisal, catalog, 0))(reason, detail)


def test_a_choice_shows_its_arithmetic_and_what_comes_next() -> None:
    data = make_catalog([email_only("loan", lever=2.0), email_only("card")])
    decision, catalog = decided(data, {"uplift": np.array([[0.05, 0.08]]), "opt_out_risk": 0.001}, limit=2)
    first, second = (explain_choice(line_of(decision.appraisal, catalog, column), catalog, column) for column in decision.chosen)
    assert first == [
        "uplift 0.0500 x value 100.00 - opt-out risk x CLV 1.00 - cost 0.50 = 3.50 PLN expected",
        "priority 7.50: lever 2, context weight 1, shadow cost 0.00",
        "ahead of card_email by 1.00 PLN of priority",
    ]
    assert second == ["uplift 0.0800 x value 100.00 - opt-out risk x CLV 1.00 - cost 0.50 = 6.50 PLN expected"]


def test_a_choice_that_is_not_sure_to_pay_says_so() -> None:
    catalog = compiled(make_catalog([email_only("loan")]))
    situation = situation_of()
    sure, unsure = (replace(scores_of((1, 1), uplift=0.05), uplift_error=lambda row, column, e=e: e) for e in (0.01, 0.04))
    told = []
    for scores in (sure, unsure):
        appraisal = decide(house_of(catalog, situation, scores), situation, history_of(situation)).appraisal
        told.append(
            [reason for reason in explain_choice(line_of(appraisal, catalog, 0), catalog, 0) if reason.startswith("not enough evidence")]
        )
    assert told[0] == []
    assert told[1] == ["not enough evidence to be sure: uplift -0.0284 to +0.1284 (95 %), and it pays above +0.0050"]


def test_a_choice_by_propensity_says_that_its_profit_is_not_incremental() -> None:
    catalog = compiled(make_catalog([email_only("loan")]))
    situation = situation_of()
    scores = scores_of((1, 1), uplift=np.nan)
    object.__setattr__(scores, "traffic", ("propensity",))
    appraisal = decide(house_of(catalog, situation, scores), situation, history_of(situation)).appraisal
    reasons = explain_choice(line_of(appraisal, catalog, 0), catalog, 0)
    assert reasons[0].startswith("propensity 0.1000 x value 100.00")
    assert reasons[1].startswith("no uplift is known")
    assert segment_name(-1) is None


def test_a_mandatory_choice_says_that_it_needs_no_worth() -> None:
    data = make_catalog([email_only("notice", kind="mandatory"), email_only("loan")])
    decision, catalog = decided(data, {"propensity": np.array([[np.nan, 0.1]]), "uplift": np.array([[np.nan, 0.05]])})
    assert explain_choice(line_of(decision.appraisal, catalog, decision.chosen[0]), catalog, decision.chosen[0]) == [
        "its gain is not known; cost 0.50 PLN",
        "mandatory: it is sent whatever its worth",
        "ahead of loan_email, which is not mandatory",
    ]
