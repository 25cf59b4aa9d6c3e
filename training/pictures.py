"""Which plots go with which model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from estimators.bundle import UpliftBundle
from training.evaluation import Scored
from training.fit_clv import FittedClv
from training.importance import top_features
from training.plots import bands_plot, calibration_plot, groups_plot, interval_plot, segments_plot, shares_plot
from training.policies import PolicyGain
from training.segments import GRID, UpliftShape

NORMAL_95 = 1.96


def propensity_plots(scored: Scored) -> dict[str, bytes]:
    """Calibration on the test rows, all actions together."""
    if not scored.by_action:
        return {}
    y, p = (np.concatenate([pair[k] for pair in scored.by_action.values()]) for k in (0, 1))
    return {"calibration.png": calibration_plot(y, p, title="Propensity on the test rows, all actions")}


def uplift_plots(bundle: UpliftBundle, shape: UpliftShape, gains: Mapping[str, PolicyGain]) -> dict[str, bytes]:
    """Qini curves with bands, uplift by segment, average effects and policy gains."""
    effects = {action: effect for (action, channel), effect in bundle.average_effects.items() if channel is None}
    rows = {action: (effect - NORMAL_95 * error, effect, effect + NORMAL_95 * error) for action, (effect, error) in effects.items()}
    plots = {"average_effects.png": interval_plot(rows, title="Average uplift, with 95 % intervals", axis="probability of the goal")}
    if shape.bands:
        bands = {action: (band.low, band.gain, band.high) for action, band in shape.bands.items()}
        axes = ("share of contacts, best uplift first", "goals gained a contact")
        plots["qini.png"] = bands_plot(GRID, bands, title="Qini curves on the test rows, with 95 % bands", axes_names=axes)
    if shape.segments:
        columns = (np.array([getattr(one, name) for one in shape.segments]) for name in ("predicted", "measured", "standard_error"))
        plots["uplift_by_segment.png"] = segments_plot(
            *columns, title="Uplift on the test rows, all actions", axis="probability of the goal"
        )
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


def importance_plot(shares: Mapping[str, float]) -> dict[str, bytes]:
    """The features that move the answers most."""
    if not shares:
        return {}
    title = "What moves the answers: mean |SHAP| of trees, |coefficient| x sd of linear parts"
    return {"shap_summary.png": shares_plot(top_features(shares), title=title, axis="share")}
