"""Metrics: what was answered is counted, cheaply and once, in one process or in several."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from serving.app import create_app
from serving.http.desk import Patience
from serving.watching import tally as tallies
from serving.watching.metric_sums import BUCKETS, SharedSums, Sums
from serving.watching.metrics import Metrics
from serving.watching.tally import Tally
from serving.watching.vitals import Vitals
from tests.serving.fake_service import FakeService
from tests.serving.small_house import House, small_house

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


def scraped(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """(name of the sample, its labels' values) -> value, read by Prometheus' own parser."""
    families = text_string_to_metric_families(text)
    return {(one.name, tuple(one.labels.values())): one.value for family in families for one in family.samples}


def told(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    return scraped(metrics.exposition().decode())


def test_calls_are_counted_by_the_route_as_it_is_written(client: TestClient) -> None:
    client.post("/v1/decisions", json={"contact_id": "c-1"})
    client.post("/v1/decisions", json={"contact_id": "c-1", "limt": 3})
    client.post("/v1/outcomes", json=[{"event_id": "e-1", "contact_id": "c-1", "outcome": "sale"}])
    client.get("/v1/contacts/c-1")
    client.get("/v1/contacts/nobody")
    client.get("/no/such/page?a=1")
    answer = client.get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = scraped(answer.text)
    calls = {labels: value for (name, labels), value in found.items() if name == "nudge_http_requests_total"}
    assert calls == {
        ("POST", "/v1/decisions", "200"): 1,
        ("POST", "/v1/decisions", "422"): 1,
        ("POST", "/v1/outcomes", "202"): 1,
        ("GET", "/v1/contacts/{contact_id}", "200"): 1,
        ("GET", "/v1/contacts/{contact_id}", "404"): 1,
        ("GET", "other", "404"): 1,
    }
    assert found["nudge_http_request_seconds_count", ("/v1/decisions",)] == 2


def test_the_stages_of_a_decision_are_told_apart(client: TestClient) -> None:
    for _ in range(3):
        client.post("/v1/decisions", json={"contact_id": "c-1"})
    found = scraped(client.get("/metrics").text)

    took = {"features": 0.4, "score": 1.1, "decide": 0.2, "log": 0.6, "total": 2.5}
    for stage, milliseconds in took.items():
        assert found["nudge_decision_seconds_count", (stage,)] == 3
        assert found["nudge_decision_seconds_sum", (stage,)] == pytest.approx(3 * milliseconds / 1e3)


def test_what_serves_is_told_and_what_costs_time(client: TestClient) -> None:
    found = scraped(client.get("/metrics").text)
    assert found["nudge_snapshot_info", ("2026-11-22#9f2c",)] == 1
    assert found["nudge_models_left_out", ("uplift",)] == 1
    assert found["nudge_snapshot_refused", ()] == 0


def test_what_is_shed_is_counted(service: FakeService) -> None:
    with TestClient(create_app(service, patience=Patience(seconds=-1.0))) as client:
        client.app.state.metrics._waiting = lambda: 7  # type: ignore[attr-defined]
        assert scraped(client.get("/metrics").text)["nudge_waiting_requests", ()] == 7
    tally = Tally()
    metrics = Metrics(tally, lambda: 0, lambda: Vitals({}))
    tally.called(tallies.Call("POST", "/v1/decisions", 429, 0.001))
    assert told(metrics)["nudge_shed_requests_total", ()] == 1


def test_durations_stand_in_the_bucket_that_bounds_them() -> None:
    tally = Tally()
    for seconds in (0.0001, 0.00011, 3.0, 99.0):
        tally.called(tallies.Call("GET", "/v1/prices", 200, seconds))
    found = told(Metrics(tally, lambda: 0, lambda: Vitals({})))
    named = [(labels, value) for (name, labels), value in found.items() if name == "nudge_http_request_seconds_bucket"]
    buckets = {bound: value for labels, value in named for bound in labels if bound != "/v1/prices"}
    assert [buckets[bound] for bound in ("0.0001", "0.00025", "2.5", "5.0", "10.0", "+Inf")] == [1, 2, 2, 3, 3, 4]
    assert len(buckets) == len(BUCKETS) + 1


def test_a_reason_with_its_moment_is_one_reason() -> None:
    tally = Tally()
    tally.decided([{"took_ms": {}, "degraded": f"cached features as of 2026-11-22T10:00:0{k}Z"} for k in range(3)])
    assert told(Metrics(tally, lambda: 0, lambda: Vitals({})))["nudge_degraded_decisions_total", ("cached features",)] == 3


def test_how_old_the_features_are_is_told() -> None:
    vitals = Vitals({}, features_as_of=NOW - timedelta(hours=2), features_since=NOW - timedelta(hours=1))
    found = told(Metrics(Tally(), lambda: 0, lambda: vitals, clock=lambda: NOW))
    assert found["nudge_features_age_seconds", ()] == 7_200
    assert found["nudge_features_materialised_timestamp_seconds", ()] == (NOW - timedelta(hours=1)).timestamp()


def test_the_webhooks_messages_are_told_by_their_state() -> None:
    found = told(Metrics(Tally(), lambda: 0, lambda: Vitals({}, messages={"waiting": 3, "dead": 1})))
    assert (found["nudge_webhook_messages", ("waiting",)], found["nudge_webhook_messages", ("dead",)]) == (3, 1)


def test_where_nobody_counts_the_newest_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "MOST_NOTED", 2)
    tally = Tally()
    for status in (200, 201, 202):
        tally.called(tallies.Call("GET", "/", status, 0.0))
    assert [call.status for call in tally.take_calls()] == [201, 202]
    assert tally.take_calls() == []


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with small_house(tmp_path) as found:
        yield found


def test_outcomes_are_told_apart(house: House) -> None:
    from serving.schemas.decisions import OutcomeIn

    decision = house.service.decide(_request())
    said: dict[str, Any] = {"outcome": "sale", "contact_id": "adult"}
    known = {**said, "decision_id": decision["decision_id"]}
    late = house.clock.now + timedelta(days=31)
    house.service.record_outcomes(
        [
            OutcomeIn(event_id="in time", **known),
            OutcomeIn(event_id="late", occurred_at=late, **known),
            OutcomeIn(event_id="orphan", decision_id="d-9", **said),
            OutcomeIn(event_id="in time", **known),
            OutcomeIn(event_id="nonsense", contact_id="adult", outcome="nonsense"),
        ]
    )
    found = told(Metrics(house.service.tally, lambda: 0, house.service.vitals))
    counts = {labels[0]: value for (name, labels), value in found.items() if name == "nudge_outcomes_total"}
    assert counts == {"accepted": 3, "duplicate": 1, "late": 1, "orphan": 1, "rejected": 1}
    assert found["nudge_decision_seconds_count", ("total",)] == 1
    assert [value for (name, _), value in found.items() if name == "nudge_snapshot_info"] == [1]


def _request() -> Any:
    from serving.schemas.decisions import DecisionRequest

    return DecisionRequest(contact_id="adult", channel="web")


WORKER = """
import sys
from pathlib import Path
from serving.watching.metrics import Metrics
from serving.watching.tally import Call, Tally
from serving.watching.vitals import Vitals
tally = Tally()
metrics = Metrics(tally, lambda: 5, lambda: Vitals({}), folder=Path(sys.argv[1]))
for _ in range(3):
    tally.called(Call("GET", "/v1/prices", 200, 0.002))
metrics.count()
"""


def test_whichever_worker_is_scraped_answers_for_all(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", WORKER, tmp_path], check=True)  # it is gone: what it counted stays, and nothing waits in it
    tally = Tally()
    metrics = Metrics(tally, lambda: 2, lambda: Vitals({}), folder=tmp_path)
    for _ in range(4):
        tally.called(tallies.Call("GET", "/v1/prices", 200, 0.002))
    for _ in range(2):  # scraping counts nothing twice
        found = told(metrics)
        assert found["nudge_http_requests_total", ("GET", "/v1/prices", "200")] == 7
        assert found["nudge_http_request_seconds_count", ("/v1/prices",)] == 7
        assert found["nudge_http_request_seconds_sum", ("/v1/prices",)] == pytest.approx(0.014)
        assert found["nudge_waiting_requests", ()] == 2


def test_what_waits_in_the_other_workers_that_live_waits_too(tmp_path: Path) -> None:
    SharedSums(tmp_path).leave(Sums(), 5)
    (tmp_path / f"{os.getpid()}.json").rename(tmp_path / f"{os.getppid()}.json")
    assert told(Metrics(Tally(), lambda: 2, lambda: Vitals({}), folder=tmp_path))["nudge_waiting_requests", ()] == 7
