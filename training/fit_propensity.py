"""Responses, opt-outs and observed values per action -> the served PropensityBundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from decisioning.catalog import Catalog
from decisioning.errors import ConfigError
from decisioning.vocabulary import FloatArray, IntArray
from estimators.bundle import Arm, OptOutHead, PropensityBundle
from estimators.encoding import Encoded
from estimators.heads import ValueHead
from estimators.own_response import OwnResponseModel
from estimators.own_score import OwnScore
from estimators.parallel import fit_each
from estimators.propensity import ResponseModel
from estimators.response_members import Settled
from estimators.shrinkage import log_odds_offsets, shrink_offsets
from estimators.trees import RESPONSE, TreeSettings
from estimators.value import ValueModel
from training.drift import DriftReport, drift_report, without
from training.labelled_rows import labelled_rows, touched_rows
from training.labels import days_of
from training.own_models import OwnEstimator, refuse_untrusted
from training.pooled_responses import Fitted, goals_with_rows, pooled_heads, some_of_each
from training.prepared import MANY_ROWS, Prepared
from training.tree_settings import searched_settings

OBSERVED = "observed"
WORKERS = 2
SERVED_CV, TESTED_CV = 3, 2
"""Folds inside a model that is served, and inside one that is only judged."""

MANY_ALONE, MANY_OF_MANY = 50_000, 10_000
"""More rows of a head are learned from once; fewer are many where the whole log is long: there are many heads then."""

CHANNEL_ROWS = 20_000
"""From so many rows of a channel its offset is learned, beside those that were held out."""

NAMED = 5
"""More actions than so many are not named one by one in a warning."""

_OPT_OUT = ""  # no action has an empty id


@dataclass(frozen=True, eq=False)
class LearnedPropensity:
    """The bundle, what drifts among its features, and the settings of its trees.

    Attributes
    ----------
    drift : DriftReport or None
        None in a one-shot experiment.
    settled : mapping of head to Settled
        The penalty of each head.
    sharing : mapping of goal to tuple of str
        The actions that do no better by a model of their own responses than by one of all, which they share.
    valueless : tuple of str
        The actions whose value is observed and whose responses brought no money.
    """

    bundle: PropensityBundle
    drift: DriftReport | None
    settings: TreeSettings
    settled: Mapping[str, Settled] = field(default_factory=dict)
    sharing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    valueless: tuple[str, ...] = ()

    @property
    def warnings(self) -> list[str]:
        """What a person should know, beside the figures."""
        shifted = [f"{action_id} ({head.shift:+.2f})" for action_id, head in self.bundle.heads.items() if head.shift]
        level = (
            [f"the level of responses moves in time; served log odds are shifted to the newest: {', '.join(shifted)}"] if shifted else []
        )
        sharing = [
            f"too few responses for models of their own: {_named(actions)} are served by one of all actions of {goal}, each at its level"
            for goal, actions in self.sharing.items()
        ]
        unknown = (
            [
                f"the value of {_named(self.valueless)} is `observed`, and no outcome of theirs brought money: what a response is worth is "
                "not known, so they are not proposed; give outcomes their `value`, or the actions a number"
            ]
            if self.valueless
            else []
        )
        return [*(self.drift.warnings if self.drift is not None else []), *level, *sharing, *unknown]

    @property
    def metrics(self) -> dict[str, float]:
        """Figures of the drift and the shifts by name."""
        shifts = {f"shift.{action_id}": head.shift for action_id, head in self.bundle.heads.items() if head.shift}
        return {**(self.drift.metrics if self.drift is not None else {}), **shifts}


@dataclass(frozen=True)
class PropensityTerms:
    """What the workspace wants of the fit.

    Parameters
    ----------
    tuning_minutes : float
        How long better settings of the trees are searched for; 0 keeps the defaults.
    own : OwnEstimator, optional
        The user's own classifier of responses.
    """

    tuning_minutes: float = 0.0
    own: OwnEstimator | None = None


def learn_propensity(
    prepared: Prepared,
    catalog: Catalog,
    *,
    seed: int,
    cv: int = SERVED_CV,
    terms: PropensityTerms | None = None,
    after: LearnedPropensity | None = None,
) -> LearnedPropensity:
    """`fit_heads` without the features that later rows are predicted better without, and the report that says so.

    Parameters
    ----------
    terms : PropensityTerms, optional
    after : LearnedPropensity, optional
        Learned on the earlier of these rows and judged on the later ones: its settings, features and penalties are what was judged, so they
        are taken over; numbers of trees, blends, calibrators and levels are chosen again, since more and newer rows speak of them.
    """
    terms = terms or PropensityTerms()
    settings = searched_settings(prepared, catalog, minutes=terms.tuning_minutes, seed=seed) if after is None else after.settings
    drift = drift_report(prepared, catalog, seed=seed, judged=None if after is None else after.drift)
    drifting = () if drift is None else drift.drifting
    columns = prepared.encoder.linear_features
    places = tuple(place for place, name in enumerate(columns) if name in drifting)
    dropped = () if drift is None else drift.dropped
    how = HeadFit(settings, cv, seed, places, {} if after is None else after.settled, terms.own, dropped)
    heads = fit_heads(prepared, catalog, how)
    valueless = tuple(action.id for action in catalog.actions if action.value == OBSERVED and action.id not in heads.bundle.values)
    return LearnedPropensity(heads.bundle, drift, settings, heads.settled, heads.sharing, valueless)


@dataclass(frozen=True)
class HeadFit:
    """How every head is fitted.

    Parameters
    ----------
    settings : TreeSettings
        Scaled to the rows of each head.
    cv : int
        Folds by which a head chooses its blend and its calibration.
    seed : int
    drifting : tuple of int
        Columns of the linear matrix that move in time; linear models trust them by half unless later rows surely say more.
    settled : mapping of head to Settled
        What is not chosen again.
    own : OwnEstimator, optional
        Predicts responses in the place of our models; opt-outs stay theirs.
    dropped : tuple of str
        Features that no model reads.
    """

    settings: TreeSettings = RESPONSE
    cv: int = SERVED_CV
    seed: int = 0
    drifting: tuple[int, ...] = ()
    settled: Mapping[str, Settled] = field(default_factory=dict)
    own: OwnEstimator | None = None
    dropped: tuple[str, ...] = ()

    def seen(self, prepared: Prepared, rows: IntArray) -> Encoded:
        """Some rows as the models read them; made where it is needed, so that never all rows are copied without a few features."""
        return without(prepared.encoder, prepared.encoded, rows, self.dropped)


@dataclass(frozen=True, eq=False)
class FittedHeads:
    """The bundle, by head (opt-outs under the empty id) what it settled, and by goal the actions that share a model."""

    bundle: PropensityBundle
    settled: dict[str, Settled]
    sharing: dict[str, tuple[str, ...]]


def fit_heads(prepared: Prepared, catalog: Catalog, how: HeadFit) -> FittedHeads:
    """One response head for each action with a goal and logged rows, one opt-out head, one value head for each observed value.

    Levels of responses are pooled over the actions of a goal, and those with too few responses share a model (`pooled_heads`). Channels
    move the log odds of a response and of an opt-out by an offset, drawn towards none where the rows are few.
    """
    labels = {action.id: prepared.data.labels.happened[action.goal] for action in catalog.actions if action.goal is not None}
    rows = {action.id: labelled_rows(prepared, action) for action in catalog.actions}
    goals = [of_goal for of_goal in goals_with_rows(catalog, labels, rows) if of_goal.is_pooled]
    for of_goal in goals:
        if of_goal.wants_model:
            labels[_of_all(of_goal.goal)], rows[_of_all(of_goal.goal)] = of_goal.happened, of_goal.rows
    labels[_OPT_OUT], rows[_OPT_OUT] = prepared.data.opted_out, touched_rows(prepared)
    models = _fit_all(prepared, catalog, labels, rows, how)
    offsets = {key: _channel_offsets(prepared, rows[key], labels[key][rows[key]], model, how) for key, model in models.items()}
    heads = {action.id: models[action.id].head_ for action in catalog.actions if action.id in models}
    sharing: dict[str, tuple[str, ...]] = {}
    of_shared: dict[Arm, float] = {}
    for of_goal in goals:
        shared = models.get(_of_all(of_goal.goal))
        pooled = pooled_heads(prepared, of_goal, models, shared, partial(how.seen, prepared))
        heads |= pooled.heads
        of_shared |= pooled.offsets
        if pooled.sharing:
            sharing[of_goal.goal] = pooled.sharing
    own = set(heads).difference(*sharing.values())
    by_arm: dict[Arm, tuple[float, float]] = {
        (action.id, channel): offset for action in catalog.actions if action.id in own for channel, offset in offsets[action.id].items()
    }
    opt_out = models.get(_OPT_OUT)
    bundle = PropensityBundle(
        contract_hash=prepared.contract_hash,
        encoder=prepared.encoder,
        heads=heads,
        channel_offsets={**shrink_offsets(by_arm), **of_shared},
        opt_out=None if opt_out is None else OptOutHead(opt_out.head_, shrink_offsets(offsets[_OPT_OUT])),
        values=_fit_values(prepared, catalog, how),
    )
    settled = {key: model.settled_ for key, model in models.items() if isinstance(model, ResponseModel) and model.settled_ is not None}
    return FittedHeads(bundle, settled, sharing)


def _of_all(goal: str) -> str:
    """The key of the model of all actions of a goal; no action's id begins so."""
    return f"{_OPT_OUT}\n{goal}"


