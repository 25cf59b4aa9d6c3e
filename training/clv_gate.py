"""The promotion gate of CLV: it decides nothing alone, so it is held to its back-test, not to money a decision."""

from __future__ import annotations

from collections.abc import Mapping

from training.gate_verdict import Verdict

SOURCE = "back-test"
ERROR = "rmse.served"
LEVEL = "mean_money"


def judged_by_error(challenger: Mapping[str, float], champion: Mapping[str, float]) -> Verdict:
    """Passed where the root mean squared error in money, as a share of the money that came, is not larger than the champion's.

    Each version was tested at the end of its own data, so errors are compared relative to what came there.

    Parameters
    ----------
    challenger, champion : mapping of metric to number
        `training.evaluation.clv_metrics` of each.

    Examples
    --------
    >>> print(judged_by_error({"rmse.served": 8.0, "mean_money": 10.0}, {"rmse.served": 12.0, "mean_money": 10.0}).reason)
    its back-test error is 0.8 of the money that came, the champion's 1.2
    """
    errors = [_relative(metrics) for metrics in (challenger, champion)]
    if errors[0] is None or errors[1] is None:
        whose = "its" if errors[0] is None else "the champion's"
        return Verdict(False, f"{whose} back-test error is not known: it had no test window", source=SOURCE)
    reason = f"its back-test error is {errors[0]:.4g} of the money that came, the champion's {errors[1]:.4g}"
    return Verdict(errors[0] <= errors[1], reason, source=SOURCE)


def _relative(metrics: Mapping[str, float]) -> float | None:
    error, level = metrics.get(ERROR), metrics.get(LEVEL)
    return None if error is None or level is None or level <= 0 else error / level
