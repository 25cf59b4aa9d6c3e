"""Money of a response, given that there is one: the second part of a two-part model."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import PoissonRegressor
from sklearn.model_selection import KFold
from sklearn.utils.validation import check_is_fitted

from estimators.arrays import FloatArray
from estimators.encoding import Encoded
from estimators.heads import ValueHead
from estimators.scores import LinearScore

FOLDS = 5
"""Of the comparison between the regression and the mean."""


class ValueModel(RegressorMixin, BaseEstimator):
    """The mean money, or a log-linear model of it where there are many responses and it proves better out of fold.

    Money has heavy tails, so it is winsorised first; a few responses are shrunk towards `prior_mean` as if `prior_responses` responses of
    that mean had been seen too. The log-linear model is a quasi-Poisson regression: right in the mean whatever the spread.

    Parameters
    ----------
    prior_mean : float, optional
        Money; the mean over all actions. Without it nothing is shrunk.
    prior_responses : float
    quantile : float
        Money above this quantile counts as the quantile (and below its mirror image, where money can be negative).
    fewest_for_model : int
        With fewer responses there is no regression.
    alpha : float
        Penalty of the regression, per row.
    random_state : int

    Attributes
    ----------
    head_ : ValueHead
        What is served.

    Examples
    --------
    >>> model = ValueModel(prior_mean=50.0, prior_responses=10.0).fit(np.empty((30, 0)), np.full(30, 100.0))
    >>> model.head_.mean
    87.5
    """

    def __init__(
        self,
        prior_mean: float | None = None,
        prior_responses: float = 20.0,
        quantile: float = 0.99,
        fewest_for_model: int = 500,
        alpha: float = 0.03,
        random_state: int = 0,
    ) -> None:
        self.prior_mean = prior_mean
        self.prior_responses = prior_responses
        self.quantile = quantile
        self.fewest_for_model = fewest_for_model
        self.alpha = alpha
        self.random_state = random_state

    def fit(self, X: FloatArray, y: FloatArray) -> ValueModel:
        """Fit on the responses that brought money.

        Parameters
        ----------
        X : array, shape (n, m)
            The linear matrix.
        y : array, shape (n,)
            Money; rows that are not finite are left out.

        Raises
        ------
        ValueError
            If no row is left and there is no prior mean.
        """
        known = np.isfinite(y)
        X, money = X[known], np.asarray(y, dtype=np.float64)[known]
        prior = self.prior_mean
        if not len(money) and prior is None:
            raise ValueError("no response brought money, so its mean is not known. Hint: give prior_mean")
        kept = winsorised(money, self.quantile) if len(money) else money
        weight = 0.0 if prior is None else self.prior_responses
        mean = float((kept.sum() + weight * (prior or 0.0)) / (len(kept) + weight))
        low, high = (float(kept.min()), float(kept.max())) if len(kept) else (mean, mean)
        self.head_ = ValueHead(mean, self._score(X, kept), min(low, mean), max(high, mean), len(kept))
        return self

    def predict(self, X: FloatArray) -> FloatArray:
        """Expected money of a response, shape (n,)."""
        check_is_fitted(self, "head_")
        return self.head_.money(Encoded(np.empty((len(X), 0)), X))

    def _score(self, X: FloatArray, money: FloatArray) -> LinearScore | None:
        if len(money) < self.fewest_for_model or X.shape[1] == 0 or money.min() < 0 or money.mean() <= 0:
            return None
        gains = np.empty(len(money))
        folds: Any = KFold(FOLDS, shuffle=True, random_state=self.random_state).split(X)
        for train, test in folds:
            level = float(money[train].mean())
            predicted = level * np.exp(self._regress(X[train], money[train] / level).of(Encoded(X[test], X[test])))
            gains[test] = (money[test] - level) ** 2 - (money[test] - predicted) ** 2
        pays = gains.mean() > gains.std(ddof=1) / np.sqrt(len(gains))
        return self._regress(X, money / money.mean()) if pays else None

    def _regress(self, X: FloatArray, ratio: FloatArray) -> LinearScore:
        model = PoissonRegressor(alpha=self.alpha, max_iter=300).fit(X, ratio)
        return LinearScore(float(model.intercept_), np.asarray(model.coef_, dtype=np.float64))


def winsorised(money: FloatArray, quantile: float) -> FloatArray:
    """Money with what lies above the quantile, and below the mirrored quantile where there are negative amounts, set to it.

    Examples
    --------
    >>> winsorised(np.array([1.0, 2.0, 3.0, 1000.0]), 0.75)
    array([1., 2., 3., 3.])
    """
    low = float(np.quantile(money, 1.0 - quantile, method="lower")) if money.min() < 0 else float(money.min())
    return np.clip(money, low, float(np.quantile(money, quantile, method="lower")))
