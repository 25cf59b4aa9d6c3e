"""What another policy logged, as the policy that is judged sees it, and how much of it speaks about that policy.

Notation of all formulas, over the n rows of the log:

- :math:`r_i` reward, :math:`a_i` logged action;
- :math:`\\pi_b(a_i|x_i)` its ``selection_prob``, :math:`\\pi_e(a_i|x_i)` the ``target_prob``;
- :math:`w_i = \\pi_e(a_i|x_i) / \\pi_b(a_i|x_i)`, the importance weight;
- :math:`\\hat q(x_i, a)` the predicted reward, which must not have seen row i (out of fold), and
  :math:`\\hat q(x_i, \\pi_e) = \\sum_a \\pi_e(a|x_i) \\hat q(x_i, a)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from measurement.arrays import FloatArray, between, column


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
    stands_for : array-like, shape (n,), optional
        How many rows of the whole log each row stands for, above 0, where the log was thinned; else all count alike.

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
    stands_for: FloatArray | None = None

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
        if self.stands_for is not None:
            counts = column("stands_for", self.stands_for, reward.size)
            checked["stands_for"] = between("stands_for", counts, 0.0, np.inf, open_low=True)
        for name, array in checked.items():
            object.__setattr__(self, name, array)

    @property
    def weight(self) -> FloatArray:
        """:math:`w_i`, shape (n,)."""
        return self.target_prob / self.selection_prob

    @property
    def counts(self) -> FloatArray:
        """How many rows each row counts as, 1 on average, shape (n,)."""
        if self.stands_for is None:
            return np.ones_like(self.reward)
        return np.asarray(self.stands_for / self.stands_for.mean(), dtype=np.float64)


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


def overlap(log: Log) -> Overlap:
    """How much of the log speaks about the policy.

    Examples
    --------
    >>> overlap(Log([1, 0, 1, 0], [1, 1, 0, 0], [0.5, 0.5, 0.5, 0.5])).effective_sample_size
    2.0
    """
    weight = log.weight * log.counts
    squares = float((weight**2).sum())
    ess = float(weight.sum()) ** 2 / squares if squares > 0 else 0.0
    return Overlap(ess, float((log.counts * (weight > 0)).mean()), float(weight.mean()), float(weight.max()))


FEW_ROWS, SMALL_SHARE, HEAVY = 100.0, 0.05, 0.05
"""Effective rows below which an interval is not to be trusted; shares of the log that agree, and that one row carries, worth a warning."""


def overlap_warnings(log: Log) -> tuple[str, ...]:
    """What makes the log a weak witness for this policy, in plain words; empty where nothing does.

    Examples
    --------
    >>> overlap_warnings(Log([1.0] * 4, [0.0] * 4, [0.5] * 4))
    ('nothing that the policy does was ever logged: its value cannot be estimated from this log',)
    """
    found = overlap(log)
    if found.matched == 0.0:
        return ("nothing that the policy does was ever logged: its value cannot be estimated from this log",)
    weight, warnings = log.weight * log.counts, []
    if found.effective_sample_size < FEW_ROWS:
        warnings.append(f"the log says as much about the policy as {found.effective_sample_size:,.0f} rows would")
    if found.matched < SMALL_SHARE:
        warnings.append(f"only {found.matched:.1%} of the logged choices are the policy's")
    if weight.max() > HEAVY * weight.sum():
        warnings.append(f"a single row carries {weight.max() / weight.sum():.0%} of all weight")
    error = float(weight.std(ddof=1) / np.sqrt(weight.size)) if weight.size > 1 else float("inf")
    if abs(found.mean_weight - 1.0) > 4.0 * error:
        cause = "the policy does what was never tried, or" if found.mean_weight < 1.0 else "selection probabilities are too small, or"
        warnings.append(f"weights average {found.mean_weight:.2f} where 1 is expected: {cause} they are wrong")
    return tuple(warnings)
