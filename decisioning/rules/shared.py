"""Which treatments does each rule concern? The catalogue read the other way round, so that a rule that many actions share is asked once.

Everything here depends on the catalogue alone and is worked out when it loads.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from decisioning.rules.expressions import Expression, Rows
from decisioning.rules.sql_scalars import Row
from decisioning.vocabulary import BoolArray, FloatArray, IntArray, Stage


class SharedRule(NamedTuple):
    """One part of a condition, and the treatments of all actions that ask for it at this stage."""

    stage: Stage
    expression: Expression
    columns: IntArray


@dataclass(frozen=True)
class Conditions:
    """The parts of all conditions, in an order that keeps each action's own: by stage, then by place within the action's condition."""

    rules: tuple[SharedRule, ...]
    _flat: IntArray
    _starts: IntArray

    @classmethod
    def of(cls, actions: Iterable[tuple[Mapping[Stage, tuple[Expression, ...]], Sequence[int]]], stages: Sequence[Stage]) -> Conditions:
        """Those of `actions`, each given as its parts by stage and its treatments' columns."""
        found: dict[tuple[int, int, Expression], list[int]] = {}
        for parts, columns in actions:
            for turn, stage in enumerate(stages):
                for place, expression in enumerate(parts[stage]):
                    found.setdefault((turn, place, expression), []).extend(columns)
        inorder = sorted(found.items(), key=lambda one: one[0][:2])
        rules = tuple(SharedRule(stages[turn], expression, as_places(columns)) for (turn, _, expression), columns in inorder)
        starts = np.cumsum([0, *(len(rule.columns) for rule in rules)])[:-1]
        return cls(rules, np.concatenate([as_places(()), *(rule.columns for rule in rules)]), as_places(starts.tolist()))

    def concerning(self, alive: BoolArray) -> list[SharedRule]:
        """The rules that concern at least one of the treatments that are `alive`, shape (n_treatments,)."""
        if not self.rules or alive.all():
            return list(self.rules)
        concerned = np.logical_or.reduceat(alive[self._flat], self._starts)
        return [self.rules[place] for place in np.flatnonzero(concerned).tolist()]


class Weighting(NamedTuple):
    """A factor of the priority, where all of `conditions` hold, and the treatments of the actions that have it."""

    conditions: tuple[Expression, ...]
    weight: float
    columns: IntArray


def weightings(actions: Iterable[tuple[Sequence[tuple[tuple[Expression, ...], float]], Sequence[int]]]) -> tuple[Weighting, ...]:
    """Those of `actions`, each given as its context weights and its columns; one that an action names twice counts twice."""
    found: dict[tuple[tuple[Expression, ...], float, int], list[int]] = {}
    for weights, columns in actions:
        for place, (conditions, weight) in enumerate(weights):
            again = weights[:place].count((conditions, weight))
            found.setdefault((conditions, weight, again), []).extend(columns)
    return tuple(Weighting(conditions, weight, as_places(columns)) for (conditions, weight, _), columns in found.items())


@dataclass(frozen=True)
class StatedValues:
    """What a response to each treatment is worth, as far as the catalogue says it: numbers, and expressions with their columns."""

    numbers: FloatArray
    expressions: tuple[tuple[Expression, IntArray], ...]

    @classmethod
    def of(cls, actions: Iterable[tuple[float | Expression | str, Sequence[int]]], n_treatments: int) -> StatedValues:
        """Those of `actions`, each given as its value and its columns; an observed value is NaN."""
        numbers, found = np.full(n_treatments, np.nan), dict[Expression, list[int]]()
        for value, columns in actions:
            if isinstance(value, Expression):
                found.setdefault(value, []).extend(columns)
            elif isinstance(value, float):
                numbers[list(columns)] = value
        return cls(numbers, tuple((expression, as_places(columns)) for expression, columns in found.items()))

    def on_row(self, row: Row, alive: int) -> list[float]:
        """The same of one row, as a list; an expression that nothing `alive` (treatments as bits) asks for is not computed: NaN."""
        numbers, expressions = self._listed
        values = numbers[:]
        for expression, bits, columns in expressions:
            if alive & bits:
                number = expression.on_row(row)
                for column in columns:
                    values[column] = math.nan if number is None else number
        return values

    @cached_property
    def _listed(self) -> tuple[list[float], list[tuple[Expression, int, list[int]]]]:
        numbers: list[float] = self.numbers.tolist()
        listed = [(expression, columns.tolist()) for expression, columns in self.expressions]
        return numbers, [(expression, sum(1 << column for column in set(columns)), columns) for expression, columns in listed]

    def on(self, rows: Rows, alive: BoolArray | None = None) -> FloatArray:
        """Money a response, shape (rows.length, n_treatments): NaN where it is NULL or observed.

        Of one row an expression is not computed where nothing that is `alive` asks for it: NaN.
        """
        values = np.empty((rows.length, len(self.numbers)))
        values[:] = self.numbers
        living = None if alive is None or rows.length != 1 else alive[0].tolist()
        for expression, columns in self.expressions:
            if rows.length == 1:
                asked = living is None or any(living[column] for column in columns.tolist())
                number = expression.on_row(rows.only) if asked else None
                values[0, columns] = np.nan if number is None else number
            else:
                values[:, columns] = expression.numbers(rows)[:, None]
        return values


def as_places(columns: Sequence[int]) -> IntArray:
    """Columns as an array of indices."""
    return np.array(columns, dtype=np.int64)
