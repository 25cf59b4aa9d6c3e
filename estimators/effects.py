r"""What every action changes in the odds of its goal, learned for all actions at once.

For contact x, action a with goal g, channel c:

    log odds(no_action) = theta_g . d(x)
    log odds(a on c)    = theta_g . d(x) + s_c * (sum over levels l of phi_l) . z(x) + phi_c . z(x)

with d(x) the linear columns and their squares, z(x) = d(x) itself or its leading directions, and the levels those of `EffectLevels`: all
actions, the action's issue, group and itself. A channel is stronger or weaker (s_c) and adds something of its own (phi_c). Every
coefficient has a Gaussian prior of mean 0; the variances (one for each level, apart for intercepts, slopes and squares) are those under
which the data are most likely. So where contacts do not differ, or actions do not, the data themselves shrink the coefficients to
nothing. Newton's method; each goal's baseline is eliminated first.

References
----------
MacKay, "Bayesian Interpolation", 1992 (the variances). Gelman and Hill, "Data Analysis Using Regression and Multilevel/Hierarchical
Models", 2006 (the levels). Beirami et al., "On Optimal Generalization in Parametric Learning", 2017 (leaving a fold out by one step).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from scipy.special import logit

from estimators.arrays import AnyInts, FloatArray, IntArray
from estimators.curves import Curves
from estimators.effect_levels import EffectLevels
from estimators.effect_rows import NOTHING, Cell, LoggedActions, arms_of, by_fold, rows_together
from estimators.effect_system import CellMoments, Moments, Priors, SingleArray, Solution, directions, moments_of, solve
from estimators.encoding import Rows
from estimators.parallel import fit_each

MOST_ROUNDS, FIRST_ROUNDS, WARM_ROUNDS = 20, 12, 4
"""In all; on the thinned rows; and from an optimum of other rows of the same log."""

CONVERGED = 0.02
"""Newton's method stops after a step in which no coefficient changes by more: the next would be far smaller still."""

LARGEST_STEP = 2.0
SMALL_STEP = 0.5
"""Only where the next step is so small are variances and strengths judged: far from the optimum they would run away."""

THIN_ABOVE = 60_000
"""With more rows (counted once for each goal) the first rounds read every fourth only: they need no more to find the way."""

MOST_PASSES, NEAR = 3, 0.1
"""Passes over everything from where a sample's optimum lies: one, if no coefficient then moves by more than `NEAR`, for Newton's error is
about its square."""

FEWEST_OF_AN_ARM, MOST_OF_AN_ARM = 1_000, 25_000
"""Rows of an action on a channel in such a sample; the most is that of the mean."""

STRENGTH_SD, LEAST_STRENGTH, MOST_STRENGTH = 0.7, 0.1, 8.0
"""A channel's strength is 1 give or take this beforehand, and never outside the bounds."""


@dataclass(frozen=True, eq=False)
class Coefficients:
    """theta, shape (G, M), on the design; phi, shape (L, R), on its directions; strength of each channel, shape (C,)."""

    theta: FloatArray
    phi: FloatArray
    strength: FloatArray

    def moved(self, solution: Solution) -> Coefficients:
        """A step further, no coefficient by more than `LARGEST_STEP`."""
        theta, phi = (np.clip(step, -LARGEST_STEP, LARGEST_STEP) for step in (solution.theta_step, solution.phi_step))
        return replace(self, theta=self.theta + theta, phi=self.phi + phi)

    def halfway(self, other: Coefficients) -> Coefficients:
        """Between the two."""
        return Coefficients(*((getattr(self, name) + getattr(other, name)) / 2.0 for name in ("theta", "phi", "strength")))

    def strength_of(self, channel: int) -> float:
        """Of a channel by its index; 1 for `NOTHING`."""
        return 1.0 if channel == NOTHING else float(self.strength[channel])


