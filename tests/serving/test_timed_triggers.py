"""Triggers that time alone fires: whoever enters is decided on once, may enter anew, and nothing is lost half-way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from decisioning.catalog import parse_catalog
from decisioning.compiled_catalog import compile_catalog
from decisioning.errors import RequestError, RuleError, Unavailable
from serving.feedback.timed_triggers import TimedTriggers
from tests.serving.small_house import CATALOG, NOW, House, small_house

GROWN = {"id": "grown", "enters": "age >= 13", "every_minutes": 60, "actions": ["card"], "within_minutes": 30}
WEBHOOK = "http://127.0.0.1:1/hook"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with small_house(tmp_path, {**CATALOG, "triggers": [GROWN], "triggers_webhook": WEBHOOK}) as made:
        yield made


def _aged(house: House, **ages: float) -> None:
    house.known.rows = {**house.known.rows, **{name: {"age": age} for name, age in ages.items()}}


def _looked(house: House, minutes: float = 60) -> dict[str, Any]:
    """Look again after so many minutes: what of the look counts, and what became of who entered."""
    house.clock.advance(minutes=minutes)
    document = house.service.timed.run()
    (one,) = document["triggers"]
    return {name: one[name] for name in ("first", "inside", "entered", "left", "late")} | document["decided"]


def _nothing(**changes: Any) -> dict[str, Any]:
    return {"first": False, "inside": 1, "entered": 0, "left": 0, "late": 0, **changes}


def test_who_enters_is_decided_on_once_and_again_after_leaving(house: House) -> None:
    assert _looked(house) == _nothing(first=True)  # the adult was inside before anybody looked
    assert _looked(house) == _nothing()
    _aged(house, child=13.0)
    assert _looked(house) == _nothing(inside=2, entered=1, decided=1)
    assert _looked(house) == _nothing(inside=2)
    _aged(house, child=12.0)
    assert _looked(house) == _nothing(left=1)
    _aged(house, child=14.0)
    assert _looked(house) == _nothing(inside=2, entered=1, decided=1)
    decisions = house.ledger.decisions_of("child", 9)
    assert len(decisions) == 2
    for one in decisions:
        assert {action["action_id"] for action in one.trace["response"]["actions"]} <= {"card"}
        assert house.service.replay(one.decision_id)["identical"]
    assert house.ledger.decisions_of("adult", 9) == []


def test_the_decision_goes_to_the_webhook_as_a_cloud_event_and_is_counted_as_triggered(house: House) -> None:
    _looked(house)
    _aged(house, child=13.0)
    _looked(house)
    (message,) = house.ledger.outbox.listed()
    body = json.loads(message.message.body)
    (decision,) = house.ledger.decisions_of("child", 9)
    assert message.message.message_id == body["id"] == decision.decision_id
    assert (body["type"], body["subject"], body["data"]["trigger"]) == ("com.nudge.decision.made.v1", "child", "grown")
    assert decision.request_id is not None
    assert decision.request_id.startswith("trigger:")


@pytest.mark.parametrize("step", ["decide", "settle", "messages"])
def test_a_process_that_dies_half_way_leaves_each_entry_decided_once(house: House, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    _looked(house)
    _aged(house, child=13.0, other=20.0)
    timed = house.service.timed
    where, name = {"decide": (timed, "_decide"), "settle": (house.ledger.looks, "settle"), "messages": (timed, "_messages")}[step]
    house.clock.advance(minutes=60)
    with monkeypatch.context() as patched:
        patched.setattr(where, name, die)
        with pytest.raises(Killed):
            timed.run_due()
    house.clock.advance(seconds=5)
    another = TimedTriggers(house.ledger, house.snapshots, house.service.decide_many, house.clock)
    assert another.run_due() == 2
    assert another.run_due() == 0
    for contact_id in ("child", "other"):
        assert len(house.ledger.decisions_of(contact_id, 9)) == 1
    assert len(house.ledger.outbox.listed()) == 2


def test_a_decision_that_a_killed_process_made_is_sent_even_if_the_contact_has_left_since(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    _looked(house)
    _aged(house, child=13.0)
    with monkeypatch.context() as patched:
        patched.setattr(house.ledger.looks, "settle", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            _looked(house)
    _aged(house, child=12.0)
    assert _looked(house, minutes=5) == _nothing(left=1, decided=1)
    (decision,) = house.ledger.decisions_of("child", 9)
    assert [one.message.message_id for one in house.ledger.outbox.listed()] == [decision.decision_id]


def test_who_is_no_contact_any_more_has_left_and_enters_anew_after_coming_back(house: House) -> None:
    _looked(house)
    (adult,) = (row for name, row in house.known.rows.items() if name == "adult")
    house.known.rows = {name: row for name, row in house.known.rows.items() if name != "adult"}
    assert _looked(house) == _nothing(inside=0, left=1)
    assert house.service.timed.listed()[0]["inside"] == 0
    house.known.rows = {**house.known.rows, "adult": adult}
    assert _looked(house) == _nothing(entered=1, decided=1)


def test_a_look_that_fails_does_not_keep_the_others_from_being_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored = {"id": "scored", "score": "propensity", "above": 0.1, "action": "loan", "every_minutes": 60, "actions": ["card"]}
    with small_house(tmp_path, {**CATALOG, "triggers": [scored, GROWN]}) as house:
        monkeypatch.setattr("serving.feedback.timed_triggers.above", lambda *_: 1 / 0)
        for age in (12.0, 13.0):
            _aged(house, child=age)
            house.clock.advance(minutes=60)
            with pytest.raises(ZeroDivisionError):
                house.service.timed.run_due()
        assert len(house.ledger.decisions_of("child", 9)) == 1


def test_a_segment_that_reads_the_request_cannot_be_looked_at_by_time() -> None:
    timed = {"id": "t", "segment": "asking", "every_minutes": 60, "actions": ["card"]}
    document = {**CATALOG, "segments": {"asking": "context.intent = 'pay'"}, "triggers": [timed]}
    with pytest.raises(RuleError, match="'context' is not known"):
        compile_catalog(parse_catalog(document), {"age": "int"})


def test_an_entry_that_waited_longer_than_the_trigger_is_not_decided_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    _looked(house)
    _aged(house, child=13.0)
    with monkeypatch.context() as patched:
        patched.setattr(house.service.timed, "_decide", lambda requests: [Unavailable("the ledger is away")] * len(requests))
        assert _looked(house) == _nothing(inside=2, entered=1, wait=1)
    house.clock.advance(minutes=31)
    assert dict(house.service.timed.decide_open()) == {"late": 1}
    assert dict(house.service.timed.decide_open()) == {}
    assert house.ledger.decisions_of("child", 9) == []


def test_a_look_that_is_overdue_by_more_than_the_triggers_time_notes_who_entered_and_decides_nothing(house: House) -> None:
    _looked(house)
    _aged(house, child=13.0)
    assert _looked(house, minutes=91) == _nothing(inside=2, entered=1, late=1)
    _aged(house, other=50.0)
    assert _looked(house, minutes=90) == _nothing(inside=3, entered=1, decided=1)


def test_nobody_is_looked_at_before_it_is_due(house: House) -> None:
    house.service.timed.run_due()
    _aged(house, child=13.0)
    house.clock.advance(minutes=59)
    assert house.service.timed.run_due() == 0
    house.clock.advance(minutes=1)
    assert house.service.timed.run_due() == 1


def test_another_condition_is_a_first_look(house: House) -> None:
    _looked(house)
    house.source.exchange({**CATALOG, "triggers": [{**GROWN, "enters": "age >= 10"}]})
    house.snapshots.refresh()
    assert _looked(house) == _nothing(inside=2, first=True)


def test_a_store_that_does_not_answer_leaves_the_look_to_the_next_time(house: House) -> None:
    _looked(house)
    _aged(house, child=13.0)
    house.known.broken = True
    with pytest.raises(Unavailable):
        _looked(house, minutes=20)
    house.known.broken = False
    assert _looked(house, minutes=20) == _nothing(inside=2, entered=1, decided=1)


def test_events_do_not_fire_it_and_a_joined_visitor_is_looked_at_as_the_contact(house: House) -> None:
    from serving.schemas.events import EventIn

    _looked(house)
    event = {"contact_id": "child", "event_type": "birthday", "event_id": "e", "occurred_at": NOW.isoformat()}
    assert house.service.events.record([EventIn.model_validate(event)])["decisions"] == []  # makes the child 13
    house.ledger.join_identity("visitor", "child", NOW)
    _aged(house, visitor=30.0)
    assert _looked(house) == _nothing(inside=2, entered=1, decided=1)
    assert house.ledger.decisions_of("visitor", 9) == []


def test_a_segment_and_a_score_are_entered_by_time_too(tmp_path: Path) -> None:
    score = {"id": "sure", "score": "uplift", "action": "loan", "above": 0.05, "every_minutes": 1, "actions": ["loan"]}
    never = {**score, "id": "never", "above": 0.5}
    segment = {"id": "teens", "segment": "teens", "every_minutes": 1, "actions": ["card"]}
    with small_house(tmp_path, {**CATALOG, "segments": {"teens": "age >= 13"}, "triggers": [score, never, segment]}) as house:
        house.service.timed.run()
        _aged(house, child=13.0, other=20.0)
        house.clock.advance(minutes=1)
        found = {one["trigger"]: one["entered"] for one in house.service.timed.run()["triggers"]}
    assert found == {"sure": 1, "never": 0, "teens": 2}  # of the cold-start score, everybody is inside: one contact is new


def test_one_that_is_not_there_is_refused_and_all_are_listed(house: House) -> None:
    with pytest.raises(RequestError, match="is no trigger that time fires"):
        house.service.timed.run(["grwon"])
    _looked(house)
    (listed,) = house.service.timed.listed()
    assert (listed["trigger"], listed["every_minutes"], listed["inside"], listed["waiting"]) == ("grown", 60.0, 1, 0)


def test_the_decision_sees_the_features_as_the_condition_saw_them(house: House) -> None:
    _looked(house)
    _aged(house, child=13.0)
    house.clock.advance(minutes=60)
    house.service.timed.look(house.snapshots.current.catalog.triggers[0])
    _aged(house, child=99.0)
    house.service.timed.decide_open()
    (decision,) = house.ledger.decisions_of("child", 9)
    assert house.service.decision(decision.decision_id)["features"]["age"] == 13.0
