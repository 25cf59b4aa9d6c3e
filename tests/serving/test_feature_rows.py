"""The features of a batch: the same values for rules and records however its columns lie in memory."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from decisioning.vocabulary import Columns
from features.contract import FeatureContract, FeatureSpec
from features.packing import Packing
from serving.realtime.feature_rows import FeatureRows, with_given

ROWS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "born": (pa.date32(), [date(1980, 2, 1), None, date(2000, 1, 1)]),
    "city": (pa.string(), ["Łódź", "", None]),
    "loyal": (pa.bool_(), [True, None, False]),
    "seen": (pa.timestamp("us"), [None, datetime.fromisoformat("2026-01-01T10:00"), datetime.fromisoformat("2026-01-02")]),
    "spent": (pa.float64(), [1.5, None, -2.0]),
    "visits": (pa.int64(), [None, 3, 0]),
}
DTYPES = {"born": "date", "city": "string", "loyal": "bool", "seen": "timestamp", "spent": "float", "visits": "int"}

RULES = [
    {"born": 318_211_200_000_000, "city": "Łódź", "loyal": 1.0, "seen": None, "spent": 1.5, "visits": None},
    {"born": None, "city": "", "loyal": None, "seen": 1_767_261_600_000_000, "spent": None, "visits": 3.0},
    {"born": 946_684_800_000_000, "city": None, "loyal": 0.0, "seen": 1_767_312_000_000_000, "spent": -2.0, "visits": 0.0},
]
TIMES = [
    {"born": "1980-02-01T00:00:00Z", "seen": None},
    {"born": None, "seen": "2026-01-01T10:00:00Z"},
    {"born": "2000-01-01T00:00:00Z", "seen": "2026-01-02T00:00:00Z"},
]


@pytest.fixture
def read() -> Columns:
    """Three contacts as the online store gives them."""
    contract = FeatureContract(tuple(FeatureSpec(name, DTYPES[name], "none", "NULL", None, "contacts", "") for name in ROWS))  # type: ignore[arg-type]
    table = pa.table({name: pa.array(values, kind) for name, (kind, values) in ROWS.items()})
    packing = Packing(contract)
    return packing.unpack(packing.pack(table, np.full(3, np.datetime64("2026-02-01", "us"))))[0]


def test_rules_and_records_read_the_same_values_from_matrices_and_from_columns(read: Columns) -> None:
    for columns in (read, dict(read)):
        rows = FeatureRows(columns, 3)
        assert rows.for_rules == RULES
        assert rows.for_records == [{**rule, **times} for rule, times in zip(RULES, TIMES, strict=True)]


def test_some_of_the_contacts_are_taken_out_of_matrices_and_of_columns_alike(read: Columns) -> None:
    for columns in (read, dict(read)):
        taken = FeatureRows(columns, 3).take([2, 0])
        assert FeatureRows(taken, 2).for_rules == [RULES[2], RULES[0]]
        assert FeatureRows(columns, 3).take([0, 1, 2]) is columns


def test_a_given_feature_counts_for_its_own_request_alone(read: Columns) -> None:
    rows, refused = with_given(read, [{}, {"visits": 7, "born": None}, {"seen": 5}], DTYPES)  # type: ignore[arg-type]
    assert rows.for_rules == [RULES[0], {**RULES[1], "visits": 7.0}, RULES[2]]
    assert list(refused) == [2]
    assert FeatureRows(read, 3).for_rules == RULES, "what was read is as it was"


def test_of_contacts_without_features_nothing_is_read() -> None:
    rows, _ = with_given({}, [{}, {}], {})
    assert rows.for_rules == rows.for_records == [{}, {}]
