"""Money of a response, given that there is one: the second part of a two-part model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import xlogy
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import PoissonRegressor
from sklearn.model_selection import KFold
from sklearn.utils.validation import check_is_fitted

from estimators.arrays import FloatArray
from estimators.calibration import t_statistic
from estimators.encoding import Encoded
from estimators.heads import ValueHead
from estimators.scores import LinearScore
from estimators.validation import checked_rows, checked_training, tags_of

FOLDS = 5
"""Of the comparison between the regression and the mean."""

QUANTILES = (1.0, 0.999, 0.995, 0.99, 0.98, 0.95)
"""Money may be winsorised at these; 1 leaves it as it is."""

HALVES = 40
"""Random halves by which the quantile is chosen."""

PENALTIES = (0.01, 0.1, 1.0)
"""Of the regression, per row."""


class ValueModel(RegressorMixin, BaseEstimator):
    """The mean money, or a log-linear model of it where there are many responses and it proves better out of fold.

    Money has heavy tails, so it is winsorised at the quantile whose mean on one half of the responses predicts the plain mean of the other
    half best. A few responses are shrunk towards `prior_mean` as if `prior_responses` responses of that mean had been seen too. The
    log-linear model is a quasi-Poisson regression of what was paid: right in the mean whatever the spread, zeros included. What was paid
    back (negative money) is taken off as one mean.

    Parameters
    ----------
    prior_mean : float, optional
        Money; the mean over all actions. Without it nothing is shrunk.
    prior_responses : float
    quantile : float, optional
        Money above this quantile counts as the quantile (and below its mirror image, where money can be negative). Default: chosen.
    fewest_for_model : int
        With fewer responses there is no regression.
    random_state : int

    Attributes
    ----------
    head_ : ValueHead
        What is served.
    quantile_ : float
        The quantile used.

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
        quantile: float | None = None,
        fewest_for_model: int = 300,
        random_state: int = 0,
    ) -> None:
        self.prior_mean = prior_mean
        self.prior_responses = prior_responses
        self.quantile = quantile
        self.fewest_for_model = fewest_for_model
        self.random_state = random_state

    def fit(self, X: FloatArray, y: FloatArray, sample_weight: FloatArray | None = None) -> ValueModel:
        """Fit on the responses that brought money.

        Parameters
        ----------
        X : array, shape (n, m)
            The linear matrix.
        y : array, shape (n,)
            Money; rows that are not finite are left out.
        sample_weight : array, shape (n,), optional

        Raises
        ------
        ValueError
            If no row is left and there is no prior mean, or a weight is not above 0 and finite.
        """
        data = checked_training(self, X, y, sample_weight, numeric=True, fewest=0 if self.prior_mean is not None else 1)
        known = np.isfinite(data.y)
        X, money, weight = data.X[known], data.y[known], data.weight[known]
        prior = self.prior_mean
        if not len(money) and prior is None:
            raise ValueError("no response brought money, so its mean is not known. Hint: give prior_mean")
        self.quantile_ = best_quantile(money, random_state=self.random_state) if self.quantile is None else self.quantile
        kept = winsorised(money, self.quantile_) if len(money) else money
        prior_weight = 0.0 if prior is None else self.prior_responses
        mean = float((weight @ kept + prior_weight * (prior or 0.0)) / (weight.sum() + prior_weight))
        low, high = (float(kept.min()), float(kept.max())) if len(kept) else (mean, mean)
        score = self._score(X, kept, weight)
        back = float(np.average(np.minimum(kept, 0.0), weights=weight)) if score is not None else 0.0
        self.head_ = ValueHead(mean, score, min(low, mean), max(high, mean), len(kept), back)
        return self

    def predict(self, X: FloatArray) -> FloatArray:
        """Expected money of a response, shape (n,)."""
        check_is_fitted(self, "head_")
        X = checked_rows(self, X)
        return self.head_.money(Encoded(np.empty((len(X), 0)), X))

    def __sklearn_tags__(self) -> Any:
        tags = tags_of(super().__sklearn_tags__(), poor_score=True)
        tags.input_tags.allow_nan = False  # the linear matrix has no NULL
        return tags

    def _score(self, X: FloatArray, money: FloatArray, weight: FloatArray) -> LinearScore | None:
        """The regression of what was paid, where it beats the mean by more than a standard error of the Poisson deviance."""
        paid = np.maximum(money, 0.0)
        if len(paid) < self.fewest_for_model or X.shape[1] == 0 or paid.mean() <= 0:
            return None
        unit = float(np.average(paid, weights=weight))
        folds: Any = list(KFold(FOLDS, shuffle=True, random_state=self.random_state).split(X))
        plain = _deviances(
            paid / unit, folds, lambda train, test: np.full(len(test), np.average(paid[train] / unit, weights=weight[train]))
        )
        gains = {}
        for penalty in PENALTIES:

            def predicted(train: Any, test: Any, penalty: float = penalty) -> FloatArray:
                score = _regression(X[train], paid[train] / unit, weight[train], penalty)
                return np.exp(score.of(Encoded(X[test], X[test])))

            gains[penalty] = weight * (plain - _deviances(paid / unit, folds, predicted))
        best = max(gains, key=lambda penalty: float(gains[penalty].mean()))
        return _regression(X, paid / unit, weight, best) if t_statistic(gains[best]) > 1.0 else None


