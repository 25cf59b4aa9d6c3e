"""A cart with no purchase within the hour, and a contract that ends: found by time, in a workspace as users have it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nudge.ground.workspace import Workspace
from nudge.verbs.opening import open_service
from serving.schemas.events import EventIn
from tests.nudge.shops import CATALOG, Shop

CONTACTS = """SELECT 'c-' || i AS contact_id, 30 AS age, false AS has_loan, current_date + i::INTEGER AS contract_end FROM range(60) r(i)"""
EVENTS = """SELECT 'c-' || i % 50 AS contact_id,
  CASE WHEN i % 3 = 0 THEN 'buy' ELSE 'cart' END AS event_type, 10.0 AS value, 'in-' || i AS event_id,
  now()::TIMESTAMP - INTERVAL 20 DAY + INTERVAL 1 HOUR * i AS occurred_at FROM range(300) r(i)"""
LEFT = "days_since_last_cart BETWEEN 1.0 / 24 AND 1 AND coalesce(days_since_last_buy > days_since_last_cart, true)"
TRIGGERS = [
    {"id": "left", "enters": LEFT, "every_minutes": 5, "actions": ["loan"]},
    {"id": "ending", "enters": "contract_end BETWEEN clock.today AND clock.in_30_days", "every_minutes": 1440, "actions": ["loan"]},
]


@pytest.fixture
def ready(shop: Shop) -> Shop:
    shop.write(catalog={**CATALOG, "triggers": TRIGGERS}, sources={"contacts": CONTACTS, "events": EVENTS})
    answer = shop.run("ingest")
    assert answer.code == 0, answer.err
    return shop


def _happen(shop: Shop, *events: tuple[str, str, float]) -> None:
    now = datetime.now(UTC)
    service = open_service(Workspace.open(shop.folder))
    try:
        for contact_id, event_type, minutes in events:
            at = now - timedelta(minutes=minutes)
            service.events.record([EventIn(contact_id=contact_id, event_type=event_type, occurred_at=at)])
    finally:
        service.close()


def _run(shop: Shop, *names: str) -> tuple[dict[str, Any], dict[str, int]]:
    answer = shop.run("triggers", "run", *names)
    assert answer.code == 0, answer.err
    return {one["trigger"]: one for one in answer.document["triggers"]}, answer.document["decided"]


def test_who_left_a_cart_an_hour_ago_is_decided_on_and_who_bought_or_still_looks_is_not(ready: Shop) -> None:
    first, decided = _run(ready)
    assert (first["left"]["first"], first["left"]["inside"], decided) == (True, 0, {})
    ending = first["ending"]["inside"]
    assert ending in (30, 31)  # today in Warsaw may be tomorrow in UTC
    assert first["ending"]["contacts"] == 60
    _happen(ready, ("c-1", "cart", 75.0), ("c-2", "cart", 45.0), ("c-3", "cart", 75.0), ("c-3", "buy", 30.0), ("new", "cart", 75.0))
    second, decided = _run(ready, "left")
    assert (second["left"]["contacts"], second["left"]["entered"], decided) == (61, 2, {"decided": 2})
    assert _run(ready)[1] == {}
    held = ready.run("export-contact", "c-1").document
    (decision,) = held["ledger"]["decisions"]
    assert decision["trace"]["features"]["days_since_last_cart"] == pytest.approx(75 / 1440, abs=0.01)
    assert {one["trigger"]: one["inside"] for one in ready.run("triggers", "list").document["triggers"]} == {"left": 2, "ending": ending}
    assert ready.run("triggers", "run", "lefd").err.count("is no trigger that time fires") == 1
    assert "first look" not in ready.run("triggers", "run", json_output=False).out
