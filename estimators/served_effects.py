"""The effect model's part in one action, as it is served: the contrast by channel, and how sure it is."""

from __future__ import annotations

import numpy as np

from estimators.effect_rows import NOTHING, LoggedActions
from estimators.effects import EffectModel
from estimators.scores import ChannelContrast, CurvedScore
from estimators.uplift_head import EffectSpread

MOST_DIRECTIONS = 24
"""The covariance is served along so many of its leading directions."""


def channel_contrast(effects: EffectModel, logged: LoggedActions, action: int) -> ChannelContrast:
    """What an action changes on each channel that the log knows, its own mix of them first.

    Parameters
    ----------
    effects : EffectModel
    logged : LoggedActions
    action : int
    """
    shares = {logged.channel_name(channel): share for channel, share in logged.channel_shares(action).items()}
    exposed: dict[str | None, CurvedScore] = {}
    for channel in (NOTHING, *range(len(logged.channels))):
        name = logged.channel_name(channel)
        if name is not None or None in shares:
            exposed[name] = CurvedScore.of_design(effects.exposed(action, channel), effects.curves)
    goal = int(logged.goal_of[action])
    return ChannelContrast(CurvedScore.of_design(effects.unexposed(goal), effects.curves), exposed, shares)


def effect_spread(effects: EffectModel, logged: LoggedActions, action: int) -> EffectSpread:
    """The posterior of an action's log odds, along the leading directions of its covariance.

    Parameters
    ----------
    effects : EffectModel
    logged : LoggedActions
    action : int
    """
    covariance = effects.joint_covariance(action, logged.channel_shares(action))
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2.0)
    leading = np.argsort(-values)[:MOST_DIRECTIONS]
    factor = vectors[:, leading] * np.sqrt(np.maximum(values[leading], 0.0))
    wide = len(effects.unexposed(0))
    unexposed = tuple(CurvedScore.of_design(column, effects.curves) for column in factor[:wide].T)
    effect = tuple(CurvedScore.of_design(effects.projection @ column, effects.curves) for column in factor[wide:].T)
    return EffectSpread(unexposed, effect)
