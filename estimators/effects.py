r"""What every action changes in the odds of its goal, learned for all actions at once.

For contact x, action a with goal g, channel c:

    log odds(no_action) = theta_g . d(x),   log odds(a on c) = theta_g . d(x) + sum over levels l of phi_l . z(x)

with d(x) the linear columns and their squares, z(x) = d(x) itself or its leading directions, and the levels those of `EffectLevels`: all
actions, the action's issue, group, itself, and the channel. Every coefficient has a Gaussian prior of mean 0; the variances (one for each
level, apart for intercepts, slopes and squares) are those under which the data are most likely. So where contacts do not differ, or
actions do not, the data themselves shrink the coefficients to nothing. Newton's method; each goal's baseline is eliminated first.

References
----------
MacKay, "Bayesian Interpolation", 1992 (the variances). Gelman and Hill, "Data Analysis Using Regression and Multilevel/Hierarchical
Models", 2006 (the levels). Beirami et al., "On Optimal Generalization in Parametric Learning", 2017 (leaving a fold out by one step).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.special import logit

from estimators.arrays import FloatArray, IntArray
from estimators.curves import Curves
from estimators.effect_levels import EffectLevels
from estimators.effect_rows import NOTHING, Cell, LoggedActions
from estimators.effect_system import CellMoments, Moments, Priors, Solution, directions, moments_of, solve

MOST_ROUNDS = 40
CONVERGED = 1e-3
"""The largest change of a coefficient at which Newton's method stops."""

LARGEST_STEP = 2.0


@dataclass(frozen=True, eq=False)
class Coefficients:
    """theta, shape (G, M), on the design; phi, shape (L, R), on its directions."""

    theta: FloatArray
    phi: FloatArray

    def moved(self, solution: Solution) -> Coefficients:
        """A step further, no coefficient by more than `LARGEST_STEP`."""
        theta, phi = (np.clip(step, -LARGEST_STEP, LARGEST_STEP) for step in (solution.theta_step, solution.phi_step))
        return Coefficients(self.theta + theta, self.phi + phi)


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
        Of the last round: the posterior's covariance.
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
        blocks = list(self._blocks(action, channel))
        return np.asarray(now.theta[self.goal_of[action]] + self.projection @ now.phi[blocks].sum(axis=0))

    def joint_covariance(self, action: int, shares: Mapping[int, float]) -> FloatArray:
        """Covariance of (theta of the action's goal, its effect over a mix of channels), shape (M + R, M + R)."""
        mix = np.zeros(len(self.levels.kinds))
        for channel, share in shares.items():
            mix[list(self._blocks(action, channel))] += share
        return self.solution.joint_covariance(int(self.goal_of[action]), mix)

    def channel_name(self, channel: int) -> str | None:
        """The name of a channel by its index; None for `NOTHING`."""
        return None if channel == NOTHING else self.channels[channel]

    def _blocks(self, action: int, channel: int) -> tuple[int, ...]:
        return self.levels.blocks(action, self.channel_name(channel))


def fit_effects(linear: FloatArray, logged: LoggedActions, folds: IntArray | None = None) -> EffectModel:
    """Fit the model; with folds (0, 1, ... for each row) also the coefficients without each.

    Parameters
    ----------
    linear : array, shape (n, m)
        Standardised columns.
    logged : LoggedActions
    folds : array of int, shape (n,), optional
    """
    curves = Curves.of(linear)
    work = _Work.of(curves.design(linear), logged, curves)
    priors = Priors.start(work.levels.kinds, curves, work.groups)
    at = _start(logged, work)
    for number in range(MOST_ROUNDS):
        solution = solve(work.moments(at), at.theta, at.phi, priors, work.projection)
        at = at.moved(solution)
        fresh = priors.updated(at.theta, at.phi, solution)
        settled = fresh.close_to(priors) or 2 * number > MOST_ROUNDS
        priors = fresh
        if solution.largest_step < CONVERGED and settled:
            break
    without = () if folds is None else tuple(_without_each(work, at, priors, folds))
    return EffectModel(curves, work.projection, work.levels, logged.goal_of, logged.channels, at, priors, solution, without)


@dataclass(frozen=True, eq=False)
class _Work:
    """The rows as Newton's method reads them, again in each round."""

    design: FloatArray
    logged: LoggedActions
    levels: EffectLevels
    projection: FloatArray
    groups: IntArray
    cells: tuple[tuple[Cell, tuple[int, ...]], ...]

    @classmethod
    def of(cls, design: FloatArray, logged: LoggedActions, curves: Curves) -> _Work:
        levels = EffectLevels.of(logged.places, logged.channels)
        projection, groups = directions(design, curves, len(levels.kinds))
        cells = []
        for cell in logged.cells():
            channel = None if cell.channel == NOTHING else logged.channels[cell.channel]
            blocks = () if cell.action == NOTHING else levels.blocks(cell.action, channel)
            cells.append((cell, blocks))
        return cls(design, logged, levels, projection, groups, tuple(cells))

    def moments(self, at: Coefficients) -> list[CellMoments]:
        return [CellMoments(cell.goal, blocks, self._of(cell.goal, blocks, cell.rows, at)) for cell, blocks in self.cells]

    def moments_of_fold(self, at: Coefficients, folds: IntArray, fold: int) -> list[CellMoments]:
        return [
            CellMoments(cell.goal, blocks, self._of(cell.goal, blocks, cell.rows[folds[cell.rows] == fold], at))
            for cell, blocks in self.cells
        ]

    def _of(self, goal: int, blocks: tuple[int, ...], rows: IntArray, at: Coefficients) -> Moments:
        coef = at.theta[goal] + self.projection @ at.phi[list(blocks)].sum(axis=0)
        return moments_of(self.design, rows, self.logged.labels[:, goal], self.logged.weight, coef)


def _start(logged: LoggedActions, work: _Work) -> Coefficients:
    theta = np.zeros((logged.labels.shape[1], work.design.shape[1]))
    for goal in range(len(theta)):
        known = ~np.isnan(logged.labels[:, goal])
        theta[goal, 0] = logit((np.sum(logged.labels[known, goal]) + 0.5) / (known.sum() + 1.0))
    return Coefficients(theta, np.zeros((len(work.levels.kinds), work.projection.shape[1])))


def _without_each(work: _Work, at: Coefficients, priors: Priors, folds: IntArray) -> list[Coefficients]:
    """One Newton step from the optimum with the fold's moments taken away."""
    parts = [work.moments_of_fold(at, folds, fold) for fold in range(int(folds.max()) + 1)]
    everything = parts[0]
    for part in parts[1:]:
        everything = [cell._replace(moments=cell.moments.plus(more.moments)) for cell, more in zip(everything, part, strict=True)]
    found = []
    for part in parts:
        rest = [cell._replace(moments=cell.moments.minus(less.moments)) for cell, less in zip(everything, part, strict=True)]
        found.append(at.moved(solve(rest, at.theta, at.phi, priors, work.projection)))
    return found
