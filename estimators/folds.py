"""Which rows a model is chosen on: forward in time where there is time, whole contacts where they occur more than once, else rows."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from estimators.arrays import FloatArray, IntArray

Fold: TypeAlias = tuple[IntArray, IntArray]
"""Positions of the rows that are learned from, and of those that are predicted."""

FEWEST_OF_A_CLASS = 15
"""A part in time with fewer rows of either class says nothing: it is left out."""

FEWEST_FORWARD = 2
"""With fewer usable parts in time, folds are shuffled instead."""


def shuffled_folds(y: FloatArray, *, cv: int, random_state: int, groups: Any = None) -> list[Fold]:
    """Folds of about equal size and share of responses; the rows of a group stay together where each fold can then learn both classes.

    Parameters
    ----------
    y : array, shape (n,)
        0 or 1.
    cv : int
        Folds; fewer where there are fewer groups.
    random_state : int
    groups : sequence, length n, optional
        For example contact ids: rows of one contact resemble each other, so a fold that knows one of them knows too much of the other.
    """
    _, place = np.unique(np.arange(len(y)) if groups is None else np.asarray(groups).astype(str), return_inverse=True)
    responded = np.zeros(place.max() + 1)
    np.maximum.at(responded, place, y)
    shuffled = np.random.default_rng(random_state).permutation(len(responded))
    dealt = shuffled[np.argsort(responded[shuffled], kind="stable")]  # first those without a response, each kind dealt out in turn
    fold_of = np.empty(len(responded), dtype=np.int64)
    fold_of[dealt] = np.arange(len(responded)) % cv
    mine = fold_of[place]
    folds = [(np.flatnonzero(mine != number), np.flatnonzero(mine == number)) for number in range(min(cv, len(responded)))]
    if groups is not None and not all(0 < y[past].sum() < len(past) for past, _ in folds):
        return shuffled_folds(y, cv=cv, random_state=random_state)
    return folds


def forward_folds(time: FloatArray, y: FloatArray, *, cv: int, share: float, gap: float = 0.0) -> list[Fold]:
    """Forward-chained folds: each of the last `cv` parts in time is predicted from what was known when it began.

    Parameters
    ----------
    time : array, shape (n,)
        For example days; rows of one instant stay together.
    y : array, shape (n,)
        0 or 1.
    cv : int
        Parts, each about `share` of the rows.
    share : float
    gap : float
        How long after its time a label is known, in the unit of time.

    Returns
    -------
    list of folds
        In order of time; empty where fewer than two parts have rows of both classes to learn from and to predict.

    References
    ----------
    Hyndman and Athanasopoulos, "Forecasting: Principles and Practice", section 5.10, time series cross-validation.

    Examples
    --------
    >>> days = np.arange(200.0)
    >>> [(len(past), int(test.min()), int(test.max())) for past, test in forward_folds(days, days % 2, cv=2, share=0.2)]
    [(120, 120, 159), (160, 160, 199)]
    """
    ordered = np.sort(time)
    starts = np.unique([ordered[min(len(time) - 1, round((1.0 - k * share) * len(time)))] for k in range(cv, 0, -1)])
    ends = [*starts[1:], np.inf]
    folds = []
    for start, end in zip(starts, ends, strict=True):
        past, test = np.flatnonzero(time + gap < start), np.flatnonzero((time >= start) & (time < end))
        if all(min(y[rows].sum(), len(rows) - y[rows].sum()) >= FEWEST_OF_A_CLASS for rows in (past, test)):
            folds.append((past, test))
    return folds if len(folds) >= FEWEST_FORWARD else []
