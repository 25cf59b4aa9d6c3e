"""The uplift of many actions at once: one model of all effects, learners of each action beside it, stacked by what they prove."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.special import expit

from estimators.arrays import BoolArray, FloatArray, IntArray
from estimators.effect_rows import LoggedActions
from estimators.effect_system import SingleArray
from estimators.effects import Coefficients, EffectModel, fit_effects
from estimators.encoding import Encoded
from estimators.linear import fit_ridge
from estimators.nuisance import FEWEST_EVENTS, Arm, balanced_weights, pseudo_outcomes, with_trees
from estimators.parallel import fit_each
from estimators.scores import Score
from estimators.served_effects import channel_contrast, effect_spread
from estimators.shrinkage import shrink_to_pool
from estimators.stacking import Stack, fit_stack
from estimators.trees import REGULARISED, BinnedRows, TreeSettings, effect_settings, tree_score
from estimators.uplift_head import EFFECTS, UpliftHead, UpliftMember

MAX_WEIGHT_RATIO = 20.0
"""No row weighs more than so many times its arm's mean."""

RIDGE, TREES = "ridge", "trees"
MEMBERS = (EFFECTS, RIDGE, TREES)


@dataclass(frozen=True)
class UpliftSettings:
    """How uplifts are fitted.

    Parameters
    ----------
    categorical : tuple of int
        Positions of the category columns in the tree matrix.
    trees : TreeSettings
        Of nuisances and of the final LightGBM, scaled down for few rows.
    workers : int
        Actions fitted side by side.
    n_jobs : int
        Threads of one LightGBM.
    random_state : int
    """

    categorical: tuple[int, ...] = ()
    trees: TreeSettings = REGULARISED
    workers: int = 1
    n_jobs: int = 1
    random_state: int = 0


@dataclass(frozen=True, eq=False)
class ActionUplift:
    """One action's head, and the out-of-fold arrays that chose it.

    Attributes
    ----------
    head : UpliftHead
    stack : Stack
        Its weights are those of `MEMBERS`.
    pair : array of int, shape (p,)
        The rows of the action and of no_action.
    pseudo_outcome, weight : arrays, shape (p,)
        psi, and the balancing weights.
    tau, exposed_mean : arrays, shape (n,)
        The uplift, and the expectation with the contact, by models that have not seen the row; NaN on rows that are neither of the pair
        nor judged.
    modelled_effect : float
        The average effect as the effect model has it.
    by_channel : mapping of int to float
        The average effect on each channel that the action was logged on.
    """

    head: UpliftHead
    stack: Stack
    pair: IntArray
    pseudo_outcome: FloatArray
    weight: FloatArray
    tau: FloatArray
    exposed_mean: FloatArray
    modelled_effect: float
    by_channel: Mapping[int, float]

    def around(self, average_effect: float) -> ActionUplift:
        """The same differences between contacts around another average effect."""
        shift = average_effect - self.head.average_effect
        by_channel = {channel: effect + shift for channel, effect in self.by_channel.items()}
        return replace(self, head=self.head.with_average(average_effect), tau=self.tau + shift, by_channel=by_channel)


@dataclass(frozen=True, eq=False)
class ActionUplifts:
    """Of every action that was asked for, and the expectation without contact, shape (n, G), out of fold."""

    by_action: Mapping[int, ActionUplift]
    unexposed_mean: FloatArray
    effects: EffectModel


def fit_action_uplifts(
    rows: Encoded,
    logged: LoggedActions,
    assignment_weight: FloatArray,
    folds: IntArray,
    settings: UpliftSettings,
    judged: BoolArray | None = None,
) -> ActionUplifts:
    """Fit all actions that have rows of both arms.

    1. `fit_effects`: one hierarchical logistic model of all actions; with it and LightGBM the cross-fitted nuisances of each arm.
    2. Doubly robust pseudo-outcomes of each pair {action, no_action}. They need only the logged probability of what was chosen: weighting
       each row by its inverse makes both arms the whole population. Unbiased if either the nuisances or the probabilities are right.
    3. A stack of the effect model, ridge and LightGBM on the pseudo-outcomes, with the average effect in the library.
    4. The average effects are shrunk: towards what the effect model says of them and towards none, as far as their errors explain it.

    Parameters
    ----------
    rows : Encoded
        n rows.
    logged : LoggedActions
    assignment_weight : array, shape (n,)
        1 / selection_prob of what was chosen, times for how many contacts the row stands.
    folds : array of int, shape (n,)
        0, 1, ...; all rows of a contact in one.
    settings : UpliftSettings
    judged : array of bool, shape (n,), optional
        Rows on which all actions will be compared; default all.
    """
    effects = fit_effects(rows.linear, logged, folds, workers=settings.workers)
    binned = BinnedRows(rows.trees, categorical=settings.categorical, n_jobs=settings.n_jobs, random_state=settings.random_state)
    compared = np.ones(len(folds), dtype=np.bool_) if judged is None else judged
    work = _Work(rows, logged, assignment_weight, folds, settings, effects, binned, effects.curves.design(rows.linear), compared)
    goals: dict[int, Callable[[], FloatArray]] = {goal: partial(work.unexposed, goal) for goal in range(logged.labels.shape[1])}
    unexposed = np.stack(list(fit_each(goals, workers=settings.workers).values()), axis=1)
    wanted = [k for k in range(len(logged.places)) if logged.contacted(k).any() and logged.controls(k).any()]
    wanted.sort(key=lambda k: -int(logged.contacted(k).sum()))  # the largest first: the others fit beside it
    jobs: dict[int, Callable[[], ActionUplift]] = {k: partial(work.action, k, unexposed[:, logged.goal_of[k]]) for k in wanted}
    found = fit_each(jobs, workers=settings.workers)
    return ActionUplifts(_pooled({k: found[k] for k in sorted(found)}), unexposed, effects)


