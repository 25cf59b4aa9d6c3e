"""Plans over HTTP: asked for, watched, fetched."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from serving.app import create_app
from serving.ports.plans import NoPlans
from tests.serving.fake_service import FakeService


def test_a_plan_is_accepted_with_the_place_where_to_look(client: TestClient, service: FakeService) -> None:
    answer = client.post("/v1/plans", json={"dry_run": True, "as_of": "2026-11-01"})

    assert answer.status_code == 202
    assert answer.headers["location"] == "/v1/plans/job-1"
    assert answer.json()["status"] == "queued"
    assert client.get(answer.headers["location"]).json()["result"]["selected"] == 1
    assert service.plans.asked[0].dry_run is True


@pytest.mark.parametrize("path", ["/v1/plans", "/v1/models/uplift:promote", "/v1/models/uplift:rollback"])
def test_what_needs_to_be_told_nothing_needs_no_body(client: TestClient, path: str) -> None:
    told = client.post(path, json={})

    assert client.post(path).status_code == told.status_code
    assert client.post(path, headers={"Content-Type": "application/json"}).status_code == told.status_code
    assert client.post(path, headers={"Origin": "http://elsewhere.example"}).status_code == 415
    assert client.post(path, content=b"why=not").status_code == 415


def test_changed_limits_are_handed_down_to_the_bit(client: TestClient, service: FakeService) -> None:
    client.post("/v1/plans", json={"constraints": [{"id": "budget", "max": 0.1}, {"id": "loan_min", "min": 5, "max": 7}], "sample": 500})

    (asked,) = service.plans.asked
    assert [(one.id, one.min, one.max) for one in asked.constraints or []] == [("budget", None, 0.1), ("loan_min", 5.0, 7.0)]
    assert asked.sample == 500


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"constraints": [{"id": "budget"}]}, "constraints[0]"),
        ({"constraints": [{"id": "budget", "max": -1}]}, "constraints[0].max"),
        ({"constraints": [{"id": "budget", "max": "9"}]}, "constraints[0].max"),
        ({"sample": 0}, "sample"),
        ({"sampel": 10}, "sampel"),
        ({"sample": 10, "dry_run": False}, "body"),
        ({"sample": 10, "prices_only": True}, "body"),
    ],
)
def test_what_is_no_plan_is_refused_by_its_field(client: TestClient, service: FakeService, body: dict[str, Any], field: str) -> None:
    answer = client.post("/v1/plans", json=body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    assert service.plans.asked == []


def test_an_audience_is_sent_as_a_file(client: TestClient) -> None:
    answer = client.get("/v1/plans/plan-1/audiences/email?format=csv")

    assert answer.content == b"contact_id\nc-1\n"
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="audience_email.csv"'


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/plans/plan-2", 404),
        ("/v1/plans/plan-1/audiences/fax", 404),
        ("/v1/plans/plan-2/audiences/email", 404),
        ("/v1/plans/plan-1/audiences/email?format=xlsx", 422),
    ],
)
def test_what_is_not_there_is_said(client: TestClient, path: str, status: int) -> None:
    assert client.get(path).status_code == status


def test_the_newest_jobs_and_plans_are_listed(client: TestClient) -> None:
    document = client.get("/v1/plans").json()

    assert (document["jobs"][0]["id"], document["plans"][0]["channels"]) == ("job-1", ["email"])


def test_where_no_population_is_known_it_is_said(service: FakeService) -> None:
    service.plans = NoPlans()  # type: ignore[assignment]
    with TestClient(create_app(service)) as client:
        answers = [client.post("/v1/plans", json={}), client.get("/v1/plans"), client.get("/v1/plans/plan-1")]

    assert [answer.status_code for answer in answers] == [503] * 3
