"""Feast is imported in a fifth of the time: without typeguard rewriting its classes so that they check their arguments while they run.

Rewriting the source of some hundred methods takes four processor seconds in every process that reads features. What Feast does is the same:
only its own checks of the types of its arguments are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

try:
    import typeguard
except ImportError:  # a Feast that does without it
    typeguard = None  # type: ignore[assignment]


@contextmanager
def without_instrumentation() -> Iterator[None]:
    """While it lasts, `typeguard.typechecked` leaves classes and functions as they are."""
    if typeguard is None:
        yield
        return
    instrumented = typeguard.typechecked
    typeguard.typechecked = _as_it_is
    try:
        yield
    finally:
        typeguard.typechecked = instrumented


def _as_it_is(target: Any = None, **_: Any) -> Any:
    return target if target is not None else _as_it_is


with without_instrumentation():
    import feast  # noqa: F401
