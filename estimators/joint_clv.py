"""Pareto/NBD, Gamma-Gamma and the money of a blend, compiled: what `clv_heads` and `clv_blend` say, in plain loops."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from estimators.arrays import FloatArray
from estimators.clv_blend import LEAST_COUNT
from estimators.clv_heads import DAYS_A_YEAR, HALF_A_DAY, STEPS
from estimators.clv_pareto_nbd import FOLDS, LOG_WEIGHTS, NODES
from estimators.compiling import compiled, inlined
from estimators.forest_layout import INT32

HISTORY = ("days_since_first_purchase", "purchase_count", "repeat_purchase_days", "last_gap_days", "repeat_purchase_value_mean")
"""The features that a buying history is read from, in the kernel's order."""

_LARGEST_SCORE, _LARGEST_OF_ALL = 30.0, 50.0
_MOST = float(np.finfo(np.float64).max)


NO_CLV, TREES_ALONE, BTYD = range(3)


class Money(NamedTuple):
    """A CLV head.

    Parameters
    ----------
    kind : int
        `NO_CLV`, `TREES_ALONE` or `BTYD`; the rest is read as the kind needs it.
    history : array of int, shape (5,)
        Where the features of `HISTORY` stand in a row.
    own : int
        Where the four columns go that a blend reads of BTYD; -1 where there is no blend.
    scores : array of int
        The tree models: of the three corrections of a blend (-1 where one is absent), or the only one.
    weights : array
        Of a blend's four members; empty without one.
    pareto, price : tuples of float
        (r, alpha, s, beta); (p, q, v) of Gamma-Gamma, or (nan, mean, 0) of one price for everybody.
    window_days, horizon_days, annual_discount_rate, margin, value_without_purchase, level : float
    """

    kind: int
    history: INT32
    own: int
    scores: INT32
    weights: FloatArray
    pareto: tuple[float, float, float, float]
    price: tuple[float, float, float]
    window_days: float
    horizon_days: float
    annual_discount_rate: float
    margin: float
    value_without_purchase: float
    level: float


@compiled
def outlooks(rows: FloatArray, money: Money, out: FloatArray) -> None:
    """Count, price and stretch of each contact into `out` of shape (n, 3), NaN where nothing was bought; a blend's columns into `rows`."""
    for row in range(len(rows)):
        first, purchases = rows[row, money.history[0]], rows[row, money.history[1]]
        if not first >= 0.0 or purchases == 0.0:
            out[row, :] = math.nan
            continue
        x = _known(rows[row, money.history[2]])
        gap = min(_known(rows[row, money.history[3]]), first) if x > 0.0 else 0.0
        age = max(first - HALF_A_DAY, HALF_A_DAY, gap)
        alive = _alive(x, gap, age, money.pareto)
        expected = _if_alive(money.window_days, x, age, money.pareto)
        price = _price(x, rows[row, money.history[4]], money.price)
        out[row, 0], out[row, 1] = alive * expected, price
        out[row, 2] = _discounted(x, age, money) / max(expected, 1e-300)
        if money.own >= 0:
            count = max(alive * expected, LEAST_COUNT)
            rows[row, money.own], rows[row, money.own + 1] = math.log(count), math.log(max(count * price, 1e-9))
            rows[row, money.own + 2], rows[row, money.own + 3] = alive, math.log(max(price, 1e-9))


@compiled
def clvs(outlook: FloatArray, trees: FloatArray, money: Money, out: FloatArray) -> None:
    """Discounted expected margin of each contact into `out`, shape (n,); `trees` are the scores of all tree models, shape (n, n_models)."""
    for row in range(len(out)):
        count, price, stretch = outlook[row, 0], outlook[row, 1], outlook[row, 2]
        if money.kind == NO_CLV:
            out[row] = math.nan
        elif money.kind == TREES_ALONE:
            out[row] = _finite(money.level * math.exp(min(trees[row, money.scores[0]], _LARGEST_OF_ALL)))
        elif math.isnan(stretch):
            out[row] = money.value_without_purchase
        elif not len(money.weights):
            out[row] = _finite(money.margin * (count * price) * stretch)
        else:
            blend = _blended(max(max(count, LEAST_COUNT) * price, 1e-9), trees, row, money.scores, money.weights)
            out[row] = _finite(money.margin * blend * stretch)


