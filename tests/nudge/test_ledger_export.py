"""The ledger as Parquet by day: only what is new is written, and the files say what the ledger says, whatever happened to either."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
import yaml

import nudge.verbs.ledger_export as exporting
from decisioning.errors import RequestError
from ledger.events import EventRecord
from ledger.measured import TABLES
from ledger.outcomes import OutcomeRecord
from ledger.records import DecisionRecord, Selection
from ledger.store import Ledger
from nudge.ground.workspace import Workspace
from nudge.reports.facts import open_facts
from nudge.verbs.ledger_export import default_folder, export_ledger, forget_in_ledger_export
from tests.nudge.test_reports_measured import CATALOG

NOW = datetime(2026, 10, 3, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def at(url: str, folder: Path) -> Workspace:
    folder.mkdir()
    (folder / "nudge.yaml").write_text(
        yaml.safe_dump({"name": "shop", "sources": {"contacts": "SELECT 1"}, "stores": {"ledger": url}}), encoding="utf-8"
    )
    (folder / "catalog.yaml").write_text(yaml.safe_dump(CATALOG), encoding="utf-8")
    (folder / "state").mkdir()
    return Workspace.open(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    url = "sqlite:///state/ledger.db" if request.param == "sqlite" else request.getfixturevalue("new_postgres_database")()
    return at(url, tmp_path / "shop")


@pytest.fixture
def embedded(tmp_path: Path) -> Workspace:
    return at("sqlite:///state/ledger.db", tmp_path / "shop")


def live(ledger: Ledger, numbers: range) -> None:
    """A decision a contact, every third day another one; a sale the day after; a visit."""
    mail = Selection(1, "loan", "loan_email", "email", "outbound", None, 0.5, 5.0, 0.1)
    when = {k: NOW + DAY * (k % 3) for k in numbers}
    ledger.record_decisions([DecisionRecord(f"d{k}", f"c-{k}", when[k], "nudge", (mail,), trace={"features": {}}) for k in numbers])
    ledger.record_outcomes(
        [
            OutcomeRecord(
                f"e{k} of c-{k}", f"c-{k}", "sale", "positive", when[k] + DAY, when[k] + DAY, f"d{k}", "loan_email", "loan", 1 / 3
            )
            for k in numbers
        ]
    )
    ledger.events.record([EventRecord(f"v{k}", f"c-{k}", "view", when[k], when[k], session_id=f"s{k}") for k in numbers])


def content(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every table as an analyst reads it, with the days of the folders."""
    found = {}
    for table in TABLES:
        files = f"{folder}/{table}/*/*.parquet"
        if not list((folder / table).glob("*/*.parquet")):
            found[table] = []
            continue
        rows = duckdb.sql(f"SELECT * FROM read_parquet('{files}', hive_partitioning = true)").fetchall()
        found[table] = sorted(rows, key=str)
    return found


