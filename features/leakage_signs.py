"""Signs, in one attribute alone, that it was written down after an outcome: an AUC, and levels that are as good as a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from decisioning.vocabulary import FloatArray

SURE = 0.9
"""A level is as good as a verdict where at least this share of its contacts, or at most 1 - this, have the outcome."""

ODDS = 10.0
"""...and the odds are at least so many times what they are on the whole."""

RARE = 0.2
"""Where at most this share has the outcome, sure levels on its side alone are a sign; else only sure levels on both sides are."""

MIN_ROWS = 20
"""Rows behind a verdict, over all levels of its side."""

MIN_OF_EACH = 20
"""Contacts with and without the outcome that a judgement needs."""

_BINS = 20
_MIN_LEVEL = 5
_MAX_ATOMS = 50

Codes = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Happened:
    """The outcome of a sample of contacts.

    Parameters
    ----------
    flags : array of bool, shape (n,)
        True where the outcome happened; at least one of each.
    weight : array, shape (n,)
        How many contacts a sampled one stands for.
    half : array of int, shape (n,)
        0 or 1: what is learned of a level in one half is tested in the other, so that many levels do not fit themselves.
    """

    flags: Flags
    weight: FloatArray
    half: npt.NDArray[np.int64]

    @property
    def rate(self) -> float:
        """The share with the outcome among all contacts that the sample stands for."""
        return float(np.average(self.flags, weights=self.weight))

    def take(self, rows: Flags) -> Happened | None:
        """The same of some contacts; None where too few of them have the outcome, or do not, to judge."""
        kept = Happened(self.flags[rows], self.weight[rows], self.half[rows])
        positives = int(kept.flags.sum())
        return kept if min(positives, len(kept.flags) - positives) >= MIN_OF_EACH else None


@dataclass(frozen=True)
class _Reading:
    """An attribute as levels; without names they are bins, which are no levels that a verdict could name."""

    codes: Codes
    names: list[str]


@dataclass(frozen=True)
class Side:
    """Levels of one attribute that are as good as a verdict: which, how many sampled contacts they have, what share has the outcome."""

    levels: tuple[str, ...]
    rows: int
    rate: float


@dataclass(frozen=True)
class Verdict:
    """Sure levels: those whose contacts nearly always have the outcome, and those whose contacts nearly never do."""

    always: Side | None
    never: Side | None


@dataclass(frozen=True)
class Signs:
    """What one attribute alone says about an outcome.

    Parameters
    ----------
    auc : float
        Area under the ROC curve of the attribute as the only predictor, at least 0.5: the best of its order (NULLs first or last, rising or
        falling) and of its levels or bins.
    auc_among_possible : float
        The same without the levels whose contacts never have the outcome: who owns a loan is not offered one, and an attribute that says
        so merely rules contacts out.
    verdict : Verdict or None
        Its sure levels. A salesman's note has levels that are nearly always followed by the sale *and* levels that nearly never are: what
        is known before the decision is seldom sure on both sides. Where the outcome is rare (or the rule), sure levels on the far side are
        enough. NULL is a level, so is "filled"; all levels of a side count together.
    """

    auc: float
    auc_among_possible: float
    verdict: Verdict | None


def signs_of(values: npt.NDArray[Any], happened: Happened) -> Signs:
    """What one attribute alone says about an outcome.

    Parameters
    ----------
    values : ndarray, shape (n,)
        float64 with NaN for NULL, or objects with None for NULL. Numbers count as levels where there are at most 50 of them.
    happened : Happened

    Examples
    --------
    >>> place = np.arange(400)
    >>> happened = Happened(place % 5 == 0, np.ones(400), place // 5 % 2)
    >>> signs = signs_of(np.where(happened.flags & (place < 200), "thanked", "called").astype(object), happened)
    >>> signs.verdict.always.levels, signs.verdict.never is None, round(signs.auc, 2)
    (("'thanked'",), True, 0.75)
    >>> signs_of(np.where(happened.flags, np.nan, 3.0), happened).auc  # being NULL gives it away
    1.0
    """
    readings = _readings(values)
    auc = _auc(values, readings[0].codes, happened)
    verdict, possible = None, np.ones(len(values), dtype=bool)
    for reading in readings:
        always, never = (_side(reading, happened, above) for above in (True, False))
        verdict = verdict or _verdict(always, never, happened.rate)
        if never is not None:
            possible &= ~np.isin(reading.codes, [reading.names.index(level) for level in never.levels])
    if possible.all() or not 0 < happened.flags[possible].sum() < possible.sum():
        return Signs(auc, auc if possible.all() else 0.5, verdict)
    among = Happened(happened.flags[possible], happened.weight[possible], happened.half[possible])
    return Signs(auc, _auc(values[possible], readings[0].codes[possible], among), verdict)


def _auc(values: npt.NDArray[Any], codes: Codes, happened: Happened) -> float:
    scores = [_other_half_share(codes, happened)]
    if values.dtype != object:
        gap = 1.0 + float(np.nanmax(np.abs(values), initial=0.0))
        # where nothing is NULL, NULLs first or last is the same order
        scores += [np.nan_to_num(values, nan=side * 2 * gap) for side in ((-1, 1) if np.isnan(values).any() else (1,))]
    areas = [_area(score, happened.flags) for score in scores]
    return max(max(area, 1.0 - area) for area in areas)


def _area(score: FloatArray, flags: Flags) -> float:
    """Area under the ROC curve = share of pairs in the right order, ties by half."""
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[place]
    positives = int(flags.sum())
    return float((ranks[flags].sum() - positives * (positives + 1) / 2.0) / (positives * (len(flags) - positives)))


def _verdict(always: Side | None, never: Side | None, rate: float) -> Verdict | None:
    both = always is not None and never is not None
    one = (always is not None and rate <= RARE) or (never is not None and rate >= 1.0 - RARE)
    return Verdict(always, never) if both or one else None


def _side(reading: _Reading, happened: Happened, above: bool) -> Side | None:
    """The sure levels of one side: picked in one half, counted in the other."""
    codes, names = reading.codes, reading.names
    if not names:
        return None
    rows, hits, weight, picked_ever = 0, 0.0, 0.0, set()
    for here in (0, 1):
        share = _level_share(codes, happened, happened.half != here)
        picked = _is_sure(share, happened.rate, above)
        counted = picked[codes] & (happened.half == here)
        rows += int(counted.sum())
        weight += float(happened.weight[counted].sum())
        hits += float(happened.weight[counted] @ happened.flags[counted])
        picked_ever |= set(np.flatnonzero(picked).tolist())
    if rows < MIN_ROWS or not _is_sure(np.array([hits / weight]), happened.rate, above)[0]:
        return None
    ordered = sorted(picked_ever, key=lambda code: (-int((codes == code).sum()), names[code]))
    return Side(tuple(names[code] for code in ordered), rows, hits / weight)


def _is_sure(share: FloatArray, rate: float, above: bool) -> Flags:
    """share >= SURE with ODDS times the odds of the whole; mirrored for the other side."""
    if not above:
        share, rate = 1.0 - share, 1.0 - rate
    sure: Flags = (share >= SURE) & (share * (1.0 - rate) >= ODDS * rate * (1.0 - share))
    return sure


def _level_share(codes: Codes, happened: Happened, rows: Flags) -> FloatArray:
    """Weighted share with the outcome of each level among some rows; levels of a few rows get the share of the whole."""
    levels = int(codes.max()) + 1
    seen = np.bincount(codes[rows], minlength=levels)
    weight = np.bincount(codes[rows], weights=happened.weight[rows], minlength=levels)
    hits = np.bincount(codes[rows], weights=(happened.weight * happened.flags)[rows], minlength=levels)
    return np.where(seen >= _MIN_LEVEL, hits / np.maximum(weight, 1e-300), happened.rate)


def _other_half_share(codes: Codes, happened: Happened) -> FloatArray:
    """The share with the outcome among rows of the same code in the other half, drawn towards the whole share by one row."""
    share, mean, levels = np.zeros(codes.size), float(happened.flags.mean()), int(codes.max()) + 1
    for here in (0, 1):
        other, mine = happened.half != here, happened.half == here
        count = np.bincount(codes[other], minlength=levels)
        hits = np.bincount(codes[other], weights=happened.flags[other].astype(float), minlength=levels)
        share[mine] = ((hits + mean) / (count + 1.0))[codes[mine]]
    return share


def _readings(values: npt.NDArray[Any]) -> list[_Reading]:
    """The ways to read an attribute as levels: its own or its bins first, then NULL against filled."""
    if values.dtype == object:
        missing: Flags = np.asarray(pa.array(values, pa.string()).is_null().to_numpy(zero_copy_only=False), dtype=np.bool_)
        readings = [_text_levels(values)]
    else:
        missing = np.isnan(values)
        atoms, codes = np.unique(values, return_inverse=True)  # NaN is one of them
        few = len(atoms) <= _MAX_ATOMS
        names = ["NULL" if np.isnan(atom) else f"{atom:g}" for atom in atoms] if few else []
        readings = [_Reading(codes.astype(np.int64), names) if few else _Reading(_bins(values), [])]
    if missing.any() and not missing.all():
        readings.append(_Reading(missing.astype(np.int64), ["filled", "NULL"]))
    return readings


def _text_levels(values: npt.NDArray[Any]) -> _Reading:
    """Levels of a few rows are one level together."""
    encoded = pa.array(values, pa.string()).dictionary_encode(null_encoding="encode")  # in the order of their first rows, NULL among them
    codes, known = encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()
    often = np.bincount(codes) >= _MIN_LEVEL
    renumbered = np.where(often, np.cumsum(often) - 1, int(often.sum()))
    names = ["NULL" if value is None else f"'{value}'" for code, value in enumerate(known) if often[code]]
    return _Reading(renumbered[codes], [*names, "rare levels"])


def _bins(values: FloatArray) -> Codes:
    """Quantile bins; NaN has its own."""
    filled = values[~np.isnan(values)]
    if not filled.size:
        return np.zeros(values.size, dtype=np.int64)
    edges = np.unique(np.quantile(filled, np.linspace(0, 1, _BINS + 1)))
    return np.where(np.isnan(values), edges.size + 1, np.searchsorted(edges, values, side="right"))
