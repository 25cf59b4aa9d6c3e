"""Less noise from what was known before: an outcome less the part of it that pre-period covariates explain (CUPED)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from measurement.arrays import FloatArray, column

ROWS_PER_COVARIATE = 10
"""An arm with fewer contacts a covariate would fit its own noise."""


@dataclass(frozen=True, eq=False)
class Adjusted:
    """An outcome with less noise and the same difference between arms.

    Attributes
    ----------
    outcome : array, shape (n,)
    slopes : array, shape (n_covariates,)
        The weights of the covariates; 0 for one that was left out.
    used : int
        How many independent covariates were used: degrees of freedom that they cost.
    """

    outcome: FloatArray
    slopes: FloatArray
    used: int


def adjust(outcome: npt.ArrayLike, exposed: npt.ArrayLike, covariates: npt.ArrayLike) -> Adjusted:
    r"""The outcome :math:`y_i - \theta^T (x_i - \bar x)`, whose difference between the arms has the least variance.

    Any :math:`\theta` leaves the difference unbiased, because the arms' covariates differ by chance alone. The best one is
    :math:`\theta = (S_1 / n_1 + S_0 / n_0)^{-1} (c_1 / n_1 + c_0 / n_0)` with the covariances S among the covariates and c with the outcome
    within each arm. With arms of equal size that is the pooled slope of CUPED; with a holdout of two percent the holdout decides, for
    there the noise is. Covariates that repeat others are left out; none is used where an arm has fewer than `ROWS_PER_COVARIATE` contacts
    each.

    Parameters
    ----------
    outcome : array-like, shape (n,)
    exposed : array-like, shape (n,)
        0 or 1.
    covariates : array-like, shape (n, n_covariates) or (n,)
        Known before anybody was treated. NaN counts as the column's mean.

    Raises
    ------
    ValueError
        Another number of rows than the outcome's.

    References
    ----------
    Alex Deng, Ya Xu, Ron Kohavi and Toby Walker. "Improving the Sensitivity of Online Controlled Experiments by Utilizing Pre-Experiment
    Data.", 2013. Winston Lin. "Agnostic notes on regression adjustments to experimental data.", 2013 (section 3.3: a small arm's slopes
    count most).

    Examples
    --------
    >>> adjust([1.0, 3.0] * 20, [0] * 20 + [1] * 20, [0.0, 1.0] * 20).outcome.tolist()[:2]
    [2.0, 2.0]
    """
    y = column("outcome", outcome)
    w = column("exposed", exposed, y.size).astype(bool)
    x = np.asarray(covariates, dtype=np.float64)
    x = x[:, np.newaxis] if x.ndim == 1 else x
    if x.ndim != 2 or len(x) != y.size:
        raise ValueError(f"covariates: got shape {x.shape}, expected ({y.size:,}, n_covariates)")
    x = _centred(x)
    smallest = min(int(w.sum()), int((~w).sum()))
    if x.shape[1] == 0 or smallest < ROWS_PER_COVARIATE * x.shape[1]:
        return Adjusted(y, np.zeros(x.shape[1]), 0)
    within, with_outcome = np.zeros((x.shape[1], x.shape[1])), np.zeros(x.shape[1])
    for arm in (w, ~w):
        own, left = x[arm] - x[arm].mean(axis=0), y[arm] - y[arm].mean()
        size = int(arm.sum()) * (int(arm.sum()) - 1.0)
        within += own.T @ own / size
        with_outcome += own.T @ left / size
    slopes, used = _solve(within, with_outcome)
    return Adjusted(y - x @ slopes, slopes, used)


def _centred(x: FloatArray) -> FloatArray:
    """Columns of mean 0; what is missing is at the mean."""
    missing = np.isnan(x)
    if np.isinf(x).any():
        raise ValueError(f"covariates: infinite in {int(np.isinf(x).sum()):,} places")
    filled = np.where(missing, 0.0, x)
    present = np.maximum((~missing).sum(axis=0), 1)
    return np.where(missing, 0.0, x - filled.sum(axis=0) / present)


def _solve(within: FloatArray, with_outcome: FloatArray) -> tuple[FloatArray, int]:
    """The slopes of least norm, in units of each covariate's spread, and the rank."""
    scale = np.sqrt(np.diag(within))
    varies = scale > 0
    unit = np.where(varies, scale, 1.0)
    slopes, _, rank, _ = np.linalg.lstsq(within / np.outer(unit, unit), np.where(varies, with_outcome / unit, 0.0), rcond=1e-9)
    return np.asarray(slopes / unit * varies), int(rank)
