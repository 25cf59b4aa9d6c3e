"""A mean of per-row quantities with an interval around it: normal, bootstrap, or valid at any sample size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from measurement.arrays import FloatArray, between, column

LEVEL = 0.95
"""Share of intervals that hold the truth, where nothing else is asked for."""


@dataclass(frozen=True)
class Interval:
    """A number and the interval around it."""

    value: float
    low: float
    high: float
    standard_error: float

    def __contains__(self, number: float) -> bool:
        return self.low <= number <= self.high


def standard_error(per_row: npt.ArrayLike) -> float:
    """Standard error of the mean of `per_row`: ``s / sqrt(n)`` with n - 1 in s; infinite for a single row."""
    rows = column("per_row", per_row)
    return float(rows.std(ddof=1) / np.sqrt(rows.size)) if rows.size > 1 else float("inf")


def normal_interval(per_row: npt.ArrayLike, *, level: float = LEVEL) -> Interval:
    r"""Mean with the interval of the central limit theorem: :math:`\bar z \pm q_{(1+level)/2} \, s / \sqrt n`.

    Too narrow where a few rows carry the sum (spend, large importance weights): then look at the bootstrap, or at the effective sample
    size.

    Parameters
    ----------
    per_row : array-like, shape (n,)
        :math:`z_i`, independent across rows.

    Examples
    --------
    >>> found = normal_interval([0.0, 1.0, 1.0, 0.0])
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (0.5, -0.066, 1.066)
    """
    rows = column("per_row", per_row)
    value, error = float(rows.mean()), standard_error(rows)
    reach = _normal_quantile(level) * error
    return Interval(value, value - reach, value + reach, error)


def bootstrap_interval(per_row: npt.ArrayLike, rng: np.random.Generator, *, level: float = LEVEL, resamples: int = 1_000) -> Interval:
    """Mean with the percentile bootstrap interval: rows drawn with replacement, `resamples` times.

    Follows skewed rows better than the normal interval; still too narrow where the sample missed a rare large row altogether.

    Parameters
    ----------
    per_row : array-like, shape (n,)
    rng : numpy Generator
        The same generator state gives the same interval.

    References
    ----------
    Bradley Efron. "Bootstrap Methods: Another Look at the Jackknife.", 1979.
    """
    rows = column("per_row", per_row)
    return bootstrap(lambda counts: float(counts @ rows / rows.size), rows.size, rng, level=level, resamples=resamples)


def bootstrap(
    statistic: Callable[[FloatArray], float], rows: int, rng: np.random.Generator, *, level: float = LEVEL, resamples: int = 1_000
) -> Interval:
    """Any statistic of rows with the percentile bootstrap interval.

    Parameters
    ----------
    statistic : callable
        Takes how often each row was drawn, shape (n,), and returns the number; all ones gives the value itself. Resamples for which it is
        NaN are left out.
    """
    value = statistic(np.ones(rows))
    drawn = [statistic(np.bincount(rng.integers(0, rows, rows), minlength=rows).astype(np.float64)) for _ in range(resamples)]
    found = np.array(drawn)[~np.isnan(drawn)]
    if found.size < 2:
        return Interval(value, float("nan"), float("nan"), float("nan"))
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high), float(found.std(ddof=1)))


def clustered_interval(
    per_row: npt.ArrayLike, cluster: npt.NDArray[np.generic], *, level: float = LEVEL, rng: np.random.Generator | None = None
) -> Interval:
    r"""Mean of rows of which those of one cluster (a contact, a firm) belong together, with its interval.

    The standard error is :math:`\sqrt{\frac{C}{C-1} \sum_c (\sum_{i \in c} (z_i - \bar z))^2} / n` over the C clusters.

    Parameters
    ----------
    per_row : array-like, shape (n,)
    cluster : array, shape (n,)
        What each row belongs to.
    rng : numpy Generator, optional
        Given, the interval is a bootstrap of whole clusters.

    References
    ----------
    Kung-Yee Liang and Scott Zeger. "Longitudinal Data Analysis Using Generalized Linear Models.", 1986.

    Examples
    --------
    >>> alone, paired = normal_interval([0, 1, 1, 0] * 9), clustered_interval([0, 1, 1, 0] * 9, np.repeat(np.arange(9), 4))
    >>> paired.standard_error < alone.standard_error  # each cluster holds as many of either
    True
    """
    rows = column("per_row", per_row)
    if cluster.shape != rows.shape:
        raise ValueError(f"cluster: got shape {cluster.shape}, expected {rows.shape}")
    code = np.unique(cluster, return_inverse=True)[1]
    sums, sizes = np.bincount(code, weights=rows), np.bincount(code).astype(np.float64)
    if rng is not None:
        return bootstrap(lambda counts: float(counts @ sums / (counts @ sizes)), sums.size, rng, level=level)
    value, count = float(rows.mean()), sums.size
    left = sums - value * sizes
    error = float(np.sqrt(count / (count - 1) * (left @ left)) / rows.size) if count > 1 else float("inf")
    reach = _normal_quantile(level) * error
    return Interval(value, value - reach, value + reach, error)


def weighted_mean_rows(per_row: npt.ArrayLike, weight: npt.ArrayLike) -> FloatArray:
    r"""Rows whose plain mean is the weighted mean of `per_row`, and whose spread is that of its error:
    :math:`\bar z_w + w_i (z_i - \bar z_w) / \bar w`.

    A weighted mean is a ratio of two sums; this is its linearisation, so that every interval here serves for it.

    Parameters
    ----------
    per_row, weight : array-like, shape (n,)
        Weights above 0.

    References
    ----------
    William Cochran. "Sampling Techniques.", 1977, chapter 6 (ratio estimators).

    Examples
    --------
    >>> weighted_mean_rows([1.0, 0.0], [3.0, 1.0]).mean()
    np.float64(0.75)
    """
    rows = column("per_row", per_row)
    heft = between("weight", column("weight", weight, rows.size), 0.0, np.inf, open_low=True)
    value = np.average(rows, weights=heft)
    return np.asarray(value + heft / heft.mean() * (rows - value), dtype=np.float64)


def empirical_bernstein_interval(per_row: npt.ArrayLike, bounds: tuple[float, float], *, level: float = LEVEL) -> Interval:
    r"""Mean with an interval that holds the truth at any sample size, for rows within known bounds.

    With :math:`\delta = 1 - level`, V the sample variance and R the width of the bounds, the reach on either side is
    :math:`\sqrt{2 V \ln(4/\delta) / n} + 7 R \ln(4/\delta) / (3 (n - 1))`: never too narrow, often several times too wide.

    Parameters
    ----------
    per_row : array-like, shape (n,)
        Independent across rows, each within `bounds`.
    bounds : (low, high)
        Known before the data: bounds read off the sample void the guarantee.

    Raises
    ------
    ValueError
        A row lies outside the bounds.

    References
    ----------
    Andreas Maurer and Massimiliano Pontil. "Empirical Bernstein Bounds and Sample Variance Penalization.", 2009.
    """
    low, high = bounds
    rows = between("per_row", column("per_row", per_row), low, high)
    value, error = float(rows.mean()), standard_error(rows)
    if rows.size < 2:
        return Interval(value, low, high, error)
    log = np.log(4.0 / (1.0 - level))
    reach = float(np.sqrt(2.0 * rows.var(ddof=1) * log / rows.size) + 7.0 * (high - low) * log / (3.0 * (rows.size - 1)))
    return Interval(value, max(low, value - reach), min(high, value + reach), error)


def _normal_quantile(level: float) -> float:
    if not 0.0 < level < 1.0:
        raise ValueError(f"level: got {level:g}, expected a share between 0 and 1, such as 0.95")
    return float(stats.norm.ppf((1.0 + level) / 2.0))
