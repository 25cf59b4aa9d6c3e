"""The probability with which the log chose each action: as it was logged, else estimated from the features, and said so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from decisioning.vocabulary import BoolArray, FloatArray
from estimators.blending import best_blend
from estimators.encoding import Encoded
from estimators.trees import class_probabilities
from training.splits import contact_share

SMALLEST, SMALLEST_OF_SHARE = 0.01, 0.1
"""Probabilities are clipped from below: no row stands for more than a hundred, or for ten average rows of a rare action."""

FOLDS = 3
WEIGHT_PARTS = 8
"""The weights of the two models are eighths."""

MOST_ROWS = 50_000
"""A fold's model is fitted on so many rows at most: more would not change a dozen probabilities."""


@dataclass(frozen=True, eq=False)
class Selection:
    """P(the log chose the row's action | what was known), and where it comes from.

    Attributes
    ----------
    prob : float array, shape (n,)
    estimated : bool array, shape (n,)
        True where the log did not keep the probability.
    clipped : bool array, shape (n,)
        True where it was smaller than the lower bound.
    """

    prob: FloatArray
    estimated: BoolArray
    clipped: BoolArray

    @property
    def clipped_share(self) -> float:
        """Share of rows at the lower bound."""
        return float(np.mean(self.clipped)) if len(self.prob) else 0.0

    @property
    def effective_share(self) -> float:
        """Kish's effective sample size of the weights 1 / prob, as a share of the rows: 1 where all were chosen alike."""
        weight = 1.0 / self.prob
        return float(weight.sum() ** 2 / (weight**2).sum() / len(weight)) if len(weight) else 1.0


def selection_probabilities(
    logged: FloatArray, action_id: npt.NDArray[np.object_], contact_id: npt.NDArray[np.object_], rows: Encoded, *, seed: int
) -> Selection:
    """The logged probabilities, with the missing ones from cross-fitted multinomial models: logistic regression and LightGBM.

    Contacts, not rows, are spread over the folds, so no model has seen the contact whom it judges. The two are weighed by their log loss on
    these rows: what a flat mean of them adds to the errors of the better one stays in averages that are weighted by 1 / prob. Clipped from
    below at 0.01, or at a tenth of the action's share of the rows where that is less.

    Parameters
    ----------
    logged : float array, shape (n,)
        NaN where the log did not keep the probability.
    action_id, contact_id : object arrays, shape (n,)
    rows : Encoded
        The features of n rows.
    seed : int

    References
    ----------
    van der Laan, Polley and Hubbard, "Super Learner", 2007.
    """
    missing = np.isnan(logged)
    prob = np.array(logged, dtype=np.float64)
    if missing.any():
        prob[missing] = _estimated(missing, action_id, contact_id, rows, seed)
    least = _lower_bounds(action_id)
    return Selection(np.clip(prob, least, 1.0), missing, prob <= least)


def _lower_bounds(action_id: npt.NDArray[np.object_]) -> FloatArray:
    """The least probability of each row: among hundreds of actions one in a thousand is nothing rare."""
    _, place, count = np.unique(action_id.astype(str), return_inverse=True, return_counts=True)
    return np.asarray(np.minimum(SMALLEST, SMALLEST_OF_SHARE * count / max(len(place), 1))[place])


def _estimated(
    missing: BoolArray, action_id: npt.NDArray[np.object_], contact_id: npt.NDArray[np.object_], rows: Encoded, seed: int
) -> FloatArray:
    """Of the missing rows alone."""
    action = _asked(action_id.astype(str), missing)
    if action.min() == action.max():
        return np.ones(int(missing.sum()))
    members = np.ones((2, len(action)))
    fold = (contact_share(contact_id, salt=f"{seed}:selection") * FOLDS).astype(np.int64)
    rng = np.random.default_rng([seed, 0x5E1EC7])
    for k in range(FOLDS):
        others, here = np.flatnonzero(fold != k), np.flatnonzero((fold == k) & missing)
        if len(here) == 0:
            continue
        chosen = rng.permutation(others if len(others) else np.flatnonzero(fold == k))[:MOST_ROWS]
        members[:, here] = _fold(action, rows, chosen, here)
    linear, trees = members[:, missing]
    everybody = np.ones(len(linear))
    weights = best_blend(everybody, [linear, trees], sample_weight=everybody, parts=WEIGHT_PARTS)
    return np.asarray(weights[0] * linear + weights[1] * trees)


def _asked(action_id: npt.NDArray[np.str_], missing: BoolArray) -> npt.NDArray[np.int64]:
    """The actions as numbers, those that no missing row has as one: how these were chosen among each other is not asked."""
    asked = np.unique(action_id[missing])
    place = np.minimum(np.searchsorted(asked, action_id), len(asked) - 1)
    return np.where(asked[place] == action_id, place, len(asked))


def _fold(action: npt.NDArray[np.int64], rows: Encoded, train: npt.NDArray[np.int64], test: npt.NDArray[np.int64]) -> FloatArray:
    """By a multinomial logistic regression and by LightGBM, shape (2, m): whom a policy chose seldom follows a straight line."""
    seen = np.unique(action[train])
    if len(seen) == 1:
        return np.tile((action[test] == seen[0]).astype(np.float64), (2, 1))
    code = np.searchsorted(seen, action[train])
    linear = LogisticRegression(C=0.1, max_iter=200, tol=1e-3).fit(rows.linear[train], code).predict_proba(rows.linear[test])
    members = np.stack([linear, class_probabilities(rows.trees, train, code, test)])
    column = np.searchsorted(seen, action[test])
    known = (column < len(seen)) & (seen[np.minimum(column, len(seen) - 1)] == action[test])
    return np.where(known, members[:, np.arange(len(test)), np.minimum(column, len(seen) - 1)], 0.0)