def _regression(X: FloatArray, ratio: FloatArray, weight: FloatArray, penalty: float) -> LinearScore:
    model = PoissonRegressor(alpha=penalty, max_iter=300).fit(X, ratio, sample_weight=weight)
    return LinearScore(float(model.intercept_), np.asarray(model.coef_, dtype=np.float64))


def _deviances(ratio: FloatArray, folds: Sequence[Any], predict: Any) -> FloatArray:
    """Half the Poisson deviance of each row, less what no prediction changes."""
    out = np.empty(len(ratio))
    for train, test in folds:
        said = np.maximum(predict(train, test), 1e-9)
        out[test] = said - xlogy(ratio[test], said)
    return out


def best_quantile(money: FloatArray, *, random_state: int) -> float:
    """The quantile of `QUANTILES` whose winsorised mean of one half of the money is closest to the plain mean of the other half.

    On average over random halves that is the quantile with the smallest mean squared error of the mean: bias against variance.

    Examples
    --------
    >>> best_quantile(np.array([50.0] * 499 + [1e6]), random_state=0) < 1.0
    True
    """
    if len(money) < 2 or np.ptp(money) == 0:
        return 1.0
    rng = np.random.default_rng(random_state)
    errors = np.zeros(len(QUANTILES))
    for _ in range(HALVES):
        order = rng.permutation(len(money))
        halves = money[order[: len(order) // 2]], money[order[len(order) // 2 :]]
        for one, other in (halves, halves[::-1]):
            plain = float(other.mean())
            errors += [(float(np.clip(one, low, high).mean()) - plain) ** 2 for low, high in _bounds(one, QUANTILES)]
    return QUANTILES[int(np.argmin(errors))]


def winsorised(money: FloatArray, quantile: float) -> FloatArray:
    """Money with what lies above the quantile, and below the mirrored quantile where there are negative amounts, set to it.

    Examples
    --------
    >>> winsorised(np.array([1.0, 2.0, 3.0, 1000.0]), 0.75)
    array([1., 2., 3., 3.])
    """
    return np.clip(money, *_bounds(money, [quantile])[0])


def _bounds(money: FloatArray, quantiles: Sequence[float]) -> list[tuple[float, float]]:
    """What money is set to beyond each of the quantiles, below and above; the values are put in order once for all of them."""
    least = float(money.min())
    lows = np.quantile(money, 1.0 - np.asarray(quantiles), method="lower").tolist() if least < 0 else [least] * len(quantiles)
    return list(zip(lows, np.quantile(money, quantiles, method="lower").tolist(), strict=True))
