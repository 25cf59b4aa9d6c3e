"""All of training, in order: rows -> models on the train part -> judged on the test part -> fitted again on all rows -> published."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

from decisioning.errors import ConfigError, Conflict, NotFound, nearest
from estimators.bundle import PropensityBundle
from training.context import ModelName, Progress, TrainedModel, TrainingContext, TrainingReport
from training.dataset import data_hashes, default_as_of
from training.evaluation import clv_metrics, evaluate_propensity, evaluate_uplift
from training.fit_clv import fit_clv
from training.fit_propensity import TESTED_CV, fit_propensity
from training.fit_uplift import NO_CONTROL, fit_uplift
from training.interactions import Interactions
from training.pictures import clv_plots, propensity_plots, uplift_plots
from training.policies import policy_gains
from training.publishing import Judged, publish


def train(
    context: TrainingContext, *, as_of: np.datetime64 | None = None, only: ModelName | None = None, progress: Progress | None = None
) -> TrainingReport:
    """Train, judge and publish the models of a workspace.

    Parameters
    ----------
    as_of : datetime64[us], optional
        Exclusive: nothing from then on is read. Default: just after the newest ingested row.
    only : str, optional
        One of propensity, uplift, clv; default all.
    progress : callable, optional
        Told what is being done.

    Raises
    ------
    NotFound
        Nothing was ingested, or the features are not built.
    Conflict
        No model could be trained; the reasons are named.
    ConfigError
        A sensitive column is not a feature.
    Unavailable
        MLflow does not answer.
    """
    check_sensitive(context)
    data_dir = context.workspace_dir / "data"
    moment = default_as_of(data_dir) if as_of is None else as_of.astype("datetime64[us]")
    # On matrices of this size BLAS threads wait for each other longer than they compute.
    with threadpool_limits(limits=1, user_api="blas"):
        return _Training(context, moment, progress or _silent, []).run(only)


@dataclass(frozen=True, eq=False)
class _Training:
    """One training run; `warnings` fills up on the way."""

    context: TrainingContext
    as_of: np.datetime64
    tell: Progress
    warnings: list[str]

    def run(self, only: ModelName | None) -> TrainingReport:
        judged: list[Judged] = []
        if only != "clv":
            judged += self._of_interactions(only)
        if only in (None, "clv"):
            judged += self._clv()
        if not judged:
            raise Conflict("no model could be trained", got="; ".join(self.warnings))
        self.tell("publishing to MLflow")
        hashes = data_hashes(self.context.workspace_dir / "data")
        models: list[TrainedModel] = [publish(self.context, one, hashes) for one in judged]
        return TrainingReport(tuple(models), tuple(dict.fromkeys(self.warnings)))

    # --- propensity and uplift ----------------------------------------------------------------------------------------------------

    def _of_interactions(self, only: ModelName | None) -> list[Judged]:
        self.tell("labels and features")
        try:
            part = Interactions.read(self.context, self.as_of)
        except NotFound as error:
            if error.hint == "run nudge features build":
                raise
            self.warnings.append(f"propensity and uplift are not trained: {error}")
            return []
        self.warnings.extend(part.notes)
        self.tell("propensity: fitting and judging")
        propensity = fit_propensity(part.train, self.context.catalog, seed=self.context.seed, cv=TESTED_CV)
        judged = []
        if only in (None, "propensity"):
            judged += self._propensity(part, propensity)
        if only in (None, "uplift"):
            judged += self._uplift(part, propensity)
        return judged

    def _propensity(self, part: Interactions, tested: PropensityBundle) -> list[Judged]:
        scored = evaluate_propensity(tested, part.test, self.context.catalog)
        self.tell("propensity: fitting on all rows")
        served = fit_propensity(part.all, self.context.catalog, seed=self.context.seed)
        if not served.heads:
            self.warnings.append("propensity is not trained: no interaction of a catalogue's action has a known outcome yet")
            return []
        new = [action.id for action in self.context.catalog.actions if action.goal is not None and action.id not in served.heads]
        notes = [*part.notes, *scored.warnings]
        notes += [f"{action_id}: no interaction with a known outcome; its cold start stands in" for action_id in new]
        self.warnings.extend(notes)
        facts = {**part.facts, "labelled_interactions": sum(head.evidence for head in served.heads.values())}
        plots = propensity_plots(scored)
        return [Judged("propensity", served, part.served_as_of, part.all.data.features, facts, scored.metrics, plots, notes)]

    def _uplift(self, part: Interactions, propensity: PropensityBundle) -> list[Judged]:
        if not part.all.controls.any():
            self.warnings.append(f"uplift is not trained: {NO_CONTROL}")
            return []
        self.tell("uplift: fitting and judging")
        catalog, seed = self.context.catalog, self.context.seed
        errors = self.context.settings.gate_standard_errors
        tested = fit_uplift(part.train, catalog, seed=seed, cv=TESTED_CV, propensity=propensity, gate_errors=errors).bundle
        scored = evaluate_uplift(tested, part.test, catalog, seed=seed)
        gains = policy_gains(propensity, tested, part.test, catalog)
        self.tell("uplift: fitting on all rows")
        served = fit_uplift(part.all, catalog, seed=seed, propensity=propensity, gate_errors=errors)
        if not served.bundle.heads:
            self.warnings.extend([f"uplift of {action_id} is not learned: {why}" for action_id, why in served.refused.items()])
            return []
        metrics = dict(scored.metrics)
        for name, gain in gains.items():
            metrics |= {f"gain.{name}{suffix}": value for suffix, value in (("", gain.value), ("_low", gain.low), ("_high", gain.high))}
            metrics |= {f"ess.{name}": gain.effective_sample_size, f"share_contacted.{name}": gain.share_contacted}
        if served.verdict is not None:
            metrics |= served.verdict.metrics
        notes = [*part.notes, *(f"uplift of {action_id} is not learned: {why}" for action_id, why in served.refused.items())]
        notes += [] if served.verdict is None else served.verdict.sentences
        self.warnings.extend(notes)
        facts = {**part.facts, "controls": int(part.all.controls.sum()), **part.selection_facts}
        plots = uplift_plots(served.bundle, scored, gains)
        return [Judged("uplift", served.bundle, part.served_as_of, part.all.data.features, facts, metrics, plots, notes)]

    # --- CLV ------------------------------------------------------------------------------------------------------------------------

    def _clv(self) -> list[Judged]:
        self.tell("clv: fitting and judging")
        context = self.context
        fitted = fit_clv(context.workspace_dir / "data", context.catalog, context.door, self.as_of, seed=context.seed)
        if isinstance(fitted, str):
            self.warnings.append(f"clv is not trained: {fitted}")
            return []
        facts = {
            "as_of": str(self.as_of),
            "method": fitted.bundle.method,
            "contacts": fitted.bundle.evidence,
            "horizon_days": context.catalog.horizon_days,
            "test_window_days": fitted.window_days,
            "margin": context.catalog.clv.margin,
            "annual_discount_rate": context.catalog.clv.annual_discount_rate,
        }
        return [Judged("clv", fitted.bundle, self.as_of, fitted.features, facts, clv_metrics(fitted), clv_plots(fitted), fitted.notes)]


def check_sensitive(context: TrainingContext) -> None:
    """Refuse sensitive columns that are not features.

    Raises
    ------
    ConfigError
        With the nearest feature's name.
    """
    known = [spec.name for spec in context.door.contract.specs]
    for name in context.settings.sensitive:
        if name not in known:
            raise ConfigError(
                "is not a feature of this workspace",
                field="training.sensitive",
                got=name,
                allowed="a feature, such as a column of contacts",
                hint=nearest(name, known),
            )


def _silent(stage: str) -> None:
    """Progress that nobody follows."""
            **fitted.facts,
