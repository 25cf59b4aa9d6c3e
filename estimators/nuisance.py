"""First step of an uplift: what happens with and without the contact, predicted for each row by models that have not seen it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from estimators.arrays import BoolArray, FloatArray, IntArray
from estimators.encoding import Encoded
from estimators.linear import fit_logistic
from estimators.scores import ContrastScore, LinearScore
from estimators.trees import BinnedRows, TreeSettings, effect_settings

INTERACTION_SCALE = 0.5
"""Interactions with the exposure are scaled by this before the penalty: they count four times as much as main effects."""


@dataclass(frozen=True, eq=False)
class Experiment:
    """n contacts in the pair {action, no_action}.

    Parameters
    ----------
    rows : Encoded
    binned : BinnedRows
        The tree matrix of `rows`.
    y : array, shape (n,)
        1 where the goal happened.
    exposed : array of bool, shape (n,)
        w: True where the contact got the action.
    weight : array, shape (n,)
        Balances both arms to the whole population; adds up to n / 2 in each.
    """

    rows: Encoded
    binned: BinnedRows
    y: FloatArray
    exposed: BoolArray
    weight: FloatArray


@dataclass(frozen=True, eq=False)
class Nuisances:
    """Out-of-fold expectations of y and the uplift of the two logistic learners, each of shape (n,).

    Parameters
    ----------
    exposed, unexposed : arrays
        mu_1 and mu_0: the mean of a logistic regression and LightGBM, by arm.
    t_logistic, s_logistic : arrays
        Uplift of the logistic regressions by arm, and of the one with shrunken interactions.
    """

    exposed: FloatArray
    unexposed: FloatArray
    t_logistic: FloatArray
    s_logistic: FloatArray


def cross_fit_nuisances(data: Experiment, folds: list[tuple[IntArray, IntArray]], settings: TreeSettings, C: float) -> Nuisances:
    """The nuisances of every row from models fitted on the other folds."""
    n = len(data.y)
    out = Nuisances(np.empty(n), np.empty(n), np.empty(n), np.empty(n))
    for train, test in folds:
        t_learner = fit_t_logistic(data, train, C)
        linear = data.rows.linear[test]
        for arm, score, mu in ((True, t_learner.exposed, out.exposed), (False, t_learner.unexposed, out.unexposed)):
            members = train[data.exposed[train] == arm]
            booster = data.binned.fit(effect_settings(settings, len(members)), "binary", members, data.y)
            mu[test] = (expit(linear @ score.coef + score.intercept) + data.binned.predict(booster, test)) / 2
        out.t_logistic[test] = t_learner.of(data.rows.take(test))
        out.s_logistic[test] = fit_s_logistic(data, train, C).of(data.rows.take(test))
    return out


def fit_t_logistic(data: Experiment, train: IntArray, C: float) -> ContrastScore:
    """A logistic regression for each arm."""
    scores = []
    for arm in (True, False):
        members = train[data.exposed[train] == arm]
        scores.append(fit_logistic(data.rows.linear[members], data.y[members], C=C))
    return ContrastScore(*scores)


def fit_s_logistic(data: Experiment, train: IntArray, C: float) -> ContrastScore:
    """One logistic regression on x, w and s * w * x with w = -1/2 or 1/2: the interactions are shrunk harder than the main effects.

    Parameters
    ----------
    data : Experiment
    train : array of int
        The rows to fit on.
    C : float
        Inverse strength of the penalty.
    """
    x, w = data.rows.linear[train], data.exposed[train] - 0.5
    m = x.shape[1]
    score = fit_logistic(np.hstack([x, w[:, None], INTERACTION_SCALE * w[:, None] * x]), data.y[train], C=C)
    main, effect, interaction = score.coef[:m], float(score.coef[m]), INTERACTION_SCALE * score.coef[m + 1 :]
    return ContrastScore(
        exposed=LinearScore(score.intercept + effect / 2, main + interaction / 2),
        unexposed=LinearScore(score.intercept - effect / 2, main - interaction / 2),
    )


def pseudo_outcomes(data: Experiment, nuisances: Nuisances) -> FloatArray:
    """psi = mu_1 - mu_0 + (w - 1/2) / (1/4) * (y - mu_w), whose weighted mean given x is the uplift if either mu or the weights are right.

    The weights balance the arms, so the assignment probability of the weighted pair is 1/2.

    References
    ----------
    Kennedy, "Towards Optimal Doubly Robust Estimation of Heterogeneous Causal Effects", 2020.
    """
    seen = np.where(data.exposed, nuisances.exposed, nuisances.unexposed)
    sign = np.where(data.exposed, 2.0, -2.0)
    return nuisances.exposed - nuisances.unexposed + sign * (data.y - seen)


def balanced_weights(exposed: BoolArray, assignment_weight: FloatArray, max_ratio: float) -> FloatArray:
    """Hajek weights: capped at max_ratio times the arm's mean, then scaled to n / 2 in each arm.

    Parameters
    ----------
    exposed : array of bool, shape (n,)
    assignment_weight : array, shape (n,)
        1 / selection_prob of the arm that was chosen.
    max_ratio : float
        A few tiny probabilities may not carry the whole estimate.
    """
    weight = np.empty(len(exposed))
    for arm in (exposed, ~exposed):
        raw = assignment_weight[arm]
        capped = np.minimum(raw, max_ratio * raw.mean())
        weight[arm] = capped * (len(exposed) / 2 / capped.sum())
    return weight
