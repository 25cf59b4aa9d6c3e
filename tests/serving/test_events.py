"""Contact events: kept once, known to the very next decision, and decided on where a trigger waits for them; nothing is lost half-way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.app import create_app
from serving.schemas.events import EventIn
from tests.serving.small_house import CATALOG, NOW, House, small_house
from tests.serving.test_http_fuzz import ANY_JSON

CART = {"id": "cart", "event_type": "cart_abandoned", "when": "event.value > 50", "actions": ["card"], "within_minutes": 60}
GROWN = {"id": "grown", "segment": "teens", "actions": ["card"]}
SURE = {"id": "sure", "score": "uplift", "action": "loan", "above": 0.05, "actions": ["loan"]}
WEBHOOK = "http://127.0.0.1:1/hook"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with small_house(
        tmp_path, {**CATALOG, "segments": {"teens": "age >= 13"}, "triggers": [CART, GROWN], "triggers_webhook": WEBHOOK}
    ) as made:
        yield made


@pytest.fixture
def client(house: House) -> Iterator[TestClient]:
    with TestClient(create_app(house.service)) as opened:
        yield opened


def _event(event_id: str | None = "e-1", **changes: Any) -> dict[str, Any]:
    event = {"contact_id": "adult", "event_type": "page_view", "event_id": event_id, "occurred_at": NOW.isoformat(), **changes}
    return {name: value for name, value in event.items() if value is not None}


def _post(client: TestClient, *events: dict[str, Any]) -> dict[str, Any]:
    answer = client.post("/v1/events", json=list(events))
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _record(house: House, *events: dict[str, Any]) -> dict[str, Any]:
    return house.service.events.record([EventIn.model_validate(one) for one in events])


def test_an_event_is_kept_with_everything_that_came_along_and_counts_at_once(house: House, client: TestClient) -> None:
    receipt = _post(client, _event(value=12.5, channel="web", session_id="s", content_id="p", coupon="X", items=[1, 2]))
    assert receipt == {"accepted": 1, "duplicates": 0, "rejected": [], "decisions": []}
    (kept,) = house.ledger.events.of_contact("adult", 5)
    assert (kept.value, kept.channel, kept.extra) == (12.5, "web", {"coupon": "X", "items": [1, 2]})
    assert house.known.rows["adult"]["age"] == 41
    assert house.ledger.events.open_before(NOW + timedelta(days=1), 5) == []


def test_the_same_event_counts_once_in_a_batch_and_when_it_is_sent_again(house: House, client: TestClient) -> None:
    assert _post(client, _event(), _event(), _event("e-2"))["duplicates"] == 1
    assert _post(client, _event())["duplicates"] == 1
    assert house.known.rows["adult"]["age"] == 42


def test_an_event_without_an_id_is_told_by_its_content_and_time(client: TestClient) -> None:
    assert _post(client, _event(None), _event(None), _event(None, value=1.0))["accepted"] == 2
    timeless = {"contact_id": "adult", "event_type": "ping"}
    assert _post(client, timeless, timeless)["accepted"] == 2


def test_bad_events_are_named_and_the_others_are_kept(client: TestClient) -> None:
    ahead = (NOW + timedelta(hours=1)).isoformat()
    bad = [{"event_type": "x"}, _event(occurred_at=ahead), _event(occurred_at="1850-01-01T00:00:00Z"), _event(value="3"), 7]
    receipt = _post(client, *bad, _event("good", occurred_at=(NOW - timedelta(days=40)).isoformat(), value=-3.0))  # type: ignore[arg-type]
    assert receipt["accepted"] == 1
    reasons = {one["index"]: one["reason"] for one in receipt["rejected"]}
    assert list(reasons) == [0, 1, 2, 3, 4]
    assert "a contact_id or an anonymous_id" in reasons[0]
    assert "is in the future" in reasons[1]
    assert "from 1900 on" in reasons[2]
    nan = client.post("/v1/events", content=json.dumps(_event("n", value=float("nan"))), headers={"Content-Type": "application/json"})
    assert "finite" in nan.json()["rejected"][0]["reason"]


def test_what_a_joined_visitor_does_is_the_contacts(house: House, client: TestClient) -> None:
    house.ledger.join_identity("v-1", "adult", NOW)
    _post(client, _event(contact_id=None, anonymous_id="v-1"), _event("e-2", contact_id=None, anonymous_id="v-2"))
    assert [one.anonymous_id for one in house.ledger.events.of_contact("adult", 5)] == ["v-1"]
    assert len(house.ledger.events.of_contact("v-2", 5)) == 1


CLOUD = {"specversion": "1.0", "id": "7", "source": "/shop", "type": "page_view", "subject": "adult", "time": NOW.isoformat()}
CLOUD |= {"region": "pl"}


def test_cloud_events_come_singly_in_batches_and_in_headers(house: House, client: TestClient) -> None:
    def send(body: Any, **headers: str) -> dict[str, Any]:
        found: dict[str, Any] = client.post("/v1/events", content=json.dumps(body), headers=headers).json()
        return found

    assert send({**CLOUD, "data": {"value": 3.0}}, **{"Content-Type": "application/cloudevents+json; charset=utf-8"})["accepted"] == 1
    batch = [CLOUD, {**CLOUD, "source": "/app"}, {**CLOUD, "specversion": "0.3"}]
    receipt = send(batch, **{"Content-Type": "application/cloudevents-batch+json"})
    assert (receipt["accepted"], receipt["duplicates"], receipt["rejected"][0]["index"]) == (1, 1, 2)
    headers = {f"ce-{name}": value for name, value in CLOUD.items() if name != "data"} | {"ce-source": "/till"}
    assert send({"value": 9.0, "channel": "till"}, **headers, **{"Content-Type": "application/json"})["accepted"] == 1
    kept = {one.event_id: one for one in house.ledger.events.of_contact("adult", 9)}
    assert set(kept) == {"/shop 7", "/app 7", "/till 7"}
    assert (kept["/till 7"].value, kept["/till 7"].channel, kept["/till 7"].extra) == (9.0, "till", {"region": "pl"})


def _cart(event_id: str = "e-1", **changes: Any) -> dict[str, Any]:
    return _event(event_id, **{"event_type": "cart_abandoned", "value": 80.0, **changes})


def test_a_trigger_decides_among_its_actions_and_a_repeat_gets_the_same_decision(house: House, client: TestClient) -> None:
    (first,) = _post(client, _event("other"), _cart())["decisions"]
    assert (first["index"], first["trigger"], first["reason"]) == (1, "cart", None)
    assert {one["action_id"] for one in first["decision"]["actions"]} == {"card"}
    (again,) = _post(client, _cart())["decisions"]
    assert again["decision"]["decision_id"] == first["decision"]["decision_id"]
    house.clock.advance(days=2)
    (later,) = _post(client, _cart())["decisions"]
    assert later["decision"]["decision_id"] == first["decision"]["decision_id"]
    assert len(house.ledger.decisions_of("adult", 9)) == 1
    assert house.service.replay(first["decision"]["decision_id"])["identical"]


def test_an_event_below_the_condition_or_of_another_type_triggers_nothing(client: TestClient) -> None:
    assert _post(client, _cart(value=50.0), _event("e-2", value=80.0))["decisions"] == []


def test_an_event_that_comes_too_late_is_kept_and_the_answer_says_why_nothing_is_decided(house: House, client: TestClient) -> None:
    (said,) = _post(client, _cart(occurred_at=(NOW - timedelta(minutes=75)).isoformat()))["decisions"]
    assert (said["decision"], said["reason"]) == (None, "happened 75 minutes ago; the trigger waits 60")
    assert house.ledger.decisions_of("adult", 9) == []


def test_a_decision_goes_to_the_webhook_once_as_a_cloud_event(house: House, client: TestClient) -> None:
    (said,) = _post(client, _cart())["decisions"]
    _post(client, _cart())
    (message,) = house.ledger.outbox.listed()
    body = json.loads(message.message.body)
    assert message.message.message_id == body["id"] == said["decision"]["decision_id"]
    assert (body["specversion"], body["type"], body["subject"]) == ("1.0", "com.nudge.decision.made.v1", "adult")
    assert (body["data"]["trigger"], body["data"]["event_id"]) == ("cart", "e-1")


def test_a_segment_is_entered_once_by_the_event_that_makes_it_true(client: TestClient) -> None:
    entered = _post(client, *(_event(f"e-{n}", contact_id="child") for n in range(3)))["decisions"]  # 13, 14, 15
    assert [(one["event_id"], one["trigger"]) for one in entered] == [("e-0", "grown")]
    assert _post(client, _event("e-9", contact_id="child"))["decisions"] == []


def test_a_score_that_rises_above_the_threshold_triggers_and_one_that_was_there_does_not(tmp_path: Path) -> None:
    with small_house(tmp_path, {**CATALOG, "triggers": [SURE, {**SURE, "id": "never", "above": 0.5}]}) as house:
        assert _record(house, _event())["decisions"] == []  # it was above before


def test_what_the_online_store_could_not_take_is_kept_said_and_done_later(house: House, client: TestClient) -> None:
    house.known.broken = True
    receipt = _post(client, _cart())
    assert receipt["accepted"] == 1
    assert "as soon as they can" in receipt["decisions"][0]["reason"]
    house.known.broken = False
    house.clock.advance(minutes=2)
    assert house.service.events.catch_up() == 1
    assert house.known.rows["adult"]["age"] == 41
    assert len(house.ledger.decisions_of("adult", 9)) == len(house.ledger.outbox.listed()) == 1
    assert house.service.events.catch_up() == 0


@pytest.mark.parametrize("step", ["apply", "decide", "settle"])
def test_a_process_that_dies_between_two_steps_leaves_each_event_counted_and_decided_once(
    house: House, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    places = {"apply": (house.known, "apply_event"), "decide": (house.service.events._settling, "_decide")}
    where, name = places.get(step, (house.ledger.events, "settle"))
    with monkeypatch.context() as patched:
        patched.setattr(where, name, die)
        with pytest.raises(Killed):
            _record(house, _cart(), _cart("e-2"))
    house.clock.advance(seconds=1)
    assert house.service.events.catch_up(at_start=True) == 2
    receipt = _record(house, _cart(), _cart("e-2"))  # the caller, who never had an answer, tries again
    assert (receipt["accepted"], receipt["duplicates"], len(receipt["decisions"])) == (0, 2, 2)
    assert house.known.rows["adult"]["age"] == 42
    assert len(house.ledger.decisions_of("adult", 9)) == len(house.ledger.outbox.listed()) == 2


def test_one_event_that_cannot_be_settled_does_not_keep_the_others_waiting(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.known.broken = True
    _record(house, _event("bad"), _event("good", contact_id="child"))
    house.known.broken = False
    apply = house.known.apply_event

    def fails(contact_id: str, *rest: Any, event_id: str | None = None) -> bool:
        if event_id == "bad":
            raise ValueError("nobody foresaw this")
        return apply(contact_id, *rest, event_id=event_id)

    monkeypatch.setattr(house.known, "apply_event", fails)
    house.clock.advance(seconds=1)
    assert house.service.events.catch_up(at_start=True) == 2
    assert house.known.rows["child"]["age"] == 13
    assert [one.record.event_id for one in house.ledger.events.open_before(NOW + timedelta(days=1), 5)] == ["bad"]


EXTRAS = st.dictionaries(st.sampled_from(["x", "value", "channel", "occurred_at", "event_id", "anonymous_id"]), ANY_JSON, max_size=4)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(extras=st.lists(EXTRAS, min_size=1, max_size=4))
def test_whatever_comes_along_is_kept_or_named_and_the_chain_holds(house: House, client: TestClient, extras: list[dict[str, Any]]) -> None:
    body = json.dumps([{"contact_id": "adult", "event_type": "cart_abandoned", **one} for one in extras])
    receipt = client.post("/v1/events", content=body, headers={"Content-Type": "application/json"}).json()
    assert receipt["accepted"] + receipt["duplicates"] + len(receipt["rejected"]) == len(extras)
    assert house.ledger.verify().intact


def test_a_model_that_fails_fires_nothing_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_house(tmp_path, {**CATALOG, "triggers": [SURE, CART]}) as house:

        def fails(*_: object) -> None:
            raise ValueError("nobody foresaw this")

        with monkeypatch.context() as patched:
            patched.setattr(type(house.snapshots.current.scorer), "answers", fails)
            receipt = _record(house, _cart())
        assert (receipt["accepted"], [one["trigger"] for one in receipt["decisions"]]) == (1, ["cart"])
        assert receipt["decisions"][0]["decision"]["degraded"] == "scores_unavailable"


def test_a_request_may_name_the_actions_that_are_considered(house: House, client: TestClient) -> None:
    answer = client.post("/v1/decisions", json={"contact_id": "adult", "actions": ["loan"], "limit": 5}).json()
    assert {one["action_id"] for one in answer["actions"]} == {"loan"}
    refused = client.post("/v1/decisions", json={"contact_id": "adult", "actions": ["laon"]})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "actions[0]")
