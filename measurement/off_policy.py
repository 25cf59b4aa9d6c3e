"""What would a policy have earned, judged by what another one logged? Per-row quantities, whose mean is the policy's value.

All estimators read one `Log`; notation there. They stand between two ends: IPS believes the log alone (unbiased, noisy), the direct method
believes the model alone (quiet, as biased as the model). The others give each row to the log as far as its weight is bearable:

==========  =============================  ===========================================
name        weight of the row's surprise   bearable means
==========  =============================  ===========================================
clipped     min(w, M), without a model     no row counts more than M rows
dr          w                              always
switch_dr   w where w <= M, else 0         above M the model alone speaks
dros        L w / (w^2 + L)                smoothly: w where w^2 << L, L / w far above
==========  =============================  ===========================================
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from measurement.arrays import FloatArray
from measurement.off_policy_log import Log


def ips_rows(log: Log) -> FloatArray:
    """Inverse probability scoring (IPS): :math:`z_i = w_i r_i`.

    Unbiased where the selection probabilities are right and every action that the policy takes could have been logged; its variance grows
    with the largest weights, and with the level of the rewards.

    References
    ----------
    Alex Strehl, John Langford, Lihong Li and Sham Kakade. "Learning from Logged Implicit Exploration Data.", 2010.
    """
    return log.weight * log.reward


def snips_rows(log: Log) -> FloatArray:
    """Self-normalised IPS (SNIPS): :math:`\\hat V = \\sum w_i r_i / \\sum w_i`, linearised.

    :math:`z_i = \\hat V + w_i (r_i - \\hat V) / \\bar w`.
    Biased by O(1/n), usually with much less variance than IPS, and indifferent to the level of the rewards. The mean of the rows is the
    estimate; their spread gives the standard error of the delta method.

    Raises
    ------
    ValueError
        No logged row agrees with the policy.

    References
    ----------
    Adith Swaminathan and Thorsten Joachims. "The Self-Normalized Estimator for Counterfactual Learning.", 2015.
    """
    weight = log.weight
    mean = float((log.counts * weight).mean())
    if mean <= 0.0:
        raise ValueError("no logged row agrees with the policy: its value cannot be estimated from this log")
    value = float((log.counts * weight * log.reward).mean() / mean)
    return value + weight * (log.reward - value) / mean


def dm_rows(log: Log) -> FloatArray:
    """Direct method (DM): :math:`z_i = \\hat q(x_i, \\pi_e)`.

    As biased as the model; its interval covers the rows drawn, not the model's error, and so is too narrow.

    References
    ----------
    Alina Beygelzimer and John Langford. "The Offset Tree for Learning with Partial Labels.", 2009.
    """
    return _predictions(log)[1]


def dr_rows(log: Log) -> FloatArray:
    """Doubly robust (DR): :math:`z_i = \\hat q(x_i, \\pi_e) + w_i (r_i - \\hat q(x_i, a_i))`.

    Unbiased where either the selection probabilities or the model is right; a good model removes variance that IPS keeps.

    References
    ----------
    Miroslav Dudík, Dumitru Erhan, John Langford and Lihong Li. "Doubly Robust Policy Evaluation and Optimization.", 2014.
    """
    logged, policy = _predictions(log)
    return policy + log.weight * (log.reward - logged)


def clipped_ips_rows(log: Log, max_weight: float | None = None) -> FloatArray:
    """IPS with clipped weights: :math:`z_i = \\min(w_i, M) r_i`.

    Parameters
    ----------
    max_weight : float, optional
        M, above 0; by default the one with the least estimated error (`least_error`).

    References
    ----------
    Léon Bottou et al. "Counterfactual Reasoning and Learning Systems.", 2013.
    """
    nothing = np.zeros_like(log.reward)

    def corrected(limit: float) -> FloatArray:
        return np.minimum(log.weight, limit)

    return corrected(_bearable(log, nothing, corrected) if max_weight is None else _positive("max_weight", max_weight)) * log.reward


def switch_dr_rows(log: Log, max_weight: float | None = None) -> FloatArray:
    """Switch-DR: :math:`z_i = \\hat q(x_i, \\pi_e) + 1\\{w_i \\le M\\} w_i (r_i - \\hat q(x_i, a_i))`.

    Parameters
    ----------
    max_weight : float, optional
        M, above 0; by default the one with the least estimated error.

    References
    ----------
    Yu-Xiang Wang, Alekh Agarwal and Miroslav Dudík. "Optimal and Adaptive Off-policy Evaluation in Contextual Bandits.", 2017.
    """
    logged, policy = _predictions(log)

    def corrected(limit: float) -> FloatArray:
        return np.where(log.weight <= limit, log.weight, 0.0)

    limit = _bearable(log, logged, corrected) if max_weight is None else _positive("max_weight", max_weight)
    return policy + corrected(limit) * (log.reward - logged)


def dros_rows(log: Log, shrinkage: float | None = None) -> FloatArray:
    """DR with optimistic shrinkage: :math:`z_i = \\hat q(x_i, \\pi_e) + \\frac{\\lambda w_i}{w_i^2 + \\lambda} (r_i - \\hat q(x_i, a_i))`.

    Parameters
    ----------
    shrinkage : float, optional
        :math:`\\lambda`, above 0: DM as it falls to 0, DR as it grows; by default the one with the least estimated error.

    References
    ----------
    Yi Su, Maria Dimakopoulou, Akshay Krishnamurthy and Miroslav Dudík. "Doubly Robust Off-policy Evaluation with Shrinkage.", 2020.
    """
    logged, policy = _predictions(log)

    def corrected(limit: float) -> FloatArray:
        return limit**2 * log.weight / (log.weight**2 + limit**2)  # sqrt(lambda) is on the scale of a weight

    limit = _bearable(log, logged, corrected) if shrinkage is None else np.sqrt(_positive("shrinkage", shrinkage))
    return policy + corrected(float(limit)) * (log.reward - logged)


ROWS: dict[str, Callable[[Log], FloatArray]] = {
    "ips": ips_rows,
    "snips": snips_rows,
    "clipped": clipped_ips_rows,
    "dm": dm_rows,
    "dr": dr_rows,
    "switch_dr": switch_dr_rows,
    "dros": dros_rows,
}
"""Every estimator by name: a log to its per-row quantities :math:`z_i`, whose mean is the policy's value."""

