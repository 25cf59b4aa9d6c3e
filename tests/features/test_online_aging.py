"""What time alone changes is what an offline build as of the later moment says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from features.online_recent import Fact
from features.store import FeatureDoor, OnlineConfig
from tests.features.test_online_events import START, at, base_tables
from tests.features.workspaces import built_rows, day, moment, write_table

LATER = (0.0, 0.01, 1.0, 6.9, 31.0, 120.5, 364.9, 700.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("aging")
    for name, rows in base_tables().items():
        write_table(made, name, rows)
    return made


@pytest.fixture(scope="module")
def door(folder: Path) -> FeatureDoor:
    made = FeatureDoor(folder, project="aging", online=OnlineConfig())
    made.build(moment(START))
    made.materialize()
    return made


def _plain(value: Any) -> Any:
    return None if value is None or value != value else value


def _everybody(door: FeatureDoor, days: float, names: tuple[str, ...], size: int = 2) -> dict[str, dict[str, Any]]:
    found = {}
    for ids, columns in door.aging().pages(names, moment(day(days)), size):
        assert len(ids) <= size
        found |= {one: {name: _plain(columns[name][place]) for name in columns} for place, one in enumerate(ids)}
    return found


def test_everybody_at_any_later_moment_is_what_is_built_offline(folder: Path, door: FeatureDoor) -> None:
    names = tuple(door.aging().features.computed)
    contacts = ("busy", "quiet", "never", "later", "bulk")
    pairs = [(contact_id, day(days)) for contact_id in contacts for days in LATER]
    offline = built_rows(folder, pairs=pairs, contract=door.contract)
    for days in LATER:
        found = _everybody(door, days, names)
        assert set(found) == set(contacts)
        for contact_id in contacts:
            said, right = found[contact_id], offline[contact_id, day(days)]
            assert {name for name in names if said[name] is None} == {name for name in names if right[name] is None}
            numbers = {name: float(right[name]) for name in names if right[name] is not None and not isinstance(right[name], str)}
            assert {name: said[name] for name in numbers} == pytest.approx(numbers, rel=1e-12, abs=1e-12)
            texts = [name for name in names if isinstance(right[name], str)]
            assert [said[name] for name in texts] == [right[name] for name in texts]


def test_what_is_not_asked_for_stays_as_of_its_vector(door: FeatureDoor) -> None:
    before, after = _everybody(door, 0, ()), _everybody(door, 100, ("days_since_last_event",))
    assert after["busy"]["days_since_last_event"] == pytest.approx(before["busy"]["days_since_last_event"] + 100)
    assert after["busy"]["events_90d"] == before["busy"]["events_90d"] > 0
    assert after["busy"]["age"] == 30


def test_an_event_since_counts_and_a_vector_that_is_later_is_not_brought_back(door: FeatureDoor) -> None:
    assert door.apply_event("visitor", Fact("event", at(3), "buy", "web", 5.0), moment(day(3)), event_id="e")
    assert _everybody(door, 5, ("days_since_last_event",))["visitor"]["days_since_last_event"] == pytest.approx(2.0)
    assert 0 <= _everybody(door, 1, ("days_since_last_event",))["visitor"]["days_since_last_event"] < 1e-6


def test_what_is_older_than_the_store_may_say_is_unknown(folder: Path, door: FeatureDoor) -> None:
    assert door.materialised() is not None
    strict = FeatureDoor(folder, project="aging", online=OnlineConfig(max_age_days=10))
    assert _everybody(strict, 9, ("events_90d",))["busy"]["age"] == 30
    aged = _everybody(strict, 11, ("events_90d",))["busy"]
    assert (aged["age"], aged["events_90d"]) == (None, None)
