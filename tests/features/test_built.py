"""Builds that count, builds that were killed, and rows that join later."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from decisioning.errors import Conflict, DataError, NotFound
from features import built as built_module
from features.built import Built, add_missing, build_rows, read_built
from tests.features.workspaces import DAY_0, Pair, day, moment, write_table


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    write_table(tmp_path, "contacts", [{"contact_id": "a", "age": 30}, {"contact_id": "b", "age": 41}])
    write_table(tmp_path, "events", [{"contact_id": "a", "event_type": "login", "occurred_at": day(-3)}])
    return tmp_path


def pairs_of(*pairs: Pair) -> pa.Table:
    return pa.table({"contact_id": [contact for contact, _ in pairs], "as_of": pa.array([at for _, at in pairs], pa.timestamp("us"))})


def held(built: Built) -> int:
    return int(sum(pq.read_metadata(path).num_rows for path in built.folder.glob("*.parquet")))


def test_a_build_counts_and_replaces_the_one_before(workspace: Path) -> None:
    with pytest.raises(NotFound, match="run nudge features build"):
        read_built(workspace)
    first = build_rows(workspace, moment(DAY_0))
    second = build_rows(workspace, moment(day(1)))
    assert (first.rows, second.as_of) == (2, moment(day(1)))
    assert read_built(workspace) == second
    assert not first.folder.exists()


def test_a_build_that_fails_leaves_the_last_one_in_force(workspace: Path) -> None:
    last = build_rows(workspace, moment(DAY_0))
    (workspace / "features").mkdir()
    (workspace / "features" / "leak.sql").write_text("SELECT contact_id, random() AS x FROM contacts")
    with pytest.raises(DataError):
        build_rows(workspace, moment(DAY_0))
    assert read_built(workspace) == last
    assert held(last) == 2
    (workspace / "features" / "leak.sql").unlink()
    build_rows(workspace, moment(DAY_0))
    assert len([path for path in (workspace / "state" / "features").iterdir() if path.is_dir()]) == 1


def _die_while_writing(workspace: Path) -> None:
    built_module.build_offline = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    build_rows(workspace, moment(day(5)))


def test_a_killed_build_leaves_the_last_one_in_force_and_no_lock(workspace: Path) -> None:
    last = build_rows(workspace, moment(DAY_0))
    killed = multiprocessing.get_context("spawn").Process(target=_die_while_writing, args=(workspace,))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert read_built(workspace) == last
    assert build_rows(workspace, moment(day(5))).rows == 2


def test_two_builds_at_once_are_refused(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = built_module.build_offline

    def meanwhile(*args: object, **kwargs: object) -> int:
        monkeypatch.setattr(built_module, "build_offline", real)
        with pytest.raises(Conflict, match="another process"):
            build_rows(workspace, moment(DAY_0))
        return real(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(built_module, "build_offline", meanwhile)
    assert build_rows(workspace, moment(DAY_0)).rows == 2


def test_only_missing_rows_are_built_later(workspace: Path) -> None:
    built = build_rows(workspace, moment(DAY_0))
    asked = pairs_of(("a", DAY_0), ("a", day(-10)), ("nobody", day(-10)))
    assert add_missing(workspace, built, asked) == 2
    assert add_missing(workspace, built, asked) == 0
    assert held(built) == 4
    events = {
        (row["contact_id"], row["event_timestamp"].replace(tzinfo=None)): row["events_30d"]
        for path in built.folder.glob("more-*.parquet")
        for row in pq.read_table(path).to_pylist()
    }
    assert events == {("a", day(-10)): 0, ("nobody", day(-10)): 0}


def test_rows_cannot_join_a_build_of_other_columns(workspace: Path) -> None:
    built = build_rows(workspace, moment(DAY_0))
    write_table(workspace, "contacts", [{"contact_id": "a", "age": 30, "city": "x"}])
    with pytest.raises(DataError, match="changed since the features were built"):
        add_missing(workspace, built, pairs_of(("a", day(-10))))
    assert held(built) == 2


def test_progress_is_told_in_order(workspace: Path) -> None:
    stages: list[str] = []
    build_rows(workspace, np.datetime64(DAY_0), progress=stages.append)
    assert stages == ["who is asked about, and when", "attributes", "windows", "writing the rows"]
