"""How far the actions of one goal differ in how many respond, and what that says of an action with hardly any rows.

The log odds of a response to action a on channel c are

    expected + mean + issue(a) + group(a) + action(a) + channel(c)

with what is expected of the contacts beforehand, and effects of each level that are normal around 0. How widely a level spreads is learned
from the log (empirical Bayes): the mode of the marginal likelihood in Laplace's approximation times a weak prior. So an action with one row
is at the level of its group, one with thousands at its own.

References
----------
Breslow and Clayton, "Approximate Inference in Generalized Linear Mixed Models", 1993. Chung, Rabe-Hesketh, Dorie, Gelman and Liu, "A
Nondegenerate Penalized Likelihood Estimator for Variance Parameters in Multilevel Models", 2013 (why the spread of actions is never 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array
from scipy.special import expit

from estimators.arrays import FloatArray, IntArray
from estimators.effect_levels import ACTION, ALL, EffectLevels, Place

MEAN_SD = 3.0
"""Of the goal's level around what is expected, in log odds: as good as free."""

SPREADS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.45, 0.7, 1.0, 1.5, 2.2)
"""Standard deviations of a level that are tried, in log odds; not 0 for actions, which are never taken for quite alike."""

USUAL_SPREAD = 0.5
"""Log odds; what two or three actions cannot say about their spread is taken from it."""

GUESS, GUESS_SD = "guess", 0.5
"""How far all the guesses of a goal may be off together, in log odds: its log says."""

_PASSES, _STEPS = 4, 50


@dataclass(frozen=True)
class Guess:
    """What was believed of an action beforehand: the share that responds, as if seen on so many contacts."""

    rate: float
    evidence: float


@dataclass(frozen=True, eq=False)
class ArmRows:
    """The logged rows of K arms (an action on a channel), summed up.

    Parameters
    ----------
    action : int array, shape (K,)
        Position of the arm's action.
    channel : sequence of str or None, length K
    responses, rows : float arrays, shape (K,)
        How many of how many responded; they need not be whole numbers.
    expected : float array, shape (K,)
        Log odds of a response that the arm's contacts have by a model that does not know the action.
    """

    action: IntArray
    channel: Sequence[str | None]
    responses: FloatArray
    rows: FloatArray
    expected: FloatArray


@dataclass(frozen=True, eq=False)
class ResponseLevels:
    """What moves the log odds of a response beside what is expected of the contacts.

    Attributes
    ----------
    by_action : float array, shape (A,)
        Log odds of each action, whatever its channel.
    by_channel : dict of str to float
        Log odds of each channel beside the action's; empty where the log cannot tell channels from actions.
    rate : float array, shape (A,)
        The share of the action's logged contacts that respond; NaN for an action without rows.
    spreads : dict of str to float
        Standard deviation of each level, in log odds.
    """

    by_action: FloatArray
    by_channel: dict[str, float]
    rate: FloatArray
    spreads: dict[str, float]


def response_levels(arms: ArmRows, places: Sequence[Place], guesses: Sequence[Guess | None] = ()) -> ResponseLevels:
    """The level of each action of a goal, pooled over its issue, its group and its channels.

    A guess counts as so many more rows of its action. Guesses of several actions may all be too high or too low: what they say of the
    differences counts, and what they say of the common level only as far as the log does not know it.

    Parameters
    ----------
    arms : ArmRows
    places : sequence of Place, length A
    guesses : sequence of Guess or None, length A or 0

    Examples
    --------
    >>> arms = ArmRows(np.arange(3), ["email"] * 3, np.array([300.0, 80.0, 0.0]), np.array([6000.0, 2000.0, 1.0]), np.full(3, -3.0))
    >>> response_levels(arms, [Place("a"), Place("b"), Place("new")]).rate.round(3)
    array([0.05 , 0.041, 0.045])
    """
    system = _System.of(arms, places, guesses)
    spreads = {kind: USUAL_SPREAD if kind == ACTION else 0.0 for kind in dict.fromkeys(system.levels.kinds) if kind != ALL}
    tried = [(kind, spread) for kind in spreads for spread in (SPREADS[1:] if kind == ACTION else SPREADS)]
    best, effects = system.evidence(spreads, None)
    for _ in range(_PASSES):
        before = dict(spreads)
        for kind, spread in tried:
            other = {**spreads, kind: spread}
            evidence, found = system.evidence(other, effects)
            if evidence > best:
                best, effects, spreads = evidence, found, other
        if spreads == before:
            break
    return system.levels_of(effects, spreads)


