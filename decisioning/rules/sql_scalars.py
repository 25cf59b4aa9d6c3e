"""SQL's operators on one row, in plain Python: what `sql_values.py` is to arrays, at a hundredth of its cost on a single row.

Representation: a number is a float, a condition True or False (or the 1.0 and 0.0 of a column), a text a str, a time its whole microseconds
since 1970 as an int; NULL is None. A meaning takes the functions of its arguments, each from the row to a value, and returns one itself: so
that AND, CASE and their like read no more than they need, and what is constant is looked at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeAlias

import numpy as np

from decisioning.rules.sql_values import Array
from decisioning.vocabulary import Columns

Scalar: TypeAlias = float | str | None
_MICROSECONDS = np.dtype("datetime64[us]")
_NOT_A_TIME = np.iinfo(np.int64).min


class Row(dict[str, Any]):
    """The one row's values by column name, and the request's context; what is not `known` is read off its array when it is asked for."""

    __slots__ = ("columns", "context")

    def __init__(self, columns: Columns, context: Mapping[str, object], known: Mapping[str, Scalar] | None = None) -> None:
        super().__init__(known or ())
        self.columns = columns
        self.context = context

    def __missing__(self, name: str) -> Scalar:
        column = self.columns.get(name)
        value = None if column is None else scalar_of(column)
        self[name] = value
        return value


OnRow: TypeAlias = Callable[[Row], Any]
"""A compiled piece on one row: from the row to a scalar."""


@dataclass(frozen=True)
class Constant:
    """The piece that is `value` on every row."""

    value: Scalar

    def __call__(self, _row: Row) -> Scalar:
        """The value."""
        return self.value


def scalar_of(column: Array) -> Scalar:
    """The value of a column of one row.

    Examples
    --------
    >>> scalar_of(np.array([np.nan])), scalar_of(np.array([22])), scalar_of(np.array(["1970-01-02"], dtype="datetime64[us]"))
    (None, 22.0, 86400000000)
    """
    value: Any = column.item(0)
    if value.__class__ is float:
        number: float = value
        return number if number == number else None
    kind = column.dtype.kind
    if kind == "O":
        text: Scalar = value
        return text
    if kind == "M":
        moment = int((column if column.dtype == _MICROSECONDS else column.astype(_MICROSECONDS)).view("i8").item(0))
        return None if moment == _NOT_A_TIME else moment
    return float(value)


def strictly(function: Callable[[Any], Any]) -> Callable[[OnRow], OnRow]:
    """`function` of one value, NULL where that is NULL."""

    def build(argument: OnRow) -> OnRow:
        def computed(row: Row) -> Any:
            value = argument(row)
            return None if value is None else function(value)

        return computed

    return build


@dataclass(frozen=True, slots=True)
class ComparedToFixed:
    """The piece that compares what `left` gives with a value: what most conditions are, so that whoever asks many may look inside."""

    left: OnRow
    comparison: Callable[[Any, Any], bool]
    fixed: Scalar

    def __call__(self, row: Row) -> bool | None:
        """The comparison, NULL where `left` is."""
        a = self.left(row)
        return None if a is None else self.comparison(a, self.fixed)


def compare(comparison: Callable[[Any, Any], bool]) -> Callable[[OnRow, OnRow], OnRow]:
    """`comparison` (from the module operator) as SQL's: NULL on either side gives NULL."""

    def build(left: OnRow, right: OnRow) -> OnRow:
        if isinstance(right, Constant) and right.value is not None:
            return ComparedToFixed(left, comparison, right.value)

        def compared(row: Row) -> bool | None:
            a = left(row)
            b = None if a is None else right(row)
            return None if b is None else comparison(a, b)

        return compared

    return build


def arithmetic(function: Callable[[Any, Any], float]) -> Callable[[OnRow, OnRow], OnRow]:
    """`function` of two numbers; what has no finite answer (1/0, overflow) is NULL."""

    def build(left: OnRow, right: OnRow) -> OnRow:
        def computed(row: Row) -> float | None:
            a = left(row)
            b = None if a is None else right(row)
            if b is None:
                return None
            try:
                result = function(a, b)
            except (ZeroDivisionError, ValueError):
                return None
            return result if isfinite(result) else None

        return computed

    return build


