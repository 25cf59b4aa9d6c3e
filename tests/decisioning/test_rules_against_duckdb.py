"""The rules give DuckDB's three-valued answer, on arrays and row by row in plain Python."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from decisioning.errors import RuleError
from decisioning.rules import Expression, Rows, compile_condition, compile_value
from decisioning.rules.sql_values import and_
from decisioning.vocabulary import Columns
from tests.decisioning.sql_strategies import (
    CONTEXT_KEYS,
    CONTRACT,
    WORDS,
    as_columns,
    conditions,
    numbers,
    over_context,
    random_rows,
    unparenthesised,
)

ARROW_TYPES = {
    "bool": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "string": pa.string(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
}
SCHEMA = pa.schema([(name, ARROW_TYPES[dtype]) for name, dtype in CONTRACT.items()])
SEEDS = st.integers(0, 9)


@dataclass(repr=False)
class Oracle:
    """DuckDB with random tables, told that a division by zero has no answer, as it has none for our rules."""

    connection: duckdb.DuckDBPyConnection = field(default_factory=duckdb.connect)
    tables: dict[int, Columns] = field(default_factory=dict)

    def rows(self, seed: int) -> Rows:
        """The rows of table `seed`."""
        if seed not in self.tables:
            rows = random_rows(seed)
            self.connection.register(f"rows_{seed}", pa.Table.from_pylist(rows, schema=SCHEMA))
            self.tables[seed] = as_columns(rows)
        return Rows(self.tables[seed], len(self.tables[seed]["age"]))

    def answer(self, text: str, seed: int, sql_type: str) -> list[Any] | None:
        """DuckDB's answer on table `seed`; None where it cannot say (decimals have 38 digits, and a condition is no DOUBLE)."""
        self.rows(seed)
        try:
            return [row[0] for row in self.connection.execute(f"SELECT CAST(({text}) AS {sql_type}) FROM rows_{seed}").fetchall()]
        except (duckdb.BinderException, duckdb.ConversionException, duckdb.OutOfRangeException):
            return None


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    """One for the module."""
    oracle = Oracle()
    oracle.connection.execute("SET ieee_floating_point_ops = false")
    oracle.connection.execute("SET error_on_division_by_zero = false")
    return oracle


def row_by_row(rows: Rows) -> list[Rows]:
    """The same rows, each alone."""
    return [Rows({name: column[row : row + 1] for name, column in rows.columns.items()}, 1, rows.context) for row in range(rows.length)]


def by_arrays(expressions: Sequence[Expression], rows: Rows) -> list[bool | None]:
    """Our answer to the AND of `expressions`, on all rows at once."""
    value = expressions[0].on_arrays(rows)
    for other in expressions[1:]:
        value = and_(value, other.on_arrays(rows))
    return [None if np.isnan(one) else bool(one) for one in value.tolist()]


def by_rows(expressions: Sequence[Expression], rows: Rows) -> list[bool | None]:
    """The same, each row for itself."""
    answers: list[bool | None] = []
    for one in row_by_row(rows):
        values = [expression.on_row(one.only) for expression in expressions]
        answers.append(False if 0 in values else None if None in values else True)
    return answers


@settings(max_examples=500)
@given(text=conditions(3), seed=SEEDS)
@example(text="city NOT LIKE 'a%'", seed=0)
@example(text="city LIKE 'a%a'", seed=0)
@example(text="city LIKE '%a%a%'", seed=0)
@example(text="last_seen >= TIMESTAMP '2000-01-01 10:00:00'", seed=0)
@example(text="CASE age > 3 WHEN TRUE THEN flag END", seed=0)
def test_a_condition_has_duckdbs_three_valued_answer(text: str, seed: int, oracle: Oracle) -> None:
    expected = oracle.answer(text, seed, "BOOLEAN")
    assume(expected is not None)
    compiled = compile_condition(text, CONTRACT, path="eligibility")
    rows = oracle.rows(seed)
    assert by_arrays(compiled, rows) == expected
    assert by_rows(compiled, rows) == expected


@settings(max_examples=500)
@given(text=numbers(3), seed=SEEDS)
@example(text="round(0.49999999999999994e0)", seed=0)
def test_a_value_is_the_number_that_duckdb_computes(text: str, seed: int, oracle: Oracle) -> None:
    expected = oracle.answer(text, seed, "DOUBLE")
    assume(expected is not None)
    compiled = compile_value(text, CONTRACT, path="value")
    rows = oracle.rows(seed)
    found = compiled.on_arrays(rows)
    np.testing.assert_allclose(found, np.array([np.nan if one is None else one for one in expected or []]), rtol=1e-12)
    np.testing.assert_array_equal([compiled.numbers(one)[0] for one in row_by_row(rows)], found)


