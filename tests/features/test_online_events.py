"""Online features after each event are what the offline build says at that moment."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from decisioning.errors import DataError
from features.build import build_offline, infer_contract
from features.built import Built
from features.contract import FeatureContract
from features.online import Kept, contact_of
from features.online_events import MOST_AHEAD, Noted, OnlineFeatures
from features.online_recent import Codes, Fact, Recent
from features.online_rows import OnlineRows
from features.packing import Scalar, as_of_of
from features.store import FeatureDoor, OnlineConfig, microseconds
from tests.features.workspaces import built_rows, day, moment, write_table

START = day(0)
CONTACTS = ("busy", "quiet", "never", "later", "new ü")
TYPES = (*(f"type {number:02}" for number in range(11)), "buy", "rare", "unheard of")
MANY_CHANNELS = tuple(f"channel {number:02}" for number in range(10))  # with two more, as many as have features of their own
CHANNELS = ("web", "app", "email", None, "fax")
MICROSECOND = timedelta(microseconds=1)


def base_tables() -> dict[str, list[dict[str, Any]]]:
    """A past that fills every kind of feature, with facts on the edges of windows that end at `START` and just after."""
    edges = [-400, -365, -90, -30, -7, -364.875, -89.5, -1, -0.25]
    times = [day(edge) + shift for edge in edges for shift in (timedelta(0), MICROSECOND)]
    events: list[dict[str, Any]] = []
    for number, event_type in enumerate(TYPES[:12]):
        for at in times[number % 3 :: 2]:
            value = 19.99 if event_type == "buy" else None
            events.append({"contact_id": "busy", "event_type": event_type, "occurred_at": at, "value": value, "channel": "web"})
    events += [{"contact_id": "busy", "event_type": "rare", "occurred_at": day(-3), "value": 0.1, "channel": "app"}]
    events += [{"contact_id": "quiet", "event_type": "buy", "occurred_at": day(-200), "value": 5.0, "channel": "web"}]
    events += [
        {"contact_id": "bulk", "event_type": event_type, "occurred_at": day(-1), "channel": channel}
        for event_type, channel in zip(TYPES[:12], ("web", "app", *MANY_CHANNELS), strict=True)
        for _ in range(200)
    ]
    touches = [("busy", at, "email") for at in times] + [("quiet", day(-20), "sms"), ("busy", day(-2), "no action")]
    touches += [("bulk", day(-2), channel) for channel in ("sms", "email", *MANY_CHANNELS) for _ in range(200)]
    interactions = [
        {
            "interaction_id": f"i{number}",
            "contact_id": contact,
            "action_id": "no_action" if channel == "no action" else "mail",
            "channel": channel,
            "occurred_at": at,
        }
        for number, (contact, at, channel) in enumerate(touches)
    ]
    outcomes = [
        {"contact_id": None, "interaction_id": f"i{number}", "outcome": "x", "behaviour": kind, "occurred_at": at}
        for number, at in enumerate(times)
        for kind in ("positive", None, "negative", "neutral")
    ]
    contacts = [
        {"contact_id": contact, "account_id": "firm" if contact != "never" else None, "valid_from": from_, "age": 30, "name": contact}
        for contact, from_ in (("busy", day(-500)), ("quiet", None), ("never", None), ("later", day(-0.5)), ("bulk", None))
    ]
    consents = [{"contact_id": "busy", "purpose": "mail", "status": "granted", "changed_at": day(-5)}]
    return {"contacts": contacts, "events": events, "interactions": interactions, "outcomes": outcomes, "consents": consents}


@dataclass(frozen=True)
class World:
    """A workspace, its contract, and what is stored of its contacts as of `START`."""

    folder: Path
    contract: FeatureContract
    stored: dict[str, Kept]


@functools.lru_cache(maxsize=1)
def world() -> World:
    folder = Path(tempfile.mkdtemp())
    for name, rows in base_tables().items():
        write_table(folder, name, rows)
    contract = infer_contract(folder)
    build_offline(folder, contract, folder / "built.parquet", as_of=moment(START))
    with OnlineRows(folder, Built(contract, moment(START), 0, folder)) as rows:
        # `built.files` takes every parquet file of a folder.
        stored = {contact_of(key): Kept(vector, recent) for chunk in rows.chunks() for key, vector, recent in chunk}
    return World(folder, contract, stored)


@pytest.fixture(scope="module", autouse=True)
def gone_at_the_end() -> Iterator[None]:
    yield
    shutil.rmtree(world().folder)
    world.cache_clear()


@contextmanager
def with_histories(histories: dict[str, tuple[str, list[Fact]]]) -> Iterator[Path]:
    """The workspace with further contacts, each with the past of one that there is and with facts of its own after it."""
    tables = base_tables()
    base = {name: list(rows) for name, rows in tables.items()}
    whose = {row["interaction_id"]: row["contact_id"] for row in base["interactions"]}
    for name, (like, facts) in histories.items():
        tables["contacts"] += [row | {"contact_id": name} for row in base["contacts"] if row["contact_id"] == like]
        tables["events"] += [row | {"contact_id": name} for row in base["events"] if row["contact_id"] == like]
        own = [row for row in base["interactions"] if row["contact_id"] == like]
        tables["interactions"] += [row | {"contact_id": name, "interaction_id": f"{name} {row['interaction_id']}"} for row in own]
        tables["consents"] += [row | {"contact_id": name} for row in base["consents"] if row["contact_id"] == like]
        outcomes = [row for row in base["outcomes"] if whose[row["interaction_id"]] == like]
        tables["outcomes"] += [row | {"interaction_id": f"{name} {row['interaction_id']}"} for row in outcomes]
        for number, fact in enumerate(facts):
            row = {"contact_id": name, "occurred_at": time_of(fact.at)}
            if fact.kind == "event":
                tables["events"].append({**row, "event_type": fact.event_type, "value": fact.value, "channel": fact.channel})
            elif fact.kind == "touch":
                touch = {"interaction_id": f"{name} new {number}", "action_id": "mail", "channel": fact.channel}
                tables["interactions"].append({**row, **touch})
            elif fact.is_consent:
                said = {
                    "purpose": fact.purpose,
                    "status": "granted" if fact.kind == "granted" else "revoked",
                    "changed_at": row["occurred_at"],
                }
                tables["consents"].append({"contact_id": name, **said})
            else:
                tables["outcomes"].append({**row, "outcome": "x", "behaviour": fact.kind})
    with tempfile.TemporaryDirectory() as folder:
        for table, rows in tables.items():
            write_table(Path(folder), table, rows)
        yield Path(folder)


def time_of(at: int) -> datetime:
    return np.datetime64(at, "us").astype(datetime)


def at(days: float, microseconds_more: int = 0) -> int:
    return microseconds(moment(day(days))) + microseconds_more


@st.composite
def streams(draw: st.DrawFn) -> tuple[str, list[tuple[Fact, int]]]:
    """A contact, and (fact, now) in the order in which they are applied: in time mostly, some late, some long after."""
    steps: list[tuple[Fact, int]] = []
    clock = 0.0
    for _ in range(draw(st.integers(1, 8))):
        clock += draw(st.sampled_from([0.0, 0.0, 0.125, 1.0, 6.875, 30.0, 90.0, 364.875]))
        late = draw(st.sampled_from([0.0, 0.0, 0.0, 0.125, 7.0, 200.0, 500.0]))
        fact = Fact(
            draw(st.sampled_from(["event", "event", "event", "touch", "positive", "negative", "granted", "refused"])),
            at(clock - late, draw(st.sampled_from([0, 0, 1]))),
            draw(st.sampled_from(TYPES)),
            draw(st.sampled_from(CHANNELS)),
            draw(st.sampled_from([None, 0.0, -3.0, 0.1, 19.99, 1e-9, 2.5e-6, 1e9])),
            purpose="mail",
        )
        steps.append((fact, at(clock, draw(st.sampled_from([0, 1, 3_600_000_000])))))
    return draw(st.sampled_from(CONTACTS)), steps


def numbers(row: dict[str, Any], names: list[str]) -> dict[str, Any]:
    return {name: row[name] for name in names}


def assert_equal(online: dict[str, Scalar], offline: dict[str, Any]) -> None:
    assert {name for name in online if online[name] is None} == {name for name in offline if offline[name] is None}
    known = {name: value for name, value in offline.items() if value is not None}
    floats = {name: value for name, value in known.items() if isinstance(value, float)}
    assert {name: online[name] for name in floats} == pytest.approx(floats, rel=1e-12, abs=1e-12)
    assert {name: online[name] for name in known.keys() - floats.keys()} == {name: known[name] for name in known.keys() - floats.keys()}


def buy(days: float, value: float, now: float) -> tuple[Fact, int]:
    return Fact("event", at(days), "buy", "web", value), at(now)


@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(drawn=st.lists(streams(), min_size=1, max_size=6))
@example(drawn=[("busy", [buy(0, 1.0, 0), buy(0, 1.0, 0)]), ("quiet", [buy(-450, 2.0, 1), buy(-450.1, 3.0, 1), buy(-460, 4.0, 1)])])
def test_after_each_event_the_vector_is_what_the_offline_build_says_at_that_moment(drawn: list[tuple[str, list[tuple[Fact, int]]]]) -> None:
    features = OnlineFeatures(world().contract)
    histories: dict[str, tuple[str, list[Fact]]] = {}
    online: dict[tuple[str, datetime], dict[str, Scalar]] = {}
    for stream, (contact_id, steps) in enumerate(drawn):
        kept: Kept | None = world().stored.get(contact_id, Kept(None, None))
        for number, (fact, now) in enumerate(steps):
            assert kept is not None
            kept = features.after(fact, now)(kept)
            assert kept is not None and kept.vector is not None
            # Offline, a contact of its own for what had been told after each step: facts that come late must not be known before.
            name = f"{stream} after {number}"
            histories[name] = (contact_id, [fact for fact, _ in steps[: number + 1]])
            values = features.packing.values(kept.vector)
            assert values is not None
            online[name, as_of_of(kept.vector).astype(datetime)] = values
    names = list(features.computed)
    with with_histories(histories) as folder:
        offline = built_rows(folder, pairs=list(online), contract=features.contract)
    for pair, values in online.items():
        assert_equal(numbers(values, names), numbers(offline[pair], names))


def test_every_feature_of_ones_own_events_touches_and_outcomes_is_brought_up_to_date() -> None:
    features = OnlineFeatures(world().contract)
    assert set(features.kept) == {
        "age",
        "name",
        "account_id",
        "account_contacts",
        "account_events_90d",
        "account_purchase_value_365d",
        "account_touches_30d",
    }


def test_what_no_event_touches_stays_as_it_was_materialised() -> None:
    features = OnlineFeatures(world().contract)
    before = world().stored["busy"]
    after = features.after(Fact("event", at(2), "buy", "web", 7.0), at(2))(before)
    assert after is not None
    old, new = features.packing.values(before.vector), features.packing.values(after.vector)
    assert old is not None and new is not None
    assert {name: new[name] for name in features.kept} == {name: old[name] for name in features.kept}
    assert old["consent_mail"] is new["consent_mail"] is True


def test_of_two_statuses_the_newest_holds_and_at_one_moment_the_refusal() -> None:
    features = OnlineFeatures(world().contract)
    kept: Kept | None = world().stored["busy"]
    told = [("refused", 2, False), ("granted", 1, False), ("granted", 2, False), ("granted", 3, True), ("refused", 3, False)]
    for kind, days, holds in told:
        assert kept is not None
        kept = features.after(Fact(kind, at(days), purpose="mail"), at(4))(kept)  # type: ignore[arg-type]
        assert kept is not None
        values = features.packing.values(kept.vector)
        assert values is not None
        assert values["consent_mail"] is holds, (kind, days)


def test_a_contact_nobody_knows_is_as_the_offline_build_has_one_who_is_in_no_table() -> None:
    features = OnlineFeatures(world().contract)
    fact = Fact("event", at(1), "type 03", "app")
    kept = features.after(fact, at(1))(Kept(None, None))
    assert kept is not None
    values = features.packing.values(kept.vector)
    assert values is not None
    with with_histories({"new ü": ("new ü", [fact])}) as folder:
        [row] = built_rows(folder, pairs=[("new ü", day(1) + MICROSECOND)], contract=features.contract).values()
    assert_equal(values, row)


def test_what_is_kept_of_a_contact_is_what_its_facts_make_one_after_the_other() -> None:
    codes = Codes.of(world().contract)
    longest = OnlineFeatures(world().contract).longest
    recent = Recent.from_bytes(Recent.nothing(codes).to_bytes(codes), codes)
    assert recent is not None
    tables = base_tables()
    facts = [
        Fact("event", at_of(row), row["event_type"], row["channel"], row["value"])
        for row in tables["events"]
        if row["contact_id"] == "quiet"
    ]
    facts += [Fact("touch", at_of(row), None, row["channel"]) for row in tables["interactions"] if row["contact_id"] == "quiet"]
    for fact in facts:
        recent = recent.after(fact, codes, at(0) - longest)
    assert recent.to_bytes(codes) == world().stored["quiet"].recent


def at_of(row: dict[str, Any]) -> int:
    return microseconds(moment(row["occurred_at"]))


def test_a_type_and_a_channel_are_the_last_also_where_attributes_have_the_names_of_their_counts(tmp_path: Path) -> None:
    theirs = ("go_count_30d", "go_count_365d", "days_since_last_go", "events_web_90d")
    write_table(tmp_path, "contacts", [{"contact_id": "c", **dict.fromkeys(theirs, 1.0)}])
    events = [{"event_type": "go", "channel": "web"}, {"event_type": "stay", "channel": "app"}]
    write_table(tmp_path, "events", [{"contact_id": "c", "occurred_at": day(-1 - place), **row} for place, row in enumerate(events)])
    door = FeatureDoor(tmp_path, project="theirs", online=OnlineConfig())
    door.build(moment(START))
    door.materialize()
    told = []
    for number, (event_type, channel) in enumerate([("stay", "app"), ("go", "web"), ("rare", "web")], 1):
        told.append(tuple(door.online(["c"])[0][name][0] for name in ("last_event_type", "last_event_channel")))
        assert door.apply_event("c", Fact("event", at(number), event_type, channel), moment(day(number)))
    assert told == [("go", "web"), ("stay", "app"), ("go", "web")]
    assert door.online(["c"])[0]["last_event_type"][0] is None  # a type without features of its own


def test_a_vector_of_another_contract_or_without_a_past_is_left_alone() -> None:
    features = OnlineFeatures(world().contract)
    change = features.after(Fact("event", at(1), "buy", "web", 1.0), at(1))
    kept = world().stored["busy"]
    assert kept.vector is not None and kept.recent is not None
    assert change(Kept(kept.vector, None)) is None
    assert change(Kept(b"another" + kept.vector, kept.recent)) is None
    assert change(Kept(kept.vector, b"another" + kept.recent)) is None


def test_an_event_of_the_future_and_money_that_is_none_are_refused() -> None:
    features = OnlineFeatures(world().contract)
    features.after(Fact("event", at(1) + MOST_AHEAD, "buy"), at(1))
    with pytest.raises(DataError, match="in the future"):
        features.after(Fact("event", at(1) + MOST_AHEAD + 1, "buy"), at(1))
    for value in (float("nan"), float("inf")):
        with pytest.raises(DataError, match="not an amount of money"):
            features.after(Fact("event", at(1), "buy", None, value), at(1))


def test_a_note_holds_a_fact_exactly() -> None:
    fact = Fact("event", at(1, 1), 'a "type" ü', None, 0.1 + 0.2)
    assert Noted.from_bytes(Noted("c\ud800", fact).to_bytes()) == Noted("c\ud800", fact)


def test_a_contract_without_events_has_nothing_to_bring_up_to_date(tmp_path: Path) -> None:
    write_table(tmp_path, "contacts", [{"contact_id": "c", "age": 40}])
    door = FeatureDoor(tmp_path, project="plain", online=OnlineConfig())
    door.build(moment(START))
    assert door.materialize() == 1
    assert not door.apply_event("c", Fact("event", at(1), "buy"), moment(day(1)))
    assert door.online(["c"])[0]["age"] == 40


def test_events_that_the_data_do_not_know_outlive_a_materialisation_and_are_not_counted_twice(tmp_path: Path) -> None:
    tables = base_tables()
    for name, rows in tables.items():
        write_table(tmp_path, name, rows)
    door = FeatureDoor(tmp_path, project="events", online=OnlineConfig())
    door.build(moment(START))
    door.materialize()

    def counted() -> float:
        return float(door.online(["quiet"])[0]["events_7d"][0])

    for days in (1, 2):
        assert door.apply_event("quiet", Fact("event", at(days), "buy", "web", 3.0), moment(day(days)))
    assert counted() == 2
    door.materialize()
    assert counted() == 2
    events = [*tables["events"], {"contact_id": "quiet", "event_type": "buy", "occurred_at": day(1), "value": 3.0, "channel": "web"}]
    write_table(tmp_path, "events", events)
    door.build(moment(day(1) + MICROSECOND))
    door.materialize()
    assert counted() == 2  # the first from the data, the second noted
    write_table(tmp_path, "events", [*events, events[-1] | {"occurred_at": day(2)}])
    door.build(moment(day(2) + MICROSECOND))
    door.materialize()
    assert counted() == 2
    door.materialize()
    assert counted() == 2


def test_the_whole_population_is_stored_with_what_was_built(tmp_path: Path) -> None:
    rows = {
        row["contact_id"]: row
        for row in pq.read_table(world().folder / "built.parquet").to_pylist()
        if row["event_timestamp"].replace(tzinfo=None) == START
    }
    features = OnlineFeatures(world().contract)
    assert set(world().stored) == {"busy", "quiet", "never", "later", "bulk"}
    for contact_id, kept in world().stored.items():
        values = features.packing.values(kept.vector)
        assert values is not None
        assert_equal(values, {name: rows[contact_id][name] for name in world().contract.names})


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(first=streams(), second=streams())
def test_a_contact_joined_with_a_visitor_is_as_if_everything_had_happened_to_the_contact(
    first: tuple[str, list[tuple[Fact, int]]], second: tuple[str, list[tuple[Fact, int]]]
) -> None:
    features = OnlineFeatures(world().contract)
    now = max(moment for _, moment in [*first[1], *second[1]]) + 1

    def after(kept: Kept, steps: list[tuple[Fact, int]]) -> Kept:
        for fact, at_ in steps:
            kept = features.after(fact, at_)(kept) or kept
        return kept

    contact = world().stored.get(first[0], Kept(None, None))
    joined = features.joining(after(Kept(None, None), second[1]), now)(after(contact, first[1]))
    together = after(contact, [*first[1], *second[1], (Fact("granted", now - 1, purpose="none"), now)])
    assert joined is not None and joined.vector is not None and together.vector is not None
    assert as_of_of(joined.vector) == as_of_of(together.vector)
    ours, theirs = features.packing.values(joined.vector), features.packing.values(together.vector)
    assert ours is not None and theirs is not None
    assert_equal(ours, theirs)
