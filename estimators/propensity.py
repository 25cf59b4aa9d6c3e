"""P(response within the window | contacted): LightGBM and a logistic regression, weighted by what they prove out of fold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.validation import check_is_fitted

from estimators.arrays import FloatArray, IntArray
from estimators.blending import best_blend
from estimators.calibration import choose_calibrator, log_losses
from estimators.encoding import Encoded
from estimators.heads import ResponseHead
from estimators.linear import fit_logistic
from estimators.trees import RESPONSE, BinnedRows, TreeSettings, response_settings, tree_score

FEWEST_EVENTS = 15
"""With fewer rows of either class every contact gets the mean."""

ITERATION_SHARES = (0.3, 0.6, 1.0)
"""Shares of the trees that are tried out of fold: few events need fewer."""


@dataclass(frozen=True, eq=False)
class _OutOfFold:
    """Out-of-fold probabilities: of the logistic regression at each penalty and of the trees at each number of iterations."""

    linear: dict[float, FloatArray]
    trees: dict[int, FloatArray]


class ResponseModel(ClassifierMixin, BaseEstimator):
    """A blend of the base rate, a logistic regression and LightGBM, calibrated only where calibration pays.

    Blend weights and the number of trees come from the out-of-fold log loss, so thin data shrinks to the mean: with fewer than 15
    rows of either class the model is the (shrunk) mean.

    Parameters
    ----------
    categorical : tuple of int
        Positions of the category columns in the tree matrix.
    settings : TreeSettings
        Scaled down where there are few events.
    C : tuple of float
        Inverse strengths of the logistic regression's penalty that are tried out of fold.
    cv : int
        Folds.
    n_jobs : int
        Threads of LightGBM.
    random_state : int

    Attributes
    ----------
    head_ : ResponseHead
        What is served.
    oof_probability_ : array, shape (n,)
        Calibrated, each row by models that have not seen it (the calibrator has, out of its few degrees of freedom).
    classes_ : array([0, 1])

    Examples
    --------
    >>> rng = np.random.default_rng(7)
    >>> x = rng.normal(size=(2000, 2))
    >>> y = (rng.random(2000) < 1 / (1 + np.exp(2 - x[:, 0]))).astype(float)
    >>> model = ResponseModel().fit(x, y, X_linear=x)
    >>> p = model.predict_proba(np.array([[-1.0, 0.0], [1.0, 0.0]]), np.array([[-1.0, 0.0], [1.0, 0.0]]))[:, 1]
    >>> bool(p[0] < p[1])
    True
    """

    def __init__(
        self,
        categorical: tuple[int, ...] = (),
        settings: TreeSettings = RESPONSE,
        C: tuple[float, ...] = (0.01, 0.1),
        cv: int = 4,
        n_jobs: int = 1,
        random_state: int = 0,
    ) -> None:
        self.categorical = categorical
        self.settings = settings
        self.C = C
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(
        self, X: FloatArray, y: FloatArray, sample_weight: FloatArray | None = None, *, X_linear: FloatArray | None = None
    ) -> ResponseModel:
        """Fit on n labelled interactions.

        Parameters
        ----------
        X : array, shape (n, d)
            The tree matrix.
        y : array, shape (n,)
            1 where the contact responded, else 0.
        sample_weight : array, shape (n,), optional
        X_linear : array, shape (n, m), optional
            The linear matrix; without it there is no logistic regression.

        Raises
        ------
        ValueError
            If there is no row, the lengths differ, or y is not 0 or 1.
        """
        y = check_labels(y, len(X))
        weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        linear = np.empty((len(y), 0)) if X_linear is None else X_linear
        self.classes_ = np.array([0, 1])
        self.n_features_in_ = X.shape[1]
        self._uses_linear = X_linear is not None
        events = int(min(y.sum(), len(y) - y.sum()))
        base_rate = float((weight @ y + 0.5) / (weight.sum() + 1.0))
        if events < FEWEST_EVENTS:
            self.head_ = ResponseHead(base_rate, (1.0, 0.0, 0.0), None, None, None, len(y), int(y.sum()))
            self.oof_probability_ = np.full(len(y), base_rate)
            return self
        self._fit_members(Encoded(X, linear), y, weight, base_rate)
        return self

    def predict_proba(self, X: FloatArray, X_linear: FloatArray | None = None) -> FloatArray:
        """P(0) and P(1) of each row, shape (n, 2)."""
        check_is_fitted(self, "head_")
        if self._uses_linear and X_linear is None:
            raise ValueError("the model was fitted with X_linear, so it must be given to predict too")
        linear = np.empty((len(X), 0)) if X_linear is None else X_linear
        p = self.head_.probability(Encoded(X, linear))
        return np.column_stack([1.0 - p, p])

    def predict(self, X: FloatArray, X_linear: FloatArray | None = None) -> IntArray:
        """1 where the response is more likely than not, shape (n,)."""
        return np.asarray(self.predict_proba(X, X_linear)[:, 1] > 0.5, dtype=np.int64)

    def _fit_members(self, rows: Encoded, y: FloatArray, weight: FloatArray, base_rate: float) -> None:
        binned = BinnedRows(rows.trees, categorical=self.categorical, n_jobs=self.n_jobs, random_state=self.random_state)
        settings = response_settings(self.settings, len(y), int(min(y.sum(), len(y) - y.sum())))
        held_out = self._out_of_fold(binned, settings, rows.linear, y, weight)
        penalty = min(held_out.linear, key=lambda C: float(weight @ log_losses(y, held_out.linear[C])))
        rounds = min(held_out.trees, key=lambda count: float(weight @ log_losses(y, held_out.trees[count])))
        members = [np.full(len(y), base_rate), held_out.linear[penalty], held_out.trees[rounds]]
        weights = best_blend(y, members, sample_weight=weight)
        blended = np.array(weights) @ np.stack(members)
        calibrator = choose_calibrator(y, blended, sample_weight=weight, random_state=self.random_state)
        everything = np.arange(len(y))
        booster = binned.fit(settings, "binary", everything, y, weight) if weights[2] > 0 else None
        self.head_ = ResponseHead(
            base_rate=base_rate,
            weights=(weights[0], weights[1], weights[2]),
            linear=fit_logistic(rows.linear, y, C=penalty, sample_weight=weight) if weights[1] > 0 else None,
            trees=None if booster is None else tree_score(booster, rounds),
            calibrator=calibrator,
            evidence=len(y),
            responses=int(y.sum()),
        )
        self.oof_probability_ = blended if calibrator is None else calibrator.apply(blended)

    def _out_of_fold(self, binned: BinnedRows, settings: TreeSettings, linear: FloatArray, y: FloatArray, weight: FloatArray) -> _OutOfFold:
        counts = sorted({max(1, round(share * settings.n_estimators)) for share in ITERATION_SHARES})
        out = _OutOfFold({C: np.empty(len(y)) for C in self.C}, {count: np.empty(len(y)) for count in counts})
        folds: Any = StratifiedKFold(self.cv, shuffle=True, random_state=self.random_state).split(linear, y)
        for train, test in folds:
            booster: lightgbm.Booster = binned.fit(settings, "binary", train, y, weight)
            for count in counts:
                out.trees[count][test] = binned.predict(booster, test, count)
            for C in self.C:
                score = fit_logistic(linear[train], y[train], C=C, sample_weight=weight[train])
                out.linear[C][test] = expit(linear[test] @ score.coef + score.intercept)
        return out


def check_labels(y: Any, rows: int) -> FloatArray:
    """The labels as float64.

    Raises
    ------
    ValueError
        If there are none, they differ from the rows in number, or one is not 0 or 1.
    """
    labels = np.asarray(y, dtype=np.float64)
    if labels.ndim != 1 or len(labels) != rows or not rows:
        raise ValueError(f"y must hold one label a row and at least one row; got shape {labels.shape} for {rows} rows")
    if not np.isin(labels, (0.0, 1.0)).all():
        raise ValueError(f"y must be 0 or 1; got {np.unique(labels)[:5].tolist()}")
    return labels
