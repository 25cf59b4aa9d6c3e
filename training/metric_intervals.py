"""Intervals of the figures on the test rows: percentile bootstrap over contacts, since rows of one contact are not independent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from decisioning.catalog import Catalog
from decisioning.vocabulary import FloatArray, IntArray
from estimators.calibration import log_losses
from measurement.intervals import bootstrap
from training.evaluation import Scored
from training.fit_clv import FittedClv
from training.labelled_rows import labelled_rows
from training.prepared import Prepared

RESAMPLES = 100
Statistic = Callable[[FloatArray], float]


def propensity_intervals(scored: Scored, test: Prepared, catalog: Catalog, *, seed: int) -> dict[str, float]:
    """`NAME_low` and `NAME_high` (95 %) of AUC, log loss and Brier score: of all actions together, and `NAME_low.ACTION` of each."""
    rows = {action.id: labelled_rows(test, action) for action in catalog.actions if action.id in scored.by_action}
    if not rows:
        return {}
    everything = np.concatenate(list(rows.values()))
    y, p = (np.concatenate([scored.by_action[action][k] for action in rows]) for k in (0, 1))
    found = _intervals("", _of_probability(y, p, test.data.rows.sample_weight[everything]), test.data.rows.contact_id[everything], seed)
    for action, of_action in rows.items():
        statistics = _of_probability(*scored.by_action[action], test.data.rows.sample_weight[of_action])
        found |= _intervals(f".{action}", statistics, test.data.rows.contact_id[of_action], seed)
    return found


def clv_intervals(fitted: FittedClv, *, seed: int) -> dict[str, float]:
    """The served method's errors and normalised Gini under the name `served`, with their 95 % intervals; a row is a contact."""
    money, predicted = fitted.money, fitted.predicted.get(fitted.served)
    if predicted is None or not len(money) or money.sum() <= 0:
        return {}
    error, order, perfect = predicted - money, np.argsort(-predicted, kind="stable"), np.argsort(-money, kind="stable")
    statistics: dict[str, Statistic] = {
        "mae": lambda counts: float(counts @ np.abs(error) / counts.sum()),
        "rmse": lambda counts: float(np.sqrt(counts @ error**2 / counts.sum())),
        "bias": lambda counts: _ratio(counts @ error, counts @ money),
        "gini": lambda counts: _ratio(_area(money, counts, order), _area(money, counts, perfect)),
    }
    found = _intervals(".served", statistics, np.arange(len(money)), seed)
    # Beside `gini.served` belong `gini.served_low` and `gini.served_high`: `served` is a subject like any method.
    named = {f"{name.split('_')[0]}.served_{name.split('_')[1].partition('.')[0]}": value for name, value in found.items()}
    return {**{f"{name}.served": statistic(np.ones(len(money))) for name, statistic in statistics.items()}, **named}


def weighted_auc(y: FloatArray, p: FloatArray) -> Statistic:
    """The AUC of these rows as a function of their weights, shape (n,); NaN where one class has no weight. Ties count half.

    Examples
    --------
    >>> weighted_auc(np.array([0.0, 1.0, 1.0]), np.array([0.1, 0.4, 0.1]))(np.ones(3))
    0.75
    """
    order = np.argsort(p, kind="stable")
    starts = np.concatenate(([0], np.flatnonzero(np.diff(p[order])) + 1)) if len(p) else np.empty(0, dtype=np.int64)
    ordered = y[order]

    def auc(weight: FloatArray) -> float:
        sorted_weight = weight[order]
        positive, negative = (np.add.reduceat(sorted_weight * part, starts) for part in (ordered, 1.0 - ordered))
        below = np.cumsum(negative) - negative
        return _ratio(positive @ (below + negative / 2.0), positive.sum() * negative.sum())

    return auc


def _of_probability(y: FloatArray, p: FloatArray, weight: FloatArray) -> dict[str, Statistic]:
    losses, squares, auc = log_losses(y, p), (y - p) ** 2, weighted_auc(y, p)
    return {
        "auc": lambda counts: auc(counts * weight),
        "log_loss": lambda counts: _ratio((counts * weight) @ losses, counts @ weight),
        "brier": lambda counts: _ratio((counts * weight) @ squares, counts @ weight),
    }


def _intervals(suffix: str, statistics: Mapping[str, Statistic], contact: npt.NDArray[np.generic], seed: int) -> dict[str, float]:
    contacts, place = np.unique(contact.astype(str), return_inverse=True)
    found: dict[str, float] = {}
    for name, statistic in statistics.items():
        interval = bootstrap(_by_contact(statistic, place), len(contacts), np.random.default_rng([seed, 0xB007]), resamples=RESAMPLES)
        found |= {f"{name}_low{suffix}": interval.low, f"{name}_high{suffix}": interval.high}
    return found


def _by_contact(statistic: Statistic, place: IntArray) -> Statistic:
    return lambda counts: statistic(counts[place])


def _area(money: FloatArray, counts: FloatArray, order: IntArray) -> float:
    """Area between the share of money and the share of contacts in this order, counted `counts` times each."""
    weight = counts[order]
    share = np.cumsum(weight * money[order]) / max(float(counts @ money), 1e-300)
    return float(weight @ share / weight.sum()) - 0.5


def _ratio(above: Any, below: Any) -> float:
    return float(above / below) if below > 0 else float("nan")
