"""Labels of the pilot's rows, read from the raw tables as anyone outside the world would."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from simulation.actions import ACTIONS
from simulation.world import World

SECOND = np.timedelta64(1, "s")


def reached_goal(world: World, action: int, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Was the action's goal reached within its window after each of these rows of the interactions table?"""
    outcomes = world.tables["outcomes"].filter(pc.field("outcome") == ACTIONS[action].goal)
    goals = _keys(world, outcomes["contact_id"].to_numpy(), outcomes["occurred_at"].to_numpy())
    goals.sort()
    contact_ids = world.tables["interactions"]["contact_id"].to_numpy()[rows]
    at = world.tables["interactions"]["occurred_at"].to_numpy()[rows]
    window = np.timedelta64(ACTIONS[action].window_days, "D")
    low = np.searchsorted(goals, _keys(world, contact_ids, at), side="right")
    high = np.searchsorted(goals, _keys(world, contact_ids, at + window), side="right")
    return high > low


def closed(world: World, action: int) -> npt.NDArray[np.bool_]:
    """Which rows of the interactions table have a window of this action that closes within the period?"""
    at = world.tables["interactions"]["occurred_at"].to_numpy()
    return at + np.timedelta64(ACTIONS[action].window_days, "D") < world.truth.as_of


def _keys(world: World, contact_ids: npt.NDArray[np.object_], at: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    """One sortable number per (contact, time)."""
    number = np.array([int(name[2:]) for name in contact_ids], dtype=np.int64)
    seconds = (at - np.datetime64("2020-01-01", "us")) // SECOND
    return number * 10**9 + seconds.astype(np.int64)
