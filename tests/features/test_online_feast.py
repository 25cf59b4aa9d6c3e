"""What is read directly is what Feast's own `get_online_features` says, of every type, on SQLite and on Redis."""

from __future__ import annotations

import datetime as dt
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from features.built import read_built
from features.contract import FeatureContract, stored_name
from features.online import VIEW
from features.packing import Packing, Scalar
from features.store import FeatureDoor, OnlineConfig
from tests.features.test_attributes import EVERY_TYPE
from tests.features.workspaces import day, moment, write_table
from tests.redis_server import RedisServer

AS_OF = day(0)
SOME = ["c0", "c1", "c ü'2", "nobody", "zażółć 🤝"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Contacts with a column of every type, odd values and none; Feast turns whole numbers into floats where one of them is NULL."""
    folder = tmp_path_factory.mktemp("feast")
    odd = {
        "enormous": (pa.int64(), [2**63 - 1, -(2**63) + 2, 2**53 + 1, 7]),
        "double": (pa.float64(), [float("nan"), 0.1 + 0.2, -1.7e308, None]),
        "words": (pa.string(), ["", "zażółć 🤝", "a\nb'\"\\", None]),
        "yes": (pa.bool_(), [True, False, None, None]),
        "on": (pa.date32(), [dt.date(1969, 12, 31), dt.date(2400, 2, 29), dt.date(1, 1, 1), None]),
        "when": (pa.timestamp("us"), [dt.datetime.fromisoformat("1969-12-31T23:59:58"), None, day(1), None]),  # Feast has whole seconds
    }
    columns = {name: pa.array([values[0], None, values[-1], None], type=kind) for name, (kind, values, _) in EVERY_TYPE.items()}
    columns |= {name: pa.array(values, type=kind) for name, (kind, values) in odd.items()}
    ids = ["c0", "c1", "c ü'2", "zażółć 🤝"]
    write_table(folder, "contacts", pa.table({"contact_id": ids, "account_id": ["f", None, "f", None], **columns}))
    events = [{"contact_id": "c0", "event_type": "buy", "occurred_at": day(at), "value": 0.1, "channel": "web"} for at in (-50, -2)]
    write_table(folder, "events", events)
    return folder


@pytest.fixture(params=["sqlite", "redis"], scope="module")
def online(request: pytest.FixtureRequest) -> OnlineConfig:
    if request.param == "sqlite":
        return OnlineConfig()
    server: RedisServer = request.getfixturevalue("redis")
    return OnlineConfig("redis", f"redis://{server.address}/0")


@pytest.fixture(scope="module")
def door(workspace: Path, online: OnlineConfig) -> FeatureDoor:
    door = FeatureDoor(workspace, project="own-shop", online=online)
    door.build(moment(AS_OF))
    assert door.materialize() == 4
    return door


def own_feast(workspace: Path, online: OnlineConfig, folder: Path) -> Any:
    """A feature store with nothing of ours in it, filled by Feast's own `materialize` with the same rows."""
    from feast import FeatureStore, RepoConfig

    from features.feast_repo.definitions import definitions

    stores: dict[str, dict[str, str]] = {
        "sqlite": {"type": "sqlite", "path": str(folder / "online.db")},
        "redis": {"type": "redis", "connection_string": (online.connection_string or "").removeprefix("redis://").removesuffix("/0")},
    }
    config = RepoConfig(
        project="feasts_own",
        provider="local",
        registry={"registry_type": "sql", "path": f"sqlite:///{folder / 'registry.db'}"},
        offline_store={"type": "duckdb"},
        online_store=stores[online.type],
        entity_key_serialization_version=3,
        repo_path=folder,
    )
    store = FeatureStore(config=config)
    built = read_built(workspace)
    wanted = definitions(built.contract, built.files)
    wanted.view.ttl = dt.timedelta(days=100_000)
    store.apply([wanted.contact, wanted.source, wanted.view])
    store.materialize(dt.datetime(2025, 12, 31, tzinfo=dt.UTC), dt.datetime(2026, 1, 2, tzinfo=dt.UTC))
    return store


def feasts_answer(store: Any, contract: FeatureContract, contact_ids: list[str]) -> list[dict[str, Any]]:
    asked = [f"{VIEW}:{stored_name(name)}" for name in contract.names]
    answer = store.get_online_features(asked, [{"contact_id": contact_id} for contact_id in contact_ids]).to_dict()
    return [{name: answer[stored_name(name)][row] for name in contract.names} for row in range(len(contact_ids))]


def as_feast_says(value: Scalar) -> Any:
    """A date is its midnight to Feast, a time has whole seconds."""
    if isinstance(value, dt.datetime):
        return value.replace(microsecond=0)
    if isinstance(value, dt.date):
        return dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
    return value


@pytest.fixture
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def feasts_own(workspace: Path, online: OnlineConfig, door: FeatureDoor, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What Feast's own store says of `SOME`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return feasts_answer(own_feast(workspace, online, tmp_path_factory.mktemp("own")), door.contract, SOME)


def test_direct_reading_equals_feasts_own_store_for_every_type(door: FeatureDoor, feasts_own: list[dict[str, Any]]) -> None:
    packing = Packing(door.contract)
    ours = [packing.values(vector) or dict.fromkeys(door.contract.names) for vector in door.read(SOME)]
    assert {type(value) for row in ours for value in row.values()} == {bool, int, float, str, dt.date, dt.datetime, type(None)}
    for own, theirs in zip(ours, feasts_own, strict=True):
        assert {name: as_feast_says(value) for name, value in own.items()} == theirs
        assert not any(isinstance(value, float) and math.isnan(value) for value in theirs.values())


@pytest.mark.usefixtures("quiet")
def test_feast_reads_from_our_store_what_it_reads_from_its_own(door: FeatureDoor, feasts_own: list[dict[str, Any]]) -> None:
    store, _ = door._store()
    assert feasts_answer(store, door.contract, SOME) == feasts_own


def test_the_readers_columns_and_who_was_found_are_the_same_on_every_store(door: FeatureDoor) -> None:
    columns, found = door.online(SOME)
    assert list(found) == [True, True, True, False, True]
    assert list(columns["words"]) == ["", "zażółć 🤝", "a\nb'\"\\", None, None]
    assert door.skew() == dict.fromkeys(door.contract.names, 0.0)


def test_what_was_known_too_long_ago_is_not_answered(workspace: Path, online: OnlineConfig, door: FeatureDoor) -> None:
    short = FeatureDoor(workspace, project="own-shop", online=OnlineConfig(online.type, online.connection_string, max_age_days=2.0))
    assert short.online(["c0"], now=moment(day(2)))[1].all()
    assert not short.online(["c0"], now=moment(day(2.001)))[1].any()
    assert not short.online(["c0"])[1].any()  # by the clock
    held = short.materialised()
    assert held is not None
    assert (held.contacts, held.contract_hash) == (4, door.contract.hash)
    assert held.as_of == int(moment(AS_OF).astype(int)) < held.materialized_at


def test_what_was_read_last_is_remembered_by_the_next_door_too(workspace: Path, online: OnlineConfig, door: FeatureDoor) -> None:
    columns, _ = door.online(SOME)
    again = FeatureDoor(workspace, project="own-shop", online=online)
    assert again.remembered(SOME)[1] == [None] * len(SOME)
    again.remember_as(door)
    recalled, as_of = again.remembered(["stranger", *SOME])
    assert as_of == [None, *(moment(AS_OF) if known else None for known in (True, True, True, False, True))]
    assert all(list(recalled[name][1:].astype(str)) == list(column.astype(str)) for name, column in columns.items())
