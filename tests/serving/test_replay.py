"""Any decision can be made again from what was kept of it, and comes out the same to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decisioning.errors import NotFound
from serving.schemas.decisions import DecisionRequest
from tests.serving.small_house import CATALOG, House, small_house

EXPLORING: dict[str, Any] = {
    **CATALOG,
    "exploration": {"method": "squarecb", "budget": 5000.0},
    "controls": {"holdout": 0.1, "random": 0.2, "propensity_only": 0.1, "no_levers": 0.1, "eligible_only": 0.1},
    "constraints": [{"id": "heroes", "channel": "web", "measure": "contacts", "max": 30}, {"id": "money", "measure": "cost", "max": 9}],
    "contact_policy": [*CATALOG["contact_policy"], {"id": "firm", "scope": "account", "channel": "email", "max": 2, "per_days": 7}],
}


@pytest.fixture(scope="module", params=["squarecb", "thompson", "epsilon_greedy"])
def exploring(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    method = {"exploration": {"method": request.param, "budget": 5000.0}}
    with small_house(tmp_path_factory.mktemp(request.param), {**EXPLORING, **method}) as house:
        contacts = [f"c-{n}" for n in range(40)]
        house.consent(*contacts)
        house.known.rows = {one: {"age": 30.0 + n, "city": "Łódź", "account_id": f"f-{n % 3}"} for n, one in enumerate(contacts)}
        house.price(heroes=1.25, money=0.5)
        yield house


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    contact=st.integers(0, 45),
    channel=st.sampled_from(["web", "email", None]),
    placements=st.sampled_from([None, ["home_hero"], ["home_hero", "offer_strip"]]),
    limit=st.sampled_from([None, 1, 3]),
    intent=st.sampled_from(["pay", "borrow", None, 3.5]),
    age=st.sampled_from([None, 12, 55.5]),
)
def test_a_decision_made_again_is_identical(exploring: House, age: float | None, intent: Any, contact: int, **asked: Any) -> None:
    if asked["placements"] and asked["channel"] == "email":
        asked["placements"] = None
    features = {} if age is None else {"age": age}
    request = DecisionRequest(contact_id=f"c-{contact}", context={"intent": intent}, features=features, **asked)
    exploring.clock.advance(hours=1)
    made = exploring.service.decide(request)
    again = exploring.service.replay(made["decision_id"])
    assert again == {"decision_id": made["decision_id"], "identical": True, "differences": []}


def test_exploring_really_draws(exploring: House) -> None:
    chances = set()
    for n in range(40):
        exploring.clock.advance(days=1)
        answer = exploring.service.decide(DecisionRequest(contact_id=f"new-{n}", channel="web"))
        if answer["control_group"] == "nudge":
            chances |= {round(one["selection_prob"], 6) for one in answer["actions"]}
    assert any(0 < one < 1 for one in chances)


def test_a_decision_that_was_tampered_with_shows_where(tmp_path: Path) -> None:
    with small_house(tmp_path) as house:
        made = house.service.decide(DecisionRequest(contact_id="adult", channel="web", placements=["home_hero"]))
        with house.ledger._database.writing() as conn:
            conn.exec_driver_sql("UPDATE decisions SET trace = replace(trace, '\"value\":100.0', '\"value\":120.0')")
        again = house.service.replay(made["decision_id"])
        assert not again["identical"]
        assert {"field": "actions[0].value", "then": 120.0, "now": 100.0} in again["differences"]


def test_a_decision_that_was_kept_in_the_words_of_an_earlier_version_is_the_same(tmp_path: Path) -> None:
    unlearned = [{name: value for name, value in action.items() if name != "cold_start"} for action in CATALOG["actions"]]
    with small_house(tmp_path, {**CATALOG, "actions": unlearned}) as house:
        made = house.service.decide(DecisionRequest(contact_id="adult"))
        assert made["no_action"]["detail"].endswith("3 by score (no model), 1 by consent")
        for words, identical in ((" by score", True), (" by eligibility", False)):
            with house.ledger._database.writing() as conn:
                conn.exec_driver_sql("UPDATE decisions SET trace = replace(trace, ' by score (no model)', ?)", (words,))
                conn.exec_driver_sql("UPDATE decisions SET trace = replace(trace, ' by score', ?)", (words,))
            assert house.service.replay(made["decision_id"])["identical"] is identical


def test_a_decision_survives_a_new_catalogue(tmp_path: Path) -> None:
    with small_house(tmp_path) as house:
        made = house.service.decide(DecisionRequest(contact_id="adult", channel="web", placements=["home_hero"]))
        actions = [{**CATALOG["actions"][0], "value": 1}, CATALOG["actions"][1]]
        house.source.exchange({**CATALOG, "version": "2", "actions": actions})
        assert house.snapshots.refresh()
        assert house.service.decide(DecisionRequest(contact_id="adult", channel="web"))["versions"]["catalog"].startswith("2#")
        assert house.service.replay(made["decision_id"])["identical"]


def test_a_decision_that_is_not_there_cannot_be_made_again(tmp_path: Path) -> None:
    with small_house(tmp_path) as house, pytest.raises(NotFound, match="there is no such decision"):
        house.service.replay("none-such")
