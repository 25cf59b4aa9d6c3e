"""Is what the champion learned still so? Features against its training set, promises against what came, and whether learning starves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from decisioning.vocabulary import BoolArray, Columns, Dtype, FloatArray
from estimators.encoding import FeatureEncoder
from training.drift import MOVED
from training.feature_shift import stability_indices, two_sample_auc

FEWEST_ROWS = 200
"""With fewer rows of either part nothing is said of drift."""
MOST_ROWS = 6_000
FEWEST_CHOICES = 50
"""Fewer choices of an action on a channel raise no alarm."""
DRIFT_ERRORS, DRIFT_SHARE = 4.0, 0.2
"""Promised and observed shares that differ by so many standard errors, and by that share of what was promised, have drifted."""
MOST_NAMED = 8
EXPECTED = 5.0
"""No response at all is an alarm where at least so many were promised."""


@dataclass(frozen=True)
class Moved:
    """Features of newer rows against those that the champion learned from.

    Attributes
    ----------
    before, after : int
        Rows of either part.
    indices : mapping of feature to float
        Population stability index, most moved first.
    area, area_error : float
        AUC of a classifier that tells newer rows from older ones, and its standard error.
    """

    before: int
    after: int
    indices: Mapping[str, float]
    area: float
    area_error: float

    @property
    def alarms(self) -> tuple[str, ...]:
        """The features that moved, in words."""
        moved = [f"{name} ({index:.2f})" for name, index in self.indices.items() if index > MOVED]
        return (f"features moved since the champion was trained (stability index above {MOVED}): {', '.join(moved)}",) if moved else ()


def moved(before: tuple[Columns, FloatArray], after: tuple[Columns, FloatArray], dtypes: Mapping[str, Dtype], *, seed: int) -> Moved | None:
    """Compare newer rows with those that were learned from; None where either part is small.

    Parameters
    ----------
    before, after : (Columns, datetime64[us] array)
        Features, and the moment that each row is seen from.
    dtypes : mapping
        The features that models read.
    seed : int
    """
    sizes = [len(moments) for _, moments in (before, after)]
    known = {name: dtype for name, dtype in dtypes.items() if name in before[0] and name in after[0]}
    if min(sizes) < FEWEST_ROWS or not known:
        return None
    encoder = FeatureEncoder.fit(before[0], known, before[1])
    matrix = np.vstack([encoder.encode(columns, moments).trees for columns, moments in (before, after)])
    later: BoolArray = np.arange(len(matrix)) >= sizes[0]
    indices = stability_indices(matrix, encoder.categorical_indices, later)
    area, error = two_sample_auc(matrix, encoder.categorical_indices, later, seed=seed)
    order = np.argsort(-indices, kind="stable")
    return Moved(sizes[0], sizes[1], {encoder.feature_names[k]: float(indices[k]) for k in order.tolist()}, area, error)


@dataclass(frozen=True, eq=False)
class Choices:
    """n choices that were made, and what followed; arrays of shape (n,).

    Attributes
    ----------
    action, channel : arrays of str
    promised : float array
        The propensity of then, NaN where it was not known.
    responded : bool array
        The action's goal was reached within its window.
    heard : bool array
        Any outcome arrived that names the choice's decision or contact.
    chance : float array
        The probability with which it was chosen.
    """

    action: npt.NDArray[np.str_]
    channel: npt.NDArray[np.str_]
    promised: FloatArray
    responded: BoolArray
    heard: BoolArray
    chance: FloatArray


@dataclass(frozen=True)
class Calibration:
    """The share of responses to an action as promised and as it came."""

    action: str
    choices: int
    promised: float
    came: float
    drifted: bool


def calibrations(choices: Choices) -> tuple[Calibration, ...]:
    """Of each action that was chosen often enough, in order of its name.

    Examples
    --------
    >>> n = 400
    >>> same, yes = np.full(n, "loan"), np.ones(n, dtype=bool)
    >>> calibrations(Choices(same, same, np.full(n, 0.1), np.arange(n) % 4 == 0, yes, np.ones(n)))[0].drifted
    True
    """
    found = []
    for action in np.unique(choices.action).tolist():
        rows = (choices.action == action) & ~np.isnan(choices.promised)
        if rows.sum() < FEWEST_CHOICES:
            continue
        p, y = choices.promised[rows], choices.responded[rows]
        said, came = float(p.mean()), float(y.mean())
        error = float(np.sqrt((p * (1.0 - p)).sum())) / len(p)
        drifted = abs(came - said) > max(DRIFT_ERRORS * error, DRIFT_SHARE * said)
        found.append(Calibration(action, len(p), said, came, drifted))
    return tuple(found)


def starvation(choices: Choices, offered: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Where nothing can be learned any more, per action and channel, in words.

    Parameters
    ----------
    choices : Choices
    offered : sequence of (action_id, channel)
        What the catalogue offers; that a channel was not asked for at all is no alarm.
    """
    alarms: list[str] = []
    never: list[str] = []
    open_channels = set(choices.channel.tolist()) if len(choices.action) >= FEWEST_CHOICES else set()
    for action, channel in dict.fromkeys(offered):
        rows = (choices.action == action) & (choices.channel == channel)
        count = int(rows.sum())
        if count == 0 and channel in open_channels:
            never.append(f"{action} on {channel}")
        if count >= FEWEST_CHOICES:
            alarms += [f"{action} on {channel}: {what}" for what in _starved(choices, rows, count)]
    if never:
        more = f" and {len(never) - MOST_NAMED} more" if len(never) > MOST_NAMED else ""
        alarms.append(f"never chosen, so that nothing is learned of them: {', '.join(never[:MOST_NAMED])}{more}")
    return tuple(alarms)


def _starved(choices: Choices, rows: BoolArray, count: int) -> list[str]:
    heard, responded = choices.heard[rows], choices.responded[rows]
    found = []
    if not heard.any():
        found.append(f"no outcome of {count:,} choices has arrived: is their feed broken?")
    elif responded.all():
        found.append(f"every one of {count:,} choices was followed by a response: are only responses reported?")
    elif not responded.any() and float(np.nansum(choices.promised[rows])) >= EXPECTED:
        found.append(f"no response to {count:,} choices, where {np.nansum(choices.promised[rows]):,.0f} were promised")
    if (choices.chance[rows] >= 1.0 - 1e-9).all():
        found.append(f"none of {count:,} choices was left to chance: what else would have happened is not learned")
    return found
