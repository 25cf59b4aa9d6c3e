"""Attributes: any type, any name, several rows a contact, one-shot experiments."""

from __future__ import annotations

import decimal
import json
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from decisioning.errors import DataError, NotFound
from features.build import build_offline, infer_contract, known_contacts
from features.contract import TIMELESS
from tests.features.workspaces import DAY_0, built_rows, day, moment, write_table

EVERY_TYPE = {
    "flag": (pa.bool_(), [True, None], "bool"),
    "tiny": (pa.int8(), [-3, None], "int"),
    "unsigned": (pa.uint32(), [4_000_000_000, None], "int"),
    "big": (pa.int64(), [2**62, None], "int"),
    "huge": (pa.uint64(), [2**40, None], "float"),
    "single": (pa.float32(), [0.5, None], "float"),
    "real": (pa.float64(), [0.1, float("nan")], "float"),
    "price": (pa.decimal128(18, 2), [decimal.Decimal("19.99"), None], "float"),
    "text": (pa.string(), ["zażółć \"'\n", None], "string"),
    "kind": (pa.dictionary(pa.int32(), pa.string()), ["b", None], "string"),
    "born": (pa.date32(), [date(1970, 2, 3), None], "date"),
    "opened": (pa.timestamp("us"), [datetime.fromisoformat("2020-05-06T07:08:09.123456"), None], "timestamp"),
    "zoned": (pa.timestamp("ns", tz="Europe/Warsaw"), [datetime.fromisoformat("2020-05-06T07:08:09+00:00"), None], "timestamp"),
    "at": (pa.time64("us"), [datetime.fromisoformat("2020-05-06T07:08:09").time(), None], "string"),
    "list": (pa.list_(pa.int32()), [[1, 2], None], "string"),
    "nothing": (pa.null(), [None, None], "string"),
    "null numbers": (pa.float64(), [None, None], "float"),
}


def contacts_of(columns: dict[str, tuple[pa.DataType, list[object]]]) -> pa.Table:
    size = len(next(iter(columns.values()))[1])
    arrays = {name: pa.array(values, type=kind) for name, (kind, values) in columns.items()}
    return pa.table({"contact_id": pa.array([f"c{row}" for row in range(size)]), **arrays})


def test_every_type_that_a_file_brings_becomes_a_feature(tmp_path: Path) -> None:
    write_table(tmp_path, "contacts", contacts_of({name: (kind, values) for name, (kind, values, _) in EVERY_TYPE.items()}))
    contract = infer_contract(tmp_path)
    assert contract.dtypes == {name.replace(" ", "_"): dtype for name, (_, _, dtype) in EVERY_TYPE.items()}
    rows = built_rows(tmp_path, as_of=DAY_0)
    assert rows["c0", DAY_0] | {"at": "07:08:09", "list": "[1, 2]"} == rows["c0", DAY_0]
    shown = {
        name: rows["c0", DAY_0][name] for name in ("flag", "tiny", "unsigned", "big", "huge", "single", "real", "price", "text", "kind")
    }
    assert shown == {
        "flag": True,
        "tiny": -3,
        "unsigned": 4_000_000_000,
        "big": 2**62,
        "huge": 2.0**40,
        "single": 0.5,
        "real": 0.1,
        "price": 19.99,
        "text": "zażółć \"'\n",
        "kind": "b",
    }
    assert rows["c0", DAY_0]["opened"] == EVERY_TYPE["opened"][1][0]
    assert rows["c0", DAY_0]["zoned"] == datetime.fromisoformat("2020-05-06T07:08:09")
    assert set(rows["c1", DAY_0].values()) == {None}


def test_odd_column_names_become_identifiers_and_keep_their_origin(tmp_path: Path) -> None:
    odd = ["Customer Age", "customer-age", "SELECT", "order", "1st", 'quo"te', "Łódź?", "event_timestamp", "valid from", "events_7d"]
    write_table(tmp_path, "contacts", contacts_of({name: (pa.int64(), [number]) for number, name in enumerate(odd)}))
    write_table(tmp_path, "events", [{"contact_id": "c0", "event_type": "Log In!", "occurred_at": day(-1)}])
    contract = infer_contract(tmp_path)
    own = {spec.name: spec.source for spec in contract.specs if spec.source.startswith("contacts.")}
    assert list(own.values()) == [f"contacts.{name}" for name in odd]
    names = [
        "customer_age",
        "customer_age_2",
        "select",
        "order",
        "f_1st",
        "quo_te",
        "lodz",
        "event_timestamp_2",
        "valid_from_2",
        "events_7d",
    ]
    assert list(own) == names
    row = built_rows(tmp_path, as_of=DAY_0)["c0", DAY_0]
    assert [row[name] for name in names] == list(range(len(odd)))  # events_7d too: what a workspace names itself is what it means
    assert row["log_in_count_30d"] == 1


def test_the_newest_row_not_after_as_of_holds(tmp_path: Path) -> None:
    write_table(
        tmp_path,
        "contacts",
        [
            {"contact_id": "a", "city": "born in", "valid_from": None},
            {"contact_id": "a", "city": "moved to", "valid_from": day(10)},
            {"contact_id": "b", "city": "late", "valid_from": day(20)},
        ],
    )
    asked = [("a", day(0)), ("a", day(9.99)), ("a", day(10)), ("a", day(30)), ("b", day(19)), ("b", day(20)), ("nobody", day(20))]
    rows = built_rows(tmp_path, pairs=asked)
    assert [rows[pair]["city"] for pair in asked] == ["born in", "born in", "moved to", "moved to", None, "late", None]
    assert list(known_contacts(tmp_path, moment(day(19)))) == ["a"]
    assert list(known_contacts(tmp_path, moment(day(20)))) == ["a", "b"]
    assert rows["b", day(20)]["tenure_days"] is None
    assert built_rows(tmp_path, pairs=[("b", day(22.5))])["b", day(22.5)]["tenure_days"] == 2.5


