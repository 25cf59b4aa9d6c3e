"""LightGBM with this project's settings, on rows that are binned once and fitted many times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from threading import Lock
from typing import Any

import lightgbm
import numpy as np

from estimators.arrays import AnyFloats, AnyInts, FloatArray, IntArray
from estimators.scores import TreeScore


@dataclass(frozen=True)
class TreeSettings:
    """The settings of one LightGBM model; `bagging_fraction` 1 means none."""

    n_estimators: int
    learning_rate: float
    num_leaves: int
    min_child_samples: int
    reg_lambda: float
    feature_fraction: float
    bagging_fraction: float = 1.0

    def parameters(self) -> dict[str, Any]:
        """LightGBM's own names."""
        return {**asdict(self), "bagging_freq": int(self.bagging_fraction < 1.0)}


RESPONSE = TreeSettings(
    n_estimators=110, learning_rate=0.05, num_leaves=16, min_child_samples=20, reg_lambda=1.0, feature_fraction=0.5, bagging_fraction=0.8
)
"""Tuned for response models on tens of thousands of rows."""

MANY_RESPONSES = 20_000


def response_bins(rows: int) -> int:
    """Bins of a response model's columns: with many rows there is enough signal for finer ones than `_ALWAYS` has."""
    return 255 if rows >= MANY_RESPONSES else 63


REGULARISED = TreeSettings(n_estimators=60, learning_rate=0.07, num_leaves=6, min_child_samples=300, reg_lambda=20.0, feature_fraction=0.7)
"""For uplift, where the signal is small: library defaults lose money there."""

MANY_EFFECTS, EFFECT_BINS = 200_000, 31
"""With more rows larger steps and coarser bins lose nothing: the signal is in few columns, and the noise in all."""

CLV = TreeSettings(n_estimators=200, learning_rate=0.03, num_leaves=8, min_child_samples=100, reg_lambda=20.0, feature_fraction=0.7)
"""For heavy-tailed money over a horizon."""

CLV_OFFSET = TreeSettings(n_estimators=120, learning_rate=0.03, num_leaves=6, min_child_samples=200, reg_lambda=20.0, feature_fraction=0.7)
"""For what BTYD expects too much or too little of: the correction is small beside it."""

NEARLY_ALL = 0.8
"""Of many rows a larger share is not copied to be learned from."""

BIN_SAMPLE = 50_000
"""Rows that say where the bins lie: LightGBM copies them out, and no more of them are needed for a few dozen bins."""

ROWS_AT_ONCE = 100_000
"""Rows of a prediction that are copied together."""

MAX_BIN = 63

_ALWAYS: dict[str, Any] = {
    "verbose": -1,
    "max_bin": MAX_BIN,
    "deterministic": True,
    "force_col_wise": True,
    # The same bins, held for every row: a small subset of sparse ones has written beyond its memory and killed the process.
    "is_enable_sparse": False,
    "cat_smooth": 50.0,
    "cat_l2": 50.0,
    "max_cat_to_onehot": 4,
}


def tree_parameters(n_jobs: int, random_state: int) -> dict[str, Any]:
    """LightGBM's own names of what every model here has in common."""
    return {**_ALWAYS, "num_threads": n_jobs, "seed": random_state}


