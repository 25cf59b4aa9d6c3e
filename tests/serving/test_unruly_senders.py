"""Outcomes and events as they come from other systems: twice, out of order, weeks late, of nobody, and with no number where one is due."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from ledger.store import Ledger
from serving.app import create_app
from tests.serving.small_house import CATALOG, NOW, House

GOOD = 30


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    sqlite = f"sqlite:///{tmp_path}/ledger.db"
    with Ledger.open(sqlite if request.param == "sqlite" else request.getfixturevalue("new_postgres_database")()) as ledger:
        yield House(ledger, CATALOG)


@pytest.fixture
def client(house: House) -> Iterator[TestClient]:
    with TestClient(create_app(house.service)) as opened:
        yield opened


def _send(client: TestClient, path: str, items: list[dict[str, Any]]) -> tuple[int, int, list[str]]:
    """What a sender does who never knows whether it arrived: everything twice, in any order, some at a time."""
    told, accepted, duplicates, reasons = random.Random(7).sample(items * 2, len(items) * 2), 0, 0, list[str]()
    for start in range(0, len(told), 7):
        body = json.dumps(told[start : start + 7])  # Python writes NaN, which is no JSON: so do others
        answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 202, answer.text
        receipt = answer.json()
        accepted, duplicates = accepted + receipt["accepted"], duplicates + receipt["duplicates"]
        reasons += [one["reason"] for one in receipt["rejected"]]
    return accepted, duplicates, reasons


def test_outcomes_are_summed_once_each_and_every_refusal_is_named(house: House, client: TestClient) -> None:
    decided = [client.post("/v1/decisions", json={"contact_id": f"c-{n}", "channel": "web"}).json()["decision_id"] for n in range(GOOD)]
    late, in_time = (NOW + timedelta(days=40)).isoformat(), (NOW + timedelta(days=1)).isoformat()
    house.clock.advance(days=41)
    good = [
        {"event_id": f"o-{n}", "decision_id": one, "outcome": "sale", "value": float(n), "occurred_at": late if n % 2 else in_time}
        for n, one in enumerate(decided)
    ]
    good += [
        {"event_id": "of nobody we know", "decision_id": "none-such", "contact_id": "c-0", "outcome": "sale", "value": 1000.0},
        {"event_id": "a return", "contact_id": "c-0", "outcome": "reject", "value": -100.0},
    ]
    bad = [
        {"event_id": "b-1", "contact_id": "c-1", "outcome": "sale", "value": float("nan")},
        {"event_id": "b-2", "contact_id": "c-1", "outcome": "sale", "value": -1.0},
        {"event_id": "b-3", "decision_id": "none-such", "outcome": "sale"},
        {"event_id": "b-4", "contact_id": "c-1", "outcome": "sail"},
    ]
    accepted, duplicates, reasons = _send(client, "/v1/outcomes", good + bad)
    assert (accepted, duplicates) == (len(good), len(good))
    for word in ("got NaN", "value -1 of the positive outcome 'sale'", "unknown decision 'none-such'", "did you mean 'sale'"):
        assert sum(word in reason for reason in reasons) == 2, word
    kept = [one for page in house.ledger.outcome_pages(10) for one in page]
    assert sum(one.value or 0.0 for one in kept) == sum(range(GOOD)) + 1000.0 - 100.0
    assert sum(one.late for one in kept) == GOOD // 2
    assert house.ledger.verify().intact


def test_events_are_counted_once_each_and_every_refusal_is_named(house: House, client: TestClient) -> None:
    spans = [timedelta(0), timedelta(days=40), timedelta(days=400)]
    good = [
        {
            "event_id": f"e-{n}",
            "contact_id": f"c-{n % 5}",
            "event_type": "buy",
            "value": float(n),
            "occurred_at": (NOW - spans[n % 3]).isoformat(),
        }
        for n in range(GOOD)
    ]
    good.append({"event_id": "a return", "contact_id": "c-0", "event_type": "buy", "value": -100.0})
    bad = [
        {"event_id": "b-1", "contact_id": "c-1", "event_type": "buy", "value": float("inf")},
        {"event_id": "b-2", "contact_id": "c-1", "event_type": "buy", "occurred_at": (NOW + timedelta(days=1)).isoformat()},
        {"event_id": "b-3", "event_type": "buy"},
    ]
    accepted, duplicates, reasons = _send(client, "/v1/events", good + bad)
    assert (accepted, duplicates) == (len(good), len(good))
    for word in ("finite", "in the future", "a contact_id or an anonymous_id"):
        assert sum(word in reason for reason in reasons) == 2, word
    kept = [one for page in house.ledger.events.settled_pages(10) for one in page]
    assert sum(one.value or 0.0 for one in kept) == sum(range(GOOD)) - 100.0
    assert {name: row["age"] for name, row in house.known.rows.items() if name.startswith("c-")} == {
        "c-0": 7,
        **{f"c-{n}": 6 for n in range(1, 5)},
    }
    assert house.ledger.verify().intact
