"""The measured reports over HTTP: the same as on the command line, one at a time."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from serving.app import create_app
from serving.ports.reports import NoReports
from tests.serving.fake_service import FakeService


@pytest.mark.parametrize("name", ["roi", "channels", "goals", "segments", "value-finder", "models", "data"])
def test_each_report_has_its_route(client: TestClient, name: str) -> None:
    assert client.get(f"/v1/reports/{name}").json()["report"] == name


def test_what_is_asked_for_is_handed_down(client: TestClient) -> None:
    found = client.get("/v1/reports/channels?period=2026-Q3&drop=true").json()
    assert (found["period"]["begin"], found["drop"]) == ("2026-Q3", {})
    assert client.get("/v1/reports/channels").json()["drop"] is None  # plans without each channel take long: only where asked for


def test_where_there_is_no_workspace_the_answer_says_so(service: FakeService) -> None:
    service.reports = NoReports()  # type: ignore[assignment]
    with TestClient(create_app(service)) as client:
        answer = client.get("/v1/reports/roi")
    assert answer.status_code == 503
    assert answer.json()["detail"].startswith("there is nothing to report on here")
