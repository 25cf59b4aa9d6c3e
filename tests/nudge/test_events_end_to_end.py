"""An event over HTTP in a whole workspace: known online at once, part of the history at the next build, and the two sides agree."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest

from nudge.ground.workspace import Workspace
from nudge.verbs.opening import open_service
from serving.schemas.events import EventIn
from serving.schemas.people import ConsentIn, IdentityIn
from serving.service import Service
from tests.nudge.shops import CONSENTS, CONTACTS, Shop

NOW = datetime.now(UTC)
EVENTS = """SELECT 'c-' || i % 50 AS contact_id, 'buy' AS event_type, 10.0 + i AS value, 'web' AS channel, 'in-' || i AS event_id,
  's-' || i AS session_id, now()::TIMESTAMP - INTERVAL 20 DAY + INTERVAL 1 HOUR * i AS occurred_at FROM range(300) r(i)"""


@pytest.fixture
def events_shop(shop: Shop) -> Shop:
    shop.write(sources={"contacts": CONTACTS, "consents": CONSENTS, "events": EVENTS})
    for command in (["ingest"], ["features", "materialize"]):
        answer = shop.run(*command)
        assert answer.code == 0, answer.err
    return shop


def _happen(shop: Shop, *events: dict[str, Any]) -> dict[str, Any]:
    service: Service = open_service(Workspace.open(shop.folder))
    try:
        return service.events.record([EventIn.model_validate({"event_type": "buy", "channel": "web", **one}) for one in events])
    finally:
        service.close()


def _bought(shop: Shop, contact_id: str) -> float:
    columns, _ = Workspace.open(shop.folder).open_door().online([contact_id])
    return float(columns["purchase_value_365d"][0])


def _session_events(shop: Shop, contact_id: str) -> float:
    columns, _ = Workspace.open(shop.folder).open_door().online([contact_id])
    assert columns["last_event_type"][0] == "buy"
    return float(columns["session_events"][0])


def _says(shop: Shop, contact_id: str, status: str, **more: Any) -> None:
    service = open_service(Workspace.open(shop.folder))
    try:
        service.people.consent(contact_id, "email_marketing", ConsentIn.model_validate({"status": status, **more}))
    finally:
        service.close()


def _agrees(shop: Shop, contact_id: str) -> bool:
    columns, _ = Workspace.open(shop.folder).open_door().online([contact_id])
    return bool(columns["consent_email_marketing"][0])


def _skew(shop: Shop) -> set[float]:
    answer = shop.run("features", "audit")
    assert answer.code == 0, answer.err
    return set(answer.document["skew"].values())


def test_events_are_known_at_once_and_stay_through_builds_materialisations_and_ingests(events_shop: Shop) -> None:
    before = _bought(events_shop, "c-7")
    late = (NOW - timedelta(days=19)).isoformat()
    receipt = _happen(
        events_shop,
        {"contact_id": "c-7", "event_id": "h-1", "value": 100.0, "session_id": "visit"},
        {"contact_id": "c-7", "event_id": "h-2", "value": 50.0, "occurred_at": late},
        {"contact_id": "new", "event_id": "h-3", "value": 5.0},
    )
    assert receipt["accepted"] == 3
    assert _bought(events_shop, "c-7") == before + 150.0
    assert _session_events(events_shop, "c-7") == 1
    assert _skew(events_shop) == {0.0}  # recomputed offline with the events that no build knows yet
    for command in (
        ["features", "materialize"],
        ["features", "build"],
        ["features", "materialize"],
        ["ingest"],
        ["features", "materialize"],
    ):
        answer = events_shop.run(*command)
        assert answer.code == 0, answer.err
        assert (_bought(events_shop, "c-7"), _bought(events_shop, "new")) == (before + 150.0, 5.0), command
        assert _happen(events_shop, {"contact_id": "c-7", "event_id": "h-1", "value": 100.0})["duplicates"] == 1
    assert _skew(events_shop) == {0.0}
    path = events_shop.folder / "data" / "events.parquet"
    assert duckdb.sql(f"SELECT count(*), count(DISTINCT event_id) FROM '{path}'").fetchall() == [(303, 303)]
    for command in (["erase", "c-7"], ["ingest"], ["verify-ledger"]):
        assert events_shop.run(*command).code == 0
    assert duckdb.sql(f"SELECT count(*) FROM '{path}' WHERE contact_id = 'c-7' OR event_id IN ('h-1', 'h-2')").fetchall() == [(0,)]


def test_consents_are_features_at_once_and_stay_through_builds_materialisations_and_ingests(events_shop: Shop) -> None:
    late = (NOW - timedelta(days=400)).isoformat()
    ahead = (NOW + timedelta(days=3)).isoformat()
    assert [_agrees(events_shop, one) for one in ("c-1", "c-3", "c-160", "c-170")] == [True, True, False, False]
    _says(events_shop, "c-1", "revoked")
    _says(events_shop, "c-3", "denied", changed_at=late)  # what was ingested is newer
    _says(events_shop, "c-160", "granted")
    _says(events_shop, "c-170", "granted", changed_at=ahead)
    expected = [False, True, True, False]
    assert _skew(events_shop) == {0.0}  # recomputed offline with what no build knows yet
    for command in (
        ["features", "materialize"],
        ["features", "build"],
        ["features", "materialize"],
        ["ingest"],
        ["features", "materialize"],
    ):
        answer = events_shop.run(*command)
        assert answer.code == 0, answer.err
        assert [_agrees(events_shop, one) for one in ("c-1", "c-3", "c-160", "c-170")] == expected, command
    assert _skew(events_shop) == {0.0}


def test_a_visitor_who_becomes_a_contact_brings_along_what_they_did_at_once(events_shop: Shop) -> None:
    before = _bought(events_shop, "c-8")
    _happen(events_shop, {"anonymous_id": "v-1", "event_id": "w-1", "value": 7.0}, {"contact_id": "c-8", "event_id": "w-2", "value": 1.0})
    service = open_service(Workspace.open(events_shop.folder))
    try:
        for _ in range(2):  # the second time nothing is left to do
            service.people.join(IdentityIn(anonymous_id="v-1", contact_id="c-8"))
            assert _bought(events_shop, "c-8") == before + 8.0
    finally:
        service.close()
    _happen(events_shop, {"anonymous_id": "v-1", "event_id": "w-3", "value": 2.0})
    assert _bought(events_shop, "c-8") == before + 10.0
    assert _skew(events_shop) == {0.0}
    for command in (["features", "materialize"], ["features", "build"], ["features", "materialize"]):
        assert events_shop.run(*command).code == 0
        assert _bought(events_shop, "c-8") == before + 10.0, command
