"""The level of each action's responses, pooled over the actions of its goal; one model for those that do no better by one of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from decisioning.catalog import Action, Catalog
from decisioning.vocabulary import BoolArray, FloatArray, IntArray
from estimators.bundle import Arm
from estimators.calibration import clip_probability, log_losses
from estimators.effect_levels import Place
from estimators.encoding import Encoded
from estimators.heads import ResponseHead, shift_log_odds
from estimators.own_response import OwnResponseModel
from estimators.propensity import FEWEST_EVENTS, ResponseModel
from estimators.response_levels import ArmRows, Guess, ResponseLevels, response_levels
from training.prepared import Prepared

Fitted: TypeAlias = ResponseModel | OwnResponseModel

ROWS_OF_ARM = 2_000
"""From so many rows of an arm the mean of what is expected is taken, where not all rows were held out once."""

EVENTS_ALONE = 200
"""An action with fewer responses is served by its own model only where that predicts held-out rows of it better than the model of all."""

LEAST_MOVE = 0.01
"""Log odds; a model of its own is not moved by less: it has rows enough to know its level."""


@dataclass(frozen=True, eq=False)
class GoalRows:
    """The labelled rows of all actions of a goal that have some.

    Parameters
    ----------
    goal : str
    actions : tuple of Action
        Not empty.
    of_action : mapping of action_id to int array
        Which rows of the log.
    happened : float array, shape (rows of the log,)
        1 where the contact responded.
    """

    goal: str
    actions: tuple[Action, ...]
    of_action: Mapping[str, IntArray]
    happened: FloatArray

    @property
    def rows(self) -> IntArray:
        """Of all actions, in the log's order."""
        return np.sort(np.concatenate([self.of_action[action.id] for action in self.actions]))

    def has_fewer(self, events: int) -> frozenset[str]:
        """The actions with fewer responses, or fewer rows without, than so many."""
        return frozenset(action.id for action in self.actions if _rarer(self.happened[self.of_action[action.id]]) < events)

    @property
    def wants_model(self) -> bool:
        """Is there an action that may do better by a model of all, and another to lean on?"""
        return len(self.actions) > 1 and bool(self.has_fewer(EVENTS_ALONE))

    @property
    def is_pooled(self) -> bool:
        """Is there anything beside an action's own rows that speaks of its level?"""
        return len(self.actions) > 1 or self.actions[0].cold_start is not None


@dataclass(frozen=True, eq=False)
class Pooled:
    """The heads of a goal's actions at their pooled levels, those that share a model, and by arm the offsets of their log odds."""

    heads: dict[str, ResponseHead]
    sharing: tuple[str, ...]
    offsets: dict[Arm, float]


def goals_with_rows(catalog: Catalog, labels: Mapping[str, FloatArray], rows: Mapping[str, IntArray]) -> Iterator[GoalRows]:
    """Each goal that an action with labelled rows has.

    Parameters
    ----------
    labels, rows : mappings of action_id
        1 where the contact responded, for each row of the log; and the rows of the action whose label is known.
    """
    for goal in dict.fromkeys(action.goal for action in catalog.actions if action.goal is not None):
        actions = tuple(action for action in catalog.actions if action.goal == goal and len(rows[action.id]))
        if actions:
            yield GoalRows(goal, actions, rows, labels[actions[0].id])


def pooled_heads(
    prepared: Prepared, of_goal: GoalRows, models: Mapping[str, Fitted], shared: Fitted | None, seen: Callable[[IntArray], Encoded]
) -> Pooled:
    """Every head of a goal at its pooled level.

    An action with a model of its own keeps it, moved as far as its rows leave room. One with hardly any responses, or whose held-out rows
    are predicted no worse so, is served by the model of all rows of the goal, moved to the action's level on each channel.

    Parameters
    ----------
    models : mapping of action_id to a fitted model
        Of each action of the goal.
    shared : a fitted model, optional
        Of the goal's `rows`; None where no action wants it.
    seen : function of rows of the log
        Their matrices as the models read them.
    """
    expected = None if shared is None else _expected(prepared, of_goal, shared, seen)
    arms = _arms(prepared, of_goal, expected)
    levels = response_levels(
        arms,
        [Place(action.id, action.group, action.issue) for action in of_goal.actions],
        [None if (prior := action.cold_start) is None else Guess(prior.propensity, prior.evidence) for action in of_goal.actions],
    )
    thin, unsure = of_goal.has_fewer(FEWEST_EVENTS), of_goal.has_fewer(EVENTS_ALONE)
    heads: dict[str, ResponseHead] = {}
    sharing: list[str] = []
    for k, action in enumerate(of_goal.actions):
        own, level = models[action.id], float(levels.by_action[k])
        leans = action.id in thin or (action.id in unsure and _is_no_worse(of_goal, action.id, own, expected, level))
        if shared is None or not leans:
            heads[action.id] = _levelled(own.head_, arms, levels, k)
            continue
        sharing.append(action.id)
        heads[action.id] = replace(shared.head_.moved(level), evidence=own.head_.evidence, responses=own.head_.responses)
    offsets: dict[Arm, float] = {(action_id, channel): offset for action_id in sharing for channel, offset in levels.by_channel.items()}
    return Pooled(heads, tuple(sharing), offsets)


