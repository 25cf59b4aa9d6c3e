"""The candidates: one row a contact, one column a treatment, as a struct of arrays that every stage reads and marks.

A stage never deletes: it records which rule took a candidate out, so that any answer can be explained afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from msgspec import Struct, structs

from decisioning.rules import Rows
from decisioning.rules.sql_scalars import Row
from decisioning.vocabulary import BoolArray, Columns, FloatArray, IntArray, Stage, TextArray

_ALIVE = -1


@dataclass(frozen=True)
class Removal:
    """A rule that took candidates out. `saw` says what the rule saw: one text for all contacts, or a function of the contact's row."""

    stage: Stage
    rule: str
    saw: str | Callable[[int], str] = field(repr=False, compare=False)

    def detail(self, row: int) -> str:
        """What the rule saw of the contact in `row`."""
        return self.saw if isinstance(self.saw, str) else self.saw(row)


class Situation(Struct, frozen=True, dict=True, eq=False):
    """Who is decided for, when, and what is known.

    Attributes
    ----------
    contact_ids : array of str, shape (n_contacts,)
    columns : Columns of n_contacts rows
        The features.
    now : numpy.datetime64
        The moment of the decision, UTC.
    granted : mapping purpose -> array of bool, shape (n_contacts,)
        Where consent stands granted. A purpose that is not there is granted to nobody: absence is never consent.
    context : mapping
        The request's context, shared by all rows; empty in a plan.
    channel, placements, actions : the request's, None and empty where any will do.
    seeds : array of str, shape (n_contacts,), optional
        What the random draws of each contact derive from: its decision id. Left out: its contact id.
    row : Row, optional
        The features of the one contact as plain values, where they are known already.
    """

    contact_ids: TextArray
    columns: Columns
    now: np.datetime64
    granted: Mapping[str, BoolArray]
    context: Mapping[str, object] = {}
    channel: str | None = None
    placements: tuple[str, ...] = ()
    seeds: TextArray | None = None
    actions: tuple[str, ...] = ()
    row: Row | None = None

    @property
    def seeds_or_ids(self) -> TextArray:
        """What random draws derive from, one text a contact."""
        return self.contact_ids if self.seeds is None else self.seeds

    @property
    def only(self) -> Row:
        """The one contact's values as plain ones."""
        known = self.row
        ours = known is not None and known.columns is self.columns and known.context is self.context
        return known if known is not None and ours else self.rows.only

    def take(self, rows: slice | IntArray) -> Situation:
        """The same of some contacts, in the order of `rows`."""
        return structs.replace(
            self,
            contact_ids=self.contact_ids[rows],
            columns={name: column[rows] for name, column in self.columns.items()},
            granted={purpose: yes[rows] for purpose, yes in self.granted.items()},
            seeds=self.seeds_or_ids[rows],
            row=None,
        )

    @cached_property
    def rows(self) -> Rows:
        """The rows that rules are evaluated on."""
        known = self.row
        if known is not None and (known.columns is not self.columns or known.context is not self.context):
            known = None  # it belongs to the situation that this one was made of
        return Rows(self.columns, len(self.contact_ids), self.context, known)


