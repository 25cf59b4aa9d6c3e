"""The catalogue's conditions and value expressions: SQL scalar expressions, checked when the catalogue loads, compiled once.

The subset (contract.md section 2): literals, columns, `context.*`, arithmetic, comparison, AND/OR/NOT, IN, BETWEEN, IS NULL, CASE, coalesce,
least, greatest, abs, round, lower, upper, LIKE and date parts, with SQL's three-valued logic: NULL is not true. One row and a million go
through the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from decisioning.errors import RuleError, nearest
from decisioning.rule_compiler import Compiler, Kind, Problem
from decisioning.sql_values import Array
from decisioning.vocabulary import BoolArray, Columns, Dtype, FloatArray


@dataclass(frozen=True)
class Rows:
    """What an expression is evaluated on: `length` rows of feature columns, and the one request context they share.

    A column or a context key that is not there is NULL.
    """

    columns: Columns
    length: int
    context: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Expression:
    """A compiled expression. `columns` and `context_keys` name what it reads."""

    text: str
    kind: Kind
    columns: tuple[str, ...]
    context_keys: tuple[str, ...]
    _evaluate: Callable[[Rows], Array] = field(repr=False)

    def evaluate(self, rows: Rows) -> Array:
        """The expression's value for each row, shape (rows.length,), NaN / None / NaT where it is NULL."""
        return np.broadcast_to(self._evaluate(rows), (rows.length,))

    def numbers(self, rows: Rows) -> FloatArray:
        """The value as float64, shape (rows.length,)."""
        return np.asarray(self.evaluate(rows), dtype=np.float64)

    def holds(self, rows: Rows) -> BoolArray:
        """True where the condition is true: neither false nor NULL."""
        return np.asarray(self.evaluate(rows) == 1, dtype=np.bool_)

    def reads(self, rows: Rows, row: int) -> str:
        """What the expression read in one row, in words: `age is 22`."""
        found = [f"{name} is {_shown(rows.columns.get(name), row)}" for name in self.columns]
        found += [f"context.{name} is {_quoted(rows.context.get(name))}" for name in self.context_keys]
        return ", ".join(found) or "it is constant"


def compile_condition(text: str, dtypes: Mapping[str, Dtype], *, path: str) -> tuple[Expression, ...]:
    """The condition `text`, cut at its top-level ANDs, so that an answer can name the very part that failed.

    Parameters
    ----------
    text : str
        An SQL boolean expression.
    dtypes : mapping
        The feature contract: dtype by column name.
    path : str
        Where the text stands in the catalogue, for messages.

    Raises
    ------
    RuleError
        Not parseable, outside the subset, an unknown column or a type error, with a caret under the place.

    Examples
    --------
    >>> adult, lent = compile_condition("age >= 18 AND NOT coalesce(has_loan, false)", {"age": "int", "has_loan": "bool"}, path="eligibility")
    >>> adult.holds(Rows({"age": np.array([17.0, 18.0, np.nan])}, 3))
    array([False,  True, False])
    >>> lent.text
    'NOT COALESCE(has_loan, FALSE)'
    """
    tree = _parse(text, path)
    parts = list(tree.flatten()) if isinstance(tree, exp.And) else [tree]
    return tuple(_compile(part, text, dtypes, path=path, wanted="bool", whole=len(parts) == 1) for part in parts)


def compile_value(text: str, dtypes: Mapping[str, Dtype], *, path: str) -> Expression:
    """The number-valued expression `text`; parameters and errors as in `compile_condition`.

    Examples
    --------
    >>> compile_value("0.04 * amount", {"amount": "float"}, path="value").numbers(Rows({"amount": np.array([1000.0])}, 1))
    array([40.])
    """
    return _compile(_parse(text, path), text, dtypes, path=path, wanted="number", whole=True)


def _parse(text: str, path: str) -> exp.Expression:
    try:
        statements = sqlglot.parse(text, read="duckdb")
    except SqlglotError as error:
        details = getattr(error, "errors", None) or [{}]
        column = int(details[0].get("col") or 1) - 1
        raise _rule_error("cannot be read as SQL", path, text, Problem("", (column, column))) from None
    tree = statements[0] if len(statements) == 1 else None
    if tree is None or isinstance(tree, exp.Query | exp.DDL | exp.DML | exp.Command):
        raise _rule_error("is not one scalar expression", path, text, Problem("", (0, 0)))
    return tree.unnest()


def _compile(tree: exp.Expression, text: str, dtypes: Mapping[str, Dtype], *, path: str, wanted: Kind, whole: bool) -> Expression:
    compiler = Compiler(dtypes)
    try:
        node = compiler.as_kind(compiler.compile(tree), wanted, tree)
    except Problem as problem:
        raise _rule_error(problem.what, path, text, problem, hint=problem.hint or nearest(problem.name or "", dtypes)) from None
    shown = text.strip() if whole else tree.sql(dialect="duckdb")
    return Expression(shown, wanted, tuple(compiler.columns), tuple(compiler.context_keys), node.evaluate)


def _rule_error(what: str, path: str, text: str, problem: Problem, hint: str | None = None) -> RuleError:
    start, end = problem.span
    caret = " " * start + "^" * max(1, end - start + 1)
    return RuleError(f"{what}\n  {text}\n  {caret}\n", field=path, hint=hint)


def _shown(column: Array | None, row: int) -> str:
    if column is None:
        return "NULL"
    value = column[row]
    if isinstance(value, np.datetime64):
        return "NULL" if np.isnat(value) else str(value.astype("datetime64[s]"))
    return _quoted(value.item() if isinstance(value, np.generic) else value)


def _quoted(value: object) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "NULL"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return f"'{value}'" if isinstance(value, str) else str(value)
