"""Models over HTTP: what serves, and the gate's answers."""

from __future__ import annotations

from fastapi.testclient import TestClient

from serving.app import create_app
from serving.ports.models import NoModels
from tests.serving.fake_service import FakeService


def test_the_registered_models_are_listed_with_their_reasons(client: TestClient) -> None:
    (model,) = client.get("/v1/models").json()["models"]

    assert (model["name"], model["champion"], model["challenger"]) == ("bank-uplift", 1, 2)
    assert model["versions"][1]["promoted_because"] == "the first of its kind: there is no champion to beat"


def test_a_refusal_of_the_gate_is_an_answer_and_not_an_error(client: TestClient) -> None:
    answer = client.post("/v1/models/uplift:promote", json={})

    assert answer.status_code == 200
    assert answer.json()["promoted"] is False
    assert answer.json()["rows_needed"] == 1_200


def test_what_is_forced_hands_its_reason_down(client: TestClient, service: FakeService) -> None:
    answer = client.post("/v1/models/uplift:promote", json={"version": 2, "force": True, "why": "the campaign starts tonight"})

    assert answer.json()["promoted"] is True
    assert service.models.asked == [("uplift", 2, True, "the campaign starts tonight")]


def test_a_rollback_says_who_serves_now(client: TestClient) -> None:
    answer = client.post("/v1/models/uplift:rollback", json={"why": "complaints"})

    assert answer.json() == {
        "promoted": True,
        "reason": "rolled back from version 2: complaints",
        "model": "bank-uplift",
        "version": 1,
        "previous": 2,
    }


def test_unknown_keys_are_named(client: TestClient) -> None:
    answer = client.post("/v1/models/uplift:promote", json={"vesion": 2})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "vesion"


def test_where_no_registry_is_known_it_is_said(service: FakeService) -> None:
    service.models = NoModels()  # type: ignore[assignment]
    with TestClient(create_app(service)) as client:
        answers = [
            client.get("/v1/models"),
            client.post("/v1/models/uplift:promote", json={}),
            client.post("/v1/models/uplift:rollback", json={}),
        ]

    assert [answer.status_code for answer in answers] == [503] * 3
