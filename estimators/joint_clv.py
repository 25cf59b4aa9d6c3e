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

_LARGEST_SCORE = 30.0
_MOST = float(np.finfo(np.float64).max)


class Btyd(NamedTuple):
    """A `BtydClvHead` of Pareto/NBD: where `HISTORY` stands in a row, and where the four columns of a blend go (-1: there is no blend).

    `money` is (p, q, v) of Gamma-Gamma, or (nan, mean, 0) of one price for everybody.
    """

    history: INT32
    own: int
    pareto: tuple[float, float, float, float]
    money: tuple[float, float, float]
    window_days: float
    horizon_days: float
    annual_discount_rate: float


class Blend(NamedTuple):
    """What turns an outlook into CLV: the trees' scores of the three corrections (-1: absent), the weights of a blend's four members."""

    scores: INT32
    weights: FloatArray
    margin: float
    value_without_purchase: float


@compiled
def outlooks(rows: FloatArray, btyd: Btyd, out: FloatArray) -> None:
    """Count, price and stretch of each contact into `out` of shape (n, 3), NaN where nothing was bought; a blend's columns into `rows`."""
    for row in range(len(rows)):
        first, purchases = rows[row, btyd.history[0]], rows[row, btyd.history[1]]
        if not first >= 0.0 or purchases == 0.0:
            out[row, :] = math.nan
            continue
        x = _known(rows[row, btyd.history[2]])
        gap = min(_known(rows[row, btyd.history[3]]), first) if x > 0.0 else 0.0
        age = max(first - HALF_A_DAY, HALF_A_DAY, gap)
        alive = _alive(x, gap, age, btyd.pareto)
        expected = _if_alive(btyd.window_days, x, age, btyd.pareto)
        price = _price(x, rows[row, btyd.history[4]], btyd.money)
        out[row, 0], out[row, 1] = alive * expected, price
        out[row, 2] = _discounted(x, age, btyd) / max(expected, 1e-300)
        if btyd.own >= 0:
            count = max(alive * expected, LEAST_COUNT)
            rows[row, btyd.own], rows[row, btyd.own + 1] = math.log(count), math.log(max(count * price, 1e-9))
            rows[row, btyd.own + 2], rows[row, btyd.own + 3] = alive, math.log(max(price, 1e-9))


@compiled
def clvs(outlook: FloatArray, trees: FloatArray, blend: Blend, out: FloatArray) -> None:
    """Discounted expected margin of each contact into `out`, shape (n,); `trees` are the corrections' scores, shape (n, n_models)."""
    for row in range(len(out)):
        count, price, stretch = outlook[row, 0], outlook[row, 1], outlook[row, 2]
        if math.isnan(stretch):
            out[row] = blend.value_without_purchase
            continue
        money = count * price if not len(blend.weights) else _blended(max(max(count, LEAST_COUNT) * price, 1e-9), trees[row], blend)
        value = blend.margin * money * stretch
        out[row] = 0.0 if math.isnan(value) else min(max(value, -_MOST), _MOST)


@inlined
def _blended(money: float, trees: FloatArray, blend: Blend) -> float:
    """The weighted sum of what BTYD expects, of that corrected twice, and of what the features alone say."""
    total = blend.weights[0] * money
    for member in range(3):
        if blend.scores[member] >= 0:
            factor = math.exp(min(trees[blend.scores[member]], _LARGEST_SCORE))
            total += blend.weights[member + 1] * (factor if member == 2 else money * factor)
    return float(total)


@compiled
def _known(value: float) -> float:
    return 0.0 if math.isnan(value) else max(value, 0.0)


@compiled
def _price(x: float, mean_money: float, money: tuple[float, float, float]) -> float:
    p, q, v = money
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
def _discounted(x: float, age: float, btyd: Btyd) -> float:
    rate, horizon = btyd.annual_discount_rate, btyd.horizon_days
    if rate == 0.0:
        return _if_alive(horizon, x, age, btyd.pareto)
    total, before = 0.0, 0.0
    for step in range(STEPS):
        middle = (2 * step + 1) * horizon / (2 * STEPS)
        until = _if_alive((step + 1) * horizon / STEPS, x, age, btyd.pareto)
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
