"""The catalogue's conditions and value expressions: SQL scalar expressions, checked when the catalogue loads, compiled once.

The subset (docs/workspace.md) is DuckDB's: literals, columns, `context.*`, arithmetic, comparison, AND/OR/NOT, IN, BETWEEN, IS NULL,
CASE, coalesce, least, greatest, abs, round, lower, upper, LIKE and date parts, with SQL's three-valued logic: NULL is not true. Every
number is a DOUBLE, and what has no finite answer, such as a division by zero, is NULL.

An expression is compiled twice over, side by side: for arrays (`sql_values.py`), and for one row in plain Python (`sql_scalars.py`), where
each numpy call would cost more than the rule. The answers are the same; which way is taken is a matter of `Rows.length` alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from decisioning.errors import RuleError
from decisioning.rules.compiler import Compiler, Tree
from decisioning.rules.functions import FUNCTIONS
from decisioning.rules.nodes import Kind, Problem, Rows, Span
from decisioning.rules.operators import OPERATORS
from decisioning.rules.sql_scalars import OnRow
from decisioning.rules.sql_values import Array
from decisioning.vocabulary import BoolArray, Columns, Dtype, FloatArray

__all__ = ["Expression", "Rows", "RuleBook", "compile_condition", "compile_value"]

_SPELLINGS = {"=<": "<=", "=>": ">=", "≤": "<=", "≥": ">=", "≠": "<>", "!<": ">=", "!>": "<="}
_MISSPELT = re.compile("|".join(re.escape(one) for one in _SPELLINGS))
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_METHODS = {**OPERATORS, **FUNCTIONS}


@dataclass(frozen=True, eq=False)
class Expression:
    """A compiled condition or number. Two are equal only where they are the same object.

    Attributes
    ----------
    columns, context_keys : names of what it reads.
    on_row : from the one row (`Rows.only`) to the value, a condition as True or False, None where it is NULL.
    """

    text: str
    kind: Kind
    columns: tuple[str, ...]
    context_keys: tuple[str, ...]
    _dtypes: tuple[Dtype, ...] = field(repr=False)
    _on_arrays: Callable[[Rows], Array] = field(repr=False)
    on_row: OnRow = field(repr=False)

    def evaluate(self, rows: Rows) -> FloatArray:
        """The expression's value for each row, shape (rows.length,), a condition as 1 or 0, NaN where it is NULL."""
        if rows.length != 1:
            return self.on_arrays(rows)
        value = self.on_row(rows.only)
        return np.array([np.nan if value is None else float(value)])

    def on_arrays(self, rows: Rows) -> FloatArray:
        """`evaluate` by arrays, whatever the number of rows."""
        value = self._on_arrays(rows)
        return value if value.shape == (rows.length,) else np.broadcast_to(value, (rows.length,))

    def numbers(self, rows: Rows) -> FloatArray:
        """The value as float64, shape (rows.length,)."""
        return np.asarray(self.evaluate(rows), dtype=np.float64)

    def holds(self, rows: Rows) -> BoolArray:
        """True where the condition is true: neither false nor NULL."""
        return np.asarray(self.evaluate(rows) == 1, dtype=np.bool_)

    def reads(self, rows: Rows, row: int) -> str:
        """What the expression read in one row, in words: `age is 22`."""
        found = [f"{name} is {_shown(rows.columns, name, dtype, row)}" for name, dtype in zip(self.columns, self._dtypes, strict=True)]
        found += [f"{_context_name(name)} is {_written(rows.context.get(name))}" for name in self.context_keys]
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
    >>> contract = {"age": "int", "has_loan": "bool"}
    >>> adult, lent = compile_condition("age >= 18 AND NOT coalesce(has_loan, false)", contract, path="eligibility")
    >>> adult.holds(Rows({"age": np.array([17.0, 18.0, np.nan])}, 3))
    array([False,  True, False])
    >>> lent.text
    'NOT coalesce(has_loan, FALSE)'
    """
    return RuleBook(dtypes).condition(text, path=path)


def compile_value(text: str, dtypes: Mapping[str, Dtype], *, path: str) -> Expression:
    """The number-valued expression `text`; parameters and errors as in `compile_condition`.

    Examples
    --------
    >>> compile_value("0.04 * amount", {"amount": "float"}, path="value").numbers(Rows({"amount": np.array([1000.0])}, 1))
    array([40.])
    """
    return RuleBook(dtypes).value(text, path=path)


class RuleBook:
    """The expressions of one catalogue: the same text, or the same part of a condition, is compiled once and is one `Expression`.

    Parameters
    ----------
    dtypes : mapping
        The feature contract: dtype by column name.
    facts : tuple of str
        What else may be read by its keys: `context`, and in a trigger `event`, whose keys stand in the context with `event.` before them.

    Examples
    --------
    >>> book = RuleBook({"age": "int", "city": "string"})
    >>> first, second = book.condition("age > 18 AND city = 'a'", path="x"), book.condition("city = 'b' AND age > 18", path="y")
    >>> first[0] is second[1]
    True
    """

    def __init__(self, dtypes: Mapping[str, Dtype], facts: tuple[str, ...] = ("context",)) -> None:
        self._dtypes = dtypes
        self._facts = facts
        self._conditions: dict[str, tuple[Expression, ...]] = {}
        self._parts: dict[str, Expression] = {}
        self._values: dict[str, Expression] = {}

    def condition(self, text: str, *, path: str) -> tuple[Expression, ...]:
        """As `compile_condition`."""
        if text not in self._conditions:
            self._conditions[text] = _guarded(text, path, lambda: self._parts_of(text))
        return self._conditions[text]

    def value(self, text: str, *, path: str) -> Expression:
        """As `compile_value`."""
        if text not in self._values:
            (self._values[text],) = _guarded(text, path, lambda: (self._compile(_parse(text), text, "number", text.strip()),))
        return self._values[text]

    def _parts_of(self, text: str) -> tuple[Expression, ...]:
        parts = _conjuncts(_parse(text))
        shown = [text.strip()] if len(parts) == 1 else [part.sql(dialect="duckdb", normalize_functions="lower") for part in parts]
        for part, part_shown in zip(parts, shown, strict=True):
            if part_shown not in self._parts:
                self._parts[part_shown] = self._compile(part, text, "bool", part_shown)
        return tuple(self._parts[part_shown] for part_shown in shown)

    def _compile(self, tree: Tree, text: str, wanted: Kind, shown: str) -> Expression:
        compiler = Compiler(text, self._dtypes, _METHODS, self._facts)
        node = compiler.typed(tree, wanted)
        read = tuple(self._dtypes[name] for name in compiler.columns)
        return Expression(shown, wanted, tuple(compiler.columns), tuple(compiler.context_keys), read, node.on_arrays, node.on_row)


def _guarded(text: str, path: str, compiled: Callable[[], tuple[Expression, ...]]) -> tuple[Expression, ...]:
    """What `compiled` returns; whatever it finds wrong as a `RuleError` with the place underlined."""
    try:
        return compiled()
    except Problem as problem:
        raise RuleError(f"{problem.what}\n{_underlined(text, problem.span)}\n", field=path, hint=problem.hint) from None
    except RecursionError:
        raise RuleError("is nested too deeply", field=path, hint="cut it into the conditions of several stages or actions") from None


def _conjuncts(tree: Tree) -> list[Tree]:
    """What must all hold for `tree` to hold, with the parentheses around ANDs opened."""
    if not isinstance(tree, exp.And):
        return [tree]
    return [part for side in tree.flatten() for part in _conjuncts(side)]


def _parse(text: str) -> Tree:
    """The tree of the one expression in `text`, without the parentheses around it."""
    if not text.strip():
        raise Problem("is empty", None)
    try:
        for token in sqlglot.tokenize(text, read="duckdb"):
            if token.token_type.name == "SEMICOLON":
                raise Problem("is one expression, without a semicolon", (token.start, token.end))
        return sqlglot.parse_one(text, read="duckdb", into=exp.Condition).unnest()
    except SqlglotError as error:
        details = getattr(error, "errors", None) or [{}]
        raise Problem("cannot be read as an SQL expression", _place(text, details[0]), hint=_respelt(text)) from None


def _respelt(text: str) -> str | None:
    """The SQL spelling of the first comparison that is written as elsewhere."""
    found = _MISSPELT.search(_QUOTED.sub("", text))
    return f"{found[0]} is written {_SPELLINGS[found[0]]}" if found else None


def _place(text: str, detail: Mapping[str, object]) -> Span | None:
    """Where the parser stopped: sqlglot names a line and the column of a token's last character, both from 1."""
    line, column, word = detail.get("line"), detail.get("col"), str(detail.get("highlight") or "")
    if not isinstance(line, int) or not isinstance(column, int):
        return None
    end = sum(len(one) for one in text.splitlines(keepends=True)[: line - 1]) + column - 1
    return (max(0, end - max(0, len(word) - 1)), end)


