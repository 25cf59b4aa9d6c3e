"""What would a policy have earned, judged by what another one logged? Per row, then the mean, then the interval.

All estimators read one `Log`: rewards of logged choices, the probability with which each was chosen, and the probability with which the
judged policy would have chosen the same. Notation of the formulas, over the n rows of the log:

- :math:`r_i` reward, :math:`a_i` logged action;
- :math:`\\pi_b(a_i|x_i)` its ``selection_prob``, :math:`\\pi_e(a_i|x_i)` the ``target_prob``;
- :math:`w_i = \\pi_e(a_i|x_i) / \\pi_b(a_i|x_i)`, the importance weight;
- :math:`\\hat q(x_i, a)` the predicted reward, which must not have seen row i (out of fold), and
  :math:`\\hat q(x_i, \\pi_e) = \\sum_a \\pi_e(a|x_i) \\hat q(x_i, a)`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from measurement.arrays import FloatArray, between, column
from measurement.intervals import LEVEL, Interval, bootstrap_interval, normal_interval


@dataclass(frozen=True)
class Log:
    """A log as one policy sees it.

    Parameters
    ----------
    reward : array-like, shape (n,)
        :math:`r_i`.
    target_prob : array-like, shape (n,)
        :math:`\\pi_e(a_i|x_i)`: of a policy without chance, 1 where it would have done what was logged and 0 elsewhere.
    selection_prob : array-like, shape (n,)
        :math:`\\pi_b(a_i|x_i)`, above 0.
    predicted_logged, predicted_policy : array-like, shape (n,), optional
        :math:`\\hat q(x_i, a_i)` and :math:`\\hat q(x_i, \\pi_e)`; both or none. DM and DR need them.

    Raises
    ------
    ValueError
        Columns of different lengths, NaN, or probabilities outside their range.
    """

    reward: FloatArray
    target_prob: FloatArray
    selection_prob: FloatArray
    predicted_logged: FloatArray | None = None
    predicted_policy: FloatArray | None = None

    def __post_init__(self) -> None:
        reward = column("reward", self.reward)
        checked = {"reward": reward}
        for name, open_low in (("target_prob", False), ("selection_prob", True)):
            checked[name] = between(name, column(name, getattr(self, name), reward.size), 0.0, 1.0, open_low=open_low)
        if (self.predicted_logged is None) != (self.predicted_policy is None):
            raise ValueError("predicted_logged and predicted_policy: got one, expected both or none")
        for name in ("predicted_logged", "predicted_policy"):
            if getattr(self, name) is not None:
                checked[name] = column(name, getattr(self, name), reward.size)
        for name, array in checked.items():
            object.__setattr__(self, name, array)

    @property
    def weight(self) -> FloatArray:
        """:math:`w_i`, shape (n,)."""
        return self.target_prob / self.selection_prob


def log_of(
    reward: npt.ArrayLike,
    action: npt.NDArray[np.int64],
    selection_prob: npt.ArrayLike,
    policy: npt.NDArray[np.generic],
    predicted: npt.NDArray[np.float64] | None = None,
) -> Log:
    """The `Log` of a policy over K actions.

    Parameters
    ----------
    action : ndarray of int, shape (n,)
        Logged action, 0 to K - 1.
    policy : ndarray, shape (n,) or (n, K)
        The action that the judged policy takes, or its probabilities :math:`\\pi_e(a|x_i)`, rows summing to 1.
    predicted : ndarray, shape (n, K), optional
        :math:`\\hat q(x_i, a)`, out of fold.

    Examples
    --------
    >>> log = log_of([1.0, 0.0], np.array([0, 1]), [0.5, 0.5], policy=np.array([0, 0]))
    >>> log.target_prob
    array([1., 0.])
    """
    actions = np.asarray(action, dtype=np.int64)
    rows = np.arange(actions.size)
    if policy.ndim == 1:
        chosen = policy.astype(np.int64)
        target = (chosen == actions).astype(np.float64)
        if predicted is None:
            return Log(np.asarray(reward), target, np.asarray(selection_prob))
        return Log(np.asarray(reward), target, np.asarray(selection_prob), predicted[rows, actions], predicted[rows, chosen])
    probs = policy.astype(np.float64)
    if not np.allclose(probs.sum(axis=1), 1.0, atol=1e-6):
        raise ValueError("policy: the probabilities of a row do not sum to 1")
    if predicted is None:
        return Log(np.asarray(reward), probs[rows, actions], np.asarray(selection_prob))
    expected = (probs * predicted).sum(axis=1)
    return Log(np.asarray(reward), probs[rows, actions], np.asarray(selection_prob), predicted[rows, actions], expected)


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
    mean = float(weight.mean())
    if mean <= 0.0:
        raise ValueError("no logged row agrees with the policy: its value cannot be estimated from this log")
    value = float((weight * log.reward).mean() / mean)
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


ROWS: dict[str, Callable[[Log], FloatArray]] = {"ips": ips_rows, "snips": snips_rows, "dm": dm_rows, "dr": dr_rows}
"""Every estimator by name: a log to its per-row quantities :math:`z_i`, whose mean is the policy's value."""


