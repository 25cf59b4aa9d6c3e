"""FeatureDoor: the same values offline and online, through Feast."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from decisioning.errors import Conflict, ContractMismatch, DataError, NotFound, Unavailable
from decisioning.vocabulary import Columns
from features.online import VIEW, Stored
from features.online_redis import entity_key
from features.online_rows import OnlineRows
from features.store import FeatureDoor, OnlineConfig
from tests.conftest import ROOT
from tests.features.test_attributes import EVERY_TYPE
from tests.features.workspaces import built_rows, day, moment, write_table

AS_OF = day(0)
NAMES_THAT_FEAST_TAKES = ("pay_y", "rn", "entity_row_id", "row_number")


def fill(workspace: Path) -> None:
    """Two contacts with a column of every type and one without a value, events, and an interaction twice at one moment."""
    columns = {name: pa.array([*values, None], type=kind) for name, (kind, values, _) in EVERY_TYPE.items()}
    columns |= {name: pa.array([number, None, 7]) for number, name in enumerate(NAMES_THAT_FEAST_TAKES)}
    firms = pa.array(["f", None, "f"])
    write_table(workspace, "contacts", pa.table({"contact_id": ["c0", "c1", "c ü'2"], "account_id": firms, **columns}))
    write_table(
        workspace,
        "events",
        [{"contact_id": "c0", "event_type": "login", "occurred_at": day(at), "value": 0.1, "channel": "web"} for at in (-50, -2, -1, 3)],
    )
    write_table(
        workspace,
        "interactions",
        [
            {"interaction_id": str(number), "contact_id": contact, "action_id": "mail", "channel": "email", "occurred_at": day(at)}
            for number, (contact, at) in enumerate([("c0", -10), ("c0", -10), ("c0", -1), ("c1", -5), ("orphan", -5)])
        ],
    )


def door_of(workspace: Path, online: OnlineConfig | None = None) -> FeatureDoor:
    return FeatureDoor(workspace, project="test-shop", online=online or OnlineConfig())


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    fill(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of Feast's own warnings none may reach a person
        door = door_of(folder)
        report = door.build(moment(AS_OF))
        assert (report.features, report.rows, report.contract_hash) == (len(door.contract.specs), 3 + 4, door.contract.hash)
        assert door.materialize() == 3
    return folder


def expected(workspace: Path, pairs: list[tuple[str, dt.datetime]]) -> Columns:
    """What was built without any store, as `Columns`."""
    rows = built_rows(workspace, pairs=sorted(set(pairs)))
    columns: dict[str, Any] = {}
    for spec in door_of(workspace).contract.specs:
        values = [rows[pair][spec.name] for pair in pairs]
        if spec.dtype == "string":
            columns[spec.name] = np.array(values, dtype=object)
        elif spec.dtype in ("date", "timestamp"):
            columns[spec.name] = np.array(values, dtype="datetime64[us]")
        else:
            columns[spec.name] = np.array([np.nan if value is None else float(value) for value in values])
    return columns


def assert_same(columns: Columns, wanted: Columns) -> None:
    assert list(columns) == list(wanted) or set(columns) == set(wanted)
    for name, column in wanted.items():
        np.testing.assert_array_equal(columns[name], column, err_msg=name, strict=True)


def test_history_equals_what_was_built_row_by_row_in_the_order_asked(workspace: Path) -> None:
    pairs = [("orphan", day(-5)), ("c0", day(-10)), ("c1", AS_OF), ("c0", day(-10)), ("c0", day(-1)), ("c0", AS_OF), ("c ü'2", AS_OF)]
    ids, cuts = np.array([contact for contact, _ in pairs], dtype=object), np.array([at for _, at in pairs], dtype="datetime64[us]")
    assert_same(door_of(workspace).historical(ids, cuts), expected(workspace, pairs))


def test_history_at_a_moment_that_was_not_built_is_built_then(workspace: Path) -> None:
    columns = door_of(workspace).historical(np.array(["c0", "c0"], dtype=object), np.array([day(4), day(-1.5)], dtype="datetime64[us]"))
    assert list(columns["events_7d"]) == [3, 1]


def test_history_of_nobody_is_empty_and_of_no_moment_refused(workspace: Path) -> None:
    door = door_of(workspace)
    nobody = door.historical(np.array([], dtype=object), np.array([], dtype="datetime64[us]"))
    assert {len(column) for column in nobody.values()} == {0}
    with pytest.raises(DataError, match="use TIMELESS"):
        door.historical(np.array(["c0"], dtype=object), np.array(["NaT"], dtype="datetime64[us]"))
    with pytest.raises(DataError, match="one as_of for each contact"):
        door.historical(np.array(["c0"], dtype=object), np.array([], dtype="datetime64[us]"))


def test_the_population_is_everyone_known_by_then(workspace: Path) -> None:
    ids, columns = door_of(workspace).population(moment(AS_OF))
    assert list(ids) == ["c ü'2", "c0", "c1"]
    assert_same(columns, expected(workspace, [(contact, AS_OF) for contact in ids]))


def test_populations_of_many_moments_are_built_at_once_and_read_the_same(workspace: Path) -> None:
    door, moments = door_of(workspace), [moment(day(at)) for at in (-3, -7, -3)]
    door.build(moment(AS_OF))

    asked = [(door.known(at), at) for at in [moment(AS_OF), *moments]]
    assert door.build_missing(asked) == 6
    assert door.build_missing(asked[1:]) == 0
    ids, columns = door.population(moments[0])
    assert_same(columns, expected(workspace, [(contact, day(-3)) for contact in ids]))


def test_online_equals_what_was_built_for_every_dtype(workspace: Path) -> None:
    asked = ["c1", "nobody", "c ü'2", "c0", "c1"]
    columns, found = door_of(workspace).online(asked)
    assert list(found) == [True, False, True, True, True]
    wanted = expected(workspace, [(contact, AS_OF) for contact in asked])  # of nobody, no attribute is known
    known = {name: column[found] for name, column in columns.items()}
    assert_same(known, {name: column[found] for name, column in wanted.items()})
    assert all(value is None or value != value for value in (column[1] for column in columns.values()))


def test_the_skew_is_nothing(workspace: Path) -> None:
    skew = door_of(workspace).skew()
    assert set(skew) == set(door_of(workspace).contract.names)
    assert set(skew.values()) == {0.0}


def test_online_reading_needs_neither_feast_nor_pandas(workspace: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from features.online_rows import OnlineRows
from features.store import FeatureDoor, OnlineConfig
columns, found = FeatureDoor(Path({str(workspace)!r}), project="test-shop", online=OnlineConfig()).online(["c0"])
assert found.all() and columns["tiny"][0] == -3
print([name for name in ("feast", "pandas", "pyarrow.pandas_compat", "sqlalchemy") if name in sys.modules])
"""
    fresh = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert fresh.stdout.strip() == "[]"


