"""Learning a points card: monotone bins, a non-negative logistic regression on their weights of evidence, and whole points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.validation import check_is_fitted

from estimators.arrays import FloatArray, IntArray
from estimators.calibration import PlattCalibrator, log_losses
from estimators.encoding import Encoded
from estimators.lead_bins import Bins, category_bins, number_bins
from estimators.lead_card import CardFeature, PointsCard
from estimators.propensity import FEWEST_EVENTS
from estimators.validation import checked_rows, checked_training, names_of, tags_of, zero_one

PENALTIES = (0.0003, 0.001, 0.003, 0.01, 0.03)
"""Tried out of fold, per lead: each unit of a coefficient costs so many nats."""

MOST_TO_CHOOSE_ON = 50_000
"""Leads on which the penalty is chosen; all of them count in the card."""


class PointsCardModel(ClassifierMixin, BaseEstimator):
    """A scorecard: at most `max_features` features, each with a few monotone lines of whole points from 0 to `max_points`.

    1. Bins (`lead_bins.py`). NULL has a line of its own where there are enough such leads, and is neutral otherwise.
    2. Logistic regression on the weights of evidence with coefficients >= 0 (so that monotone bins stay monotone) and a lasso penalty:
       the strongest penalty within one standard error of the best out of fold.
    3. Points: each coefficient x weight of evidence on a common scale, rounded; the scale whose rounded card has the lowest log loss.
    4. P(won) for each sum by a logistic regression on the points alone.

    Parameters
    ----------
    names : sequence of str
        Of the columns; x0, x1 and so on without them.
    categories : mapping of int to sequence of str, optional
        Columns that are codes (`FeatureEncoder`: level i, then "other", then NULL), with the levels' names.
    directions : mapping of int to int, optional
        Columns in which P(won) may only rise (1) or fall (-1); the others get the direction that fits better.
    max_features, max_bins, max_points : int
    min_leads : float
        Leads a line, at least; also at least 1 % of all.
    cv : int
        Folds.
    random_state : int

    Attributes
    ----------
    card_ : PointsCard
        What is served.

    References
    ----------
    Siddiqi, "Credit Risk Scorecards", 2006. Ustun and Rudin, "Learning Optimized Risk Scores", 2019: why the rounding has to be chosen.
    """

    def __init__(  # noqa: PLR0913 - what a card looks like is the reader's choice
        self,
        names: Sequence[str] = (),
        categories: Mapping[int, Sequence[str]] | None = None,
        directions: Mapping[int, int] | None = None,
        max_features: int = 10,
        max_bins: int = 5,
        max_points: int = 10,
        min_leads: float = 20.0,
        cv: int = 5,
        random_state: int = 0,
    ) -> None:
        self.names = names
        self.categories = categories
        self.directions = directions
        self.max_features = max_features
        self.max_bins = max_bins
        self.max_points = max_points
        self.min_leads = min_leads
        self.cv = cv
        self.random_state = random_state

    def fit(self, X: FloatArray, y: Any, sample_weight: FloatArray | None = None) -> PointsCardModel:
        """Fit on n leads that were won or lost.

        Parameters
        ----------
        X : array, shape (n, d)
            The tree matrix: NaN for NULL, codes for categories.
        y : array, shape (n,)
            1 where won, else 0.
        sample_weight : array, shape (n,), optional

        Raises
        ------
        ValueError
            If there is no lead, the lengths differ, y is not 0 or 1, or a weight is not above 0 and finite.
        """
        data = checked_training(self, X, y, sample_weight, numeric=False)
        X, weight = data.X, data.weight
        y, self.classes_ = zero_one(data.y)
        bins = self._bins(X, y, weight) if min(y.sum(), len(y) - y.sum()) >= FEWEST_EVENTS else {}
        woe = np.column_stack([_woe_of(X[:, j], found) for j, found in bins.items()]) if bins else np.empty((len(y), 0))
        coef, penalty = np.empty(0), 0.0
        if bins:
            penalty = self._penalty(woe, y, weight)
            coef = _non_negative(woe, y, weight, penalty)[:-1]
            coef = self._fewer(woe, y, weight, coef, penalty)
        self.penalty_, self.coef_ = penalty, dict(zip(bins, coef.tolist(), strict=True))
        self.card_ = self._card(X, y, weight, bins, coef)
        return self

    def predict_proba(self, X: FloatArray) -> FloatArray:
        """P(lost) and P(won) of each lead, shape (n, 2)."""
        check_is_fitted(self, "card_")
        p = self.card_.probability(_encoded(checked_rows(self, X)))
        return np.column_stack([1.0 - p, p])

    def predict(self, X: FloatArray) -> npt.NDArray[Any]:
        """1 (the second of `classes_`) where winning is more likely than not, shape (n,)."""
        second = self.predict_proba(X)[:, 1] > 0.5
        return np.asarray(self.classes_[second.astype(np.int64)])

    def __sklearn_tags__(self) -> Any:
        return tags_of(super().__sklearn_tags__())

    def points(self, X: FloatArray) -> IntArray:
        """The sum of each lead's points, shape (n,)."""
        check_is_fitted(self, "card_")
        return self.card_.points(_encoded(checked_rows(self, X)))

    def _bins(self, X: FloatArray, y: FloatArray, weight: FloatArray) -> dict[int, Bins]:
        least = max(self.min_leads, 0.01 * len(y))
        found, directions = {}, self.directions or {}
        for j in range(X.shape[1]):
            if j in (self.categories or {}):
                missing = len((self.categories or {})[j]) + 1
                bins = category_bins(X[:, j], missing, y, weight, max_bins=self.max_bins, min_leads=least)
            else:
                direction = int(directions.get(j, 0))
                bins = number_bins(X[:, j], y, weight, direction=direction, max_bins=self.max_bins, min_leads=least)
            if bins.tells:
                found[j] = bins
        return found

    def _penalty(self, woe: FloatArray, y: FloatArray, weight: FloatArray) -> float:
        """The strongest penalty whose out-of-fold log loss is within a standard error of the lowest."""
        rows = np.random.default_rng(self.random_state).permutation(len(y))[:MOST_TO_CHOOSE_ON]
        woe, y, weight = woe[rows], y[rows], weight[rows]
        losses = np.empty((len(PENALTIES), len(y)))
        folds: Any = StratifiedKFold(self.cv, shuffle=True, random_state=self.random_state).split(woe, y)
        for train, test in folds:
            for i, penalty in enumerate(PENALTIES):
                beta = _non_negative(woe[train], y[train], weight[train], penalty)
                losses[i, test] = weight[test] * log_losses(y[test], expit(woe[test] @ beta[:-1] + beta[-1]))
        best = int(np.argmin(losses.mean(axis=1)))
        worse = losses - losses[best]
        error = worse.std(axis=1, ddof=1) / np.sqrt(len(y))
        return max(penalty for i, penalty in enumerate(PENALTIES) if worse[i].mean() <= error[i] or i == best)

    def _fewer(self, woe: FloatArray, y: FloatArray, weight: FloatArray, coef: FloatArray, penalty: float) -> FloatArray:
        """At most `max_features` coefficients above 0: those that move leads the most, fitted again."""
        moved = coef * woe.std(axis=0)
        kept = np.argsort(-moved, kind="stable")[: self.max_features]
        kept = kept[moved[kept] > 0]
        out = np.zeros_like(coef)
        if len(kept):
            out[kept] = _non_negative(woe[:, kept], y, weight, penalty)[:-1]
        return out

    def _card(self, X: FloatArray, y: FloatArray, weight: FloatArray, bins: Mapping[int, Bins], coef: FloatArray) -> PointsCard:
        used = [(j, found, beta) for (j, found), beta in zip(bins.items(), coef.tolist(), strict=True) if beta > 0]
        counts = (len(y), int(y.sum()))
        base = (float(weight @ y) + 0.5) / (float(weight.sum()) + 1.0)
        nothing = PointsCard((), float(logit(base)), 0.0, *counts, 0.0)
        if not used:
            return nothing
        exact = sum(beta * _woe_of(X[:, j], found) for j, found, beta in used)
        exact_loss = _calibrated_loss(np.asarray(exact), y, weight)[1]
        widest = max(beta * float(np.ptp(np.append(found.woe, found.missing_woe))) for _, found, beta in used)
        best, best_loss = nothing, np.inf
        for most in range(3, self.max_points + 1):
            features = tuple(self._feature(j, found, beta * most / widest) for j, found, beta in used)
            features = tuple(feature for feature in features if len({*feature.points, feature.missing}) > 1)
            total = sum(feature.points_of(X) for feature in features)
            calibrator, loss = _calibrated_loss(np.asarray(total, dtype=np.float64), y, weight)
            if loss < best_loss - 1e-5:
                best_loss = loss
                ordered = sorted(features, key=lambda f: -max(*f.points, f.missing))
                best = PointsCard(tuple(ordered), calibrator.intercept, calibrator.slope, *counts, loss - exact_loss)
        return best

    def _feature(self, j: int, bins: Bins, scale: float) -> CardFeature:
        """The feature's lines; lines of the same points are one line."""
        least = float(np.append(bins.woe, bins.missing_woe).min())
        points = np.rint(scale * np.maximum(np.append(bins.woe, [bins.missing_woe, 0.0]) - least, 0.0)).astype(np.int64)
        lines, missing, other = points[:-2], int(points[-2]), int(points[-1])
        name = names_of(self.names, self.n_features_in_)[j]
        if j in (self.categories or {}):
            kept, place = np.unique(lines, return_inverse=True)
            groups = np.where(bins.bin_of_code < 0, -1, place[bins.bin_of_code])
            levels = tuple(map(str, (self.categories or {})[j]))
            return CardFeature(name, j, bins.edges, tuple(groups.tolist()), levels, tuple(kept.tolist()), missing, other)
        changes = np.diff(lines) != 0
        kept = lines[np.append(True, changes)]
        return CardFeature(name, j, bins.edges[changes], (), (), tuple(kept.tolist()), missing, other)


