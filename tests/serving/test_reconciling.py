"""Decided, delivered, seen, responded: what became of every choice, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from decisioning.catalog import parse_catalog
from ledger.records import DecisionRecord, Selection
from ledger.store import Ledger
from serving.feedback.reconciling import reconcile, unanswered
from serving.schemas.decisions import DecisionRequest, OutcomeIn
from tests.ledger.conftest import DAY, NOW, banner, decision, email, outcome
from tests.serving.small_house import CATALOG, small_house
from tests.serving.small_house import NOW as NOON

OUTCOMES = {
    "delivered": {"kind": "delivery", "window_days": 3},
    "bounced": {"kind": "delivery", "behaviour": "negative", "window_days": 3},
    "opened": {"kind": "impression", "window_days": 7},
}
KNOWN = parse_catalog({**CATALOG, "outcomes": {**CATALOG["outcomes"], **OUTCOMES}})


@pytest.fixture(params=["sqlite", "postgresql"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    made = request.getfixturevalue("new_postgres_database")() if request.param == "postgresql" else f"sqlite:///{tmp_path}/ledger.db"
    with Ledger.open(made) as ledger:
        yield ledger


def mailed(day: int, *happened: str, **changes: Any) -> tuple[DecisionRecord, list[Any]]:
    """An e-mail chosen on a day, and what came of it."""
    name = f"d-{day}-{'-'.join(happened)}-{len(changes)}"
    at = NOW + day * DAY
    made = decision(name, email(**changes), decided_at=at)
    kinds = {"sale": "positive", "reject": "negative"}
    came = [
        outcome(f"{name} {what}", decision_id=name, outcome=what, behaviour=kinds.get(what, "neutral"), occurred_at=at) for what in happened
    ]
    return made, came


def keep(ledger: Ledger, *choices: tuple[DecisionRecord, list[Any]]) -> None:
    ledger.record_decisions([made for made, _ in choices])
    ledger.record_outcomes([one for _, came in choices for one in came])


def found(ledger: Ledger, *, days: float = 100, span: tuple[Any, Any] = (None, None)) -> dict[str, Any]:
    return reconcile(ledger, KNOWN, NOW + timedelta(days=days), span)


def test_each_choice_is_counted_once_by_channel_and_day(kept: Ledger) -> None:
    keep(
        kept,
        mailed(0, "delivered", "opened", "sale"),
        mailed(0, "delivered", "opened"),
        mailed(0, "delivered", "bounced"),
        mailed(1, "delivered", "reject"),
    )
    kept.record_decisions([decision("d-web", banner())])
    [first, second, web] = found(kept)["days"]
    assert first == {
        "channel": "email",
        "direction": "outbound",
        "day": "2026-11-22",
        "decided": 3,
        "delivered": 2,
        "seen": 2,
        "responded": 1,
        "no_response": 2,
        "open": 0,
    }
    assert (second["day"], second["responded"], second["no_response"]) == ("2026-11-23", 1, 0)
    assert (web["channel"], web["decided"], web["delivered"]) == ("web", 1, 0)
    assert found(kept)["channels"][0]["decided"] == 4
    assert [one["day"] for one in found(kept, span=(NOW + DAY, None))["days"]] == ["2026-11-23"]


def test_silence_is_no_response_once_its_window_is_over_however_often_it_is_asked(kept: Ledger) -> None:
    keep(kept, mailed(0, "delivered"))
    for days, silent in ((29.9, 0), (30, 1), (30, 1), (400, 1)):
        [day] = found(kept, days=days)["days"]
        assert (day["no_response"], day["open"]) == (silent, 1 - silent)
    kept.record_outcomes([outcome("late", decision_id="d-0-delivered-0", outcome="sale", occurred_at=NOW + 40 * DAY, late=True)])
    [day] = found(kept)["days"]
    assert (day["responded"], day["no_response"]) == (1, 0), "a late answer takes the silence back"


def test_a_plans_choice_that_real_time_carried_out_is_one_choice(kept: Ledger) -> None:
    kept.record_decisions([decision("d-plan", email(), plan_id="p-1")])
    kept.record_decisions([decision("d-now", email(redeems="d-plan"))])
    assert found(kept)["channels"][0]["decided"] == 1


def test_gaps_are_named(kept: Ledger) -> None:
    keep(kept, mailed(0, "delivered"), mailed(1), mailed(2, "sale"), mailed(3, channel="call"))
    kept.record_outcomes([outcome("stray", decision_id="d-nowhere"), outcome("of nobody's choice", decision_id=None)])
    kept.record_outcomes([outcome("too early", decision_id="d-1--0", occurred_at=NOW - DAY)])
    document = found(kept)
    assert document["orphans"] == {"unknown decision": 1, "no decision named": 1, "before its decision": 1}
    assert document["gaps"] == [
        "email 2026-11-23: 1 decided, none delivered, though the channel reports deliveries on other days",
        "email 2026-11-24: 1 decided, none delivered, though the channel reports deliveries on other days",
        "call: no delivery was ever reported",
        "1 outcomes: unknown decision",
        "1 outcomes: no decision named",
        "1 outcomes: before its decision",
    ]


def test_an_empty_ledger_has_nothing_to_reconcile(kept: Ledger) -> None:
    assert found(kept) == {"as_of": "2027-03-02T10:00:00Z", "days": [], "channels": [], "orphans": {}, "gaps": []}


def test_the_default_outcome_of_each_choice_is_its_own() -> None:
    second = Selection(2, "card", "card_hero", "web", "inbound", "home_hero", 0.5, 1.0, 0.0)
    made = decision("d-1", banner(), second)
    assert unanswered(made, [], KNOWN, NOW + 29 * DAY) == []
    assert [one["treatment_id"] for one in unanswered(made, [], KNOWN, NOW + 30 * DAY)] == ["loan_hero", "card_hero"]
    sold = outcome("e-1", outcome="sale", treatment_id="loan_hero")
    assert [one["treatment_id"] for one in unanswered(made, [sold], KNOWN, NOW + 30 * DAY)] == ["card_hero"]
    seen = outcome("e-2", outcome="opened", treatment_id="card_hero", behaviour="neutral")
    assert [one["treatment_id"] for one in unanswered(made, [sold, seen], KNOWN, NOW + 30 * DAY)] == ["card_hero"]


def test_a_decision_shows_its_default_outcome_and_nothing_is_written(tmp_path: Path) -> None:
    with small_house(tmp_path) as house:
        answer = house.service.decide(DecisionRequest(contact_id="adult", channel="web", placements=["home_hero"]))
        assert house.service.decision(answer["decision_id"])["outcomes"] == []
        house.clock.advance(days=31)
        [silent] = house.service.decision(answer["decision_id"])["outcomes"]
        assert (silent["outcome"], silent["occurred_at"]) == ("no_response", "2026-12-22T12:00:00Z")
        assert house.ledger.outcomes_for(answer["decision_id"]) == []


@pytest.mark.parametrize(("value", "name"), [(-5.0, "sale"), (-0.01, "sale")])
def test_an_outcome_that_is_worth_less_than_nothing_is_refused_by_name(tmp_path: Path, value: float, name: str) -> None:
    with small_house(tmp_path) as house:
        several = [
            OutcomeIn(event_id=f"e-{n}", contact_id="adult", outcome=name, value=worth) for n, worth in enumerate((1.0, value, 0.0, None))
        ]
        receipt = house.service.record_outcomes(several)
        assert (receipt["accepted"], [one["index"] for one in receipt["rejected"]]) == (3, [1])
        assert f"value {value:g} of the positive outcome 'sale'; allowed: a finite number" in receipt["rejected"][0]["reason"]
        returned = OutcomeIn(event_id="e-9", contact_id="adult", outcome="reject", value=-5.0, occurred_at=NOON)
        assert house.service.record_outcomes([returned])["accepted"] == 1
