"""Logged rows of many actions at once: who got what, on which channel, and which goals were reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from estimators.arrays import AnyInts, BoolArray, FloatArray, IntArray, rows_where
from estimators.effect_levels import Place

NOTHING = -1
"""The index of no_action, and of a channel that the log does not know."""

ROWS_TOGETHER = 8_192


class Cell(NamedTuple):
    """Rows that share one effect: an action on a channel, or no_action (action and channel `NOTHING`) judged by a goal."""

    goal: int
    action: int
    channel: int
    rows: AnyInts


@dataclass(frozen=True, eq=False)
class LoggedActions:
    """n logged rows, K actions, G goals, C channels.

    Parameters
    ----------
    places : tuple of Place, length K
    channels : tuple of str, length C
    goal_of : array of int, shape (K,)
        The goal of each action.
    action, channel : arrays of int, shape (n,)
        `NOTHING` for no_action, and for a channel that was not logged.
    labels : array, shape (n, G)
        1 where the goal was reached, 0 where not, NaN where that is not known.
    open : array of bool, shape (n, K)
        Whom an action is for.
    weight : array, shape (n,)
        For how many contacts a row stands.
    """

    places: tuple[Place, ...]
    channels: tuple[str, ...]
    goal_of: IntArray
    action: AnyInts
    channel: AnyInts
    labels: FloatArray
    open: BoolArray
    weight: FloatArray
    _shares: dict[int, dict[int, float]] = field(init=False, repr=False, default_factory=dict)

    def __len__(self) -> int:
        return len(self.action)

    def take(self, rows: IntArray) -> LoggedActions:
        """Some of the rows."""
        parts = {name: getattr(self, name)[rows] for name in ("action", "channel", "labels", "open", "weight")}
        return replace(self, **parts)

    def channel_name(self, channel: int) -> str | None:
        """The name of a channel by its index; None for `NOTHING`."""
        return None if channel == NOTHING else self.channels[channel]

    def contacted(self, action: int) -> BoolArray:
        """The rows that got an action, whom it is for and whose outcome is known, shape (n,)."""
        return np.asarray((self.action == action) & self.open[:, action] & self.known(action))

    def controls(self, action: int) -> BoolArray:
        """The no_action rows to compare an action with, shape (n,)."""
        return np.asarray((self.action == NOTHING) & self.open[:, action] & self.known(action))

    def known(self, action: int) -> BoolArray:
        """Where the outcome of an action's goal is known, shape (n,)."""
        return ~np.isnan(self.labels[:, self.goal_of[action]])

    def channel_shares(self, action: int) -> dict[int, float]:
        """How the contacted rows of an action are spread over channels; adds up to 1, or empty where nobody was contacted."""
        if action not in self._shares:
            rows = np.flatnonzero(self.contacted(action))
            held = np.bincount(self.channel[rows] - NOTHING, weights=self.weight[rows])
            met = np.flatnonzero(np.bincount(self.channel[rows] - NOTHING)).tolist()
            self._shares[action] = {c + NOTHING: float(held[c] / held.sum()) for c in met} if held.sum() > 0 else {}
        return self._shares[action]

    def cells(self) -> Iterator[Cell]:
        """Every cell with its rows: the controls of each goal, then each action on each of its channels."""
        for goal in range(self.labels.shape[1]):
            actions = np.flatnonzero(self.goal_of == goal)
            of_goal = self.open[:, actions].any(axis=1) & ~np.isnan(self.labels[:, goal])
            yield Cell(goal, NOTHING, NOTHING, rows_where(of_goal & (self.action == NOTHING)))
            for action in actions.tolist():
                contacted = self.contacted(action)
                for channel in np.unique(self.channel[contacted]).tolist():
                    yield Cell(goal, action, channel, rows_where(contacted & (self.channel == channel)))


def arms_of(cells: Sequence[Cell]) -> list[list[int]]:
    """The cells (by their places) of each action on a channel, one for each goal, those with most rows first."""
    arms: dict[tuple[int, int], list[int]] = {}
    for k, cell in enumerate(cells):
        arms.setdefault((cell.action, cell.channel), []).append(k)
    return sorted(arms.values(), key=lambda of_arm: -sum(len(cells[k].rows) for k in of_arm))


def rows_together(of_cells: Sequence[AnyInts]) -> Iterator[AnyInts]:
    """The rows of some cells, in order, some at a time."""
    rows = of_cells[0] if len(of_cells) == 1 else np.unique(np.concatenate(of_cells))
    for start in range(0, len(rows), ROWS_TOGETHER):
        yield rows[start : start + ROWS_TOGETHER]


def by_fold(rows: AnyInts, together: AnyInts, folds: AnyInts) -> Iterator[tuple[int, IntArray]]:
    """Where those of the rows (in order) that are read together stand among these, apart for each fold."""
    low, high = np.searchsorted(rows, (together[0], together[-1] + 1))
    inside = rows[low:high]
    places = np.arange(len(together)) if len(inside) == len(together) else np.searchsorted(together, inside)
    for fold in range(int(folds.max()) + 1):
        mine = places[folds[inside] == fold]
        if len(mine):
            yield fold, mine
