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


def fit_propensity(prepared: Prepared, catalog: Catalog, *, seed: int) -> PropensityBundle:
    """One response head for each action with a goal and logged rows, one opt-out head, one value head for each observed value.

    Channels move the log odds of a response and of an opt-out by an offset, drawn towards none where the rows are few.
    """
    rows_of = {action.id: labelled_rows(prepared, action) for action in catalog.actions}
    labels = {action.id: prepared.data.labels.happened[action.goal] for action in catalog.actions if action.goal is not None}
    jobs: dict[str, Callable[[], ResponseModel]] = {
        action_id: partial(_fit, prepared, rows, labels[action_id][rows], seed) for action_id, rows in rows_of.items() if len(rows)
    }
    models = fit_each(jobs, workers=WORKERS)
    offsets: dict[Arm, tuple[float, float]] = {}
    for action_id, model in models.items():
        rows = rows_of[action_id]
        by_channel = log_odds_offsets(labels[action_id][rows], model.oof_probability_, prepared.data.rows.channel[rows].tolist())
        offsets |= {(action_id, channel): offset for channel, offset in by_channel.items()}
    return PropensityBundle(
        contract_hash=prepared.contract_hash,
        encoder=prepared.encoder,
        heads={action_id: model.head_ for action_id, model in models.items()},
        channel_offsets=shrink_offsets(offsets),
        opt_out=_fit_opt_out(prepared, seed),
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


def _fit(prepared: Prepared, rows: IntArray, y: FloatArray, seed: int, threads: int = 1) -> ResponseModel:
    model = ResponseModel(categorical=prepared.encoder.categorical_indices, n_jobs=threads, random_state=seed)
    return model.fit(prepared.encoded.trees[rows], y, X_linear=prepared.encoded.linear[rows])


def _fit_opt_out(prepared: Prepared, seed: int) -> OptOutHead | None:
    rows = touched_rows(prepared)
    y = prepared.data.opted_out[rows]
    if not y.any():
        return None
    model = _fit(prepared, rows, y, seed, threads=WORKERS)
    offsets = log_odds_offsets(y, model.oof_probability_, prepared.data.rows.channel[rows].tolist())
    return OptOutHead(model.head_, shrink_offsets(offsets))


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
