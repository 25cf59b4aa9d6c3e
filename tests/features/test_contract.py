"""The feature contract: its hash, its document, its names."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisioning.errors import DataError
from features.contract import RESERVED_NAMES, FeatureContract, FeatureSpec, identifier, unique_identifiers
from tests.conftest import ROOT

AGE = FeatureSpec("age", "int", "none", "NULL: unknown", None, "contacts.Age", "Years")
CITY = FeatureSpec("city", "string", "none", "NULL: unknown", None, "contacts.city", "Where")
SEEN = FeatureSpec("events_7d", "int", "count", "never", 7, "events", "Events")


def test_the_hash_is_the_same_on_every_run_and_machine() -> None:
    code = "from tests.features.test_contract import AGE, CITY, SEEN, FeatureContract; print(FeatureContract((AGE, CITY, SEEN)).hash)"
    fresh = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "77"})
    assert fresh.stdout.strip() == FeatureContract((AGE, CITY, SEEN)).hash == "697753defedc"


def test_order_and_descriptions_do_not_change_the_hash() -> None:
    told = dataclasses.replace(AGE, description="Age in years")
    assert FeatureContract((AGE, CITY)).hash == FeatureContract((CITY, told)).hash


@pytest.mark.parametrize(
    "change",
    [{"name": "ages"}, {"dtype": "float"}, {"unit": "years"}, {"null_rule": "0"}, {"window_days": 8}, {"source": "contacts.other"}],
)
def test_a_feature_that_means_something_else_changes_the_hash(change: dict[str, object]) -> None:
    changed = dataclasses.replace(AGE, **change)  # type: ignore[arg-type]
    assert FeatureContract((changed, CITY)).hash != FeatureContract((AGE, CITY)).hash


def test_a_feature_more_changes_the_hash() -> None:
    assert len({FeatureContract(specs).hash for specs in ((), (AGE,), (AGE, CITY), (AGE, CITY, SEEN))}) == 4


def test_a_contract_comes_back_from_its_document() -> None:
    contract = FeatureContract((AGE, CITY, SEEN))
    assert FeatureContract.from_json(contract.to_json()) == contract


def test_a_document_changed_by_hand_is_refused() -> None:
    document = json.loads(FeatureContract((AGE, CITY)).to_json())
    document["features"][0]["dtype"] = "float"
    with pytest.raises(DataError, match="changed by hand"):
        FeatureContract.from_json(json.dumps(document))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"features": [{"name": "a"}]}'])
def test_what_is_no_contract_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="not a feature contract"):
        FeatureContract.from_json(text)


def test_two_features_of_one_name_are_refused_with_both_sources() -> None:
    other = dataclasses.replace(CITY, name="age")
    with pytest.raises(DataError, match=re.escape("contacts.city: two features have one name; got age, also from contacts.Age")):
        FeatureContract((AGE, other))


@pytest.mark.parametrize("name", ["", "Age", "a b", "1st", "_a", "contact_id", "event_timestamp"])
def test_a_name_that_is_no_identifier_or_a_key_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="not a feature name"):
        dataclasses.replace(AGE, name=name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Customer Age", "customer_age"),
        ("customer-age", "customer_age"),
        ("emp.var.rate", "emp_var_rate"),
        ("order", "order"),
        ("default", "default"),
        ("Zażółć gęślą jaźń", "zazolc_gesla_jazn"),
        ("Straße", "strasse"),
        ("%", "column"),
        ("年齢", "column"),
        ("3m_balance", "f_3m_balance"),
        ("_x_", "x"),
    ],
)
def test_any_column_name_becomes_an_identifier(name: str, expected: str) -> None:
    assert identifier(name) == expected


@given(st.lists(st.text(max_size=8), unique=True, max_size=12))
def test_identifiers_are_valid_and_unique_and_never_a_key(names: list[str]) -> None:
    found = unique_identifiers(names, taken=RESERVED_NAMES)
    assert list(found) == names
    assert len(set(found.values())) == len(names)
    assert not set(found.values()) & set(RESERVED_NAMES)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in found.values())
