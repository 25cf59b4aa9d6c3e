"""Responses, opt-outs and observed values per action -> the served PropensityBundle."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from decisioning.catalog import Action, Catalog
from decisioning.vocabulary import FloatArray, IntArray
from estimators.bundle import Arm, OptOutHead, PropensityBundle
from estimators.heads import ValueHead
from estimators.parallel import fit_each
from estimators.propensity import ResponseModel
from estimators.shrinkage import log_odds_offsets, shrink_offsets
from estimators.value import ValueModel
from training.prepared import Prepared

OBSERVED = "observed"
WORKERS = 2
SERVED_CV, TESTED_CV = 4, 3
"""Folds inside a model that is served, and inside one that is only judged."""

_OPT_OUT = ""  # no action has an empty id


def fit_propensity(prepared: Prepared, catalog: Catalog, *, seed: int, cv: int = SERVED_CV) -> PropensityBundle:
    """One response head for each action with a goal and logged rows, one opt-out head, one value head for each observed value.

    Channels move the log odds of a response and of an opt-out by an offset, drawn towards none where the rows are few.

    Parameters
    ----------
    prepared : Prepared
    catalog : Catalog
    seed : int
    cv : int
        Folds by which a head chooses its blend and its calibration.
    """
    labels = {action.id: prepared.data.labels.happened[action.goal] for action in catalog.actions if action.goal is not None}
    rows = {action.id: labelled_rows(prepared, action) for action in catalog.actions}
    labels[_OPT_OUT], rows[_OPT_OUT] = prepared.data.opted_out, touched_rows(prepared)
    wanted = [key for key, of_key in rows.items() if len(of_key) and (key != _OPT_OUT or labels[key][of_key].any())]
    # The largest first: the others fit beside it.
    wanted.sort(key=lambda key: -len(rows[key]))
    jobs: dict[str, Callable[[], ResponseModel]] = {
        key: partial(_fit, prepared, rows[key], labels[key][rows[key]], seed, cv) for key in wanted
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


def labelled_rows(prepared: Prepared, action: Action) -> IntArray:
    """The rows of an action whose goal's label is known."""
    if action.goal is None:
        return np.empty(0, dtype=np.int64)
    known = ~np.isnan(prepared.data.labels.happened[action.goal])
    return np.flatnonzero(prepared.of_action(action.id) & known)


def touched_rows(prepared: Prepared) -> IntArray:
    """The rows of any action whose opt-out label is known."""
    return np.flatnonzero(~prepared.controls & ~np.isnan(prepared.data.opted_out))


def _fit(prepared: Prepared, rows: IntArray, y: FloatArray, seed: int, cv: int) -> ResponseModel:
    model = ResponseModel(categorical=prepared.encoder.categorical_indices, cv=cv, n_jobs=1, random_state=seed)
    return model.fit(prepared.encoded.trees[rows], y, X_linear=prepared.encoded.linear[rows])


def _channel_offsets(prepared: Prepared, rows: IntArray, y: FloatArray, model: ResponseModel) -> dict[str, tuple[float, float]]:
    return log_odds_offsets(y, model.oof_probability_, prepared.data.rows.channel[rows].tolist())


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
        model = ValueModel(prior_mean=float(money[brought].mean()), random_state=seed)
        heads[action.id] = model.fit(prepared.encoded.linear[rows], money[rows]).head_
    return heads
