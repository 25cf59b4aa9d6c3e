"""Events that came in otherwise stand beside the ingested ones, once each."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features import merging
from features.merging import CONSENT_SCHEMA, CONSENTS, EVENT_SCHEMA, INGESTED_UNTIL, merge_events, merge_told
from tests.features.workspaces import day, write_table

TOLD = {"contact_id": "c", "event_type": "buy", "occurred_at": day(1), "value": 3.0}


def _events(*rows: dict[str, Any]) -> list[pa.Table]:
    return [pa.Table.from_pylist([{name: row.get(name) for name in EVENT_SCHEMA.names} for row in rows], schema=EVENT_SCHEMA)]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    write_table(tmp_path, "contacts", [{"contact_id": "c"}])
    (tmp_path / "data" / "manifest.json").write_text(json.dumps({"tables": {}, "newest_at": "2026-01-01T00:00:00Z"}))
    return tmp_path


def _kept(workspace: Path) -> list[dict[str, Any]]:
    return pq.read_table(workspace / "data" / "events.parquet").to_pylist()


def _manifest(workspace: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((workspace / "data" / "manifest.json").read_text())
    return found


def test_the_first_events_of_a_workspace_make_the_table(workspace: Path) -> None:
    assert merge_events(workspace, _events({**TOLD, "event_id": "e-1"}, {**TOLD, "event_id": "e-2"})) == 2
    assert [row["event_id"] for row in _kept(workspace)] == ["e-1", "e-2"]
    manifest = _manifest(workspace)
    assert (manifest["tables"]["events"]["rows"], manifest["newest_at"]) == (2, "2026-01-02T12:00:00Z")


def test_where_nothing_is_new_no_event_is_sorted_and_written_again(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = _events({**TOLD, "event_id": "e-1"})
    merge_events(workspace, events)
    monkeypatch.delattr(merging, "_write")
    assert merge_events(workspace, events) == merge_events(workspace, []) == 0
    assert [row["event_id"] for row in _kept(workspace)] == ["e-1"]


def test_the_manifest_remembers_where_ingestion_ended(workspace: Path) -> None:
    for days in (1, 2):
        merge_events(workspace, _events({**TOLD, "event_id": f"e-{days}", "occurred_at": day(days)}))

    assert (_manifest(workspace)[INGESTED_UNTIL], _manifest(workspace)["newest_at"]) == ("2026-01-01T00:00:00Z", "2026-01-03T12:00:00Z")


def test_merged_again_nothing_changes(workspace: Path) -> None:
    events = _events({**TOLD, "event_id": "e-1"})
    merge_events(workspace, events)
    before = (workspace / "data" / "events.parquet").stat().st_mtime_ns
    assert merge_events(workspace, events) == 0
    assert (workspace / "data" / "events.parquet").stat().st_mtime_ns == before


def test_what_a_source_tells_too_stays_once_by_its_id_or_without_one_by_contact_type_and_time(workspace: Path) -> None:
    ingested = [{**TOLD, "event_id": "same", "page": "a"}, {**TOLD, "event_id": None, "occurred_at": day(2), "page": "b"}]
    write_table(workspace, "events", ingested)
    later = day(2) + timedelta(seconds=1)
    new = [{**TOLD, "event_id": "same"}, {**TOLD, "event_id": "x", "occurred_at": day(2)}, {**TOLD, "event_id": "y", "occurred_at": later}]
    assert merge_events(workspace, _events(*new)) == 1
    assert [(row["event_id"], row["page"]) for row in _kept(workspace)] == [("same", "a"), (None, "b"), ("y", None)]


def test_a_source_without_ids_is_merged_with(workspace: Path) -> None:
    write_table(workspace, "events", [TOLD])
    assert merge_events(workspace, _events({**TOLD, "event_id": "e-1"}, {**TOLD, "event_id": "e-2", "event_type": "view"})) == 1


def test_data_without_times_stays_without(workspace: Path) -> None:
    (workspace / "data" / "manifest.json").write_text(json.dumps({"tables": {}, "newest_at": None}))
    merge_events(workspace, _events({**TOLD, "event_id": "e-1"}))
    assert _manifest(workspace)["newest_at"] is None


def test_where_nothing_was_ingested_nothing_is_merged(tmp_path: Path) -> None:
    assert merge_events(tmp_path, _events({**TOLD, "event_id": "e-1"})) == 0


def _consents(*rows: dict[str, Any]) -> list[pa.Table]:
    return [pa.Table.from_pylist(list(rows), schema=CONSENT_SCHEMA)]


def test_a_consent_that_a_source_tells_too_stays_once_and_another_status_of_that_moment_is_kept(workspace: Path) -> None:
    said = {"contact_id": "c", "purpose": "mail", "status": "granted", "changed_at": day(1)}
    write_table(workspace, "consents", [{**said, "source": "crm"}])
    told = _consents(said, {**said, "status": "revoked"}, {**said, "status": "revoked"}, {**said, "changed_at": day(3)})
    assert merge_told(workspace, CONSENTS, told) == 2
    assert merge_told(workspace, CONSENTS, told) == 0
    kept = pq.read_table(workspace / "data" / "consents.parquet").to_pylist()
    assert [(row["status"], row["changed_at"], row["source"]) for row in kept] == [
        ("granted", day(1), "crm"),
        ("revoked", day(1), None),
        ("granted", day(3), None),
    ]
    assert (_manifest(workspace)["tables"]["consents"]["rows"], _manifest(workspace)["newest_at"]) == (3, "2026-01-04T12:00:00Z")
