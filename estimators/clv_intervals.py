"""Intervals of what a contact will spend: conformal, from how far off the back-test's predictions were.

Split conformal prediction within groups (Mondrian): contacts are grouped by how many purchases are expected of them, and in each group
the share of what came in what was expected gives the bounds. A group in which many bought nothing has the lower bound 0, and then the
whole error is left to the upper one. Groups by expected purchases carry over to another horizon: who is expected to buy twice in a year is
as uncertain as who is expected to buy twice in a quarter.

References
----------
Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005, section 4.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from estimators.arrays import FloatArray, IntArray

COVERAGES = (0.5, 0.8, 0.9, 0.95)
FEWEST_A_GROUP = 200
MOST_GROUPS = 12


@dataclass(frozen=True, eq=False)
class RatioIntervals:
    """Bounds of actual / expected money by expected purchases.

    Parameters
    ----------
    edges : array, shape (groups - 1,)
        Of expected purchases, ascending.
    low, high : arrays, shape (coverages, groups)
        Ratios, in the order of `COVERAGES`.
    """

    edges: FloatArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def fit(cls, expected_count: FloatArray, expected: FloatArray, actual: FloatArray) -> RatioIntervals:
        """Learn the bounds from a back-test of n contacts; expected_count is NaN for those who had bought nothing: a group of their own.

        Raises
        ------
        ValueError
            If there are fewer than `FEWEST_A_GROUP` contacts.
        """
        if len(actual) < FEWEST_A_GROUP:
            raise ValueError(f"intervals: too few contacts in the back-test; got {len(actual)}; allowed: {FEWEST_A_GROUP} or more")
        bought = np.isfinite(expected_count)
        groups = int(np.clip(bought.sum() // FEWEST_A_GROUP, 1, MOST_GROUPS))
        edges = np.unique(np.quantile(expected_count[bought], np.arange(1, groups) / groups)) if bought.any() else np.zeros(0)
        if not bought.all():
            edges = np.concatenate([[_NOBODY / 2], edges])
        place = _place(edges, expected_count)
        ratio = np.maximum(actual, 0.0) / np.maximum(expected, 1e-9)
        low, high = np.zeros((2, len(COVERAGES), len(edges) + 1))
        for group in range(len(edges) + 1):
            inside = ratio[place == group]
            for k, coverage in enumerate(COVERAGES):
                low[k, group], high[k, group] = _bounds(inside if len(inside) else ratio, coverage)
        return cls(edges, low, high)

    def of(self, expected_count: FloatArray, expected: FloatArray, coverage: float) -> tuple[FloatArray, FloatArray]:
        """Lower and upper bound of the money, shape (n,) each.

        Raises
        ------
        ValueError
            If the coverage is none of `COVERAGES`.
        """
        if coverage not in COVERAGES:
            raise ValueError(f"an interval of this coverage was not learned; got {coverage}; allowed: {', '.join(map(str, COVERAGES))}")
        k = COVERAGES.index(coverage)
        place = _place(self.edges, expected_count)
        return self.low[k, place] * expected, self.high[k, place] * expected

    def to_dict(self) -> dict[str, Any]:
        """The intervals as JSON values."""
        return {"edges": self.edges.tolist(), "low": self.low.tolist(), "high": self.high.tolist()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RatioIntervals:
        """The intervals that `to_dict` wrote."""
        edges, low, high = (np.array(data[name], dtype=np.float64) for name in ("edges", "low", "high"))
        return cls(edges, low, high)


_NOBODY = -1.0  # stands for the count of a contact who has bought nothing


def _place(edges: FloatArray, expected_count: FloatArray) -> IntArray:
    return np.asarray(np.searchsorted(edges, np.nan_to_num(expected_count, nan=_NOBODY), side="right"), dtype=np.int64)


def _bounds(ratio: FloatArray, coverage: float) -> tuple[float, float]:
    """The two order statistics between which a share `coverage` of exchangeable ratios falls."""
    ordered, n = np.sort(ratio), len(ratio)
    error = 1.0 - coverage
    if float((ordered <= 0).mean()) >= error / 2:
        return 0.0, float(ordered[min(n - 1, int(np.ceil((n + 1) * coverage)) - 1)])
    low = float(ordered[max(0, int(np.floor((n + 1) * error / 2)) - 1)])
    return low, float(ordered[min(n - 1, int(np.ceil((n + 1) * (1 - error / 2))) - 1)])
