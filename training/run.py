"""All of training, in order: rows -> models on the train part -> judged on the test part -> fitted again on all rows -> published."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

from decisioning.errors import ConfigError, Conflict, NotFound, nearest
from estimators.bundle import PropensityBundle, UpliftBundle
from estimators.parallel import run_stages
from training.champion_said import CHAMPION_FILE, champion_said
from training.context import DECIDING, ModelName, Progress, TrainedModel, TrainingContext, TrainingReport
from training.dataset import data_hashes
from training.evaluation import clv_metrics, evaluate_propensity, evaluate_uplift, judged_pairs
from training.fairness import clv_by_group, propensity_by_group, uplift_by_group
from training.fit_clv import fit_clv
from training.fit_contracts import fit_contracts
from training.fit_lead import fit_lead
from training.fit_propensity import TESTED_CV, LearnedPropensity, PropensityTerms, learn_propensity
from training.fit_uplift import NO_CONTROL, UpliftTerms, fit_uplift
from training.held_out import HELD_OUT_FILE, HeldOut, held_out
from training.interactions import Interactions
from training.lead_rows import lead_definition, read_lead_rows
from training.memory import giving_back
from training.metric_intervals import clv_intervals, propensity_intervals
from training.model_card import OWN_CLV_METHOD, OWN_METHOD, OWN_UPLIFT_METHOD
from training.model_key import model_key
from training.moments import Moments
from training.own_log import OwnLog, read_own_log
from training.pictures import clv_plots, propensity_plots, uplift_plots
from training.policies import PolicyGain, gain_metrics, policy_gains
from training.publishing import Judged, publish
from training.reuse import reusable
from training.segments import UpliftShape, segments_table
from training.steps import Steps
from training.tracking import CHAMPION
from training.uplift_gate import NOTHING_JUDGED

WORKERS = 2
"""Threads that fit, for all models together."""


def train(
    context: TrainingContext,
    *,
    as_of: np.datetime64 | None = None,
    only: ModelName | None = None,
    refit: bool = False,
    progress: Progress | None = None,
) -> TrainingReport:
    """Train, judge and publish the models of a workspace; a model that is made of the same as an earlier version is that version.

    Parameters
    ----------
    as_of : datetime64[us], optional
        Exclusive: nothing from then on is read. Default: just after the newest row, for CLV of the ingested ones, which it learns from.
    only : str, optional
        One of propensity, uplift, clv, lead; default the first three.
    refit : bool
        Fit also what is unchanged.
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
    wanted: tuple[ModelName, ...] = DECIDING if only is None else (only, *_left_behind(context, only))
    own = _own_log(context, as_of) if {"propensity", "uplift"} & set(wanted) else None
    moments = Moments.of(data_dir, own, as_of)
    tables = data_hashes(data_dir)
    hashes = {model: tables if own is None or model == "clv" else {**tables, "ledger": own.digest} for model in wanted}
    keys = {model: model_key(context, model, moments.of_model(model), hashes[model]) for model in wanted}
    kept: dict[ModelName, TrainedModel] = {}
    for model in () if refit or only == "lead" else wanted:  # what became of leads is not part of a model's key
        found = reusable(context, model, keys[model])
        if found is not None:
            kept[model] = found
    fit = [model for model in wanted if model not in kept]
    steps = Steps(progress, fit)
    # BLAS and OpenMP with one thread: on matrices of this size threads wait longer than they compute, and the last bits depend on them.
    with threadpool_limits(limits=1), giving_back():
        fitted = _Training(context, moments, steps, [], own).run(fit)
    beside = [f"{model} is trained too: its champion cannot read the features of now" for model in wanted if only not in (None, model)]
    warnings = [*beside, *(warning for model in kept.values() for warning in model.warnings), *fitted.warnings]
    if not kept and not fitted.judged:
        raise Conflict("no model could be trained", got="; ".join(warnings))
    if fitted.judged:
        steps("publishing to MLflow")
    made = {
        model: replace(publish(context, one, hashes[model], key=keys[model]), seconds=fitted.seconds[model])
        for model, one in fitted.judged.items()
    }
    models = {**kept, **made}
    if only != "lead":
        warnings += _retired(context, set(models))
    return TrainingReport(tuple(models[model] for model in wanted if model in models), tuple(dict.fromkeys(warnings)))


