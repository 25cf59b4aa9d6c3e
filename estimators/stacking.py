"""Third step of an uplift: non-negative weights of several learners, with the average effect in the library.

The library's constant takes what the others do not earn, so thin data shrinks to the average effect.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from estimators.arrays import FloatArray

LEAST_WEIGHT = 0.01
"""Smaller weights are dropped."""

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


def fit_stack(pseudo_outcome: FloatArray, members: FloatArray, sample_weight: FloatArray) -> Stack:
    """Weights that minimise the weighted squared distance to the pseudo-outcomes, then shrunk by their own evidence.

    The doubly robust loss is noisy: where contacts do not differ, some weights come out positive by chance. With the t-statistic t of the
    combination all weights are multiplied by t^2 / (1 + t^2), the share of signal in signal plus noise; below t = 0 by 0. A weight
    under LEAST_WEIGHT is dropped: its member would cost more to serve than it adds.

    Parameters
    ----------
    pseudo_outcome : array, shape (n,)
    members : array, shape (n, K)
        Out-of-fold uplifts.
    sample_weight : array, shape (n,)

    References
    ----------
    Lan and Syrgkanis, "Causal Q-Aggregation for CATE Model Selection", 2023.
    """
    share = sample_weight / sample_weight.sum()
    average = float(share @ pseudo_outcome)
    residual = pseudo_outcome - average
    standard_error = float(np.sqrt((share**2) @ residual**2))
    centred = members - share @ members
    weights = _simplex_least_squares(centred, residual, share)
    evidence = _t_statistic(centred @ weights, residual, share)
    shrunk = weights * (evidence**2 / (1.0 + evidence**2) if evidence > 0 else 0.0)
    return Stack(average, standard_error, np.where(shrunk < LEAST_WEIGHT, 0.0, shrunk), evidence)


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
