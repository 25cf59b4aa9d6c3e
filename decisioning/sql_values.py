"""SQL's operators on numpy arrays, with SQL's NULL: the arithmetic below `rules.py`.

Representation (see `vocabulary.Columns`): numbers and booleans are float64 with NaN for NULL (so a condition is 1, 0 or NaN), texts are object
arrays with None, times are datetime64[us] with NaT. Every function takes and returns such arrays and broadcasts like numpy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def is_null(a: Array) -> Array:
    """True where `a` is NULL, whatever its type."""
    if a.dtype == object:
        return np.asarray(np.equal(a, None), dtype=bool)
    return np.isnat(a) if a.dtype.kind == "M" else np.isnan(a)


def with_nulls(result: Array, *inputs: Array) -> Array:
    """The boolean `result` as 1/0, NULL wherever one of `inputs` is NULL.

    Examples
    --------
    >>> with_nulls(np.array([True, True]), np.array([1.0, np.nan]))
    array([ 1., nan])
    """
    null = reduce(np.logical_or, [is_null(one) for one in inputs])
    return np.where(null, np.nan, np.asarray(result, dtype=float))


def and_(a: Array, b: Array) -> Array:
    """Three-valued AND: false wins over NULL."""
    return np.where((a == 0) | (b == 0), 0.0, np.where(np.isnan(a) | np.isnan(b), np.nan, 1.0))


def or_(a: Array, b: Array) -> Array:
    """Three-valued OR: true wins over NULL."""
    return not_(and_(not_(a), not_(b)))


def not_(a: Array) -> Array:
    """Three-valued NOT."""
    return np.where(np.isnan(a), np.nan, (a == 0).astype(float))


def compare(operator: Callable[[Any, Any], Any]) -> Callable[[Array, Array], Array]:
    """`operator` (from the module operator) as an SQL comparison: NULL on either side gives NULL."""
    on_texts = np.frompyfunc(lambda x, y: False if x is None or y is None else operator(x, y), 2, 1)

    def compared(a: Array, b: Array) -> Array:
        with np.errstate(invalid="ignore"):
            result = on_texts(a, b) if a.dtype == object else operator(a, b)
        return with_nulls(np.asarray(result, dtype=bool), a, b)

    return compared


def arithmetic(operator: Callable[[Any, Any], Any]) -> Callable[[Array, Array], Array]:
    """`operator` on numbers; what has no finite answer (1/0, overflow) is NULL."""

    def computed(a: Array, b: Array) -> Array:
        with np.errstate(all="ignore"):
            result = np.asarray(operator(a, b), dtype=float)
        return np.where(np.isfinite(result), result, np.nan)

    return computed


def modulo(a: Array, b: Array) -> Array:
    """SQL's remainder: it has the sign of the dividend, and there is none by zero."""
    return arithmetic(np.fmod)(a, np.where(b == 0, np.nan, b))


def integer_divide(a: Array, b: Array) -> Array:
    """SQL's `//`: the quotient without its fraction."""
    return np.trunc(arithmetic(np.divide)(a, np.where(b == 0, np.nan, b)))


def round_half_away(a: Array, digits: Array) -> Array:
    """SQL's round: a half goes away from zero (numpy's goes to the even neighbour).

    Examples
    --------
    >>> round_half_away(np.array([2.5, -2.5]), np.array(0.0))
    array([ 3., -3.])
    """
    factor = np.power(10.0, digits)
    return np.sign(a) * np.floor(np.abs(a) * factor + 0.5) / factor


def coalesce(*values: Array) -> Array:
    """The first of `values` that is not NULL."""
    return reduce(lambda first, later: np.where(is_null(first), later, first), values)


def least(*values: Array) -> Array:
    """The smallest of `values`, passing over NULLs."""
    return reduce(lambda a, b: _pick(a, b, compare(lambda x, y: x <= y)), values)


def greatest(*values: Array) -> Array:
    """The largest of `values`, passing over NULLs."""
    return reduce(lambda a, b: _pick(a, b, compare(lambda x, y: x >= y)), values)


def _pick(a: Array, b: Array, first_wins: Callable[[Array, Array], Array]) -> Array:
    return np.where(is_null(a), b, np.where(is_null(b) | (first_wins(a, b) == 1), a, b))


def case(conditions: Sequence[Array], results: Sequence[Array], default: Array) -> Array:
    """CASE WHEN: the result of the first condition that is true."""
    answer = default
    for condition, result in zip(reversed(conditions), reversed(results), strict=True):
        answer = np.where(condition == 1, result, answer)
    return answer


def on_text(function: Callable[[str], str]) -> Callable[[Array], Array]:
    """`function` on every text, NULL kept."""
    vectorised = np.frompyfunc(lambda x: None if x is None else function(x), 1, 1)
    return lambda a: np.asarray(vectorised(a), dtype=object)


def like(pattern: str, *, ignore_case: bool = False) -> Callable[[Array], Array]:
    """SQL's LIKE with a fixed pattern: `%` is any text, `_` any one character."""
    regex = "".join({"%": ".*", "_": "."}.get(one, re.escape(one)) for one in pattern)
    compiled = re.compile(regex, re.DOTALL | (re.IGNORECASE if ignore_case else 0))
    matches = np.frompyfunc(lambda x: x is not None and compiled.fullmatch(x) is not None, 1, 1)
    return lambda a: with_nulls(np.asarray(matches(a), dtype=bool), a)


def date_part(part: str) -> Callable[[Array], Array]:
    """A part of a time as a number: year, quarter, month, day, hour, minute, second, dow (Sunday 0), isodow (Monday 1), doy, epoch."""
    return lambda a: np.where(np.isnat(a), np.nan, DATE_PARTS[part](a))


def _since(unit: str, above: str) -> Callable[[Array], Array]:
    return lambda a: (a.astype(f"datetime64[{unit}]") - a.astype(f"datetime64[{above}]").astype(f"datetime64[{unit}]")).astype(float)


_YEAR: Callable[[Array], Array] = lambda a: a.astype("datetime64[Y]").astype(float) + 1970  # noqa: E731
_MONTH = _since("M", "Y")
_DAYS: Callable[[Array], Array] = lambda a: a.astype("datetime64[D]").astype(float)  # noqa: E731

DATE_PARTS: dict[str, Callable[[Array], Array]] = {
    "year": _YEAR,
    "quarter": lambda a: _MONTH(a) // 3 + 1,
    "month": lambda a: _MONTH(a) + 1,
    "day": lambda a: _since("D", "M")(a) + 1,
    "hour": _since("h", "D"),
    "minute": _since("m", "h"),
    "second": _since("s", "m"),
    "dow": lambda a: (_DAYS(a) + 4) % 7,
    "isodow": lambda a: (_DAYS(a) + 3) % 7 + 1,
    "doy": lambda a: _since("D", "Y")(a) + 1,
    "epoch": lambda a: a.astype("datetime64[us]").astype(float) / 1e6,
}
