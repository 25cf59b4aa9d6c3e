"""Packed vectors: what goes in comes out, and nothing of another contract does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from decisioning.vocabulary import DTYPES, Dtype
from features.contract import FeatureContract, FeatureSpec
from features.packing import Packing, as_of_of, contract_hash_of

ARROW = {
    "bool": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "string": pa.string(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
}
VALUES: dict[Dtype, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int": st.integers(-(2**53), 2**53),
    "float": st.floats(allow_nan=False),
    "string": st.text(),
    "date": st.dates(),
    "timestamp": st.datetimes(min_value=datetime.fromisoformat("0001-01-01")),
}


def spec(name: str, dtype: Dtype) -> FeatureSpec:
    return FeatureSpec(name, dtype, "none", "NULL: unknown", None, f"contacts.{name}", "")


def contract_of(dtypes: dict[str, Dtype]) -> FeatureContract:
    return FeatureContract(tuple(spec(name, dtype) for name, dtype in dtypes.items()))


EVERY = contract_of({f"{dtype}_{side}": dtype for side in "ab" for dtype in DTYPES})


def expected(values: list[Any], dtype: Dtype) -> np.ndarray[Any, Any]:
    if dtype == "string":
        return np.array(values, dtype=object)
    if dtype in ("date", "timestamp"):
        return np.array(values, dtype="datetime64[us]")
    return np.array([np.nan if value is None else float(value) for value in values])


@given(st.data(), st.integers(0, 4))
def test_every_value_of_every_dtype_comes_back_exactly(data: st.DataObject, size: int) -> None:
    rows = {s.name: data.draw(st.lists(st.none() | VALUES[s.dtype], min_size=size, max_size=size)) for s in EVERY.specs}
    table = pa.table({name: pa.array(values, type=ARROW[EVERY.dtypes[name]]) for name, values in rows.items()})
    packing = Packing(EVERY)
    vectors = packing.pack(table, np.full(size, np.datetime64("2026-01-01", "us")))
    columns, found = packing.unpack([None, *vectors])
    assert list(found) == [False, *[True] * size]
    assert set(columns) == set(EVERY.names)
    for name, values in rows.items():
        np.testing.assert_array_equal(columns[name], expected([None, *values], EVERY.dtypes[name]), strict=True)


def in_own_type(value: Any, dtype: Dtype) -> Any:
    return value.replace(tzinfo=UTC) if dtype == "timestamp" and value is not None else value


@given(st.data())
def test_the_values_of_one_vector_come_back_each_in_its_own_type(data: st.DataObject) -> None:
    whole = st.integers(-(2**63) + 1, 2**63 - 1)
    row = {s.name: data.draw(st.none() | (whole if s.dtype == "int" else VALUES[s.dtype])) for s in EVERY.specs}
    table = pa.table({name: pa.array([value], type=ARROW[EVERY.dtypes[name]]) for name, value in row.items()})
    packing = Packing(EVERY)
    [vector] = packing.pack(table, np.array(["2026-01-01"], dtype="datetime64[us]"))
    values = packing.values(vector)
    assert values == {name: in_own_type(value, EVERY.dtypes[name]) for name, value in row.items()}
    assert all(type(value) is type(row[name]) for name, value in values.items())
    assert as_of_of(vector) == np.datetime64("2026-01-01", "us")


def test_a_vector_that_does_not_fit_has_no_values_and_the_null_vector_has_none_but_null() -> None:
    packing = Packing(EVERY)
    assert packing.values(None) is None
    assert packing.values(b"nonsense") is None
    assert packing.values(packing.null) == dict.fromkeys(EVERY.names)


def test_a_time_that_python_cannot_hold_is_null_among_values_and_exact_in_columns() -> None:
    packing = Packing(contract_of({"at": "timestamp"}))
    far = np.array(["29000-01-01"], dtype="datetime64[us]")
    vectors = packing.pack(pa.table({"at": pa.array(far)}), np.array(["2026-01-01"], dtype="datetime64[us]"))
    assert packing.values(vectors[0]) == {"at": None}
    assert packing.unpack(vectors)[0]["at"] == far


def test_changed_values_are_changed_and_the_others_stay() -> None:
    packing = Packing(EVERY)
    changes: dict[str, float | None] = {"float_a": 0.1, "int_a": 2**62, "bool_b": 1.0, "timestamp_a": 86_400_000_000}
    vector = packing.changed(packing.null, changes, 5)
    wanted = {"float_a": 0.1, "int_a": 2**62, "bool_b": True, "timestamp_a": datetime(1970, 1, 2, tzinfo=UTC)}
    assert packing.values(vector) == dict.fromkeys(EVERY.names) | wanted
    assert packing.changed(vector, dict.fromkeys(changes), int(as_of_of(packing.null).astype(int))) == packing.null


def test_changed_strings_are_changed_and_the_others_stay() -> None:
    packing = Packing(contract_of({"a": "string", "b": "string", "c": "string", "n": "int"}))
    full = packing.changed(packing.null, {"a": "ą", "b": "", "c": "long " * 9}, 5)
    assert packing.values(full) == {"a": "ą", "b": "", "c": "long " * 9, "n": None}
    changed = packing.changed(full, {"b": "two", "n": 1, "c": None}, 6)
    assert packing.values(changed) == {"a": "ą", "b": "two", "c": None, "n": 1}
    assert packing.changed(changed, dict.fromkeys("abcn"), 0) == packing.null


def test_a_vector_of_another_contract_counts_as_not_found() -> None:
    old, new = contract_of({"a": "int"}), contract_of({"a": "int", "b": "float"})
    vectors = Packing(old).pack(pa.table({"a": [1]}), np.array(["2026-01-01"], dtype="datetime64[us]"))
    columns, found = Packing(new).unpack(vectors)
    assert not found.any()
    assert np.isnan(columns["a"]).all()
    assert contract_hash_of(vectors[0]) == old.hash


def test_a_damaged_vector_counts_as_not_found() -> None:
    packing = Packing(EVERY)
    assert not packing.unpack([b"", b"\x01", b"nonsense that is rather long" * 20])[1].any()


def test_nothing_to_unpack_gives_empty_columns() -> None:
    columns, found = Packing(EVERY).unpack([])
    assert len(found) == 0
    assert {len(column) for column in columns.values()} == {0}


def test_a_contract_without_strings_or_without_numbers_packs() -> None:
    for dtype in ("string", "int"):
        packing = Packing(contract_of({"x": dtype}))
        table = pa.table({"x": pa.array([None, "7" if dtype == "string" else 7], type=ARROW[dtype])})
        columns, found = packing.unpack(packing.pack(table, np.array(["2026-01-01"] * 2, dtype="datetime64[us]")))
        assert found.all()
        np.testing.assert_array_equal(columns["x"], expected([None, "7" if dtype == "string" else 7], dtype))