@dataclass(frozen=True)
class Overlap:
    """How much of the log speaks about the policy.

    Parameters
    ----------
    effective_sample_size : float
        Kish's :math:`(\\sum w_i)^2 / \\sum w_i^2`: as many equally weighted rows would say as much.
    matched : float
        Share of rows with a weight above 0.
    mean_weight : float
        1 up to chance where the selection probabilities are right and cover what the policy does; clearly less: the policy does what was
        never tried; clearly more: the probabilities are too small.
    max_weight : float
        The largest weight: one row counts as this many.
    """

    effective_sample_size: float
    matched: float
    mean_weight: float
    max_weight: float


@dataclass(frozen=True)
class PolicyValue:
    """The value of a policy a row, with its interval and what stands behind it."""

    value: float
    low: float
    high: float
    standard_error: float
    overlap: Overlap


def overlap(log: Log) -> Overlap:
    """How much of the log speaks about the policy.

    Examples
    --------
    >>> overlap(Log([1, 0, 1, 0], [1, 1, 0, 0], [0.5, 0.5, 0.5, 0.5])).effective_sample_size
    2.0
    """
    weight = log.weight
    squares = float((weight**2).sum())
    ess = float(weight.sum()) ** 2 / squares if squares > 0 else 0.0
    return Overlap(ess, float((weight > 0).mean()), float(weight.mean()), float(weight.max()))


def policy_value(log: Log, estimator: str = "dr", *, level: float = LEVEL, rng: np.random.Generator | None = None) -> PolicyValue:
    """The value of the policy a row.

    Parameters
    ----------
    estimator : str
        ``ips``, ``snips``, ``dm`` or ``dr``.
    rng : numpy Generator, optional
        Given, the interval is a bootstrap of the per-row quantities; else it is the normal one.

    Examples
    --------
    >>> log = Log([10.0, 0.0, 4.0, 6.0], [1, 1, 0, 0], [0.5, 0.5, 0.5, 0.5])
    >>> policy_value(log, "ips").value
    5.0
    """
    found = _interval(_rows(log, estimator), level, rng)
    return PolicyValue(found.value, found.low, found.high, found.standard_error, overlap(log))


def policy_gain(
    challenger: Log, champion: Log, estimator: str = "dr", *, level: float = LEVEL, rng: np.random.Generator | None = None
) -> Interval:
    """What the challenger would earn more a row than the champion, on the same log: the interval of the per-row differences.

    Rows on which both agree cancel, so the interval is much narrower than those of the two values suggest.

    Raises
    ------
    ValueError
        The two logs are not of the same rows.
    """
    same = challenger.reward.size == champion.reward.size and np.array_equal(challenger.reward, champion.reward)
    if not same or not np.array_equal(challenger.selection_prob, champion.selection_prob):
        raise ValueError("challenger and champion: got different rewards or selection probabilities, expected the same log")
    return _interval(_rows(challenger, estimator) - _rows(champion, estimator), level, rng)


def _rows(log: Log, estimator: str) -> FloatArray:
    if estimator not in ROWS:
        raise ValueError(f"estimator: got {estimator!r}, expected one of {', '.join(ROWS)}")
    return ROWS[estimator](log)


def _interval(rows: FloatArray, level: float, rng: np.random.Generator | None) -> Interval:
    return normal_interval(rows, level=level) if rng is None else bootstrap_interval(rows, rng, level=level)


def _predictions(log: Log) -> tuple[FloatArray, FloatArray]:
    if log.predicted_logged is None or log.predicted_policy is None:
        raise ValueError("predicted_logged and predicted_policy: got none, and dm and dr need both; ips and snips do without")
    return log.predicted_logged, log.predicted_policy