@dataclass(frozen=True, eq=False)
class EffectModel:
    """The fitted model.

    Attributes
    ----------
    curves : Curves
    projection : array, shape (M, R)
        z = d . projection.
    levels : EffectLevels
    at : Coefficients
    priors : Priors
    solution : Solution
        The posterior's covariance, under variances that are as large as they may well be.
    without_fold : tuple of Coefficients
        Those of the model that has not seen fold 0, 1, ..., by one Newton step.
    """

    curves: Curves
    projection: FloatArray
    levels: EffectLevels
    goal_of: IntArray
    channels: tuple[str, ...]
    at: Coefficients
    priors: Priors
    solution: Solution
    without_fold: tuple[Coefficients, ...] = field(default=())

    def unexposed(self, goal: int, at: Coefficients | None = None) -> FloatArray:
        """Coefficients of the log odds without contact on the design, shape (M,)."""
        return np.asarray((at or self.at).theta[goal])

    def exposed(self, action: int, channel: int, at: Coefficients | None = None) -> FloatArray:
        """Coefficients of the log odds with an action on a channel on the design, shape (M,)."""
        now = at or self.at
        effect = _effect(self._blocks(action, channel), now.phi)
        return np.asarray(now.theta[self.goal_of[action]] + self.projection @ effect)

    def joint_covariance(self, action: int, shares: Mapping[int, float]) -> FloatArray:
        """Covariance of (theta of the action's goal, its effect over a mix of channels), shape (M + R, M + R)."""
        mix = np.zeros(len(self.levels.kinds))
        for channel, share in shares.items():
            for block, scale in self._blocks(action, channel).items():
                mix[block] += share * scale
        return self.solution.joint_covariance(int(self.goal_of[action]), mix)

    def is_of(self, work: _Work) -> bool:
        """The same columns, levels, goals and channels, so that the coefficients mean the same."""
        same_columns = self.curves.width == work.curves.width and np.array_equal(self.curves.bent, work.curves.bent)
        same_log = self.channels == work.logged.channels and np.array_equal(self.goal_of, work.logged.goal_of)
        return same_columns and same_log and self.levels == work.levels and self.projection.shape == work.projection.shape

    def _blocks(self, action: int, channel: int) -> dict[int, float]:
        name = None if channel == NOTHING else self.channels[channel]
        return self.levels.blocks(action, name, self.at.strength_of(channel))


def fit_effects(
    linear: FloatArray, logged: LoggedActions, folds: AnyInts | None = None, *, workers: int = 1, start: EffectModel | None = None
) -> EffectModel:
    """Fit the model; with folds (0, 1, ... for each row) also the coefficients without each.

    Parameters
    ----------
    linear : array, shape (n, m)
        Standardised columns.
    logged : LoggedActions
    folds : array of int, shape (n,), optional
    workers : int
        Cells read side by side.
    start : EffectModel, optional
        Fitted on other rows of the same log: where its columns, actions and channels are these, its optimum is close to this one, and its
        directions serve.
    """
    curves, rounds = Curves.of(linear), MOST_ROUNDS
    work = _Work.of(curves.design(linear), logged, curves, workers)
    del linear  # of a sample nobody else holds it
    if start is not None and start.is_of(work):
        work = replace(work, projection=start.projection, groups=start.priors.groups)
        at, priors, rounds = start.at, start.priors, WARM_ROUNDS
    else:
        at, priors = _start(logged, work), Priors.start(work.levels.kinds, curves, work.groups, logged.labels.shape[1])
        if work.size > THIN_ABOVE:
            at, priors, _ = _climb(work.thinned(4), at, priors, FIRST_ROUNDS)
    at, priors, solution = _climb(work, at, priors, rounds)
    parts = [] if folds is None else [work.of_fold(folds, fold).moments(at) for fold in range(int(folds.max()) + 1)]
    without = tuple(_without_each(parts, _added_up(parts), at, priors, work)) if parts else ()
    solution = solve(work.moments(at), at.theta, at.phi, priors.widened(solution), work.projection)
    return EffectModel(curves, work.projection, work.levels, logged.goal_of, logged.channels, at, priors, solution, without)


def fit_effects_in_blocks(
    rows: Rows, logged: LoggedActions, folds: AnyInts, *, most_rows: int, workers: int = 1, start: EffectModel | None = None
) -> EffectModel:
    """The model of more rows than fit into one design: variances from a sample, then Newton's method on everything, block by block.

    Parameters
    ----------
    rows : Encoded or EncodedLater
    logged : LoggedActions
    folds : array of int, shape (n,)
    most_rows : int
        Of the sample; with no more rows than twice as many this is `fit_effects`.
    workers : int
    start : EffectModel, optional
        See `fit_effects`.
    """
    if len(rows) <= 2 * most_rows:
        return fit_effects(rows.linear_of(slice(None)), logged, folds, workers=workers, start=start)
    sample = _of_every_arm(logged, most_rows)
    start = fit_effects(rows.linear_of(sample), logged.take(sample), workers=workers, start=start)
    work = _Work(
        start.curves,
        np.empty((0, 0), dtype=np.float32),
        logged,
        start.levels,
        start.projection,
        start.priors.groups,
        tuple(logged.cells()),
        workers,
    )
    at, priors = start.at, start.priors
    for number in range(MOST_PASSES):
        before, parts = at, work.moments_by_fold(rows, folds, at)
        everything = _added_up(parts)
        solution = solve(everything, at.theta, at.phi, priors, work.projection)
        moved = at.moved(solution)
        priors = priors.updated(moved.theta, moved.phi, solution)
        solution = solve(everything, at.theta, at.phi, priors, work.projection)
        at = at.moved(solution)
        if solution.largest_step < NEAR or number + 1 == MOST_PASSES:
            break
        at = replace(at, strength=work.strengths(everything, before, at))
    without = tuple(_without_each(parts, everything, before, priors, work))
    solution = solve(everything, before.theta, before.phi, priors.widened(solution), work.projection)
    return replace(start, at=at, priors=priors, solution=solution, without_fold=without)


