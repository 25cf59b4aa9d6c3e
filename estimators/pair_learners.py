"""What tells the contacts of one pair {action, no_action} apart: ridge and LightGBM on its pseudo-outcomes, beside the effect model.

A regressor of the user's own may take LightGBM's place.

A member is judged on rows that it has not seen: with few rows by cross-fitting, and fitted again on all of them to be served; with many
it is fitted once, on all rows but some that are held out, which are enough to weigh it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from estimators.arrays import AnyFloats, AnyInts, BoolArray, FloatArray, rows_where
from estimators.encoding import Rows, blocks_of
from estimators.linear import fit_ridge_at
from estimators.own_score import OwnEffect
from estimators.scores import COMPILED_FROM, Score, TreeScore
from estimators.stacking import Stack, fit_stack, weighted_average
from estimators.trees import MANY_EFFECTS, BinnedRows, TreeSettings, effect_settings, tree_score
from estimators.uplift_head import EFFECTS

RIDGE, TREES = "ridge", "trees"
MEMBERS = (EFFECTS, RIDGE, TREES)

MOST_RIDGE_ROWS = 50_000
"""Of many rows ridge needs no more: it has one coefficient a column."""

MOST_CENTRED = 100_000
"""Of more rows about so many, evenly spaced, say what a member's mean is: it only centres what tells contacts apart."""


@dataclass(frozen=True, eq=False)
class Pair:
    """The p rows of an action and of no_action.

    Attributes
    ----------
    at : array of int, shape (p,)
        Where they are among all n, in order.
    psi, weight : arrays, shape (p,)
    rows : Encoded or EncodedLater
        All n.
    binned : BinnedRows
        All n.
    settings : TreeSettings
    own : regressor, optional
        In the place of LightGBM.
    """

    at: AnyInts
    psi: AnyFloats
    weight: AnyFloats
    rows: Rows
    binned: BinnedRows
    settings: TreeSettings
    own: Any | None = None

    def fit(self, name: str, train: AnyInts) -> Score:
        """A member by its name, of some of the p rows."""
        if name == RIDGE:
            some = train if len(train) <= MANY_EFFECTS else train[:: -(-len(train) // MOST_RIDGE_ROWS)]
            psi, weight = self.psi[some].astype(np.float64), self.weight[some].astype(np.float64)
            return fit_ridge_at(self.rows, self.at[some], psi, sample_weight=weight)
        if self.own is not None:
            psi, weight = self.psi[train].astype(np.float64), self.weight[train].astype(np.float64)
            return OwnEffect.fitted(self.own, self.rows.linear_of(self.at[train]), psi, weight)
        settings = effect_settings(self.settings, len(train))
        return tree_score(self.binned.fit(settings, "regression", self.at[train], self._of_all(self.psi), self._of_all(self.weight)))

    def _of_all(self, values: AnyFloats) -> AnyFloats:
        """Values of the p rows as LightGBM reads them, shape (n,): 0 elsewhere."""
        if len(values) == len(self.rows):
            return values.astype(np.float32, copy=False)
        spread = np.zeros(len(self.rows), dtype=np.float32)
        spread[self.at] = values
        return spread

    def fitted(self, name: str) -> tuple[Score, float]:
        """A member of all p rows, and its mean over them."""
        score = self.fit(name, np.arange(len(self.at)))
        some = slice(None, None, max(1, -(-len(self.at) // MOST_CENTRED)))
        weight = self.weight[some]
        return score, float(weight @ _of(score, self.rows, self.at[some]) / weight.sum())


@dataclass(frozen=True, eq=False)
class Weighed:
    """The members of a pair, weighed.

    Attributes
    ----------
    stack : Stack
        Its weights are those of `MEMBERS`.
    tau : array, shape (n,)
        By models that have not seen the row; NaN where it was not asked for. Of shape (0,) where the weights were known before.
    differences : float
        The standard deviation of tau over the pair.
    fitted : mapping of str to (Score, float)
        Members that are served as they are, with their means over the pair; the others are fitted again on all rows.
    """

    stack: Stack
    tau: FloatArray
    differences: float
    fitted: Mapping[str, tuple[Score, float]] = field(default_factory=dict)


def cross_fitted(pair: Pair, modelled: AnyFloats, folds: AnyInts, needed: BoolArray, known: Stack | None) -> Weighed:
    """Members out of fold on the rows that are needed, and the stack of them.

    Parameters
    ----------
    pair : Pair
    modelled : array, shape (n,)
        The effect model's uplift, out of fold.
    folds : array of int, shape (n,)
    needed : array of bool, shape (n,)
        The pair's rows among them.
    known : Stack or None
        The stack, where events are too few for learners.
    """
    members = np.full((len(folds), len(MEMBERS)), np.nan)
    members[needed] = 0.0
    members[:, 0] = modelled
    for fold in range(int(folds.max()) + 1 if known is None else 0):
        train, test = np.flatnonzero(folds[pair.at] != fold), np.flatnonzero((folds == fold) & needed)
        if not len(train) or not len(test):
            continue  # a handful of contacts leaves folds empty: there the learners say nothing
        for name in (RIDGE, TREES):
            members[test, MEMBERS.index(name)] = _of(pair.fit(name, train), pair.rows, test)
    stack = known or fit_stack(pair.psi, members[pair.at], pair.weight)
    tau = stack.average + (members - pair.weight @ members[pair.at] / pair.weight.sum()) @ stack.weights
    return Weighed(stack, tau, _deviation(tau[pair.at], pair.weight))


def held_out(pair: Pair, modelled: AnyFloats, held: BoolArray) -> Weighed:
    """Members of the rows that are not held out, weighed on those that are; the average effect is that of all rows.

    Parameters
    ----------
    pair : Pair
    modelled : array, shape (held,)
        The effect model's uplift of the rows held out, out of fold.
    held : array of bool, shape (n,)
        Some of the pair's rows among them; all rows of a contact, or none.
    """
    shown, inside = np.flatnonzero(held), held[pair.at]
    train, weight = rows_where(~inside), pair.weight[inside]
    own = np.searchsorted(shown, pair.at[inside])
    scores = {name: pair.fit(name, train) for name in (RIDGE, TREES)}
    members = np.column_stack([modelled, *(_of(score, pair.rows, shown) for score in scores.values())])
    average, error = weighted_average(pair.psi, pair.weight)
    stack = fit_stack(pair.psi[inside], members[own], weight).around(average, error)
    means = weight @ members[own] / weight.sum()
    tau = np.full(len(held), np.nan)
    tau[shown] = stack.average + (members - means) @ stack.weights
    fitted = {name: (score, float(means[MEMBERS.index(name)])) for name, score in scores.items()}
    return Weighed(stack, tau, _deviation(tau[pair.at[inside]], weight), fitted)


def _of(score: Score, rows: Rows, at: AnyInts) -> FloatArray:
    if isinstance(score, TreeScore) and len(at) >= COMPILED_FROM:
        return score.raw(rows.trees, at)
    return np.concatenate([score.of(rows.take(at[block])) for block in blocks_of(len(at))])


def _deviation(values: FloatArray, weight: AnyFloats) -> float:
    share = weight / weight.sum()
    return float(np.sqrt(share @ (values - share @ values) ** 2))