LIMITS = 30
"""How many limits of a weight are tried."""


def with_control_variate(rows: FloatArray, log: Log) -> FloatArray:
    """The same quantities with the noise taken out that the weights explain: :math:`z_i - \\beta (w_i - 1)`.

    The mean weight is 1 where the probabilities are right, so the subtracted term is 0 on average; :math:`\\beta = cov(z, w) / var(w)`
    leaves the least variance. Of IPS it makes nearly SNIPS, and keeps the level of the rewards from mattering.

    References
    ----------
    Art Owen. "Monte Carlo theory, methods and examples.", 2013, section 9.10 (regression estimator).

    Examples
    --------
    >>> log = Log([10.0, 10.0, 10.0], [1, 0, 1], [0.5, 0.5, 0.5])
    >>> with_control_variate(ips_rows(log), log).tolist()
    [10.0, 10.0, 10.0]
    """
    excess = log.weight - log.weight.mean()
    variance = float(excess @ excess)
    slope = float(excess @ rows) / variance if variance > 0 else 0.0
    return rows - slope * (log.weight - 1.0)


def _bearable(log: Log, predicted: FloatArray, corrected: Callable[[float], FloatArray]) -> float:
    """The limit of a weight with the least estimated squared error: (what the limit takes away on average)^2 + variance / n.

    The first is the bias as the log shows it, plus its standard error. A log that says little about the bias is not taken at its word: with
    limits that only look best, intervals would be too narrow.
    """
    weight, surprise, n = log.weight, log.reward - predicted, log.reward.size
    largest = float(weight.max())
    if largest <= 0.0 or n < 2:
        return 1.0
    tried = np.unique(np.geomspace(max(float(weight[weight > 0].min()), largest * 1e-4), largest, LIMITS))
    base = log.predicted_policy if log.predicted_policy is not None and predicted.any() else np.zeros(n)

    def error(limit: float) -> float:
        kept: FloatArray = corrected(limit)
        lost = (weight - kept) * surprise
        bias = abs(float(lost.mean())) + float(lost.std()) / np.sqrt(n)
        return float(bias**2 + (base + kept * surprise).var() / n)

    return float(min(tried.tolist(), key=error))


def _positive(name: str, number: float) -> float:
    if not number > 0.0:
        raise ValueError(f"{name}: got {number:g}, expected a number above 0")
    return float(number)


def _predictions(log: Log) -> tuple[FloatArray, FloatArray]:
    if log.predicted_logged is None or log.predicted_policy is None:
        raise ValueError("predicted_logged and predicted_policy: got none, and dm, dr, switch_dr and dros need both; ips does without")
    return log.predicted_logged, log.predicted_policy