def test_whoever_fails_while_a_population_is_read_keeps_no_other_thread_waiting(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path, tables: Iterator[pa.Table], __: object) -> None:
        next(tables)
        raise OSError("no space left on device")

    door = door_of(workspace)
    monkeypatch.setattr("features.stored_columns.stored_columns", full)
    with pytest.raises(OSError) as held:
        door.stored_population(moment(AS_OF))
    reader = threading.Thread(target=door.population, args=[moment(AS_OF)], daemon=True)
    reader.start()
    reader.join(timeout=30)
    assert not reader.is_alive() and held.tb is not None  # the error is kept, and with it the half read tables


def test_a_feast_user_reads_and_writes_the_same_store(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from feast import FeatureStore

    monkeypatch.setenv("NUDGE_WORKSPACE", str(workspace))
    monkeypatch.setenv("NUDGE_PROJECT", "test_shop")
    store = FeatureStore(repo_path=str(ROOT / "features" / "feast_repo"))
    asked = [
        f"{VIEW}:{name}" for name in ("flag", "tiny", "big", "price", "text", "born", "opened", "nothing", "pay_y_", "rn_", "events_7d")
    ]

    def answer(contact_id: str) -> dict[str, Any]:
        return {name: values[0] for name, values in store.get_online_features(asked, [{"contact_id": contact_id}]).to_dict().items()}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        packed = answer("c0")
        assert {name: packed[name] for name in ("flag", "tiny", "big", "price", "nothing", "pay_y_", "rn_", "events_7d")} == {
            "flag": True,
            "tiny": -3,
            "big": 2**62,
            "price": 19.99,
            "nothing": None,
            "pay_y_": 0,
            "rn_": 1,
            "events_7d": 2,
        }
        assert packed["text"] == EVERY_TYPE["text"][1][0]
        assert packed["born"] == dt.datetime(1970, 2, 3, tzinfo=dt.UTC)
        assert packed["opened"] == dt.datetime(2020, 5, 6, 7, 8, 9, tzinfo=dt.UTC)  # Feast's protocol has whole seconds
        assert set(answer("nobody").values()) == {"nobody", None}
        before, _ = door_of(workspace).online(["c0"])
        store.materialize(dt.datetime(2025, 12, 31, tzinfo=dt.UTC), dt.datetime(2026, 1, 2, tzinfo=dt.UTC))
        assert answer("c0") == packed
    after, found = door_of(workspace).online(["c0"])
    assert found.all()
    whole_seconds = {name for name in before if before[name].dtype.kind == "M"}
    assert_same(
        {name: after[name] for name in after if name not in whole_seconds},
        {name: before[name] for name in before if name not in whole_seconds},
    )


def test_the_keys_in_redis_are_feasts() -> None:
    from feast.infra.key_encoding_utils import serialize_entity_key
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    for contact_id in ("c", "zażółć", "x" * 300):
        key = EntityKey(join_keys=["contact_id"], entity_values=[Value(string_val=contact_id)])
        assert entity_key(contact_id.encode()) == serialize_entity_key(key, entity_key_serialization_version=3)


def test_feast_applies_the_repository_of_a_workspace(workspace: Path) -> None:
    environment = {**os.environ, "NUDGE_WORKSPACE": str(workspace), "NUDGE_PROJECT": "test_shop", "PYTHONPATH": str(ROOT)}
    commands = """
import sys
from feast.cli.cli import cli
for command in (["apply"], ["feature-views", "list"]):
    cli(["-c", sys.argv[1], *command], standalone_mode=False)
"""
    run = [sys.executable, "-W", "ignore", "-c", commands, str(ROOT / "features" / "feast_repo")]
    listed = subprocess.run(run, env=environment, capture_output=True, text=True, check=True)
    assert VIEW in listed.stdout
    assert door_of(workspace).online(["c0"])[1].all()


def test_before_the_first_build_and_the_first_materialize_it_says_what_to_run(tmp_path: Path) -> None:
    fill(tmp_path)
    door = door_of(tmp_path)
    with pytest.raises(NotFound, match="run nudge features build"):
        _ = door.contract
    door.build(moment(AS_OF))
    with pytest.raises(NotFound, match="run nudge features materialize"):
        door.online(["c0"])


def test_materialising_again_replaces_and_never_mixes_contracts(tmp_path: Path) -> None:
    fill(tmp_path)
    door, serving = door_of(tmp_path), door_of(tmp_path)
    door.build(moment(AS_OF))
    door.materialize()
    assert list(serving.online(["c0", "c1"])[1]) == [True, True]
    write_table(tmp_path, "contacts", [{"contact_id": "c0", "grown": 1.5}])
    door.build(moment(day(1)))
    with pytest.raises(ContractMismatch, match="run nudge features materialize"):
        door_of(tmp_path).online(["c0"])
    assert list(serving.online(["c0", "c1"])[1]) == [True, True]  # who is open goes on with the old contract and its values
    assert door.materialize() == 1
    assert list(serving.online(["c0", "c1"])[1]) == [False, False]
    columns, found = door_of(tmp_path).online(["c0", "c1"])
    assert list(found) == [True, False]
    assert columns["grown"][0] == 1.5


def test_a_reader_sees_the_old_vectors_or_the_new_ones_and_never_waits_in_vain(tmp_path: Path) -> None:
    write_table(tmp_path, "contacts", [{"contact_id": str(number), "age": 1} for number in range(300)])
    door, serving = door_of(tmp_path), door_of(tmp_path)
    door.build(moment(AS_OF))
    door.materialize()
    asked, seen, done = [str(number) for number in range(300)], [], threading.Event()

    def read_on() -> None:
        while not done.is_set():
            columns, found = serving.online(asked)
            seen.append((found.all(), frozenset(columns["age"].tolist())))

    reader = threading.Thread(target=read_on)
    reader.start()
    for age in (2, 3, 4):
        write_table(tmp_path, "contacts", [{"contact_id": contact, "age": age} for contact in asked])
        door.build(moment(AS_OF))
        door.materialize()
    done.set()
    reader.join()
    assert set(seen) <= {(True, frozenset([float(age)])) for age in (1, 2, 3, 4)}
    assert serving.online(["7"])[0]["age"][0] == 4


def test_a_materialize_that_fails_halfway_leaves_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path)
    door = door_of(tmp_path)
    door.build(moment(AS_OF))
    door.materialize()

    def one_and_no_more(rows: OnlineRows) -> Iterator[list[Stored]]:
        yield [(b"c0", b"half", None)]
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(OnlineRows, "chunks", one_and_no_more)
        with pytest.raises(KeyboardInterrupt):
            door.materialize()
    assert door_of(tmp_path).online(["c0", "c1"])[1].all()
    (tmp_path / "state" / "online_store.db").unlink()
    assert door.contract == door_of(tmp_path).contract
    assert door_of(tmp_path).materialize() == 3


