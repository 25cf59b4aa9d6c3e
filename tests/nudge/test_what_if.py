"""Plans that are only asked about, from the command line and over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from decisioning.catalog import parse_catalog
from decisioning.errors import RequestError
from nudge.desks.plans import WorkspacePlans
from nudge.ground.workspace import Workspace
from nudge.verbs.what_if import LimitChange, parse_limit, with_limits
from serving.app import create_app
from tests.nudge.shops import CATALOG, Shop
from tests.serving.fake_service import FakeService

BOUNDED = parse_catalog({**CATALOG, "constraints": [*CATALOG["constraints"], {"id": "least", "measure": "contacts", "min": 5}]})


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("budget=40", LimitChange("budget", max=40.0)),
        ("least=7", LimitChange("least", min=7.0)),
        ("budget=1..40", LimitChange("budget", max=40.0, min=1.0)),
        ("budget=..0.1", LimitChange("budget", max=0.1)),
        ("least=3..", LimitChange("least", min=3.0)),
    ],
)
def test_a_changed_limit_reads_as_one_would_say_it(text: str, change: LimitChange) -> None:
    assert parse_limit(text, BOUNDED) == change


@pytest.mark.parametrize("text", ["budget", "budget=", "budget=..", "budget=much", "budget=-5", "budget=nan", "budget=1e999", "bugdet=4"])
def test_a_changed_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(RequestError):
        parse_limit(text, BOUNDED)


def test_bounds_that_contradict_each_other_are_refused_by_their_constraint() -> None:
    with pytest.raises(RequestError, match="constraints.budget: the minimum is above the maximum"):
        with_limits(BOUNDED, [LimitChange("budget", min=21.0)])


def test_a_part_of_the_population_has_that_part_of_each_limit() -> None:
    scaled = with_limits(BOUNDED, [LimitChange("budget", max=40.0)], share=0.5)
    assert [(one.id, one.min, one.max) for one in scaled.constraints] == [
        ("budget", None, 20.0),
        ("heroes", None, 15.0),
        ("least", 2.5, None),
    ]
    assert scaled.fingerprint != BOUNDED.fingerprint


def test_asking_about_another_budget_changes_the_answer_and_nothing_else(shop: Shop) -> None:
    shop.run("ingest")
    plain = shop.run("plan", "--dry-run").document
    asked = shop.run("plan", "--limit", "heroes=3", "--limit", "budget=5").document

    used = {one["id"]: (one["used"], one["limit"]) for one in asked["constraints"]}
    assert used == {"budget": (5.0, 5.0), "heroes": (3.0, 3.0)}
    assert asked["expected_profit"] < plain["expected_profit"]
    assert (asked["dry_run"], asked["files"]) == (True, [])
    assert not (shop.folder / "exports").exists()
    assert shop.run("plan", "--dry-run").document["expected_profit"] == plain["expected_profit"]


def test_a_sample_estimates_what_the_whole_would_come_to(shop: Shop) -> None:
    shop.run("ingest")
    whole, sampled = shop.run("plan", "--dry-run").document, shop.run("plan", "--sample", "100").document

    assert sampled["sample"] == {"contacts": 100, "of": 200}
    assert sampled["contacts"] == 200
    assert [one["limit"] for one in sampled["constraints"]] == [20.0, 30.0]
    assert sampled["expected_profit"] == pytest.approx(whole["expected_profit"], rel=0.2)
    assert "sample" not in shop.run("plan", "--sample", "200").document


def test_a_question_publishes_nothing(shop: Shop) -> None:
    shop.run("ingest")
    answer = shop.run("plan", "--prices-only", "--sample", "5")
    assert answer.code == 2
    assert answer.err.startswith("nudge: --prices-only: a question about other limits, or about a sample, publishes nothing")


@pytest.fixture
def client(shop: Shop) -> Iterator[TestClient]:
    shop.run("ingest")
    service = FakeService()
    service.plans = WorkspacePlans(Workspace.open(shop.folder))  # type: ignore[assignment]
    with TestClient(create_app(service)) as opened:
        yield opened
    service.plans.close()


def _completed(client: TestClient, path: str) -> dict[str, object]:
    for _ in range(600):
        job: dict[str, object] = client.get(path).json()
        if job["status"] in ("completed", "failed"):
            return job
        time.sleep(0.1)
    raise AssertionError(f"the plan is still {job}")


def test_a_plan_over_http_is_the_plan_of_the_command_line(client: TestClient, shop: Shop) -> None:
    started = client.post("/v1/plans", json={})
    assert started.status_code == 202
    job = _completed(client, started.headers["location"])
    assert job["status"] == "completed", job
    plan_id = str(job["plan_id"])

    folder = shop.folder / "exports" / plan_id
    for kind in ("csv", "parquet"):
        answer = client.get(f"/v1/plans/{job['id']}/audiences/web", params={"format": kind})
        assert answer.content == (folder / f"audience_web.{kind}").read_bytes()
    rows = client.get(f"/v1/plans/{plan_id}/audiences/web?format=ndjson").text.splitlines()
    assert len(rows) == pq.read_table(folder / "audience_web.parquet").num_rows > 0
    restarted = WorkspacePlans(Workspace.open(shop.folder)).plan(plan_id)
    assert restarted["result"]["expected_profit"] == job["result"]["expected_profit"]  # type: ignore[index]
    assert [one["plan_id"] for one in client.get("/v1/plans").json()["plans"]] == [plan_id]
    again = shop.run("plan").document
    assert again["plan_id"] == plan_id
    assert Path(again["files"][0]).parent == folder


def test_a_limit_that_the_catalogue_does_not_have_is_refused_at_once(client: TestClient) -> None:
    answer = client.post("/v1/plans", json={"constraints": [{"id": "bugdet", "max": 5}]})

    assert answer.status_code == 422
    assert "did you mean 'budget'?" in answer.json()["detail"]
    assert client.get("/v1/plans").json() == {"jobs": [], "plans": []}


@pytest.mark.parametrize("plan_id", ["..", "plan-1", "job-1", "%2e%2e%2fdata"])
def test_a_plan_that_nobody_made_is_not_there(client: TestClient, plan_id: str) -> None:
    assert client.get(f"/v1/plans/{plan_id}/audiences/web").status_code == 404
