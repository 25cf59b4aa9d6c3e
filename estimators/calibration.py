"""Are the probabilities right? Calibration error, two calibrators, and the choice between them and none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from estimators.arrays import FloatArray

SMALLEST = 1e-6
"""Probabilities are kept this far from 0 and 1, so that every log loss is finite."""


def clip_probability(p: FloatArray) -> FloatArray:
    """Probabilities kept away from 0 and 1."""
    return np.clip(p, SMALLEST, 1.0 - SMALLEST)


def log_losses(y: FloatArray, p: FloatArray) -> FloatArray:
    """-y log p - (1 - y) log(1 - p) for each row, shape (n,)."""
    kept = clip_probability(p)
    return -(y * np.log(kept) + (1.0 - y) * np.log1p(-kept))


def expected_calibration_error(y: FloatArray, p: FloatArray, *, bins: int = 15) -> float:
    """ECE = sum over bins b of n_b / n * |mean(y in b) - mean(p in b)|, with bins of equal size in the order of p.

    Parameters
    ----------
    y : array, shape (n,)
        0 or 1.
    p : array, shape (n,)
        Predicted probabilities.
    bins : int

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
    order = np.argsort(p, kind="stable")
    parts = np.array_split(order, min(bins, len(y)))
    return float(sum(len(part) / len(y) * abs(float(y[part].mean()) - float(p[part].mean())) for part in parts))


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


def choose_calibrator(
    y: FloatArray, p: FloatArray, *, sample_weight: FloatArray | None = None, cv: int = 5, random_state: int = 0
) -> Calibrator | None:
    """The calibrator that lowers the cross-validated log loss most surely, or None where neither does so by more than a standard error.

    Parameters
    ----------
    y : array, shape (n,)
        0 or 1.
    p : array, shape (n,)
        Out-of-fold probabilities of the model to calibrate.
    sample_weight : array, shape (n,), optional
    cv : int
        Folds.
    random_state : int
        Seed of the folds.
    """
    if min(float(y.sum()), float(len(y) - y.sum())) < 2 * cv:
        return None
    weight = np.ones(len(y)) if sample_weight is None else sample_weight
    folds: Any = list(StratifiedKFold(cv, shuffle=True, random_state=random_state).split(p[:, None], y))
    best, best_t = None, 1.0
    for fit in _FITS:
        calibrated = np.empty(len(p))
        for train, test in folds:
            calibrated[test] = fit(y[train], p[train], weight[train]).apply(p[test])
        gain = weight * (log_losses(y, p) - log_losses(y, calibrated))
        t = float(gain.mean() / max(gain.std(ddof=1) / np.sqrt(len(y)), 1e-12))
        if t > best_t:
            best, best_t = fit, t
    return None if best is None else best(y, p, weight)
