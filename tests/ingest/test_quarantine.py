"""--quarantine: bad rows go aside as they came, each with its reason, and the rest is ingested."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from decisioning.errors import DataError
from tests.ingest.workspaces import CONTACTS, EVENTS, INTERACTIONS, column, fingerprint, run


def _set_aside(workspace: Path, table: str, columns: str) -> list[tuple[Any, ...]]:
    return duckdb.sql(f"SELECT {columns} FROM '{workspace}/data/quarantine/{table}.parquet'").fetchall()


def test_bad_rows_go_aside_with_their_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    sql = f"""{EVENTS} UNION ALL SELECT 'a', 'login', NULL, 'e3', 1
        UNION ALL SELECT 'a', 'purchase', TIMESTAMP '2026-01-01', 'e4', 'nan'::DOUBLE"""
    report = run(tmp_path, events=sql, quarantine=True)
    assert column(tmp_path, "events", "event_id") == ["e1", "e2"]
    assert _set_aside(tmp_path, "events", "event_id, _reason") == [
        ("e3", "occurred_at: missing value (NULL or empty)"),
        ("e4", "value: NaN or infinite money"),
    ]
    assert (report.tables["events"].rows, report.tables["events"].quarantined) == (2, 2)
    assert "events: 2 bad rows set aside in data/quarantine/events.parquet" in report.warnings


def test_of_duplicates_the_first_row_stays(tmp_path: Path) -> None:
    run(tmp_path, contacts=f"{CONTACTS} UNION ALL SELECT 'a', 99, 'F'", quarantine=True)
    assert column(tmp_path, "contacts", "age") == [30, 40, 50]
    assert _set_aside(tmp_path, "contacts", "contact_id, age, _reason") == [("a", 99, "contact_id: repeats an earlier contact_id")]


def test_the_interactions_of_a_contact_set_aside_go_aside_too(tmp_path: Path) -> None:
    contacts = "SELECT * FROM (VALUES ('a', NULL), ('b', 'Nowhere/Town')) t(contact_id, time_zone)"
    report = run(tmp_path, contacts=contacts, quarantine=True)
    assert column(tmp_path, "interactions", "contact_id") == ["a"]
    assert _set_aside(tmp_path, "interactions", "contact_id, _reason") == [("b", "contact_id: contact not in contacts")]
    assert report.tables["interactions"].quarantined == 1


def test_a_row_is_set_aside_once_for_its_first_reason_and_as_it_came(tmp_path: Path) -> None:
    sql = "SELECT 'a' AS contact_id, '' AS event_type, 'yesterday' AS occurred_at, 'ten' AS value"
    run(tmp_path, events=f"{sql} UNION ALL SELECT 'a', 'login', '2026-01-01', '1.5'", quarantine=True)
    kept = _set_aside(tmp_path, "events", "occurred_at, value, _reason")
    assert kept == [("yesterday", "ten", "event_type: missing value (NULL or empty)")]
    assert column(tmp_path, "events", "value") == [1.5]


def test_a_table_that_must_have_rows_cannot_be_all_bad(tmp_path: Path) -> None:
    run(tmp_path)
    before = fingerprint(tmp_path)
    with pytest.raises(DataError, match="sources.interactions: no row is left: all 2 are bad"):
        run(tmp_path, interactions=INTERACTIONS.replace("'loan'", "'lone'").replace("no_action", "noaction"), quarantine=True)
    assert fingerprint(tmp_path) == before


def test_a_table_that_cannot_be_read_at_all_is_refused_all_the_same(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="required column is missing"):
        run(tmp_path, events="SELECT 'a' AS contact_id", quarantine=True)


def test_what_an_earlier_ingest_set_aside_goes_when_it_is_mended(tmp_path: Path) -> None:
    run(tmp_path, events=EVENTS.replace("9.5", "'nan'::DOUBLE"), quarantine=True)
    assert (tmp_path / "data" / "quarantine" / "events.parquet").exists()
    run(tmp_path)
    assert not (tmp_path / "data" / "quarantine" / "events.parquet").exists()
