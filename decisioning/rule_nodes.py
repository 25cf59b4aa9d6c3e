"""What a compiled expression is made of: typed pieces, literals, and values of the request context. Used by `rule_compiler.py`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Literal, TypeAlias

import numpy as np

from decisioning.sql_values import Array
from decisioning.vocabulary import Columns, Dtype, null_column

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


@dataclass(frozen=True)
class Node:
    """A compiled piece: its type, its function, its value where it is a literal and its key where it is `context.key`."""

    kind: Kind
    evaluate: Callable[[Rows], Array]
    literal: object = None
    context_key: str = ""


class Problem(Exception):
    """What is wrong with an expression, and where; `name` is the unknown name that a near one may explain."""

    def __init__(self, what: str, span: Span | None, *, name: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what, self.span, self.name, self.hint = what, span, name, hint


def constant(value: Array) -> Callable[[Rows], Array]:
    """The function that is `value` on all rows."""

    def evaluate(_rows: Rows) -> Array:
        return value

    return evaluate


def null_node(kind: Kind) -> Node:
    """NULL, read as `kind`."""
    dtype: Dtype = "string" if kind == "string" else "date" if kind in ("date", "timestamp") else "float"
    return Node(kind, constant(null_column(dtype, 1)))


def read_time(text: str, kind: Kind) -> Array | None:
    """The day or the moment that `text` writes in ISO's way; None where it does not, or says more than a day where a day is meant.

    Examples
    --------
    >>> str(read_time("2026-11-22 10:30", "timestamp")), read_time("2026-11-22 10:30", "date"), read_time("today", "date")
    ('2026-11-22T10:30:00.000000', None, None)
    """
    stripped = text.strip()
    if not (_DAY.fullmatch(stripped) or (kind == "timestamp" and _MOMENT.fullmatch(stripped))):
        return None
    try:
        return np.asarray(np.datetime64(datetime.fromisoformat(stripped).replace(tzinfo=None), "us"))
    except ValueError:
        return None


def read_context(value: object, kind: Kind) -> Array:
    """A value of the request context as `kind`; what cannot be read so is NULL.

    Examples
    --------
    >>> read_context("12.5", "number"), read_context([1, 2], "number"), read_context(True, "string")
    (array(12.5), array(nan), array('true', dtype=object))
    """
    if kind == "string":
        return np.asarray(_context_text(value), dtype=object)
    if kind in ("date", "timestamp"):
        return _context_time(value, kind)
    number = _context_number(value)
    return np.asarray(number if kind == "number" or np.isnan(number) else float(number != 0))


def _context_text(value: object) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float | date) else None


def _context_number(value: object) -> float:
    words = {"true": 1.0, "false": 0.0}
    if isinstance(value, str) and value.strip().lower() in words:
        return words[value.strip().lower()]
    try:
        number = float(value) if isinstance(value, bool | int | float | str) else np.nan
    except (ValueError, OverflowError):
        return np.nan
    return number if np.isfinite(number) else np.nan


def _context_time(value: object, kind: Kind) -> Array:
    try:
        moment = datetime.fromisoformat(str(value))
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return np.asarray(np.datetime64("NaT", "us"))
    read = np.datetime64(moment, "us")
    return np.asarray(read.astype("datetime64[D]").astype("datetime64[us]") if kind == "date" else read)
