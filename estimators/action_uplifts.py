"""The uplift of many actions at once: one model of all effects, learners of each action beside it, stacked by what they prove."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from estimators.arrays import AnyFloats, AnyInts, BoolArray, FloatArray, rows_where
from estimators.effect_rows import LoggedActions
from estimators.effects import EffectModel, fit_effects_in_blocks
from estimators.encoding import Rows
from estimators.expectations import Expectations, WeightedRows
from estimators.nuisance import FEWEST_EVENTS, Arm, balanced_weights, pseudo_outcomes, with_trees
from estimators.own_score import OwnEffect
from estimators.pair_learners import MEMBERS, Pair, Weighed, cross_fitted, held_out
from estimators.parallel import fit_each
from estimators.served_effects import channel_contrast, effect_spread
from estimators.shrinkage import shrink_to_pool
from estimators.stacking import Stack, weighted_average
from estimators.trees import EFFECT_BINS, MAX_BIN, REGULARISED, BinnedRows, TreeSettings
from estimators.uplift_head import EFFECTS, UpliftHead, UpliftMember

OWN = "own"
"""The name of a served member that a user's own regressor has learned."""

MAX_WEIGHT_RATIO = 20.0
"""No row weighs more than so many times its arm's mean."""

ENOUGH_OF_AN_ARM = 60_000
"""Of an arm with more rows the effect model's expectations alone are the nuisance, and with more than half of `most_rows`."""

HELD_SHARE = 0.1
"""Members are weighed on no fewer rows than this share of `most_rows`."""


class Chosen(NamedTuple):
    """What cross-fitting said of an action: the weights of `MEMBERS`, how surely contacts differ, and how much (one SD)."""

    weights: FloatArray
    evidence: float
    differences: float


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
    most_rows : int
        More rows (of a pair, or in all) only refine what so many have chosen: see `fit_action_uplifts`.
    start : EffectModel or None
        Of other rows of the same log; the search begins there.
    chosen : mapping of str to Chosen
        By action: what other rows of the same log have chosen is not chosen again, so there is no tau out of fold.
    own : regressor, optional
        A user's own, not fitted: it learns the pseudo-outcomes of each pair in the place of LightGBM.
    """

    categorical: tuple[int, ...] = ()
    trees: TreeSettings = REGULARISED
    workers: int = 1
    n_jobs: int = 1
    random_state: int = 0
    most_rows: int = 200_000
    start: EffectModel | None = None
    chosen: Mapping[str, Chosen] = field(default_factory=dict)
    own: Any | None = None


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
        The uplift, and the expectation with the contact, by models that have not seen the row; tau is NaN on rows that are neither of the
        pair nor judged, and with many rows on all but those that are judged. It has shape (0,) where other rows had chosen already.
    modelled_effect : float
        The average effect as the effect model has it.
    by_channel : mapping of int to float
        The average effect on each channel that the action was logged on.
    """

    head: UpliftHead
    stack: Stack
    pair: AnyInts
    pseudo_outcome: AnyFloats
    weight: AnyFloats
    tau: FloatArray
    exposed_mean: AnyFloats
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
    unexposed_mean: AnyFloats
    effects: EffectModel

    @property
    def chosen(self) -> dict[int, Chosen]:
        """What was chosen for each action, for a fit on other rows of the same log."""
        return {k: Chosen(one.stack.weights, one.stack.evidence, one.head.differences) for k, one in self.by_action.items()}


