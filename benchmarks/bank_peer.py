"""The published recipe for Bank Marketing, written plainly: LightGBM tuned on this file, its level moved from block to block."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import lightgbm as lgb
import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, logit

from decisioning.vocabulary import FloatArray, IntArray
from estimators.arrays import Columns

TUNED = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 16,
    "min_child_samples": 20,
    "lambda_l2": 1.0,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "cat_smooth": 50,
    "cat_l2": 50,
    "max_cat_to_onehot": 4,
    "num_threads": 1,
    "seed": 7,
    "verbose": -1,
}
TREES = 110
WIDEST_SHIFT = 8.0


def rolling(features: Columns, y: FloatArray, edges: IntArray) -> list[FloatArray]:
    """Probabilities of each block between two edges by a model of all rows before it, shape (rows of the block,) each."""
    table = _table(features)
    said = []
    for start, end in pairwise(edges.tolist()):
        model = lgb.train(TUNED, lgb.Dataset(table.iloc[:start], y[:start]), TREES)
        said.append(np.asarray(model.predict(table.iloc[start:end])))
    return said


def shifted_by_the_block_before(said: Sequence[FloatArray], truth: Sequence[FloatArray]) -> list[FloatArray]:
    """Each block's log odds moved as those of the block before it should have been; the first one stays."""
    shifts = [0.0, *(level_shift(y, p) for y, p in zip(truth, said, strict=True))][: len(said)]
    return [expit(logit(p) + shift) for p, shift in zip(said, shifts, strict=True)]


def level_shift(y: FloatArray, p: FloatArray) -> float:
    """What the log odds of p have to be moved by to be right on average."""
    return float(brentq(lambda shift: float(expit(logit(p) + shift).mean() - y.mean()), -WIDEST_SHIFT, WIDEST_SHIFT))


def _table(features: Columns) -> pd.DataFrame:
    kept = {name: column for name, column in features.items() if column.dtype.kind not in "mM"}
    return pd.DataFrame({name: pd.Categorical(column) if column.dtype.kind == "O" else column for name, column in kept.items()})
