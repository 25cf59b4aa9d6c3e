"""Uplift: what the contact changes in the probability of the goal, learned doubly robustly and shrunk to the average where data is thin."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.validation import check_is_fitted

from estimators.arrays import BoolArray, FloatArray, IntArray
from estimators.encoding import Encoded
from estimators.heads import UpliftHead, UpliftMember
from estimators.linear import fit_ridge
from estimators.nuisance import (
    INTERACTION_SCALES,
    Experiment,
    Nuisances,
    balanced_weights,
    cross_fit_nuisances,
    fit_s_logistic,
    fit_t_logistic,
    pseudo_outcomes,
)
from estimators.propensity import check_labels
from estimators.scores import Score
from estimators.stacking import Stack, fit_stack
from estimators.trees import REGULARISED, BinnedRows, TreeSettings, effect_settings, tree_score

FEWEST_EVENTS = 20
"""With fewer rows of either outcome in either arm only the average effect is estimated."""

MAX_WEIGHT_RATIO = 20.0
"""No row weighs more than so many times its arm's mean."""

MEMBERS = ("s_logistic", "s_logistic_firm", "t_logistic", "ridge", "trees")


class DoublyRobustUplift(BaseEstimator):
    """tau(x) = E[y | x, contacted] - E[y | x, not contacted], in the pair {action, no_action} of a logged policy.

    1. Cross-fitted nuisances: a logistic regression and LightGBM for each arm.
    2. Doubly robust pseudo-outcomes. They need only the logged probability of the arm that was chosen: weighting each row by its inverse
       makes both arms the whole population, so the weighted pair's assignment probability is 1/2. Unbiased if either the nuisances or the
       probabilities are right.
    3. A stack of logistic learners, ridge and LightGBM on the pseudo-outcomes, with the average effect in the library.

    Parameters
    ----------
    categorical : tuple of int
        Positions of the category columns in the tree matrix.
    settings : TreeSettings
        Of nuisances and of the final LightGBM, scaled down for few rows.
    C : float
        Inverse strength of the logistic regressions' penalty.
    cv : int
        Folds.
    n_jobs : int
        Threads of LightGBM.
    random_state : int

    Attributes
    ----------
    head_ : UpliftHead
        What is served.
    average_effect_, average_effect_se_ : float
    stack_weights_ : dict of str to float
        Of the members; "constant" has the rest.
    evidence_ : float
        The t-statistic of the difference between contacts.
    pseudo_outcomes_, weights_, oof_tau_, oof_residuals_ : arrays, shape (n,)
        psi; the balancing weights; the uplift by models that have not seen the row; y minus its expectation in the arm.

    References
    ----------
    Kennedy, "Towards Optimal Doubly Robust Estimation of Heterogeneous Causal Effects", 2020.
    """

    def __init__(
        self,
        categorical: tuple[int, ...] = (),
        settings: TreeSettings = REGULARISED,
        C: float = 0.1,
        cv: int = 4,
        n_jobs: int = 1,
        random_state: int = 0,
    ) -> None:
        self.categorical = categorical
        self.settings = settings
        self.C = C
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(
        self,
        X_trees: FloatArray,
        X_linear: FloatArray,
        y: FloatArray,
        w: FloatArray,
        *,
        assignment_weight: FloatArray | None = None,
    ) -> DoublyRobustUplift:
        """Fit on n logged interactions.

        Parameters
        ----------
        X_trees : array, shape (n, d)
        X_linear : array, shape (n, m)
        y : array, shape (n,)
            1 where the goal happened, else 0.
        w : array, shape (n,)
            1 where the contact got the action, 0 where no_action.
        assignment_weight : array, shape (n,), optional
            1 / selection_prob of what was chosen; without it each arm is taken as a random sample of the population.

        Raises
        ------
        ValueError
            If an arm is empty, the lengths differ, y or w is not 0 or 1, or a weight is not positive and finite.
        """
        y = check_labels(y, len(X_trees))
        exposed = check_labels(w, len(y)) == 1.0
        raw = check_weights(assignment_weight, exposed)
        weight = balanced_weights(exposed, raw, MAX_WEIGHT_RATIO)
        binned = BinnedRows(X_trees, categorical=self.categorical, n_jobs=self.n_jobs, random_state=self.random_state)
        data = Experiment(Encoded(X_trees, X_linear), binned, y, exposed, weight)
        events = [np.sum((exposed == arm) & (y == outcome)) for arm in (True, False) for outcome in (0.0, 1.0)]
        if min(events) < FEWEST_EVENTS:
            return self._fit_average(data)
        return self._fit_stack(data)

    def predict(self, X_trees: FloatArray, X_linear: FloatArray) -> FloatArray:
        """The uplift of each row, shape (n,)."""
        check_is_fitted(self, "head_")
        return self.head_.effect(Encoded(X_trees, X_linear))

    def _fit_average(self, data: Experiment) -> DoublyRobustUplift:
        # Half a response and half a silence more in each arm: without any response the standard error would be 0.
        means = {arm: _smoothed_mean(data.y[data.exposed == arm], data.weight[data.exposed == arm]) for arm in (True, False)}
        ones = np.ones(len(data.y))
        mu = Nuisances(means[True] * ones, means[False] * ones, {})
        variance = sum(means[arm] * (1 - means[arm]) / _effective_size(data.weight[data.exposed == arm]) for arm in (True, False))
        stack = Stack(means[True] - means[False], float(np.sqrt(variance)), np.zeros(len(MEMBERS)), 0.0)
        return self._keep(data, mu, stack, np.zeros((len(data.y), len(MEMBERS))))

    def _fit_stack(self, data: Experiment) -> DoublyRobustUplift:
        strata = 2 * data.exposed + data.y
        splitter: Any = StratifiedKFold(self.cv, shuffle=True, random_state=self.random_state)
        folds = list(splitter.split(data.rows.linear, strata))
        nuisances = cross_fit_nuisances(data, folds, self.settings, self.C)
        psi = pseudo_outcomes(data, nuisances)
        members = np.empty((len(psi), len(MEMBERS)))
        for name, uplift in nuisances.uplifts.items():
            members[:, MEMBERS.index(name)] = uplift
        for train, test in folds:
            rows = data.rows.take(test)
            for name in ("ridge", "trees"):
                members[test, MEMBERS.index(name)] = self._fit_member(name, data, psi, train).of(rows)
        return self._keep(data, nuisances, fit_stack(psi, members, data.weight), members)

    def _fit_member(self, name: str, data: Experiment, psi: FloatArray, train: IntArray) -> Score:
        learners: dict[str, Callable[[], Score]] = {
            **{s: partial(fit_s_logistic, data, train, self.C, scale) for s, scale in INTERACTION_SCALES.items()},
            "t_logistic": lambda: fit_t_logistic(data, train, self.C),
            "ridge": lambda: fit_ridge(data.rows.linear[train], psi[train], sample_weight=data.weight[train]),
            "trees": lambda: tree_score(data.binned.fit(effect_settings(self.settings, len(train)), "regression", train, psi, data.weight)),
        }
        return learners[name]()

    def _keep(self, data: Experiment, nuisances: Nuisances, stack: Stack, members: FloatArray) -> DoublyRobustUplift:
        psi, share = pseudo_outcomes(data, nuisances), data.weight / data.weight.sum()
        served = []
        for name, weight in zip(MEMBERS, stack.weights.tolist(), strict=True):
            if weight > 0:
                score = self._fit_member(name, data, psi, np.arange(len(psi)))
                served.append(UpliftMember(name, weight, float(share @ score.of(data.rows)), score))
        self.head_ = UpliftHead(stack.average, stack.standard_error, tuple(served), int(data.exposed.sum()))
        self.average_effect_, self.average_effect_se_ = stack.average, stack.standard_error
        weights = dict(zip(MEMBERS, stack.weights.tolist(), strict=True))
        self.stack_weights_ = {"constant": 1.0 - sum(weights.values()), **weights}
        self.evidence_ = stack.evidence
        self.pseudo_outcomes_, self.weights_ = psi, data.weight
        self.oof_tau_ = stack.combine(members, data.weight)
        self.oof_residuals_ = data.y - np.where(data.exposed, nuisances.exposed, nuisances.unexposed)
        return self


def check_weights(assignment_weight: FloatArray | None, exposed: BoolArray) -> FloatArray:
    """The assignment weights as float64; ones where there are none.

    Raises
    ------
    ValueError
        If an arm is empty, the lengths differ or a weight is not positive and finite.
    """
    if exposed.all() or not exposed.any():
        arm = "no_action" if exposed.all() else "the action"
        raise ValueError(f"uplift needs rows of both arms; got none of {arm}. Hint: without a control arm only propensity can be learned")
    if assignment_weight is None:
        return np.ones(len(exposed))
    weight = np.asarray(assignment_weight, dtype=np.float64)
    if weight.shape != exposed.shape:
        raise ValueError(f"assignment_weight must hold one weight a row; got shape {weight.shape} for {len(exposed)} rows")
    if not (np.isfinite(weight).all() and (weight > 0).all()):
        raise ValueError("assignment_weight must be positive and finite: it is 1 / selection_prob")
    return weight


def _smoothed_mean(y: FloatArray, weight: FloatArray) -> float:
    rows = _effective_size(weight)
    return float((rows * np.average(y, weights=weight) + 0.5) / (rows + 1.0))


def _effective_size(weight: FloatArray) -> float:
    return float(weight.sum() ** 2 / (weight**2).sum())
