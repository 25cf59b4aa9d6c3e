"""The weights of several learners of one uplift, with the average effect in the library.

The library's constant takes what the others do not earn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import nnls

from estimators.arrays import AnyFloats, FloatArray

LEAST_WEIGHT = 0.01
"""Smaller weights are dropped."""

CAUTION = 2.0
"""Learners fitted on other folds of the same rows are not independent of each other: their evidence counts half."""

_FIRMNESS = 1e3  # how hard the weights' sum is held at 1, relative to the members' own scale


@dataclass(frozen=True, eq=False)
class Stack:
    """tau = average + sum_k weights_k * (member_k - its mean).

    Parameters
    ----------
    average : float
        The weighted mean of the pseudo-outcomes.
    standard_error : float
        Of the average.
    weights : array, shape (K,)
        Non-negative, adding up to at most 1; the rest is the constant's.
    evidence : float
        The t-statistic of the members' combination: how surely contacts differ.
    """

    average: float
    standard_error: float
    weights: FloatArray
    evidence: float

    def combine(self, members: FloatArray, sample_weight: FloatArray) -> FloatArray:
        """tau of the rows that the stack was fitted on, shape (n,), from members of shape (n, K)."""
        centred = members - sample_weight @ members / sample_weight.sum()
        return np.asarray(self.average + centred @ self.weights)

    def around(self, average: float, standard_error: float) -> Stack:
        """The same weights around an average that more rows tell."""
        return replace(self, average=average, standard_error=standard_error)


def weighted_average(pseudo_outcome: AnyFloats, sample_weight: AnyFloats) -> tuple[float, float]:
    """The weighted mean of the pseudo-outcomes and its standard error."""
    share = _share(sample_weight)
    average = float(share @ pseudo_outcome)
    return average, float(np.sqrt((share**2) @ (pseudo_outcome - average) ** 2))


def fit_stack(pseudo_outcome: AnyFloats, members: FloatArray, sample_weight: AnyFloats) -> Stack:
    """Weights between what is believed beforehand, all on the first member, and those that fit the pseudo-outcomes best.

    The doubly robust loss is noisy: free weights chase the noise, and a library of many learners does worse than one good learner. So the
    free weights are heard as far as they are sure. With L the weighted squared distance to the pseudo-outcomes, Q = (L of the first member
    alone - L of the free weights) in units of its own noise is about chi-squared with one degree of freedom a member when the first
    member is right; the step from it towards the free weights is shortened to 1 - 2 K / Q of itself, and to 0 where Q < 2 K. A weight under
    LEAST_WEIGHT is dropped: its member would cost more to serve than it adds.

    Parameters
    ----------
    pseudo_outcome : array, shape (n,)
    members : array, shape (n, K)
        Out-of-fold uplifts, the most trusted first.
    sample_weight : array, shape (n,)

    References
    ----------
    Lan and Syrgkanis, "Causal Q-Aggregation for CATE Model Selection", 2023 (the loss). Efron and Morris, "Data Analysis Using Stein's
    Estimator and its Generalizations", 1975 (the step).
    """
    share = _share(sample_weight)
    average, standard_error = weighted_average(pseudo_outcome, sample_weight)
    residual = np.asarray(pseudo_outcome - average, dtype=np.float64)
    centred = members - share @ members
    trusted = np.eye(members.shape[1])[0]
    free = _simplex_least_squares(centred, residual, share)
    gained = _loss(centred @ trusted, residual, share) - _loss(centred @ free, residual, share)
    sureness = gained / max(_noise(centred @ free, residual, share), 1e-300)
    step = max(0.0, 1.0 - CAUTION * members.shape[1] / sureness) if sureness > 0 else 0.0
    weights = trusted + step * (free - trusted)
    weights = np.where(weights < LEAST_WEIGHT, 0.0, weights)
    return Stack(average, standard_error, weights, _t_statistic(centred @ weights, residual, share))


def _share(sample_weight: AnyFloats) -> FloatArray:
    """Of each row in the sum, in double precision, as everything is that is multiplied with it."""
    return np.asarray(sample_weight / sample_weight.sum(dtype=np.float64), dtype=np.float64)


def _loss(combined: FloatArray, residual: FloatArray, share: FloatArray) -> float:
    return float(share @ (residual - combined) ** 2)


def _noise(combined: FloatArray, residual: FloatArray, share: FloatArray) -> float:
    """What one superfluous weight takes off the loss on average: the residuals' variance over the effective rows."""
    return float((share**2) @ (residual - combined) ** 2)


def _simplex_least_squares(x: FloatArray, y: FloatArray, share: FloatArray) -> FloatArray:
    """Non-negative weights with a sum of at most 1 that minimise sum of share * (y - x . weights)^2."""
    gram = (x * share[:, None]).T @ x
    scale = float(np.trace(gram))
    if scale <= 0:
        return np.zeros(x.shape[1])
    values, vectors = np.linalg.eigh(gram / scale)
    roots = np.sqrt(np.maximum(values, 1e-12))
    target = (vectors.T @ ((x * share[:, None]).T @ y / scale)) / roots
    design = roots[:, None] * vectors.T
    free, _ = nnls(design, target)
    if free.sum() <= 1.0:
        return np.asarray(free)
    # Held by one more row of large weight: sum of the weights = 1.
    held, _ = nnls(np.vstack([design, np.full(x.shape[1], _FIRMNESS)]), np.append(target, _FIRMNESS))
    return np.asarray(held / max(1.0, float(held.sum())))


def _t_statistic(combined: FloatArray, residual: FloatArray, share: FloatArray) -> float:
    """Of the slope of the pseudo-outcome on the combination, with a heteroscedastic standard error."""
    energy = float(share @ combined**2)
    if energy <= 0:
        return 0.0
    slope = float(share @ (combined * residual)) / energy
    errors = residual - slope * combined
    return slope / float(np.sqrt((share**2) @ (combined * errors) ** 2) / energy)
