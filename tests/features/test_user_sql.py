"""A workspace's own features/*.sql: three shapes, and the leak check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from decisioning.errors import DataError
from features.build import infer_contract
from features.contract import TIMELESS
from tests.features.workspaces import DAY_0, Pair, built_rows, day, write_table

PAIRS: list[Pair] = [("a", day(-20)), ("a", day(0)), ("b", day(-20)), ("b", day(0))]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    write_table(tmp_path, "contacts", [{"contact_id": "a", "age": 30}, {"contact_id": "b", "age": 41}])
    events = [("a", -40, 5.0), ("a", -10, 7.0), ("a", 0, 100.0), ("b", -30, 1.5), ("b", 5, 50.0)]
    write_table(
        tmp_path, "events", [{"contact_id": c, "event_type": "buy", "occurred_at": day(at), "value": value} for c, at, value in events]
    )
    write_table(
        tmp_path,
        "interactions",
        [{"interaction_id": f"{contact}{at}", "contact_id": contact, "action_id": "mail", "occurred_at": at} for contact, at in PAIRS],
    )
    return tmp_path


def query(workspace: Path, sql: str, name: str = "mine") -> None:
    (workspace / "features").mkdir(exist_ok=True)
    (workspace / "features" / f"{name}.sql").write_text(sql, encoding="utf-8")


def shown(rows: dict[Pair, dict[str, Any]], name: str) -> list[Any]:
    return [rows[pair][name] for pair in PAIRS]


def test_a_query_over_entities_gives_one_value_an_entity(workspace: Path) -> None:
    query(
        workspace,
        """
        -- the largest payment so far
        SELECT e.contact_id, e.as_of, max(v.value) AS "Largest Payment", count(v.value)::UTINYINT AS payments
        FROM entities e LEFT JOIN events v ON v.contact_id = e.contact_id AND v.occurred_at < e.as_of
        GROUP BY ALL;  -- done
    """,
    )
    spec = {spec.name: spec for spec in infer_contract(workspace).specs}
    assert (spec["largest_payment"].dtype, spec["payments"].dtype) == ("float", "int")
    assert spec["largest_payment"].source == "features/mine.sql:Largest Payment"
    rows = built_rows(workspace, pairs=PAIRS)
    assert shown(rows, "largest_payment") == [5.0, 7.0, 1.5, 1.5]
    assert shown(rows, "payments") == [1, 2, 1, 1]


def test_a_query_with_valid_from_holds_from_then_on(workspace: Path) -> None:
    query(workspace, "SELECT contact_id, occurred_at AS valid_from, value AS last_paid FROM events WHERE value < 20")
    assert shown(built_rows(workspace, pairs=PAIRS), "last_paid") == [5.0, 7.0, 1.5, 1.5]


def test_a_query_without_time_is_the_same_at_any_as_of(workspace: Path) -> None:
    query(workspace, "SELECT contact_id, age >= 40 AS forty FROM contacts WHERE contact_id = 'b'")
    assert shown(built_rows(workspace, pairs=PAIRS), "forty") == [None, None, True, True]


def test_a_query_may_read_a_table_that_the_workspace_does_not_have(workspace: Path) -> None:
    query(workspace, "SELECT contact_id, count(*) AS consents FROM consents GROUP BY contact_id")
    assert shown(built_rows(workspace, pairs=PAIRS), "consents") == [None] * 4


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT contact_id, sum(value) AS x FROM events GROUP BY contact_id",
        "SELECT e.contact_id, e.as_of, max(v.occurred_at) AS x FROM entities e JOIN events v USING (contact_id) GROUP BY ALL",
        # The moment of as_of itself is the future.
        "SELECT e.contact_id, e.as_of, sum(v.value) AS x FROM entities e JOIN events v ON v.contact_id = e.contact_id "
        "AND v.occurred_at <= e.as_of GROUP BY ALL",
        "SELECT contact_id, min(occurred_at) AS valid_from, count(*) AS x FROM events GROUP BY contact_id",
        "SELECT contact_id, (SELECT count(*) FROM interactions) AS x FROM contacts",
        "SELECT contact_id, random() AS x FROM contacts",
    ],
)
def test_a_query_that_looks_into_the_future_is_refused(workspace: Path, sql: str) -> None:
    query(workspace, sql)
    with pytest.raises(DataError, match="looks into the future") as refusal:
        built_rows(workspace, as_of=day(30))
    assert refusal.value.field == "features/mine.sql: x"


def test_an_outcome_cannot_leak_into_a_one_shot_experiment(tmp_path: Path) -> None:
    write_table(tmp_path, "contacts", [{"contact_id": "a"}])
    write_table(tmp_path, "interactions", [{"interaction_id": "i", "contact_id": "a", "action_id": "mail", "occurred_at": None}])
    write_table(tmp_path, "outcomes", [{"contact_id": "a", "outcome": "buy", "occurred_at": None}])
    query(tmp_path, "SELECT contact_id, count(*) AS x FROM outcomes GROUP BY contact_id")
    with pytest.raises(DataError, match=rf"looks into the future.*at {str(TIMELESS)[:10]}"):
        built_rows(tmp_path, as_of=DAY_0)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT 1 AS x", "does not return contact_id"),
        ("SELECT contact_id FROM contacts", "returns no feature"),
        ("SELECT contact_id, nothing FROM contacts", "is not a query that DuckDB can run"),
        ("SELEC contact_id", "is not a query that DuckDB can run"),
        ("DROP TABLE contacts", "is not one SELECT"),
        ("SELECT contact_id, 1 AS x FROM contacts; SELECT 1", "is not one SELECT"),
        ("-- nothing here", "is not one SELECT"),
        ("SELECT contact_id, 1 AS age FROM contacts", "two features have one name"),
    ],
)
def test_a_query_that_cannot_be_used_is_refused_with_its_file(workspace: Path, sql: str, message: str) -> None:
    query(workspace, sql)
    with pytest.raises(DataError, match=message) as refusal:
        infer_contract(workspace)
    assert refusal.value.field is not None
    assert refusal.value.field.startswith("features/mine.sql")


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT contact_id, value AS x FROM events", "returns two rows for one key"),
        ("SELECT contact_id, CAST(event_type AS INTEGER) AS x FROM events", "cannot be run"),
    ],
)
def test_a_query_that_fails_on_the_data_is_refused(workspace: Path, sql: str, message: str) -> None:
    query(workspace, sql)
    with pytest.raises(DataError, match=message):
        built_rows(workspace, as_of=DAY_0)


def test_two_files_are_read_in_the_order_of_their_names(workspace: Path) -> None:
    query(workspace, "SELECT contact_id, 2 AS second FROM contacts", "b")
    query(workspace, "SELECT contact_id, 1 AS first FROM contacts", "a")
    assert infer_contract(workspace).names[-2:] == ("first", "second")
    assert set(shown(built_rows(workspace, pairs=PAIRS), "second")) == {2}
