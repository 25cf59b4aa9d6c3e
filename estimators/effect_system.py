"""Newton's equations of the effect model: what the rows say (moments), what is believed beforehand (priors), and the step that follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.special import expit

from estimators.arrays import AnyInts, FloatArray, IntArray
from estimators.curves import Curves
from estimators.effect_levels import ALL

CHUNK_ROWS = 32_768
MOST_UNKNOWNS = 1_200
"""Effects have at most about so many coefficients in all: with many actions they vary along fewer directions of the contacts."""

FEWEST_DIRECTIONS, MOST_DIRECTIONS = 8, 60
FLAT = 100.0
"""The variance of a coefficient about which nothing is believed beforehand."""

START, SMALLEST, LARGEST = 0.02, 1e-7, 1.0
"""Variances of the others: where they start, and the range they may take."""

STANDSTILL = 0.003
"""Standard deviations that move by less are settled."""

CONSTANT, SLOPE, SQUARE = 0, 1, 2
FREEDOM = 4.0
"""Degrees of freedom of the coefficients' prior."""

MAIN = "main"
Key: TypeAlias = tuple[str, int]
SingleArray: TypeAlias = npt.NDArray[np.float32]


class Moments(NamedTuple):
    """Of one cell's rows: the log-likelihood, its gradient X' (y - p), shape (M,), and the information X' W X, shape (M, M)."""

    likelihood: float
    score: FloatArray
    information: FloatArray

    @classmethod
    def none(cls, size: int) -> Moments:
        """Of no rows."""
        return cls(0.0, np.zeros(size), np.zeros((size, size)))

    def plus(self, other: Moments) -> Moments:
        """The moments of both cells' rows."""
        return Moments(self.likelihood + other.likelihood, self.score + other.score, self.information + other.information)

    def minus(self, other: Moments) -> Moments:
        """The moments of the rows that are not the other's."""
        return Moments(self.likelihood - other.likelihood, self.score - other.score, self.information - other.information)


class CellMoments(NamedTuple):
    """Moments of a cell, the goal it is judged by, and how much of each block of effects it carries (of none for no_action)."""

    goal: int
    blocks: Mapping[int, float]
    moments: Moments


def moments_of(design: SingleArray, rows: AnyInts, y: FloatArray, weight: FloatArray, coef: FloatArray) -> Moments:
    """The moments of some rows at the coefficients of their log odds.

    Parameters
    ----------
    design : array of float32, shape (n, M)
    rows : array of int
    y, weight : arrays, shape (n,)
    coef : array, shape (M,)
    """
    information, score = np.zeros((len(coef), len(coef))), np.zeros(len(coef))
    likelihood, single = 0.0, coef.astype(np.float32)
    for start in range(0, len(rows), CHUNK_ROWS):
        part = rows[start : start + CHUNK_ROWS]
        x = design[part]
        log_odds = (x @ single).astype(np.float64)
        p = expit(log_odds)
        likelihood += float(weight[part] @ (y[part] * log_odds - np.logaddexp(0.0, log_odds)))
        score += (weight[part] * (y[part] - p)).astype(np.float32) @ x
        root = np.sqrt(weight[part] * p * (1.0 - p)).astype(np.float32)
        x *= root[:, None]
        # In single precision: half the bytes, and the information need only point Newton's method the right way.
        information += x.T @ x
    return Moments(likelihood, score, information)


