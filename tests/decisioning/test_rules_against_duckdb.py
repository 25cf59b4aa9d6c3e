"""The rules give DuckDB's three-valued answer, on one row and on many."""

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
from decisioning.sql_values import and_
from decisioning.vocabulary import Columns
from tests.decisioning.sql_strategies import CONTRACT, as_columns, conditions, numbers, random_rows, unparenthesised

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
    return [Rows({name: column[row : row + 1] for name, column in rows.columns.items()}, 1) for row in range(rows.length)]


def truth(expressions: Sequence[Expression], rows: Rows) -> list[bool | None]:
    """Our answer to the AND of `expressions`."""
    value = expressions[0].evaluate(rows)
    for other in expressions[1:]:
        value = and_(value, other.evaluate(rows))
    return [None if np.isnan(one) else bool(one) for one in value.tolist()]


@settings(max_examples=500)
@given(text=conditions(3), seed=SEEDS)
@example(text="city NOT LIKE 'a%'", seed=0)
@example(text="last_seen >= TIMESTAMP '2000-01-01 10:00:00'", seed=0)
@example(text="CASE age > 3 WHEN TRUE THEN flag END", seed=0)
def test_a_condition_has_duckdbs_three_valued_answer(text: str, seed: int, oracle: Oracle) -> None:
    expected = oracle.answer(text, seed, "BOOLEAN")
    assume(expected is not None)
    compiled = compile_condition(text, CONTRACT, path="eligibility")
    rows = oracle.rows(seed)
    assert truth(compiled, rows) == expected
    assert [truth(compiled, one)[0] for one in row_by_row(rows)[:5]] == (expected or [])[:5]


@settings(max_examples=500)
@given(text=numbers(3), seed=SEEDS)
@example(text="round(0.49999999999999994e0)", seed=0)
def test_a_value_is_the_number_that_duckdb_computes(text: str, seed: int, oracle: Oracle) -> None:
    expected = oracle.answer(text, seed, "DOUBLE")
    assume(expected is not None)
    compiled = compile_value(text, CONTRACT, path="value")
    rows = oracle.rows(seed)
    found = compiled.numbers(rows)
    np.testing.assert_allclose(found, np.array([np.nan if one is None else one for one in expected or []]), rtol=1e-12)
    np.testing.assert_array_equal([compiled.numbers(one)[0] for one in row_by_row(rows)[:5]], found[:5])


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
    assert truth(compiled, oracle.rows(seed)) == expected


@given(text=st.text(max_size=30))
@example(text="((((" * 200 + "1" + "))))" * 200)
@example(text=" AND ".join(["flag"] * 3000))
@example(text=" OR ".join(["flag"] * 3000))
@example(text="NOT " * 5000 + "flag")
def test_any_text_at_all_is_either_compiled_or_refused_in_words(text: str) -> None:
    with contextlib.suppress(RuleError):
        compile_condition(text, CONTRACT, path="eligibility")