def anew(workspace: Workspace, folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What a first export would say now."""
    export_ledger(workspace, folder)
    return content(folder)


def test_an_export_carries_on_where_it_ended_and_equals_one_made_anew(workspace: Workspace, tmp_path: Path) -> None:
    folder = default_folder(workspace)
    with workspace.open_ledger() as ledger:
        live(ledger, range(10))
        first = export_ledger(workspace)
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}
        live(ledger, range(10, 14))
    second = export_ledger(workspace)
    assert (first["new"], first["whole"]) == (40, True)
    assert (second["new"], second["whole"], second["rewritten"]) == (16, False, 0)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert content(folder) == anew(workspace, tmp_path / "other")
    assert second["tables"]["decisions"]["rows"] == len(content(folder)["decisions"]) == 14
    days = {path.name for path in (folder / "outcomes").iterdir()}
    assert days == {"day=2026-10-04", "day=2026-10-05", "day=2026-10-06"}
    assert export_ledger(workspace)["new"] == 0


def test_values_keep_their_types_and_every_digit(embedded: Workspace) -> None:
    with embedded.open_ledger() as ledger:
        live(ledger, range(1))
    export_ledger(embedded)
    (path,) = default_folder(embedded).glob("outcomes/*/*.parquet")
    (row,) = pq.ParquetFile(path).read().to_pylist()
    assert (row["value"], row["occurred_at"], row["late"], row["stream"], row["seq"]) == (1 / 3, NOW + DAY, False, "outcomes/0", 1)


def test_erased_joined_and_removed_rows_are_in_the_export_what_they_are_in_the_ledger(workspace: Workspace, tmp_path: Path) -> None:
    folder = default_folder(workspace)
    with workspace.open_ledger() as ledger:
        live(ledger, range(9))
        export_ledger(workspace)
        ledger.erase("c-4", NOW)
        ledger.join_identity("c-5", "c-6", NOW)
        ledger.remove_before(NOW + DAY, NOW + DAY)
    done = export_ledger(workspace)
    assert done["rewritten"] > 0
    found = content(folder)
    assert found == anew(workspace, tmp_path / "other")
    everything = json.dumps(found, default=str)
    assert '"c-4"' not in everything and "of c-4" not in everything and '"c-5"' not in everything
    assert len(found["decisions"]) == 6


def test_an_erasure_reaches_the_files_at_once_without_an_export_of_what_is_new(embedded: Workspace) -> None:
    folder = default_folder(embedded)
    with embedded.open_ledger() as ledger:
        live(ledger, range(4))
        export_ledger(embedded)
        live(ledger, range(4, 6))
        ledger.erase("c-1", NOW)
    assert forget_in_ledger_export(embedded) == 4  # a file each of decisions, selections, outcomes and events
    rows = content(folder)
    assert len(rows["decisions"]) == 4 and "c-1'" not in str(rows)
    assert not any(b"c-1" in path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert forget_in_ledger_export(embedded) == 0
    assert export_ledger(embedded)["tables"]["decisions"]["rows"] == 6


def test_many_files_of_a_day_become_one(embedded: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "FILES_A_DAY", 2)
    with embedded.open_ledger() as ledger:
        for k in range(0, 15, 3):
            live(ledger, range(k, k + 3))
            done = export_ledger(embedded)
    assert done["tables"]["decisions"]["files"] <= 6
    assert content(default_folder(embedded)) == anew(embedded, tmp_path / "other")


def test_an_export_of_another_ledger_is_begun_anew(embedded: Workspace, tmp_path: Path) -> None:
    with embedded.open_ledger() as ledger:
        live(ledger, range(3))
    export_ledger(embedded)
    for path in (embedded.folder / "state").glob("ledger.db*"):
        path.unlink()
    with embedded.open_ledger() as ledger:
        live(ledger, range(20, 24))
    done = export_ledger(embedded)
    assert (done["whole"], done["tables"]["decisions"]["rows"]) == (True, 4)
    assert content(default_folder(embedded)) == anew(embedded, tmp_path / "other")


def test_a_folder_that_is_somebody_elses_is_left_alone(embedded: Workspace, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(RequestError, match="holds something else"):
        export_ledger(embedded, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_so_is_one_whose_folders_have_the_names_of_tables(embedded: Workspace, tmp_path: Path) -> None:
    day = tmp_path / "log" / "decisions" / "day=2026-01-01"  # as `export-decisions --partitioned` writes them
    day.mkdir(parents=True)
    (day / "part.parquet").write_bytes(b"an analyst's")
    with pytest.raises(RequestError, match="holds something else"):
        export_ledger(embedded, tmp_path / "log")
    assert (day / "part.parquet").read_bytes() == b"an analyst's"


def test_an_erasure_reaches_what_a_first_export_left_that_ended_half_way(embedded: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with embedded.open_ledger() as ledger:
        live(ledger, range(3))

    def die(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as broken:
        broken.setattr("nudge.verbs.ledger_parts.Writer._moved", die)
        with pytest.raises(SystemExit):
            export_ledger(embedded)
    folder = default_folder(embedded)
    assert list(folder.rglob("*.parquet")) != []
    forget_in_ledger_export(embedded)
    assert [path for path in folder.rglob("*.parquet") if path.stat().st_size and "decisions" in str(path)] == []


@pytest.mark.parametrize("ending", ["Manifest.write", "Writer._moved"])
def test_what_an_export_that_ended_half_way_left_is_cleared_away_and_nothing_counts_twice(
    embedded: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    with embedded.open_ledger() as ledger:
        live(ledger, range(3))
        export_ledger(embedded)
        live(ledger, range(3, 8))

    def die(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as broken:
        broken.setattr(f"nudge.verbs.ledger_parts.{ending}", die)
        with pytest.raises(SystemExit):
            export_ledger(embedded)
    assert len(list((embedded.folder / "exports").rglob("*-000002-*.parquet"))) > 2  # written, and not counted
    assert export_ledger(embedded)["new"] == 20
    assert content(default_folder(embedded)) == anew(embedded, tmp_path / "other")
    assert not (default_folder(embedded) / ".unfinished").exists()


def test_reports_read_what_the_export_says(workspace: Workspace) -> None:
    with workspace.open_ledger() as ledger:
        live(ledger, range(6))

    def counted() -> Iterator[int]:
        with open_facts(workspace) as facts:
            for table in ("touches", "happened", "decided"):
                yield facts.number(f"SELECT count(*) FROM {table}")

    assert list(counted()) == [6, 6, 6]
    with workspace.open_ledger() as ledger:
        live(ledger, range(6, 8))
    assert list(counted()) == [8, 8, 8]
    assert len(content(default_folder(workspace))["decisions"]) == 8
