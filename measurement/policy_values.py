"""The value of a policy a row, its gain over another, the money of a whole plan: each with its interval and what stands behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from measurement.arrays import FloatArray
from measurement.intervals import (
    LEVEL,
    Interval,
    bootstrap_interval,
    clustered_interval,
    empirical_bernstein_interval,
    normal_interval,
    weighted_mean_rows,
)
from measurement.off_policy import ROWS, with_control_variate
from measurement.off_policy_log import Log, Overlap, overlap


@dataclass(frozen=True)
class PolicyValue:
    """The value of a policy a row (of a plan: in all), with its interval and what stands behind it."""

    value: float
    low: float
    high: float
    standard_error: float
    overlap: Overlap


@dataclass(frozen=True)
class How:
    """How a value is estimated and how its interval is made.

    Parameters
    ----------
    estimator : str
        A name in `ROWS`.
    level : float
        Share of intervals that hold the truth.
    contact : array, shape (n,), optional
        Whose row it is: the rows of a contact are not independent, and the interval then counts contacts.
    rng : numpy Generator, optional
        Given, the interval is a bootstrap, of contacts where they are given.
    bounds : (low, high), optional
        Bounds of the per-row quantities, known before the data: given, the interval is the empirical Bernstein one, never too narrow.
    control_variate : bool
        Take out the noise that the weights explain.
    """

    estimator: str = "dr"
    level: float = LEVEL
    contact: npt.NDArray[np.generic] | None = None
    rng: np.random.Generator | None = None
    bounds: tuple[float, float] | None = None
    control_variate: bool = False

    def rows(self, log: Log) -> FloatArray:
        """The per-row quantities, shape (n,), before rows count as many as they stand for."""
        if self.estimator not in ROWS:
            raise ValueError(f"estimator: got {self.estimator!r}, expected one of {', '.join(ROWS)}")
        found = ROWS[self.estimator](log)
        return with_control_variate(found, log) if self.control_variate else found

    def interval(self, rows: FloatArray, stands_for: FloatArray | None = None) -> Interval:
        """Their mean with its interval; with `stands_for` the mean of the whole log.

        Raises
        ------
        ValueError
            Bounds of rows say nothing where rows stand for others.
        """
        if stands_for is not None and np.ptp(stands_for) > 0:
            if self.bounds is not None:
                raise ValueError("bounds: got rows that stand for different numbers of others, expected all to stand for as many")
            rows = weighted_mean_rows(rows, stands_for)
        if self.bounds is not None:
            return empirical_bernstein_interval(rows, self.bounds, level=self.level)
        if self.contact is not None:
            return clustered_interval(rows, self.contact, level=self.level, rng=self.rng)
        return normal_interval(rows, level=self.level) if self.rng is None else bootstrap_interval(rows, self.rng, level=self.level)


def policy_value(log: Log, estimator: str = "dr", *, how: How | None = None) -> PolicyValue:
    """The value of the policy a row.

    Parameters
    ----------
    log : Log
    estimator : str
        A name in `ROWS`, where `how` is not given.
    how : How, optional

    Examples
    --------
    >>> log = Log([10.0, 0.0, 4.0, 6.0], [1, 1, 0, 0], [0.5, 0.5, 0.5, 0.5])
    >>> policy_value(log, "ips").value
    5.0
    """
    asked = how or How(estimator)
    found = asked.interval(asked.rows(log), log.stands_for)
    return PolicyValue(found.value, found.low, found.high, found.standard_error, overlap(log))


def policy_gain(challenger: Log, champion: Log, estimator: str = "dr", *, how: How | None = None) -> Interval:
    """What the challenger would earn more a row than the champion, on the same log: the interval of the per-row differences.

    Rows on which both agree cancel, so the interval is much narrower than those of the two values suggest.

    Raises
    ------
    ValueError
        The two logs are not of the same rows.
    """
    same = challenger.reward.size == champion.reward.size and np.array_equal(challenger.reward, champion.reward)
    same = same and np.array_equal(challenger.selection_prob, champion.selection_prob)
    if not same or not np.array_equal(challenger.counts, champion.counts):
        raise ValueError("challenger and champion: got different rewards, selection probabilities or counts, expected the same log")
    asked = how or How(estimator)
    return asked.interval(asked.rows(challenger) - asked.rows(champion), challenger.stands_for)


def plan_value(log: Log, contacts: int, *, how: How | None = None) -> PolicyValue:
    """The money of a whole plan: what it gives each contact is the policy, and budgets were kept when it was made.

    Given the plan, contacts respond independently of each other, so the total is `contacts` times the mean over the logged rows, which
    must be a fair sample of those contacts.

    Examples
    --------
    >>> log = Log([10.0, 0.0, 4.0, 6.0], [1, 1, 0, 0], [0.5, 0.5, 0.5, 0.5])
    >>> plan_value(log, 1_000, how=How("ips")).value
    5000.0
    """
    mean = policy_value(log, how=how)
    return PolicyValue(mean.value * contacts, mean.low * contacts, mean.high * contacts, mean.standard_error * contacts, mean.overlap)


def rows_needed(gain: Interval, rows: int, *, at_least: float = 0.0) -> int | None:
    """How many more rows until the lower bound of a gain like this one is above `at_least`; None where more rows will not show it.

    The reach of the interval shrinks with the square root of the rows; the gain is taken to stay what it is.

    Examples
    --------
    >>> rows_needed(Interval(1.0, -1.0, 3.0, 1.0), 100)
    300
    """
    beyond, reach = gain.value - at_least, gain.value - gain.low
    if beyond <= 0.0 or not np.isfinite(reach):
        return None
    return max(0, int(np.ceil(rows * (reach / beyond) ** 2)) - rows)