@dataclass(frozen=True, eq=False)
class _System:
    """Arms, and guesses as further arms, as one penalised logistic regression; the last coefficient is that of the guesses' bias."""

    levels: EffectLevels
    design: csr_array
    arms: ArmRows
    responses: FloatArray
    rows: FloatArray
    expected: FloatArray

    @classmethod
    def of(cls, arms: ArmRows, places: Sequence[Place], guesses: Sequence[Guess | None]) -> _System:
        levels = EffectLevels.of(places, [(int(action), channel) for action, channel in zip(arms.action, arms.channel, strict=True)])
        guessed = [(action, guess) for action, guess in enumerate(guesses) if guess is not None]
        blocks = [levels.blocks(int(action), channel) for action, channel in zip(arms.action, arms.channel, strict=True)]
        bias = {len(levels.kinds): 1.0} if len(places) > 1 else {}
        blocks += [{**levels.blocks(action, None), **bias} for action, _ in guessed]
        place = np.array([(row, block) for row, of_row in enumerate(blocks) for block in of_row])
        size = [value for of_row in blocks for value in of_row.values()]
        middle = float(np.average(arms.expected, weights=arms.rows))
        return cls(
            levels,
            csr_array((size, (place[:, 0], place[:, 1])), shape=(len(blocks), len(levels.kinds) + 1)),
            arms,
            np.append(arms.responses, [guess.rate * guess.evidence for _, guess in guessed]),
            np.append(arms.rows, [guess.evidence for _, guess in guessed]),
            np.append(arms.expected, [middle for _ in guessed]),
        )

    def evidence(self, spreads: dict[str, float], start: FloatArray | None) -> tuple[float, FloatArray]:
        """The log of the marginal likelihood times the spreads' prior, up to a constant, and the most likely coefficients."""
        sd = np.array([MEAN_SD if kind == ALL else spreads[kind] for kind in self.levels.kinds] + [GUESS_SD])
        kept = np.flatnonzero(sd > 0)
        design, precision = self.design[:, kept], sd[kept] ** -2
        effects, value, log_det = self._mode(design, precision, np.zeros(len(kept)) if start is None else start[kept])
        prior = -sum(spread**2 for spread in spreads.values()) / (2 * USUAL_SPREAD**2) + float(np.log(spreads.get(ACTION, 1.0)))
        whole = np.zeros(len(sd))
        whole[kept] = effects
        return value + 0.5 * float(np.log(precision).sum()) - 0.5 * log_det + prior, whole

    def _mode(self, design: csr_array, precision: FloatArray, effects: FloatArray) -> tuple[FloatArray, float, float]:
        """The most likely coefficients by damped Newton steps, their log posterior, and the log determinant of its curvature."""
        value = self._log_posterior(design, precision, effects)
        for _ in range(_STEPS):
            p = expit(self.expected + design @ effects)
            curvature = (design.T @ (design * (self.rows * p * (1 - p))[:, None])).toarray() + np.diag(precision)
            factor = cho_factor(curvature)
            step = cho_solve(factor, design.T @ (self.responses - self.rows * p) - precision * effects)
            further = self._log_posterior(design, precision, effects + step)
            while further < value and np.abs(step).max() > 1e-8:
                step = step / 2.0
                further = self._log_posterior(design, precision, effects + step)
            effects, value = effects + step, further
            if np.abs(step).max() < 1e-6:
                break
        return effects, value, 2.0 * float(np.log(np.diag(factor[0])).sum())

    def _log_posterior(self, design: csr_array, precision: FloatArray, effects: FloatArray) -> float:
        eta = self.expected + design @ effects
        return float(self.responses @ eta - self.rows @ np.logaddexp(0.0, eta) - 0.5 * precision @ effects**2)

    def levels_of(self, effects: FloatArray, spreads: dict[str, float]) -> ResponseLevels:
        """The coefficients added up."""
        own = [self.levels.own(action) for action in range(len(self.levels.by_action))]
        by_channel = {channel: float(effects[block]) for channel, block in self.levels.by_channel.items()}
        p = expit(self.expected + self.design @ effects)[: len(self.arms.rows)]
        rows = np.bincount(self.arms.action, self.arms.rows, len(own))
        responding = np.bincount(self.arms.action, self.arms.rows * p, len(own))
        rate = np.divide(responding, rows, out=np.full(len(own), np.nan), where=rows > 0)
        return ResponseLevels(np.array([effects[list(blocks)].sum() for blocks in own]), by_channel, rate, spreads)
