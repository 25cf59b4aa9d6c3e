"""Placements as feature flags, in the shapes of OpenFeature's Remote Evaluation Protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from decisioning.errors import Unavailable
from serving.app import create_app
from serving.http.desk import Desk
from tests.serving.fake_service import FakeService
from tests.serving.small_house import CATALOG, House, small_house

FLAG = "/ofrep/v1/evaluate/flags/home_hero"
ALL = "/ofrep/v1/evaluate/flags"


def asked(contact_id: Any = "adult", **context: Any) -> dict[str, Any]:
    return {"context": {"targetingKey": contact_id, **context}}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with small_house(tmp_path) as found:
        yield found


@pytest.fixture
def served(house: House) -> Iterator[TestClient]:
    with TestClient(create_app(house.service)) as opened:  # type: ignore[arg-type]
        yield opened


def test_a_flag_is_the_content_of_its_placement_and_the_decision_is_kept(served: TestClient, house: House) -> None:
    answer = served.post(FLAG, json=asked())

    assert answer.status_code == 200
    flag = answer.json()
    assert set(flag) == {"key", "value", "variant", "reason", "metadata"}
    assert (flag["key"], flag["value"], flag["variant"], flag["reason"]) == ("home_hero", "loan_v1", "loan_hero", "TARGETING_MATCH")
    assert (flag["metadata"]["action_id"], flag["metadata"]["control_group"]) == ("loan", "nudge")
    assert all(isinstance(one, bool | int | float | str) for one in flag["metadata"].values())
    record = house.ledger.decision(flag["metadata"]["decision_id"])
    assert record is not None and record.selections[0].treatment_id == "loan_hero"


def test_the_rest_of_the_context_is_what_conditions_read(served: TestClient) -> None:
    assert served.post(FLAG, json=asked(intent="pay")).json()["variant"] == "card_hero"


def test_all_flags_are_of_one_decision_and_show_nothing_twice(served: TestClient) -> None:
    flags = served.post(ALL, json=asked()).json()["flags"]

    assert [one["key"] for one in flags] == ["home_hero", "offer_strip"]
    assert len({one["metadata"]["decision_id"] for one in flags}) == 1
    assert len({one["metadata"].get("action_id") for one in flags}) == 2


def test_nothing_to_show_is_an_answer(tmp_path: Path) -> None:
    with small_house(tmp_path, {**CATALOG, "controls": {"holdout": 1.0}}) as house, TestClient(create_app(house.service)) as client:  # type: ignore[arg-type]
        flag = client.post(FLAG, json=asked()).json()

    assert (flag["value"], flag["variant"], flag["reason"]) == ("", "no_action", "SPLIT")
    assert flag["metadata"]["control_group"] == "holdout"
    assert flag["metadata"]["no_action"]


def test_a_decision_with_less_says_that_it_is_stale(served: TestClient, house: House) -> None:
    house.known.broken = True
    flag = served.post(FLAG, json=asked()).json()
    assert (flag["reason"], flag["metadata"]["degraded"]) == ("STALE", "features_unavailable")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "PARSE_ERROR"),
        (b"", "PARSE_ERROR"),
        (b"[" * 100_000, "PARSE_ERROR"),
        (b"[]", "INVALID_CONTEXT"),
        (b"{}", "INVALID_CONTEXT"),
        (b'{"context": []}', "INVALID_CONTEXT"),
        (b'{"context": {}}', "TARGETING_KEY_MISSING"),
        (b'{"context": {"targetingKey": ""}}', "TARGETING_KEY_MISSING"),
        (b'{"context": {"targetingKey": 1.5}}', "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": "c", "user": {"age": 3}}}', "INVALID_CONTEXT"),
    ],
)
def test_a_bad_request_is_refused_in_the_protocols_words(client: TestClient, service: FakeService, body: bytes, code: str) -> None:
    for path, key in ((FLAG, {"key": "home_hero"}), (ALL, {})):
        answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/json"
        details = answer.json().pop("errorDetails")
        assert answer.json() == {**key, "errorCode": code, "errorDetails": details}
        assert details
    assert service.asked == []


def test_a_placement_that_is_none_is_a_flag_not_found(client: TestClient) -> None:
    answer = client.post("/ofrep/v1/evaluate/flags/home_heroo", json=asked())

    assert answer.status_code == 404
    assert answer.json()["errorCode"] == "FLAG_NOT_FOUND"
    assert "did you mean 'home_hero'?" in answer.json()["errorDetails"]


def test_too_much_at_once_is_429_with_its_pause(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    desk: Desk = client.app.state.desk  # type: ignore[attr-defined]
    desk._waiting = 10_000
    answer = client.post(FLAG, json=asked())
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    desk._waiting = 0


def test_what_fails_here_is_said_in_the_protocols_words(client: TestClient, service: FakeService) -> None:
    service.broken = Unavailable("the ledger does not answer", field="stores.ledger", got="postgresql://secret")
    answer = client.post(FLAG, json=asked())
    assert answer.status_code == 503
    assert answer.json() == {"key": "home_hero", "errorCode": "GENERAL", "errorDetails": "the ledger does not answer"}