def test_attributes_of_the_firm_carry_its_name(tmp_path: Path) -> None:
    write_table(
        tmp_path,
        "contacts",
        [{"contact_id": "a", "account_id": "f"}, {"contact_id": "b", "account_id": None}, {"contact_id": "c", "account_id": "gone"}],
    )
    write_table(tmp_path, "accounts", [{"account_id": "f", "Employees": 12, "account_size": "S"}])
    contract = infer_contract(tmp_path)
    assert {"account_id": "id", "account_employees": "none", "account_size": "none"}.items() <= {
        s.name: s.unit for s in contract.specs
    }.items()
    rows = built_rows(tmp_path, as_of=DAY_0)
    shown = [(rows[contact, DAY_0]["account_employees"], rows[contact, DAY_0]["account_size"]) for contact in "abc"]
    assert shown == [(12, "S"), (None, None), (None, None)]


def test_a_one_shot_experiment_knows_every_attribute_and_no_event(tmp_path: Path) -> None:
    write_table(
        tmp_path,
        "contacts",
        [{"contact_id": "a", "city": "old", "valid_from": day(-9)}, {"contact_id": "a", "city": "new", "valid_from": day(-5)}],
    )
    write_table(tmp_path, "events", [{"contact_id": "a", "event_type": "visit", "occurred_at": day(-1)}])
    write_table(tmp_path, "interactions", [{"interaction_id": "i", "contact_id": "a", "action_id": "mail", "occurred_at": None}])
    write_table(tmp_path, "outcomes", [{"interaction_id": "i", "contact_id": None, "outcome": "visit", "occurred_at": None}])
    rows = built_rows(tmp_path, as_of=DAY_0)
    timeless = rows["a", TIMELESS.astype(datetime)]
    assert (timeless["city"], timeless["events_365d"]) == ("new", 0)
    assert (rows["a", DAY_0]["city"], rows["a", DAY_0]["events_365d"]) == ("new", 1)
    assert not [name for name in timeless if name.startswith(("touches", "response"))]


def test_an_interaction_is_seen_as_of_its_own_cut(tmp_path: Path) -> None:
    write_table(tmp_path, "contacts", [{"contact_id": "a", "x": 1}])
    write_table(
        tmp_path,
        "interactions",
        [
            {"interaction_id": "1", "contact_id": "a", "action_id": "mail", "occurred_at": day(5), "as_of": day(4)},
            {"interaction_id": "2", "contact_id": "a", "action_id": "mail", "occurred_at": day(6), "as_of": None},
        ],
    )
    rows = built_rows(tmp_path, as_of=day(9))
    assert {at: row["touches_7d"] for (_, at), row in rows.items()} == {day(4): 0, day(6): 1, day(9): 2}


def test_empty_tables_make_fewer_features_and_no_error(tmp_path: Path) -> None:
    write_table(tmp_path, "contacts", [{"contact_id": "a", "x": 1}])
    for table, columns in {
        "accounts": ["account_id"],
        "events": ["contact_id", "event_type", "occurred_at"],
        "interactions": ["interaction_id", "contact_id", "action_id", "occurred_at"],
        "outcomes": ["contact_id", "outcome", "occurred_at"],
        "consents": ["contact_id", "purpose", "status", "changed_at"],
    }.items():
        write_table(tmp_path, table, [], columns=columns)
    assert infer_contract(tmp_path).names == ("x",)
    assert built_rows(tmp_path, as_of=DAY_0) == {("a", DAY_0): {"x": 1}}


def test_contacts_without_attributes_or_without_rows_still_build(tmp_path: Path) -> None:
    write_table(tmp_path, "contacts", [{"contact_id": "a"}])
    assert built_rows(tmp_path, as_of=DAY_0) == {("a", DAY_0): {"is_known": True}}
    write_table(tmp_path, "contacts", [], columns=["contact_id", "city"])
    assert built_rows(tmp_path, as_of=DAY_0) == {}


def test_without_contacts_there_is_nothing_to_build(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="run nudge ingest"):
        infer_contract(tmp_path)


def test_a_contact_twice_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    write_table(tmp_path, "accounts", [{"account_id": "f", "x": 1}, {"account_id": "f", "x": 2}])
    write_table(tmp_path, "contacts", [{"contact_id": "a", "account_id": "f"}])
    with pytest.raises(DataError, match="two rows for one moment"):
        built_rows(tmp_path, as_of=DAY_0)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_rows_of_another_contract_are_not_built(tmp_path: Path) -> None:
    write_table(tmp_path, "contacts", [{"contact_id": "a", "x": 1}])
    old = infer_contract(tmp_path)
    write_table(tmp_path, "contacts", [{"contact_id": "a", "x": "text now"}])
    with pytest.raises(DataError, match="changed since the features were built"):
        build_offline(tmp_path, old, tmp_path / "rows.parquet", as_of=np.datetime64(DAY_0))
    assert json.loads(old.to_json())["hash"] != infer_contract(tmp_path).hash


def test_a_workspace_that_knows_nothing_but_ids_has_one_feature_whether_the_contact_is_known(tmp_path: Path) -> None:
    write_table(tmp_path, "contacts", [{"contact_id": "a"}])
    rows = built_rows(tmp_path, pairs=[("a", day(2)), ("z", day(2))])

    assert [row["is_known"] for row in rows.values()] == [True, False]
    write_table(tmp_path, "contacts", [{"contact_id": "a", "is_known": 3}])
    assert infer_contract(tmp_path).dtypes == {"is_known": "int"}
