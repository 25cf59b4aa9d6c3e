"""What the API answers to a request that is as it must be."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from serving.app import create_app
from serving.schemas.hot_requests import HotDecision, as_json
from tests.serving.fake_service import FakeService

CONTRACT_REQUEST = {
    "contact_id": "c-17", "session_id": None, "request_id": "r-1", "channel": "web", "placements": ["home_hero"], "limit": 3,
    "context": {"intent": "borrow", "device": "mobile"}, "features": {"cart_value": 120.0}, "explain": True, "dry_run": False,
}  # fmt: skip


def test_the_contracts_own_request_gets_a_decision_in_the_contracts_form(client: TestClient, service: FakeService) -> None:
    answer = client.post("/v1/decisions", json=CONTRACT_REQUEST)
    assert answer.status_code == 200
    assert answer.json() == service.decisions["d-1"]
    assert list(answer.json()) == [
        "decision_id", "contact_id", "contact_known", "decided_at", "took_ms", "control_group", "degraded", "versions", "actions",
            "no_action", "filtered", "explanation",
    ]  # fmt: skip
    assert as_json(service.asked[0]) == HotDecision(**CONTRACT_REQUEST)  # type: ignore[arg-type]


def test_a_contact_id_alone_is_enough(client: TestClient, service: FakeService) -> None:
    assert client.post("/v1/decisions", json={"contact_id": "c-1"}).status_code == 200
    asked = service.asked[0]
    assert (asked.limit, asked.context, asked.features, asked.explain, asked.dry_run) == (None, None, None, False, False)


def test_a_contact_id_that_is_an_integer_is_cast_as_in_the_tables(client: TestClient, service: FakeService) -> None:
    assert client.post("/v1/decisions", json={"contact_id": 17}).status_code == 200
    assert client.post("/v1/decisions:batch", json=[{"contact_id": -3}]).status_code == 200
    assert [asked.contact_id for asked in service.asked] == ["17", "-3"]

    client.post("/v1/outcomes", json={"event_id": 5, "contact_id": 17, "outcome": "sale"})
    assert [(one.event_id, one.contact_id) for one in service.outcomes.values()] == [("5", "17")]


def test_context_and_features_keep_their_types(client: TestClient, service: FakeService) -> None:
    facts = {"flag": True, "count": 3, "share": 0.5, "name": "żółw 🐢", "unknown": None, "big": 2**62}
    assert client.post("/v1/decisions", json={"contact_id": "c-1", "context": facts, "features": facts}).status_code == 200
    assert service.asked[0].context == facts
    assert {name: type(value) for name, value in (service.asked[0].features or {}).items()} == {
        name: type(value) for name, value in facts.items()
    }


def test_what_the_service_adds_to_an_answer_reaches_the_caller(
    client: TestClient, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = {"decision_id": "d-1", "contact_id": "c-1", "decided_at": "2026-11-22T10:00:00Z", "plan_id": "p-1"}
    monkeypatch.setattr(service, "decision", lambda _: {**answer, "control_group": "nudge", "candidates": [{"uplift": None}]})
    got = client.get("/v1/decisions/d-1").json()
    assert got["plan_id"] == "p-1"
    assert got["candidates"] == [{"uplift": None}]


def test_a_batch_answers_each_request_in_its_place(client: TestClient) -> None:
    batch: list[Any] = [
        {"contact_id": "c-1"},
        {"contact_id": "c-2", "limit": 0},
        {"contact_id": "c-3", "channel": "fax"},
        7,
        {"contact_id": "c-5"},
    ]
    answer = client.post("/v1/decisions:batch", json=batch)
    assert answer.status_code == 200
    one, two, three, four, five = answer.json()
    assert (one["contact_id"], five["contact_id"]) == ("c-1", "c-5")
    assert [(problem["status"], problem["errors"][0]["field"]) for problem in (two, three, four)] == [
        (422, "limit"), (422, "channel"), (422, "body"),
    ]  # fmt: skip


def test_an_empty_batch_has_an_empty_answer(client: TestClient) -> None:
    assert client.post("/v1/decisions:batch", json=[]).json() == []


def test_one_outcome_or_many_are_accepted_once(client: TestClient, service: FakeService) -> None:
    outcome = {
        "event_id": "e-1",
        "decision_id": "d-1",
        "treatment_id": "t-1",
        "outcome": "click",
        "value": 3,
        "occurred_at": "2026-11-22T10:00:00+01:00",
    }
    answer = client.post("/v1/outcomes", json=outcome)
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "duplicates": 0, "rejected": []})
    both = [outcome, {"event_id": "e-2", "contact_id": "c-1", "outcome": "sale"}]
    assert client.post("/v1/outcomes", json=both).json() == {"accepted": 1, "duplicates": 1, "rejected": []}
    assert service.outcomes["e-1"].occurred_at == datetime(2026, 11, 22, 9, tzinfo=UTC)
    assert service.outcomes["e-2"].occurred_at is None


def test_a_time_without_a_zone_is_utc(client: TestClient, service: FakeService) -> None:
    client.post("/v1/outcomes", json={"event_id": "e-1", "contact_id": "c-1", "outcome": "click", "occurred_at": "2026-11-22T10:00:00.5"})
    assert service.outcomes["e-1"].occurred_at == datetime(2026, 11, 22, 10, 0, 0, 500_000, tzinfo=UTC)


def test_a_bad_outcome_is_named_by_its_place_and_the_others_are_kept(client: TestClient, service: FakeService) -> None:
    good = {"contact_id": "c-1", "outcome": "click"}
    batch: list[Any] = [
        {"event_id": "e-0", **good, "value": "much"},
        {"event_id": "e-1", **good},
        {"event_id": "e-2", "contact_id": "c-1", "outcome": "nonsense"},
        {"event_id": "e-3", "outcome": "click"},
        "what",
        {"event_id": "e-5", **good},
        {"event_id": "e-6", **good, "occurred_at": 1_700_000_000},
    ]
    answer = client.post("/v1/outcomes", json=batch)
    assert answer.status_code == 202
    assert answer.json() == {
        "accepted": 2,
        "duplicates": 0,
        "rejected": [
            {"index": 0, "reason": 'value: got "much"; expected a valid number'},
            {"index": 2, "reason": "unknown outcome 'nonsense'"},
            {"index": 3, "reason": "body: got an object with 2 keys; expected a decision_id or a contact_id"},
            {"index": 4, "reason": 'body: got "what"; expected an object'},
            {"index": 6, "reason": "occurred_at: got 1700000000; expected an ISO 8601 time such as 2026-11-22T10:00:00Z"},
        ],
    }
    assert sorted(service.outcomes) == ["e-1", "e-5"]


def test_a_decision_and_a_contact_are_shown(client: TestClient) -> None:
    client.post("/v1/decisions", json={"contact_id": "c-1"})
    trace = client.get("/v1/decisions/d-1")
    assert (trace.status_code, trace.json()["request"]) == (200, {"limit": 3})
    assert client.get("/v1/contacts/c%201").json()["contact_id"] == "c 1"


def test_each_decision_leaves_a_line_with_its_id_and_without_the_contact(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="serving"):
        client.post("/v1/decisions:batch", json=[{"contact_id": "c-1"}, {"contact_id": "c-2"}])
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("serving")]
    assert lines == ["decision d-1: 1 actions in 2.5 ms", "decision d-2: 1 actions in 2.5 ms"]


def test_liveness_is_apart_from_readiness(client: TestClient, service: FakeService) -> None:
    assert client.get("/health/ready").json()["status"] == "ready"
    service.ready["ledger"] = {"ok": False, "detail": "the ledger cannot answer now"}
    ready = client.get("/health/ready")
    assert ready.status_code == 503
    assert ready.json() == {
        "status": "not_ready",
        "dependencies": {"ledger": {"ok": False, "detail": "the ledger cannot answer now"}, "features": {"ok": True, "detail": "answers"}},
    }
    assert client.get("/health/live").json() == {"status": "alive"}


def test_the_service_is_closed_when_the_server_stops(service: FakeService) -> None:
    with TestClient(create_app(service)):
        assert not service.closed
    assert service.closed


def test_a_decision_is_replayed_and_prices_are_shown(client: TestClient) -> None:
    decision_id = client.post("/v1/decisions", json={"contact_id": "c-1"}).json()["decision_id"]
    assert client.post(f"/v1/decisions/{decision_id}:replay").json() == {"decision_id": decision_id, "identical": True, "differences": []}
    assert client.post("/v1/decisions/none-such:replay").status_code == 404
    assert client.get("/v1/prices").json()["constraints"][0]["price"] == 41.2


def test_an_action_is_switched_off_for_a_contact_until_a_date(client: TestClient) -> None:
    off = {"until": "2027-01-01T00:00:00Z", "action_id": "loan", "channel": None, "reason": "complained"}
    assert client.put("/v1/contacts/c-1/suppressions", json=off).json() == {"contact_id": "c-1", **off}
    assert client.put("/v1/contacts/c-1/suppressions", json={"until": "soon"}).status_code == 422
    assert client.put("/v1/contacts/c-1/suppressions", json={"until": "2027-01-01", "acton_id": "loan"}).status_code == 422
