"""scikit-learn's own checks of every public estimator; what they may not ask of ours is in one table, each with its reason."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

from estimators import clv, clv_bg_nbd, clv_gamma_gamma, clv_pareto_nbd, lead, lead_points, propensity, uplift, value
from estimators.arrays import FloatArray
from estimators.trees import TreeSettings

FEW_TREES = TreeSettings(
    n_estimators=10, learning_rate=0.3, num_leaves=4, min_child_samples=5, reg_lambda=1.0, feature_fraction=1.0, bagging_fraction=1.0
)
"""The checks fit hundreds of times, and prove nothing that more trees would change."""

NO_COLUMNS = "a workspace may know nothing of its contacts: without columns everybody gets the mean"
COPIES = (
    "penalty, blend and bins are chosen on folds and quantiles of rows, in which two copies of a row are two rows and a weight of 2 is not"
)
FROZEN = "the settings of the trees are one frozen value, which no call can change"
HISTORIES = "fits histories of buyers (repeat, last_gap, age or money), each refused that no buyer can have: no matrix X, no y"
TWO_MATRICES = "fits two matrices and the exposure: checked through UpliftOnMatrix, which takes the exposure from X"

EXCEPTIONS: dict[str, dict[str, str]] = {
    "ResponseModel": {
        "check_estimators_empty_data_messages": NO_COLUMNS,
        "check_sample_weight_equivalence_on_dense_data": COPIES,
        "check_parameters_default_constructible": FROZEN,
    },
    "LeadModel": {"check_estimators_empty_data_messages": NO_COLUMNS, "check_sample_weight_equivalence_on_dense_data": COPIES},
    "PointsCardModel": {"check_estimators_empty_data_messages": NO_COLUMNS, "check_sample_weight_equivalence_on_dense_data": COPIES},
    "ValueModel": {"check_estimators_empty_data_messages": NO_COLUMNS},
    "TweedieClv": {"check_parameters_default_constructible": FROZEN},
    "UpliftOnMatrix": {},
}
"""Estimator -> check -> why it may not hold. A check that holds all the same makes its line a failure."""

NOT_ON_A_MATRIX = {
    uplift.DoublyRobustUplift: TWO_MATRICES,
    clv_bg_nbd.BetaGeo: HISTORIES,
    clv_pareto_nbd.ParetoNbd: HISTORIES,
    clv_gamma_gamma.GammaGamma: HISTORIES,
}
"""Estimators that do not fit (X, y): their constructors are checked, and their fits by tests of their own."""

CONSTRUCTOR_CHECKS = ("check_estimator_cloneable", "check_estimator_repr", "check_no_attributes_set_in_init", "check_get_params_invariance")


class UpliftOnMatrix(RegressorMixin, BaseEstimator):
    """DoublyRobustUplift on one matrix: exposed are the rows whose first column is above the median, and y counts as whether it is."""

    def fit(self, X: Any, y: Any) -> UpliftOnMatrix:
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2)
        exposed = X[:, 0] > np.median(X[:, 0])
        if not exposed.any():
            exposed[0] = True
        model = uplift.DoublyRobustUplift(settings=FEW_TREES, cv=2)
        self.model_ = model.fit(X, X, (y > np.median(y)).astype(float), exposed.astype(float))
        return self

    def predict(self, X: Any) -> FloatArray:
        check_is_fitted(self, "model_")
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return self.model_.predict(X, X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True  # an uplift is no prediction of y
        return tags


ESTIMATORS = [
    propensity.ResponseModel(settings=FEW_TREES, cv=2),
    lead.LeadModel(),
    lead_points.PointsCardModel(cv=2),
    value.ValueModel(),
    clv.TweedieClv(settings=FEW_TREES, fewest_rows=1),
    UpliftOnMatrix(),
]


def _expected(estimator: BaseEstimator) -> dict[str, str]:
    return EXCEPTIONS[type(estimator).__name__]


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=_expected, xfail_strict=True)
def test_an_estimator_keeps_to_scikit_learn(estimator: BaseEstimator, check: Callable[[BaseEstimator], None]) -> None:
    check(estimator)


@pytest.mark.parametrize("name", CONSTRUCTOR_CHECKS)
@pytest.mark.parametrize("kind", NOT_ON_A_MATRIX, ids=lambda kind: kind.__name__)
def test_what_fits_no_matrix_is_constructed_and_cloned_as_scikit_learn_has_it(kind: type[BaseEstimator], name: str) -> None:
    getattr(estimator_checks, name)(kind.__name__, kind())


def test_no_public_estimator_is_left_out() -> None:
    rooms = (clv, clv_bg_nbd, clv_gamma_gamma, clv_pareto_nbd, lead, lead_points, propensity, uplift, value)
    known = {type(estimator) for estimator in ESTIMATORS} | set(NOT_ON_A_MATRIX)
    for room in rooms:
        for kind in vars(room).values():
            if inspect.isclass(kind) and issubclass(kind, BaseEstimator) and kind.__module__ == room.__name__:
                assert kind in known
