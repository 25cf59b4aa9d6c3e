"""A fitted model per action, as it is served: made of scores, each a plain frozen value that JSON can carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import expit, logit

from estimators.arrays import FloatArray
from estimators.calibration import Calibrator, PlattCalibrator, calibrator_from_dict, clip_probability
from estimators.encoding import Encoded
from estimators.own_score import OwnScore
from estimators.scores import LinearScore, TreeScore


@dataclass(frozen=True, eq=False)
class ResponseHead:
    """P(response | contacted) = calibrate(shifted(w_0 base_rate + w_1 expit(linear) + w_2 expit(trees))).

    Parameters
    ----------
    base_rate : float
        The shrunk mean of the label.
    weights : tuple of 3 floats
        Of the base rate, the linear model and the trees; they add up to 1.
    linear : LinearScore, OwnScore or None
        The linear model, or a user's own classifier in its place.
    trees : TreeScore or None
    calibrator : PlattCalibrator, IsotonicCalibrator or None
    evidence : int
        Labelled interactions behind it.
    responses : int
        How many of them responded.
    shift : float
        Log odds by which newer times differ from what the parts expect; 0 where that does not help.
    """

    base_rate: float
    weights: tuple[float, float, float]
    linear: LinearScore | OwnScore | None
    trees: TreeScore | None
    calibrator: Calibrator | None
    evidence: int
    responses: int
    shift: float = 0.0

    def probability(self, rows: Encoded) -> FloatArray:
        """The probability of a response, shape (n,)."""
        p = np.full(len(rows), self.weights[0] * self.base_rate)
        for weight, score in zip(self.weights[1:], (self.linear, self.trees), strict=True):
            if weight > 0 and score is not None:
                p = p + weight * expit(score.of(rows))
        shifted = shift_log_odds(np.clip(p, 0.0, 1.0), self.shift)
        return shifted if self.calibrator is None else self.calibrator.apply(shifted)

    def moved(self, by: float) -> ResponseHead:
        """The same with the log odds of what it says moved by `by`, whatever its parts."""
        if self.weights[0] == 1.0 and self.calibrator is None and self.shift == 0.0:
            return replace(self, base_rate=float(shift_log_odds(np.array([self.base_rate]), by)[0]))
        calibrator = PlattCalibrator(0.0, 1.0) if self.calibrator is None else self.calibrator
        return self if by == 0.0 else replace(self, calibrator=calibrator.moved(by))

    def to_dict(self) -> dict[str, Any]:
        """The head as JSON values."""
        parts = {name: None if part is None else part.to_dict() for name, part in self._parts().items()}
        counts = {"evidence": self.evidence, "responses": self.responses, "shift": self.shift}
        return {"base_rate": self.base_rate, "weights": list(self.weights), **counts, **parts}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ResponseHead:
        """The head that `to_dict` wrote."""
        constant, linear, trees = (float(weight) for weight in data["weights"])
        return cls(
            base_rate=float(data["base_rate"]),
            weights=(constant, linear, trees),
            linear=None if data["linear"] is None else _linear_or_own(data["linear"]),
            trees=None if data["trees"] is None else TreeScore.from_dict(data["trees"]),
            calibrator=calibrator_from_dict(data["calibrator"]),
            evidence=int(data["evidence"]),
            responses=int(data["responses"]),
            shift=float(data.get("shift", 0.0)),  # bundles of earlier versions have none
        )

    def _parts(self) -> dict[str, LinearScore | OwnScore | TreeScore | Calibrator | None]:
        return {"linear": self.linear, "trees": self.trees, "calibrator": self.calibrator}


@dataclass(frozen=True, eq=False)
class ValueHead:
    """Mean money of a response, given that there is one: back + (mean - back) * exp(score), or the mean alone.

    Parameters
    ----------
    mean : float
        Money, shrunk towards the mean over actions.
    score : LinearScore or None
        Log of the ratio to the mean of what was paid.
    low, high : float
        No prediction leaves the range of the (winsorised) money seen.
    responses : int
        Responses with money behind it.
    back : float
        Mean money that a response brings back (refunds), 0 or less, the same for everybody.
    """

    mean: float
    score: LinearScore | None
    low: float
    high: float
    responses: int
    back: float = 0.0

    def money(self, rows: Encoded) -> FloatArray:
        """Expected money of a response, shape (n,)."""
        if self.score is None:
            return np.full(len(rows), self.mean)
        return np.clip(self.back + (self.mean - self.back) * np.exp(self.score.of(rows)), self.low, self.high)

    def to_dict(self) -> dict[str, Any]:
        """The head as JSON values."""
        score = None if self.score is None else self.score.to_dict()
        bounds = {"low": self.low, "high": self.high}
        return {"mean": self.mean, "score": score, **bounds, "responses": self.responses, "back": self.back}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ValueHead:
        """The head that `to_dict` wrote."""
        score = None if data["score"] is None else LinearScore.from_dict(data["score"])
        numbers = (float(data["low"]), float(data["high"]), int(data["responses"]), float(data.get("back", 0.0)))
        return cls(float(data["mean"]), score, *numbers)


def _linear_or_own(data: Mapping[str, Any]) -> LinearScore | OwnScore:
    return OwnScore.from_dict(data) if data.get("type") == "own" else LinearScore.from_dict(data)


def shift_log_odds(p: FloatArray, offset: float) -> FloatArray:
    """Probabilities whose log odds are moved by `offset`; an offset of 0 returns them unchanged.

    Examples
    --------
    >>> shift_log_odds(np.array([0.5]), 1.0).round(3)
    array([0.731])
    """
    if offset == 0.0:
        return p
    shifted: FloatArray = expit(logit(clip_probability(p)) + offset)
    return shifted