class BinnedRows:
    """A tree matrix whose values are binned once, when first needed, to fit many models on subsets of its rows.

    Parameters
    ----------
    matrix : array, shape (n, d)
    categorical : sequence of int
        Positions of the category columns.
    n_jobs : int
        Threads.
    random_state : int
    max_bin : int
        Bins of a column.
    monotone : sequence of int, length 0 or d
        1 where the model may only rise in a column, -1 where it may only fall, 0 where it is free; never for a category.
    """

    def __init__(
        self,
        matrix: FloatArray,
        *,
        categorical: Sequence[int],
        n_jobs: int,
        random_state: int,
        max_bin: int = MAX_BIN,
        monotone: Sequence[int] = (),
    ) -> None:
        self.matrix = matrix
        self._parameters = {**tree_parameters(n_jobs, random_state), "max_bin": max_bin, "bin_construct_sample_cnt": BIN_SAMPLE}
        if any(monotone):
            self._parameters["monotone_constraints"] = [int(way) for way in monotone]
        self._categorical = [int(position) for position in categorical]
        self._one_at_a_time = Lock()

    @cached_property
    def _data(self) -> lightgbm.Dataset:
        zeros = np.zeros(len(self.matrix), dtype=np.float32)  # every subset brings its own labels
        parameters = {**self._parameters, "feature_pre_filter": False}
        data = lightgbm.Dataset(self.matrix, zeros, categorical_feature=self._categorical, params=parameters, free_raw_data=False)
        return data.construct()

    def fit(
        self, settings: TreeSettings, objective: str, rows: AnyInts, y: AnyFloats, sample_weight: AnyFloats | None = None
    ) -> lightgbm.Booster:
        """A model of y[rows]; y and sample_weight are given for all n rows."""
        parameters = {**self._parameters, **settings.parameters(), "objective": objective}
        rounds = parameters.pop("n_estimators")
        if settings.feature_fraction == 1.0 and len(rows) > MANY_EFFECTS:
            # Where all columns are read, a row at a time: the same trees to the last bit in two thirds of the time.
            parameters |= {"force_col_wise": False, "force_row_wise": True}
        if len(rows) > max(MANY_EFFECTS, NEARLY_ALL * len(self.matrix)):
            return self._fit_nearly_all(parameters, rounds, rows, y, sample_weight)
        ordered = np.sort(rows)
        with self._one_at_a_time:  # models are fitted side by side, and all take their rows from the same data
            part = self._data.subset([])
            # LightGBM's own subset(rows) makes a Python list of them, 36 bytes a row instead of 4; it reads an array as well.
            part.used_indices = ordered.astype(np.int32)  # type: ignore[assignment]
            part.free_raw_data = True  # it would copy its rows of the matrix, and never read them
            part.construct()
        part.set_label(y[ordered])
        if sample_weight is not None:
            part.set_weight(sample_weight[ordered])
        return lightgbm.train(parameters, part, num_boost_round=rounds)

    def _fit_nearly_all(
        self, parameters: dict[str, Any], rounds: int, rows: AnyInts, y: AnyFloats, sample_weight: AnyFloats | None
    ) -> lightgbm.Booster:
        """The same without a copy of the bins: the other rows weigh nothing."""
        weight = np.zeros(len(self.matrix), dtype=np.float32)
        weight[rows] = 1.0 if sample_weight is None else sample_weight[rows]
        with self._one_at_a_time:
            try:
                self._data.set_label(np.where(weight > 0, y, 0.0))
                self._data.set_weight(weight)
                return lightgbm.train(parameters, self._data, num_boost_round=rounds)
            finally:
                self._data.set_weight(None)

    def predict(self, booster: lightgbm.Booster, rows: AnyInts, num_iteration: int | None = None) -> FloatArray:
        """The model's predictions (after its link) of some rows, from its first `num_iteration` trees."""
        threads = int(self._parameters["num_threads"])
        parts = np.array_split(rows, max(1, -(-len(rows) // ROWS_AT_ONCE)))  # so that the rows are never copied all at once
        predicted = [booster.predict(self.matrix[part], num_iteration=num_iteration, num_threads=threads) for part in parts]
        return np.concatenate(predicted).astype(np.float64, copy=False)


def class_probabilities(matrix: FloatArray, train: IntArray, code: IntArray, test: IntArray) -> FloatArray:
    """P(class) of some rows by LightGBM fitted on others, shape (len(test), classes); for what is not served.

    Parameters
    ----------
    matrix : array, shape (n, d)
        Categories as codes; they are read as numbers.
    train, test : arrays of int
        Rows.
    code : array of int, shape (len(train),)
        The class of each training row, 0, 1, ...
    """
    classes = int(code.max()) + 1
    settings = replace(REGULARISED, n_estimators=40, learning_rate=0.1, num_leaves=8, min_child_samples=50)
    parameters = {**tree_parameters(1, 0), **settings.parameters(), "objective": "multiclass", "num_class": classes}
    rounds = parameters.pop("n_estimators")
    booster = lightgbm.train(parameters, lightgbm.Dataset(matrix[train], code, params=parameters), num_boost_round=rounds)
    return np.asarray(booster.predict(matrix[test], num_threads=1), dtype=np.float64)


def tree_score(booster: lightgbm.Booster, num_iteration: int | None = None) -> TreeScore:
    """The served form of a fitted model."""
    return TreeScore(booster.model_to_string(num_iteration=num_iteration or -1))


def response_settings(settings: TreeSettings, rows: int, events: int) -> TreeSettings:
    """The settings scaled to the data: fewer leaves for few events, and leaves large enough to expect some events in each.

    Parameters
    ----------
    settings : TreeSettings
    rows : int
    events : int
        The number of rows of the rarer class.
    """
    leaves = round(4 + (settings.num_leaves - 4) * min(1.0, events / 2000))
    smallest = int(np.clip(3 * rows / max(events, 1), settings.min_child_samples, max(settings.min_child_samples, rows // 10)))
    return replace(settings, num_leaves=max(2, leaves), min_child_samples=smallest)


def nuisance_settings(settings: TreeSettings, rows: int) -> TreeSettings:
    """The settings scaled to the data, with half the trees at twice the rate: a nuisance need not be served, and is fitted often."""
    return effect_settings(faster(settings), rows)


def faster(settings: TreeSettings) -> TreeSettings:
    """Half the trees at twice the rate."""
    return replace(settings, n_estimators=max(1, settings.n_estimators // 2), learning_rate=2 * settings.learning_rate)


def effect_settings(settings: TreeSettings, rows: int) -> TreeSettings:
    """The settings scaled to the data: min_child_samples falls with the rows, from the given one down to 20.

    With more than `MANY_EFFECTS` rows a quarter of the trees at four times the rate (at most 0.25), a little larger and with all columns to
    choose from, know the effect better, in a fraction of the time: so many rows need no protection from each other's noise.
    """
    if rows > MANY_EFFECTS:
        rate = min(0.25, 4.0 * settings.learning_rate)
        few = max(1, round(settings.n_estimators * settings.learning_rate / rate))
        return replace(settings, n_estimators=few, learning_rate=rate, num_leaves=settings.num_leaves + 2, feature_fraction=1.0)
    return replace(settings, min_child_samples=int(np.clip(rows // 70, 20, settings.min_child_samples)))
