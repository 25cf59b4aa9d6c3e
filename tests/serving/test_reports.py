"""The funnel report over HTTP: figures of a sample, one report at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from decisioning.errors import Unavailable
from serving.plans.planner import Population
from serving.realtime.snapshot import Snapshot
from serving.service import Service
from tests.serving.fake_service import FakeService
from tests.serving.small_house import House, small_house

IDS = np.array(["adult", "child", "nobody"], dtype=object)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with small_house(tmp_path) as made:
        yield made


def sampling(house: House) -> Service:
    """The house's service, able to read its three contacts."""

    def sample(snapshot: Snapshot, contacts: int) -> Population:
        columns, _ = snapshot.online.online(IDS[:contacts].tolist())
        return Population(IDS[:contacts], columns, np.datetime64("2026-11-22T12:00", "us"), "")

    return Service(house.snapshots, house.ledger, house.clock, sample)


def test_the_funnel_is_that_of_the_sampled_contacts(house: House) -> None:
    house.consent("adult")
    report = sampling(house).report_funnel(3)
    stages = {stage["stage"]: stage for stage in report["stages"]}
    assert (report["contacts"], report["candidates"], report["as_of"]) == (3, 12, "2026-11-22T12:00:00Z")
    assert stages["eligibility"]["rules"] == [{"rule": "age >= 18", "filtered": 4, "contacts": 2}]
    assert (stages["consent"]["available"], stages["consent"]["filtered"], stages["arbitrate"]["passing"]) == (8, 0, 8)
    assert {one["action_id"]: (one["contacts"], one["first_choice"]) for one in report["actions"]} == {"loan": (1, 1), "card": (3, 2)}
    assert report["sensitivity"]["contacts"] == 3
    assert report["without_action"] == {"contacts": 0, "share": 0.0, "reasons": []}


def test_a_smaller_sample_is_asked_for_less(house: House) -> None:
    assert sampling(house).report_funnel(1)["contacts"] == 1


def test_nobody_at_all_is_a_report_of_zeros(house: House) -> None:
    report = sampling(house).report_funnel(0)
    assert (report["contacts"], report["candidates"], [stage["remaining"] for stage in report["stages"]]) == (0, 0, [0.0] * 9)


def test_while_one_report_is_made_another_is_told_to_wait(house: House) -> None:
    begun, go_on = threading.Event(), threading.Event()
    ready = sampling(house)

    def slow(snapshot: Snapshot, contacts: int) -> Population:
        begun.set()
        assert go_on.wait(30)
        columns, _ = snapshot.online.online([])
        return Population(IDS[:0], columns, np.datetime64("2026-11-22", "us"), "")

    service = Service(house.snapshots, house.ledger, house.clock, slow)
    first = threading.Thread(target=service.report_funnel, args=(1,))
    first.start()
    assert begun.wait(30)
    with pytest.raises(Unavailable, match="another report"):
        service.report_funnel(1)
    assert ready.report_funnel(1)["contacts"] == 1
    go_on.set()
    first.join()


def test_without_a_population_the_report_says_what_to_do_instead(house: House) -> None:
    with pytest.raises(Unavailable, match="nudge report funnel"):
        house.service.report_funnel(10)


def test_the_route_says_how_many_contacts_the_figures_are_of(client: TestClient) -> None:
    assert client.get("/v1/reports/funnel").json()["contacts"] == 2_000
    assert client.get("/v1/reports/funnel?contacts=17").json()["contacts"] == 17


@pytest.mark.parametrize("contacts", ["0", "20001", "many"])
def test_a_sample_that_cannot_be_is_refused(client: TestClient, service: FakeService, contacts: str) -> None:
    answer = client.get(f"/v1/reports/funnel?contacts={contacts}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "contacts")
