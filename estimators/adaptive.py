"""Between trainings: how far the level of responses has moved from what the models expect, action by action and channel by channel.

A model's calibrated log odds are the offset of a logistic regression whose only coefficient is the shift d of an arm:

    y_i ~ Bernoulli(expit(logit(F_i p_i) + d)),   d_action ~ N(0, s_a^2),   d_arm ~ N(d_action, s_c^2)

Rows count by how recent they are (exponential forgetting), and F_i is the share of responses that has come by now: an outcome whose window
is still open speaks as far as it can. The posterior mode is Newton's; it is used as far as it surely differs from none, never beyond a
bound, so a few odd days cannot run away with the decisions. (Discounting: West and Harrison, *Bayesian Forecasting and Dynamic Models*.)

The shift moves the level: expected responses with the contact and without it alike (a season, a price, a site that is down). What the
contact changes of the odds stays as the uplift model learned it, so the uplift grows and shrinks with the level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from estimators.arrays import FloatArray, IntArray
from estimators.calibration import clip_probability

ACTION_SD, CHANNEL_SD = 0.5, 0.2
"""What is believed of the shift of an action, and of a channel around its action's, in log odds, before anything is seen."""

SURE = 2.0
"""Only what exceeds so many standard errors moves a decision."""

FEWEST_DELAYS = 30
"""With fewer responses to know delays from, an open window says nothing."""

_STEPS = 30


@dataclass(frozen=True, eq=False)
class Trials:
    """n choices whose responses are waited for; arrays of shape (n,).

    Attributes
    ----------
    arm : int array
        0, 1, ... of K arms.
    promised : float array
        The calibrated probability of a response within the window, by the models alone.
    arrived : float array
        The share of responses that has come by the age of the choice, above 0; 1 where the window is closed.
    responded : float array
        1 where a response has come, else 0.
    weight : float array
        How much a choice still counts.
    """

    arm: IntArray
    promised: FloatArray
    arrived: FloatArray
    responded: FloatArray
    weight: FloatArray


def level_shifts(trials: Trials, action_of: Sequence[int], *, most: float) -> FloatArray:
    """The shift of the log odds of each of K arms, shape (K,); 0 where nothing surely moved.

    Parameters
    ----------
    trials : Trials
    action_of : sequence of int, length K
        The action of each arm.
    most : float
        No shift is larger, either way.

    Examples
    --------
    >>> n, one = 4000, np.ones(4000)
    >>> trials = Trials(np.zeros(n, dtype=np.int64), 0.1 * one, one, (np.arange(n) % 5 == 0) * 1.0, one)
    >>> level_shifts(trials, [0], most=1.0).round(2)
    array([0.8])
    """
    actions = np.asarray(action_of, dtype=np.int64)
    offset = logit(clip_probability(trials.arrived * trials.promised))
    out = np.zeros(len(actions))
    for action in np.unique(actions[trials.arm]).tolist():
        of_action = actions[trials.arm] == action
        whole, _ = _posterior(offset[of_action], trials.responded[of_action], trials.weight[of_action], 0.0, ACTION_SD)
        for arm in np.flatnonzero(actions == action).tolist():
            own = of_action & (trials.arm == arm)
            if own.any():
                mean, error = _posterior(offset[own], trials.responded[own], trials.weight[own], whole, CHANNEL_SD)
                out[arm] = mean * max(0.0, 1.0 - (SURE * error / mean) ** 2) if mean else 0.0
    return np.clip(out, -most, most)


def arrived_share(delays: FloatArray, ages: FloatArray, window: float) -> FloatArray:
    """The share of responses that comes within each age, shape (n,): 1 where the window is over, 0 where nothing is known of it yet.

    Parameters
    ----------
    delays : array, shape (m,)
        From choice to response, of choices whose windows are over.
    ages : array, shape (n,)
        From choice to now, in the same unit.
    window : float

    Examples
    --------
    >>> arrived_share(np.arange(100.0) / 10, np.array([0.0, 5.0, 30.0]), window=20.0)
    array([0.01, 0.51, 1.  ])
    """
    if len(delays) < FEWEST_DELAYS:
        return np.where(ages >= window, 1.0, 0.0)
    share = np.searchsorted(np.sort(delays), ages, side="right") / len(delays)
    return np.where(ages >= window, 1.0, np.minimum(share, 1.0))


def shifted_level(propensity: FloatArray, uplift: FloatArray, shift: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Propensity and uplift, shape (n, K) each, with the log odds of the response and of the baseline moved by `shift`, shape (K,).

    Where only one of the two is known, the uplift stays.

    Examples
    --------
    >>> p, tau = shifted_level(np.array([[0.3]]), np.array([[0.1]]), np.array([np.log(2.0)]))
    >>> p.round(3), tau.round(3)
    (array([[0.462]]), array([[0.128]]))
    """
    if not shift.any():
        return propensity, uplift
    moved = np.where(shift == 0.0, propensity, expit(logit(clip_probability(propensity)) + shift))
    baseline = np.clip(propensity - uplift, 0.0, 1.0)
    anyway = np.where(baseline > 0.0, expit(logit(clip_probability(baseline)) + shift), 0.0)
    known = ~np.isnan(propensity) & ~np.isnan(uplift) & (shift != 0.0)
    return np.where(np.isnan(propensity), propensity, moved), np.where(known, moved - anyway, uplift)


def _posterior(offset: FloatArray, y: FloatArray, weight: FloatArray, mean: float, sd: float) -> tuple[float, float]:
    """The mode of the shift, and its standard error from the rows and the prior."""
    shift, precision = mean, sd**-2
    for _ in range(_STEPS):
        p = expit(offset + shift)
        slope = float(weight @ (y - p)) - (shift - mean) * precision
        curvature = float(weight @ (p * (1.0 - p))) + precision
        step = float(np.clip(slope / curvature, -1.0, 1.0))
        shift += step
        if abs(step) < 1e-10:
            break
    return shift, curvature**-0.5


def by_arm(shifts: Mapping[tuple[str, str], float], arms: Sequence[tuple[str, str | None]]) -> FloatArray:
    """The shifts of some arms, shape (K,); 0 of an arm that has none.

    Examples
    --------
    >>> by_arm({("loan", "email"): 0.2}, [("loan", "web"), ("loan", "email")])
    array([0. , 0.2])
    """
    return np.array([shifts.get((action, channel or ""), 0.0) for action, channel in arms], dtype=np.float64)
