"""Penalised linear models on the standardised matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

from estimators.arrays import AnyInts, FloatArray
from estimators.encoding import Rows
from estimators.scores import LinearScore

RIDGE_PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Penalties tried, as multiples of the total weight."""

RIDGE_TOGETHER = 16_384
"""Rows of a ridge regression that are read together: of a wide matrix few enough to be nothing beside it."""

Read: TypeAlias = Callable[[slice], FloatArray]
"""Some of the rows of a matrix, shape (some, m)."""


def fit_logistic(
    matrix: FloatArray, y: FloatArray, *, C: float, sample_weight: FloatArray | None = None, start: LinearScore | None = None
) -> LinearScore:
    """Log odds of y in {0, 1}, with the L2 penalty |coef|^2 / (2 C).

    Parameters
    ----------
    matrix : array, shape (n, m)
    y : array, shape (n,)
    C : float
        The inverse strength of the penalty, as scikit-learn has it.
    sample_weight : array, shape (n,), optional
    start : LinearScore, optional
        Of some of the rows: the search begins there, and is short.
    """
    if matrix.shape[1] == 0:
        return LinearScore(float(logit(np.average(y, weights=sample_weight))), np.empty(0))
    # Single precision: L-BFGS waits for memory, and half the bytes make it 2.7 times faster. It stops up to 0.04 of log odds short of the
    # optimum; with Newton's exact one close comparisons of penalties and features in time can fall out the other way.
    model = LogisticRegression(C=C, max_iter=200, warm_start=start is not None)
    if start is not None:
        model.coef_, model.intercept_ = start.coef[None, :].astype(np.float32), np.array([start.intercept], dtype=np.float32)
    model.fit(matrix.astype(np.float32, copy=False), y, sample_weight=sample_weight)
    return LinearScore(float(model.intercept_[0]), np.asarray(model.coef_[0], dtype=np.float64))


def fit_ridge(matrix: FloatArray, y: FloatArray, *, sample_weight: FloatArray) -> LinearScore:
    """Weighted ridge regression, its penalty chosen by generalised cross-validation.

    GCV = weighted residual sum of squares / (1 - degrees of freedom / n)^2, from one eigendecomposition for all penalties.

    Parameters
    ----------
    matrix : array, shape (n, m)
    y : array, shape (n,)
    sample_weight : array, shape (n,)

    References
    ----------
    Golub, Heath and Wahba, "Generalized Cross-Validation as a Method for Choosing a Good Ridge Parameter", 1979.
    """
    return _fit_ridge(lambda block: matrix[block], y, sample_weight)


def fit_ridge_at(rows: Rows, at: AnyInts, y: FloatArray, *, sample_weight: FloatArray) -> LinearScore:
    """`fit_ridge` on the linear matrix of some rows, which is never copied as a whole.

    Parameters
    ----------
    rows : Encoded or EncodedLater
    at : array of int, shape (p,)
        The rows to learn from.
    y, sample_weight : arrays, shape (p,)
    """
    return _fit_ridge(lambda block: rows.linear_of(at[block]), y, sample_weight)


def _fit_ridge(read: Read, y: FloatArray, sample_weight: FloatArray) -> LinearScore:
    weight = sample_weight / sample_weight.sum()
    centre, level = _centre(read, weight), float(weight @ y)
    target = y - level
    moments, reached = _moments(read, centre, weight, target)
    values, vectors = np.linalg.eigh(moments)
    values = np.maximum(values, 0.0)
    rotated = vectors.T @ reached
    total, n = float(weight @ target**2), len(y)

    def gcv(penalty: float) -> float:
        shrunk = rotated / (values + penalty)
        residual = total - 2.0 * float(shrunk @ rotated) + float(values @ shrunk**2)
        return residual / (1.0 - float((values / (values + penalty)).sum()) / n) ** 2

    best = min(RIDGE_PENALTIES, key=gcv)
    coef = vectors @ (rotated / (values + best))
    return LinearScore(level - float(centre @ coef), coef)


def _together(length: int) -> Iterator[slice]:
    """Of many rows some at a time, so that no second matrix of them all is made."""
    for start in range(0, length, RIDGE_TOGETHER):
        yield slice(start, start + RIDGE_TOGETHER)


def _centre(read: Read, weight: FloatArray) -> FloatArray:
    parts = []
    for rows in _together(len(weight)):
        x = read(rows)
        parts.append((weight[rows].astype(x.dtype, copy=False) @ x).astype(np.float64))
    return np.asarray(np.sum(parts, axis=0))


def _moments(read: Read, centre: FloatArray, weight: FloatArray, target: FloatArray) -> tuple[FloatArray, FloatArray]:
    """X' W X of the centred columns, and X' W target; what is held in single precision is multiplied in it."""
    moments, reached = np.zeros((len(centre), len(centre))), np.zeros(len(centre))
    for rows in _together(len(weight)):
        given = read(rows)
        x = given - centre.astype(given.dtype)
        weighted = x * weight[rows, None].astype(x.dtype)
        moments += weighted.T @ x
        reached += weighted.T @ target[rows].astype(x.dtype)
    return moments, reached
