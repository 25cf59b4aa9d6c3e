"""An event with an id counts once online: however often it is applied, and through a materialisation that knows it or does not."""

from __future__ import annotations

import itertools
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.online import ONLINE_FILE
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


def test_a_store_that_noted_without_keys_goes_on_with_them(tmp_path: Path) -> None:
    for name, rows in base_tables().items():
        write_table(tmp_path, name, rows)
    door = FeatureDoor(tmp_path, project="old", online=OnlineConfig())
    door.build(moment(START))
    door.materialize()
    with sqlite3.connect(tmp_path / ONLINE_FILE) as raw:
        raw.execute('DROP INDEX "old_contact_features_event_keys"')
        raw.execute('ALTER TABLE "old_contact_features_events" DROP COLUMN key')
    raw.close()
    later = FeatureDoor(tmp_path, project="old", online=OnlineConfig())
    assert all(_happens(later, "e-1", 1) for _ in range(2))
    assert _counted(later) == 1


@pytest.fixture(scope="module")
def one_door(tmp_path_factory: pytest.TempPathFactory) -> FeatureDoor:
    folder = tmp_path_factory.mktemp("laws")
    for name, rows in base_tables().items():
        write_table(folder, name, rows)
    made = FeatureDoor(folder, project="laws", online=OnlineConfig())
    made.build(moment(START))
    made.materialize()
    return made


HAPPENED = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from(["buy", "view", "other"]), st.sampled_from([None, 0.1, 19.99, -3.0])),
    min_size=1,
    max_size=8,
)


@settings(max_examples=25, deadline=None)
@given(happened=HAPPENED, data=st.data())
def test_events_in_any_order_and_with_repeats_are_the_events_in_order_once(
    one_door: FeatureDoor, happened: list[Any], data: st.DataObject
) -> None:
    """With `test_online_events.py`, which holds events in order to the offline build: any order and repeats are the offline build too."""
    number = next(NUMBERS)
    facts = {f"e-{place}": Fact("event", at(-days / 2), kind, "web", value) for place, (days, kind, value) in enumerate(happened)}
    in_order = sorted(facts, key=lambda name: facts[name].at)
    told = data.draw(st.permutations(in_order + data.draw(st.lists(st.sampled_from(in_order), max_size=6))))
    for contact_id, names in ((f"plain {number}", in_order), (f"told {number}", told)):
        for name in names:
            one_door.apply_event(contact_id, facts[name], moment(day(3)), event_id=f"{contact_id} {name}")
    plain, jumbled = one_door.read([f"plain {number}", f"told {number}"])
    assert plain == jumbled
