"""What lasts in time: blend weights and the shift of the level, from forward-chained predictions.

Shuffled folds say how much can be learned; forward ones say how much of it still holds later. They are fewer, so they overrule the
shuffled ones only as far as they are sure.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from scipy.special import expit, logit

from estimators.arrays import FloatArray
from estimators.blending import moved_weights, simplex_grid
from estimators.calibration import Calibrator, choose_calibrator, clip_probability, log_losses, log_odds_shift, t_statistic

Part: TypeAlias = tuple[FloatArray, FloatArray]
"""The labels and weights of one part in time."""

GRID_PARTS = 4
"""Weights are tried in steps of 1 / 4."""


def levelled_loss(part: Part, p: FloatArray) -> FloatArray:
    """Weighted log loss of each row after p's level is put right: what p knows beside the level, which `recent_shift` looks after."""
    y, weight = part
    shift, _ = log_odds_shift(y, p, weight)
    return weight * log_losses(y, _shifted(p, shift))


def lasting_member(parts: Sequence[Part], candidates: Sequence[Sequence[FloatArray]], cautious: Sequence[int] = ()) -> int:
    """Which candidate predicts best forward, its level put right: candidates[c][k] are its probabilities of part k.

    Of the cautious ones the best is taken, unless another beats it by more than a standard error (`t_over_parts`).
    """
    losses = [[levelled_loss(part, p) for part, p in zip(parts, said, strict=True)] for said in candidates]
    totals = [sum(float(loss.sum()) for loss in one) for one in losses]
    best = int(np.argmin(totals))
    if not cautious or best in cautious:
        return best
    safe = min(cautious, key=lambda c: totals[c])
    gains = [before - after for before, after in zip(losses[safe], losses[best], strict=True)]
    return best if t_over_parts(gains) > 1.0 else safe


def t_over_parts(gains: Sequence[FloatArray]) -> float:
    """The mean gain of a row in its standard errors, over rows or over parts, whichever is larger: rows of one time err together."""
    every = np.concatenate(list(gains))
    by_part = np.array([float(gain.sum()) for gain in gains]) / len(every)
    errors = [float(every.std(ddof=1)) / len(every) ** 0.5, float(len(gains) ** 0.5 * by_part.std(ddof=1)) if len(gains) > 1 else 0.0]
    return float(every.mean() / max(*errors, 1e-12))


def lasting_weights(parts: Sequence[Part], members: Sequence[FloatArray], steady: Sequence[float]) -> tuple[float, ...]:
    """The weights of shuffled folds, moved towards those that predict best forward as far as the forward folds are sure.

    The move is max(0, 1 - 1 / t), the share of the forward gain that exceeds its standard error: soft thresholding. Rows of one time err
    together, so that t is too large here, and more caution is due than James and Stein's.

    Parameters
    ----------
    parts : sequence of (y, sample_weight)
        In order of time.
    members : sequence of arrays
        For each part what every member says of it beforehand, shape (members, rows of the part).
    steady : sequence of float
        The weights that shuffled folds choose.

    References
    ----------
    Donoho and Johnstone, "Ideal Spatial Adaptation by Wavelet Shrinkage", 1994.
    """

    def losses(weights: Sequence[float]) -> FloatArray:
        return np.concatenate([levelled_loss(part, np.asarray(weights) @ said) for part, said in zip(parts, members, strict=True)])

    grid = sorted(simplex_grid(len(steady), GRID_PARTS), reverse=True)
    tried = [losses(weights) for weights in grid]
    best = int(np.argmin([loss.sum() for loss in tried]))
    t = t_statistic(losses(steady) - tried[best])
    return moved_weights(steady, grid[best], max(0.0, 1.0 - 1.0 / t) if t > 0 else 0.0)


def recent_shift(parts: Sequence[Part], predicted: Sequence[FloatArray]) -> float:
    """The shift of the log odds to expect of the next part in time, or 0 where shifting would not have helped in the past.

    Each part's own shift, learned from the forward predictions of it, tells what the model could not know. Their mean m, with standard
    error s over the parts, is shrunk to m * m^2 / (m^2 + s^2). It is used where doing so at each part, with the parts before it, would
    have lowered the log loss.

    Parameters
    ----------
    parts : sequence of (y, sample_weight)
        In order of time.
    predicted : sequence of arrays
        Forward predictions of each part.
    """
    shifts = [log_odds_shift(y, p, weight)[0] for (y, weight), p in zip(parts, predicted, strict=True)]
    gains = [
        float((weight * (log_losses(y, p) - log_losses(y, _shifted(p, _expected(shifts[:k]))))).sum())
        for k, ((y, weight), p) in enumerate(zip(parts, predicted, strict=True))
        if k
    ]
    return _expected(shifts) if sum(gains) > 0 else 0.0


def calibrator_in_time(parts: Sequence[Part], predicted: Sequence[FloatArray]) -> Calibrator | None:
    """The calibrator that lowers the log loss of the parts most surely, each judged by calibrators of the parts before it; None for none.

    The level of each part is put right first: a calibrator mends the shape, the level is `recent_shift`'s.

    Parameters
    ----------
    parts : sequence of (y, sample_weight)
        In order of time.
    predicted : sequence of arrays
        Forward predictions of each part.
    """
    levelled = [_shifted(p, log_odds_shift(y, p, weight)[0]) for (y, weight), p in zip(parts, predicted, strict=True)]
    ends = np.cumsum([0, *(len(p) for p in predicted)])
    folds = [(np.arange(start), np.arange(start, end)) for start, end in pairwise(ends[1:])]
    y, weight = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    return choose_calibrator(y, np.concatenate(levelled), sample_weight=weight, folds=folds)


def _shifted(p: FloatArray, shift: float) -> FloatArray:
    moved: FloatArray = expit(logit(clip_probability(p)) + shift)
    return moved


def _expected(shifts: Sequence[float]) -> float:
    mean = float(np.mean(shifts))
    if len(shifts) < 2:  # one part says nothing of its own error
        return mean / 2.0
    error = float(np.std(shifts, ddof=1)) / len(shifts) ** 0.5
    return float(mean * mean**2 / max(mean**2 + error**2, 1e-12))
