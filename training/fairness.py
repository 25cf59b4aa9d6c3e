"""Models side by side for the groups of a sensitive feature: how many, what is predicted, what happened, who was contacted.

A difference between groups is a finding, not a verdict: it may lie in the business, in whom the log chose, or in the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from decisioning.catalog import Catalog
from decisioning.vocabulary import BoolArray, Columns, Dtype, FloatArray, IntArray
from estimators.bundle import ClvBundle, UpliftBundle
from training.evaluation import Scored
from training.labelled_rows import labelled_rows
from training.prepared import Prepared

FEWEST_ROWS = 50
"""Smaller groups are not reported: their figures are noise, and their members could be recognised."""

MOST_LEVELS = 12
BANDS = 4
NORMAL_95 = 1.96

RESPONSE_HEADER = ("group", "rows", "contacts", "predicted", "observed (95 %)", "contacted in the log (95 %)")
UPLIFT_HEADER = ("group", "rows", "contacts", "mean uplift (95 %)", "share with a positive uplift (95 %)")
CLV_HEADER = ("group", "contacts", "mean CLV (95 %)")


def propensity_by_group(scored: Scored, test: Prepared, catalog: Catalog, sensitive: Sequence[str]) -> dict[str, str]:
    """A markdown table for each sensitive feature: calibration on the labelled test rows, and the share of all test rows with a contact."""
    rows = {action.id: labelled_rows(test, action) for action in catalog.actions if action.id in scored.by_action}
    if not rows:
        return {}
    at = np.concatenate(list(rows.values()))
    y, p = (np.concatenate([scored.by_action[action][k] for action in rows]) for k in (0, 1))
    contact, contacted = test.data.rows.contact_id, (~test.controls).astype(np.float64)
    weight = test.data.rows.sample_weight
    tables = {}
    for name in sensitive:
        lines = []
        for group, mask in groups(test.data.features, name, test.dtypes):
            here = mask[at]
            if here.sum() >= FEWEST_ROWS:
                of_group = at[here]
                said, observed = np.average(p[here], weights=weight[of_group]), _mean(y[here], contact[of_group], weight[of_group])
                touched = _mean(contacted[mask], contact[mask], weight[mask])
                lines.append([group, f"{here.sum():,}", f"{_count(contact[of_group]):,}", f"{said:.4f}", observed, touched])
        tables[name] = _table(RESPONSE_HEADER, lines)
    return tables


def uplift_by_group(bundle: UpliftBundle, test: Prepared, sensitive: Sequence[str]) -> dict[str, str]:
    """A markdown table for each sensitive feature: the mean over actions of the predicted uplift, and who gains from any action."""
    if not sensitive or not bundle.heads or not len(test):
        return {}
    effects: FloatArray = np.column_stack([head.effect(test.encoded) for head in bundle.heads.values()])
    mean: FloatArray = np.asarray(effects.mean(axis=1))
    contact, weight = test.data.rows.contact_id, test.data.rows.sample_weight
    gains: FloatArray = np.asarray((effects > 0).any(axis=1), dtype=np.float64)
    tables = {}
    for name in sensitive:
        lines = []
        for group, mask in groups(test.data.features, name, test.dtypes):
            if mask.sum() >= FEWEST_ROWS:
                figures = [_mean(of_all[mask], contact[mask], weight[mask]) for of_all in (mean, gains)]
                lines.append([group, f"{mask.sum():,}", f"{_count(contact[mask]):,}", *figures])
        tables[name] = _table(UPLIFT_HEADER, lines)
    return tables


def clv_by_group(
    bundle: ClvBundle, columns: Columns, as_of: np.datetime64, dtypes: Mapping[str, Dtype], sensitive: Sequence[str]
) -> dict[str, str]:
    """A markdown table for each sensitive feature: the mean CLV of today's contacts; a row is a contact."""
    if not sensitive:
        return {}
    value = bundle.clv(columns, as_of)
    contact = np.arange(len(value))
    tables = {}
    for name in sensitive:
        found = [(group, mask) for group, mask in groups(columns, name, dtypes) if mask.sum() >= FEWEST_ROWS]
        tables[name] = _table(CLV_HEADER, [[group, f"{mask.sum():,}", _mean(value[mask], contact[mask])] for group, mask in found])
    return tables


def groups(columns: Columns, name: str, dtypes: Mapping[str, Dtype]) -> Iterator[tuple[str, BoolArray]]:
    """The groups of a feature by name: its values where they are few, else quarters of a number; NULL is the group `unknown`.

    Examples
    --------
    >>> [(name, mask.tolist()) for name, mask in groups({"vip": np.array([1.0, np.nan, 0.0])}, "vip", {"vip": "bool"})]
    [('false', [False, False, True]), ('true', [True, False, False]), ('unknown', [False, True, False])]
    """
    column: npt.NDArray[Any] = columns[name]
    if dtypes[name] in ("date", "timestamp"):
        column = np.where(np.isnat(column), np.nan, column.astype("datetime64[Y]").astype(np.int64) + 1970.0)
    null = np.array([one is None for one in column.tolist()]) if column.dtype == object else np.isnan(column)
    yield from _of_texts(column, null) if column.dtype == object else _of_numbers(column, null, is_bool=dtypes[name] == "bool")
    if null.any():
        yield "unknown", null


def _of_texts(column: npt.NDArray[np.object_], null: BoolArray) -> Iterator[tuple[str, BoolArray]]:
    levels, counts = np.unique(column[~null].astype(str), return_counts=True)
    kept = sorted(levels[np.argsort(-counts, kind="stable")][:MOST_LEVELS].tolist())
    for level in kept:
        yield level, ~null & (column == level)
    rest = ~null & ~np.isin(column.astype(str), kept)
    if rest.any():
        yield "any other", rest


def _of_numbers(column: FloatArray, null: BoolArray, *, is_bool: bool) -> Iterator[tuple[str, BoolArray]]:
    levels = np.unique(column[~null])
    if len(levels) <= MOST_LEVELS:
        for level in levels.tolist():
            yield (str(bool(level)).lower() if is_bool else f"{level:g}"), column == level
        return
    edges = np.unique(np.quantile(levels if len(levels) < BANDS else column[~null], np.linspace(0, 1, BANDS + 1)))
    place = np.clip(np.searchsorted(edges, column, side="right") - 1, 0, len(edges) - 2)
    for k in range(len(edges) - 1):
        yield f"{edges[k]:g} to {edges[k + 1]:g}", ~null & (place == k)


def _mean(values: FloatArray, contact: npt.NDArray[np.generic], weight: FloatArray | None = None) -> str:
    """The mean of the whole log with its 95 % interval; the error sums up by contact, since rows of one contact are not independent."""
    weight = np.ones(len(values)) if weight is None else weight
    mean = float(np.average(values, weights=weight))
    place: IntArray = np.unique(contact.astype(str), return_inverse=True)[1]
    error = float(np.sqrt((np.bincount(place, weight * (values - mean)) ** 2).sum()) / weight.sum())
    return f"{mean:.4g} ({mean - NORMAL_95 * error:.4g} to {mean + NORMAL_95 * error:.4g})"


def _count(contact: npt.NDArray[np.generic]) -> int:
    return len(set(contact.tolist()))


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    if not lines:
        return f"No group has {FEWEST_ROWS} rows."
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, ["---"] * len(header), *lines])
