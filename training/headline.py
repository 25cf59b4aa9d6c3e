"""The one figure of a model that a person reads first, with its interval, and what it is held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from training.context import Headline, ModelName

Metrics = Mapping[str, float]


def headline(model: ModelName, metrics: Metrics) -> Headline | None:
    """The main figure of a model, or None where no test row could judge it.

    Examples
    --------
    >>> headline("uplift", {"gain.uplift": 0.5, "gain.uplift_low": 0.4, "gain.uplift_high": 0.6, "gain.best_constant": 0.3})
    Headline(metric='money a contact over silence', value=0.5, low=0.4, high=0.6, against='best constant action', against_value=0.3)
    """
    makers: dict[str, Callable[[Metrics], Headline | None]] = {"propensity": _propensity, "uplift": _uplift, "clv": _clv, "lead": _lead}
    return makers[model](metrics)


def _propensity(metrics: Metrics) -> Headline | None:
    return _made(metrics, "auc", "AUC", "a random order", 0.5) if "auc" in metrics else None


def _uplift(metrics: Metrics) -> Headline | None:
    if "gain.uplift" in metrics:
        best = metrics.get("gain.best_constant")
        return _made(metrics, "gain.uplift", "money a contact over silence", "best constant action", best)
    return _made(metrics, "qini", "Qini", "a random order", 0.0) if "qini" in metrics else None


def _clv(metrics: Metrics) -> Headline | None:
    if "gini.served" not in metrics:
        return None
    return _made(metrics, "gini.served", "normalised Gini of money", "buy-till-you-die alone", metrics.get("gini.btyd"))


def _lead(metrics: Metrics) -> Headline | None:
    return _made(metrics, "auc", "AUC", "the catalogue's points", metrics.get("points_auc")) if "auc" in metrics else None


def _made(metrics: Metrics, name: str, metric: str, against: str, against_value: float | None) -> Headline:
    return Headline(metric, metrics[name], metrics.get(f"{name}_low"), metrics.get(f"{name}_high"), against, against_value)
