"""How good are the models on rows they have not seen? Numbers by name, for MLflow and for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from decisioning.catalog import Catalog
from decisioning.vocabulary import FloatArray, IntArray
from estimators.arrays import runs_of
from estimators.bundle import PropensityBundle, UpliftBundle
from estimators.calibration import expected_calibration_error, log_losses
from measurement.uplift_curves import Experiment, UpliftCurve, qini_curve, qini_interval, uplift_at
from training.fit_clv import FittedClv
from training.fit_uplift import uplift_pair
from training.labelled_rows import labelled_rows, touched_rows
from training.prepared import Prepared

RESAMPLES = 100
TOP_SHARE = 0.3
FEWEST_TEST_ROWS = 30
DRIFT_ERRORS = 4.0
"""Predicted and observed shares that differ by so many standard errors, and by a fifth, are said to have drifted."""


@dataclass(frozen=True, eq=False)
class Scored:
    """What a model says of the test rows, by action, and how good that is.

    Attributes
    ----------
    by_action : mapping of action_id to (label, prediction), each of shape (n,)
        Propensity only.
    curves : mapping of action_id to UpliftCurve
        Uplift only.
    metrics : mapping of name to number
    warnings : tuple of str
    """

    by_action: Mapping[str, tuple[FloatArray, FloatArray]]
    curves: Mapping[str, UpliftCurve]
    metrics: Mapping[str, float]
    warnings: tuple[str, ...]


def evaluate_propensity(bundle: PropensityBundle, test: Prepared, catalog: Catalog) -> Scored:
    """AUC, log loss, expected calibration error, Brier score and lift: of all actions together, of each, and of opt-outs.

    Each row counts as many times as it stands for (`sample_weight`).
    """
    by_action: dict[str, tuple[FloatArray, FloatArray]] = {}
    weights: dict[str, FloatArray] = {}
    for action in catalog.actions:
        rows = labelled_rows(test, action)
        if action.id in bundle.heads and len(rows):
            by_action[action.id] = (test.data.labels.happened[str(action.goal)][rows], propensity_at(bundle, test.take(rows), action.id))
            weights[action.id] = test.data.rows.sample_weight[rows]
    metrics: dict[str, float] = {}
    if by_action:
        y, p = (np.concatenate([pair[k] for pair in by_action.values()]) for k in (0, 1))
        metrics |= _probability_metrics("", y, p, np.concatenate(list(weights.values())))
    for action_id, (y, p) in by_action.items():
        metrics |= _probability_metrics(f".{action_id}", y, p, weights[action_id])
    rows = touched_rows(test)
    if bundle.opt_out is not None and len(rows):
        risk = np.concatenate([opt_out_risk_at(bundle, test.take(rows[some])) for some in runs_of(len(rows))])  # most rows were touched
        metrics |= _probability_metrics(".opt_out", test.data.opted_out[rows], risk, test.data.rows.sample_weight[rows])
    drifts = [_drift(action_id, y, p, weights[action_id]) for action_id, (y, p) in by_action.items()]
    return Scored(by_action, {}, metrics, tuple(drift for drift in drifts if drift is not None))


@dataclass(frozen=True, eq=False)
class PairJudged:
    """The test rows of {action, no_action} with a known label, and what an uplift model says of them; arrays of shape (p,).

    Attributes
    ----------
    rows : int array
        Where they are among all test rows.
    """

    action_id: str
    rows: IntArray
    outcome: FloatArray
    exposed: FloatArray
    effect: FloatArray

    def experiment(self, test: Prepared) -> Experiment:
        """The pair as `measurement` reads it; `test` are all test rows."""
        logged, contact = test.data.rows, test.data.rows.contact_id[self.rows].astype(str)
        weight, stands_for = 1.0 / test.selection.prob[self.rows], logged.sample_weight[self.rows]
        return Experiment(self.outcome, self.effect, self.exposed, weight, stands_for, contact)


def judged_pairs(bundle: UpliftBundle, test: Prepared, catalog: Catalog) -> dict[int, PairJudged]:
    """Of each action, by its number, whose model has enough test rows of both arms."""
    found = {}
    for number, action in enumerate(catalog.actions):
        rows = uplift_pair(test, action)
        exposed = test.of_action(action.id)[rows].astype(np.float64)
        if action.id not in bundle.heads or min(exposed.sum(), len(exposed) - exposed.sum()) < FEWEST_TEST_ROWS:
            continue
        outcome, effect = test.data.labels.happened[str(action.goal)][rows], bundle.heads[action.id].effect(test.encoded.take(rows))
        found[number] = PairJudged(action.id, rows, outcome, exposed, effect)
    return found


def evaluate_uplift(pairs: Mapping[int, PairJudged], test: Prepared, *, seed: int) -> Scored:
    """Qini coefficient with its interval, and the measured uplift of the best-ranked 30 %, for each action.

    `qini` is the mean over actions, weighted by their contacted test rows. Each row counts as many times as it stands for
    (`sample_weight`); intervals count contacts.
    """
    curves: dict[str, UpliftCurve] = {}
    metrics: dict[str, float] = {}
    found: list[tuple[float, float]] = []
    for number, pair in pairs.items():
        experiment = pair.experiment(test)
        curves[pair.action_id] = qini_curve(experiment)
        qini = qini_interval(experiment, np.random.default_rng([seed, number]), resamples=RESAMPLES)
        top, everyone = uplift_at(experiment, TOP_SHARE), uplift_at(experiment, 1.0)
        values = {"qini": qini.value, "qini_low": qini.low, "qini_high": qini.high}
        values |= {"uplift_top_30": top.value, "uplift_all": everyone.value, "uplift_all_se": everyone.standard_error}
        metrics |= {f"{name}.{pair.action_id}": value for name, value in values.items()}
        found.append((float(test.data.rows.sample_weight[pair.rows] @ pair.exposed), qini.value))
    known = [(size, value) for size, value in found if np.isfinite(value)]
    if known:
        metrics["qini"] = float(np.average([value for _, value in known], weights=[size for size, _ in known]))
    return Scored({}, curves, metrics, ())


def clv_metrics(fitted: FittedClv) -> dict[str, float]:
    """Errors, bias, rank correlation and normalised Gini of each method's money and purchases on the test window; coverage of intervals."""
    metrics = {"window_days": fitted.window_days}
    metrics |= {name: float(came.mean()) for name, came in (("mean_money", fitted.money), ("mean_purchases", fitted.count)) if len(came)}
    for method, predicted in fitted.predicted.items():
        metrics |= {f"{name}.{method}": value for name, value in _errors(fitted.money, predicted).items()}
    for method, predicted in fitted.predicted_count.items():
        metrics |= {f"{name}_purchases.{method}": value for name, value in _errors(fitted.count, predicted).items()}
    for nominal, measured in fitted.coverage.items():
        metrics[f"coverage_{round(100 * nominal)}"] = measured
    return metrics


