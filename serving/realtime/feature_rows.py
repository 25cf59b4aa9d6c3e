"""The features of a batch of contacts: columns for the models, and of each contact plain values for rules and records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from decisioning.errors import RequestError
from decisioning.vocabulary import Columns, Dtype, null_column
from features.blocks import Blocks, Column, parts_of
from serving.realtime.decision_inputs import plain

_NULL_TIME = int(np.iinfo(np.int64).min)


class OwnColumns(Mapping[str, Column]):
    """The columns of one contact of a batch, each cut out when it is asked for."""

    __slots__ = ("_columns", "_place")

    def __init__(self, columns: Columns, place: int) -> None:
        self._columns = columns
        self._place = place

    def __getitem__(self, name: str) -> Column:
        return self._columns[name][self._place : self._place + 1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


@dataclass(frozen=True)
class FeatureRows:
    """`n` contacts' features.

    Parameters
    ----------
    columns : Columns of n rows
    n : int
    """

    columns: Columns
    n: int

    def take(self, places: list[int]) -> Columns:
        """The columns of some of the contacts."""
        if places == list(range(self.n)):
            return self.columns
        if isinstance(self.columns, Blocks):
            return self.columns.take(places)
        return {name: column[places] for name, column in self.columns.items()}

    @cached_property
    def for_rules(self) -> list[dict[str, Any]]:
        """Of each contact the values as `rules.sql_scalars` reads them: numbers as floats, times as microseconds, NULL as None."""
        return self._rows(parts_of(self.columns), _scalars)

    @cached_property
    def for_records(self) -> list[dict[str, Any]]:
        """Of each contact the values as the ledger keeps them, times as text."""
        others = [(names, matrix) for names, matrix in parts_of(self.columns) if matrix.dtype.kind not in "fO" and names]
        if not others:
            return self.for_rules
        rows = self._rows(others, lambda matrix: [[plain(one) for one in row] for row in matrix.T.tolist()])
        return [{**rule_row, **row} for rule_row, row in zip(self.for_rules, rows, strict=True)]

    def _rows(self, parts: Iterable[tuple[Sequence[str], Column]], read: Callable[[Column], list[list[Any]]]) -> list[dict[str, Any]]:
        """Of each contact a dict of what `read` makes of its row of each matrix."""
        names: list[str] = []
        lists: list[list[list[Any]]] = []
        for some, matrix in parts:
            names += some
            lists.append(read(matrix))
        if not lists:
            return [{} for _ in range(self.n)]
        return [dict(zip(names, chain.from_iterable(row), strict=True)) for row in zip(*lists, strict=True)]


def _scalars(matrix: Column) -> list[list[Any]]:
    """As `scalar_of` each: of each contact those of its columns."""
    kind = matrix.dtype.kind
    if kind == "f":
        return [[one if one == one else None for one in row] for row in matrix.T.tolist()]
    if kind == "O":
        return [[one if one.__class__ is not float or one == one else None for one in row] for row in matrix.T.tolist()]
    if kind == "M":
        moments = matrix.T.astype("datetime64[us]").view(np.int64).tolist()
        return [[None if one == _NULL_TIME else one for one in row] for row in moments]
    return [[float(one) for one in row] for row in matrix.T.tolist()]


def with_given(
    columns: Columns, given: Sequence[Mapping[str, Any]], dtypes: Mapping[str, Dtype]
) -> tuple[FeatureRows, dict[int, RequestError]]:
    """The features with those that requests give in the place of what is known; and the requests whose own are of the wrong type."""
    n, refused = len(given), dict[int, RequestError]()
    if not any(given):
        return FeatureRows(columns, n), refused
    own: dict[str, np.ndarray] = dict(columns)
    copied: set[str] = set()
    for place, features in enumerate(given):
        try:
            read = [(name, read_feature(name, value, dtypes[name])) for name, value in features.items() if name in dtypes]
        except RequestError as error:
            refused[place] = error
            continue
        for name, value in read:
            if name not in copied:
                kept = own.get(name)
                own[name] = null_column(dtypes[name], n) if kept is None else np.array(kept, dtype=value.dtype)
                copied.add(name)
            own[name][place] = value[0]
    return FeatureRows(own, n), refused


def read_feature(name: str, value: Any, dtype: Dtype) -> np.ndarray:
    """A feature given in a request, as a column of one row."""
    column = null_column(dtype, 1)
    if value is None:
        return column
    problem = RequestError("is of the wrong type", field=f"features.{name}", got=repr(value), allowed=f"{dtype} or null")
    if dtype == "string":
        if not isinstance(value, str):
            raise problem
        column[0] = value
    elif dtype in ("date", "timestamp"):
        try:
            column[0] = to_datetime64(datetime.fromisoformat(value if isinstance(value, str) else ""))
        except (ValueError, OverflowError):  # not a time, or one whose zone moves it out of the calendar
            raise problem from None
    elif not isinstance(value, bool | int | float) or (isinstance(value, bool) and dtype != "bool") or not np.isfinite(value):
        raise problem
    else:
        column[0] = float(value)
    return column


def to_datetime64(moment: datetime) -> np.datetime64:
    """An aware datetime (naive counts as UTC) as UTC datetime64[us]."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return np.datetime64(aware.astimezone(UTC).replace(tzinfo=None), "us")
