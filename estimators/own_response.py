"""P(response within the window | contacted) by a user's own classifier: cross-fitted, blended with the base rate and calibrated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from estimators.arrays import FloatArray, IntArray
from estimators.blending import sure_blend
from estimators.calibration import Calibrator, choose_calibrator
from estimators.folds import Fold, forward_folds, shuffled_folds
from estimators.heads import ResponseHead
from estimators.lasting import calibrator_in_time, recent_shift
from estimators.own_score import OwnScore, probability_of
from estimators.propensity import FEWEST_EVENTS, forward_share
from estimators.validation import check_labels, check_weights


class OwnResponseModel:
    """What `ResponseModel` does for its own members, for one classifier that a user brings.

    Weights between the base rate and the classifier come from the out-of-fold log loss; where rows have times, the level is shifted and the
    shape calibrated only as forward-chained folds prove it; with fewer than 15 rows of either class everybody gets the mean.

    Parameters
    ----------
    estimator : classifier
        scikit-learn's verbs `fit`, `predict_proba` and `get_params`; it is cloned, never fitted itself.
    cv : int
        Folds, shuffled and forward.
    gap : float
        How long after its time the label of a row is known, in the unit of `time`.
    random_state : int
        Of the folds.

    Attributes
    ----------
    head_ : ResponseHead
        What is served.
    oof_probability_, oof_weight_ : arrays, shape (n,)
        Each row by classifiers that have not seen it, and how many rows it stands for.
    """

    def __init__(self, estimator: Any, *, cv: int = 4, gap: float = 0.0, random_state: int = 0) -> None:
        self.estimator = estimator
        self.cv = cv
        self.gap = gap
        self.random_state = random_state

    def fit(
        self, X: FloatArray, y: FloatArray, sample_weight: FloatArray | None = None, *, time: FloatArray | None = None, groups: Any = None
    ) -> OwnResponseModel:
        """Fit on n labelled interactions.

        Parameters
        ----------
        X : array, shape (n, m)
            The matrix of the linear models.
        y : array, shape (n,)
            1 where the contact responded, else 0.
        sample_weight : array, shape (n,), optional
            Handed to the classifier where its `fit` takes it; it counts in blend and calibration in any case.
        time, groups
            As in `ResponseModel.fit`.

        Raises
        ------
        ValueError
            The labels or weights are wrong, or the classifier does not answer with probabilities.
        """
        y, weight = check_labels(y, len(X)), check_weights(sample_weight, len(X))
        base = float((weight @ y + 0.5) / (weight.sum() + 1.0))
        if min(y.sum(), len(y) - y.sum()) < FEWEST_EVENTS or X.shape[1] == 0:
            self.head_ = ResponseHead(base, (1.0, 0.0, 0.0), None, None, None, len(y), int(y.sum()))
            self.oof_probability_, self.oof_weight_ = np.full(len(y), base), weight
            return self
        folds = shuffled_folds(y, cv=self.cv, random_state=self.random_state, groups=groups)
        members = np.empty((2, len(y)))
        for train, test in folds:
            members[:, test] = self._ask(X, y, weight, (train, test))
        weights = sure_blend(y, list(members), sample_weight=weight)
        blended = np.asarray(weights) @ members
        shift, calibrator, forward = self._in_time(X, y, weight, time, weights)
        if not forward:
            calibrator = choose_calibrator(y, blended, sample_weight=weight, random_state=self.random_state)
        whole = OwnScore(self._fitted(X, y, weight, np.arange(len(y)))) if weights[1] > 0 else None
        self.head_ = ResponseHead(base, (weights[0], weights[1], 0.0), whole, None, calibrator, len(y), int(y.sum()), shift)
        self.oof_probability_ = blended if calibrator is None or forward else calibrator.apply(blended)
        self.oof_weight_ = weight
        return self

    def _in_time(
        self, X: FloatArray, y: FloatArray, weight: FloatArray, time: FloatArray | None, weights: Sequence[float]
    ) -> tuple[float, Calibrator | None, list[Fold]]:
        """The shift and the calibrator that later parts prove; no folds where there is too little time."""
        if time is None or not np.isfinite(time).all():
            return 0.0, None, []
        events = int(min(y.sum(), len(y) - y.sum()))
        forward = forward_folds(np.asarray(time, dtype=np.float64), y, cv=self.cv, share=forward_share(events), gap=self.gap)
        if not forward:
            return 0.0, None, []
        truth = [(y[test], weight[test]) for _, test in forward]
        ahead = [np.asarray(weights) @ self._ask(X, y, weight, fold) for fold in forward]
        return recent_shift(truth, ahead), calibrator_in_time(truth, ahead), forward

    def _ask(self, X: FloatArray, y: FloatArray, weight: FloatArray, fold: Fold) -> FloatArray:
        """What the base rate and the classifier of the fold's first rows say of its others, shape (2, m)."""
        train, test = fold
        base = (weight[train] @ y[train] + 0.5) / (weight[train].sum() + 1.0)
        return np.stack([np.full(len(test), base), probability_of(self._fitted(X, y, weight, train), X[test])])

    def _fitted(self, X: FloatArray, y: FloatArray, weight: FloatArray, rows: IntArray) -> Any:
        made = clone(self.estimator)
        if has_fit_parameter(made, "sample_weight"):
            return made.fit(X[rows], y[rows].astype(np.int64), sample_weight=weight[rows])
        return made.fit(X[rows], y[rows].astype(np.int64))