def _errors(came: FloatArray, predicted: FloatArray) -> dict[str, float]:
    error = predicted - came
    return {
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "bias": float(error.mean() / came.mean()) if came.mean() > 0 else float("nan"),
        "rank_correlation": float(spearmanr(predicted, came).statistic) if np.ptp(predicted) > 0 and np.ptp(came) > 0 else float("nan"),
        "gini": normalised_gini(came, predicted),
    }


def normalised_gini(money: FloatArray, predicted: FloatArray) -> float:
    """Area between the share of money and the share of contacts, best predicted first, over that of the perfect order.

    Examples
    --------
    >>> normalised_gini(np.array([0.0, 1.0, 5.0]), np.array([0.1, 0.2, 0.3]))
    1.0
    """

    def area(order: FloatArray) -> float:
        rows = np.argsort(-order, kind="stable")
        return float((np.cumsum(money[rows]) / money.sum()).mean()) - (len(money) + 1) / (2 * len(money))

    best = area(money) if money.sum() > 0 else 0.0
    return area(predicted) / best if best > 0 else float("nan")


def propensity_at(bundle: PropensityBundle, part: Prepared, action_id: str) -> FloatArray:
    """Propensity of an action on each row's own channel, shape (n,)."""
    return _on_own_channel(part, lambda channels: bundle.propensity({}, 0, [(action_id, c) for c in channels], encoded=part.encoded))


def opt_out_risk_at(bundle: PropensityBundle, part: Prepared) -> FloatArray:
    """Opt-out risk on each row's own channel, shape (n,)."""
    return _on_own_channel(part, lambda channels: bundle.opt_out_risk({}, 0, channels, encoded=part.encoded))


def _on_own_channel(part: Prepared, predict: Callable[[list[str | None]], FloatArray]) -> FloatArray:
    channels = part.data.rows.channel.tolist()
    levels = sorted(set(channels), key=str)
    place = {channel: k for k, channel in enumerate(levels)}
    return predict(levels)[np.arange(len(channels)), [place[channel] for channel in channels]]


def _probability_metrics(suffix: str, y: FloatArray, p: FloatArray, weight: FloatArray) -> dict[str, float]:
    metrics = {
        "log_loss": float(np.average(log_losses(y, p), weights=weight)),
        "brier": float(np.average((y - p) ** 2, weights=weight)),
        "ece": expected_calibration_error(y, p, sample_weight=weight),
    }
    if 0 < y.sum() < len(y):
        metrics["auc"] = float(roc_auc_score(y, p, sample_weight=weight))
        metrics["lift_10"] = top_lift(y, p, weight)
    return {f"{name}{suffix}": value for name, value in metrics.items()}


def top_lift(y: FloatArray, p: FloatArray, weight: FloatArray, share: float = 0.1) -> float:
    """The response rate of the best-ranked share of the rows over that of all; rows of one p count in proportion.

    Examples
    --------
    >>> top_lift(np.array([1.0, 0.0, 0.0, 0.0]), np.array([0.9, 0.2, 0.2, 0.1]), np.ones(4), 0.25)
    4.0
    """
    levels, place = np.unique(-p, return_inverse=True)
    rows, responses = (np.bincount(place, weights=each, minlength=len(levels)) for each in (weight, weight * y))
    reached = np.clip(share * rows.sum() - (np.cumsum(rows) - rows), 0.0, rows) / rows
    return float((reached @ responses) / share / responses.sum())


def _drift(action_id: str, y: FloatArray, p: FloatArray, weight: FloatArray) -> str | None:
    error = float(np.sqrt((weight**2 * p * (1.0 - p)).sum()) / weight.sum())
    came, said = float(np.average(y, weights=weight)), float(np.average(p, weights=weight))
    if abs(came - said) <= max(DRIFT_ERRORS * error, 0.2 * said):
        return None
    shares = f"{came:.3f} on the test rows, {said:.3f} predicted from the rows before"
    return f"{action_id}: the share of responses drifted: {shares}. Retrain often"
