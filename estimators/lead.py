"""Lead score: calibrated P(won) from fit, behaviour and answers, and beside it a points card that a salesperson can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from estimators.arrays import FloatArray, IntArray
from estimators.encoding import Encoded, FeatureEncoder
from estimators.heads import ResponseHead
from estimators.lead_card import PointsCard
from estimators.lead_points import PointsCardModel
from estimators.propensity import ResponseModel
from estimators.scores import LinearScore
from estimators.validation import checked_rows, checked_training, names_of, tags_of


@dataclass(frozen=True, eq=False)
class LeadHead:
    """A lead score as it is served.

    Parameters
    ----------
    response : ResponseHead
        P(won), the better estimate: for ranking and for money.
    card : PointsCard
        P(won) in whole points: for reading.
    """

    response: ResponseHead
    card: PointsCard

    def probability(self, rows: Encoded) -> FloatArray:
        """P(won), shape (n,)."""
        return self.response.probability(rows)

    def points(self, rows: Encoded) -> IntArray:
        """The card's points, shape (n,)."""
        return self.card.points(rows)

    def explain(self, rows: Encoded) -> list[tuple[tuple[str, int], ...]]:
        """For each lead the lines of the card that it falls into, and their points."""
        return self.card.explain(rows)

    def to_dict(self) -> dict[str, Any]:
        """The head as JSON values and LightGBM text."""
        return {"response": self.response.to_dict(), "card": self.card.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LeadHead:
        """The head that `to_dict` wrote."""
        return cls(ResponseHead.from_dict(data["response"]), PointsCard.from_dict(data["card"]))


class LeadModel(ClassifierMixin, BaseEstimator):
    """P(won) by a blend of logistic regression and LightGBM (`ResponseModel`), and a points card (`PointsCardModel`) on the same leads.

    Where a direction is declared, both hold it: the card by its lines, the trees by constraints, and the logistic regression by leaving
    out a column that it would use the other way round.

    Parameters
    ----------
    names : sequence of str
        Of the columns of the tree matrix.
    categories : mapping of int to sequence of str, optional
        Columns of the tree matrix that are codes, with the levels' names; `for_encoder` fills it in.
    directions : mapping of str to int, optional
        Numbers in which P(won) may only rise (1) or fall (-1), by name. A time is read as days before as_of.
    linear_names : sequence of str
        Of the columns of the linear matrix.
    max_features, max_points : int
        Of the card.
    random_state : int

    Attributes
    ----------
    head_ : LeadHead
        What is served.
    oof_probability_ : array, shape (n,)
        Each lead by models that have not seen it.
    classes_ : array([0, 1])

    Examples
    --------
    >>> rng = np.random.default_rng(7)
    >>> visits = rng.poisson(3.0, 2000).astype(float)
    >>> won = (rng.random(2000) < 1 / (1 + np.exp(3 - 0.8 * visits))).astype(float)
    >>> model = LeadModel(names=("visits",), directions={"visits": 1}).fit(visits[:, None], won)
    >>> leads = Encoded(np.array([[0.0], [7.0]]), np.empty((2, 0)))
    >>> [lines[0] for lines in model.head_.explain(leads)]
    [('visits up to 2', 0), ('visits above 5', 10)]
    """

    def __init__(  # noqa: PLR0913 - scikit-learn's convention: all settings by name
        self,
        names: Sequence[str] = (),
        categories: Mapping[int, Sequence[str]] | None = None,
        directions: Mapping[str, int] | None = None,
        linear_names: Sequence[str] = (),
        max_features: int = 10,
        max_points: int = 10,
        random_state: int = 0,
    ) -> None:
        self.names = names
        self.categories = categories
        self.directions = directions
        self.linear_names = linear_names
        self.max_features = max_features
        self.max_points = max_points
        self.random_state = random_state

    @classmethod
    def for_encoder(cls, encoder: FeatureEncoder, **settings: Any) -> LeadModel:
        """A model whose columns are those of an encoder; `settings` are the other parameters."""
        levels = {category.name: category.levels for category in encoder.categories}
        categories = {place: levels[encoder.feature_names[place]] for place in encoder.categorical_indices}
        return cls(encoder.feature_names, categories, linear_names=encoder.linear_names, **settings)

    def fit(self, X: FloatArray, y: Any, sample_weight: FloatArray | None = None, *, X_linear: FloatArray | None = None) -> LeadModel:
        """Fit on n leads that were won or lost.

        Parameters
        ----------
        X : array, shape (n, d)
            The tree matrix: NaN for NULL, codes for categories.
        y : array, shape (n,)
            1 where won, else 0.
        sample_weight : array, shape (n,), optional
        X_linear : array, shape (n, m), optional
            The linear matrix; without it there is no logistic regression.

        Raises
        ------
        ValueError
            If there is no lead, the lengths differ, y is not 0 or 1, a weight is not above 0 and finite, or a direction names no number.
        """
        data = checked_training(self, X, y, sample_weight, numeric=False)
        X, y, sample_weight = data.X, data.y, data.weight
        X_linear = None if X_linear is None else X_linear[data.kept]  # a copy, which columns may be set to 0 in
        ways = self._directions(X.shape[1])
        categories = dict(self.categories or {})
        card = PointsCardModel(self.names, categories, ways, self.max_features, max_points=self.max_points, random_state=self.random_state)
        card.fit(X, y, sample_weight)
        monotone = tuple(ways.get(place, 0) for place in range(X.shape[1])) if ways else ()
        response = ResponseModel(tuple(sorted(categories)), monotone=monotone, random_state=self.random_state)
        fitted = self._fit_response(response, X, y, sample_weight, X_linear)
        self.head_ = LeadHead(fitted.head_, card.card_)
        self.oof_probability_ = fitted.oof_probability_
        self.classes_ = fitted.classes_
        self._uses_linear = X_linear is not None
        return self

    def predict_proba(self, X: FloatArray, X_linear: FloatArray | None = None) -> FloatArray:
        """P(lost) and P(won) of each lead, shape (n, 2)."""
        check_is_fitted(self, "head_")
        if self._uses_linear and X_linear is None:
            raise ValueError("the model was fitted with X_linear, so it must be given to predict too")
        X = checked_rows(self, X)
        p = self.head_.probability(Encoded(X, np.empty((len(X), 0)) if X_linear is None else X_linear))
        return np.column_stack([1.0 - p, p])

    def predict(self, X: FloatArray, X_linear: FloatArray | None = None) -> npt.NDArray[Any]:
        """1 (the second of `classes_`) where winning is more likely than not, shape (n,)."""
        second = self.predict_proba(X, X_linear)[:, 1] > 0.5
        return np.asarray(self.classes_[second.astype(np.int64)])

    def __sklearn_tags__(self) -> Any:
        return tags_of(super().__sklearn_tags__())

    def _directions(self, width: int) -> dict[int, int]:
        names = names_of(self.names, width)
        numbers = [name for place, name in enumerate(names) if place not in (self.categories or {})]
        for name, way in (self.directions or {}).items():
            if name not in numbers or way not in (1, -1):
                raise ValueError(f"a direction is 1 or -1 for a number; got {name!r}: {way!r}; allowed names: {', '.join(numbers[:20])}")
        return {names.index(name): int(way) for name, way in (self.directions or {}).items()}

    def _fit_response(
        self, model: ResponseModel, X: FloatArray, y: Any, sample_weight: FloatArray | None, X_linear: FloatArray | None
    ) -> ResponseModel:
        """The learned score; a linear column that goes against its direction is set to 0 and fitted again: so its coefficient is 0."""
        directed = {i: self.directions[name] for i, name in enumerate(self.linear_names) if self.directions and name in self.directions}
        linear = X_linear
        while True:
            model.fit(X, y, sample_weight, X_linear=linear)
            score = model.head_.linear
            against = (
                []
                if not isinstance(score, LinearScore)
                else [i for i, way in directed.items() if way * score.coef[i] < 0 and linear is not None]
            )
            if not against or linear is None:
                return model
            linear[:, against] = 0.0
            directed = {i: way for i, way in directed.items() if i not in against}
