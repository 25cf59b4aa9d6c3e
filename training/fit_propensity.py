"""Responses, opt-outs and observed values per action -> the served PropensityBundle."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

import numpy as np

from decisioning.catalog import Catalog
from decisioning.vocabulary import FloatArray, IntArray
from estimators.bundle import Arm, OptOutHead, PropensityBundle
from estimators.heads import ValueHead
from estimators.parallel import fit_each
from estimators.propensity import ResponseModel
from estimators.shrinkage import log_odds_offsets, shrink_offsets
from estimators.trees import RESPONSE, TreeSettings
from estimators.value import ValueModel
from training.drift import DriftReport, drift_report, without
from training.labelled_rows import labelled_rows, touched_rows
from training.labels import days_of
from training.prepared import Prepared
from training.tree_settings import searched_settings

OBSERVED = "observed"
WORKERS = 2
SERVED_CV, TESTED_CV = 3, 2
"""Folds inside a model that is served, and inside one that is only judged."""

_OPT_OUT = ""  # no action has an empty id


@dataclass(frozen=True, eq=False)
class LearnedPropensity:
    """The bundle, what drifts among its features, and the settings of its trees.

    Attributes
    ----------
    drift : DriftReport or None
        None in a one-shot experiment.
    """

    bundle: PropensityBundle
    drift: DriftReport | None
    settings: TreeSettings

    @property
    def warnings(self) -> list[str]:
        """What a person should know, beside the figures."""
        shifted = [f"{action_id} ({head.shift:+.2f})" for action_id, head in self.bundle.heads.items() if head.shift]
        level = (
            [f"the level of responses moves in time; served log odds are shifted to the newest: {', '.join(shifted)}"] if shifted else []
        )
        return [*(self.drift.warnings if self.drift is not None else []), *level]

    @property
    def metrics(self) -> dict[str, float]:
        """Figures of the drift and the shifts by name."""
        shifts = {f"shift.{action_id}": head.shift for action_id, head in self.bundle.heads.items() if head.shift}
        return {**(self.drift.metrics if self.drift is not None else {}), **shifts}


def learn_propensity(
    prepared: Prepared,
    catalog: Catalog,
    *,
    seed: int,
    cv: int = SERVED_CV,
    settings: TreeSettings | None = None,
    tuning_minutes: float = 0.0,
) -> LearnedPropensity:
    """`fit_propensity` without the features that later rows are predicted better without, and the report that says so.

    Parameters
    ----------
    settings : TreeSettings, optional
        Known already; without them they are searched for.
    tuning_minutes : float
        How long; 0 keeps the defaults.
    """
    if settings is None:
        settings = searched_settings(prepared, catalog, minutes=tuning_minutes, seed=seed)
    drift = drift_report(prepared, catalog, seed=seed)
    kept = prepared if drift is None else without(prepared, drift.dropped)
    drifting = () if drift is None else drift.drifting
    bundle = fit_propensity(kept, catalog, seed=seed, cv=cv, settings=settings, drifting=drifting)
    return LearnedPropensity(bundle, drift, settings)


def fit_propensity(
    prepared: Prepared,
    catalog: Catalog,
    *,
    seed: int,
    cv: int = SERVED_CV,
    settings: TreeSettings = RESPONSE,
    drifting: Collection[str] = (),
) -> PropensityBundle:
    """One response head for each action with a goal and logged rows, one opt-out head, one value head for each observed value.

    Channels move the log odds of a response and of an opt-out by an offset, drawn towards none where the rows are few.

    Parameters
    ----------
    prepared : Prepared
    catalog : Catalog
    seed : int
    cv : int
        Folds by which a head chooses its blend and its calibration.
    settings : TreeSettings
        Scaled to the rows of each head.
    drifting : collection of str
        Features that move in time; linear models trust them by half unless later rows surely say more.
    """
    labels = {action.id: prepared.data.labels.happened[action.goal] for action in catalog.actions if action.goal is not None}
    rows = {action.id: labelled_rows(prepared, action) for action in catalog.actions}
    labels[_OPT_OUT], rows[_OPT_OUT] = prepared.data.opted_out, touched_rows(prepared)
    wanted = [key for key, of_key in rows.items() if len(of_key) and (key != _OPT_OUT or labels[key][of_key].any())]
    columns = prepared.encoder.linear_features
    how = _Fit(settings, cv, seed, tuple(place for place, name in enumerate(columns) if name in drifting))
    # The largest first: the others fit beside it.
    wanted.sort(key=lambda key: -len(rows[key]))
    jobs: dict[str, Callable[[], ResponseModel]] = {
        key: partial(_fit, prepared, rows[key], labels[key][rows[key]], _gap(catalog, key), how) for key in wanted
    }
    models = fit_each(jobs, workers=WORKERS)
    offsets = {key: _channel_offsets(prepared, rows[key], labels[key][rows[key]], model) for key, model in models.items()}
    by_arm: dict[Arm, tuple[float, float]] = {
        (action.id, channel): offset for action in catalog.actions for channel, offset in offsets.get(action.id, {}).items()
    }
    opt_out = models.get(_OPT_OUT)
    return PropensityBundle(
        contract_hash=prepared.contract_hash,
        encoder=prepared.encoder,
        heads={action.id: models[action.id].head_ for action in catalog.actions if action.id in models},
        channel_offsets=shrink_offsets(by_arm),
        opt_out=None if opt_out is None else OptOutHead(opt_out.head_, shrink_offsets(offsets[_OPT_OUT])),
        values=_fit_values(prepared, catalog, seed),
    )


@dataclass(frozen=True)
class _Fit:
    """How every head is fitted."""

    settings: TreeSettings
    cv: int
    seed: int
    drifting: tuple[int, ...]


def _fit(prepared: Prepared, rows: IntArray, y: FloatArray, gap: float, how: _Fit) -> ResponseModel:
    logged = prepared.data.rows.take(rows)
    days = days_of(logged)
    model = ResponseModel(
        categorical=prepared.encoder.categorical_indices,
        settings=how.settings,
        cv=how.cv,
        gap=gap,
        drifting=how.drifting,
        random_state=how.seed,
    )
    return model.fit(
        prepared.encoded.trees[rows],
        y,
        logged.sample_weight,
        X_linear=prepared.encoded.linear[rows],
        time=days,
        groups=logged.contact_id if len(set(logged.contact_id)) < len(rows) else None,
    )


def _gap(catalog: Catalog, key: str) -> float:
    """Days until a label is known: the window of the action's goal, or of the slowest opt-out."""
    goals = {action.id: action.goal for action in catalog.actions}
    names = [name for name, one in catalog.outcomes.items() if (one.kind == "opt_out" if key == _OPT_OUT else name == goals.get(key))]
    return max((catalog.outcomes[name].window_days for name in names), default=0.0)


