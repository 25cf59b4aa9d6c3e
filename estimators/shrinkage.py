"""Partial pooling: what a thin group says is weighed against what all groups say.

Two uses: the average effects of thin actions are drawn to the mean over actions, and the offsets of an action's channels to none.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from estimators.arrays import FloatArray
from estimators.calibration import log_odds_shift
from estimators.uplift_head import UpliftHead

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Pool:
    """The distribution over groups that shrinkage assumes: effect_k ~ N(mean, spread^2)."""

    mean: float
    spread: float


def estimate_pool(
    effects: Sequence[float] | FloatArray, standard_errors: Sequence[float] | FloatArray, *, mean: float | None = None
) -> Pool:
    """Mean and spread of the true effects, by the method of moments of Paule and Mandel.

    The spread s solves sum_k (effect_k - mean)^2 / (s^2 + standard_error_k^2) = K - 1 (K where the mean is given); 0 where even s = 0
    explains the differences.

    Parameters
    ----------
    effects, standard_errors : arrays, shape (K,)
    mean : float, optional
        Given where it is known, else estimated.

    Raises
    ------
    ValueError
        If the lengths differ, a number is not finite or a standard error is negative.

    References
    ----------
    Paule and Mandel, "Consensus Values and Weighting Factors", 1982.
    """
    effect, error = _checked(effects, standard_errors)
    if not len(effect):
        return Pool(0.0 if mean is None else mean, 0.0)
    floor = 1e-12 * max(1.0, float(np.abs(effect).max())) ** 2

    def pooled(variance: float) -> float:
        return float(np.average(effect, weights=1.0 / (variance + error**2 + floor))) if mean is None else mean

    def excess(variance: float) -> float:
        surplus = float(((effect - pooled(variance)) ** 2 / (variance + error**2 + floor)).sum())
        return surplus - (len(effect) - (mean is None))

    if excess(0.0) <= 0:
        return Pool(pooled(0.0), 0.0)
    low, high = 0.0, float(((effect - pooled(0.0)) ** 2).sum()) + floor
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return Pool(pooled(high), float(np.sqrt(high)))


def shrink_to_pool(
    effects: Sequence[float] | FloatArray, standard_errors: Sequence[float] | FloatArray, *, mean: float | None = None
) -> FloatArray:
    """Empirical Bayes: mean + s^2 / (s^2 + standard_error_k^2) * (effect_k - mean), with `estimate_pool`'s mean and spread s.

    A group with a standard error of 0 keeps its effect; where the groups differ no more than their errors explain, all get the mean. The
    result always lies between the effect and the pool's mean.

    Parameters
    ----------
    effects, standard_errors : arrays, shape (K,)
    mean : float, optional
        Shrink towards this instead of the estimated mean.

    Returns
    -------
    array, shape (K,)

    Raises
    ------
    ValueError
        If the lengths differ, a number is not finite or a standard error is negative.

    References
    ----------
    Efron and Morris, "Data Analysis Using Stein's Estimator and its Generalizations", 1975.

    Examples
    --------
    >>> shrink_to_pool([0.10, 0.02, 0.30], [0.01, 0.01, 0.20]).round(3)
    array([0.099, 0.021, 0.092])
    """
    effect, error = _checked(effects, standard_errors)
    pool = estimate_pool(effect, error, mean=mean)
    total = pool.spread**2 + error**2
    kept = np.where(error == 0, 1.0, np.divide(pool.spread**2, total, out=np.ones(len(effect)), where=total > 0))
    # Between the two in floating point too: the sum may overshoot the effect by a rounding.
    return np.clip(pool.mean + kept * (effect - pool.mean), np.minimum(effect, pool.mean), np.maximum(effect, pool.mean))


def shrink_offsets(offsets: Mapping[Key, tuple[float, float]]) -> dict[Key, float]:
    """Offsets (value, standard error) shrunk towards 0, all groups together.

    Examples
    --------
    >>> shrunk = shrink_offsets({("loan", "call"): (1.0, 0.1), ("loan", "email"): (-1.0, 0.1), ("card", "call"): (2.0, 3.0)})
    >>> {arm: round(offset, 2) for arm, offset in shrunk.items()}
    {('loan', 'call'): 0.99, ('loan', 'email'): -0.99, ('card', 'call'): 0.16}
    """
    values = shrink_to_pool([offset for offset, _ in offsets.values()], [error for _, error in offsets.values()], mean=0.0)
    return dict(zip(offsets, values.tolist(), strict=True))


def pool_average_effects(heads: Mapping[Key, UpliftHead]) -> dict[Key, UpliftHead]:
    """The same heads with their average effects shrunk towards each other: a thin action leans on the others.

    Examples
    --------
    >>> heads = {"loan": UpliftHead(0.03, 0.001, (), 9000), "card": UpliftHead(0.01, 0.001, (), 9000), "new": UpliftHead(0.1, 0.1, (), 40)}
    >>> {action: round(head.average_effect, 3) for action, head in pool_average_effects(heads).items()}
    {'loan': 0.03, 'card': 0.01, 'new': 0.022}
    """
    effects = shrink_to_pool([head.average_effect for head in heads.values()], [head.standard_error for head in heads.values()])
    return {action: head.with_average(effect) for (action, head), effect in zip(heads.items(), effects.tolist(), strict=True)}


def log_odds_offsets(
    y: FloatArray, p: FloatArray, groups: Sequence[Any], sample_weight: FloatArray | None = None
) -> dict[Any, tuple[float, float]]:
    """For each group the shift of the log odds of p that makes p right on average there, and its standard error.

    Parameters
    ----------
    y : array, shape (n,)
        0 or 1.
    p : array, shape (n,)
        Out-of-fold probabilities that do not know the group.
    groups : sequence, length n
        For example channels; None belongs to no group.
    sample_weight : array, shape (n,), optional
    """
    weight = np.ones(len(y)) if sample_weight is None else sample_weight
    return {group: log_odds_shift(y[rows], p[rows], weight[rows]) for group, rows in _members(groups).items()}


def _members(groups: Sequence[Any]) -> dict[Any, Any]:
    names = np.asarray(groups, dtype=object)
    known = sorted({name for name in names.tolist() if name is not None}, key=str)
    return {name: np.flatnonzero(names == name) for name in known}


def _checked(effects: Sequence[float] | FloatArray, standard_errors: Sequence[float] | FloatArray) -> tuple[FloatArray, FloatArray]:
    effect, error = np.asarray(effects, dtype=np.float64), np.asarray(standard_errors, dtype=np.float64)
    if effect.shape != error.shape or effect.ndim != 1:
        raise ValueError(f"effects and standard errors must be two lists of one length; got shapes {effect.shape} and {error.shape}")
    if not (np.isfinite(effect).all() and np.isfinite(error).all() and (error >= 0).all()):
        raise ValueError("effects must be finite, standard errors finite and not negative")
    return effect, error