def _of_every_arm(logged: LoggedActions, most_rows: int) -> IntArray:
    """About `most_rows` rows, spread evenly over those of every action and channel, of which none keeps fewer than `FEWEST_OF_AN_ARM`."""
    arms = (logged.action - NOTHING) * (len(logged.channels) + 1) + (logged.channel - NOTHING)
    names = np.unique(arms).tolist()
    share, kept = min(most_rows, MOST_OF_AN_ARM * len(names)) / len(arms), []
    for arm in names:
        rows = np.flatnonzero(arms == arm)
        wanted = min(len(rows), max(FEWEST_OF_AN_ARM, round(share * len(rows))))
        kept.append(rows if wanted == len(rows) else np.random.default_rng(len(rows)).choice(rows, wanted, replace=False, shuffle=False))
    return np.sort(np.concatenate(kept))


def _climb(work: _Work, at: Coefficients, priors: Priors, rounds: int) -> tuple[Coefficients, Priors, Solution]:
    """Newton's method with variances and strengths learned on the way; a step that makes things worse is halved."""
    before, likelihood_before = at, -np.inf
    for number in range(rounds):
        moments = work.moments(at)
        likelihood = sum(cell.moments.likelihood for cell in moments)
        worse = likelihood + priors.log_density(at.theta, at.phi) < likelihood_before + priors.log_density(before.theta, before.phi) - 1e-3
        if worse and number < rounds - 1:
            at = at.halfway(before)
            continue
        solution = solve(moments, at.theta, at.phi, priors, work.projection)
        before, likelihood_before = at, likelihood
        at = at.moved(solution)
        if solution.largest_step < SMALL_STEP:
            at = replace(at, strength=work.strengths(moments, before, at))
            fresh = priors.updated(at.theta, at.phi, solution)
            settled = fresh.close_to(priors) and np.abs(at.strength - before.strength).max(initial=0.0) < 0.05
            priors = fresh
            if settled and solution.largest_step < CONVERGED:
                break
    return at, priors, solution