@settings(max_examples=500)
@given(text=unparenthesised(), seed=SEEDS)
@example(text="age = visits IS NULL", seed=0)
def test_what_is_accepted_without_parentheses_binds_as_in_duckdb(text: str, seed: int, oracle: Oracle) -> None:
    try:
        compiled = compile_condition(text, CONTRACT, path="eligibility")
    except RuleError:
        return
    expected = oracle.answer(text, seed, "BOOLEAN")
    assume(expected is not None)
    assert by_arrays(compiled, oracle.rows(seed)) == expected
    assert by_rows(compiled, oracle.rows(seed)) == expected


@settings(max_examples=300)
@given(text=conditions(3), seed=SEEDS)
def test_the_parts_of_a_condition_mean_what_their_text_says(text: str, seed: int, oracle: Oracle) -> None:
    rows = oracle.rows(seed)
    for part in compile_condition(text, CONTRACT, path="eligibility"):
        read_again = compile_condition(part.text, CONTRACT, path="eligibility")
        assert by_arrays(read_again, rows) == by_arrays([part], rows)


CONTEXT_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers() | st.integers(-3, 3),
    st.floats(),
    st.sampled_from(
        [*WORDS, "true", " FALSE ", "1e999", "-1.5", "nan", "2026-01-01", "2026-01-01T10:00:00+02:00", "0001-01-01T00:00+23:59"]
    ),
    st.text(max_size=5),
    st.dates() | st.datetimes(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=1),
)


@settings(max_examples=500)
@given(text=over_context(), seed=SEEDS, context=st.dictionaries(st.sampled_from(CONTEXT_KEYS), CONTEXT_VALUES))
def test_whatever_the_context_holds_arrays_and_rows_agree(text: str, seed: int, context: dict[str, Any], oracle: Oracle) -> None:
    compiled = compile_condition(text, CONTRACT, path="when")
    table = oracle.rows(seed)
    rows = Rows(table.columns, table.length, context)
    assert by_rows(compiled, rows) == by_arrays(compiled, rows)


@settings(max_examples=200)
@given(text=numbers(3) | conditions(3), data=st.data())
def test_columns_that_are_missing_or_extreme_give_arrays_and_rows_the_same_answer(text: str, data: st.DataObject) -> None:
    (compiled, *_) = compile_condition(text, CONTRACT, path="eligibility")
    columns = {
        name: data.draw(EXTREME[dtype], label=name)
        for name, dtype in CONTRACT.items()
        if data.draw(st.booleans(), label=f"{name} is there")
    }
    rows = Rows(columns, 1)
    value = compiled.on_row(rows.only)
    np.testing.assert_array_equal(np.nan if value is None else float(value), compiled.on_arrays(rows)[0])


def _column_of(values: st.SearchStrategy[Any], dtype: str) -> st.SearchStrategy[Any]:
    return values.map(lambda value: np.array([value], dtype=dtype))


FLAGS = _column_of(st.sampled_from([0.0, 1.0, 2.0, -0.0, np.nan]), "float64")
NUMBERS = _column_of(st.floats() | st.floats(-10, 10), "float64")
MICROSECONDS = _column_of(st.integers(-(2**62), 2**62) | st.just(-(2**63)), "int64").map(lambda column: column.view("datetime64[us]"))
EXTREME = {
    "bool": FLAGS,
    "int": NUMBERS | _column_of(st.integers(-5, 5), "int32"),
    "float": NUMBERS | _column_of(st.floats(width=32), "float32"),
    "string": _column_of(st.none() | st.text(max_size=6), "object"),
    "date": MICROSECONDS | _column_of(st.integers(-(10**5), 10**5), "int64").map(lambda column: column.view("datetime64[D]")),
    "timestamp": MICROSECONDS,
}


@given(text=st.text(max_size=30))
@example(text="((((" * 200 + "1" + "))))" * 200)
@example(text=" AND ".join(["flag"] * 3000))
@example(text=" OR ".join(["flag"] * 3000))
@example(text="NOT " * 5000 + "flag")
def test_any_text_at_all_is_either_compiled_or_refused_in_words(text: str) -> None:
    with contextlib.suppress(RuleError):
        compile_condition(text, CONTRACT, path="eligibility")
