"""What a compiled expression is made of: typed pieces, literals, and values of the request context. Used by `compiler.py`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np

from decisioning.rules.sql_scalars import Constant, OnRow, Row, Scalar
from decisioning.rules.sql_values import Array
from decisioning.vocabulary import Columns, Dtype

Kind: TypeAlias = Literal["bool", "number", "string", "date", "timestamp", "null", "any"]
"""The type of a value in an expression; `any` is a key of the request context, `null` the literal NULL."""

Span: TypeAlias = tuple[int, int]
"""The first and the last character of a place in the text of an expression."""

KIND_OF: dict[Dtype, Kind] = {
    "bool": "bool",
    "int": "number",
    "float": "number",
    "string": "string",
    "date": "date",
    "timestamp": "timestamp",
}

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - times are UTC throughout
_MICROSECOND = timedelta(microseconds=1)
_MICROSECONDS_A_DAY = 86_400_000_000
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?Z?")


@dataclass(frozen=True)
class Rows:
    """What an expression is evaluated on: `length` rows of feature columns, and the one request context they share.

    A column or a context key that is not there is NULL.
    """

    columns: Columns
    length: int
    context: Mapping[str, object] = field(default_factory=dict)
    known: Row | None = field(default=None, compare=False, repr=False)

    @cached_property
    def only(self) -> Row:
        """The one row, where there is exactly one."""
        return Row(self.columns, self.context) if self.known is None else self.known


@dataclass(frozen=True)
class Meaning:
    """What an operator or a function does, said twice.

    Attributes
    ----------
    on_arrays : from the arrays of its arguments to an array, in the words of `sql_values.py`.
    on_row : from the functions of its arguments on one row to its own, in the words of `sql_scalars.py`.
    """

    on_arrays: Callable[..., Array]
    on_row: Callable[..., OnRow]


@dataclass(frozen=True)
class Node:
    """A compiled piece: its type, its value on arrays and on one row, what a literal writes, and the key of a `context.key`."""

    kind: Kind
    on_arrays: Callable[[Rows], Array]
    on_row: OnRow
    literal: object = None
    context_key: str = ""


class Problem(Exception):
    """What is wrong with an expression, where, and what may be done about it."""

    def __init__(self, what: str, span: Span | None, *, hint: str | None = None) -> None:
        super().__init__(what)
        self.what, self.span, self.hint = what, span, hint


def constant(value: Scalar, kind: Kind, *, literal: object = None) -> Node:
    """The piece that is `value` on all rows."""
    array = as_array(value, kind)
    return Node(kind, lambda _rows: array, Constant(value), literal)


def as_array(value: Scalar, kind: Kind) -> Array:
    """A scalar of one row as an array without dimensions.

    Examples
    --------
    >>> as_array(None, "bool"), as_array("a", "string"), as_array(0, "date")
    (array(nan), array('a', dtype=object), array('1970-01-01T00:00:00.000000', dtype='datetime64[us]'))
    """
    if kind == "string":
        return np.asarray(value, dtype=object)
    if kind in ("date", "timestamp"):
        return np.asarray(np.datetime64("NaT" if value is None else int(value), "us"))
    return np.asarray(np.nan if value is None else float(value))


def context_node(key: str, kind: Kind) -> Node:
    """The value of the request context under `key`, read as `kind`."""
    return Node(
        kind,
        lambda rows: as_array(context_value(rows.context.get(key), kind), kind),
        lambda row: context_value(row.context.get(key), kind),
        context_key=key,
    )


def read_time(text: str, kind: Kind) -> int | None:
    """The day or the moment that `text` writes in ISO's way, in microseconds since 1970; None where it does not.

    Where a day is meant, a text that says more is not one.

    Examples
    --------
    >>> read_time("1970-01-02 00:30", "timestamp"), read_time("2026-11-22 10:30", "date"), read_time("today", "date")
    (88200000000, None, None)
    """
    stripped = text.strip()
    if not (_DAY.fullmatch(stripped) or (kind == "timestamp" and _MOMENT.fullmatch(stripped))):
        return None
    try:
        return _microseconds(datetime.fromisoformat(stripped).replace(tzinfo=None))
    except ValueError:
        return None


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def context_value(value: object, kind: Kind) -> Scalar:
    """A value of the request context as `kind`; what cannot be read so is NULL.

    Examples
    --------
    >>> context_value("12.5", "number"), context_value([1, 2], "number"), context_value(True, "string")
    (12.5, None, 'true')
    """
    if kind == "string":
        return _context_text(value)
    if kind in ("date", "timestamp"):
        return _context_time(value, kind)
    number = _context_number(value)
    return number if number is None or kind == "number" else float(number != 0)


def _context_text(value: object) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float | date) else None


def _context_number(value: object) -> float | None:
    words = {"true": 1.0, "false": 0.0}
    if isinstance(value, str) and value.strip().lower() in words:
        return words[value.strip().lower()]
    try:
        number = float(value) if isinstance(value, bool | int | float | str) else np.nan
    except (ValueError, OverflowError):
        return None
    return number if np.isfinite(number) else None


def _context_time(value: object, kind: Kind) -> int | None:
    try:
        moment = datetime.fromisoformat(str(value))
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    read = _microseconds(moment)
    return read - read % _MICROSECONDS_A_DAY if kind == "date" else read
