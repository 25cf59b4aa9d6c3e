"""Bad input: each refusal is plain, names table, column, count and examples, and leaves the earlier data untouched."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from decisioning.errors import DataError
from tests.ingest.workspaces import CONTACTS, EVENTS, INTERACTIONS, OUTCOMES, SOURCES, fingerprint, run

I_COLUMNS = "t(interaction_id, contact_id, action_id, occurred_at)"
O_COLUMNS = "t(interaction_id, contact_id, outcome, occurred_at)"

# (table, SQL of the bad source, every piece of text that the refusal must hold)
REFUSALS: dict[str, tuple[str, str, list[str]]] = {
    "a missing column": (
        "contacts",
        "SELECT 'a' AS contactid, 30 AS age",
        ["contacts.contact_id: required column is missing", "contactid, age", "did you mean 'contactid'?"],
    ),
    "a missing time column of interactions": (
        "interactions",
        "SELECT 'i' AS interaction_id, 'a' AS contact_id, 'loan' AS action_id",
        ["interactions.occurred_at: required column is missing", "NULL AS occurred_at"],
    ),
    "a contact without an id": (
        "contacts",
        f"{CONTACTS} UNION ALL SELECT NULL, 1, 'F' UNION ALL SELECT '', 1, 'F'",
        ["contacts.contact_id: missing value (NULL or empty) in 2 of 5 rows", "row 4: contact_id=NULL", "row 5: contact_id=''"],
    ),
    "contacts whose ids cannot be written down": (
        "contacts",
        f"{CONTACTS} UNION ALL SELECT unnest(['a' || chr(9), 'a' || chr(10) || 'b', 'a' || chr(0), chr(160) || ' ']), 1, 'F'",
        ["contacts.contact_id: control characters, or nothing but blanks, in an id in 4 of 7 rows", r"row 4: contact_id='a\t'", "trim"],
    ),
    "an id that no request may have": (
        "contacts",
        f"{CONTACTS} UNION ALL SELECT repeat('x', 257), 1, 'F'",
        ["contacts.contact_id: an id too long in 1 of 4 rows", "up to 256 characters"],
    ),
    "an event id with a line break": (
        "events",
        EVENTS.replace("'e2'", "'e2' || chr(13)"),
        ["events.event_id: control characters", r"row 2: event_id='e2\r'"],
    ),
    "a duplicate contact": (
        "contacts",
        f"{CONTACTS} UNION ALL SELECT 'a', 31, 'F'",
        ["contacts.contact_id: repeats an earlier contact_id in 1 of 4 rows", "row 4: contact_id='a'", "valid_from"],
    ),
    "a contact twice from the same time": (
        "contacts",
        "SELECT * FROM (VALUES ('a', DATE '2026-01-01'), ('a', DATE '2026-01-01'), ('a', DATE '2026-02-01')) t(contact_id, valid_from)",
        ["contacts.contact_id: repeats an earlier contact_id and valid_from in 1 of 3 rows", "valid_from=2026-01-01"],
    ),
    "a contact twice since always": (
        "contacts",
        "SELECT * FROM (VALUES ('a', DATE '2026-01-01'), ('a', NULL), ('a', NULL)) t(contact_id, valid_from)",
        ["contacts.contact_id: repeats an earlier contact_id and valid_from in 1 of 3 rows", "row 3: contact_id='a', valid_from=NULL"],
    ),
    "an unknown time zone": (
        "contacts",
        "SELECT 'a' AS contact_id, 'Europe/Warszawa' AS time_zone",
        ["contacts.time_zone: unknown time zone in 1 of 1 rows", "did you mean 'Europe/Warsaw'?"],
    ),
    "no contacts at all": ("contacts", f"SELECT * FROM ({CONTACTS}) WHERE false", ["sources.contacts: no rows"]),
    "a duplicate account": (
        "accounts",
        "SELECT * FROM (VALUES (1, 'x'), (1, 'x')) t(account_id, branch)",
        ["accounts.account_id: repeats an earlier account_id in 1 of 2 rows", "row 2: account_id=1"],
    ),
    "a duplicate interaction": (
        "interactions",
        f"{INTERACTIONS} UNION ALL {INTERACTIONS}",
        ["interactions.interaction_id: repeats an earlier interaction_id in 2 of 4 rows", "interaction_id='i1'", "contact_id='a'"],
    ),
    "an unknown action": (
        "interactions",
        f"SELECT * REPLACE ('loans' AS action_id) FROM ({INTERACTIONS})",
        ["interactions.action_id: unknown action in 2 of 2 rows", "action_id='loans'", "did you mean 'loan'?", "loan, no_action, savings"],
    ),
    "an interaction with nobody": (
        "interactions",
        f"SELECT * REPLACE ('zz' AS contact_id) FROM ({INTERACTIONS})",
        ["interactions.contact_id: contact not in contacts in 2 of 2 rows", "contact_id='zz'"],
    ),
    "a probability of nought": (
        "interactions",
        f"SELECT * REPLACE (0 AS selection_prob) FROM ({INTERACTIONS})",
        ["interactions.selection_prob: not a probability of what was chosen in 2 of 2 rows", "above 0, at most 1"],
    ),
    "a probability in percent": (
        "interactions",
        f"SELECT * REPLACE (33.3 AS selection_prob) FROM ({INTERACTIONS})",
        ["interactions.selection_prob: not a probability", "selection_prob=33.3"],
    ),
    "a probability that is NaN": (
        "interactions",
        f"SELECT * REPLACE ('nan'::DOUBLE AS selection_prob) FROM ({INTERACTIONS})",
        ["interactions.selection_prob: not a probability", "selection_prob=nan"],
    ),
    "a negative cost": (
        "interactions",
        f"SELECT * REPLACE (-1 AS cost) FROM ({INTERACTIONS})",
        ["interactions.cost: negative cost in 2 of 2 rows", "cost=-1"],
    ),
    "a row that stands for none": (
        "interactions",
        f"SELECT *, 0 AS sample_weight FROM ({INTERACTIONS})",
        ["interactions.sample_weight: not a number of rows in 2 of 2 rows", "a finite number above 0", "sample_weight=0"],
    ),
    "a row that stands for infinitely many": (
        "interactions",
        f"SELECT *, 'inf'::DOUBLE AS sample_weight FROM ({INTERACTIONS})",
        ["interactions.sample_weight: not a number of rows in 2 of 2 rows", "sample_weight=inf"],
    ),
    "a NaN in a money field": (
        "events",
        f"SELECT * REPLACE ('nan'::DOUBLE AS value) FROM ({EVENTS})",
        ["events.value: NaN or infinite money in 2 of 2 rows", "row 1: event_id='e1', contact_id='a', value=nan", "isfinite(value)"],
    ),
    "an infinite outcome": (
        "outcomes",
        f"SELECT * REPLACE ('-inf'::DOUBLE AS value) FROM ({OUTCOMES})",
        ["outcomes.value: NaN or infinite money in 1 of 1 rows", "value=-inf"],
    ),
    "money in words": (
        "events",
        f"SELECT * REPLACE ('9,50 zł' AS value) FROM ({EVENTS})",
        ["events.value: not a number in 2 of 2 rows", "value='9,50 zł'"],
    ),
    "a time nobody can read": (
        "events",
        f"SELECT * REPLACE ('31.12.2026' AS occurred_at) FROM ({EVENTS})",
        ["events.occurred_at: not a time in 2 of 2 rows", "occurred_at='31.12.2026'", "strptime(occurred_at"],
    ),
    "a time as a number": (
        "events",
        f"SELECT * REPLACE (1767225600 AS occurred_at) FROM ({EVENTS})",
        ["events.occurred_at: not a time in 2 of 2 rows", "occurred_at=1767225600"],
    ),
    "a time at the end of days": (
        "events",
        f"SELECT * REPLACE (DATE '9999-12-31' AS occurred_at) FROM ({EVENTS})",
        ["events.occurred_at: not a plausible time in 2 of 2 rows", "1900-01-01 to 2200-01-01"],
    ),
    "an event without a time": (
        "events",
        f"SELECT * REPLACE (NULL AS occurred_at) FROM ({EVENTS})",
        ["events.occurred_at: missing value (NULL or empty) in 2 of 2 rows"],
    ),
    "an event without a type": (
        "events",
        f"SELECT * REPLACE ('' AS event_type) FROM ({EVENTS})",
        ["events.event_type: missing value (NULL or empty) in 2 of 2 rows"],
    ),
    "an event id with two stories": (
        "events",
        f"{EVENTS} UNION ALL SELECT 'a', 'logout', TIMESTAMP '2026-01-01', 'e1', NULL",
        ["events.event_id: repeats an earlier event_id with other values in 1 of 3 rows", "event_id='e1'"],
    ),
    "some interactions without a time": (
        "interactions",
        f"SELECT * FROM (VALUES ('1', 'a', 'loan', TIMESTAMP '2026-01-01'), ('2', 'a', 'loan', NULL)) {I_COLUMNS}",
        ["interactions.occurred_at: missing time in 1 of 2 rows", "row 2: interaction_id='2'", "or none (a one-shot experiment)"],
    ),
    "some outcomes without a time": (
        "outcomes",
        f"SELECT * FROM (VALUES (NULL, 'a', 'loan_taken', TIMESTAMP '2026-01-05'), (NULL, 'a', 'loan_taken', NULL)) {O_COLUMNS}",
        ["outcomes.occurred_at: missing time in 1 of 2 rows"],
    ),
    "outcomes without times of interactions with times": (
        "outcomes",
        f"SELECT * FROM (VALUES ('i1', 'a', 'loan_taken', NULL)) {O_COLUMNS}",
        ["outcomes.occurred_at: interactions have times but no outcome has one in 1 of 1 rows"],
    ),
    "an outcome of nobody": (
        "outcomes",
        f"SELECT * FROM (VALUES (NULL, NULL, 'loan_taken', TIMESTAMP '2026-01-05')) {O_COLUMNS}",
        ["outcomes.contact_id: neither interaction_id nor contact_id says whose outcome it is in 1 of 1 rows"],
    ),
    "an outcome without either column": (
        "outcomes",
        "SELECT 'loan_taken' AS outcome, TIMESTAMP '2026-01-05' AS occurred_at",
        ["outcomes.contact_id: neither interaction_id nor contact_id"],
    ),
    "an outcome of two contacts": (
        "outcomes",
        f"SELECT * FROM (VALUES ('i1', 'b', 'loan_taken', TIMESTAMP '2026-01-05')) {O_COLUMNS}",
        ["outcomes.contact_id: contact differs from the interaction's in 1 of 1 rows", "contact_id='b'"],
    ),
    "an unknown outcome": (
        "outcomes",
        f"SELECT * REPLACE ('loan_take' AS outcome) FROM ({OUTCOMES})",
        ["outcomes.outcome: unknown outcome in 1 of 1 rows", "did you mean 'loan_taken'?"],
    ),
    "an unknown behaviour": (
        "outcomes",
        f"SELECT *, 'positve' AS behaviour FROM ({OUTCOMES})",
        ["outcomes.behaviour: unknown behaviour in 1 of 1 rows", "did you mean 'positive'?"],
    ),
    "an unknown consent": (
        "consents",
        "SELECT 'a' AS contact_id, 'email' AS purpose, 'grant' AS status, DATE '2026-01-01' AS changed_at",
        ["consents.status: unknown status in 1 of 1 rows", "did you mean 'granted'?", "granted, denied, revoked"],
    ),
    "a consent without a time": (
        "consents",
        "SELECT 'a' AS contact_id, 'email' AS purpose, 'granted' AS status, NULL AS changed_at",
        ["consents.changed_at: missing value"],
    ),
    "SQL that does not parse": ("events", "SELEC 1", ["sources.events: the SQL fails: Parser Error", "SELEC"]),
    "SQL over a column that is not there": (
        "contacts",
        f"SELECT contactid FROM ({CONTACTS})",
        ["sources.contacts: the SQL fails: Binder Error", "contactid"],
    ),
    "SQL that does something else": ("events", "CREATE TABLE x AS SELECT 1", ["sources.events: a source is one SELECT; got CREATE"]),
    "two statements": ("events", "SELECT 1; SELECT 2", ["sources.events: a source is one SELECT; got SELECT and SELECT"]),
    "no statement": ("events", "-- later", ["sources.events: a source is one SELECT; got nothing"]),
    "a missing file": (
        "events",
        "SELECT * FROM read_csv('gone.csv')",
        ["sources.events: the file gone.csv is not there", "relative paths start at the workspace"],
    ),
    "an empty file": (
        "contacts",
        "SELECT id AS contact_id FROM read_csv('empty.csv')",
        ["sources.contacts: the file empty.csv is empty", "contact_id"],
    ),
    "an empty file of parquet": ("contacts", "SELECT * FROM 'empty.parquet'", ["sources.contacts: the file empty.parquet is empty"]),
    "a file with a header only": ("contacts", "SELECT * FROM read_csv('header.csv')", ["sources.contacts: no rows"]),
}


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with good data and some odd files; refused ingests leave it as it is, so every case may share it."""
    workspace = tmp_path_factory.mktemp("workspace")
    (workspace / "empty.csv").touch()
    (workspace / "empty.parquet").touch()
    (workspace / "header.csv").write_text("contact_id,age\n")
    run(workspace)
    return workspace


