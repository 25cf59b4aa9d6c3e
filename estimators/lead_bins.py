"""Bins of one feature for a points card: monotone for numbers, groups of levels for categories, each no finer than the leads can bear out.

Weight of evidence of a bin b: woe_b = log odds(won | b) - log odds(won), the rate of b drawn towards the whole by a few leads.

References
----------
Siddiqi, "Credit Risk Scorecards", 2006: coarse classing by weight of evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logit, xlogy
from sklearn.isotonic import IsotonicRegression

from estimators.arrays import BoolArray, FloatArray, IntArray

FINE_BINS = 20
"""Quantile bins that coarser ones are made of."""

PRIOR_LEADS = 10.0
"""So many leads of the whole's rate are added to every bin."""


@dataclass(frozen=True, eq=False)
class Bins:
    """The bins of one feature.

    Parameters
    ----------
    edges : array, shape (k - 1,)
        Of a number: bin b holds edges[b - 1] < x <= edges[b]. Empty for a category.
    bin_of_code : array of int
        Of a category: the bin of each code; empty for a number. A code beyond it is unseen, and neutral.
    woe : array, shape (k,)
    missing_woe : float
        0, which is neutral, where too few leads lacked the feature.
    """

    edges: FloatArray
    bin_of_code: IntArray
    woe: FloatArray
    missing_woe: float

    @property
    def tells(self) -> bool:
        """Whether leads differ in it at all."""
        return bool(np.ptp(np.append(self.woe, self.missing_woe)) > 0)


@dataclass(frozen=True, eq=False)
class _Counts:
    """Weighted leads and wins of ordered cells."""

    leads: FloatArray
    won: FloatArray

    def merged(self, starts: IntArray) -> _Counts:
        return _Counts(np.asarray(np.add.reduceat(self.leads, starts)), np.asarray(np.add.reduceat(self.won, starts)))

    def log_likelihood(self) -> FloatArray:
        lost = self.leads - self.won
        return np.asarray(xlogy(self.won, self.won / self.leads) + xlogy(lost, lost / self.leads))


def number_bins(x: FloatArray, y: FloatArray, weight: FloatArray, *, direction: int, max_bins: int, min_leads: float) -> Bins:
    """Bins in which the rate only rises (direction 1), only falls (-1), or does whichever fits better (0).

    Parameters
    ----------
    x : array, shape (n,)
        NaN for NULL.
    y, weight : arrays, shape (n,)
        1 where won; what a lead counts for, 1 on average.
    direction, max_bins, min_leads
        A bin holds at least `min_leads`.
    """
    known = ~np.isnan(x)
    missing = _missing_woe(y, weight, ~known, min_leads)
    if not known.any():
        return Bins(np.empty(0), np.empty(0, dtype=np.int64), np.zeros(1), missing)
    cuts = np.unique(np.quantile(x[known], np.linspace(0, 1, FINE_BINS + 1)[1:-1], method="lower"))
    codes = np.searchsorted(cuts, x[known], side="left")
    used, codes = np.unique(codes, return_inverse=True)
    cells = _counted(codes, y[known], weight[known], int(codes.max()) + 1)
    starts = min((_monotone_starts(cells, way) for way in ((direction,) if direction else (1, -1))), key=lambda s: _loss(cells, s))
    starts = _coarsened(cells, starts, max_bins, min_leads)
    return Bins(cuts[used[starts[1:] - 1]], np.empty(0, dtype=np.int64), _woe(cells.merged(starts), y, weight), missing)