def and_(*sides: OnRow) -> OnRow:
    """Three-valued AND: false wins over NULL."""

    def holds(row: Row) -> bool | None:
        known = True
        for side in sides:
            value = side(row)
            if value is None:
                known = False
            elif not value:
                return False
        return True if known else None

    return holds


def or_(*sides: OnRow) -> OnRow:
    """Three-valued OR: true wins over NULL."""

    def holds(row: Row) -> bool | None:
        known = True
        for side in sides:
            value = side(row)
            if value:
                return True
            if value is None:
                known = False
        return False if known else None

    return holds


def is_null(argument: OnRow) -> OnRow:
    """IS NULL."""
    return lambda row: argument(row) is None


def is_exactly(wanted: float) -> Callable[[OnRow], OnRow]:
    """IS TRUE and IS FALSE: never NULL."""
    return lambda argument: lambda row: argument(row) == wanted


def coalesce(*arguments: OnRow) -> OnRow:
    """The first value that is not NULL."""

    def first(row: Row) -> Any:
        for argument in arguments:
            value = argument(row)
            if value is not None:
                return value
        return None

    return first


def extreme(first_wins: Callable[[Any, Any], bool]) -> Callable[..., OnRow]:
    """`least` and `greatest`: the value that wins over all others, passing over NULLs."""

    def build(*arguments: OnRow) -> OnRow:
        def best(row: Row) -> Any:
            winner = None
            for argument in arguments:
                value = argument(row)
                if value is not None and (winner is None or not first_wins(winner, value)):
                    winner = value
            return winner

        return best

    return build


def case(conditions: Sequence[OnRow], results: Sequence[OnRow], default: OnRow) -> OnRow:
    """CASE WHEN: the result of the first condition that is true."""
    branches = tuple(zip(conditions, results, strict=True))

    def chosen(row: Row) -> Any:
        for condition, result in branches:
            if condition(row) == 1:
                return result(row)
        return default(row)

    return chosen


def is_one_of(looked_for: OnRow, *options: OnRow) -> OnRow:
    """IN: true where one option is equal, NULL where none is but one is NULL."""
    fixed = [option.value for option in options if isinstance(option, Constant)]
    if len(fixed) < len(options):
        return or_(*[compare(_equal)(looked_for, option) for option in options])
    known, otherwise = frozenset(fixed), None if None in fixed else False

    def found(row: Row) -> bool | None:
        value = looked_for(row)
        return None if value is None else True if value in known else otherwise

    return found


def _equal(a: Any, b: Any) -> bool:
    return bool(a == b)


def between(value: OnRow, low: OnRow, high: OnRow) -> OnRow:
    """BETWEEN, both ends included; false wins over NULL."""

    def holds(row: Row) -> bool | None:
        a = value(row)
        if a is None:
            return None
        least, most = low(row), high(row)
        if (least is not None and a < least) or (most is not None and a > most):
            return False
        return None if least is None or most is None else True

    return holds


def negation(value: Any) -> bool:
    """NOT of what is not NULL."""
    return not value


def truth(value: Any) -> bool:
    """A number read as a condition: true unless it is zero."""
    return bool(value != 0)


def round_half_away(digits: int) -> Callable[[float], float]:
    """SQL's round to `digits`: a half goes away from zero.

    Examples
    --------
    >>> round_half_away(0)(2.5), round_half_away(0)(-2.5), round_half_away(-2)(1250.0)
    (3.0, -3.0, 1300.0)
    """
    factor = 10.0 ** abs(digits)

    def rounded(a: float) -> float:
        scaled = a * factor if digits > 0 else a / factor
        if not isfinite(scaled):
            return a
        fraction, whole = math.modf(scaled)
        if abs(fraction) >= 0.5:
            whole += math.copysign(1.0, scaled)
        return whole / factor if digits > 0 else whole * factor

    return rounded
