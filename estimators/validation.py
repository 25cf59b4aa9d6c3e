"""What scikit-learn asks of `fit` and `predict`: matrices, labels and weights, checked once for every estimator of this room.

NaN is NULL and welcome; an infinity is not (the encoders make NULL of it). A matrix may have no column: a workspace may know nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils import get_tags
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_consistent_length, column_or_1d, validate_data

from estimators.arrays import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Training:
    """Checked rows, those of weight 0 left out.

    Parameters
    ----------
    X : array, shape (n, d)
    y, weight : arrays, shape (n,)
        The weights have a mean of 1.
    kept : array of int, shape (n,)
        Which of the rows given they are.
    """

    X: FloatArray
    y: npt.NDArray[Any]
    weight: FloatArray
    kept: IntArray


def checked_training(model: BaseEstimator, X: Any, y: Any, sample_weight: Any = None, *, numeric: bool, fewest: int = 1) -> Training:
    """The rows of a fit; sets `n_features_in_` and, for named columns, `feature_names_in_`.

    Parameters
    ----------
    model : estimator
    X : array-like, shape (n, d)
    y : array-like, shape (n,)
    sample_weight : array-like, shape (n,), optional
        Rows of weight 0 count as absent.
    numeric : bool
        Whether y must be numbers.
    fewest : int
        Rows, at least; 0 allows none, nor any of a weight above 0.

    Raises
    ------
    ValueError
        If there are too few rows, the lengths differ, X holds an infinity or what is no number, or a weight is negative or not finite.
    """
    if y is None:
        raise ValueError(f"{type(model).__name__} requires y to be passed, but the target y is None")
    rows = validate_data(model, X, ensure_min_samples=fewest, **_how(model))
    labels = column_or_1d(y, dtype=np.float64 if numeric else None, warn=True)
    check_consistent_length(rows, labels)
    if sample_weight is None:
        return Training(rows, labels, np.ones(len(rows)), np.arange(len(rows)))
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (len(rows),):
        raise ValueError(f"sample_weight must hold one number a row; got shape {weight.shape} for {len(rows)} rows")
    if not (np.isfinite(weight).all() and (weight >= 0).all()):
        raise ValueError(f"sample_weight must be finite and not negative; got {weight.min()} to {weight.max()}")
    kept = np.flatnonzero(weight > 0)
    if not len(kept) and not fewest:
        return Training(rows[kept], labels[kept], weight[kept], kept)
    if not len(kept):
        raise ValueError("every sample weight is zero, so no row is left; allowed: at least one above 0")
    everything = len(kept) == len(weight)
    weight = weight[kept] / weight[kept].mean()
    return Training(rows if everything else rows[kept], labels if everything else labels[kept], weight, kept)


def checked_rows(model: BaseEstimator, X: Any) -> FloatArray:
    """The rows of a prediction, as many columns as the fit had."""
    rows: FloatArray = validate_data(model, X, reset=False, **_how(model))
    return rows


def _how(model: BaseEstimator) -> dict[str, Any]:
    finite = "allow-nan" if get_tags(model).input_tags.allow_nan else True
    return {"dtype": (np.float64, np.float32), "ensure_all_finite": finite, "ensure_min_features": 0}


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


def check_weights(sample_weight: Any, rows: int) -> FloatArray:
    """The weights as float64 with a mean of 1; ones where there are none.

    Raises
    ------
    ValueError
        If they differ from the rows in number, or one is not above 0 and finite.
    """
    if sample_weight is None:
        return np.ones(rows)
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (rows,):
        raise ValueError(f"sample_weight must hold one number a row; got shape {weight.shape} for {rows} rows")
    if not (np.isfinite(weight).all() and (weight > 0).all()):
        raise ValueError(f"sample_weight must be finite and above 0; got {weight.min()} to {weight.max()}")
    return np.asarray(weight / weight.mean())


def zero_one(y: npt.NDArray[Any]) -> tuple[FloatArray, npt.NDArray[Any]]:
    """Labels as 0.0 and 1.0, and the two classes that stand for them: 0 and 1, or any two in their order.

    Raises
    ------
    ValueError
        If there are more than two classes, a single one that is neither 0 nor 1, or y is not of classes.

    Examples
    --------
    >>> zero_one(np.array(["won", "lost", "won"]))
    (array([1., 0., 1.]), array(['lost', 'won'], dtype='<U4'))
    """
    numbers = y.dtype.kind in "biuf"
    if numbers and not np.isfinite(y).all():
        raise ValueError("y must be 0 or 1; got NaN or an infinity")
    check_classification_targets(y)
    classes = np.unique(y)
    if numbers and np.isin(classes, (0, 1)).all():
        return y.astype(np.float64), np.array([0, 1])
    if len(classes) != 2:
        raise ValueError(
            f"y must be 0 or 1, or of two classes; got {len(classes)} classes: {classes[:5].tolist()}. "
            f"Only binary classification is supported. The type of the target is {type_of_target(y)}."
        )
    return (y == classes[1]).astype(np.float64), classes


def tags_of(tags: Any, *, poor_score: bool = False) -> Any:
    """An estimator's tags with what every one here has: NaN is welcome, two classes, and a score that need not be good on tiny data."""
    tags.input_tags.allow_nan = True
    if tags.classifier_tags is not None:
        tags.classifier_tags.multi_class = False
        tags.classifier_tags.poor_score = poor_score
    if tags.regressor_tags is not None:
        tags.regressor_tags.poor_score = poor_score
    return tags


def names_of(names: Sequence[str], width: int) -> list[str]:
    """The names given, or x0, x1 and so on."""
    return [str(name) for name in names] if len(names) else [f"x{place}" for place in range(width)]