@dataclass(frozen=True, eq=False)
class _Work:
    """The rows as Newton's method reads them, again in each round."""

    curves: Curves
    design: SingleArray
    logged: LoggedActions
    levels: EffectLevels
    projection: FloatArray
    groups: IntArray
    cells: tuple[Cell, ...]
    workers: int

    @classmethod
    def of(cls, design: SingleArray, logged: LoggedActions, curves: Curves, workers: int) -> _Work:
        cells = tuple(logged.cells())
        arms = [(cell.action, logged.channel_name(cell.channel)) for cell in cells if cell.action != NOTHING]
        levels = EffectLevels.of(logged.places, arms)
        projection, groups = directions(design, curves, len(levels.kinds))
        return cls(curves, design, logged, levels, projection, groups, cells, workers)

    @property
    def size(self) -> int:
        """Rows, counted once for each goal they are judged by."""
        return sum(len(cell.rows) for cell in self.cells)

    def thinned(self, every: int) -> _Work:
        """The same with some of the rows of each cell."""
        return replace(self, cells=tuple(cell._replace(rows=cell.rows[::every]) for cell in self.cells))

    def of_fold(self, folds: AnyInts, fold: int) -> _Work:
        """The same with the rows of one fold."""
        return replace(self, cells=tuple(cell._replace(rows=cell.rows[folds[cell.rows] == fold]) for cell in self.cells))

    def moments(self, at: Coefficients) -> list[CellMoments]:
        """The moments of every cell."""
        found = fit_each({k: partial(self._of, cell, at) for k, cell in enumerate(self.cells)}, workers=self.workers)
        return [CellMoments(cell.goal, self._blocks(cell, at), found[k]) for k, cell in enumerate(self.cells)]

    def moments_by_fold(self, rows: Rows, folds: AnyInts, at: Coefficients) -> list[list[CellMoments]]:
        """The moments of every cell in each fold, from one pass over the rows; an action on a channel beside the others."""
        arms = arms_of(self.cells)
        jobs = {number: partial(self._of_arm, rows, folds, of_arm, at) for number, of_arm in enumerate(arms)}
        of_cell = {k: found for of_arm in fit_each(jobs, workers=self.workers).values() for k, found in of_arm.items()}
        return [
            [CellMoments(cell.goal, self._blocks(cell, at), of_cell[k][fold]) for k, cell in enumerate(self.cells)]
            for fold in range(int(folds.max()) + 1)
        ]

    def _of_arm(self, rows: Rows, folds: AnyInts, cells: list[int], at: Coefficients) -> dict[int, list[Moments]]:
        """The moments of the cells (by their places) of an action on a channel, in each fold."""
        coef = {k: self._log_odds(self.cells[k], at) for k in cells}
        found = {k: [Moments.none(len(of_cell)) for _ in range(int(folds.max()) + 1)] for k, of_cell in coef.items()}
        for together in rows_together([self.cells[k].rows for k in cells]):
            design = self.curves.design(rows.linear_of(together))
            labels, weight = self.logged.labels[together], self.logged.weight[together]
            for k in cells:
                for fold, mine in by_fold(self.cells[k].rows, together, folds):
                    more = moments_of(design, mine, labels[:, self.cells[k].goal], weight, coef[k])
                    found[k][fold] = found[k][fold].plus(more)
        return found

    def strengths(self, moments: list[CellMoments], before: Coefficients, now: Coefficients) -> FloatArray:
        """Each channel's strength, by one Newton step from where the likelihood's second order says the rows stand now."""
        if not self.levels.by_channel:
            return now.strength
        slope, curvature = np.zeros(len(now.strength)), np.full(len(now.strength), STRENGTH_SD**-2)
        slope -= (now.strength - 1.0) * STRENGTH_SD**-2
        for cell, found in zip(self.cells, moments, strict=True):
            if cell.channel == NOTHING:
                continue
            information = found.moments.information
            score = found.moments.score - information @ (self._log_odds(cell, now) - self._log_odds(cell, before))
            direction = self.projection @ now.phi[list(self.levels.own(cell.action))].sum(axis=0)
            slope[cell.channel] += float(score @ direction)
            curvature[cell.channel] += float(direction @ information @ direction)
        moved = now.strength + np.clip(slope / curvature, -SMALL_STEP, SMALL_STEP)
        return np.asarray(np.clip(moved, LEAST_STRENGTH, MOST_STRENGTH))

    def _blocks(self, cell: Cell, at: Coefficients) -> Mapping[int, float]:
        if cell.action == NOTHING:
            return {}
        return self.levels.blocks(cell.action, self.logged.channel_name(cell.channel), at.strength_of(cell.channel))

    def _log_odds(self, cell: Cell, at: Coefficients) -> FloatArray:
        return np.asarray(at.theta[cell.goal] + self.projection @ _effect(self._blocks(cell, at), at.phi))

    def _of(self, cell: Cell, at: Coefficients) -> Moments:
        labels = self.logged.labels[:, cell.goal]
        return moments_of(self.design, cell.rows, labels, self.logged.weight, self._log_odds(cell, at))


def _effect(blocks: Mapping[int, float], phi: FloatArray) -> FloatArray:
    """The weighted sum of some blocks of phi, shape (R,)."""
    total = np.zeros(phi.shape[1])
    for block, scale in blocks.items():
        total += scale * phi[block]
    return total


def _start(logged: LoggedActions, work: _Work) -> Coefficients:
    theta = np.zeros((logged.labels.shape[1], work.design.shape[1]))
    for goal in range(len(theta)):
        known = ~np.isnan(logged.labels[:, goal])
        theta[goal, 0] = logit((np.sum(logged.labels[known, goal]) + 0.5) / (known.sum() + 1.0))
    return Coefficients(theta, np.zeros((len(work.levels.kinds), work.projection.shape[1])), np.ones(len(logged.channels)))


def _without_each(
    parts: Sequence[list[CellMoments]], everything: list[CellMoments], at: Coefficients, priors: Priors, work: _Work
) -> list[Coefficients]:
    """One Newton step from the optimum with the moments of each fold taken away."""
    jobs = {fold: partial(_solve_without, part, everything, at, priors, work) for fold, part in enumerate(parts)}
    return [at.moved(solution) for solution in fit_each(jobs, workers=work.workers).values()]


def _added_up(parts: Sequence[list[CellMoments]]) -> list[CellMoments]:
    everything = parts[0]
    for part in parts[1:]:
        everything = [cell._replace(moments=cell.moments.plus(more.moments)) for cell, more in zip(everything, part, strict=True)]
    return everything


def _solve_without(part: list[CellMoments], everything: list[CellMoments], at: Coefficients, priors: Priors, work: _Work) -> Solution:
    rest = [cell._replace(moments=cell.moments.minus(less.moments)) for cell, less in zip(everything, part, strict=True)]
    return solve(rest, at.theta, at.phi, priors, work.projection)
