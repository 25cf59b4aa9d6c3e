"""What happens with and without the contact, predicted for each row by models that have not seen it, and what follows for its effect."""

from __future__ import annotations

from typing import NamedTuple

import lightgbm
import numpy as np
from scipy.special import expit

from estimators.arrays import AnyFloats, AnyInts, BoolArray, FloatArray
from estimators.calibration import log_losses
from estimators.scores import COMPILED_FROM
from estimators.trees import BinnedRows, TreeSettings, nuisance_settings, tree_score

FEWEST_EVENTS = 20
"""With fewer rows of either outcome in an arm LightGBM learns nothing about it."""


class Arm(NamedTuple):
    """One arm: its rows whose y is known, y of all rows, a model's out-of-fold expectation of all rows, and what each row stands for.

    Without a `weight` all rows count alike.
    """

    rows: AnyInts
    y: FloatArray
    modelled: AnyFloats
    weight: FloatArray | None = None

    def loss(self, rows: AnyInts, p: AnyFloats) -> float:
        """The mean log loss of p on some rows."""
        losses = log_losses(self.y[rows], p[rows].astype(np.float64))
        return float(losses.mean() if self.weight is None else np.average(losses, weights=self.weight[rows]))


def with_trees(binned: BinnedRows, settings: TreeSettings, arm: Arm, folds: AnyInts, needed: BoolArray) -> AnyFloats:
    """P(y = 1) in one arm, shape (n,): the mean of a model's out-of-fold expectation and LightGBM's on the rows that are needed.

    The model alone where the arm has too few events, or where the mean proves no better on the first fold.

    Parameters
    ----------
    binned : BinnedRows
        Of n rows.
    settings : TreeSettings
    arm : Arm
    folds : array of int, shape (n,)
    needed : array of bool, shape (n,)
        The arm's own rows among them.
    """
    rows, y, modelled, weight = arm
    modelled = modelled.astype(np.float64)
    out = modelled.copy()
    for fold in range(int(folds.max()) + 1):
        train, test = rows[folds[rows] != fold], np.flatnonzero((folds == fold) & needed)
        events = float(y[train].sum())
        if min(events, len(train) - events) < FEWEST_EVENTS:
            return modelled
        if not len(test):
            continue
        booster = binned.fit(nuisance_settings(settings, len(train)), "binary", train, y, weight)
        out[test] = (modelled[test] + _probability(binned, booster, test)) / 2.0
        seen = rows[folds[rows] == fold]
        if fold == 0 and len(seen) and arm.loss(seen, out) >= arm.loss(seen, modelled):
            return modelled
    return out


def _probability(binned: BinnedRows, booster: lightgbm.Booster, rows: AnyInts) -> FloatArray:
    if len(rows) < COMPILED_FROM:
        return binned.predict(booster, rows)
    return np.asarray(expit(tree_score(booster).raw(binned.matrix, rows)), dtype=np.float64)


def pseudo_outcomes(y: FloatArray, exposed: BoolArray, mu1: AnyFloats, mu0: AnyFloats) -> FloatArray:
    """psi = mu_1 - mu_0 + (w - 1/2) / (1/4) * (y - mu_w), whose weighted mean given x is the uplift if either mu or the weights are right.

    The weights balance the arms, so the assignment probability of the weighted pair is 1/2.

    Parameters
    ----------
    y : array, shape (n,)
    exposed : array of bool, shape (n,)
    mu1, mu0 : arrays, shape (n,)
        Out-of-fold expectations of y with and without the contact.

    References
    ----------
    Kennedy, "Towards Optimal Doubly Robust Estimation of Heterogeneous Causal Effects", 2020.
    """
    return mu1 - mu0 + np.where(exposed, 2.0, -2.0) * (y - np.where(exposed, mu1, mu0))


def balanced_weights(exposed: BoolArray, assignment_weight: FloatArray, max_ratio: float) -> FloatArray:
    """Hajek weights: capped at max_ratio times the arm's mean after capping, then scaled to n / 2 in each arm.

    Parameters
    ----------
    exposed : array of bool, shape (n,)
    assignment_weight : array, shape (n,)
        1 / selection_prob of the arm that was chosen.
    max_ratio : float
        A few tiny probabilities may not carry the whole estimate.
    """
    weight = np.empty(len(exposed))
    for arm in (exposed, ~exposed):
        capped = _capped(assignment_weight[arm], max_ratio)
        weight[arm] = capped * (len(exposed) / 2 / capped.sum())
    return weight


def _capped(raw: FloatArray, max_ratio: float) -> FloatArray:
    # The cap lowers the mean and so the cap itself: repeated until it holds, or until the arm is too small for it.
    capped = raw
    for _ in range(100):
        cap = max_ratio * float(capped.mean())
        if capped.max() <= cap * (1 + 1e-9):
            break
        capped = np.minimum(raw, cap)
    return capped