def _is_no_worse(of_goal: GoalRows, action_id: str, own: Fitted, expected: FloatArray | None, level: float) -> bool:
    """Does the model of all predict the action's held-out rows as well as its own model does?"""
    if expected is None:
        return False
    rows = of_goal.of_action[action_id]
    y, by_own, by_all = of_goal.happened[rows], own.oof_probability_, shift_log_odds(expected[np.searchsorted(of_goal.rows, rows)], level)
    said = np.isfinite(by_own) & np.isfinite(by_all)
    return float((own.oof_weight_ * (log_losses(y, by_own) - log_losses(y, by_all)))[said].sum()) >= 0.0


def _levelled(own: ResponseHead, arms: ArmRows, levels: ResponseLevels, action: int) -> ResponseHead:
    of_it = arms.action == action
    raw = (arms.responses[of_it].sum() + 0.5) / (arms.rows[of_it].sum() + 1.0)
    by = float(logit(clip_probability(levels.rate[[action]]))[0] - logit(raw))
    return own.moved(by) if abs(by) >= LEAST_MOVE else own


def _arms(prepared: Prepared, of_goal: GoalRows, expected: FloatArray | None) -> ArmRows:
    """The goal's rows, summed up by action and channel; without a model each is expected to respond as often as all."""
    rows = of_goal.rows
    arm, pairs = _arm_of_each(prepared, of_goal)
    weight = prepared.data.rows.sample_weight[rows]
    weight, y = weight / weight.mean(), of_goal.happened[rows]
    p = np.full(len(rows), (weight @ y + 0.5) / (weight.sum() + 1.0)) if expected is None else expected
    said = np.isfinite(p)
    mean = np.bincount(arm[said], (weight * p)[said]) / np.bincount(arm[said], weight[said])
    action = np.array([action for action, _ in pairs], dtype=np.int64)
    sums = [np.bincount(arm, values).astype(np.float64) for values in (weight * y, weight)]
    return ArmRows(action, [channel for _, channel in pairs], sums[0], sums[1], logit(clip_probability(mean)))


def _arm_of_each(prepared: Prepared, of_goal: GoalRows) -> tuple[IntArray, list[tuple[int, str | None]]]:
    """The number of each row's arm, and the action's place and the channel of each arm."""
    names = {action.id: k for k, action in enumerate(of_goal.actions)}
    logged, rows = prepared.data.rows, of_goal.rows
    pairs = list(zip((names[name] for name in logged.action_id[rows].tolist()), logged.channel[rows].tolist(), strict=True))
    number = {pair: k for k, pair in enumerate(dict.fromkeys(pairs))}
    return np.array([number[pair] for pair in pairs], dtype=np.int64), list(number)


def _expected(prepared: Prepared, of_goal: GoalRows, shared: Fitted, seen: Callable[[IntArray], Encoded]) -> FloatArray:
    """What the shared model says of the goal's rows: of each when it had not seen it, or with many rows of some of each arm, else NaN."""
    if np.isfinite(shared.oof_probability_).all():
        return shared.oof_probability_
    plain = shared.plain_head_ if isinstance(shared, ResponseModel) and shared.plain_head_ is not None else replace(shared.head_, shift=0.0)
    rows, (arm, _) = of_goal.rows, _arm_of_each(prepared, of_goal)
    asked = some_of_each(arm, np.ones(len(rows), dtype=np.bool_), ROWS_OF_ARM)
    p = np.full(len(rows), np.nan)
    p[asked] = plain.probability(seen(rows[asked]))
    return p


def some_of_each(names: npt.NDArray[np.object_] | IntArray, where: BoolArray, most: int) -> IntArray:
    """Places of at most `most` rows of each name, at random of those where the mask holds; None is no name."""
    rng = np.random.default_rng([0xC4A, len(names)])
    found = [np.flatnonzero(where & (names == name)) for name in sorted({one for one in names.tolist() if one is not None})]
    return np.concatenate([np.empty(0, dtype=np.int64), *(rng.permutation(places)[:most] for places in found)])


def _rarer(y: FloatArray) -> int:
    return int(min(y.sum(), len(y) - y.sum()))