@inlined
def _finite(value: float) -> float:
    return 0.0 if math.isnan(value) else min(max(value, -_MOST), _MOST)


@inlined
def _blended(btyd: float, trees: FloatArray, row: int, scores: INT32, weights: FloatArray) -> float:
    """The weighted sum of what BTYD expects, of that corrected twice, and of what the features alone say."""
    total = weights[0] * btyd
    for member in range(3):
        if scores[member] >= 0:
            factor = math.exp(min(trees[row, scores[member]], _LARGEST_SCORE))
            total += weights[member + 1] * (factor if member == 2 else btyd * factor)
    return float(total)


@compiled
def _known(value: float) -> float:
    return 0.0 if math.isnan(value) else max(value, 0.0)


@compiled
def _price(x: float, mean_money: float, price: tuple[float, float, float]) -> float:
    p, q, v = price
    if math.isnan(p):
        return q
    known = x > 0.0 and mean_money > 0.0
    return p * (v + (x * mean_money if known else 0.0)) / ((p * x if known else 0.0) + q - 1.0)


@compiled
def _if_alive(days: float, x: float, age: float, pareto: tuple[float, float, float, float]) -> float:
    r, alpha, s, beta = pareto
    longer = math.log1p(days / (beta + age))
    power = s - 1.0
    grown = longer if abs(power) < 1e-9 else -math.expm1(-power * longer) / power
    return (r + x) / (alpha + age) * (beta + age) * grown


@compiled
def _discounted(x: float, age: float, money: Money) -> float:
    rate, horizon = money.annual_discount_rate, money.horizon_days
    if rate == 0.0:
        return _if_alive(horizon, x, age, money.pareto)
    total, before = 0.0, 0.0
    for step in range(STEPS):
        middle = (2 * step + 1) * horizon / (2 * STEPS)
        until = _if_alive((step + 1) * horizon / STEPS, x, age, money.pareto)
        total += (1.0 + rate) ** (-middle / DAYS_A_YEAR) * (until - before)
        before = until
    return total


@compiled
def _alive(x: float, gap: float, age: float, pareto: tuple[float, float, float, float]) -> float:
    r, alpha, s, beta = pareto
    stays = -(r + x) * math.log(alpha + age) - s * math.log(beta + age)
    leaves = math.log(s) + _leaving(x, gap, age, pareto)
    top = max(stays, leaves)
    return math.exp(stays - (top + math.log(math.exp(stays - top) + math.exp(leaves - top))))


@compiled
def _leaving(x: float, gap: float, age: float, pareto: tuple[float, float, float, float]) -> float:
    """ln of the integral over the times at which he may have left, by the quadrature of `clv_pareto_nbd._leaving`."""
    r, alpha, s, beta = pareto
    near_one, apart = min(alpha, beta), abs(alpha - beta)
    start = near_one + gap
    falls = (r + x) * start / (alpha + gap) + (s + 1.0) * start / (beta + gap) - 1.0
    reach = max(min(math.log((near_one + age) / start), FOLDS / max(falls, 1e-12)), 1e-300)
    logs, top = np.empty(len(NODES)), -math.inf
    for node in range(len(NODES)):
        log_near = math.log(start) + reach * NODES[node] ** 2
        log_far = math.log(start * math.exp(reach * NODES[node] ** 2) + apart)
        by_rate, by_leaving = (log_near, log_far) if alpha <= beta else (log_far, log_near)
        logs[node] = log_near + LOG_WEIGHTS[node] - (r + x) * by_rate - (s + 1.0) * by_leaving
        top = max(top, logs[node])
    total = 0.0
    for node in range(len(NODES)):
        total += math.exp(logs[node] - top)
    return top + math.log(total) + math.log(reach)
