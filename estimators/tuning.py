"""Better settings of the trees by successive halving, for as long as the caller allows; off unless asked for.

scikit-learn's halving search neither stops by a clock nor keeps the loss of every row, which says whether the gain over the default exceeds
its error; and it would bin the rows anew for each of some hundred fits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from estimators.arrays import FloatArray, IntArray
from estimators.calibration import t_statistic
from estimators.folds import Fold
from estimators.lasting import levelled_loss
from estimators.trees import BinnedRows, TreeSettings, response_settings

CANDIDATES, KEPT = 27, 3
"""So many settings are drawn; each rung keeps one in three."""

SHARES = (1.0 / 9.0, 1.0 / 3.0, 1.0)
"""Of the learning rows on each rung."""

SPACE: dict[str, tuple[float, ...]] = {
    "learning_rate": (0.02, 0.03, 0.05, 0.08),
    "n_estimators": (60, 110, 200, 350),
    "num_leaves": (4, 8, 16, 31),
    "min_child_samples": (10, 20, 50, 100, 200),
    "reg_lambda": (0.0, 1.0, 5.0, 20.0),
    "feature_fraction": (0.3, 0.5, 0.7, 1.0),
    "bagging_fraction": (0.6, 0.8, 1.0),
}


def drawn_settings(rng: np.random.Generator, count: int) -> list[TreeSettings]:
    """Settings drawn from `SPACE`, each value as likely as any other."""
    drawn = [{name: values[int(rng.integers(len(values)))] for name, values in SPACE.items()} for _ in range(count)]
    return [
        TreeSettings(
            n_estimators=int(one["n_estimators"]),
            learning_rate=one["learning_rate"],
            num_leaves=int(one["num_leaves"]),
            min_child_samples=int(one["min_child_samples"]),
            reg_lambda=one["reg_lambda"],
            feature_fraction=one["feature_fraction"],
            bagging_fraction=one["bagging_fraction"],
        )
        for one in drawn
    ]


def tuned_settings(
    binned: BinnedRows,
    truth: tuple[FloatArray, FloatArray],
    folds: Sequence[Fold],
    default: TreeSettings,
    *,
    expired: Callable[[], bool],
    random_state: int,
) -> TreeSettings:
    """The settings with the lowest log loss on the folds' other rows, the level put right; the default unless the gain exceeds its error.

    27 settings learn from a ninth of each fold's rows, the best 9 from a third, the best 3 from all. The default is in every rung. When
    time is up the search stops between two fits, and what was not compared on all rows is not chosen.

    Parameters
    ----------
    binned : BinnedRows
    truth : (y, sample_weight)
        Each of shape (n,).
    folds : sequence of folds
        Forward in time where there is time.
    default : TreeSettings
    expired : callable
        Asked before each fit; this room has no clock.
    random_state : int

    References
    ----------
    Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", 2016.
    """
    rng = np.random.default_rng(random_state)
    alive = [default, *drawn_settings(rng, CANDIDATES)]
    losses: list[FloatArray] = []
    for share in SHARES:
        thinned = [(_thinned(past, share, truth[0], rng), test) for past, test in folds]
        losses = []
        for settings in alive:
            if expired():
                return default
            losses.append(_losses(binned, truth, thinned, settings))
        order = [0, *sorted(range(1, len(alive)), key=lambda k: float(losses[k].sum()))]
        alive, losses = [alive[k] for k in order], [losses[k] for k in order]
        if share < 1.0:
            alive = alive[: 1 + max(1, (len(alive) - 1) // KEPT)]
    return alive[1] if t_statistic(losses[0] - losses[1]) > 1.0 else default


def _losses(binned: BinnedRows, truth: tuple[FloatArray, FloatArray], folds: Sequence[Fold], settings: TreeSettings) -> FloatArray:
    y, weight = truth
    found = []
    for past, test in folds:
        events = int(min(y[past].sum(), len(past) - y[past].sum()))
        scaled = replace(response_settings(settings, len(past), events), min_child_samples=settings.min_child_samples)
        booster = binned.fit(scaled, "binary", past, y, weight)
        found.append(levelled_loss((y[test], weight[test]), binned.predict(booster, test)))
    return np.concatenate(found)


def _thinned(rows: IntArray, share: float, y: FloatArray, rng: np.random.Generator) -> IntArray:
    """A share of the rows of each class, so that a rung has responses to learn from."""
    parts = [rows[y[rows] == label] for label in (0.0, 1.0)]
    kept = [rng.choice(part, max(1, round(share * len(part))), replace=False) for part in parts if len(part)]
    return np.sort(np.concatenate(kept))