def fit_action_uplifts(
    rows: Rows,
    logged: LoggedActions,
    assignment_weight: FloatArray,
    folds: AnyInts,
    settings: UpliftSettings,
    judged: BoolArray | None = None,
) -> ActionUplifts:
    """Fit all actions that have rows of both arms.

    1. `fit_effects`: one hierarchical logistic model of all actions; with it and LightGBM the cross-fitted nuisances of each arm.
    2. Doubly robust pseudo-outcomes of each pair {action, no_action}. They need only the logged probability of what was chosen: weighting
       each row by its inverse makes both arms the whole population. Unbiased if either the nuisances or the probabilities are right.
    3. A stack of the effect model, ridge and LightGBM on the pseudo-outcomes, with the average effect in the library.
       With more than `settings.most_rows` rows of a pair, learners see all but some of them, which weigh them, and are fitted once; the
       effect model's expectations alone are the nuisances, and the average effect is that of all rows.
    4. The average effects are shrunk: towards what the effect model says of them and towards none, as far as their errors explain it.

    Parameters
    ----------
    rows : Encoded or EncodedLater
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
    pairs = _pairs(logged, assignment_weight, settings.most_rows)
    many = any(len(pair.at) > settings.most_rows for pair in pairs.values())
    effects = fit_effects_in_blocks(rows, logged, folds, most_rows=settings.most_rows // 2, workers=settings.workers, start=settings.start)
    expected = Expectations.of(effects, rows, logged, folds, pairs)
    bins = EFFECT_BINS if many else MAX_BIN
    binned = BinnedRows(
        rows.trees, categorical=settings.categorical, n_jobs=settings.n_jobs, random_state=settings.random_state, max_bin=bins
    )
    work = _Work(rows, logged, pairs, folds, settings, effects, expected, binned, judged)
    goals: dict[int, Callable[[], AnyFloats]] = {goal: partial(work.unexposed, goal) for goal in range(logged.labels.shape[1])}
    unexposed = np.stack(list(fit_each(goals, workers=settings.workers).values()), axis=1)
    wanted = sorted(pairs, key=lambda k: -int(logged.contacted(k).sum()))  # the largest first: the others fit beside it
    jobs: dict[int, Callable[[], ActionUplift]] = {k: partial(work.action, k, unexposed[:, logged.goal_of[k]]) for k in wanted}
    found = fit_each(jobs, workers=settings.workers)
    return ActionUplifts(_pooled({k: found[k] for k in sorted(found)}), unexposed, effects)


def _pairs(logged: LoggedActions, assignment_weight: FloatArray, most_rows: int) -> dict[int, WeightedRows]:
    """Of every action with rows of both arms."""
    found = {}
    for k in range(len(logged.places)):
        contacted, controls = logged.contacted(k), logged.controls(k)
        if contacted.any() and controls.any():
            at = rows_where(contacted | controls)
            weight = balanced_weights(contacted[at], assignment_weight[at], MAX_WEIGHT_RATIO)
            found[k] = WeightedRows(at, _narrow(weight, most_rows))
    return found


def _narrow(values: AnyFloats, most_rows: int) -> AnyFloats:
    """With single precision where rows are many: LightGBM reads no more of them, and all of them are kept until the end."""
    return values.astype(np.float32, copy=False) if len(values) > most_rows else values


@dataclass(frozen=True, eq=False)
class _Work:
    rows: Rows
    logged: LoggedActions
    pairs: Mapping[int, WeightedRows]
    folds: AnyInts
    settings: UpliftSettings
    effects: EffectModel
    expected: Expectations
    binned: BinnedRows
    judged: BoolArray | None

    def unexposed(self, goal: int) -> AnyFloats:
        """The expectation without contact of every row, out of fold: the mean of the effect model's baseline and LightGBM."""
        logged, modelled = self.logged, self.expected.unexposed[:, goal]
        actions = np.flatnonzero(logged.goal_of == goal)
        arm = np.any([logged.controls(k) for k in actions.tolist()], axis=0)
        needed = self._needed(np.any([logged.contacted(k) for k in actions.tolist()], axis=0) | arm)
        return self._with_trees(modelled, arm, logged.labels[:, goal], needed)

    def action(self, action: int, unexposed: AnyFloats) -> ActionUplift:
        """Nuisances, pseudo-outcomes, members, stack and head of one action."""
        logged, goal = self.logged, int(self.logged.goal_of[action])
        contacted, at, weight = logged.contacted(action), self.pairs[action].at, self.pairs[action].weight
        y, modelled, by_channel = logged.labels[:, goal], self.expected.exposed[action], self.expected.by_channel[action]
        of_pair = np.zeros(len(y), dtype=np.bool_)
        of_pair[at] = True
        needed = self._needed(of_pair)
        exposed_mean = self._with_trees(modelled, contacted, y, needed)
        psi = _narrow(pseudo_outcomes(y[at], contacted[at], exposed_mean[at], unexposed[at]), self.settings.most_rows)
        pair = Pair(at, psi, weight, self.rows, self.binned, self.settings.trees, self.settings.own)
        few = _fewest_events(y[at], contacted[at]) < FEWEST_EVENTS
        known = _few(y[at], contacted[at], weight, alone=len(logged.places) == 1) if few else None
        weighed = self._weighed(action, pair, needed, known)
        modelled_effect = sum(share * by_channel[channel] for channel, share in logged.channel_shares(action).items())
        return ActionUplift(
            head=self._head(action, weighed, modelled_effect, pair),
            stack=weighed.stack,
            pair=at,
            pseudo_outcome=psi,
            weight=weight,
            tau=weighed.tau,
            exposed_mean=exposed_mean,
            modelled_effect=modelled_effect,
            by_channel={channel: effect - modelled_effect + weighed.stack.average for channel, effect in by_channel.items()},
        )

    def _weighed(self, action: int, pair: Pair, needed: BoolArray, known: Stack | None) -> Weighed:
        unexposed, exposed = self.expected.unexposed[:, self.logged.goal_of[action]], self.expected.exposed[action]
        before = self.settings.chosen.get(self.logged.places[action].action)
        if known is None and before is not None:
            stack = Stack(*weighted_average(pair.psi, pair.weight), before.weights, before.evidence)
            return Weighed(stack, np.empty(0), before.differences)
        if len(pair.at) > self.settings.most_rows and known is None:
            held = self._held(pair.at)
            return held_out(pair, exposed[held] - unexposed[held], held)
        return cross_fitted(pair, exposed - unexposed, self.folds, needed, known)

    def _needed(self, own: BoolArray) -> BoolArray:
        """Rows whose expectation is asked for."""
        return np.ones(len(own), dtype=np.bool_) if self.judged is None else own | self.judged

    def _held(self, at: AnyInts) -> BoolArray:
        """Rows to weigh the members on: those that are judged, else, or where these are too few, a fold."""
        few = self.judged is None or self.judged[at].all() or self.judged[at].sum() < HELD_SHARE * self.settings.most_rows
        return self.folds == 0 if few or self.judged is None else self.judged

    def _with_trees(self, modelled: AnyFloats, arm: BoolArray, y: FloatArray, needed: BoolArray) -> AnyFloats:
        rows = rows_where(arm)
        if len(rows) > min(self.settings.most_rows // 2, ENOUGH_OF_AN_ARM):
            return modelled  # so many rows average the noise away that trees would take from it
        weight = None if np.ptp(self.logged.weight) == 0 else self.logged.weight
        expected = with_trees(self.binned, self.settings.trees, Arm(rows, y, modelled, weight), self.folds, needed)
        return _narrow(expected, self.settings.most_rows)

    def _head(self, action: int, weighed: Weighed, modelled_effect: float, pair: Pair) -> UpliftHead:
        contrast, members, stack = channel_contrast(self.effects, self.logged, action), [], weighed.stack
        for name, portion in zip(MEMBERS, stack.weights.tolist(), strict=True):
            if portion > 0 and name == EFFECTS:
                members.append(UpliftMember(name, portion, modelled_effect, contrast))
            elif portion > 0:
                score, mean = weighed.fitted[name] if name in weighed.fitted else pair.fitted(name)
                members.append(UpliftMember(OWN if isinstance(score, OwnEffect) else name, portion, mean, score))
        return UpliftHead(
            average_effect=stack.average,
            standard_error=stack.standard_error,
            members=tuple(members),
            evidence=int(self.logged.contacted(action).sum()),
            contrast=contrast,
            spread=effect_spread(self.effects, self.logged, action),
            differences=weighed.differences,
        )


def _few(y: FloatArray, exposed: BoolArray, weight: AnyFloats, *, alone: bool) -> Stack:
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
