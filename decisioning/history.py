"""The past that contact policies look at, as integer arrays: touches and outcomes by contact and by account, suppressions, reservations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from decisioning.vocabulary import Columns, IntArray, TextArray


class ListedPast(Mapping[str, npt.NDArray[np.generic]]):
    """Columns of what happened to one contact, out of rows that end with a time in microseconds; arrays are made when they are asked for.

    Parameters
    ----------
    rows : sequence of tuples, oldest first
    names : the columns' names, the last `at`
    """

    def __init__(self, rows: Sequence[tuple[Any, ...]], names: Sequence[str]) -> None:
        self._names = names
        self.lists: dict[str, list[Any]] = (
            dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)) if rows else {n: [] for n in names}
        )
        """The columns as lists."""

    @cached_property
    def _arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        arrays: dict[str, npt.NDArray[np.generic]] = {}
        for name, values in self.lists.items():
            if name == "at":
                arrays[name] = np.array(values, dtype=np.int64).view("datetime64[us]")
            else:
                arrays[name] = column = np.empty(len(values), dtype=object)
                column[:] = values
        return arrays

    def __getitem__(self, name: str) -> npt.NDArray[np.generic]:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Past(Struct, frozen=True, eq=False):
    """Things that happened: `row` is the unit (a contact's row, an account's number) of each row of `columns`."""

    row: IntArray
    columns: Columns


class Suppression(NamedTuple):
    """An action, a channel, or where both are None everything, switched off for the contact in `row` until a moment, UTC."""

    row: int
    action_id: str | None
    channel: str | None
    until: np.datetime64


class Planned(NamedTuple):
    """What the running plan has reserved for the contact in `row`, in the decision of that id."""

    row: int
    treatment_id: str
    decision_id: str


@dataclass(frozen=True)
class Firms:
    """The accounts of the contacts at hand, numbered from 0, and what happened to any of their contacts.

    `unit` has shape (n_contacts,): the number of each contact's account, -1 where it belongs to none.
    """

    unit: IntArray
    touches: Past
    outcomes: Past


class History(Struct, frozen=True, eq=False):
    """Touches and outcomes of the contacts at hand.

    `touch_row` and `outcome_row` point into the situation's contacts; the mappings hold `action_id`, `channel`, `outcome` (object arrays)
    and `at` (datetime64[us]); touches may carry the `decision_id` they came of.
    """

    touch_row: IntArray
    touches: Columns
    outcome_row: IntArray
    outcomes: Columns
    firms: Firms | None = None
    suppressions: tuple[Suppression, ...] = ()
    planned: tuple[Planned, ...] = ()

    @classmethod
    def of(cls, contact_ids: Iterable[str], touches: Columns, outcomes: Columns) -> History:
        """The history of `contact_ids` out of columns that carry a `contact_id`; rows of others are left out.

        Examples
        --------
        >>> none = {"contact_id": np.array([], dtype=object), "action_id": np.array([], dtype=object)}
        >>> History.of(["c-1"], none, none).touch_row
        array([], dtype=int64)
        """
        row_of = rows_of(contact_ids, (str(one) for columns in (touches, outcomes) for one in columns["contact_id"]))
        touched, happened = located(row_of, touches, "contact_id"), located(row_of, outcomes, "contact_id")
        return cls(touched.row, touched.columns, happened.row, happened.columns)

    def seen_by(self, scope: Literal["contact", "account"], n_contacts: int, *, outcomes: bool) -> tuple[IntArray, Past]:
        """The unit of each contact in the eyes of a policy of that scope, and the touches, or else the outcomes, by unit."""
        if scope == "account":
            if self.firms is None:
                return np.full(n_contacts, -1, dtype=np.int64), Past(np.zeros(0, dtype=np.int64), {})
            return self.firms.unit, self.firms.outcomes if outcomes else self.firms.touches
        everyone = np.arange(n_contacts, dtype=np.int64)
        return everyone, Past(self.outcome_row, self.outcomes) if outcomes else Past(self.touch_row, self.touches)


def firms_of(account_ids: TextArray, touches: Columns, outcomes: Columns) -> Firms:
    """The accounts named in `account_ids` (shape (n_contacts,), None where there is none), with columns that carry an `account_id`."""
    numbers: dict[str, int] = {}
    unit = [-1 if one is None else numbers.setdefault(str(one), len(numbers)) for one in account_ids.tolist()]
    return Firms(np.array(unit, dtype=np.int64), located(numbers, touches, "account_id"), located(numbers, outcomes, "account_id"))


def rows_of(contact_ids: Iterable[str], named: Iterable[str]) -> dict[str, int]:
    """The rows of those of `contact_ids` that are `named`: few, where a million contacts have hardly any past.

    Examples
    --------
    >>> rows_of(["c-1", "c-2"], ["c-2", "c-9"])
    {'c-2': 1}
    """
    wanted = set(named)
    return {contact_id: row for row, contact_id in enumerate(contact_ids) if contact_id in wanted} if wanted else {}


def located(row_of: Mapping[str, int], columns: Columns, key: str) -> Past:
    """The rows of `columns` whose `key` is known, each with its place."""
    rows = np.array([row_of.get(str(one), -1) for one in columns[key]], dtype=np.int64)
    ours = rows >= 0
    return Past(rows[ours], {name: column[ours] for name, column in columns.items()})
