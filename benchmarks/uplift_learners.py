"""The candidates that Nudge's uplift is held against: each learner of the field alone, with the settings that do best in practice.

Every learner gets one pair {action, no_action} and the same rows; what it says of other contacts is the uplift.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from estimators.encoding import Encoded
from estimators.linear import fit_ridge
from estimators.nuisance import balanced_weights, pseudo_outcomes
from estimators.trees import REGULARISED, BinnedRows, effect_settings

Array = npt.NDArray[np.float64]
Learner = Callable[["Pair", Encoded], Array]

PENALTY = 0.1
SHRUNKEN = 0.5


class Pair:
    """The rows of {action, no_action}, with cross-fitted nuisances made when first asked for."""

    def __init__(self, rows: Encoded, y: Array, w: npt.NDArray[np.bool_], weight: Array, categorical: tuple[int, ...]) -> None:
        self.rows, self.y, self.w, self.categorical = rows, y, w, categorical
        self.weight = balanced_weights(w, weight, 20.0)
        self._psi: Array | None = None

    @property
    def psi(self) -> Array:
        """Doubly robust pseudo-outcomes; nuisances are the mean of a logistic regression and LightGBM, four folds."""
        if self._psi is None:
            fold = np.random.default_rng(0).integers(0, 4, len(self.y))
            mu = np.empty((2, len(self.y)))
            for k in range(4):
                test = np.flatnonzero(fold == k)
                for arm in (0, 1):
                    train = np.flatnonzero((fold != k) & (self.w == arm))
                    linear = _logistic(self.rows.linear[train], self.y[train])(self.rows.linear[test])
                    trees = self.trees("binary", train, self.y)(self.rows.trees[test])
                    mu[arm, test] = (linear + trees) / 2
            self._psi = pseudo_outcomes(self.y, self.w, mu[1], mu[0])
        return self._psi

    def trees(self, objective: str, rows: npt.NDArray[np.int64], y: Array, matrix: Array | None = None) -> Callable[[Array], Array]:
        """LightGBM, regularised, on some rows."""
        binned = BinnedRows(self.rows.trees if matrix is None else matrix, categorical=self.categorical, n_jobs=1, random_state=0)
        booster = binned.fit(effect_settings(REGULARISED, len(rows)), objective, rows, y)
        return lambda x: np.asarray(booster.predict(x, num_threads=1), dtype=np.float64)


def constant(pair: Pair, others: Encoded) -> Array:
    """The average effect for everybody."""
    return np.full(len(others), np.average(pair.psi, weights=pair.weight))


def s_logistic(pair: Pair, others: Encoded) -> Array:
    """One logistic regression with shrunken interactions."""
    signed = pair.w - 0.5
    x = pair.rows.linear
    model = _logistic(np.hstack([x, signed[:, None], SHRUNKEN * signed[:, None] * x]), pair.y)
    half = np.full((len(others), 1), 0.5)
    on, off = (np.hstack([others.linear, s * half, SHRUNKEN * s * half * others.linear]) for s in (1.0, -1.0))
    return model(on) - model(off)


def t_logistic(pair: Pair, others: Encoded) -> Array:
    """A logistic regression for each arm."""
    on, off = (_logistic(pair.rows.linear[pair.w == arm], pair.y[pair.w == arm]) for arm in (True, False))
    return on(others.linear) - off(others.linear)


def t_trees(pair: Pair, others: Encoded) -> Array:
    """LightGBM for each arm."""
    on, off = (pair.trees("binary", np.flatnonzero(pair.w == arm), pair.y) for arm in (True, False))
    return on(others.trees) - off(others.trees)


def s_trees(pair: Pair, others: Encoded) -> Array:
    """One LightGBM with the exposure as a feature."""
    model = pair.trees("binary", np.arange(len(pair.y)), pair.y, np.column_stack([pair.rows.trees, pair.w.astype(float)]))
    on, off = (np.column_stack([others.trees, np.full(len(others), w)]) for w in (1.0, 0.0))
    return model(on) - model(off)


def dr_ridge(pair: Pair, others: Encoded) -> Array:
    """Ridge on the pseudo-outcomes."""
    return fit_ridge(pair.rows.linear, pair.psi, sample_weight=pair.weight).of(others)


def dr_trees(pair: Pair, others: Encoded) -> Array:
    """LightGBM on the pseudo-outcomes."""
    return pair.trees("regression", np.arange(len(pair.y)), pair.psi)(others.trees)


LEARNERS: dict[str, Learner] = {
    "average effect": constant,
    "S-logistic": s_logistic,
    "T-logistic": t_logistic,
    "T-LightGBM": t_trees,
    "S-LightGBM": s_trees,
    "DR-ridge": dr_ridge,
    "DR-LightGBM": dr_trees,
}


def _logistic(x: Array, y: Array) -> Callable[[Array], Array]:
    if y.min() == y.max():
        return lambda z: np.full(len(z), float(y.mean()))
    model = LogisticRegression(C=PENALTY, max_iter=200).fit(x, y)
    return lambda z: np.asarray(expit(z @ model.coef_[0] + model.intercept_[0]))
