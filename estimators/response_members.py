"""The members of a response model on rows that they have not seen: base rate, logistic regressions, trees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm
import numpy as np
from scipy.special import expit

from estimators.arrays import FloatArray, IntArray
from estimators.folds import Fold
from estimators.linear import fit_logistic
from estimators.scores import LinearScore
from estimators.trees import BinnedRows, TreeSettings

PENALTIES = (0.01, 0.1)
"""Inverse strengths of the logistic regression's penalty that are tried."""

ITERATION_SHARES = (0.3, 0.6, 1.0)
"""Shares of the trees that are tried: few events need fewer."""


@dataclass(frozen=True, eq=False)
class Said:
    """What models of other rows say of m rows: the base rate, each logistic regression and trees a number of iterations."""

    base_rate: FloatArray
    linear: FloatArray
    trees: FloatArray

    def of_option(self, penalty: int) -> Said:
        """The same with one logistic regression."""
        return Said(self.base_rate, self.linear[[penalty]], self.trees)

    def members(self, penalty: int, rounds: int) -> FloatArray:
        """The three members of a blend, shape (3, m)."""
        return np.stack([self.base_rate, self.linear[penalty], self.trees[rounds]])


@dataclass(frozen=True, eq=False)
class Learned:
    """The members as fitted: the base rate, every logistic regression, and trees of the most iterations that are tried."""

    base_rate: float
    lines: Sequence[LinearScore]
    booster: lightgbm.Booster


@dataclass(frozen=True)
class Settled:
    """What an earlier fit chose: the penalty, and whether drifting columns are trusted by half (None: none drifted).

    Not the number of trees, which grows with the rows.
    """

    penalty: float
    hedged: bool | None


def base_rate(y: FloatArray, weight: FloatArray) -> float:
    """The mean of the labels, shrunk by half a response among one row more."""
    return float((weight @ y + 0.5) / (weight.sum() + 1.0))


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """n labelled rows that models are fitted on subsets of.

    `drifting` are the columns of the linear matrix that move in time; what is `settled` is not tried again. With many rows regressions are
    `chained`: each begins where one like it has ended.
    """

    binned: BinnedRows
    settings: TreeSettings
    linear: FloatArray
    y: FloatArray
    weight: FloatArray
    drifting: tuple[int, ...] = ()
    settled: Settled | None = None
    chained: bool = False

    @property
    def counts(self) -> list[int]:
        """The numbers of iterations that are tried."""
        return sorted({max(1, round(share * self.settings.n_estimators)) for share in ITERATION_SHARES})

    def base_rate(self, rows: IntArray | slice = slice(None)) -> float:
        """The shrunk mean of some rows' labels."""
        return base_rate(self.y[rows], self.weight[rows])

    @property
    def options(self) -> list[tuple[float, bool]]:
        """The logistic regressions to choose from, as (penalty, hedged): one a penalty, and where columns drift one hedged a penalty."""
        penalties = PENALTIES if self.settled is None else (self.settled.penalty,)
        ways = (False, True) if self.drifting else (False,)
        if self.drifting and self.settled is not None and self.settled.hedged is not None:
            ways = (self.settled.hedged,)
        return [(penalty, hedged) for hedged in ways for penalty in penalties]

    @property
    def hedged(self) -> list[int]:
        """The options that hedge."""
        return [place for place, (_, hedged) in enumerate(self.options) if hedged]

    def settle(self, option: int) -> Settled:
        """What a later fit need not choose again."""
        penalty, hedged = self.options[option]
        return Settled(penalty, hedged if self.drifting else None)

    def lines(self, rows: IntArray) -> list[LinearScore]:
        """Every option, fitted on some rows."""
        whole: dict[float, LinearScore] = {}
        for penalty in dict.fromkeys(penalty for penalty, _ in self.options):
            before = next(reversed(whole.values()), None) if self.chained else None
            whole[penalty] = self._fitted(penalty, rows, start=before)
        return [self._hedge(whole[penalty], penalty, rows) if hedged else whole[penalty] for penalty, hedged in self.options]

    def line(self, option: int, rows: IntArray, start: LinearScore | None = None) -> LinearScore:
        """One option, fitted on some rows; `start` is the same of fewer of them."""
        penalty, hedged = self.options[option]
        whole = self._fitted(penalty, rows, start=start)
        return self._hedge(whole, penalty, rows, start) if hedged else whole

    def _fitted(
        self, penalty: float, rows: IntArray, columns: IntArray | slice = slice(None), start: LinearScore | None = None
    ) -> LinearScore:
        begin = None if start is None else LinearScore(start.intercept, start.coef[columns])
        return fit_logistic(self.linear[rows][:, columns], self.y[rows], C=penalty, sample_weight=self.weight[rows], start=begin)

    def _hedge(self, whole: LinearScore, penalty: float, rows: IntArray, start: LinearScore | None = None) -> LinearScore:
        """The mean of the log odds with the drifting columns and without them.

        What a column that moves in time meant so far is one observation, however many rows there are; half trust is worth more than
        either all or none. (Bates and Granger, "The Combination of Forecasts", 1969.)
        """
        kept = np.setdiff1d(np.arange(self.linear.shape[1]), self.drifting)
        part = self._fitted(penalty, rows, kept, whole if start is None and self.chained else start)
        coef = whole.coef / 2.0
        coef[kept] += part.coef / 2.0
        return LinearScore((whole.intercept + part.intercept) / 2.0, coef)

    def learn(self, rows: IntArray, start: LinearScore | None = None) -> Learned:
        """Every member, fitted on some rows; `start` is the one option there is, of fewer of them."""
        booster = self.binned.fit(self.settings, "binary", rows, self.y, self.weight)
        lines = self.lines(rows) if start is None else [self.line(0, rows, start)]
        return Learned(self.base_rate(rows), lines, booster)

    def said(self, learned: Learned, rows: IntArray) -> Said:
        """What fitted members say of some rows."""
        return Said(
            np.full(len(rows), learned.base_rate),
            np.stack([expit(self.linear[rows] @ line.coef + line.intercept) for line in learned.lines]),
            np.stack([self.binned.predict(learned.booster, rows, count) for count in self.counts]),
        )

    def ask(self, fold: Fold) -> Said:
        """What models of the fold's first rows say of its other rows."""
        train, test = fold
        return self.said(self.learn(train), test)


def gathered(rows: LabelledRows, folds: Sequence[Fold]) -> Said:
    """What is said out of fold of every row."""
    said = [rows.ask(fold) for fold in folds]
    place = np.argsort(np.concatenate([test for _, test in folds]))
    base, linear, trees = (np.concatenate([getattr(one, name) for one in said], axis=-1) for name in ("base_rate", "linear", "trees"))
    return Said(base[place], linear[:, place], trees[:, place])
