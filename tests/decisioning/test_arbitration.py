"""Arbitration and choice: the formula by hand, what stands in for knowledge, segments, ties, slates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from decisioning.arbitration import SEGMENTS, appraise, ranking, segment_of
from decisioning.candidates import Scores
from decisioning.decide import decide
from decisioning.history import History
from decisioning.select import Slate, select
from decisioning.stages import appraise_candidates
from tests.decisioning.strategies import columns_of, compiled, history_of, house_of, make_action, make_catalog, scores_of, situation_of


def no_past(situation: Any) -> History:
    return history_of(situation)


def test_profit_and_priority_follow_the_formula() -> None:
    loan = make_action(
        "loan",
        cost=1.0,
        lever=2.0,
        context_weights=[{"when": "context.intent = 'borrow'", "weight": 1.5}, {"when": "age > 60", "weight": 9}],
    )
    constraints = [
        {"id": "money", "measure": "cost", "max": 9},
        {"id": "polish_calls", "measure": "contacts", "channel": "call", "market": "PL", "max": 9},
    ]
    catalog = compiled(make_catalog([loan], constraints=constraints))
    situation = situation_of(2, columns=columns_of(2, market=["PL", "DE"]), context={"intent": "borrow"})
    scores = scores_of((2, 3), uplift=0.2, value=200.0, opt_out_risk=0.01, clv=1000.0)
    found = appraise(catalog, situation, scores, {"money": 0.5, "polish_calls": 3.0, "gone": 99.0})
    worth = 0.2 * 200.0 - 0.01 * 1000.0  # 30
    np.testing.assert_allclose(found.profit, [[worth - 1.5, worth - 5.0, worth - 1.0]] * 2)
    np.testing.assert_allclose(found.shadow_cost, [[0.75, 2.5 + 3.0, 0.5], [0.75, 2.5, 0.5]])
    np.testing.assert_allclose(found.context_weight, 1.5)
    np.testing.assert_allclose(found.priority, 1.5 * 2.0 * worth - found.cost - found.shadow_cost)


def test_context_weights_that_hold_together_multiply() -> None:
    weights = [{"when": "age > 30", "weight": 2}, {"when": "city = 'Łódź' AND age > 30", "weight": 3}, {"when": "age > 90", "weight": 5}]
    catalog = compiled(make_catalog([make_action("loan", context_weights=weights), make_action("card")]))
    found = appraise(catalog, situation_of(), scores_of((1, 6)), {})
    assert found.context_weight.tolist() == [[6.0, 6.0, 6.0, 1.0, 1.0, 1.0]]


def test_where_no_uplift_is_known_the_propensity_stands_in() -> None:
    catalog = compiled(make_catalog([make_action("loan")]))
    scores = scores_of((1, 3), propensity=0.1, uplift=np.array([[np.nan, 0.02, np.nan]]))
    found = appraise(catalog, situation_of(), scores, {})
    assert found.effect.tolist() == [[0.1, 0.02, 0.1]]
    assert segment_of(scores, found).tolist()[0][0] == -1


def test_a_risk_or_a_clv_that_is_not_known_takes_nothing_off() -> None:
    catalog = compiled(make_catalog([make_action("loan")]))
    risks = np.array([[np.nan, 0.1, 0.1], [np.nan, 0.1, np.inf]])
    found = appraise(catalog, situation_of(2), scores_of((2, 3), opt_out_risk=risks, clv=np.array([100.0, np.nan])), {})
    np.testing.assert_allclose(found.profit + found.cost, [[5.0, -5.0, -5.0], [5.0, 5.0, 5.0]])


@pytest.mark.parametrize(
    ("changes", "segment"),
    [
        ({"uplift": 0.05, "propensity": 0.1}, "persuadable"),
        ({"uplift": 0.001, "propensity": 0.301}, "sure_thing"),
        ({"uplift": 0.001, "propensity": 0.011}, "lost_cause"),
        ({"uplift": -0.02, "propensity": 0.1}, "do_not_disturb"),
        ({"uplift": 0.01, "propensity": 0.1, "opt_out_risk": 0.5}, "do_not_disturb"),
    ],
)
def test_a_segment_says_what_contacting_does(changes: dict[str, float], segment: str) -> None:
    catalog = compiled(make_catalog([make_action("loan")]))
    scores = scores_of((1, 3), **changes)
    found = segment_of(scores, appraise(catalog, situation_of(), scores, {}))
    assert SEGMENTS[found[0, 0]] == segment  # an e-mail costs 0.5, a response is worth 100


UNKNOWN: list[tuple[dict[str, Any], str]] = [
    ({"propensity": np.nan, "uplift": np.nan}, "no model has learned this action and it has no cold_start"),
    ({"value": np.nan}, "its value is not known: NULL for this contact, or observed and no response has brought money"),
    ({"value": np.inf}, "its worth is not a finite number"),
    ({"uplift": -np.inf}, "its worth is not a finite number"),
    ({"uplift": 0.0, "value": np.inf}, "its worth is not a finite number"),
]


@pytest.mark.parametrize(("scores", "detail"), UNKNOWN)
def test_what_has_no_known_worth_is_never_chosen_and_says_why(scores: dict[str, Any], detail: str) -> None:
    catalog = compiled(make_catalog([make_action("loan")]))
    situation = situation_of()
    decision = decide(house_of(catalog, situation, scores_of((1, 3), **scores)), situation, no_past(situation), limit=3)
    removal = decision.appraisal.candidates.removal(0, 0)
    assert removal is not None
    assert (decision.chosen, removal.stage, removal.detail(0)) == ((), "score", detail)


@pytest.mark.parametrize(("scores", "detail"), UNKNOWN)
def test_a_mandatory_action_needs_no_score(scores: dict[str, Any], detail: str) -> None:
    catalog = compiled(make_catalog([make_action("notice", kind="mandatory", goal=None, value=0)]))
    situation = situation_of()
    decision = decide(house_of(catalog, situation, scores_of((1, 3), **scores)), situation, no_past(situation))
    assert [catalog.treatments[column][1].id for column in decision.chosen] == ["notice_web"]  # the cheapest
    assert np.isfinite(decision.appraisal.economics.priority).all()


def test_mandatory_actions_come_first_whatever_they_are_worth() -> None:
    catalog = compiled(make_catalog([make_action("loan"), make_action("notice", kind="mandatory")]))
    situation = situation_of()
    uplift = np.array([[0.09] * 3 + [-0.05] * 3])
    decision = decide(house_of(catalog, situation, scores_of((1, 6), uplift=uplift)), situation, no_past(situation), limit=2)
    assert [catalog.treatments[column][0].id for column in decision.chosen] == ["notice", "loan"]


def test_transactional_actions_are_weighed_like_any_other() -> None:
    catalog = compiled(make_catalog([make_action("receipt", kind="transactional")]))
    situation = situation_of()
    assert decide(house_of(catalog, situation, scores_of((1, 3), uplift=-0.01)), situation, no_past(situation)).chosen == ()


def test_an_action_worth_nothing_is_not_worth_it() -> None:
    catalog = compiled(make_catalog([make_action("loan", treatments=[{"id": "loan_web", "channel": "web"}])]))
    situation = situation_of()
    assert decide(house_of(catalog, situation, scores_of((1, 1), uplift=0.0)), situation, no_past(situation)).chosen == ()


def test_equals_are_taken_in_the_catalogues_order() -> None:
    alive, mandatory = np.ones(5, dtype=np.bool_), np.array([False, False, True, True, False])
    assert ranking(alive, mandatory, np.array([3.0, 3.0, 1.0, 1.0, 3.0])).tolist() == [2, 3, 0, 1, 4]


def test_a_priority_that_is_not_known_comes_last() -> None:
    assert ranking(np.ones(3, dtype=np.bool_), np.zeros(3, dtype=np.bool_), np.array([np.nan, -1.0, 2.0])).tolist() == [2, 1, 0]


def slate(ranked: list[int], placements: tuple[str, ...], limit: int) -> list[str]:
    places = [("hero", "a"), ("strip", "a"), ("hero", "b"), ("strip", "c"), (None, "d")]
    actions: dict[str, dict[str, Any]] = {}
    for index, (placement, action) in enumerate(places):
        treatment = {"id": f"t{index}", "channel": "web"} | ({"placement": placement} if placement else {})
        actions.setdefault(action, make_action(action, treatments=[]))["treatments"].append(treatment)
    catalog = compiled(make_catalog(list(actions.values())))
    columns = np.array([catalog.column_of[f"t{one}"] for one in ranked], dtype=np.int64)
    chosen = select(columns, Slate(catalog, placements, limit))
    return [catalog.treatments[column][1].id for column in chosen]


@pytest.mark.parametrize(
    ("ranked", "placements", "limit", "chosen"),
    [
        ([0, 1, 2, 3], (), 4, ["t0", "t2", "t3"]),  # no action twice
        ([0, 1, 2, 3], (), 2, ["t0", "t2"]),
        ([0, 1, 2, 3], ("hero", "strip"), 4, ["t0", "t3"]),  # each placement once
        ([4, 2, 0, 1], ("hero", "strip"), 4, ["t2", "t1"]),  # t4 takes no placement
        ([0, 2], ("hero",), 3, ["t0"]),
        ([0, 2], ("strip",), 3, []),
        ([], (), 3, []),
    ],
)
def test_a_slate_has_no_action_and_no_placement_twice(
    ranked: list[int], placements: tuple[str, ...], limit: int, chosen: list[str]
) -> None:
    assert slate(ranked, placements, limit) == chosen


def test_the_price_book_changes_priorities_and_not_profits() -> None:
    catalog = compiled(
        make_catalog([make_action("loan")], constraints=[{"id": "calls", "channel": "call", "measure": "contacts", "max": 1}])
    )
    situation = situation_of()
    free = appraise_candidates(house_of(catalog, situation), situation, no_past(situation))
    priced = appraise_candidates(house_of(catalog, situation, prices={"calls": 10.0}), situation, no_past(situation))
    assert free.candidates.alive.tolist() == [[True, True, True]]
    assert priced.candidates.alive.tolist() == [[True, False, True]]
    np.testing.assert_array_equal(free.economics.profit, priced.economics.profit)


def test_baseline_is_a_probability() -> None:
    scores: Scores = scores_of((1, 3), propensity=np.array([[0.1, 0.9, np.nan]]), uplift=np.array([[0.2, -0.5, 0.1]]))
    np.testing.assert_array_equal(scores.baseline, [[0.0, 1.0, np.nan]])
