"""Are the probabilities right? Calibration error, two calibrators, and the choice between them and none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from estimators.arrays import FloatArray, IntArray

SMALLEST = 1e-6
"""Probabilities are kept this far from 0 and 1, so that every log loss is finite."""

SHIFT_PRIOR_SD = 3.0
"""Log odds."""

FOLDS = 5
"""Of the choice of a calibrator where none are given."""


def clip_probability(p: FloatArray) -> FloatArray:
    """Probabilities kept away from 0 and 1."""
    return np.clip(p, SMALLEST, 1.0 - SMALLEST)


def log_losses(y: FloatArray, p: FloatArray) -> FloatArray:
    """-y log p - (1 - y) log(1 - p) for each row, shape (n,)."""
    kept = clip_probability(p)
    return -(y * np.log(kept) + (1.0 - y) * np.log1p(-kept))


def log_odds_shift(y: FloatArray, p: FloatArray, sample_weight: FloatArray) -> tuple[float, float]:
    """The shift of the log odds of p that makes p right on average, drawn towards 0, and its standard error.

    The posterior mode under a normal prior with standard deviation `SHIFT_PRIOR_SD`, which keeps it finite where all or none responded.

    Parameters
    ----------
    y : array, shape (n,)
        0 or 1.
    p : array, shape (n,)
        Probabilities.
    sample_weight : array, shape (n,)

    Examples
    --------
    >>> shift, error = log_odds_shift(np.repeat([0.0, 1.0], 500), np.full(1000, 0.2), np.ones(1000))
    >>> round(shift, 2), round(error, 2)
    (1.39, 0.06)
    """
    base, precision = logit(clip_probability(p)), SHIFT_PRIOR_SD**-2
    shift = 0.0
    for _ in range(50):
        now = expit(base + shift)
        step = (float(sample_weight @ (y - now)) - precision * shift) / (float(sample_weight @ (now * (1 - now))) + precision)
        shift += float(np.clip(step, -1.0, 1.0))
        if abs(step) < 1e-10:
            break
    now = expit(base + shift)
    return shift, float((float(sample_weight @ (now * (1 - now))) + precision) ** -0.5)


def expected_calibration_error(y: FloatArray, p: FloatArray, *, bins: int = 15, sample_weight: FloatArray | None = None) -> float:
    """ECE = sum over bins b of n_b / n * |mean(y in b) - mean(p in b)|, with bins of equal size in the order of p.

    Parameters
    ----------
    y : array, shape (n,)
        0 or 1.
    p : array, shape (n,)
        Predicted probabilities.
    bins : int
    sample_weight : array, shape (n,), optional

    References
    ----------
    Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", 2015.

    Examples
    --------
    >>> round(expected_calibration_error(np.array([0.0, 1.0, 1.0, 1.0]), np.array([0.5, 0.5, 0.9, 0.9]), bins=2), 3)
    0.05
    """
    if len(y) != len(p) or not len(y):
        raise ValueError(f"y and p must have one length above 0; got {len(y)} and {len(p)}")
    weight = np.ones(len(y)) if sample_weight is None else sample_weight
    parts = np.array_split(np.argsort(p, kind="stable"), min(bins, len(y)))
    return float(sum(abs(float(weight[part] @ (y[part] - p[part]))) for part in parts) / weight.sum())


@dataclass(frozen=True)
class PlattCalibrator:
    """p -> expit(intercept + slope * logit(p)), slope >= 0.

    References
    ----------
    Platt, "Probabilistic Outputs for Support Vector Machines", 1999.
    """

    intercept: float
    slope: float

    @classmethod
    def fit(cls, y: FloatArray, p: FloatArray, sample_weight: FloatArray | None = None) -> PlattCalibrator:
        """Fit on out-of-fold probabilities p, shape (n,), and what happened, y in {0, 1}."""
        model = LogisticRegression(C=1e3).fit(logit(clip_probability(p))[:, None], y, sample_weight=sample_weight)
        slope = float(model.coef_[0, 0])
        if slope <= 0:
            mean = np.average(y, weights=sample_weight, keepdims=True)
            return cls(float(logit(clip_probability(mean))[0]), 0.0)
        return cls(float(model.intercept_[0]), slope)

    def apply(self, p: FloatArray) -> FloatArray:
        """The calibrated probabilities, shape (n,)."""
        calibrated: FloatArray = expit(self.intercept + self.slope * logit(clip_probability(p)))
        return calibrated

    def moved(self, by: float) -> PlattCalibrator:
        """The same with all log odds moved by `by`."""
        return PlattCalibrator(self.intercept + by, self.slope)

    def to_dict(self) -> dict[str, Any]:
        """The calibrator as JSON values."""
        return {"type": "platt", "intercept": self.intercept, "slope": self.slope}


@dataclass(frozen=True, eq=False)
class IsotonicCalibrator:
    """p -> the non-decreasing step-free function through (knots, values), linear between them, flat outside.

    References
    ----------
    Zadrozny and Elkan, "Transforming Classifier Scores into Accurate Multiclass Probability Estimates", 2002.
    """

    knots: FloatArray
    values: FloatArray

    @classmethod
    def fit(cls, y: FloatArray, p: FloatArray, sample_weight: FloatArray | None = None) -> IsotonicCalibrator:
        """Fit on out-of-fold probabilities p, shape (n,), and what happened, y in {0, 1}."""
        model = IsotonicRegression(y_min=SMALLEST, y_max=1.0 - SMALLEST).fit(p, y, sample_weight=sample_weight)
        return cls(np.asarray(model.X_thresholds_, dtype=np.float64), np.asarray(model.y_thresholds_, dtype=np.float64))

    def apply(self, p: FloatArray) -> FloatArray:
        """The calibrated probabilities, shape (n,)."""
        return np.interp(p, self.knots, self.values)

    def moved(self, by: float) -> IsotonicCalibrator:
        """The same with the log odds of every value moved by `by`."""
        return IsotonicCalibrator(self.knots, expit(logit(clip_probability(self.values)) + by))

    def to_dict(self) -> dict[str, Any]:
        """The calibrator as JSON values."""
        return {"type": "isotonic", "knots": self.knots.tolist(), "values": self.values.tolist()}


Calibrator: TypeAlias = PlattCalibrator | IsotonicCalibrator

_FITS: tuple[Callable[[FloatArray, FloatArray, FloatArray], Calibrator], ...] = (PlattCalibrator.fit, IsotonicCalibrator.fit)


def calibrator_from_dict(data: Mapping[str, Any] | None) -> Calibrator | None:
    """The calibrator that its `to_dict` wrote; None for none."""
    if data is None:
        return None
    if data.get("type") == "platt":
        return PlattCalibrator(float(data["intercept"]), float(data["slope"]))
    if data.get("type") == "isotonic":
        return IsotonicCalibrator(np.array(data["knots"], dtype=np.float64), np.array(data["values"], dtype=np.float64))
    raise ValueError(f"a calibrator has an unknown type; got {data.get('type')!r}; allowed: platt, isotonic")


def t_statistic(gain: FloatArray) -> float:
    """The mean in its standard errors; 0 with fewer than two numbers."""
    return float(gain.mean() / max(gain.std(ddof=1) / np.sqrt(len(gain)), 1e-12)) if len(gain) > 1 else 0.0


def choose_calibrator(
    y: FloatArray,
    p: FloatArray,
    *,
    sample_weight: FloatArray | None = None,
    folds: Sequence[tuple[IntArray, IntArray]] | None = None,
    random_state: int = 0,
) -> Calibrator | None:
    """The calibrator that lowers the cross-validated log loss most surely, or None where neither does so by more than a standard error.

    Parameters
    ----------
    y : array, shape (n,)
        0 or 1.
    p : array, shape (n,)
        Out-of-fold probabilities of the model to calibrate.
    sample_weight : array, shape (n,), optional
    folds : sequence of (rows to fit on, rows to judge on), optional
        Default: five shuffled ones. In time, each part is judged by calibrators of the parts before it.
    random_state : int
        Seed of the shuffled folds.
    """
    if min(float(y.sum()), float(len(y) - y.sum())) < 2 * FOLDS:
        return None
    weight = np.ones(len(y)) if sample_weight is None else sample_weight
    given: Any = StratifiedKFold(FOLDS, shuffle=True, random_state=random_state).split(p[:, None], y) if folds is None else folds
    parts = [(train, test) for train, test in given if 0 < y[train].sum() < len(train)]
    best, best_t = None, 1.0
    for fit in _FITS:
        gains = [
            weight[test] * (log_losses(y[test], p[test]) - log_losses(y[test], fit(y[train], p[train], weight[train]).apply(p[test])))
            for train, test in parts
        ]
        t = t_statistic(np.concatenate(gains)) if gains else 0.0
        if t > best_t:
            best, best_t = fit, t
    return None if best is None else best(y, p, weight)