def _left_behind(context: TrainingContext, only: ModelName) -> list[ModelName]:
    """The deciding models whose champions read other features than there are: with one new model alone, none could serve."""
    return [model for model in DECIDING if model != only and only in DECIDING and _reads_other_features(context, model)]


def _retired(context: TrainingContext, trained: Set[ModelName]) -> list[str]:
    """Take the champions away that read other features and were not trained anew, and say so: one of them would keep all from serving."""
    gone = [model for model in DECIDING if model not in trained and _reads_other_features(context, model)]
    for model in gone:
        context.tracker.move_alias(model, CHAMPION, None)
    return [f"{model}: its champion cannot read the features of now, and none could be trained: it serves no longer" for model in gone]


def _reads_other_features(context: TrainingContext, model: ModelName) -> bool:
    return context.tracker.champion_reads(model) not in (None, context.door.contract.hash)


def _own_log(context: TrainingContext, as_of: np.datetime64 | None) -> OwnLog | None:
    if context.ledger is None or not context.settings.decisions:
        return None
    actions = [action.id for action in context.catalog.actions]
    return read_own_log(context.ledger, context.door.contract, actions, as_of=as_of, most=context.settings.decisions)


@dataclass(frozen=True, eq=False)
class _Fitted:
    """The judged models by name, the seconds of each, and what a person should know, also of models that are not there."""

    judged: Mapping[ModelName, Judged]
    seconds: Mapping[ModelName, float]
    warnings: Sequence[str]


@dataclass(frozen=True, eq=False)
class _OnTest:
    """What the tested uplift is worth on the rows that it has not seen."""

    metrics: Mapping[str, float]
    gains: Mapping[str, PolicyGain]
    shape: UpliftShape
    fairness: Mapping[str, str]
    tables: Mapping[str, bytes]


_Stage: TypeAlias = Callable[["_Training"], _Fitted]


