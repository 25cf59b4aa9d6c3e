"""SQL's operators on numpy arrays, with SQL's NULL: the arithmetic below `rules.py`.

Representation (see `vocabulary.Columns`): numbers and booleans are float64 with NaN for NULL (so a condition is 1, 0 or NaN), texts
are object arrays with None, times are datetime64[us] with NaT. Every function takes and returns such arrays and broadcasts like numpy.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_ABSENT: Callable[[Array], Array] = np.frompyfunc(lambda one: one is None, 1, 1)


def is_null(a: Array) -> Array:
    """True where `a` is NULL, whatever its type."""
    if a.dtype == object:
        return np.asarray(_ABSENT(a), dtype=bool)
    return np.asarray(np.isnat(a) if a.dtype.kind == "M" else np.isnan(a))


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


def is_exactly(wanted: float, a: Array) -> Array:
    """IS TRUE and IS FALSE: never NULL."""
    return np.asarray(a == wanted, dtype=float)


def truth(a: Array) -> Array:
    """A number read as a condition: true unless it is zero."""
    return with_nulls(a != 0, a)


def compare(comparison: Callable[[Any, Any], Any]) -> Callable[[Array, Array], Array]:
    """`comparison` (from the module operator) as SQL's: NULL on either side gives NULL. Texts compare by code point."""
    on_texts = np.frompyfunc(lambda x, y: x is not None and y is not None and comparison(x, y), 2, 1)

    def compared(a: Array, b: Array) -> Array:
        with np.errstate(invalid="ignore"):
            result = on_texts(a, b) if a.dtype == object else comparison(a, b)
        return with_nulls(np.asarray(result, dtype=bool), a, b)

    return compared


def arithmetic(function: Callable[[Any, Any], Any]) -> Callable[[Array, Array], Array]:
    """`function` on numbers; what has no finite answer (1/0, overflow) is NULL."""

    def computed(a: Array, b: Array) -> Array:
        with np.errstate(all="ignore"):
            result = np.asarray(function(a, b), dtype=float)
        return np.where(np.isfinite(result), result, np.nan)

    return computed


modulo = arithmetic(np.fmod)
"""SQL's remainder: it has the sign of the dividend, and there is none by zero."""


def round_half_away(a: Array, digits: int = 0) -> Array:
    """SQL's round: a half goes away from zero (numpy's goes to the even neighbour).

    Examples
    --------
    >>> round_half_away(np.array([2.5, -2.5, np.inf])), round_half_away(np.array([1250.0]), -2)
    (array([ 3., -3., inf]), array([1300.]))
    """
    factor = 10.0 ** abs(digits)
    with np.errstate(over="ignore", invalid="ignore"):  # what is infinite has no part after the point, and stays as it is
        scaled = a * factor if digits > 0 else a / factor
        whole = np.trunc(scaled)
        rounded = whole + np.where(np.abs(scaled - whole) >= 0.5, np.sign(scaled), 0.0)
    return np.where(np.isfinite(scaled), rounded / factor if digits > 0 else rounded * factor, a)


def coalesce(*values: Array) -> Array:
    """The first of `values` that is not NULL."""
    return reduce(lambda first, later: np.where(is_null(first), later, first), values)


def least(*values: Array) -> Array:
    """The smallest of `values`, passing over NULLs."""
    return reduce(lambda a, b: _pick(a, b, compare(operator.le)), values)


def greatest(*values: Array) -> Array:
    """The largest of `values`, passing over NULLs."""
    return reduce(lambda a, b: _pick(a, b, compare(operator.ge)), values)


def _pick(a: Array, b: Array, first_wins: Callable[[Array, Array], Array]) -> Array:
    return np.where(is_null(a), b, np.where(is_null(b) | (first_wins(a, b) == 1), a, b))


def case(conditions: Sequence[Array], results: Sequence[Array], default: Array) -> Array:
    """CASE WHEN: the result of the first condition that is true."""
    answer = default
    for condition, result in zip(reversed(conditions), reversed(results), strict=True):
        answer = np.where(condition == 1, result, answer)
    return answer


def is_one_of(looked_for: Array, options: Sequence[Array]) -> Array:
    """IN: true where one option is equal, NULL where none is but one is NULL."""
    equal = compare(operator.eq)
    return reduce(or_, [equal(looked_for, option) for option in options])


def between(value: Array, low: Array, high: Array) -> Array:
    """BETWEEN, both ends included; false wins over NULL."""
    return and_(compare(operator.ge)(value, low), compare(operator.le)(value, high))


def on_texts(function: Callable[[str], str]) -> Callable[[Array], Array]:
    """`function` of each text."""
    vectorised = np.frompyfunc(lambda x: None if x is None else function(x), 1, 1)
    return lambda a: np.asarray(vectorised(a), dtype=object)


def where_texts(matches: Callable[[str], bool]) -> Callable[[Array], Array]:
    """Where `matches` holds of a text."""
    vectorised = np.frompyfunc(lambda x: x is not None and matches(x), 1, 1)
    return lambda a: with_nulls(np.asarray(vectorised(a), dtype=bool), a)


def lower(text: str) -> str:
    """`text` in small letters, one character for one."""
    small = text.lower()
    # what keeps its length was changed one for one, but for the capital sigma, whose small letter depends on its neighbours
    return small if len(small) == len(text) and "Σ" not in text else "".join(one.lower()[0] for one in text)


def upper(text: str) -> str:
    """`text` in capitals, one character for one: SQL has STRAẞE where Python has STRASSE."""
    capitals = text.upper()
    return capitals if len(capitals) == len(text) else "".join(_upper_character(one) for one in text)


def _upper_character(one: str) -> str:
    if one == "ß":
        return "ẞ"
    return next((form for form in (one.upper(), one.title()) if len(form) == 1), one)


def like(pattern: str, *, escape: str = "", ignore_case: bool = False) -> Callable[[str], bool]:
    """SQL's LIKE with a fixed pattern: `%` is any text, `_` any one character; after the character `escape` each stands for itself.

    Examples
    --------
    >>> like("a!%_", escape="!")("a%b"), like("A%", ignore_case=True)("abc")
    (True, True)
    """
    if ignore_case:
        sensitive = like(lower(pattern), escape=escape)
        return lambda text: sensitive(lower(text))
    if not escape and "_" not in pattern:
        whole = _without_regex(re.split("%+", pattern))
        if whole is not None:
            return whole
    parts = re.findall(f"{re.escape(escape)}.|%+|." if escape else "%+|.", pattern, re.DOTALL)
    compiled = re.compile("".join(_as_regex(part, escape) for part in parts), re.DOTALL)
    return lambda text: compiled.fullmatch(text) is not None


def _without_regex(pieces: list[str]) -> Callable[[str], bool] | None:
    """The match of the commonest patterns, given what stands between their `%`: exact, begins, ends, contains; None for others."""
    if len(pieces) == 1:
        return lambda text: text == pieces[0]
    begins, *between, ends = pieces
    shortest = len(begins) + len(ends)
    if not between:
        return lambda text: text.startswith(begins) and text.endswith(ends) and len(text) >= shortest
    if shortest == 0 and len(between) == 1:
        return lambda text: between[0] in text
    return None


def _as_regex(part: str, escape: str) -> str:
    if escape and part[0] == escape:
        return re.escape(part[1])
    return {"%": ".*", "_": "."}.get(part[0]) or re.escape(part)
