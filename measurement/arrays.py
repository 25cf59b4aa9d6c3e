"""Columns of one length, without NaN: what every measure is given, checked where it enters."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]


def column(name: str, values: npt.ArrayLike, length: int | None = None) -> FloatArray:
    """`values` as float64, shape (n,), finite, at least one row.

    Raises
    ------
    ValueError
        It has another shape, another length than `length`, or a NaN or infinite value.

    Examples
    --------
    >>> column("reward", [1, 0])
    array([1., 0.])
    >>> column("reward", [1, 0], length=3)
    Traceback (most recent call last):
    ValueError: reward: got 2 rows, expected 3
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name}: got shape {array.shape}, expected (n,) with n >= 1")
    if length is not None and array.size != length:
        raise ValueError(f"{name}: got {array.size:,} rows, expected {length:,}")
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise ValueError(f"{name}: NaN or infinite in {bad:,} of {array.size:,} rows")
    return array


def between(name: str, array: FloatArray, low: float, high: float, *, open_low: bool = False) -> FloatArray:
    """`array`, every value in [low, high], or in (low, high] with `open_low`.

    Raises
    ------
    ValueError
        A value lies outside.
    """
    outside = (array <= low if open_low else array < low) | (array > high)
    if outside.any():
        allowed = f"{'(' if open_low else '['}{low:g}, {high:g}]"
        raise ValueError(f"{name}: {int(outside.sum()):,} values outside {allowed}, for example {array[outside][0]:g}")
    return array


def summed(code: npt.NDArray[np.integer], amounts: npt.ArrayLike, size: int) -> FloatArray:
    """The sum of the amounts of each code from 0 to `size` - 1, as float64.

    Examples
    --------
    >>> summed(np.array([0, 2, 0]), [1.0, 5.0, 2.0], 3)
    array([3., 0., 5.])
    """
    return np.bincount(code, weights=np.asarray(amounts, dtype=np.float64), minlength=size).astype(np.float64, copy=False)