@dataclass(frozen=True, eq=False)
class _Training:
    """The fits of one training run; `warnings` fills up on the way."""

    context: TrainingContext
    moments: Moments
    tell: Steps
    warnings: list[str]
    own: OwnLog | None = None

    def run(self, models: Sequence[ModelName]) -> _Fitted:
        """Fit and judge these models side by side; what needs no interactions does not wait until they are read."""
        stages: dict[str, _Stage] = {}
        if {"propensity", "uplift"} & set(models):
            self.tell("labels and features")
            stages["interactions"] = lambda training: training._of_interactions(models)
        if "clv" in models:
            stages["clv"] = _model("clv", _Training._clv)
        if "lead" in models:
            stages["lead"] = _model("lead", _Training._lead)
        return self._side_by_side(stages)

    def _side_by_side(self, stages: Mapping[str, _Stage]) -> _Fitted:
        """These stages and what this one found itself; each has warnings of its own, so that their order does not depend on threads."""
        done = run_stages({name: partial(stage, replace(self, warnings=[])) for name, stage in stages.items()}, workers=WORKERS)
        judged = {model: one for found in done.values() for model, one in found.judged.items()}
        seconds = {model: took for found in done.values() for model, took in found.seconds.items()}
        return _Fitted(judged, seconds, [*self.warnings, *(warning for found in done.values() for warning in found.warnings)])

    # --- propensity and uplift ----------------------------------------------------------------------------------------------------

    def _of_interactions(self, models: Sequence[ModelName]) -> _Fitted:
        try:
            part = Interactions.read(self.context, self.moments.interactions, self.own, ingested_until=self.moments.ingested_until)
        except NotFound as error:
            if error.hint == "run nudge features build":
                raise
            return _Fitted({}, {}, [f"propensity and uplift are not trained: {error}"])
        self.warnings.extend(part.notes)
        self.tell("propensity: fitting and judging")
        tested = learn_propensity(
            part.train,
            self.context.catalog,
            seed=self.context.seed,
            cv=TESTED_CV,
            terms=self._terms,
        )
        said = champion_said(self.context, part.test)
        stages: dict[str, _Stage] = {}
        if "propensity" in models:
            stages["propensity"] = _model("propensity", lambda training: training._propensity(part, tested, said))
        if "uplift" in models:
            stages["uplift"] = _model("uplift", lambda training: training._uplift(part, tested.bundle, said))
        return self._side_by_side(stages)

    @property
    def _terms(self) -> PropensityTerms:
        return PropensityTerms(self.context.settings.tuning_minutes, self.context.own_propensity)

    def _propensity(self, part: Interactions, tested: LearnedPropensity, said: HeldOut | None) -> list[Judged]:
        catalog, seed = self.context.catalog, self.context.seed
        scored = evaluate_propensity(tested.bundle, part.test, catalog)
        self.tell("propensity: fitting on all rows")
        own = self.context.own_propensity
        learned = learn_propensity(part.all, catalog, seed=seed, terms=self._terms, after=tested)
        served = learned.bundle
        if not served.heads:
            self.warnings.append("propensity is not trained: no interaction of a catalogue's action has a known outcome yet")
            return []
        new = [action.id for action in catalog.actions if action.goal is not None and action.id not in served.heads]
        notes = [*part.notes, *scored.warnings, *learned.warnings]
        notes += [f"{action_id}: no interaction with a known outcome; its cold start stands in" for action_id in new]
        self.warnings.extend(notes)
        facts = {**part.facts, "labelled_interactions": sum(head.evidence for head in served.heads.values())}
        facts |= {} if own is None else {"estimator": own.words}
        plots = propensity_plots(scored)
        metrics = {**scored.metrics, **learned.metrics, **propensity_intervals(scored, part.test, catalog, seed=seed)}
        groups = propensity_by_group(scored, part.test, catalog, self.context.settings.sensitive)
        judged = Judged("propensity", served, part.served_as_of, part.all.data.features, facts, metrics, plots, notes)
        judged = judged if own is None else replace(judged, method=OWN_METHOD)
        tables = self._held_out(tested.bundle, None, part, said)
        return [replace(judged, moments=part.all.data.rows.features_at, fairness=groups, tables=tables)]

    def _held_out(
        self, propensity: PropensityBundle, uplift: UpliftBundle | None, part: Interactions, champions: HeldOut | None
    ) -> dict[str, bytes]:
        """What the tested fit and the champions say of the test rows, for the promotion gate."""
        kept = held_out(propensity, uplift, part.test, self.context.catalog, salt=self.context.workspace_id)
        files = {HELD_OUT_FILE: kept, CHAMPION_FILE: champions}
        return {name: said.to_bytes() for name, said in files.items() if said is not None}

    def _uplift(self, part: Interactions, propensity: PropensityBundle, said: HeldOut | None) -> list[Judged]:
        if not part.all.controls.any():
            self.warnings.append(f"uplift is not trained: {NO_CONTROL}")
            return []
        self.tell("uplift: fitting and judging")
        catalog, seed = self.context.catalog, self.context.seed
        terms = UpliftTerms(propensity, self.context.settings.gate_standard_errors, self.context.own_uplift)
        judged_fit = fit_uplift(part.train, catalog, seed=seed, cv=TESTED_CV, terms=terms)
        self.tell("uplift: fitting on all rows")
        # Side by side: where many rows are judged, most of that is one thread's work.
        stages: dict[str, Callable[[], Any]] = {
            "served": partial(fit_uplift, part.all, catalog, seed=seed, terms=terms, tested=judged_fit),
            "on test rows": partial(self._uplift_on_test, part, propensity, judged_fit.bundle, said),
        }
        served, found = run_stages(stages, workers=WORKERS).values()
        if not served.bundle.heads:
            self.warnings.extend([f"uplift of {action_id} is not learned: {why}" for action_id, why in served.refused.items()])
            return []
        verdict = served.verdict or NOTHING_JUDGED
        notes = [*part.notes, *(f"uplift of {action_id} is not learned: {why}" for action_id, why in served.refused.items())]
        notes += verdict.limits
        self.warnings.extend(notes)
        facts = {**part.facts, "controls": int(part.all.controls.sum()), **part.selection_facts}
        facts |= {} if terms.own is None else {"estimator": terms.own.words}
        metrics, plots = {**found.metrics, **verdict.metrics}, uplift_plots(served.bundle, found.shape, found.gains)
        judged = Judged("uplift", served.bundle, part.served_as_of, part.all.data.features, facts, metrics, plots, notes)
        judged = replace(judged, findings=verdict.findings, method="" if terms.own is None else OWN_UPLIFT_METHOD, tables=found.tables)
        segments = segments_table(found.shape.segments)
        return [replace(judged, moments=part.all.data.rows.features_at, segments=segments, fairness=found.fairness)]

    def _uplift_on_test(self, part: Interactions, propensity: PropensityBundle, tested: UpliftBundle, said: HeldOut | None) -> _OnTest:
        catalog, seed, test = self.context.catalog, self.context.seed, part.test
        pairs = judged_pairs(tested, test, catalog)
        gains = policy_gains(propensity, tested, test, catalog)
        return _OnTest(
            metrics={**evaluate_uplift(pairs, test, seed=seed).metrics, **gain_metrics(gains)},
            gains=gains,
            shape=UpliftShape.of(pairs, test, seed=seed),
            fairness=uplift_by_group(tested, test, self.context.settings.sensitive),
            tables=self._held_out(propensity, tested, part, said),
        )

    # --- CLV ------------------------------------------------------------------------------------------------------------------------

    def _clv(self) -> list[Judged]:
        self.tell("clv: fitting and judging")
        context = self.context
        own, data_dir, as_of = context.own_clv, context.workspace_dir / "data", self.moments.spending
        check_own_clv(context)
        if context.catalog.clv.contract is None:
            fitted = fit_clv(data_dir, context.catalog, context.door, as_of, seed=context.seed, own=own)
        else:
            fitted = fit_contracts(data_dir, context.catalog, context.door, as_of, seed=context.seed)
        if isinstance(fitted, str):
            self.warnings.append(f"clv is not trained: {fitted}")
            return []
        notes = [f"clv: {note}" for note in fitted.notes]
        self.warnings.extend(notes)
        facts = {
            "as_of": str(self.moments.spending),
            "method": fitted.bundle.method,
            **fitted.facts,
            **({} if own is None else {"estimator": own.words}),
            "contacts": fitted.bundle.evidence,
            "horizon_days": context.catalog.horizon_days,
            "test_window_days": fitted.window_days,
            "margin": context.catalog.clv.margin,
            "annual_discount_rate": context.catalog.clv.annual_discount_rate,
        }
        metrics = {**clv_metrics(fitted), **clv_intervals(fitted, seed=context.seed)}
        groups = clv_by_group(
            fitted.bundle, fitted.features, self.moments.spending, context.door.contract.dtypes, context.settings.sensitive
        )
        judged = Judged("clv", fitted.bundle, self.moments.spending, fitted.features, facts, metrics, clv_plots(fitted), notes)
        judged = judged if own is None else replace(judged, method=OWN_CLV_METHOD)
        return [replace(judged, fairness=groups)]

    # --- leads ----------------------------------------------------------------------------------------------------------------------

    def _lead(self) -> list[Judged]:
        self.tell("lead: fitting and judging")
        context, as_of = self.context, self.moments.interactions
        rows = read_lead_rows(context.workspace_dir / "data", context.catalog, context.door, context.ledger, as_of)
        if isinstance(rows, str):
            self.warnings.append(f"lead is not trained: {rows}")
            return []
        fitted = fit_lead(rows, context.door, seed=context.seed)
        facts = {"as_of": str(as_of), **lead_definition(context.catalog), **fitted.facts}
        return [Judged("lead", fitted.bundle, as_of, rows.features, facts, fitted.metrics, moments=rows.moment)]


