"""Does a feature's distribution move in time? The population stability index of each, and one classifier for all together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from decisioning.vocabulary import BoolArray, FloatArray, IntArray
from estimators.folds import shuffled_folds
from estimators.trees import RESPONSE, BinnedRows, TreeSettings

BINS = 10
SMALLEST_SHARE = 1e-4
"""An empty bin counts as this share, so that the index stays finite."""

CLASSIFIER = TreeSettings(
    n_estimators=60, learning_rate=0.1, num_leaves=8, min_child_samples=50, reg_lambda=RESPONSE.reg_lambda, feature_fraction=0.7
)


def stability_indices(matrix: FloatArray, categorical: tuple[int, ...], later: BoolArray) -> FloatArray:
    """PSI = sum over bins of (later - earlier) * log(later / earlier), less what chance alone makes of it; shape (d,).

    Numbers are cut at the deciles of the earlier part, NaN is a bin of its own, each category is one. Chance makes about
    (bins - 1) * (1 / n_earlier + 1 / n_later). Below 0.1 a distribution counts as stable, above 0.25 as moved.

    Parameters
    ----------
    matrix : array, shape (n, d)
        The tree matrix.
    categorical : tuple of int
    later : bool array, shape (n,)
        Both parts must have rows.

    References
    ----------
    Yurdakul, "Statistical Properties of Population Stability Index", 2018.

    Examples
    --------
    >>> x = np.arange(1000.0)[:, None]
    >>> later = np.arange(1000) % 2 == 1
    >>> stability_indices(x, (), later).round(1).tolist(), bool(stability_indices(x, (), x[:, 0] >= 500)[0] > 0.25)
    ([0.0], True)
    """
    return np.array([_index(_bins(matrix[:, j], j in categorical, later), later) for j in range(matrix.shape[1])])


def two_sample_auc(matrix: FloatArray, categorical: tuple[int, ...], later: BoolArray, *, seed: int) -> tuple[float, float]:
    """How well a classifier tells the later rows from the earlier ones, out of fold: AUC (0.5 where nothing moved) and standard error.

    References
    ----------
    Lopez-Paz and Oquab, "Revisiting Classifier Two-Sample Tests", 2017. Hanley and McNeil, "The Meaning and Use of the Area under a
    Receiver Operating Characteristic (ROC) Curve", 1982: the standard error.
    """
    y = later.astype(np.float64)
    binned = BinnedRows(matrix, categorical=categorical, n_jobs=1, random_state=seed)
    said = np.empty(len(y))
    for past, test in shuffled_folds(y, cv=2, random_state=seed):
        said[test] = binned.predict(binned.fit(CLASSIFIER, "binary", past, y), test)
    area = float(roc_auc_score(y, said))
    positives, negatives = float(y.sum()), float(len(y) - y.sum())
    first, second = area / (2.0 - area), 2.0 * area**2 / (1.0 + area)
    spread = area * (1.0 - area) + (positives - 1.0) * (first - area**2) + (negatives - 1.0) * (second - area**2)
    return area, float(np.sqrt(max(spread, 0.0) / (positives * negatives)))


def _bins(column: FloatArray, is_category: bool, later: BoolArray) -> IntArray:
    """The bin of each row."""
    if is_category:
        return column.astype(np.int64)
    known = ~np.isnan(column)
    earlier = column[known & ~later]
    edges: npt.NDArray[np.float64] = np.unique(np.quantile(earlier, np.linspace(0.0, 1.0, BINS + 1)[1:-1])) if len(earlier) else np.empty(0)
    place = np.searchsorted(edges, column, side="right")
    return np.where(known, place, len(edges) + 1)


def _index(bins: IntArray, later: BoolArray) -> float:
    counts = np.stack([np.bincount(bins[rows], minlength=int(bins.max()) + 1) for rows in (~later, later)])
    counts = counts[:, counts.sum(axis=0) > 0]
    sizes = counts.sum(axis=1, keepdims=True)
    before, after = np.maximum(counts / sizes, SMALLEST_SHARE)
    chance = (counts.shape[1] - 1) * float((1.0 / sizes).sum())
    return max(0.0, float(((after - before) * np.log(after / before)).sum()) - chance)
