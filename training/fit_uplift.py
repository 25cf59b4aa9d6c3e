"""Each action against no_action -> the served UpliftBundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from decisioning.catalog import Action, Catalog
from decisioning.vocabulary import FloatArray, IntArray
from estimators.bundle import Arm, UpliftBundle
from estimators.heads import UpliftHead
from estimators.parallel import fit_each
from estimators.shrinkage import mean_offsets, shrink_offsets, shrink_to_pool
from estimators.uplift import DoublyRobustUplift
from training.eligible_rows import eligible_rows
from training.prepared import Prepared

WORKERS = 2
SERVED_CV = 4
"""Folds inside a model that is served."""
FEWEST_ROWS = 30
"""With fewer rows of either arm there is nothing to compare."""

NO_CONTROL = (
    "there are no `no_action` interactions, so what would have happened without contact is not known: uplift cannot be identified, "
    "and decisions rank by propensity"
)


@dataclass(frozen=True, eq=False)
class FittedUplift:
    """The bundle, the models behind it, and why an action has none.

    Attributes
    ----------
    models : mapping of action_id to DoublyRobustUplift
    pairs : mapping of action_id to int array
        The rows that each model was fitted on.
    refused : mapping of action_id to str
    """

    bundle: UpliftBundle
    models: dict[str, DoublyRobustUplift]
    pairs: dict[str, IntArray]
    refused: dict[str, str]


def fit_uplift(prepared: Prepared, catalog: Catalog, *, seed: int, cv: int = SERVED_CV) -> FittedUplift:
    """One doubly robust model for each action with eligible controls; thin actions' average effects are drawn to the mean over actions.

    Each row weighs 1 / selection_prob. A channel moves the uplift by an offset: the mean residual of its contacted rows, drawn towards 0.

    Parameters
    ----------
    prepared : Prepared
    catalog : Catalog
    seed : int
    cv : int
        Folds of the cross-fitting.
    """
    pairs: dict[str, IntArray] = {}
    refused: dict[str, str] = {}
    for action in catalog.actions:
        rows = uplift_pair(prepared, action)
        reason = _refusal(prepared, action, rows)
        if reason is None:
            pairs[action.id] = rows
        else:
            refused[action.id] = reason
    jobs: dict[str, Callable[[], DoublyRobustUplift]] = {
        action.id: partial(_fit, prepared, action, pairs[action.id], seed, cv)
        for action in sorted(catalog.actions, key=lambda action: -len(pairs.get(action.id, ())))
        if action.id in pairs
    }
    # The largest first: the others fit beside it.
    fitted = fit_each(jobs, workers=WORKERS)
    models = {action_id: fitted[action_id] for action_id in pairs}
    reason = None if prepared.controls.any() else NO_CONTROL
    bundle = UpliftBundle(
        contract_hash=prepared.contract_hash,
        encoder=prepared.encoder,
        heads=_pooled_heads(models),
        channel_offsets=shrink_offsets(_channel_effects(prepared, models, pairs)),
        average_effects=_average_effects(prepared, models, pairs),
        reason=reason,
    )
    return FittedUplift(bundle, models, pairs, refused)


def uplift_pair(prepared: Prepared, action: Action) -> IntArray:
    """The rows of an action and of no_action with a known label, among those whom the action is for."""
    if action.goal is None:
        return np.empty(0, dtype=np.int64)
    known = ~np.isnan(prepared.data.labels.happened[action.goal])
    pair = known & (prepared.of_action(action.id) | prepared.controls)
    return np.flatnonzero(pair & eligible_rows(action, prepared.dtypes, prepared.data.features, len(prepared)))


def _refusal(prepared: Prepared, action: Action, rows: IntArray) -> str | None:
    controls = int(prepared.controls[rows].sum())
    contacted = len(rows) - controls
    if action.goal is None:
        return "it has no goal"
    if contacted < FEWEST_ROWS:
        return f"{contacted} interactions with a known outcome; {FEWEST_ROWS} are needed"
    if controls < FEWEST_ROWS:
        return f"{controls} eligible no_action interactions to compare with; {FEWEST_ROWS} are needed"
    return None


def _fit(prepared: Prepared, action: Action, rows: IntArray, seed: int, cv: int) -> DoublyRobustUplift:
    model = DoublyRobustUplift(categorical=prepared.encoder.categorical_indices, cv=cv, n_jobs=1, random_state=seed)
    y = prepared.data.labels.happened[str(action.goal)][rows]
    exposed = prepared.of_action(action.id)[rows].astype(np.float64)
    weight = 1.0 / prepared.selection.prob[rows]
    return model.fit(prepared.encoded.trees[rows], prepared.encoded.linear[rows], y, exposed, assignment_weight=weight)


def _pooled_heads(models: dict[str, DoublyRobustUplift]) -> dict[str, UpliftHead]:
    effects, errors = ([getattr(model, name) for model in models.values()] for name in ("average_effect_", "average_effect_se_"))
    shrunk: FloatArray = shrink_to_pool(effects, errors) if models else np.empty(0)
    return {action_id: model.head_.with_average(float(effect)) for (action_id, model), effect in zip(models.items(), shrunk, strict=True)}


def _channel_effects(
    prepared: Prepared, models: dict[str, DoublyRobustUplift], pairs: dict[str, IntArray]
) -> dict[Arm, tuple[float, float]]:
    """How far the contacted rows of a channel lie from what the action's model expects of them, with standard errors."""
    found: dict[Arm, tuple[float, float]] = {}
    for action_id, model in models.items():
        rows = pairs[action_id]
        contacted = np.flatnonzero(prepared.of_action(action_id)[rows])
        channels = prepared.data.rows.channel[rows[contacted]].tolist()
        offsets = mean_offsets(model.oof_residuals_[contacted], model.weights_[contacted], channels)
        found |= {(action_id, channel): offset for channel, offset in offsets.items()}
    return found


def _average_effects(
    prepared: Prepared, models: dict[str, DoublyRobustUplift], pairs: dict[str, IntArray]
) -> dict[Arm, tuple[float, float]]:
    effects: dict[Arm, tuple[float, float]] = {
        (action_id, None): (model.average_effect_, model.average_effect_se_) for action_id, model in models.items()
    }
    for (action_id, channel), (offset, error) in _channel_effects(prepared, models, pairs).items():
        average = effects[action_id, None]
        effects[action_id, channel] = (average[0] + offset, float(np.hypot(average[1], error)))
    return effects
