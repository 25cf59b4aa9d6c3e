"""Which plots go with which model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from estimators.bundle import UpliftBundle
from training.evaluation import Scored
from training.fit_clv import FittedClv
from training.plots import calibration_plot, curves_plot, groups_plot, interval_plot
from training.policies import PolicyGain

NORMAL_95 = 1.96


def propensity_plots(scored: Scored) -> dict[str, bytes]:
    """Calibration on the test rows, all actions together."""
    if not scored.by_action:
        return {}
    y, p = (np.concatenate([pair[k] for pair in scored.by_action.values()]) for k in (0, 1))
    return {"calibration.png": calibration_plot(y, p, title="Propensity on the test rows, all actions")}


def uplift_plots(bundle: UpliftBundle, scored: Scored, gains: Mapping[str, PolicyGain]) -> dict[str, bytes]:
    """Qini curves, average effects and policy gains."""
    effects = {action: effect for (action, channel), effect in bundle.average_effects.items() if channel is None}
    rows = {action: (effect - NORMAL_95 * error, effect, effect + NORMAL_95 * error) for action, (effect, error) in effects.items()}
    plots = {"average_effects.png": interval_plot(rows, title="Average uplift, with 95 % intervals", axis="probability of the goal")}
    if scored.curves:
        curves = {action: (curve.share, curve.gain) for action, curve in scored.curves.items()}
        axes = ("share of contacts, best uplift first", "goals gained a contact")
        plots["qini.png"] = curves_plot(curves, title="Qini curves on the test rows", axes_names=axes)
    if gains:
        money = {name: (gain.low, gain.value, gain.high) for name, gain in gains.items()}
        plots["policy_gains.png"] = interval_plot(money, title="Gain over silence on the test rows", axis="money a contact")
    return plots


def clv_plots(fitted: FittedClv) -> dict[str, bytes]:
    """Predicted and actual money in the test window, by group of the prediction."""
    return {
        f"money_{name}.png": groups_plot(
            predicted, {"actual": fitted.money}, title=f"{name}: money in {fitted.window_days:g} days", axis="money a contact"
        )
        for name, predicted in fitted.predicted.items()
    }