class Candidates:
    """Which (contact, treatment) pairs are still in, and what took the others out.

    `alive` has shape (n_contacts, n_treatments); `removed_by` the index into `removals`, -1 while alive.
    """

    def __init__(self, n_contacts: int, n_treatments: int) -> None:
        self.removed_by: IntArray = np.full((n_contacts, n_treatments), _ALIVE, dtype=np.int64)
        self.removals: list[Removal] = []

    @property
    def alive(self) -> BoolArray:
        """True where no rule has taken the candidate out."""
        return np.asarray(self.removed_by == _ALIVE, dtype=np.bool_)

    def remove(self, rows: BoolArray, columns: Sequence[int] | IntArray, removal: Removal) -> None:
        """Take out what is still alive of the contacts `rows` (shape (n_contacts,)) in the treatments `columns` (their places)."""
        hit = np.flatnonzero(rows)
        if not len(hit):
            return
        place = (hit[:, None], np.asarray(columns, dtype=np.int64))
        block = self.removed_by[place]
        newly = block == _ALIVE
        if newly.any():
            block[newly] = self._named(removal)
            self.removed_by[place] = block

    def remove_where(self, gone: BoolArray, removal: Removal) -> None:
        """Take out the candidates that are `gone` (any shape that broadcasts) and still alive."""
        newly = self.alive & gone
        if newly.any():
            self.removed_by[newly] = self._named(removal)

    def remove_of_everyone(self, columns: Sequence[IntArray], removal: Callable[[int], Removal]) -> None:
        """Take out, of every contact, what is still alive of each of `columns` in turn; `removal(place)` is the rule behind that place."""
        if not columns:
            return
        first = np.full(self.removed_by.shape[1], _ALIVE, dtype=np.int64)
        places = np.repeat(np.arange(len(columns)), [len(one) for one in columns])
        first[np.concatenate(columns)[::-1]] = places[::-1]  # of a column named twice, numpy keeps what is assigned last
        newly = self.alive & (first != _ALIVE)
        number = np.full(len(columns), _ALIVE, dtype=np.int64)
        for place in np.flatnonzero(np.bincount(first[newly.any(axis=0)])).tolist():
            number[place] = self._named(removal(place))
        np.copyto(self.removed_by, number[first], where=newly)

    def _named(self, removal: Removal) -> int:
        self.removals.append(removal)
        return len(self.removals) - 1

    def removal(self, row: int, column: int) -> Removal | None:
        """The rule that took this candidate out, or None."""
        index = int(self.removed_by[row, column])
        return None if index == _ALIVE else self.removals[index]


@dataclass(frozen=True)
class Scores:
    """What the models say of each candidate; NaN where nothing is known. Shapes (n_contacts, n_treatments) unless said.

    Attributes
    ----------
    propensity, uplift : probabilities and their difference to the baseline.
    value : money a response.
    opt_out_risk : probability that the contact opts out because of the touch.
    clv : shape (n_contacts,), money over horizon_days.
    base_rate : shape (n_treatments,), the mean baseline of the action, to tell sure things from lost causes.
    traffic : tuple of n_treatments words, `model`, `propensity` (no uplift known) or `cold_start`.
    evidence : shape (n_treatments,), how many contacts the propensity was learned from; None where that is not known.
    uplift_error : (row, column) -> the standard error of one candidate's uplift, asked for only where it is explained; NaN where it is
        not known.
    """

    propensity: FloatArray
    uplift: FloatArray
    value: FloatArray
    opt_out_risk: FloatArray
    clv: FloatArray
    base_rate: FloatArray
    traffic: tuple[str, ...]
    evidence: FloatArray | None = None
    uplift_error: Callable[[int, int], float] | None = None

    @cached_property
    def of_one(self) -> OneScores:
        """Those of the one contact, as plain numbers."""
        p, tau, value, risk = (part[0].tolist() for part in (self.propensity, self.uplift, self.value, self.opt_out_risk))
        rest = (self.base_rate, self.traffic, self.evidence, self.uplift_error)
        return OneScores(p, tau, value, risk, float(self.clv[0]), *rest)

    @property
    def baseline(self) -> FloatArray:
        """P(response | not contacted) = propensity - uplift."""
        return np.clip(self.propensity - self.uplift, 0.0, 1.0)


class OneScores(Struct, frozen=True, eq=False):
    """The `Scores` of one contact's candidates, as lists of numbers."""

    propensity: list[float]
    uplift: list[float]
    value: list[float]
    opt_out_risk: list[float]
    clv: float
    base_rate: FloatArray
    traffic: tuple[str, ...]
    evidence: FloatArray | None = None
    uplift_error: Callable[[int, int], float] | None = None

    @property
    def as_arrays(self) -> Scores:
        """The same as the stages know it."""
        p, tau, value, risk = (np.array([part]) for part in (self.propensity, self.uplift, self.value, self.opt_out_risk))
        rest = (self.base_rate, self.traffic, self.evidence, self.uplift_error)
        return Scores(p, tau, value, risk, np.array([self.clv]), *rest)