@dataclass(frozen=True, eq=False)
class _Pair:
    """The rows of an action and of no_action: where they are among all, their pseudo-outcomes and weights."""

    at: IntArray
    psi: FloatArray
    weight: FloatArray
    rows: Encoded


@dataclass(frozen=True, eq=False)
class _Work:
    rows: Encoded
    logged: LoggedActions
    assignment_weight: FloatArray
    folds: IntArray
    settings: UpliftSettings
    effects: EffectModel
    binned: BinnedRows
    design: SingleArray
    judged: BoolArray

    def unexposed(self, goal: int) -> FloatArray:
        """The expectation without contact of every row, out of fold: the mean of the effect model's baseline and LightGBM."""
        logged = self.logged
        actions = np.flatnonzero(logged.goal_of == goal)
        arm = np.any([logged.controls(k) for k in actions.tolist()], axis=0)
        pairs = np.any([logged.contacted(k) for k in actions.tolist()], axis=0) | arm
        baseline = self._out_of_fold(lambda at: self.effects.unexposed(goal, at))
        return self._with_trees(baseline, arm, logged.labels[:, goal], pairs | self.judged)

    def action(self, action: int, unexposed: FloatArray) -> ActionUplift:
        """Nuisances, pseudo-outcomes, members, stack and head of one action."""
        logged, goal = self.logged, int(self.logged.goal_of[action])
        y, contacted = logged.labels[:, goal], logged.contacted(action)
        at = np.flatnonzero(contacted | logged.controls(action))
        needed = self.judged.copy()
        needed[at] = True
        modelled = self._modelled_exposed(action)
        exposed_mean = self._with_trees(modelled, contacted, y, needed)
        weight = balanced_weights(contacted[at], self.assignment_weight[at], MAX_WEIGHT_RATIO)
        psi = pseudo_outcomes(y[at], contacted[at], exposed_mean[at], unexposed[at])
        pair = _Pair(at, psi, weight, self.rows.take(at))
        members = np.full((len(y), len(MEMBERS)), np.nan)
        members[needed] = 0.0
        members[:, 0] = modelled - self._out_of_fold(lambda c: self.effects.unexposed(goal, c))
        if _fewest_events(y[at], contacted[at]) < FEWEST_EVENTS:
            stack = _few(y[at], contacted[at], weight, alone=len(logged.places) == 1)
        else:
            self._learn(members, pair, needed)
            stack = fit_stack(psi, members[at], weight)
        tau = stack.average + (members - weight @ members[at] / weight.sum()) @ stack.weights
        by_channel = self._average_by_channel(action, pair)
        shares = logged.channel_shares(action)
        modelled_effect = sum(share * by_channel[channel] for channel, share in shares.items())
        return ActionUplift(
            head=self._head(action, stack, modelled_effect, _deviation(tau[at], weight), pair),
            stack=stack,
            pair=at,
            pseudo_outcome=psi,
            weight=weight,
            tau=tau,
            exposed_mean=exposed_mean,
            modelled_effect=modelled_effect,
            by_channel={channel: effect - modelled_effect + stack.average for channel, effect in by_channel.items()},
        )

    def _average_by_channel(self, action: int, pair: _Pair) -> dict[int, float]:
        """What the effect model says an action changes on each of its channels, on average over the pair."""
        channels = list(self.logged.channel_shares(action))
        goal = int(self.logged.goal_of[action])
        coef = [self.effects.unexposed(goal), *(self.effects.exposed(action, channel) for channel in channels)]
        expected = expit((self.design[pair.at] @ np.column_stack(coef).astype(np.float32)).astype(np.float64))
        means = pair.weight @ expected / pair.weight.sum()
        return {channel: float(mean - means[0]) for channel, mean in zip(channels, means[1:], strict=True)}

    def _modelled_exposed(self, action: int) -> FloatArray:
        """The effect model's expectation with the contact, over the log's mix of channels, out of fold."""
        shares = self.logged.channel_shares(action)
        found = self._out_of_fold(lambda at: np.column_stack([self.effects.exposed(action, channel, at) for channel in shares]))
        return np.asarray(found @ np.array(list(shares.values())))

    def _out_of_fold(self, coefficients: Callable[[Coefficients], FloatArray]) -> FloatArray:
        """The expectations of one or more sets of log odds, shape (n,) or (n, sets)."""
        parts = []
        for fold, at in enumerate(self.effects.without_fold):
            log_odds = self.design[self.folds == fold] @ coefficients(at).astype(np.float32)
            parts.append((self.folds == fold, expit(log_odds.astype(np.float64))))
        out = np.empty((len(self.folds), *parts[0][1].shape[1:]))
        for rows, expected in parts:
            out[rows] = expected
        return out

    def _with_trees(self, modelled: FloatArray, arm: BoolArray, y: FloatArray, needed: BoolArray) -> FloatArray:
        return with_trees(self.binned, self.settings.trees, Arm(np.flatnonzero(arm), y, modelled), self.folds, needed)

    def _learn(self, members: FloatArray, pair: _Pair, needed: BoolArray) -> None:
        """Fill in the out-of-fold uplifts of the learners that read the pseudo-outcomes."""
        for fold in range(int(self.folds.max()) + 1):
            train, test = np.flatnonzero(self.folds[pair.at] != fold), np.flatnonzero((self.folds == fold) & needed)
            if not len(train) or not len(test):
                continue  # a handful of contacts leaves folds empty: there the learners say nothing
            rows = self.rows.take(test)
            for name in (RIDGE, TREES):
                members[test, MEMBERS.index(name)] = self._fit(name, pair, train).of(rows)

    def _fit(self, name: str, pair: _Pair, train: IntArray) -> Score:
        if name == RIDGE:
            return fit_ridge(pair.rows.linear[train], pair.psi[train], sample_weight=pair.weight[train])
        target, heft = np.zeros(len(self.folds)), np.zeros(len(self.folds))
        target[pair.at], heft[pair.at] = pair.psi, pair.weight
        settings = effect_settings(self.settings.trees, len(train))
        return tree_score(self.binned.fit(settings, "regression", pair.at[train], target, heft))

    def _head(self, action: int, stack: Stack, modelled_effect: float, differences: float, pair: _Pair) -> UpliftHead:
        contrast, members = channel_contrast(self.effects, self.logged, action), []
        for name, portion in zip(MEMBERS, stack.weights.tolist(), strict=True):
            if portion > 0 and name == EFFECTS:
                members.append(UpliftMember(name, portion, modelled_effect, contrast))
            elif portion > 0:
                score = self._fit(name, pair, np.arange(len(pair.at)))
                members.append(UpliftMember(name, portion, float(pair.weight @ score.of(pair.rows) / pair.weight.sum()), score))
        return UpliftHead(
            average_effect=stack.average,
            standard_error=stack.standard_error,
            members=tuple(members),
            evidence=int(self.logged.contacted(action).sum()),
            contrast=contrast,
            spread=effect_spread(self.effects, self.logged, action),
            differences=differences,
        )


