"""Leads over HTTP: listed, and told what became of them."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from serving.app import create_app
from serving.ports.leads import NoLeads
from tests.serving.fake_service import FakeService


def test_leads_are_listed_with_their_reasons(client: TestClient) -> None:
    found = client.get("/v1/leads").json()
    assert [one["reasons"][0]["because"] for one in found["list"]] == ["age >= 40"]
    assert client.get("/v1/leads?status=won").json()["list"] == []


def test_a_status_is_kept(client: TestClient) -> None:
    answer = client.post("/v1/leads/lead-1:status", json={"status": "won", "revenue": 500})
    assert (answer.status_code, answer.json()["status"], answer.json()["revenue"]) == (200, "won", 500.0)


@pytest.mark.parametrize(
    ("body", "field"),
    [({"status": "bought"}, "status"), ({}, "status"), ({"status": "won", "revenue": -1}, "revenue"), ({"status": "won", "x": 1}, "x")],
)
def test_a_status_that_cannot_be_is_refused_by_its_field(client: TestClient, body: dict[str, object], field: str) -> None:
    answer = client.post("/v1/leads/lead-1:status", json=body)
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["errors"]] == [field]


def test_a_lead_that_nobody_knows_is_not_found(client: TestClient) -> None:
    assert client.post("/v1/leads/lead-2:status", json={"status": "won"}).status_code == 404


def test_where_there_is_no_workspace_the_answer_says_so(service: FakeService) -> None:
    service.leads = NoLeads()  # type: ignore[assignment]
    with TestClient(create_app(service)) as client:
        assert client.get("/v1/leads").status_code == client.post("/v1/leads/l:status", json={"status": "won"}).status_code == 503
