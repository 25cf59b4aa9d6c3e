"""Numbers and times as standardised columns of a linear model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from estimators.arrays import BoolArray, FloatArray, IntArray

CLIP = 4.0
"""Standardised values beyond this many standard deviations say no more than this one does."""

SKEWED = 2.0
"""A column with a larger absolute skewness is read on a logarithmic scale."""


SCALED_ON = 100_000
"""Of more rows so many, at random, say on which scale a column is read; whether it varies at all, every row does."""


@dataclass(frozen=True, eq=False)
class NumberEncoding:
    """Standardisation of k number columns: (log scale where skewed, minus mean) / scale, clipped; NULL is the mean, with an indicator.

    Parameters
    ----------
    names : tuple of str, length k
        Time columns come as days before as_of.
    log_unit : array, shape (k,)
        0 for a linear scale; u > 0 for sign(x) * log(1 + |x| / u).
    mean, scale : array, shape (k,)
        On the column's own scale. A scale of 0 marks a constant column, which the linear matrix leaves out.
    null_share : array, shape (k,)
        Share of NULLs in training; negative where the column gets no indicator.
    """

    names: tuple[str, ...]
    log_unit: FloatArray
    mean: FloatArray
    scale: FloatArray
    null_share: FloatArray

    @classmethod
    def fit(cls, names: Sequence[str], columns: Iterable[FloatArray], *, min_count: int) -> NumberEncoding:
        """Learn the scales from k columns of shape (n,) with NaN for NULL."""
        with np.errstate(over="ignore", invalid="ignore"):  # a column whose spread overflows counts as constant
            found = [_fit_column(column, min_count) for column in columns]
        fitted = np.array(found, dtype=np.float64).reshape(len(names), 4).T
        return cls(tuple(names), *fitted)

    @property
    def kept(self) -> BoolArray:
        """Which columns vary, shape (k,)."""
        return self.scale > 0

    @property
    def indicated(self) -> BoolArray:
        """Which columns have an indicator of NULL, shape (k,)."""
        return self.null_share >= 0

    def linear_names(self) -> list[str]:
        """The names of the columns of `transform`."""
        values = [name for name, kept in zip(self.names, self.kept, strict=True) if kept]
        return values + [f"{name} is missing" for name, shown in zip(self.names, self.indicated, strict=True) if shown]

    def transform(self, matrix: FloatArray) -> FloatArray:
        """Standardised values of the columns that vary, then the indicators; shape (n, kept + indicated)."""
        kept, indicated = self.kept, self.indicated
        out = np.empty((len(matrix), int(kept.sum()) + int(indicated.sum())))
        values = out[:, : int(kept.sum())]
        with np.errstate(over="ignore"):  # what overflows is clipped next
            np.subtract(on_scale(matrix if kept.all() else matrix[:, kept], self.log_unit[kept]), self.mean[kept], out=values)
            np.divide(values, self.scale[kept], out=values)
        np.clip(values, -CLIP, CLIP, out=values)
        values[np.isnan(values)] = 0.0
        # Times two: a balanced indicator then has the standard deviation 1 of the other columns.
        out[:, values.shape[1] :] = 2.0 * (np.isnan(matrix[:, indicated]) - self.null_share[indicated])
        return out

    def to_dict(self) -> dict[str, Any]:
        """The encoding as JSON values."""
        arrays = {name: getattr(self, name).tolist() for name in ("log_unit", "mean", "scale", "null_share")}
        return {"names": list(self.names), **arrays}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> NumberEncoding:
        """The encoding that `to_dict` wrote."""
        arrays = {name: np.array(data[name], dtype=np.float64) for name in ("log_unit", "mean", "scale", "null_share")}
        return cls(names=tuple(data["names"]), **arrays)


def on_scale(matrix: FloatArray, log_unit: FloatArray) -> FloatArray:
    """Each column on its own scale: sign(x) * log(1 + |x| / unit) where unit > 0, else x.

    Examples
    --------
    >>> on_scale(np.array([[0.0, 5.0], [9.0, 6.0]]), np.array([1.0, 0.0])).round(3)
    array([[0.   , 5.   ],
           [2.303, 6.   ]])
    """
    logged = log_unit > 0
    if not logged.any():
        return matrix
    scaled = matrix.copy()
    scaled[:, logged] = np.sign(matrix[:, logged]) * np.log1p(np.abs(matrix[:, logged]) / log_unit[logged])
    return scaled


def _fit_column(values: FloatArray, min_count: int) -> tuple[float, float, float, float]:
    """log_unit, mean, scale and null_share of one column."""
    known = values[~np.isnan(values)]
    nulls = len(values) - len(known)
    null_share = nulls / len(values) if min(nulls, len(known)) >= min_count else -1.0
    if not len(known):
        return 0.0, 0.0, 0.0, null_share
    known = _enough(known)
    unit = _log_unit(known)
    scaled = on_scale(known[:, None], np.array([unit]))[:, 0]
    low, high, mean = float(scaled.min()), float(scaled.max()), float(scaled.mean())
    two_values = bool(np.all((scaled == low) | (scaled == high)))
    # Half the range of a two-valued column: a rare flag is not blown up by its small standard deviation.
    scale = (high - low) / 2 if two_values else float(scaled.std())
    varies = scale > 1e-9 * max(1.0, abs(mean)) and np.isfinite(scale)
    return unit, mean, scale if varies else 0.0, null_share


def _enough(known: FloatArray) -> FloatArray:
    """Some of many values; all of them where these would not show that they vary, or that a flag has a third value."""
    if len(known) <= SCALED_ON:
        return known
    some = known[_some_of(len(known))]
    return known if bool(np.all((some == some.min()) | (some == some.max()))) else some


@lru_cache(maxsize=1)
def _some_of(length: int) -> IntArray:
    """`SCALED_ON` places at random: the same for all columns that know as many values, most of which follow each other."""
    return np.random.default_rng(length).choice(length, SCALED_ON, replace=False, shuffle=False)


def _log_unit(known: FloatArray) -> float:
    spread = float(known.std())
    if not np.isfinite(spread) or spread <= 1e-9 * max(1.0, float(np.abs(known).max())):
        return 0.0
    standard = (known - known.mean()) / spread
    skewness = float(np.mean(standard * standard * standard))  # two products are cheaper than a power
    two_values = bool(np.all((known == known.min()) | (known == known.max())))
    if abs(skewness) <= SKEWED or two_values:
        return 0.0
    return float(np.median(np.abs(known[known != 0])))