def _encoded(X: FloatArray) -> Encoded:
    return Encoded(X, np.empty((len(X), 0)))


def _woe_of(x: FloatArray, bins: Bins) -> FloatArray:
    """The weight of evidence of each lead, shape (n,)."""
    groups = tuple(int(group) for group in bins.bin_of_code)
    lines = CardFeature("", 0, bins.edges, groups, (), (0,) * len(bins.woe), 0, 0).lines_of(x[:, None])
    return np.array([*bins.woe, bins.missing_woe, 0.0])[lines]


def _non_negative(x: FloatArray, y: FloatArray, weight: FloatArray, penalty: float) -> FloatArray:
    """Coefficients >= 0, then the intercept, that minimise mean log loss + penalty * (sum of coef + |coef|^2 / 2)."""
    share = weight / weight.sum()

    def objective(beta: FloatArray) -> tuple[float, FloatArray]:
        margin = x @ beta[:-1] + beta[-1]
        residual = share * (expit(margin) - y)
        loss = float(share @ (np.logaddexp(0.0, margin) - y * margin)) + penalty * float(beta[:-1].sum() + beta[:-1] @ beta[:-1] / 2)
        return loss, np.append(x.T @ residual + penalty * (1.0 + beta[:-1]), residual.sum())

    start = np.append(np.full(x.shape[1], 0.5), logit(np.clip(share @ y, 1e-6, 1 - 1e-6)))
    bounds = [(0.0, None)] * x.shape[1] + [(None, None)]
    return np.asarray(minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 200}).x)


def _calibrated_loss(score: FloatArray, y: FloatArray, weight: FloatArray) -> tuple[PlattCalibrator, float]:
    """P(won) by a logistic regression on the score alone, and its log loss."""
    mean, spread = float(score.mean()), float(score.std()) or 1.0
    fitted = PlattCalibrator.fit(y, expit((score - mean) / spread), weight)
    calibrator = PlattCalibrator(fitted.intercept - fitted.slope * mean / spread, fitted.slope / spread)
    p = expit(calibrator.intercept + calibrator.slope * score)
    return calibrator, float(weight @ log_losses(y, p) / weight.sum())