def test_who_reads_while_another_builds_is_told_to_run_again(tmp_path: Path) -> None:
    fill(tmp_path)
    training = door_of(tmp_path)
    training.build(moment(AS_OF))
    door_of(tmp_path).build(moment(AS_OF))
    with pytest.raises(Conflict, match="run the command again"):
        training.population(moment(AS_OF))


def test_a_moved_workspace_goes_on(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    fill(here)
    door_of(here).build(moment(AS_OF))
    here.rename(there)
    assert door_of(there).population(moment(AS_OF))[1]["tiny"][1] == -3


def test_an_online_store_without_its_client_says_what_to_install(workspace: Path) -> None:
    pytest.importorskip("feast")
    try:
        import redis  # noqa: F401
    except ImportError:
        with pytest.raises(Unavailable, match=r"pip install 'nudge-nba\[redis\]'"):
            door_of(workspace, OnlineConfig("redis", "127.0.0.1:1")).materialize()
    else:
        with pytest.raises(Unavailable):
            door_of(workspace, OnlineConfig("redis", "127.0.0.1:1")).materialize()


def test_who_came_in_after_the_build_is_materialised_too_and_who_is_asked_about_but_is_no_contact_is_not(tmp_path: Path) -> None:
    write_table(tmp_path, "contacts", [{"contact_id": contact, "age": number} for number, contact in enumerate(["b", "d", "f"])])
    interactions = [
        {"interaction_id": contact, "contact_id": contact, "action_id": "mail", "channel": "email", "occurred_at": AS_OF}
        for contact in ("a stranger", "d", "e stranger")
    ]
    write_table(tmp_path, "interactions", interactions)
    door = door_of(tmp_path)
    door.build(moment(AS_OF))
    write_table(
        tmp_path, "contacts", [{"contact_id": contact, "age": number} for number, contact in enumerate(["a", "b", "c", "d", "f", "g"])]
    )
    assert door.materialize() == 6
    columns, found = door.online(["a", "b", "c", "d", "f", "g", "a stranger", "e stranger"])
    assert list(found) == [True] * 6 + [False] * 2
    assert list(columns["age"][:6]) == [0, 0, 2, 1, 2, 5]  # as built: the rows of b, d and f are older than their new ages