def _fit_all(
    prepared: Prepared, catalog: Catalog, labels: Mapping[str, FloatArray], rows: Mapping[str, IntArray], how: HeadFit
) -> dict[str, Fitted]:
    """A model for each key with rows; of opt-outs only where there was one."""
    wanted = [key for key, of_key in rows.items() if len(of_key) and (key != _OPT_OUT or labels[key][of_key].any())]
    # The largest first: the others fit beside it.
    wanted.sort(key=lambda key: -len(rows[key]))
    jobs: dict[str, Callable[[], Fitted]] = {
        key: partial(_fit, prepared, rows[key], labels[key][rows[key]], how, gap=_gap(catalog, key), settled=how.settled.get(key))
        if how.own is None or key == _OPT_OUT
        else partial(_fit_own, prepared, rows[key], labels[key][rows[key]], how, how.own, gap=_gap(catalog, key))
        for key in wanted
    }
    return fit_each(jobs, workers=WORKERS)


def _fit(prepared: Prepared, rows: IntArray, y: FloatArray, how: HeadFit, *, gap: float, settled: Settled | None) -> ResponseModel:
    logged = prepared.data.rows.take(rows)
    model = ResponseModel(
        categorical=prepared.encoder.categorical_indices,
        settings=how.settings,
        cv=how.cv,
        gap=gap,
        drifting=how.drifting,
        random_state=how.seed,
        many_rows=MANY_OF_MANY if len(prepared) > MANY_ROWS else MANY_ALONE,
        settled=settled,
    )
    return model.fit_taken(
        lambda some: how.seen(prepared, rows[some]),
        y,
        logged.sample_weight,
        time=days_of(logged),
        groups=logged.contact_id if len(set(logged.contact_id)) < len(rows) else None,
    )


