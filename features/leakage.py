"""Suspicious leakage: an attribute that predicts an outcome almost perfectly was most likely written down after the outcome.

A model that may use it looks brilliant in training and knows nothing on the day of the decision.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from decisioning.vocabulary import FloatArray
from features.sources import quoted
from features.tables import TABLES

SUSPICIOUS_AUC = 0.97
"""From here on one attribute alone ranks those with the outcome above those without almost without a mistake."""

MAX_POSITIVES, MAX_NEGATIVES = 5_000, 10_000
"""Contacts sampled an outcome. The AUC does not depend on the share of positives, so the rare side is not thinned out."""

MIN_OF_EACH = 20
_BINS = 20


@dataclass(frozen=True)
class Leak:
    """An attribute that predicts an outcome too well: `auc` is the area under the ROC curve of that attribute alone."""

    column: str
    outcome: str
    auc: float


def find_leaks(connection: duckdb.DuckDBPyConnection, tables: Collection[str], constant: Collection[str]) -> Iterator[Leak]:
    """Attributes of contacts, each tested alone against every outcome.

    Parameters
    ----------
    tables : collection of str
        The contract tables that are there, as views of the same name.
    constant : collection of str
        Attributes that say the same in every row, which need no test.
    """
    if not {"contacts", "outcomes"} <= set(tables):
        return
    types = {row[0]: row[1] for row in connection.execute("DESCRIBE contacts").fetchall()}
    attributes = [name for name in types if name not in TABLES["contacts"].names and name not in constant]
    newest = "QUALIFY row_number() OVER (PARTITION BY contact_id ORDER BY valid_from DESC NULLS LAST) = 1" if "valid_from" in types else ""
    outcomes = connection.execute("SELECT DISTINCT outcome FROM outcomes WHERE contact_id IS NOT NULL ORDER BY outcome").fetchall()
    for (outcome,) in outcomes if attributes else []:
        scope = "interactions" if "interactions" in tables else "contacts"
        connection.execute(_sample_sql(scope), [outcome])
        listed = ", ".join(f"c.{quoted(name)}" for name in attributes)
        query = f"SELECT happened, {listed} FROM contacts c JOIN audit_sample USING (contact_id) {newest} ORDER BY hash(contact_id)"
        sample = connection.sql(query).to_arrow_table()
        happened = sample.column(0).to_numpy().astype(bool)
        if min(happened.sum(), (~happened).sum()) < MIN_OF_EACH:
            continue
        for place, name in enumerate(attributes, start=1):
            auc = single_feature_auc(_values(sample.column(place), types[name]), happened)
            if auc >= SUSPICIOUS_AUC:
                yield Leak(name, outcome, auc)


def _sample_sql(scope: str) -> str:
    """Contacts with the outcome, and contacts in scope without it; chosen by hash, so that the audit says the same every time."""
    with_outcome = "SELECT DISTINCT contact_id FROM outcomes WHERE outcome = $1 AND contact_id IN (SELECT contact_id FROM contacts)"
    without = f"SELECT DISTINCT contact_id FROM {scope} WHERE contact_id NOT IN (SELECT contact_id FROM positives)"
    return (
        f"CREATE OR REPLACE TEMP TABLE audit_sample AS WITH positives AS ({with_outcome}) "
        f"(SELECT contact_id, true AS happened FROM positives ORDER BY hash(contact_id) LIMIT {MAX_POSITIVES}) UNION ALL "
        f"(SELECT contact_id, false FROM ({without}) ORDER BY hash(contact_id) LIMIT {MAX_NEGATIVES})"
    )


def _values(column: Any, duckdb_type: str) -> npt.NDArray[Any]:
    """Numbers and times as float64 with NaN, text as objects with None."""
    if duckdb_type == "VARCHAR":
        return np.asarray(column.to_pylist(), dtype=object)
    if duckdb_type in ("DATE", "TIMESTAMP"):
        column = column.cast("timestamp[us]").cast("int64")
    # unsafe: integers beyond 2^53 lose their last digits, which no leak hides in
    return np.asarray(column.cast("float64", safe=False).to_numpy(), dtype=np.float64)


def single_feature_auc(values: npt.NDArray[Any], happened: npt.NDArray[np.bool_]) -> float:
    """Area under the ROC curve of one attribute as the only predictor, at least 0.5.

    The best of the ways in which an attribute can give an outcome away: by its order (NULLs first or last, rising or falling), or by its
    levels or bins (the share with the outcome in the other half of the rows, so that many levels do not fit themselves).

    Parameters
    ----------
    values : ndarray, shape (n,)
        float64 with NaN for NULL, or objects with None for NULL.
    happened : ndarray of bool, shape (n,)
        At least one of each.

    Examples
    --------
    >>> happened = np.arange(400) % 4 == 0
    >>> single_feature_auc(np.where(happened, "won", "open").astype(object), happened)
    1.0
    >>> single_feature_auc(np.where(happened, np.nan, 3.0), happened)  # being NULL gives it away
    1.0
    """
    from sklearn.metrics import roc_auc_score

    if values.dtype == object:
        scores = [_cross_fitted_share(_codes(values), happened)]
    else:
        gap = 1.0 + float(np.nanmax(np.abs(values), initial=0.0))
        scores = [np.nan_to_num(values, nan=-2 * gap), np.nan_to_num(values, nan=2 * gap), _cross_fitted_share(_bins(values), happened)]
    areas = [float(roc_auc_score(happened, score)) for score in scores]
    return max(max(area, 1.0 - area) for area in areas)


def _codes(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    levels: dict[Any, int] = {}
    return np.fromiter((levels.setdefault(value, len(levels)) for value in values), dtype=np.int64, count=values.size)


def _bins(values: FloatArray) -> npt.NDArray[np.int64]:
    """Quantile bins; NaN has its own."""
    filled = values[~np.isnan(values)]
    if not filled.size:
        return np.zeros(values.size, dtype=np.int64)
    edges = np.unique(np.quantile(filled, np.linspace(0, 1, _BINS + 1)))
    return np.where(np.isnan(values), edges.size + 1, np.searchsorted(edges, values, side="right"))


def _cross_fitted_share(codes: npt.NDArray[np.int64], happened: npt.NDArray[np.bool_]) -> FloatArray:
    """The share with the outcome among rows of the same code in the other half, drawn towards the whole share by one row."""
    share = np.zeros(codes.size)
    half = np.arange(codes.size) % 2
    for here in (0, 1):
        other, levels = half != here, int(codes.max()) + 1
        count = np.bincount(codes[other], minlength=levels)
        hits = np.bincount(codes[other], weights=happened[other].astype(float), minlength=levels)
        share[half == here] = ((hits + happened.mean()) / (count + 1.0))[codes[half == here]]
    return share
