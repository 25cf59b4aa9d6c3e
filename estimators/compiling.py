"""Loops compiled by numba: with the lock of the interpreter released, and kept on disk for the next process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """`function` compiled at its first call; kept on disk where numba finds a folder that it may write to.

    Nothing is reordered and nothing is contracted (no `fastmath`): a sum is the same whatever stands beside it. As in numpy, what is
    divided by zero is an infinity.
    """
    return _kept(function)


def inlined(function: _Function) -> _Function:
    """`function` as a part of whatever compiled function calls it: no array of the call is counted in and out."""
    return _kept(function, inline="always")


def _kept(function: _Function, **options: Any) -> _Function:
    try:
        return cast(_Function, njit(cache=True, nogil=True, error_model="numpy", **options)(function))
    except RuntimeError:
        return cast(_Function, njit(nogil=True, error_model="numpy", **options)(function))
