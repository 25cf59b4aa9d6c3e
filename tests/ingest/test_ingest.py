"""What an ingest writes: types, times, ids, order, completion, the manifest; and what it must not disturb."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from decisioning.errors import Conflict
from features.tables import TABLES
from tests.ingest.workspaces import CONTACTS, EVENTS, INTERACTIONS, NOW, OUTCOMES, SOURCES, column, fingerprint, rows, run, types

TYPES = """SELECT 1 AS contact_id, true AS a_bool, 2::TINYINT AS a_small, 3::UINTEGER AS an_unsigned, 4::HUGEINT AS a_huge,
    5.25::DECIMAL(9, 2) AS a_decimal, 6.5::FLOAT AS a_float, 'seven' AS a_string, DATE '2026-08-08' AS a_date,
    TIMESTAMPTZ '2026-09-09 09:00:00+02' AS a_zoned, TIMESTAMP_NS '2026-10-10 10:00:00.123456' AS a_nano, 'x'::ENUM('x', 'y') AS an_enum,
    uuid '00000000-0000-0000-0000-000000000001' AS a_uuid, TIME '11:00' AS a_time, [1, 2] AS a_list, {'k': 1} AS a_struct, NULL AS nothing,
    '{"j": 1}'::JSON AS a_json, 'b'::BLOB AS a_blob"""


def test_an_attribute_of_any_type_becomes_one_of_six(tmp_path: Path) -> None:
    run(tmp_path, base={}, contacts=TYPES)
    found = types(tmp_path, "contacts")
    assert set(found.values()) == {"VARCHAR", "BOOLEAN", "BIGINT", "DOUBLE", "DATE", "TIMESTAMP"}
    row = rows(tmp_path, "contacts")[0]
    assert (found["a_huge"], row["a_huge"], found["a_decimal"], row["a_decimal"]) == ("DOUBLE", 4.0, "DOUBLE", 5.25)
    assert (found["a_small"], found["an_unsigned"], row["an_unsigned"]) == ("BIGINT", "BIGINT", 3)
    assert str(row["a_date"]) == "2026-08-08"
    assert (str(row["a_zoned"]), str(row["a_nano"])) == ("2026-09-09 07:00:00", "2026-10-10 10:00:00.123456")
    assert (row["a_bool"], row["an_enum"], row["a_list"], row["nothing"]) == (True, "x", "[1, 2]", None)


def test_not_a_number_in_an_attribute_is_not_known(tmp_path: Path) -> None:
    run(tmp_path, base={}, contacts="SELECT i AS contact_id, ['1.5', 'nan', 'inf'][i]::DOUBLE AS score FROM range(1, 4) t(i)")
    assert column(tmp_path, "contacts", "score") == [1.5, None, None]


def test_ids_are_strings_whatever_the_source_calls_them(tmp_path: Path) -> None:
    pd.DataFrame({"contact_id": [1, 2, 3], "account_id": [7, None, 8]}).to_parquet(tmp_path / "c.parquet")  # pandas makes floats of it
    run(
        tmp_path,
        base={},
        contacts="SELECT contact_id, account_id FROM 'c.parquet'",
        accounts="SELECT i AS account_id FROM range(7, 9) t(i)",
    )
    assert column(tmp_path, "contacts", "contact_id") == ["1", "2", "3"]
    assert column(tmp_path, "contacts", "account_id") == ["7", None, "8"]
    assert column(tmp_path, "accounts", "account_id") == ["7", "8"]


@pytest.mark.parametrize(
    "time",
    [
        "TIMESTAMP '2026-03-29 08:00:00'",
        "TIMESTAMPTZ '2026-03-29 10:00:00+02'",
        "'2026-03-29T10:00:00+02:00'",
        "'2026-03-29T08:00:00Z'",
        "'2026-03-29 08:00:00'",
        "TIMESTAMP_S '2026-03-29 08:00:00'",
        "TIMESTAMP_NS '2026-03-29 08:00:00'",
    ],
)
def test_every_way_to_write_a_time_is_the_same_time_in_utc(time: str, tmp_path: Path) -> None:
    run(tmp_path, events=f"SELECT 'a' AS contact_id, 'login' AS event_type, {time} AS occurred_at")
    assert types(tmp_path, "events")["occurred_at"] == "TIMESTAMP"
    assert column(tmp_path, "events", "occurred_at")[0].isoformat() == "2026-03-29T08:00:00"


def test_a_one_shot_experiment_needs_no_times(tmp_path: Path) -> None:
    report = run(
        tmp_path,
        base={"contacts": CONTACTS},
        interactions=f"SELECT * REPLACE (NULL AS occurred_at) FROM ({INTERACTIONS})",
        outcomes=f"SELECT * REPLACE (NULL AS occurred_at) FROM ({OUTCOMES})",
    )
    assert report.newest_at is None
    assert types(tmp_path, "interactions")["occurred_at"] == "TIMESTAMP"
    assert column(tmp_path, "interactions", "occurred_at") == [None, None]


def test_columns_without_a_meaning_are_kept_and_case_does_not_matter(tmp_path: Path) -> None:
    sql = "SELECT 'a' AS CONTACT_ID, 'login' AS Event_Type, TIMESTAMP '2026-01-01' AS Occurred_At, 7 AS \"Strange Name.1\""
    run(tmp_path, events=sql)
    assert types(tmp_path, "events") == {
        "contact_id": "VARCHAR",
        "event_type": "VARCHAR",
        "occurred_at": "TIMESTAMP",
        "Strange Name.1": "BIGINT",
    }


def test_an_optional_column_without_any_value_is_absent(tmp_path: Path) -> None:
    run(tmp_path, interactions=f"SELECT * REPLACE (NULL AS selection_prob), NULL AS channel FROM ({INTERACTIONS})")
    assert {"selection_prob", "channel"} & set(types(tmp_path, "interactions")) == set()


def test_an_outcome_learns_its_contact_from_the_interaction_and_its_behaviour_from_the_catalog(tmp_path: Path) -> None:
    sql = f"""SELECT interaction_id, NULL AS contact_id, outcome, occurred_at, NULL AS behaviour FROM ({OUTCOMES})
        UNION ALL SELECT NULL, 'b', 'unsubscribe', TIMESTAMP '2026-01-09', NULL
        UNION ALL SELECT NULL, 'c', 'unsubscribe', TIMESTAMP '2026-01-10', 'neutral'"""
    run(tmp_path, outcomes=sql)
    assert column(tmp_path, "outcomes", "contact_id") == ["a", "b", "c"]
    assert column(tmp_path, "outcomes", "behaviour") == ["positive", "negative", "neutral"]


def test_rows_come_in_the_order_of_the_table_with_9_before_10(tmp_path: Path) -> None:
    run(tmp_path, base={}, contacts="SELECT i AS contact_id FROM range(12, 0, -1) t(i)")
    assert column(tmp_path, "contacts", "contact_id") == [str(i) for i in range(1, 13)]


def test_the_same_rows_in_another_order_give_the_same_bytes(tmp_path: Path) -> None:
    events = """SELECT i % 50 AS contact_id, 'login' AS event_type, TIMESTAMP '2026-01-01' + to_hours(i % 7) AS occurred_at, i AS n
        FROM range(500) t(i)"""
    contacts = "SELECT i AS contact_id FROM range(50) t(i)"
    run(tmp_path, base={}, contacts=contacts, events=events)
    before = fingerprint(tmp_path)
    run(tmp_path, base={}, contacts=f"{contacts} ORDER BY hash(i)", events=f"{events} ORDER BY hash(i)")
    assert fingerprint(tmp_path) == before


def test_the_manifest_says_what_is_there(tmp_path: Path) -> None:
    report = run(tmp_path)
    manifest = json.loads((tmp_path / "data" / "manifest.json").read_text())
    assert manifest["ingested_at"] == "2026-11-22T10:00:00Z"
    assert manifest["newest_at"] == "2026-01-04T00:00:00Z"
    assert {name: table["rows"] for name, table in manifest["tables"].items()} == {
        name: table.rows for name, table in report.tables.items()
    }
    assert {f"data/{name}.parquet": table["sha256"] for name, table in manifest["tables"].items()}.items() <= fingerprint(tmp_path).items()


def test_a_table_that_lost_its_source_loses_its_file(tmp_path: Path) -> None:
    run(tmp_path)
    run(tmp_path, base={"contacts": CONTACTS})
    assert sorted(fingerprint(tmp_path)) == ["data/contacts.parquet", "data/manifest.json"]


def test_relative_paths_start_at_the_workspace_wherever_the_command_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, elsewhere = tmp_path / "it's, a place", tmp_path / "elsewhere"
    for folder, name in ((workspace, "right"), (elsewhere, "wrong")):
        folder.mkdir()
        (folder / "raw.csv").write_text(f"contact_id\n{name}\n")
    monkeypatch.chdir(elsewhere)
    run(workspace, base={}, contacts="SELECT * FROM read_csv('raw.csv'); -- the user's own file")
    assert column(Path(os.path.relpath(workspace)), "contacts", "contact_id") == ["right"]
    assert Path.cwd() == elsewhere


def test_pythons_own_variables_are_no_tables(tmp_path: Path) -> None:
    contacts = pd.DataFrame({"contact_id": ["from python"]})
    assert len(contacts) == 1
    with pytest.raises(Exception, match="contacts does not exist"):
        run(tmp_path, base={}, contacts="SELECT * FROM contacts")


def test_two_ingests_of_one_workspace_do_not_meet(tmp_path: Path) -> None:
    run(tmp_path)
    before = fingerprint(tmp_path)
    with open(tmp_path / "data" / ".ingest.lock", "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(Conflict, match="another ingest of this workspace is running"):
            run(tmp_path)
    assert fingerprint(tmp_path) == before


def test_what_a_killed_ingest_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "data" / ".ingest").mkdir(parents=True)
    (tmp_path / "data" / ".ingest" / "contacts.parquet").write_text("half a tab")
    run(tmp_path)
    assert not (tmp_path / "data" / ".ingest").exists()
    assert len(rows(tmp_path, "contacts")) == 3


WARNINGS = {
    "orphan events": ({"events": f"{EVENTS} UNION ALL SELECT 'zz', 'login', TIMESTAMP '2026-01-01', 'e3', 1"}, "events: 1 orphan rows"),
    "orphan outcomes": (
        {"outcomes": f"{OUTCOMES} UNION ALL SELECT 'i99', 'loan_taken', NOW()::TIMESTAMP, 1, 'o2'"},
        "outcomes: 1 orphan rows",
    ),
    "orphan consents": ({"consents": SOURCES["consents"].replace("'a'", "'zz'")}, "consents: 1 orphan rows"),
    "unknown accounts": ({"accounts": "SELECT 'G' AS account_id"}, "contacts: 1 rows name an account that is not in accounts"),
    "the future": ({"events": EVENTS.replace("2026-01-04", "2027-01-04")}, "events: 1 rows have occurred_at in the future"),
    "no control": ({"interactions": INTERACTIONS.replace("no_action", "savings")}, "interactions: no row has action_id no_action"),
    "no rows": ({"events": f"SELECT * FROM ({EVENTS}) WHERE false"}, "events: the source gives no rows"),
    "no interactions yet": (
        {"interactions": f"SELECT * FROM ({INTERACTIONS}) WHERE false"},
        "interactions: the source gives no rows",
    ),
    "copies": ({"events": f"{EVENTS} UNION ALL {EVENTS}"}, "events: 2 rows repeat an earlier row in every column and were dropped"),
    "probabilities for some": (
        {"interactions": INTERACTIONS.replace("0.5, 1.5", "NULL, 1.5")},
        "interactions: 1 rows have no selection_prob",
    ),
    "an effect before its cause": ({"outcomes": OUTCOMES.replace("2026-01-03", "2025-01-03")}, "outcomes: 1 rows happened before their"),
    "a peek ahead": (
        {"interactions": f"SELECT *, DATE '2026-01-03' AS as_of FROM ({INTERACTIONS})"},
        "interactions: 2 rows have as_of after",
    ),
}


@pytest.mark.parametrize("case", WARNINGS)
def test_odd_rows_are_kept_and_warned_about(case: str, tmp_path: Path) -> None:
    replaced, warning = WARNINGS[case]
    report = run(tmp_path, **replaced)
    assert [text for text in report.warnings if text.startswith(warning)], report.warnings


def test_a_clean_workspace_has_no_warnings(tmp_path: Path) -> None:
    assert run(tmp_path).warnings == ()


def test_an_anonymous_visit_needs_no_contact(tmp_path: Path) -> None:
    run(tmp_path, events="SELECT NULL AS contact_id, 'v1' AS anonymous_id, 'view' AS event_type, TIMESTAMP '2026-01-01' AS occurred_at")
    assert column(tmp_path, "events", "anonymous_id") == ["v1"]


def test_the_contract_tables_are_those_of_the_contract() -> None:
    required = {name: table.required for name, table in TABLES.items()}
    assert required == {
        "contacts": ("contact_id",),
        "accounts": ("account_id",),
        "interactions": ("interaction_id", "contact_id", "action_id", "occurred_at"),
        "outcomes": ("outcome", "occurred_at"),
        "events": ("contact_id", "event_type", "occurred_at"),
        "consents": ("contact_id", "purpose", "status", "changed_at"),
    }


def test_the_report_reads_as_json(tmp_path: Path) -> None:
    document = json.loads(json.dumps(run(tmp_path).to_json()))
    assert document["tables"]["contacts"] == {"rows": 3, "quarantined": 0, "copies_dropped": 0}
    assert (document["warnings"], document["newest_at"]) == ([], "2026-01-04T00:00:00Z")
    assert NOW.tzinfo is not None
    assert duckdb.sql("SELECT 1").fetchall() == [(1,)]  # the default connection of the process was not touched
