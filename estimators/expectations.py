"""What the effect model expects of every row, with each action and without contact, read from the rows in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from estimators.arrays import AnyFloats, AnyInts, FloatArray
from estimators.effect_rows import LoggedActions
from estimators.effect_system import SingleArray
from estimators.effects import Coefficients, EffectModel
from estimators.encoding import Rows, blocks_of

FEW_COLUMNS = 32


@dataclass(frozen=True, eq=False)
class WeightedRows:
    """The rows of a pair {action, no_action}, in order, and how much each counts."""

    at: AnyInts
    weight: AnyFloats


@dataclass(frozen=True, eq=False)
class Expectations:
    """Of n rows, G goals and the K actions that were asked for.

    Attributes
    ----------
    unexposed : array, shape (n, G)
        Without contact, by coefficients that have not seen the row's fold.
    exposed : mapping of int to array, shape (n,)
        With each action, over the log's mix of channels, by such coefficients too.
    by_channel : mapping of int to mapping of int to float
        What each action changes on each of its channels, on average over its pair.
    """

    unexposed: AnyFloats
    exposed: Mapping[int, AnyFloats]
    by_channel: Mapping[int, Mapping[int, float]]

    @classmethod
    def of(cls, effects: EffectModel, rows: Rows, logged: LoggedActions, folds: AnyInts, pairs: Mapping[int, WeightedRows]) -> Expectations:
        """Read the rows block by block.

        Parameters
        ----------
        effects : EffectModel
            With the coefficients without each fold.
        rows : Encoded or EncodedLater
        logged : LoggedActions
        folds : array of int, shape (n,)
        pairs : mapping of int to WeightedRows
            By action.
        """
        shares = {k: logged.channel_shares(k) for k in pairs}
        goals = logged.labels.shape[1]
        whole = _columns(effects, goals, shares, None)
        unseen = [_columns(effects, goals, shares, at) for at in effects.without_fold]
        # The design has single precision: more digits of what follows from it would only take memory.
        unexposed = np.empty((len(rows), goals), dtype=np.float32)
        exposed = {k: np.empty(len(rows), dtype=np.float32) for k in pairs}
        sums = {k: np.zeros(1 + len(shares[k])) for k in pairs}
        starts = dict(zip(pairs, np.cumsum([goals, *(len(shares[k]) for k in pairs)]).tolist(), strict=False))
        for block in blocks_of(len(rows)):
            design = effects.curves.design(rows.linear_of(block))
            seen, found = _expected(design, whole), _out_of_fold(design, folds[block], unseen)
            unexposed[block] = found[:, :goals]
            for k, pair in pairs.items():
                mine = slice(starts[k], starts[k] + len(shares[k]))
                exposed[k][block] = found[:, mine] @ np.array(list(shares[k].values()))
                low, high = np.searchsorted(pair.at, (block.start, block.stop))
                here = pair.at[low:high] - block.start
                sums[k][0] += pair.weight[low:high] @ seen[here, logged.goal_of[k]]
                sums[k][1:] += pair.weight[low:high] @ seen[here, mine]
        means = {k: total / pairs[k].weight.sum() for k, total in sums.items()}
        by_channel = {k: {c: float(m - mean[0]) for c, m in zip(shares[k], mean[1:], strict=True)} for k, mean in means.items()}
        return cls(unexposed, exposed, by_channel)


def _columns(effects: EffectModel, goals: int, shares: Mapping[int, Mapping[int, float]], at: Coefficients | None) -> FloatArray:
    """Coefficients of the log odds without contact of each goal, then with each action on each of its channels, shape (M, columns)."""
    unexposed = [effects.unexposed(goal, at) for goal in range(goals)]
    exposed = [effects.exposed(k, channel, at) for k, of_action in shares.items() for channel in of_action]
    return np.column_stack([*unexposed, *exposed])


def _out_of_fold(design: SingleArray, folds: AnyInts, unseen: Sequence[FloatArray]) -> FloatArray:
    """What is expected of each row by the coefficients of its own fold, shape (rows, columns)."""
    if len(unseen) * unseen[0].shape[1] <= FEW_COLUMNS:  # all of them cost less than taking the rows of each fold
        every = design @ np.hstack(unseen).astype(np.float32)
        own = every.reshape(len(design), len(unseen), -1)[np.arange(len(design)), folds]
        return np.asarray(expit(own.astype(np.float64)))
    found = np.empty((len(design), unseen[0].shape[1]))
    for fold, coef in enumerate(unseen):
        found[folds == fold] = _expected(design[folds == fold], coef)
    return found


def _expected(design: SingleArray, coef: FloatArray) -> FloatArray:
    return np.asarray(expit((design @ coef.astype(np.float32)).astype(np.float64)))
