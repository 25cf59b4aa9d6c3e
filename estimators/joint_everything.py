"""One compiled call from what was read of contacts to all that the bundles say: each call from Python costs as much as a hundred trees."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from estimators.arrays import FloatArray
from estimators.compiling import compiled
from estimators.forest_kernels import score
from estimators.forest_layout import SlotArrays, TreeArrays
from estimators.joint_clv import BTYD, Money, clvs, outlooks
from estimators.joint_kernels import Design, Tables, answers, linear_scores
from estimators.joint_rows import finish


class Model(NamedTuple):
    """The bundles as the compiled loops read them.

    Parameters
    ----------
    numbers, width : int
        Columns of numbers, and of all that is read of a contact.
    slots, trees
        The forest.
    design, tables, money
        The linear scores, what the heads make of the scores, and the CLV.
    """

    numbers: int
    width: int
    slots: SlotArrays
    trees: TreeArrays
    design: Design
    tables: Tables
    money: Money


@compiled
def everything(rows: FloatArray, times: int, model: Model, out: FloatArray) -> None:
    """Propensity, opt-out risk and uplift of K arms, v values and the CLV of contacts into `out`, shape (n, 3 K + v + 1).

    `rows` has shape (n, d): what `RowReader.read` has read, with so many columns of `times`, and room for what a blend reads of BTYD.
    """
    n = len(rows)
    outlook, trees = np.empty((n, 3)), np.empty((n, len(model.trees.starts) - 1))
    linear = np.empty((n, len(model.design.intercept)))
    finish(rows, model.numbers, times, model.width)
    if model.money.kind == BTYD:
        outlooks(rows, model.money, outlook)
    score(rows, model.slots, model.trees, trees)
    linear_scores(rows, model.design, linear)
    answers(linear, trees, model.tables, out)
    clvs(outlook, trees, model.money, out[:, -1])
