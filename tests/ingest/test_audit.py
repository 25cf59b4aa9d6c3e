"""The data audit: counts that can be checked by hand, and leakage that is found without crying wolf."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from features.audit import audit, ingest_document
from features.leakage import single_feature_auc
from tests.ingest.workspaces import CONTACTS, EVENTS, INTERACTIONS, SOURCES, run

N = 400
MANY = f"""SELECT i AS contact_id, i % 7 AS honest, {{attribute}} AS suspect, i % 4 = 0 AS happened FROM range({N}) t(i)"""
TOUCHED = f"SELECT i AS interaction_id, i AS contact_id, 'loan' AS action_id, DATE '2026-01-01' AS occurred_at FROM range({N}) t(i)"
HAPPENED = f"SELECT i AS contact_id, 'loan_taken' AS outcome, DATE '2026-01-02' AS occurred_at FROM range({N}) t(i) WHERE i % 4 = 0"


def test_rows_nulls_and_the_time_range_are_counted(tmp_path: Path) -> None:
    run(tmp_path)
    tables = audit(tmp_path).tables
    assert {name: table.rows for name, table in tables.items()} == dict.fromkeys(SOURCES, 1) | {
        "contacts": 3,
        "interactions": 2,
        "events": 2,
    }
    assert (tables["contacts"].columns["account_id"].nulls, tables["events"].columns["value"].nulls) == (2, 1)
    assert (str(tables["events"].first_at), str(tables["events"].last_at)) == ("2026-01-01 00:00:00", "2026-01-04 00:00:00")
    assert (tables["contacts"].first_at, tables["contacts"].columns["age"].type) == (None, "BIGINT")


def test_a_column_that_says_the_same_in_every_row_is_named(tmp_path: Path) -> None:
    run(tmp_path, contacts=f"SELECT *, 'PL' AS country, NULL AS hobby, nullif(age, 30) > 0 AS adult FROM ({CONTACTS})")
    assert audit(tmp_path).warnings == (
        "contacts.country: says the same in every row, so it tells nothing",
        "contacts.hobby: is NULL in every row, so it tells nothing",
    )


def test_identical_events_without_an_id_and_orphans_are_counted(tmp_path: Path) -> None:
    twice = f"SELECT * EXCLUDE event_id FROM ({EVENTS})"
    report = run(tmp_path, events=f"{twice} UNION ALL {twice} UNION ALL SELECT 'zz', 'login', TIMESTAMP '2026-01-01', 2")
    audited = audit(tmp_path)
    assert (audited.tables["events"].duplicates, audited.tables["events"].orphans) == (2, 1)
    assert audited.warnings[0].startswith("events: 2 rows repeat another row in every column")
    document = json.loads(json.dumps(ingest_document(report, audited)))
    assert document["tables"]["events"] | {"rows": 5, "orphans": 1, "last_at": "2026-01-04T00:00:00Z"} == document["tables"]["events"]
    assert [text[:9] for text in document["warnings"]] == ["events: 1", "events: 2"]


LEAKS = {
    "a word written afterwards": "CASE WHEN i % 4 = 0 THEN 'won' WHEN i % 4 = 1 THEN 'lost' ELSE 'open' END",
    "a number that is there only afterwards": "CASE WHEN i % 4 = 0 THEN i END",
    "a number in the middle of the others": "CASE WHEN i % 4 = 0 THEN 0.01 * i WHEN i % 2 = 0 THEN 100 + i ELSE -100 - i END",
    "a flag": "i % 4 = 0",
    "a date": "CASE WHEN i % 4 = 0 THEN DATE '2026-01-02' ELSE DATE '2025-01-01' + (i % 9)::INTEGER END",
}


@pytest.mark.parametrize("case", LEAKS)
def test_an_attribute_that_gives_the_outcome_away_is_named(case: str, tmp_path: Path) -> None:
    contacts = f"SELECT * EXCLUDE happened FROM ({MANY.format(attribute=LEAKS[case])})"
    run(tmp_path, base={}, contacts=contacts, interactions=TOUCHED, outcomes=HAPPENED)
    audited = audit(tmp_path)
    assert [(leak.column, leak.outcome) for leak in audited.leaks] == [("suspect", "loan_taken")]
    assert [text for text in audited.warnings if text.startswith("contacts.suspect: predicts the outcome loan_taken almost perfectly")]


@pytest.mark.parametrize("attribute", ["'name ' || i", "hash(i) % 1000", "CASE WHEN i % 5 = 0 THEN 'x' END", "hash(i) / 7 % 2 = 0"])
def test_an_attribute_that_merely_varies_is_not_accused(attribute: str, tmp_path: Path) -> None:
    contacts = f"SELECT * EXCLUDE happened FROM ({MANY.format(attribute=attribute)})"
    run(tmp_path, base={}, contacts=contacts, interactions=TOUCHED, outcomes=HAPPENED)
    assert audit(tmp_path).leaks == ()


def test_a_strong_honest_predictor_is_not_accused() -> None:
    rng = np.random.default_rng(3)
    happened = rng.random(5_000) < 0.2
    assert 0.85 < single_feature_auc(rng.normal(happened * 1.8, 1.0), happened) < 0.95


def test_too_few_outcomes_accuse_nobody(tmp_path: Path) -> None:
    run(tmp_path, contacts=f"SELECT *, contact_id = 'a' AS won FROM ({CONTACTS})", interactions=INTERACTIONS)
    assert audit(tmp_path).leaks == ()


def test_in_real_data_the_answer_itself_is_caught_and_a_strong_hint_is_not(data_dir: Path, tmp_path: Path) -> None:
    """Bank Marketing with the answer itself among the attributes; the length of the call is a strong hint, not a certainty."""
    raw = f"read_csv('{data_dir}/bank_marketing.csv', delim = ';', types = {{'y': 'VARCHAR'}})"
    contacts = f"SELECT row_number() OVER () AS contact_id, age, duration, 'said ' || y AS note FROM {raw}"
    numbered = f"(SELECT row_number() OVER () AS contact_id, y FROM {raw})"
    outcomes = f"SELECT contact_id, 'loan_taken' AS outcome, NULL AS occurred_at FROM {numbered} WHERE y = 'yes'"
    run(tmp_path, base={}, contacts=contacts, outcomes=outcomes)
    assert [leak.column for leak in audit(tmp_path).leaks] == ["note"]