def directions(design: SingleArray, curves: Curves, levels: int) -> tuple[FloatArray, IntArray]:
    """The directions along which effects may vary, shape (M, R), and the group of each: `CONSTANT`, `SLOPE` or `SQUARE`.

    All columns where they are few; else the leading principal directions, two thirds of them of slopes.

    Parameters
    ----------
    design : array, shape (n, M)
    curves : Curves
    levels : int
        Blocks of effects.
    """
    most = int(np.clip(MOST_UNKNOWNS // levels, FEWEST_DIRECTIONS, MOST_DIRECTIONS))
    slopes, squares = np.arange(1, 1 + curves.width), np.arange(1 + curves.width, design.shape[1])
    shares = (most, most) if len(slopes) + len(squares) <= most else (max(most - len(squares), 2 * most // 3), most // 3)
    parts, groups = [np.eye(design.shape[1], 1)], [CONSTANT]
    for columns, share, group in ((slopes, shares[0], SLOPE), (squares, shares[1], SQUARE)):
        found = _leading(design, columns, share)
        parts.append(found)
        groups += [group] * found.shape[1]
    return np.hstack(parts), np.array(groups, dtype=np.int64)


def _leading(design: SingleArray, columns: IntArray, most: int) -> FloatArray:
    out = np.zeros((design.shape[1], min(most, len(columns))))
    if len(columns) <= most:
        out[columns, np.arange(len(columns))] = 1.0
        return out
    part = design[:, columns]
    values, vectors = np.linalg.eigh((part.T @ part).astype(np.float64))
    out[columns] = vectors[:, np.argsort(-values)[:most]]
    return out


@dataclass(frozen=True, eq=False)
class Priors:
    """Variances by level and group of coefficient, times a factor of each coefficient; a baseline is the level `main`.

    The factors make the prior a Student t: of sixty columns one may matter a great deal, and is then shrunk hardly at all.

    Attributes
    ----------
    kinds : tuple of str
        The level of each block of effects.
    main_groups, groups : arrays of int
        The group of each coefficient of a baseline, shape (M,), and of an effect, shape (R,).
    """

    kinds: tuple[str, ...]
    main_groups: IntArray
    groups: IntArray
    variances: dict[Key, float]
    main_factors: FloatArray
    factors: FloatArray

    @classmethod
    def start(cls, kinds: tuple[str, ...], curves: Curves, groups: IntArray, goals: int) -> Priors:
        """Where the search for the variances begins."""
        main_groups = np.repeat([CONSTANT, SLOPE, SQUARE], [1, curves.width, len(curves.bent)])
        keys = {(kind, group) for kind in (MAIN, *kinds) for group in (CONSTANT, SLOPE, SQUARE)}
        variances = {key: FLAT if _is_flat(key) else START for key in sorted(keys)}
        return cls(kinds, main_groups, groups, variances, np.ones((goals, len(main_groups))), np.ones((len(kinds), len(groups))))

    def of_main(self) -> FloatArray:
        """Variances of the baselines' coefficients, shape (G, M)."""
        return np.array([self.variances[MAIN, group] for group in self.main_groups.tolist()]) * self.main_factors

    def of_effects(self) -> FloatArray:
        """Variances of the effects' coefficients, shape (L, R)."""
        return np.array([[self.variances[kind, group] for group in self.groups.tolist()] for kind in self.kinds]) * self.factors

    def log_density(self, theta: FloatArray, phi: FloatArray) -> float:
        """Of the coefficients, up to a constant."""
        return -0.5 * float((theta**2 / self.of_main()).sum() + (phi**2 / self.of_effects()).sum())

    def updated(self, theta: FloatArray, phi: FloatArray, solution: Solution) -> Priors:
        """The next variances: the geometric mean of the EM step (safe, slow) and MacKay's (fast)."""
        fresh, kinds = dict(self.variances), np.array(self.kinds)
        main_factors, factors = self.main_factors.copy(), self.factors.copy()
        for key, now in self.variances.items():
            if _is_flat(key):
                continue
            if key[0] == MAIN:
                at: tuple[Any, ...] = np.ix_(np.arange(len(theta)), self.main_groups == key[1])
                value, variance, factor = theta[at], solution.main_variances[at], main_factors
            else:
                at = np.ix_(kinds == key[0], self.groups == key[1])
                value, variance, factor = phi[at], solution.effect_variances[at], factors
            if value.size:
                fresh[key] = _next_variance(now, value**2 / factor[at], variance / factor[at])
                factor[at] = (FREEDOM + (value**2 + variance) / fresh[key]) / (FREEDOM + 1.0)
        return replace(self, variances=fresh, main_factors=main_factors, factors=factors)

    def widened(self, solution: Solution) -> Priors:
        """Variances one standard error above what was learned: a variance learned from few coefficients may have come out too small.

        A variance v learned from k coefficients that the data know with error variance e has itself the standard error
        sqrt(2 / k) (v + e).
        """
        wider, kinds = dict(self.variances), np.array(self.kinds)
        for key, now in self.variances.items():
            if _is_flat(key) or key[0] == MAIN:
                continue
            posterior = solution.effect_variances[np.ix_(kinds == key[0], self.groups == key[1])]
            if posterior.size:
                prior = now * self.factors[np.ix_(kinds == key[0], self.groups == key[1])]
                known = np.mean(np.maximum(1.0 / posterior - 1.0 / prior, 1e-6))
                wider[key] = float(np.clip(now + np.sqrt(2.0 / posterior.size) * (now + 1.0 / known), SMALLEST, LARGEST))
        return replace(self, variances=wider)

    def close_to(self, other: Priors) -> bool:
        """No standard deviation differs by more than a few thousandths of log odds, or by more than a tenth of itself."""
        moved = [(np.sqrt(value), np.sqrt(other.variances[key])) for key, value in self.variances.items()]
        return all(abs(now - before) < max(STANDSTILL, 0.1 * before) for now, before in moved)


def _is_flat(key: Key) -> bool:
    return key in ((MAIN, CONSTANT), (ALL, CONSTANT))


def _next_variance(now: float, squared: FloatArray, variance: FloatArray) -> float:
    energy, spread = float(squared.sum()), float(variance.sum())
    em = (energy + spread) / squared.size
    mackay = energy / max(squared.size - spread / now, 1e-3)
    return float(np.clip(np.sqrt(em * max(mackay, SMALLEST)), SMALLEST, LARGEST))


@dataclass(frozen=True, eq=False)
class _Baseline:
    """One goal's baseline, eliminated: its own inverse information, and how it answers to the effects it touches."""

    columns: IntArray
    inverse: FloatArray
    answer: FloatArray
    own_step: FloatArray


@dataclass(frozen=True, eq=False)
class Solution:
    """A Newton step and the covariance of the coefficients there (Laplace's approximation of the posterior).

    Attributes
    ----------
    theta_step, phi_step : arrays, shapes (G, M) and (L, R)
    effect_covariance : array, shape (L * R, L * R)
    main_variances, effect_variances : arrays, shapes (G, M) and (L, R)
    """

    theta_step: FloatArray
    phi_step: FloatArray
    effect_covariance: FloatArray
    main_variances: FloatArray
    effect_variances: FloatArray
    baselines: tuple[_Baseline, ...]

    @property
    def largest_step(self) -> float:
        """The largest change of any coefficient."""
        return float(max(np.abs(self.theta_step).max(), np.abs(self.phi_step).max()))

    def joint_covariance(self, goal: int, mix: FloatArray) -> FloatArray:
        """Covariance of (theta of a goal, sum over blocks l of mix_l * phi_l), shape (M + R, M + R)."""
        one, size = self.baselines[goal], self.phi_step.shape[1]
        pick = np.kron(mix[:, None], np.eye(size))  # (L R, R)
        effect = self.effect_covariance @ pick
        touched = self.effect_covariance[np.ix_(one.columns, one.columns)]
        main = one.inverse + one.answer @ touched @ one.answer.T
        between = -one.answer @ effect[one.columns]
        return np.block([[main, between], [between.T, pick.T @ effect]])


def solve(cells: Sequence[CellMoments], theta: FloatArray, phi: FloatArray, priors: Priors, projection: FloatArray) -> Solution:
    """The Newton step from (theta, phi), the baselines eliminated one goal at a time.

    Parameters
    ----------
    cells : sequence of CellMoments
        Taken at (theta, phi).
    theta, phi : arrays, shapes (G, M) and (L, R)
    priors : Priors
    projection : array, shape (M, R)
    """
    size = phi.shape[1]
    precision = 1.0 / priors.of_effects().ravel()
    information, score = np.diag(precision), -precision * phi.ravel()
    halves = [cell.moments.information @ projection if cell.blocks else projection for cell in cells]
    for cell, half in zip(cells, halves, strict=True):
        if not cell.blocks:
            continue
        projected = projection.T @ half
        pushed = projection.T @ cell.moments.score
        for block, scale in cell.blocks.items():
            score[_of(block, size)] += scale * pushed
            for other, other_scale in cell.blocks.items():
                information[_of(block, size), _of(other, size)] += scale * other_scale * projected
    baselines, variances = [], priors.of_main()
    for goal in range(len(theta)):
        mine = [(cell, half) for cell, half in zip(cells, halves, strict=True) if cell.goal == goal]
        one, coupling = _eliminate(mine, theta[goal], variances[goal])
        information[np.ix_(one.columns, one.columns)] -= coupling.T @ one.answer
        score[one.columns] -= coupling.T @ one.own_step
        baselines.append(one)
    covariance = _inverse(information)
    step = covariance @ score
    theta_step = np.stack([one.own_step - one.answer @ step[one.columns] for one in baselines])
    return Solution(
        theta_step=theta_step,
        phi_step=step.reshape(phi.shape),
        effect_covariance=covariance,
        main_variances=np.stack([_main_variances(one, covariance) for one in baselines]),
        effect_variances=np.diag(covariance).reshape(phi.shape),
        baselines=tuple(baselines),
    )


def _inverse(positive: FloatArray) -> FloatArray:
    """Of a symmetric positive definite matrix, by its Cholesky factor."""
    factor, failed = dpotrf(positive, lower=1, clean=1)
    if failed:
        raise ValueError("the effects' information matrix is not positive definite. Hint: a column holds values that are not finite")
    lower, _ = dpotri(factor, lower=1, overwrite_c=1)
    inverse: FloatArray = lower + lower.T  # above the diagonal there are the zeros of the factor
    inverse.flat[:: len(inverse) + 1] *= 0.5
    return inverse


def _of(block: int, size: int) -> slice:
    return slice(block * size, (block + 1) * size)


def _eliminate(cells: Sequence[tuple[CellMoments, FloatArray]], theta: FloatArray, variances: FloatArray) -> tuple[_Baseline, FloatArray]:
    """A goal's baseline, and d(score of theta) / d(phi) of the effects it touches, shape (M, touched).

    Parameters
    ----------
    cells : sequence of (CellMoments, array of shape (M, R))
        Those of the goal, each with its information times the projection.
    """
    precision = 1.0 / variances
    information, score = np.diag(precision), -precision * theta
    for cell, _ in cells:
        information += cell.moments.information
        score += cell.moments.score
    size = cells[0][1].shape[1] if cells else 0
    blocks = sorted({block for cell, _ in cells for block in cell.blocks})
    coupling = np.zeros((len(theta), len(blocks) * size))
    for cell, half in cells:
        for block, scale in cell.blocks.items():
            coupling[:, _of(blocks.index(block), size)] += scale * half
    columns = np.concatenate([np.arange(block * size, (block + 1) * size) for block in blocks]) if blocks else np.empty(0, dtype=np.int64)
    inverse = _inverse(information)
    return _Baseline(columns, inverse, inverse @ coupling, inverse @ score), coupling


def _main_variances(one: _Baseline, covariance: FloatArray) -> FloatArray:
    touched = covariance[np.ix_(one.columns, one.columns)]
    return np.asarray(np.diag(one.inverse) + np.einsum("ij,jk,ik->i", one.answer, touched, one.answer, optimize=True))
