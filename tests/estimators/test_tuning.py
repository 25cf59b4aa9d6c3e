"""A search for settings finds what clearly helps, keeps the default otherwise, and stops when it is told to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import expit

from estimators.arrays import FloatArray
from estimators.folds import shuffled_folds
from estimators.trees import RESPONSE, BinnedRows, TreeSettings
from estimators.tuning import SPACE, drawn_settings, tuned_settings

HOBBLED = TreeSettings(n_estimators=2, learning_rate=0.02, num_leaves=2, min_child_samples=200, reg_lambda=20.0, feature_fraction=0.3)


def search(default: TreeSettings, y: FloatArray, x: FloatArray, expired: Callable[[], bool] = lambda: False) -> TreeSettings:
    binned = BinnedRows(x, categorical=(), n_jobs=1, random_state=0)
    folds = shuffled_folds(y, cv=2, random_state=0)
    return tuned_settings(binned, (y, np.ones(len(y))), folds, default, expired=expired, random_state=1)


def bent_world(n: int = 1_200) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 4))
    return x, (rng.random(n) < expit(-1.0 + 2.0 * (x[:, 0] * x[:, 1] > 0))).astype(float)


def test_settings_that_cannot_learn_are_replaced() -> None:
    x, y = bent_world()

    found = search(HOBBLED, y, x)

    assert found != HOBBLED
    assert found.num_leaves > 2


def test_where_there_is_nothing_to_learn_a_cautious_default_stays() -> None:
    x, y = bent_world()

    assert search(HOBBLED, np.random.default_rng(2).permutation(y), x) == HOBBLED


def test_when_time_is_up_the_default_stays_and_no_more_is_fitted() -> None:
    x, y = bent_world()
    asked = []

    def expired() -> bool:
        asked.append(1)
        return len(asked) > 5

    assert search(RESPONSE, y, x, expired) == RESPONSE
    assert len(asked) == 6


def test_settings_are_drawn_from_the_space_and_by_the_seed() -> None:
    first, again = (drawn_settings(np.random.default_rng(3), 20) for _ in range(2))

    assert first == again
    assert len(set(first)) > 15
    assert all(getattr(one, name) in values for one in first for name, values in SPACE.items())
