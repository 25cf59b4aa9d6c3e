"""What an explanation says: its sums come out, and its sentences can be read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from decisioning.catalog import Controls, Exploration
from decisioning.decide import decide
from decisioning.explanation.explain import Explanation, explain_decision
from decisioning.explanation.worth_parts import FACTORS, priority_of, shapley_parts
from decisioning.vocabulary import FloatArray
from tests.decisioning.changes import PRICES, alone, changed, explained
from tests.decisioning.strategies import (
    DAY,
    NOW,
    Business,
    businesses,
    columns_of,
    compiled,
    history_of,
    house_of,
    make_action,
    make_catalog,
    scores_of,
    situation_of,
)

finite = st.floats(-1e4, 1e4, allow_nan=False).map(lambda number: round(number, 3))
factors = st.lists(finite, min_size=len(FACTORS), max_size=len(FACTORS)).map(np.array)


# the sums -----------------------------------------------------------------------------------------------------


@given(factors, factors)
def test_the_parts_of_a_lead_sum_to_the_lead(winner: FloatArray, runner_up: FloatArray) -> None:
    lead = float(priority_of(winner) - priority_of(runner_up))
    scale = float(np.abs(np.prod(np.maximum(1.0, np.abs(np.stack([winner, runner_up])).max(axis=0)))))
    assert shapley_parts(winner, runner_up).sum() == pytest.approx(lead, rel=1e-9, abs=1e-12 * scale)


@given(factors, factors)
def test_a_factor_in_which_both_are_equal_has_no_part_in_the_lead(winner: FloatArray, runner_up: FloatArray) -> None:
    runner_up[:3] = winner[:3]
    assert shapley_parts(winner, runner_up)[:3] == pytest.approx(np.zeros(3), abs=0)


@given(factors, factors)
def test_seen_from_the_other_side_every_part_of_a_lead_is_the_same_with_the_other_sign(one: FloatArray, other: FloatArray) -> None:
    there, back = shapley_parts(one, other), shapley_parts(other, one)
    assert there == pytest.approx(-back, rel=1e-9, abs=1e-9 * float(np.abs(there).max(initial=1.0)))


def test_costs_count_for_their_difference_whatever_else_differs() -> None:
    winner, runner_up = np.array([0.1, 100, 1, 2, 1, 4, 0.5]), np.array([0.3, 20, 2, 1, 3, 1, 0.25])
    shares = dict(zip(FACTORS, shapley_parts(winner, runner_up), strict=True))
    assert (shares["cost"], shares["shadow_cost"]) == pytest.approx((-3.0, -0.25))


@given(businesses(constraints=True), PRICES)
def test_the_waterfall_ends_at_the_priority_and_the_runner_up_is_behind_by_its_parts(business: Business, prices: dict[str, float]) -> None:
    house, situation, history = alone(business, prices)
    decision = decide(house, situation, history, limit=2)
    explanation, priority = explain_decision(house, decision), decision.appraisal.economics.priority[0]
    if decision.chosen:
        assert sum(part.amount for part in explanation.waterfall) == pytest.approx(priority[decision.chosen[0]], abs=1e-9)
    if explanation.runner_up is not None:
        behind = priority[decision.chosen[0]] - priority[house.catalog.column_of[explanation.runner_up.treatment_id]]
        assert explanation.runner_up.lead == pytest.approx(behind, abs=1e-9)
        assert sum(part.amount for part in explanation.runner_up.parts) == pytest.approx(behind, abs=1e-9)


@given(businesses(constraints=True))
def test_every_candidate_is_in_the_funnel_once(business: Business) -> None:
    house, situation, history = alone(business, {})
    decision = decide(house, situation, history)
    explanation = explain_decision(house, decision)
    left = explanation.available
    for stage in explanation.funnel:
        left -= stage.filtered
        assert stage.remaining == left >= 0
    assert left == decision.appraisal.candidates.alive.sum()


# cases to be read ---------------------------------------------------------------------------------------------------


def email_only(action_id: str, **more: Any) -> dict[str, Any]:
    return make_action(action_id, treatments=[{"id": f"{action_id}_email", "channel": "email"}], **more)


def case(data: dict[str, Any], scores: dict[str, Any] | None = None, prices: dict[str, float] | None = None, **more: Any) -> Explanation:
    catalog, touches = compiled(data), more.pop("touches", [])
    situation = situation_of(1, **more)
    house = house_of(catalog, situation, scores_of((1, len(catalog.treatments)), **(scores or {})), prices=prices or {})
    return explained(house, situation, history_of(situation, touches))


def sentences(explanation: Explanation) -> list[str]:
    return [change.sentence for change in explanation.changes]


def test_a_choice_says_what_would_take_its_place_and_when() -> None:
    explanation = case(make_catalog([email_only("loan"), email_only("card")]), {"uplift": np.array([[0.08, 0.05]]), "opt_out_risk": 0.001})
    assert sentences(explanation) == [
        "if the uplift of loan_email fell below 0.0500 (now 0.0800), card_email would be chosen",
        "if the value of loan_email fell below 62.50 PLN (now 100.00), card_email would be chosen",
        "if the opt-out risk of loan_email rose above 0.0040 (now 0.0010), card_email would be chosen",
        "if the cost of loan_email rose above 3.50 PLN (now 0.50), card_email would be chosen",
    ]
    assert explanation.runner_up is not None
    assert [(part.name, part.how) for part in explanation.runner_up.parts] == [("uplift", "0.0800 against 0.0500")]


def test_a_missing_consent_is_named_with_what_it_would_be_worth() -> None:
    data = make_catalog([make_action("loan", treatments=[{"id": "loan_call", "channel": "call"}]), email_only("card")])
    granted = {"marketing": np.array([True])}
    explanation = case(data, {"uplift": np.array([[0.3, 0.05]])}, granted=granted)
    (consent,) = [change for change in explanation.changes if change.change == "consent"]
    assert (consent.what, consent.now, consent.to, consent.then, consent.by) == (
        "phone",
        "holds",
        "lifted",
        "loan_call",
        pytest.approx(21.5),
    )
    assert consent.sentence == "with consent for phone, loan_call would win by 21.50 PLN"


def test_what_two_rules_hold_needs_both_of_them_lifted() -> None:
    data = make_catalog(
        [email_only("loan", eligibility="age >= 50")], contact_policy=[{"id": "email_week", "channel": "email", "max": 1, "per_days": 7}]
    )
    (both,) = case(data, columns=columns_of(1, age=[40.0]), touches=[(0, "loan", "email", NOW - DAY)]).changes
    assert (both.change, both.size) == ("eligibility and contact_policy", 2.0)
    assert both.sentence == (
        "if age >= 50 held (age is 40) and without the contact policy email_week (at most 1 per 7 days; 1 so far), "
        "loan_email would win by 4.50 PLN"
    )


def test_dates_and_the_holdout_are_named_as_what_they_are() -> None:
    spring = make_catalog([email_only("loan", valid=["2026-03-01", "2026-05-31"])])
    assert sentences(case(spring)) == [
        "within its dates (valid 2026-03-01 to 2026-05-31; today is 2026-11-22), loan_email would win by 4.50 PLN"
    ]
    held_out = make_catalog([email_only("loan")], controls={"holdout": 1.0})
    assert sentences(case(held_out)) == ["outside the control group holdout, loan_email would win by 4.50 PLN"]


def test_no_action_says_what_would_make_an_action_worth_it() -> None:
    explanation = case(make_catalog([email_only("loan", cost=5.5), email_only("card")]), {"uplift": np.array([[0.05, 0.001]])})
    assert (explanation.treatment_id, explanation.waterfall, explanation.runner_up) == (None, (), None)
    assert sentences(explanation) == [
        "if the cost of loan_email fell below 5.00 PLN (now 6.00), loan_email would be chosen",
        "if the uplift of loan_email rose above 0.0600 (now 0.0500), loan_email would be chosen",
        "if the value of loan_email rose above 120.00 PLN (now 100.00), loan_email would be chosen",
    ]


def test_a_limit_that_stands_in_the_way_is_named() -> None:
    data = make_catalog(
        [make_action("loan", treatments=[{"id": "loan_call", "channel": "call"}])],
        constraints=[{"id": "calls", "channel": "call", "measure": "contacts", "max": 3}],
    )
    explanation = case(data, {"uplift": 0.09}, prices={"calls": 10.0})
    (limit,) = [change for change in explanation.changes if change.change == "limit"]
    assert limit.sentence == "if the worth of one more unit of calls fell below 5.00 PLN (now 10.00), loan_call would be chosen"


def test_a_limit_that_is_used_up_is_named_with_what_was_used() -> None:
    catalog = compiled(make_catalog([email_only("loan")], constraints=[{"id": "mails", "measure": "contacts", "max": 3}]))
    situation = situation_of()
    explanation = explained(house_of(catalog, situation, room={"mails": 0.0}), situation, history_of(situation))
    assert sentences(explanation) == ["with room in the limit mails (3 of 3 are used in this period), loan_email would win by 4.50 PLN"]


@given(st.integers(0, 200))
def test_a_choice_that_was_drawn_to_learn_is_explained_as_what_it_is(seed: int) -> None:
    catalog = changed(compiled(make_catalog([email_only("loan"), email_only("card")])), exploration=Exploration(budget=1000.0))
    situation = structs.replace(situation_of(), seeds=np.array([f"d-{seed}"], dtype=object))
    house = house_of(catalog, situation, scores_of((1, 2), uplift=np.array([[0.06, 0.05]])), allowance=100.0)
    decision = decide(house, situation, history_of(situation))
    explanation = explain_decision(house, decision)
    if not decision.chosen:
        assert (explanation.treatment_id, explanation.waterfall) == (None, ())
        return
    lead = 1.0 if decision.chosen == (0,) else -1.0
    assert explanation.treatment_id == catalog.treatments[decision.chosen[0]][1].id
    assert explanation.runner_up is not None and explanation.runner_up.lead == pytest.approx(lead)


def test_nothing_can_talk_a_mandatory_action_out_of_its_place_but_another_one() -> None:
    alone_there = case(make_catalog([email_only("notice", kind="mandatory"), email_only("loan")]), {"uplift": np.array([[-0.5, 0.9]])})
    assert (alone_there.treatment_id, alone_there.changes) == ("notice_email", ())
    two = case(
        make_catalog([email_only("notice", kind="mandatory"), email_only("law", kind="mandatory")]), {"uplift": np.array([[0.5, 0.4]])}
    )
    assert {change.then for change in two.changes} == {"law_email"}


def test_a_group_that_worth_does_not_rank_is_told_of_rules_alone() -> None:
    catalog = compiled(make_catalog([email_only("loan"), make_action("card", treatments=[{"id": "card_call", "channel": "call"}])]))
    catalog = changed(catalog, controls=Controls(propensity_only=1.0))
    situation = situation_of(1, granted={"marketing": np.array([True])})
    house = house_of(catalog, situation, scores_of((1, 2), propensity=np.array([[0.1, 0.2]])))
    changes = explained(house, situation, history_of(situation)).changes
    assert [(change.change, change.then, change.by) for change in changes] == [("consent", "card_call", None)]


def test_where_nothing_is_rendered_for_the_request_there_is_nothing_to_change() -> None:
    explanation = case(make_catalog([email_only("loan")]), channel="web")
    assert (explanation.available, explanation.changes) == (0, ())