def category_bins(codes: FloatArray, missing_code: int, y: FloatArray, weight: FloatArray, *, max_bins: int, min_leads: float) -> Bins:
    """Groups of levels of a like rate; levels of few leads are judged together, and a level that was never seen is neutral.

    Parameters
    ----------
    codes : array, shape (n,)
        Whole numbers from 0.
    missing_code : int
        The code of NULL; the codes below it are levels.
    """
    code = np.where(np.isnan(codes), missing_code, codes).astype(np.int64)
    missing = _missing_woe(y, weight, code >= missing_code, min_leads)
    known = code < missing_code
    all_levels = _counted(code[known], y[known], weight[known], missing_code)
    seen, won = all_levels.leads, all_levels.won
    rare = seen < min_leads
    levels = np.flatnonzero(~rare)
    bin_of_code = np.full(missing_code, -1, dtype=np.int64)
    if not len(levels):
        return Bins(np.empty(0), bin_of_code, np.zeros(1), missing)
    ordered = levels[np.argsort(won[levels] / seen[levels], kind="stable")]
    cells = _Counts(seen[ordered], won[ordered])
    starts = _coarsened(cells, np.arange(len(ordered)), max_bins, min_leads)
    bin_of_code[ordered] = np.searchsorted(starts, np.arange(len(ordered)), side="right") - 1
    woe = _woe(cells.merged(starts), y, weight)
    if seen[rare].sum() >= min_leads:
        together = _Counts(seen[rare].sum(keepdims=True), won[rare].sum(keepdims=True))
        bin_of_code[rare & (seen > 0)] = len(woe)
        woe = np.append(woe, _woe(together, y, weight))
    return Bins(np.empty(0), bin_of_code, woe, missing)


def _counted(codes: IntArray, y: FloatArray, weight: FloatArray, cells: int) -> _Counts:
    leads: FloatArray = np.bincount(codes, weight, minlength=cells).astype(np.float64)
    won: FloatArray = np.bincount(codes, weight * y, minlength=cells).astype(np.float64)
    return _Counts(leads, won)


def _monotone_starts(cells: _Counts, direction: int) -> IntArray:
    """Where the blocks of the isotonic regression begin."""
    rate = cells.won / cells.leads
    fitted = IsotonicRegression(increasing=direction > 0).fit_transform(np.arange(len(rate)), rate, sample_weight=cells.leads)
    return np.concatenate([[0], 1 + np.flatnonzero(np.abs(np.diff(fitted)) > 1e-12)]).astype(np.int64)


def _loss(cells: _Counts, starts: IntArray) -> float:
    return -float(cells.merged(starts).log_likelihood().sum())


def _coarsened(cells: _Counts, starts: IntArray, max_bins: int, min_leads: float) -> IntArray:
    """Neighbours merged, the most alike first, until each bin is large enough, they are few enough, and each split pays by BIC."""
    pays = 0.5 * np.log(max(float(cells.leads.sum()), 2.0))
    while len(starts) > 1:
        bins = cells.merged(starts)
        likelihood = bins.log_likelihood()
        pairs = _Counts(bins.leads[1:] + bins.leads[:-1], bins.won[1:] + bins.won[:-1])
        cost = likelihood[1:] + likelihood[:-1] - pairs.log_likelihood()
        small = bins.leads < min_leads
        touches = small[1:] | small[:-1]
        candidates = np.where(touches, cost, np.inf) if touches.any() else cost
        worst = int(np.argmin(candidates))
        if not touches.any() and len(starts) <= max_bins and cost[worst] >= pays:
            break
        starts = np.delete(starts, worst + 1)
    return starts


def _woe(bins: _Counts, y: FloatArray, weight: FloatArray) -> FloatArray:
    base = (float(weight @ y) + 0.5) / (float(weight.sum()) + 1.0)
    rate = (bins.won + PRIOR_LEADS * base) / (bins.leads + PRIOR_LEADS)
    return np.asarray(logit(rate) - logit(base))


def _missing_woe(y: FloatArray, weight: FloatArray, missing: BoolArray, min_leads: float) -> float:
    leads = float(weight[missing].sum())
    if leads < min_leads:
        return 0.0
    return float(_woe(_Counts(np.array([leads]), np.array([float(weight[missing] @ y[missing])])), y, weight)[0])