def _underlined(text: str, span: Span | None) -> str:
    """`text` with carets under `span`, or under all of it where the place is not known; of several lines, under the first it touches."""
    start, end = span or (0, max(0, len(text.rstrip()) - 1))
    shown, position = [], 0
    for line in text.split("\n"):
        shown.append(f"  {line}")
        begin, last = start - position, min(end - position, len(line) - 1)
        if 0 <= begin <= len(line):
            indent = "".join("\t" if character == "\t" else " " for character in line[:begin])
            shown.append(f"  {indent}{'^' * max(1, last - begin + 1)}")
        position += len(line) + 1
    return "\n".join(shown)


def _shown(columns: Columns, name: str, dtype: Dtype, row: int) -> str:
    if name not in columns:
        return "NULL"
    value = columns[name][row]
    if isinstance(value, np.datetime64):
        unit = "D" if dtype == "date" else "s"
        return "NULL" if np.isnat(value) else str(value.astype(f"datetime64[{unit}]")).replace("T", " ")
    plain = value.item() if isinstance(value, np.generic) else value
    if dtype == "bool" and plain in (0.0, 1.0):
        return "true" if plain else "false"
    return _written(plain)


def _context_name(key: str) -> str:
    return key if key.startswith("event.") else f"context.{key}"


def _written(value: object) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.6g}"
    return f"'{value}'" if isinstance(value, str) else str(value)