@pytest.mark.parametrize("case", REFUSALS)
def test_bad_input_is_refused_in_one_plain_line_and_the_earlier_data_stays(case: str, ingested: Path) -> None:
    table, sql, pieces = REFUSALS[case]
    before = fingerprint(ingested)

    with pytest.raises(DataError) as refused:
        run(ingested, **{table: sql})

    text = str(refused.value)
    assert [piece for piece in pieces if piece not in text] == [], text
    assert "\n" not in text
    assert fingerprint(ingested) == before


def test_a_failing_first_ingest_leaves_no_table_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        run(tmp_path, consents="SELECT 1 AS one")
    assert fingerprint(tmp_path) == {}


def test_only_three_examples_are_shown_and_long_values_are_cut(tmp_path: Path) -> None:
    many = "SELECT 'c' || i AS contact_id, repeat('x', 1000) AS time_zone FROM range(1000) t(i)"
    with pytest.raises(DataError, match=re.escape("in 1,000 of 1,000 rows")) as refused:
        run(tmp_path, contacts=many)
    assert str(refused.value).count("row ") == 3
    assert len(str(refused.value)) < 500


def test_an_unknown_table_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=re.escape("did you mean 'events'?")):
        run(tmp_path, event=EVENTS)


def test_a_workspace_without_contacts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=re.escape("sources.contacts: there is no source of contacts")):
        run(tmp_path, base={name: sql for name, sql in SOURCES.items() if name != "contacts"})
