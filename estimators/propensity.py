"""P(response within the window | contacted): LightGBM and a logistic regression, weighted by what they prove on rows not seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from estimators.arrays import FloatArray, IntArray
from estimators.blending import sure_blend
from estimators.calibration import Calibrator, choose_calibrator, log_losses
from estimators.encoding import Encoded
from estimators.folds import Fold, forward_folds, shuffled_folds
from estimators.heads import ResponseHead
from estimators.lasting import Part, calibrator_in_time, lasting_member, lasting_weights, recent_shift
from estimators.response_members import LabelledRows, Said, Settled, base_rate, gathered
from estimators.scores import LinearScore, TreeScore
from estimators.trees import RESPONSE, BinnedRows, TreeSettings, faster, response_bins, response_settings, tree_score
from estimators.validation import check_labels, check_weights, checked_rows, checked_training, tags_of, zero_one

FEWEST_EVENTS = 15
"""With fewer rows of either class every contact gets the mean."""

CHOOSING_EVENTS, FEWEST_CHOOSING, MOST_CHOOSING = 1_000, 10_000, 60_000
"""Of many rows so many are chosen on that about so many are of the rarer class, between these numbers."""

OTHERS_OF_ONE, FEWEST_OTHERS = 40, 20_000
"""Of many rows no more than so many of the other class are heard for each of the rarer, if there are more than so many: each further one
would say a fortieth of what the first says, and what they say together is a fortieth less sure than what all would."""

HELD_ROWS, LEAST_PARTS = 20_000, 8
"""Of many rows about so many, and no more than one of so many, are held out to weigh the members on; these are served as they are."""

FORWARD_EVENTS, LEAST_FORWARD, MOST_FORWARD = 50, 0.03, 0.15
"""A part in time has about so many rows of the rarer class, and between these shares of the rows: models are retrained often."""


Take: TypeAlias = Callable[[IntArray], Encoded]
"""Both matrices of some rows."""


@dataclass(frozen=True)
class _Choice:
    """Which penalty, how many trees (as positions), the blend, the shift of its level, and the calibrator after it."""

    penalty: int
    rounds: int
    weights: tuple[float, ...]
    shift: float
    calibrator: Calibrator | None


class ResponseModel(ClassifierMixin, BaseEstimator):
    """A blend of the base rate, a logistic regression and LightGBM, calibrated only where calibration pays.

    Blend weights and the number of trees come from the out-of-fold log loss, so thin data shrinks to the mean: with fewer than 15
    rows of either class the model is the (shrunk) mean. Where the rows have times, forward-chained folds say what lasts: the penalty is
    chosen by them, the blend moves towards what they prefer as far as they are sure, a calibrator has to prove itself forward, and the
    level is shifted to that of the newest times where such shifts have helped before (`estimators.lasting`).

    Of more than `many_rows` rows a random part chooses the penalty and says what lasts. The members are then fitted once, on all rows but
    some that are held out to choose the number of trees and the blend, and are served as they are. Where responses are rare, all of them
    are heard and so many of the other rows, chosen at random, that hardly anything more could be learned; each stands for several.

    Parameters
    ----------
    categorical : tuple of int
        Positions of the category columns in the tree matrix.
    settings : TreeSettings
        Scaled down where there are few events.
    cv : int
        Folds, shuffled and forward.
    gap : float
        How long after its time the label of a row is known, in the unit of `time`.
    drifting : tuple of int
        Columns of the linear matrix that move in time: the logistic regression trusts them by half unless forward folds surely say more.
    monotone : tuple of int, length 0 or d
        1 where the trees may only rise in a column of the tree matrix, -1 where they may only fall, 0 where they are free.
    random_state : int
    many_rows : int
        More rows are learned from once.
    settled : Settled, optional
        What a fit on earlier rows chose, as `settled_`: it is taken over, and fewer logistic regressions are fitted to choose from.

    Attributes
    ----------
    head_ : ResponseHead
        What is served.
    oof_probability_ : array, shape (n,)
        Each row by models that have not seen it, with many rows NaN but for some; calibrated where there is no time (the calibrator has
        seen it, out of its few degrees of freedom).
    oof_weight_ : array, shape (n,)
        How many rows each of these stands for.
    plain_head_ : ResponseHead or None
        With many rows: it says of a row what `oof_probability_` would, were the row not learned from.
    settled_ : Settled or None
        The penalty, for a later fit on more rows; None where there were too few rows to choose.
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

    def __init__(  # noqa: PLR0913 - scikit-learn's convention: all settings by name
        self,
        categorical: tuple[int, ...] = (),
        settings: TreeSettings = RESPONSE,
        cv: int = 4,
        gap: float = 0.0,
        drifting: tuple[int, ...] = (),
        monotone: tuple[int, ...] = (),
        random_state: int = 0,
        many_rows: int = 50_000,
        settled: Settled | None = None,
    ) -> None:
        self.categorical = categorical
        self.settings = settings
        self.cv = cv
        self.gap = gap
        self.drifting = drifting
        self.monotone = monotone
        self.random_state = random_state
        self.many_rows = many_rows
        self.settled = settled

    def fit(
        self,
        X: FloatArray,
        y: FloatArray,
        sample_weight: FloatArray | None = None,
        *,
        X_linear: FloatArray | None = None,
        time: FloatArray | None = None,
        groups: Any = None,
    ) -> ResponseModel:
        """Fit on n labelled interactions.

        Parameters
        ----------
        X : array, shape (n, d)
            The tree matrix.
        y : array, shape (n,)
            1 where the contact responded, else 0.
        sample_weight : array, shape (n,), optional
            How many rows each row stands for, up to a factor: with them a log thinned by its labels gives the whole log's probabilities.
        X_linear : array, shape (n, m), optional
            The linear matrix; without it there is no logistic regression.
        time : array, shape (n,), optional
            When, for example in days; without it, or where it is not finite in each row, all folds are shuffled.
        groups : sequence, length n, optional
            Contact ids; the rows of a contact share a shuffled fold.

        Raises
        ------
        ValueError
            If there is no row, the lengths differ, y is not 0 or 1, or a weight is not above 0 and finite.
        """
        data = checked_training(self, X, y, sample_weight, numeric=False)
        y, self.classes_ = zero_one(data.y)
        linear, time, groups = _kept(data.kept, X_linear, time, groups)
        self._uses_linear = X_linear is not None
        rows = Encoded(data.X, linear)
        return self._learn(lambda some: rows if len(some) == len(rows) else rows.take(some), y, data.weight, time, groups)

    def fit_taken(
        self, take: Take, y: FloatArray, sample_weight: FloatArray, *, time: FloatArray | None = None, groups: Any = None
    ) -> ResponseModel:
        """`fit` on n labelled interactions whose matrices are taken when it is known which are heard: the others are never copied.

        Parameters
        ----------
        take : function
            Both matrices of some of the n rows, by their places.
        y, sample_weight : arrays, shape (n,)
        time, groups
            As in `fit`.
        """
        y, weight = check_labels(y, len(y)), check_weights(sample_weight, len(y))
        self.classes_, self.n_features_in_, self._uses_linear = np.array([0, 1]), take(np.empty(0, dtype=np.int64)).trees.shape[1], True
        return self._learn(take, y, weight, time, groups)

    def _learn(self, take: Take, y: FloatArray, weight: FloatArray, time: FloatArray | None, groups: Any) -> ResponseModel:
        self.settled_: Settled | None = None
        self.plain_head_: ResponseHead | None = None
        if _rarer(y) < FEWEST_EVENTS or self.n_features_in_ == 0:
            base = base_rate(y, weight)
            self.head_ = ResponseHead(base, (1.0, 0.0, 0.0), None, None, None, len(y), int(y.sum()))
            self.oof_probability_, self.oof_weight_ = np.full(len(y), base), weight
            return self
        said, stands_for = np.full(len(y), np.nan), np.zeros(len(y))
        heard, weight = _heard(y, weight, self._rng(len(y))) if len(y) > self.many_rows else (np.arange(len(y)), weight)
        rows = self._rows(take(heard), y[heard], weight)
        _, time, groups = _kept(heard, None, time, groups)
        if len(heard) > self.many_rows:
            self._fit_many(rows, time, groups)
        else:
            self._fit_members(rows, self._forward(rows, time), groups)
        said[heard], stands_for[heard] = self.oof_probability_, self.oof_weight_
        self.oof_probability_, self.oof_weight_ = said, stands_for
        self.head_ = replace(self.head_, evidence=len(y), responses=int(y.sum()))
        return self

    def predict_proba(self, X: FloatArray, X_linear: FloatArray | None = None) -> FloatArray:
        """P(0) and P(1) of each row, shape (n, 2)."""
        check_is_fitted(self, "head_")
        if self._uses_linear and X_linear is None:
            raise ValueError("the model was fitted with X_linear, so it must be given to predict too")
        X = checked_rows(self, X)
        linear = np.empty((len(X), 0)) if X_linear is None else X_linear
        p = self.head_.probability(Encoded(X, linear))
        return np.column_stack([1.0 - p, p])

    def predict(self, X: FloatArray, X_linear: FloatArray | None = None) -> npt.NDArray[Any]:
        """1 (the second of `classes_`) where the response is more likely than not, shape (n,)."""
        second = self.predict_proba(X, X_linear)[:, 1] > 0.5
        return np.asarray(self.classes_[second.astype(np.int64)])

    def __sklearn_tags__(self) -> Any:
        return tags_of(super().__sklearn_tags__())

    def _rows(self, seen: Encoded, y: FloatArray, weight: FloatArray) -> LabelledRows:
        """The rows as the members learn from them."""
        how: dict[str, Any] = {"n_jobs": 1, "random_state": self.random_state, "max_bin": response_bins(len(y)), "monotone": self.monotone}
        binned = BinnedRows(seen.trees, categorical=self.categorical, **how)
        settings = response_settings(self.settings, len(y), max(_rarer(y), 1))
        return LabelledRows(binned, settings, seen.linear, y, weight, tuple(self.drifting), self.settled)

    def _rng(self, rows: int) -> np.random.Generator:
        return np.random.default_rng([self.random_state, rows])

    def _forward(self, rows: LabelledRows, time: FloatArray | None) -> list[Fold]:
        if time is None or not np.isfinite(time).all():
            return []
        events = _rarer(rows.y)
        return forward_folds(np.asarray(time, dtype=np.float64), rows.y, cv=self.cv, share=forward_share(events), gap=self.gap)

    def _fit_members(self, rows: LabelledRows, forward: Sequence[Fold], groups: Any) -> None:
        y, weight = rows.y, rows.weight
        out = gathered(rows, shuffled_folds(y, cv=self.cv, random_state=self.random_state, groups=groups))
        later = [rows.ask(fold) for fold in forward]
        chosen = _choice(out, (y, weight), later, _parts(rows, forward), rows.hedged, self.random_state)
        weights, every = chosen.weights, np.arange(len(y))
        self.settled_ = rows.settle(chosen.penalty)
        trees = replace(rows.settings, n_estimators=rows.counts[chosen.rounds])
        fitted = tree_score(rows.binned.fit(trees, "binary", every, y, weight)) if weights[2] > 0 else None
        self.head_ = _head(rows, chosen, rows.line(chosen.penalty, every) if weights[1] > 0 else None, fitted)
        self.oof_probability_, self.oof_weight_ = _blended(out, chosen, calibrated=not forward), weight

    def _fit_many(self, rows: LabelledRows, time: FloatArray | None, groups: Any) -> None:
        """The penalty and what lasts by a part of the rows, the rest by members of all rows on those held out of them."""
        y, weight = rows.y, rows.weight
        size = int(np.clip(CHOOSING_EVENTS * len(y) / _rarer(y), FEWEST_CHOOSING, MOST_CHOOSING))
        chosen_by = np.sort(self._rng(len(y)).choice(len(y), min(size, len(y)), replace=False))
        part = self._rows(Encoded(rows.binned.matrix[chosen_by], rows.linear[chosen_by]), y[chosen_by], weight[chosen_by])
        part = replace(part, settings=faster(part.settings), chained=True)
        forward = self._forward(part, None if time is None else time[chosen_by])
        later, truth = [part.ask(fold) for fold in forward], _parts(part, forward)
        if later:
            penalty = lasting_member(truth, [[said.linear[k] for said in later] for k in range(len(part.options))], part.hedged)
        else:
            whose = None if groups is None else np.asarray(groups)[chosen_by]
            folds = shuffled_folds(part.y, cv=2, random_state=self.random_state, groups=whose)
            penalty = _best(gathered(part, folds).linear, part.y, part.weight) if len(part.options) > 1 else 0
        self.settled_ = part.settle(penalty)
        rows = replace(rows, settled=self.settled_, chained=True)
        train, held = shuffled_folds(y, cv=max(LEAST_PARTS, len(y) // HELD_ROWS), random_state=self.random_state, groups=groups)[0]
        learned = rows.learn(train, part.line(penalty, np.arange(len(part.y))))
        out = rows.said(learned, held)
        later = [said.of_option(penalty) for said in later]
        chosen = _choice(out, (y[held], weight[held]), later, truth, rows.hedged, self.random_state)
        trees = tree_score(learned.booster, rows.counts[chosen.rounds]) if chosen.weights[2] > 0 else None
        self.head_ = _head(rows, chosen, learned.lines[0] if chosen.weights[1] > 0 else None, trees)
        self.plain_head_ = replace(self.head_, shift=0.0, calibrator=None if forward else chosen.calibrator)
        self.oof_probability_, self.oof_weight_ = np.full(len(y), np.nan), weight
        self.oof_probability_[held] = _blended(out, chosen, calibrated=not forward)


def _heard(y: FloatArray, weight: FloatArray, rng: np.random.Generator) -> tuple[IntArray, FloatArray]:
    """The rows of many that are learned from, in order, and how many rows each stands for.

    References
    ----------
    King and Zeng, "Logistic Regression in Rare Events Data", 2001 (all events, some of the others, weighted).
    """
    rare = y == (y.sum() <= len(y) / 2)
    others = np.flatnonzero(~rare)
    most = max(FEWEST_OTHERS, OTHERS_OF_ONE * int(rare.sum()))
    if len(others) <= most:
        return np.arange(len(y)), weight
    some = rng.choice(others, most, replace=False)
    heard = np.sort(np.concatenate([np.flatnonzero(rare), some]))
    stands_for = np.where(rare, weight, weight * (weight[others].sum() / weight[some].sum()))
    return heard, stands_for[heard]


def _head(rows: LabelledRows, chosen: _Choice, line: LinearScore | None, trees: TreeScore | None) -> ResponseHead:
    constant, linear, of_trees = chosen.weights
    return ResponseHead(
        base_rate=rows.base_rate(),
        weights=(constant, linear, of_trees),
        linear=line,
        trees=trees,
        calibrator=chosen.calibrator,
        evidence=len(rows.y),
        responses=int(rows.y.sum()),
        shift=chosen.shift,
    )


def _blended(out: Said, chosen: _Choice, *, calibrated: bool) -> FloatArray:
    blended: FloatArray = np.array(chosen.weights) @ out.members(chosen.penalty, chosen.rounds)
    return chosen.calibrator.apply(blended) if calibrated and chosen.calibrator is not None else blended


def _parts(rows: LabelledRows, folds: Sequence[Fold]) -> list[Part]:
    return [(rows.y[test], rows.weight[test]) for _, test in folds]


def _rarer(y: FloatArray) -> int:
    """Rows of the rarer class."""
    return int(min(y.sum(), len(y) - y.sum()))


def _best(said: FloatArray, y: FloatArray, weight: FloatArray) -> int:
    """Which of some probabilities, shape (k, n), has the lowest log loss."""
    return int(np.argmin([weight @ log_losses(y, p) for p in said]))


def _choice(out: Said, of_out: Part, later: Sequence[Said], truth: Sequence[Part], hedged: Sequence[int], random_state: int) -> _Choice:
    """What to serve, by what was said of rows not seen, and of later parts in time where there are any."""
    y, weight = of_out
    rounds = _best(out.trees, y, weight)
    if not later:
        penalty = _best(out.linear, y, weight)
        members = out.members(penalty, rounds)
        weights = sure_blend(y, list(members), sample_weight=weight)
        calibrator = choose_calibrator(y, np.array(weights) @ members, sample_weight=weight, random_state=random_state)
        return _Choice(penalty, rounds, weights, 0.0, calibrator)
    penalty = lasting_member(truth, [[said.linear[k] for said in later] for k in range(len(out.linear))], hedged)
    steady = sure_blend(y, list(out.members(penalty, rounds)), sample_weight=weight)
    members_of = [said.members(penalty, rounds) for said in later]
    weights = lasting_weights(truth, members_of, steady)
    ahead = [np.array(weights) @ members for members in members_of]
    return _Choice(penalty, rounds, weights, recent_shift(truth, ahead), calibrator_in_time(truth, ahead))


def forward_share(events: int) -> float:
    """The share of the rows in each part in time, given the number of rows of the rarer class."""
    return float(np.clip(FORWARD_EVENTS / max(events, 1), LEAST_FORWARD, MOST_FORWARD))


def _kept(kept: IntArray, linear: FloatArray | None, time: FloatArray | None, groups: Any) -> tuple[FloatArray, FloatArray | None, Any]:
    """Of the rows that weigh something: the linear matrix, the times and the groups."""
    matrix = np.empty((len(kept), 0)) if linear is None else linear if len(linear) == len(kept) else linear[kept]
    times = None if time is None else np.asarray(time, dtype=np.float64)[kept]
    return matrix, times, None if groups is None else [groups[place] for place in kept.tolist()]