def _model(name: ModelName, fit: Callable[[_Training], list[Judged]]) -> _Stage:
    """The stage of one model, timed."""

    def stage(training: _Training) -> _Fitted:
        began = time.monotonic()
        found = fit(training)
        return _Fitted({name: found[0]} if found else {}, {name: time.monotonic() - began}, training.warnings)

    return stage


def check_own_clv(context: TrainingContext) -> None:
    """Refuse a regressor of money where contracts say what contacts will pay.

    Raises
    ------
    ConfigError
        `models.clv` and the catalogue's `clv.contract` are both set.
    """
    if context.own_clv is not None and context.catalog.clv.contract is not None:
        raise ConfigError(
            "has no place beside the catalogue's clv.contract, under which survival says what contacts will pay",
            field="models.clv",
            got=context.own_clv.words,
            allowed="either models.clv or clv.contract",
        )


def check_sensitive(context: TrainingContext) -> None:
    """Refuse sensitive columns that are not features.

    Raises
    ------
    ConfigError
        With the nearest feature's name.
    """
    known = [spec.name for spec in context.door.contract.specs]
    feature_of = {spec.source: spec.name for spec in context.door.contract.specs}
    for name in context.settings.sensitive:
        if name not in known:
            renamed = feature_of.get(f"contacts.{name}")
            raise ConfigError(
                "is not a feature of this workspace",
                field="training.sensitive",
                got=name,
                allowed="a feature, such as a column of contacts",
                hint=nearest(name, known) if renamed is None else f"as a feature that column is called '{renamed}'",
            )