def _deviation(values: FloatArray, weight: FloatArray) -> float:
    share = weight / weight.sum()
    return float(np.sqrt(share @ (values - share @ values) ** 2))


def _few(y: FloatArray, exposed: BoolArray, weight: FloatArray, *, alone: bool) -> Stack:
    """The average where events are few: half a response and half a silence more in each arm, else its standard error could be 0."""
    means, variance = {}, 0.0
    for arm in (True, False):
        heft = weight[exposed == arm]
        size = float(heft.sum() ** 2 / (heft**2).sum())
        means[arm] = float((size * np.average(y[exposed == arm], weights=heft) + 0.5) / (size + 1.0))
        variance += means[arm] * (1 - means[arm]) / size
    # An action alone has nothing but these few events; among others it leans on what they share.
    weights = np.zeros(len(MEMBERS)) if alone else np.eye(len(MEMBERS))[0]
    return Stack(means[True] - means[False], float(np.sqrt(variance)), weights, 0.0)


def _fewest_events(y: FloatArray, exposed: BoolArray) -> int:
    return min(int(np.sum((exposed == arm) & (y == outcome))) for arm in (True, False) for outcome in (0.0, 1.0))


def _pooled(found: Mapping[int, ActionUplift]) -> dict[int, ActionUplift]:
    """The same with average effects shrunk: towards what the effect model says of each, then all of them towards no effect.

    Both as far as the errors explain the distance; an action alone with an effect of t standard errors keeps 1 - 1 / t^2 of it, and nothing
    below one. So without evidence the answer is that the contact changes nothing.
    """
    measured = np.array([one.head.average_effect for one in found.values()])
    errors = np.array([one.head.standard_error for one in found.values()])
    if len(found) > 1:
        modelled = np.array([one.modelled_effect for one in found.values()])
        measured = modelled + shrink_to_pool(measured - modelled, errors, mean=0.0)
    drawn = shrink_to_pool(measured, errors, mean=0.0)
    return {k: one.around(float(effect)) for (k, one), effect in zip(found.items(), drawn, strict=True)}