def _channel_offsets(prepared: Prepared, rows: IntArray, y: FloatArray, model: ResponseModel) -> dict[str, tuple[float, float]]:
    logged = prepared.data.rows
    weight = logged.sample_weight[rows]
    return log_odds_offsets(y, model.oof_probability_, logged.channel[rows].tolist(), weight / weight.mean())


def _fit_values(prepared: Prepared, catalog: Catalog, seed: int) -> dict[str, ValueHead]:
    """Money of a response for each action whose value is observed; few responses are drawn towards the mean of the goal."""
    heads: dict[str, ValueHead] = {}
    for action in catalog.actions:
        if action.value != OBSERVED or action.goal is None:
            continue
        money = prepared.data.labels.value[action.goal]
        brought = np.isfinite(money)
        if not brought.any():
            continue
        rows = np.flatnonzero(brought & prepared.of_action(action.id))
        weight = prepared.data.rows.sample_weight
        over_actions = (
            ValueModel(fewest_for_model=len(money) + 1, random_state=seed).fit(np.empty((len(money), 0)), money, weight).head_.mean
        )
        model = ValueModel(prior_mean=over_actions, random_state=seed)
        heads[action.id] = model.fit(prepared.encoded.linear[rows], money[rows], weight[rows]).head_
    return heads
