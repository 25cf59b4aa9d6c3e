"""Loops compiled by numba: with the lock of the interpreter released, and kept on disk for the next process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit, typeof

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


def entry_point(function: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
    """A compiled function for arguments of the types of these ones: calling it costs two microseconds where the function itself takes ten.

    Numba asks for the type of every array in every tuple at every call. Here it is asked once, so arguments of other types, orders of
    memory included, must never be passed: they would be read as what they are not.
    """
    compiled_function: Any = function
    types = tuple(typeof(argument) for argument in arguments)  # type: ignore[no-untyped-call]
    compiled_function.compile(types)
    return cast(Callable[..., Any], compiled_function.overloads[types].entry_point)


def _kept(function: _Function, **options: Any) -> _Function:
    try:
        dispatcher: Any = njit(cache=True, nogil=True, error_model="numpy", **options)(function)
    except RuntimeError:
        return cast(_Function, njit(nogil=True, error_model="numpy", **options)(function))
    _stamp(function, dispatcher)
    return cast(_Function, dispatcher)


def _stamp(function: Any, dispatcher: Any) -> None:
    """Let what is kept on disk be forgotten when something that the function uses has changed.

    Numba compiles the functions and the constants of other files in, but asks only whether the function's own file has changed.
    """
    used: list[tuple[str, object]] = []
    for name in sorted(function.__code__.co_names):
        value = function.__globals__.get(name)
        if hasattr(value, "py_func"):
            used.append((name, _file_of(value)._source_stamp))
        elif isinstance(value, np.ndarray):
            used.append((name, value.tobytes()))
        elif isinstance(value, int | float | tuple | np.generic):
            used.append((name, repr(value)))
    kept = _file_of(dispatcher)
    kept._source_stamp = (kept._source_stamp, tuple(used))


def _file_of(dispatcher: Any) -> Any:
    return dispatcher._cache._cache_file
