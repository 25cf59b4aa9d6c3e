"""What would be lost without a channel? Paths as a Markov chain, and the removal effect of each channel on it."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from measurement.arrays import FloatArray
from measurement.attribution import Credit
from measurement.touch_paths import IntArray, Paths


def markov(paths: Paths, *, order: int = 1) -> Credit:
    r"""Each channel's part by its removal effect, added up to all that was sold.

    A state is the last `order` touches; from it a path goes on to another touch, to a sale or to nothing, as often as it did in the data.
    With x the expected sales (money) from each state, :math:`x = Q x + r`; without channel c every state that holds it leads to nothing,
    and the removal effect is :math:`R_c = 1 - x^{(-c)}_{start} / x_{start}`. Its part is :math:`R_c / \sum R`.

    Parameters
    ----------
    paths : Paths
        With `nulls`: without paths that ended in nothing, the chain knows only who was there.
    order : int
        How many touches a state remembers.

    Raises
    ------
    ValueError
        An order below 1.

    References
    ----------
    Eva Anderl, Ingo Becker, Florian von Wangenheim and Jan Hendrik Schumann. "Mapping the customer journey: Lessons learned from
    graph-based online attribution modeling.", 2016.

    Examples
    --------
    >>> found = markov(Paths.of([["a", "b"], ["a"], ["b"]], conversions=[1, 0, 0], nulls=[0, 1, 1]))
    >>> [round(float(one), 3) for one in found.conversions]
    [0.333, 0.667]
    """
    chain = _Chain(paths, order)
    parts = []
    for reward, total in ((paths.conversions, paths.conversions.sum()), (paths.value, paths.value.sum())):
        effects = chain.removal_effects(reward)
        whole = effects.sum()
        parts.append(effects / whole * total if whole > 0 else np.zeros(len(paths.channels)))
    return Credit(paths.channels, *parts)


def removal_effects(paths: Paths, *, order: int = 1) -> FloatArray:
    """The fraction of conversions that would be lost without each channel, shape (n_channels,)."""
    return _Chain(paths, order).removal_effects(paths.conversions)


class _Chain:
    """Transitions between states as a sparse matrix of shape (n_states, n_states), and what each state is made of."""

    def __init__(self, paths: Paths, order: int) -> None:
        if order < 1:
            raise ValueError(f"order: got {order}, expected at least 1")
        self._paths = paths
        number = paths.conversions + paths.nulls
        self._state, example = _states(paths, order)
        count = example.size
        going_on = np.flatnonzero(paths.to_end > 0)
        weight = number[paths.path]
        left = np.bincount(self._state, weights=weight, minlength=count)
        self._left = np.where(left > 0, left, 1.0)
        steps = (weight[going_on] / self._left[self._state[going_on]], (self._state[going_on], self._state[going_on + 1]))
        self._steps = sparse.csr_array(sparse.coo_array(steps, shape=(count, count)))
        first, self._last = paths.start[:-1], paths.start[1:] - 1
        self._begin = np.bincount(self._state[first], weights=number, minlength=count) / max(float(number.sum()), 1e-300)
        self._holds = _holds(paths, example, order)

    def removal_effects(self, reward: FloatArray) -> FloatArray:
        """1 less what is left of the reward without each channel."""
        ends = np.bincount(self._state[self._last], weights=reward, minlength=self._begin.size) / self._left
        whole = self._expected(ends, np.ones(self._begin.size, dtype=bool))
        if whole == 0:
            return np.zeros(len(self._paths.channels))
        kept = (self._expected(ends, ~self._holds[:, channel]) for channel in range(len(self._paths.channels)))
        return np.array([1.0 - one / whole for one in kept])

    def _expected(self, ends: FloatArray, kept: np.ndarray) -> float:
        """The reward expected from the beginning, where only the kept states lead on."""
        if not kept.any():
            return 0.0
        among = sparse.eye_array(int(kept.sum()), format="csc") - sparse.csc_array(self._steps[kept][:, kept])
        return float(self._begin[kept] @ splu(sparse.csc_matrix(among)).solve(ends[kept]))


def _states(paths: Paths, order: int) -> tuple[IntArray, IntArray]:
    """The state of each touch, shape (n_touches,), and for each state one touch that is in it, shape (n_states,)."""
    width = len(paths.channels) + 1
    state, example = paths.touch, np.zeros(0, dtype=np.int64)
    for step in range(order):
        if step:
            before = np.where(paths.from_start > 0, np.concatenate([[0], state[:-1]]) + 1, 0)
            state = before * width + paths.touch
        _, example, state = np.unique(state, return_index=True, return_inverse=True)
    return state.astype(np.int64), example.astype(np.int64)


def _holds(paths: Paths, example: IntArray, order: int) -> np.ndarray:
    """Which channels each state holds, shape (n_states, n_channels)."""
    holds = np.zeros((example.size, len(paths.channels)), dtype=bool)
    for back in range(order):
        there = paths.from_start[example] >= back
        holds[np.flatnonzero(there), paths.touch[example[there] - back]] = True
    return holds
