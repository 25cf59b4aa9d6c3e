"""An event with an id counts once online: however often it is applied, and through a materialisation that knows it or does not."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from features.online_recent import Fact
from features.store import FeatureDoor, OnlineConfig
from tests.features.test_online_events import MICROSECOND, START, at, base_tables
from tests.features.workspaces import day, moment, write_table

NUMBERS = itertools.count()


@pytest.fixture(params=["sqlite", "redis"])
def door(request: pytest.FixtureRequest, tmp_path: Path) -> FeatureDoor:
    for name, rows in base_tables().items():
        write_table(tmp_path, name, rows)
    where = OnlineConfig()
    if request.param == "redis":
        where = OnlineConfig("redis", request.getfixturevalue("redis").address)
    made = FeatureDoor(tmp_path, project=f"once{next(NUMBERS)}", online=where)
    made.build(moment(START))
    made.materialize()
    return made


def _happens(door: FeatureDoor, event_id: str | None, days: float, contact_id: str = "quiet") -> bool:
    return door.apply_event(contact_id, Fact("event", at(days), "buy", "web", 3.0), moment(day(2)), event_id=event_id)


def _counted(door: FeatureDoor, contact_id: str = "quiet") -> float:
    return float(door.online([contact_id])[0]["events_7d"][0])


def test_an_event_that_is_applied_again_counts_once_also_after_a_materialisation(door: FeatureDoor) -> None:
    assert all(_happens(door, event_id, 1) for event_id in ("e-1", "e-1", "e-2"))
    assert _counted(door) == 2
    door.materialize()
    assert _counted(door) == 2
    assert _happens(door, "e-2", 1)
    assert _counted(door) == 2


def test_events_without_an_id_count_each_time(door: FeatureDoor) -> None:
    assert all(_happens(door, None, 1) for _ in range(2))
    assert _counted(door) == 2


def test_a_late_event_that_the_data_do_not_know_outlives_a_materialisation_of_newer_data(door: FeatureDoor, tmp_path: Path) -> None:
    _happens(door, "late", 0.5)
    _happens(door, "known", 0.6)
    newer: dict[str, Any] = {"contact_id": "busy", "event_type": "buy", "occurred_at": day(1), "value": 1.0, "event_id": "other"}
    known = {"contact_id": "quiet", "event_type": "buy", "occurred_at": day(0.6), "value": 3.0, "event_id": "known"}
    write_table(tmp_path, "events", [*base_tables()["events"], known, newer])
    door.build(moment(day(1) + MICROSECOND))
    door.materialize()
    assert _counted(door) == 2


def test_what_a_visitor_without_a_row_did_stays_and_is_the_contacts_after_joining(door: FeatureDoor) -> None:
    _happens(door, "e-1", 1, "visitor")
    door.materialize()
    assert _counted(door, "visitor") == 1
    door.materialize({"visitor": "quiet"})
    assert _counted(door) == 1
