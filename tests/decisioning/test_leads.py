"""Leads by points: what gives them, when a lead is qualified, whose it is, and what is asked instead of guessed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from decisioning.catalog import parse_catalog
from decisioning.compiled_catalog import compile_catalog
from decisioning.errors import ConfigError, RuleError
from decisioning.lead_scoring import LeadRules, grade_of
from decisioning.rules import Rows
from decisioning.vocabulary import Dtype

DTYPES: dict[str, Dtype] = {"age": "int", "firm_size": "float", "days_since_last_login": "float", "budget": "string", "market": "string"}
LEAD: dict[str, Any] = {
    "who": "market <> 'internal'",
    "fit": [{"when": "firm_size >= 50", "points": 20, "because": "a larger firm"}, {"when": "age < 18", "points": -100}],
    "behaviour": [{"since": "days_since_last_login", "half_life_days": 10, "points": 40}],
    "asked": [{"id": "budget", "ask": "What is your budget?", "answer": "budget", "points": [{"when": "budget = 'large'", "points": 15}]}],
    "grades": {"A": 30, "B": 20},
    "threshold": {"score": 20, "grade": "B"},
    "owner": [{"owner": "anna", "when": "market = 'PL'"}, {"owner": "tom"}],
}
CATALOG: dict[str, Any] = {
    "version": "1",
    "currency": "PLN",
    "time_zone": "Europe/Warsaw",
    "channels": {"email": {"direction": "outbound"}},
    "outcomes": {"sale": {"kind": "conversion", "window_days": 30}},
    "actions": [{"id": "loan", "goal": "sale", "value": 1, "treatments": [{"id": "loan_email", "channel": "email"}]}],
}
PEOPLE = {
    "age": np.array([40.0, 40.0, 16.0, 40.0, np.nan]),
    "firm_size": np.array([60.0, 60.0, 60.0, 60.0, np.nan]),
    "days_since_last_login": np.array([10.0, 20.0, 0.0, 0.0, np.nan]),
    "budget": np.array(["large", None, "small", "large", None], dtype=object),
    "market": np.array(["PL", "DE", "PL", "internal", None], dtype=object),
}


def rules(**changes: Any) -> LeadRules:
    compiled = compile_catalog(parse_catalog({**CATALOG, "lead": {**LEAD, **changes}}), DTYPES)
    assert compiled.lead is not None
    return compiled.lead


def test_points_are_summed_by_what_they_count_for_and_recent_behaviour_counts_more() -> None:
    scored = rules().score(Rows(PEOPLE, 5))
    np.testing.assert_allclose(scored.fit, [35, 20, -80, 35, 0])
    np.testing.assert_allclose(scored.score, [20, 10, 40, 40, 0])
    assert [grade_of(scored, row) for row in range(5)] == ["A", "B", "D", "A", "D"]


def test_a_lead_is_qualified_by_grade_and_score_and_only_who_may_be_one() -> None:
    scored = rules().score(Rows(PEOPLE, 5))
    assert scored.qualified.tolist() == [True, False, False, False, False]
    assert scored.may_be.tolist() == [True, True, True, False, False]  # a market that is not known is not known to be another


def test_one_contact_gets_the_score_that_he_gets_among_many() -> None:
    many = rules().score(Rows(PEOPLE, 5))
    for row in range(5):
        alone = rules().score(Rows({name: column[row : row + 1] for name, column in PEOPLE.items()}, 1))
        assert (alone.fit[0], alone.score[0], alone.qualified[0]) == (many.fit[row], many.score[row], many.qualified[row])


def test_an_answer_that_is_not_there_gives_nothing_and_is_a_question() -> None:
    made = rules()
    scored = made.score(Rows(PEOPLE, 5))
    assert made.questions(scored, 1) == [{"id": "budget", "ask": "What is your budget?"}]
    assert made.questions(scored, 2) == []  # an answer that is worth nothing is an answer


def test_each_point_has_its_reason_most_first() -> None:
    made = rules()
    reasons = made.reasons(made.score(Rows(PEOPLE, 5)), 2)
    assert [(one["because"], one["points"]) for one in reasons] == [
        ("age < 18", -100.0),
        ("days_since_last_login, halved every 10 days", 40.0),
        ("a larger firm", 20.0),
    ]


def test_the_first_owner_whose_condition_holds_takes_the_lead() -> None:
    made = rules()
    scored = made.score(Rows(PEOPLE, 5))
    assert [made.owner_of(scored, row) for row in range(5)] == ["anna", "tom", "anna", "tom", "tom"]
    assert rules(owner="desk").owner_of(rules(owner="desk").score(Rows(PEOPLE, 5)), 4) == "desk"
    assert rules(owner=[]).owner_of(rules(owner=[]).score(Rows(PEOPLE, 5)), 4) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"grades": {"A": 10, "B": 20}}, "A above B"),
        ({"grades": {"C": 20}, "threshold": {"score": 1, "grade": "A"}}, "no lead can have grade A"),
        ({"grades": {"E": 20}}, "grades"),
        ({"fit": [], "behaviour": [], "asked": []}, "nothing gives points"),
        ({"fit": [{"points": 3}]}, "needs `when`"),
        ({"behaviour": [{"points": 3, "since": "age"}]}, "go together"),
        ({"owner": [{"owner": "tom"}, {"owner": "anna", "when": "age > 3"}]}, "comes last"),
        ({"goal": "sold"}, "lead.goal: is not declared"),
        ({"treshold": {}}, "did you mean 'threshold'"),
    ],
)
def test_a_definition_that_cannot_be_is_refused_in_plain_words(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match="lead") as refusal:
        rules(**changes)
    assert words in str(refusal.value)


def test_a_rule_over_an_unknown_column_is_refused_with_its_path() -> None:
    with pytest.raises(RuleError, match=r"lead.asked\[0\].answer: unknown column 'budgett'"):
        rules(asked=[{"id": "b", "ask": "?", "answer": "budgett", "points": [{"when": "age > 3", "points": 1}]}])
