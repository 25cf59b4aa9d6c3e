"""The current session: its definition against a naive reading, and online what the offline build says at the same moment."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from features.build import infer_contract
from features.merging import EVENT_SCHEMA
from features.online import Kept
from features.online_events import OnlineFeatures
from features.online_recent import Fact
from features.packing import as_of_of
from features.store import FeatureDoor, OnlineConfig, microseconds
from tests.features.workspaces import built_rows, day, moment, write_table

MINUTE = 1 / 1440
NAMES = ("session_events", "session_minutes", "session_idle_minutes")
NONE = (None, None, None)
NUMBERS = itertools.count()


@dataclass(frozen=True)
class Visit:
    """An event so many minutes after the first day."""

    minute: float
    session_id: str | None

    @property
    def at(self) -> int:
        return microseconds(moment(day(self.minute * MINUTE)))

    @property
    def fact(self) -> Fact:
        return Fact("event", self.at, "view", "web", None, self.session_id)

    def row(self, contact_id: str, **more: Any) -> dict[str, Any]:
        return {"contact_id": contact_id, "event_type": "view", "channel": "web", "occurred_at": day(self.minute * MINUTE)} | {
            "session_id": self.session_id,
            **more,
        }


def naive(visits: Sequence[Visit], as_of: int) -> tuple[float | None, ...]:
    """Events, minutes and idle minutes of the current session, read off the definition."""
    known = [one for one in visits if one.session_id and one.at < as_of]
    last = max((one.at for one in known), default=None)
    if last is None or as_of - last > 30 * 60_000_000:
        return NONE
    sizes = []
    for session_id in {one.session_id for one in known if one.at == last}:
        moments = [one.at for one in known if one.session_id == session_id and one.at >= last - 86_400_000_000]
        sizes.append((len(moments), as_of - min(moments)))
    events, length = max(sizes)
    return events, length / 60_000_000, (as_of - last) / 60_000_000


def write_visits(folder: Path, rows: list[dict[str, Any]], contacts: Sequence[str]) -> None:
    write_table(folder, "contacts", [{"contact_id": one} for one in contacts])
    write_table(folder, "events", rows)


def session_of(row: dict[str, Any]) -> tuple[float | None, ...]:
    return tuple(None if row[name] is None or row[name] != row[name] else row[name] for name in NAMES)


VISITS = st.builds(
    Visit,
    st.sampled_from([0.0, 1.0, 29.0, 30.0, 31.0, 60.0, 1439.0, 1440.0, 1441.0, 1470.0, 1471.0, 2000.0]),
    st.sampled_from(["a", "a", "b", "ü'", "", None]),
)
HISTORIES = st.lists(VISITS, min_size=1, max_size=8)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories=st.lists(HISTORIES, min_size=3, max_size=8))
@example(histories=[[Visit(0.0, "a"), Visit(1.0, "a"), Visit(1.0, "b"), Visit(31.0, None)], [Visit(0.0, "a"), Visit(1440.0, "a")]])
def test_the_session_at_any_moment_is_what_the_definition_says(tmp_path: Path, histories: list[list[Visit]]) -> None:
    named = {f"c{number}": visits for number, visits in enumerate(histories)}
    rows = [one.row(name) for name, visits in named.items() for one in visits]
    write_visits(tmp_path, [*rows, Visit(9.0, "some").row("another")], list(named))
    moments = [day(minute * MINUTE) for minute in (0.0, 1.0, 30.0, 31.0, 59.0, 1440.0, 1470.0, 1471.5)]
    pairs = [(name, at) for name in named for at in moments]
    built = built_rows(tmp_path, pairs=pairs)
    for name, at in pairs:
        assert session_of(built[name, at]) == pytest.approx(naive(named[name], microseconds(moment(at)))), (name, at)


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> OnlineFeatures:
    folder = tmp_path_factory.mktemp("contract")
    write_visits(folder, [Visit(0.0, "a").row("c")], ["c"])
    return OnlineFeatures(infer_contract(folder))


@settings(max_examples=150, deadline=None)
@given(visits=HISTORIES, data=st.data())
def test_after_events_in_any_order_the_session_is_that_of_all_of_them_at_that_moment(
    features: OnlineFeatures, visits: list[Visit], data: st.DataObject
) -> None:
    """Held to the definition, which the test before holds the offline build to."""
    kept: Kept | None = Kept(None, None)
    now = 0
    for number, one in enumerate(visits, 1):
        now = max(now, one.at + data.draw(st.sampled_from([0, 1, 29 * 60_000_000, 1_800_000_000, 1_800_000_001])))
        assert kept is not None
        kept = features.after(one.fact, now)(kept)
        assert kept is not None and kept.vector is not None
        values = features.packing.values(kept.vector)
        assert values is not None
        as_of = int(as_of_of(kept.vector).astype(np.int64))
        assert session_of(values) == pytest.approx(naive(visits[:number], as_of))


@pytest.fixture(params=["sqlite", "redis"])
def door(request: pytest.FixtureRequest, tmp_path: Path) -> FeatureDoor:
    where = OnlineConfig()
    if request.param == "redis":
        where = OnlineConfig("redis", request.getfixturevalue("redis").address)
    past = [Visit(-2000.0, "s"), Visit(-1000.0, "s"), Visit(-10.0, "s"), Visit(-5.0, None)]
    write_visits(tmp_path, [*(one.row("c") for one in past), Visit(-5000.0, "old").row("d")], ["c", "d"])
    made = FeatureDoor(tmp_path, project=f"sessions{next(NUMBERS)}", online=where)
    made.build(moment(day(0)))
    made.materialize()
    return made


def online(door: FeatureDoor, contact_id: str, minute: float) -> tuple[float | None, ...]:
    columns, _ = door.online([contact_id], now=moment(day(minute * MINUTE)))
    return session_of({name: columns[name][0] for name in NAMES})


def happens(door: FeatureDoor, contact_id: str, *visits: Visit) -> None:
    for one in visits:
        event_id = f"{contact_id} {one}"
        assert door.apply_event(contact_id, one.fact, moment(day(one.minute * MINUTE)), event_id=event_id)


def test_a_session_goes_on_from_the_data_and_ends_when_time_has_passed(door: FeatureDoor) -> None:
    assert online(door, "c", 0.0) == pytest.approx((2, 1000.0, 10.0))  # the first event is longer ago than a session lasts
    assert online(door, "d", 0.0) == NONE
    happens(door, "c", Visit(1.0, "s"), Visit(1.0, "s"))  # the second is the first once more
    happens(door, "d", Visit(2.0, "new"))
    assert online(door, "c", 1.0) == pytest.approx((3, 1001.0, 0.0), abs=1e-6)
    assert online(door, "d", 2.0) == pytest.approx((1, 0.0, 0.0), abs=1e-6)
    assert online(door, "c", 31.0)[0] == 3
    assert online(door, "c", 31.1) == NONE  # nothing happened to end it
    assert online(door, "d", 31.1)[0] == 1
    columns, _ = door.online(["d", "c", "nobody"], now=moment(day(31.5 * MINUTE)))
    assert [bool(one == one) for one in columns["session_events"]] == [True, False, False]
    assert columns["days_since_last_event"][1] == columns["days_since_last_event"][1]


def test_what_a_visitor_did_is_the_contacts_session_after_joining_and_nobodys_after_an_erasure(door: FeatureDoor) -> None:
    happens(door, "visitor", Visit(1.0, "s"), Visit(3.0, "s"))
    door.materialize({"visitor": "c"})
    assert online(door, "c", 3.0) == pytest.approx((4, 1003.0, 0.0), abs=1e-6)
    door.forget(["visitor", "c"])
    assert online(door, "visitor", 3.0) == NONE
    happens(door, "c", Visit(4.0, "s"))
    assert online(door, "c", 4.0)[0] == 1


def test_an_audit_recomputes_the_sessions_that_events_began(door: FeatureDoor) -> None:
    told = {"c": [Visit(1.0, "s"), Visit(0.5, "s")], "d": [Visit(2.0, "n"), Visit(8.0, None)]}
    for contact_id, visits in told.items():
        happens(door, contact_id, *visits)
    rows = [one.row(name, event_id=f"{name} {one}") for name, visits in told.items() for one in visits]
    events = pa.Table.from_pylist(rows, EVENT_SCHEMA)
    assert set(door.skew([events]).values()) == {0.0}
    skewed = door.skew([events.slice(0, 1)])  # the audit does not know of d's session
    assert skewed["session_events"] > 0


def test_without_sessions_in_the_events_there_are_no_features_of_them(tmp_path: Path) -> None:
    write_visits(tmp_path, [Visit(0.0, None).row("c"), Visit(1.0, "").row("c")], ["c"])
    contract = infer_contract(tmp_path)
    assert not set(NAMES) & set(contract.names)
    assert OnlineFeatures(contract).of_sessions == ()


def test_attributes_with_the_names_of_session_features_stay_what_they_are(tmp_path: Path) -> None:
    write_table(tmp_path, "contacts", [{"contact_id": "c", "session_idle_minutes": 7.0}])
    write_table(tmp_path, "events", [Visit(-1.0, "s").row("c")])
    door = FeatureDoor(tmp_path, project="theirs", online=OnlineConfig())
    door.build(moment(day(0)))
    door.materialize()
    assert online(door, "c", 1.0)[0::2] == (1, 7.0)
    assert online(door, "c", 60.0) == (None, None, 7.0)