def _fit_own(prepared: Prepared, rows: IntArray, y: FloatArray, how: HeadFit, own: OwnEstimator, *, gap: float) -> OwnResponseModel:
    logged = prepared.data.rows.take(rows)
    groups = logged.contact_id if len(set(logged.contact_id)) < len(rows) else None
    model = OwnResponseModel(own.estimator, cv=how.cv, gap=gap, random_state=how.seed)
    try:
        model.fit(how.seen(prepared, rows).linear, y, logged.sample_weight, time=days_of(logged), groups=groups)
    except Exception as error:
        raise ConfigError(
            "the estimator cannot be fitted", field="models.propensity", got=f"{own.words}: {type(error).__name__}: {error}"
        ) from error
    refuse_untrusted([model.head_.linear.estimator] if isinstance(model.head_.linear, OwnScore) else [], own, "models.propensity")
    return model


def _gap(catalog: Catalog, key: str) -> float:
    """Days until a label is known: the window of the action's goal, or of the slowest opt-out."""
    goals = {key: action.goal for action in catalog.actions if action.goal is not None for key in (action.id, _of_all(action.goal))}
    names = [name for name, one in catalog.outcomes.items() if (one.kind == "opt_out" if key == _OPT_OUT else name == goals.get(key))]
    return max((catalog.outcomes[name].window_days for name in names), default=0.0)


def _channel_offsets(prepared: Prepared, rows: IntArray, y: FloatArray, model: Fitted, how: HeadFit) -> dict[str, tuple[float, float]]:
    """Of many rows few are held out, and of a rare channel perhaps none: what the served members say of those they know is near enough."""
    channel, p, weight = prepared.data.rows.channel[rows], model.oof_probability_.copy(), model.oof_weight_
    if isinstance(model, ResponseModel) and model.plain_head_ is not None:
        more = some_of_each(channel, np.isnan(p) & (weight > 0), CHANNEL_ROWS)
        p[more] = model.plain_head_.probability(how.seen(prepared, rows[more]))
    said = np.isfinite(p)
    return log_odds_offsets(y[said], p[said], channel[said].tolist(), weight[said])


def _named(actions: Sequence[str]) -> str:
    return ", ".join(actions[:NAMED]) + (f" and {len(actions) - NAMED} more" if len(actions) > NAMED else "")


def _fit_values(prepared: Prepared, catalog: Catalog, how: HeadFit) -> dict[str, ValueHead]:
    """Money of a response for each action whose value is observed; few responses are drawn towards the mean of the goal."""
    heads: dict[str, ValueHead] = {}
    of_goal: dict[str, float] = {}
    for action in catalog.actions:
        if action.value != OBSERVED or action.goal is None:
            continue
        money = prepared.data.labels.value[action.goal]
        brought = np.isfinite(money)
        if not brought.any():
            continue
        rows = np.flatnonzero(brought & prepared.of_action(action.id))
        weight = prepared.data.rows.sample_weight
        if action.goal not in of_goal:
            every = ValueModel(fewest_for_model=len(money) + 1, random_state=how.seed)
            of_goal[action.goal] = every.fit(np.empty((len(money), 0)), money, weight).head_.mean
        model = ValueModel(prior_mean=of_goal[action.goal], random_state=how.seed)
        heads[action.id] = model.fit(how.seen(prepared, rows).linear, money[rows], weight[rows]).head_
    return heads
