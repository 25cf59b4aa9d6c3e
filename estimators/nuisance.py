"""First step of an uplift: what happens with and without the contact, predicted for each row by models that have not seen it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from estimators.arrays import BoolArray, FloatArray, IntArray
from estimators.encoding import Encoded
from estimators.linear import fit_logistic
from estimators.scores import ContrastScore, LinearScore
from estimators.trees import BinnedRows, TreeSettings, nuisance_settings

INTERACTION_SCALES = {"s_logistic": 0.5, "s_logistic_firm": 0.1}
"""Interactions with the exposure are scaled by this before the penalty. At 0.5 a unit of interaction costs four times a unit of main
effect; at 0.1 hardly any is left, and the contact multiplies everybody's odds by nearly the same factor."""


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
    """Out-of-fold expectations of y and the uplift of the logistic learners, each of shape (n,).

    Parameters
    ----------
    exposed, unexposed : arrays
        mu_1 and mu_0: the mean of a logistic regression and LightGBM, by arm.
    uplifts : dict of str to array
        Of "t_logistic", the logistic regressions by arm, and of "s_logistic" and "s_logistic_firm", with shrunken interactions.
    """

    exposed: FloatArray
    unexposed: FloatArray
    uplifts: dict[str, FloatArray]


def cross_fit_nuisances(data: Experiment, folds: list[tuple[IntArray, IntArray]], settings: TreeSettings, C: float) -> Nuisances:
    """The nuisances of every row from models fitted on the other folds."""
    n = len(data.y)
    out = Nuisances(np.empty(n), np.empty(n), {name: np.empty(n) for name in ("t_logistic", *INTERACTION_SCALES)})
    for train, test in folds:
        t_learner = fit_t_logistic(data, train, C)
        linear = data.rows.linear[test]
        for arm, score, mu in ((True, t_learner.exposed, out.exposed), (False, t_learner.unexposed, out.unexposed)):
            members = train[data.exposed[train] == arm]
            booster = data.binned.fit(nuisance_settings(settings, len(members)), "binary", members, data.y)
            mu[test] = (expit(linear @ score.coef + score.intercept) + data.binned.predict(booster, test)) / 2
        rows = data.rows.take(test)
        out.uplifts["t_logistic"][test] = t_learner.of(rows)
        for name, scale in INTERACTION_SCALES.items():
            out.uplifts[name][test] = fit_s_logistic(data, train, C, scale).of(rows)
    return out


def fit_t_logistic(data: Experiment, train: IntArray, C: float) -> ContrastScore:
    """A logistic regression for each arm."""
    scores = []
    for arm in (True, False):
        members = train[data.exposed[train] == arm]
        scores.append(fit_logistic(data.rows.linear[members], data.y[members], C=C))
    return ContrastScore(*scores)


def fit_s_logistic(data: Experiment, train: IntArray, C: float, scale: float) -> ContrastScore:
    """One logistic regression on x, w and s * w * x with w = -1/2 or 1/2: the interactions are shrunk harder than the main effects.

    Parameters
    ----------
    data : Experiment
    train : array of int
        The rows to fit on.
    C : float
        Inverse strength of the penalty.
    scale : float
        s, one of INTERACTION_SCALES.
    """
    x, w = data.rows.linear[train].astype(np.float32), (data.exposed[train] - 0.5).astype(np.float32)
    m = x.shape[1]
    score = fit_logistic(np.hstack([x, w[:, None], np.float32(scale) * w[:, None] * x]), data.y[train], C=C)
    main, effect, interaction = score.coef[:m], float(score.coef[m]), scale * score.coef[m + 1 :]
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
    """Hajek weights: capped at max_ratio times the arm's mean after capping, then scaled to n / 2 in each arm.

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
        capped = _capped(assignment_weight[arm], max_ratio)
        weight[arm] = capped * (len(exposed) / 2 / capped.sum())
    return weight


def _capped(raw: FloatArray, max_ratio: float) -> FloatArray:
    # The cap lowers the mean and so the cap itself: repeated until it holds, or until the arm is too small for it.
    capped = raw
    for _ in range(100):
        cap = max_ratio * float(capped.mean())
        if capped.max() <= cap * (1 + 1e-9):
            break
        capped = np.minimum(raw, cap)
    return capped
