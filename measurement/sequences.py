"""Intervals that hold the truth at every moment at once: one may look as often as one likes, and stop when one has seen enough.

A 95 % interval that is looked at daily misses the truth, sooner or later, far more often than once in twenty. A confidence sequence does
not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from measurement.arrays import FloatArray, between, column
from measurement.intervals import LEVEL


@dataclass(frozen=True, eq=False)
class Sequence:
    """A running mean with its bounds after each row, arrays of shape (n,)."""

    mean: FloatArray
    low: FloatArray
    high: FloatArray

    def first_above(self, number: float) -> int | None:
        """After how many rows the lower bound was above a number first; None where it never was."""
        above = np.flatnonzero(self.low > number)
        return int(above[0]) + 1 if len(above) else None


def asymptotic_sequence(per_row: npt.ArrayLike, *, level: float = LEVEL, tightest_at: int = 1_000) -> Sequence:
    r"""For rows of any kind: valid at all times once there are some dozens of rows, as the central limit theorem is at one time.

    :math:`\bar z_t \pm \hat\sigma_t \sqrt{\frac{2 (t \rho^2 + 1)}{t^2 \rho^2} \ln \frac{\sqrt{t \rho^2 + 1}}{\alpha}}`

    Parameters
    ----------
    per_row : array-like, shape (n,)
        In the order of time.
    level : float
        The share of such sequences that hold the truth at every row.
    tightest_at : int
        About how many rows the sequence is tightest at; it chooses :math:`\rho` and must not depend on the data.

    References
    ----------
    Ian Waudby-Smith, David Arbour, Ritwik Sinha, Edward Kennedy and Aaditya Ramdas. "Time-uniform Central Limit Theory and Asymptotic
    Confidence Sequences.", 2024 (Theorem 2.2, and appendix B.2 for rho).

    Examples
    --------
    >>> found = asymptotic_sequence(np.random.default_rng(7).normal(1.0, 1.0, 2_000))
    >>> bool(found.low[-1] > 0.85), bool(found.high[-1] < 1.15)
    (True, True)
    """
    rows = column("per_row", per_row)
    alpha, t = _alpha(level), np.arange(1, rows.size + 1, dtype=np.float64)
    mean = np.cumsum(rows) / t
    # Around the overall mean the sums of squares do not cancel where the level is large beside the spread.
    centred = rows - rows[0]
    running = np.cumsum(centred) / t
    spread = np.sqrt(np.maximum(np.cumsum(centred**2) / t - running**2, 0.0))
    reach = spread * _per_spread(t, alpha, tightest_at)
    reach[0] = np.inf  # one row has no spread
    return Sequence(mean, mean - reach, mean + reach)


def bounded_sequence(per_row: npt.ArrayLike, bounds: tuple[float, float], *, level: float = LEVEL) -> Sequence:
    r"""For rows within known bounds: holds the truth at all times at any sample size, without approximation.

    The predictable plug-in empirical Bernstein sequence, in units of the bounds' width: with
    :math:`\lambda_t = \min(\sqrt{2 \ln(2/\alpha) / (\hat\sigma_{t-1}^2 t \ln(1 + t))}, 1/2)`,
    :math:`v_t = 4 (z_t - \hat\mu_{t-1})^2` and :math:`\psi(\lambda) = (-\ln(1 - \lambda) - \lambda) / 4` the mean lies within
    :math:`\frac{\sum \lambda_i z_i}{\sum \lambda_i} \pm \frac{\ln(2/\alpha) + \sum v_i \psi(\lambda_i)}{\sum \lambda_i}`; bounds once
    reached are kept.

    Parameters
    ----------
    per_row : array-like, shape (n,)
        In the order of time, each within `bounds`.
    bounds : (low, high)
        Known before the data.
    level : float

    Raises
    ------
    ValueError
        A row lies outside the bounds.

    References
    ----------
    Ian Waudby-Smith and Aaditya Ramdas. "Estimating Means of Bounded Random Variables by Betting.", 2024 (Theorem 2).
    """
    lowest, highest = bounds
    rows = between("per_row", column("per_row", per_row), lowest, highest)
    width = highest - lowest
    if width == 0.0:
        return Sequence(rows, rows, rows)
    z, alpha = (rows - lowest) / width, _alpha(level)
    t = np.arange(1, z.size + 1, dtype=np.float64)
    mean = (0.5 + np.cumsum(z)) / (t + 1.0)
    variance = (0.25 + np.cumsum((z - mean) ** 2)) / (t + 1.0)
    known_mean, known_variance = np.concatenate([[0.5], mean[:-1]]), np.concatenate([[0.25], variance[:-1]])
    bet = np.minimum(np.sqrt(2.0 * np.log(2.0 / alpha) / (known_variance * t * np.log1p(t))), 0.5)
    weighed = np.cumsum(bet)
    centre = np.cumsum(bet * z) / weighed
    reach = (np.log(2.0 / alpha) + np.cumsum(4.0 * (z - known_mean) ** 2 * (-np.log1p(-bet) - bet) / 4.0)) / weighed
    low, high = np.maximum.accumulate(np.maximum(centre - reach, 0.0)), np.minimum.accumulate(np.minimum(centre + reach, 1.0))
    return Sequence(lowest + width * centre, lowest + width * low, lowest + width * high)


def asymptotic_reach(spread: float, rows: int, *, level: float = LEVEL, tightest_at: int = 1_000) -> float:
    """How far `asymptotic_sequence` reaches to either side after `rows` rows of that standard deviation.

    For an estimate that is no plain mean, its standard error times the square root of the rows stands in for the spread.

    Examples
    --------
    >>> round(asymptotic_reach(1.0, 1_000) / float(1.96 / np.sqrt(1_000)), 2)
    1.55
    """
    return float(spread * _per_spread(np.array([float(rows)]), _alpha(level), tightest_at)[0])


def _per_spread(t: FloatArray, alpha: float, tightest_at: int) -> FloatArray:
    rho2 = (-2.0 * np.log(alpha) + np.log(-2.0 * np.log(alpha) + 1.0)) / max(tightest_at, 1)
    return np.asarray(np.sqrt(2.0 * (t * rho2 + 1.0) / (t**2 * rho2) * np.log(np.sqrt(t * rho2 + 1.0) / alpha)))


def _alpha(level: float) -> float:
    if not 0.0 < level < 1.0:
        raise ValueError(f"level: got {level:g}, expected a share between 0 and 1, such as 0.95")
    return 1.0 - level
