"""Where does everybody stand? Each contact's best candidate by its baseline and its uplift, counted on tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from decisioning.arbitration import SEGMENTS
from decisioning.explanation.reasons import segments
from decisioning.stages import Appraisal
from decisioning.vocabulary import FloatArray, IntArray

TAIL = 0.005
"""The share at either end that stands in the outermost tiles."""


@dataclass(frozen=True)
class Standing:
    """Of each contact's best candidate: baseline, uplift and expected profit (NaN where no uplift is known), and its segment, -1 unknown.

    Attributes
    ----------
    baseline, uplift, profit : arrays, shape (n_contacts,)
    segment : array of int, shape (n_contacts,)
    """

    baseline: FloatArray
    uplift: FloatArray
    profit: FloatArray
    segment: IntArray


def standing_of(appraisal: Appraisal) -> Standing:
    """The contacts of one appraisal; the best candidate is the one of highest priority, as in a plan."""
    priority = appraisal.economics.priority
    best = np.where(np.isnan(priority), -np.inf, priority).argmax(axis=1)
    rows = np.arange(len(best))
    segment = segments(appraisal)[rows, best]
    unknown = np.isnan(priority[rows, best]) | (segment < 0)

    def known(values: FloatArray) -> FloatArray:
        return np.where(unknown, np.nan, np.broadcast_to(values, priority.shape)[rows, best])

    scores = appraisal.scores
    return Standing(
        known(scores.baseline), known(scores.uplift), known(appraisal.economics.profit), np.where(unknown, -1, segment).astype(np.int64)
    )


def joined(parts: Sequence[Standing]) -> Standing:
    """The contacts of several chunks."""
    return Standing(*(np.concatenate([getattr(one, name) for one in parts]) for name in ("baseline", "uplift", "profit", "segment")))


@dataclass(frozen=True)
class SegmentMap:
    """Contacts on tiles of baseline x uplift.

    Attributes
    ----------
    baseline_edges, uplift_edges : arrays of the tiles' edges, fractions
    contacts : array of int, shape (n_segments, n_rows, n_columns)
        Rows by uplift, columns by baseline; segments in the order of `SEGMENTS`.
    """

    baseline_edges: FloatArray
    uplift_edges: FloatArray
    contacts: IntArray


def segment_map(standing: Standing, columns: int = 24, rows: int = 20) -> SegmentMap | None:
    """Count the contacts whose segment is known; None where there is none. Who is beyond the outermost edges counts in the tile before."""
    known = standing.segment >= 0
    if not known.any():
        return None
    baseline, uplift = standing.baseline[known], standing.uplift[known]
    across = _edges(min(0.0, float(np.quantile(baseline, TAIL))), float(np.quantile(baseline, 1 - TAIL)), columns)
    upwards = _edges(float(np.quantile(uplift, TAIL)), float(np.quantile(uplift, 1 - TAIL)), rows)
    column = np.clip(np.searchsorted(across, baseline, side="right") - 1, 0, columns - 1)
    row = np.clip(np.searchsorted(upwards, uplift, side="right") - 1, 0, rows - 1)
    contacts = np.zeros((len(SEGMENTS), rows, columns), dtype=np.int64)
    np.add.at(contacts, (standing.segment[known], row, column), 1)
    return SegmentMap(across, upwards, contacts)


def _edges(low: float, high: float, tiles: int) -> FloatArray:
    """Edges of equal tiles from `low` to `high`; around it where both are the same."""
    low, high = (low, high) if high - low > 1e-9 else (low - 0.005, low + 0.005)
    return np.linspace(low, high, tiles + 1)
