"""The search for better settings of the response models' trees, within the minutes that the workspace grants."""

from __future__ import annotations

import time

import numpy as np

from decisioning.catalog import Catalog
from estimators.folds import FEWEST_OF_A_CLASS, forward_folds, shuffled_folds
from estimators.propensity import forward_share
from estimators.trees import RESPONSE, BinnedRows, TreeSettings, response_bins
from estimators.tuning import tuned_settings
from estimators.validation import check_weights
from training.labelled_rows import labelled_rows
from training.labels import days_of
from training.prepared import Prepared

FOLDS = 3
FEWEST_EVENTS = 10 * FEWEST_OF_A_CLASS
"""With fewer rows of either class a search finds noise."""


def searched_settings(prepared: Prepared, catalog: Catalog, *, minutes: float, seed: int) -> TreeSettings:
    """The settings found on the action with the most rows of its rarer class, for all heads; the defaults where no search is granted.

    Parameters
    ----------
    minutes : float
        0 keeps the defaults, and keeps training reproducible.
    """
    if minutes <= 0:
        return RESPONSE
    ends = time.monotonic() + 60.0 * minutes
    best, events = np.empty(0, dtype=np.int64), 0
    y_best, window = np.empty(0), 0.0
    for action in catalog.actions:
        if action.goal is None:
            continue
        rows = labelled_rows(prepared, action)
        y = prepared.data.labels.happened[action.goal][rows]
        found = int(min(y.sum(), len(y) - y.sum()))
        if found > events:
            best, events, y_best, window = rows, found, y, catalog.outcomes[action.goal].window_days
    if events < FEWEST_EVENTS:
        return RESPONSE
    logged = prepared.data.rows.take(best)
    days = days_of(logged)
    folds = [] if days is None else forward_folds(days, y_best, cv=FOLDS, share=forward_share(events), gap=window)
    folds = folds or shuffled_folds(y_best, cv=FOLDS, random_state=seed, groups=logged.contact_id)
    binned = BinnedRows(
        prepared.encoded.trees[best],
        categorical=prepared.encoder.categorical_indices,
        n_jobs=1,
        random_state=seed,
        max_bin=response_bins(len(best)),
    )
    truth = (y_best, check_weights(logged.sample_weight, len(best)))
    return tuned_settings(binned, truth, folds, RESPONSE, expired=lambda: time.monotonic() > ends, random_state=seed)
