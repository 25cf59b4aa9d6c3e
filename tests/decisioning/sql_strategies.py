"""Random SQL of the whole subset, with the rows to run it on: typed expressions over one column of every dtype, NULLs included.

Numbers are multiples of a quarter, so that DuckDB's decimals and our doubles agree to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from decisioning.vocabulary import Columns, Dtype

CONTRACT: dict[str, Dtype] = {
    "flag": "bool",
    "lapsed": "bool",
    "visits": "int",
    "age": "int",
    "amount": "float",
    "debt": "float",
    "city": "string",
    'Odd "name" (1)': "string",
    "opened": "date",
    "last_seen": "timestamp",
}
QUARTERS = st.integers(-80, 80).map(lambda n: n / 4)
WORDS = ("", "a", "A", "ab", "aB%", "b_", "Łódź", "straße", "'", "a b", "Ω")
TEXTS = st.sampled_from(WORDS)
DAYS = st.dates(date(1968, 1, 1), date(2030, 12, 31))
MOMENTS = st.datetimes(datetime(1968, 1, 1), datetime(2030, 12, 31)).filter(lambda moment: moment.fold == 0)  # noqa: DTZ001
CONTEXT_KEYS = ("intent", "cart_value", "day")
PARTS = ("isoyear", "year", "quarter", "month", "week", "day", "doy", "dow", "isodow", "hour", "minute", "second", "epoch")
PART_FUNCTIONS = (
    "isoyear",
    "year",
    "quarter",
    "month",
    "week",
    "day",
    "dayofyear",
    "dayofweek",
    "weekday",
    "isodow",
    "hour",
    "minute",
    "second",
    "epoch",
)

Sql = st.SearchStrategy[str]


def random_rows(seed: int, count: int = 40) -> list[dict[str, Any]]:
    """`count` rows in which every fifth value is NULL."""
    rng = np.random.default_rng(seed)
    draw: dict[Dtype, Callable[[], Any]] = {
        "bool": lambda: bool(rng.integers(2)),
        "int": lambda: int(rng.integers(-20, 21)),
        "float": lambda: float(rng.integers(-80, 81)) / 4,
        "string": lambda: str(rng.choice(WORDS)),
        "date": lambda: date(1968, 1, 1) + timedelta(days=int(rng.integers(23_000))),
        "timestamp": lambda: datetime(1968, 1, 1) + timedelta(microseconds=int(rng.integers(23_000 * 86_400_000_000))),  # noqa: DTZ001
    }
    return [{name: None if rng.random() < 0.2 else draw[dtype]() for name, dtype in CONTRACT.items()} for _ in range(count)]


def as_columns(rows: list[dict[str, Any]]) -> Columns:
    """The rows as rooms pass them on."""
    columns: dict[str, np.ndarray] = {}
    for name, dtype in CONTRACT.items():
        values = [row[name] for row in rows]
        if dtype == "string":
            columns[name] = np.array(values, dtype=object)
        elif dtype in ("date", "timestamp"):
            columns[name] = np.array(["NaT" if one is None else one.isoformat() for one in values], dtype="datetime64[us]")
        else:
            columns[name] = np.array([np.nan if one is None else one for one in values], dtype=float)
    return columns


def quoted(text: str) -> str:
    """`text` as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def named(*dtypes: Dtype) -> Sql:
    """A column of one of `dtypes`, quoted where its name asks for it."""
    names = [name for name, dtype in CONTRACT.items() if dtype in dtypes]
    return st.sampled_from([name if name.isidentifier() else '"' + name.replace('"', '""') + '"' for name in names])


def _number_literal(value: float) -> str:
    text = f"{abs(value):g}"
    return f"(-{text})" if value < 0 else text


@cache
def numbers(depth: int) -> Sql:
    """Number-valued expressions."""
    leaf = named("int", "float") | (QUARTERS | st.integers(-20, 20)).map(_number_literal)
    if depth == 0:
        return leaf
    inner, conditions_ = numbers(depth - 1), conditions(depth - 1)
    return st.one_of(
        leaf,
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/%"), inner),
        st.builds("(- {})".format, inner),
        st.builds("abs({})".format, inner),
        st.builds("round({})".format, inner),
        st.builds("round({}, {})".format, named("float"), st.integers(-2, 3)),
        st.builds("{}({}, {})".format, st.sampled_from(["coalesce", "least", "greatest"]), inner, inner | st.just("NULL")),
        st.builds("coalesce({}, {})".format, conditions_, inner),
        st.builds("CASE WHEN {} THEN {} WHEN {} THEN {} ELSE {} END".format, conditions_, inner, conditions_, inner, inner),
        st.builds("CASE {} WHEN {} THEN {} END".format, inner, inner, inner),
        st.builds("if({}, {}, {})".format, conditions_, inner, inner),
        st.builds("extract({} FROM {})".format, st.sampled_from(PARTS), times(depth - 1)),
        st.builds("{}({})".format, st.sampled_from(PART_FUNCTIONS), times(depth - 1)),
        st.builds("date_part('{}', {})".format, st.sampled_from(PARTS), times(depth - 1)),
    )


@cache
def texts(depth: int) -> Sql:
    """Text-valued expressions."""
    leaf = named("string") | TEXTS.map(quoted)
    if depth == 0:
        return leaf
    inner = texts(depth - 1)
    return st.one_of(
        leaf,
        st.builds("{}({})".format, st.sampled_from(["lower", "upper"]), inner),
        st.builds("{}({}, {})".format, st.sampled_from(["coalesce", "least", "greatest"]), inner, inner | st.just("NULL")),
        st.builds("CASE WHEN {} THEN {} ELSE {} END".format, conditions(depth - 1), inner, inner),
    )


@cache
def times(depth: int) -> Sql:
    """Days and moments."""
    leaf = st.one_of(
        named("date", "timestamp"),
        DAYS.map(lambda day: f"DATE '{day}'"),
        MOMENTS.map(lambda moment: f"TIMESTAMP '{moment.isoformat(sep=' ')}'"),
    )
    if depth == 0:
        return leaf
    inner = times(depth - 1)
    return st.one_of(
        leaf,
        st.builds("{}({}, {})".format, st.sampled_from(["coalesce", "least", "greatest"]), inner, inner | st.just("NULL")),
        st.builds("CASE WHEN {} THEN {} ELSE {} END".format, conditions(depth - 1), inner, inner),
    )


@cache
def conditions(depth: int) -> Sql:
    """Conditions."""
    leaf = named("bool") | st.sampled_from(["TRUE", "FALSE"])
    if depth == 0:
        return leaf
    below, comparison = depth - 1, st.sampled_from(["=", "<>", "!=", "<", "<=", ">", ">="])
    inner = conditions(below)
    alike = [numbers(below), texts(below), times(below), inner]
    day = DAYS.map(lambda one: f"'{one}'")
    return st.one_of(
        leaf,
        st.builds("({} {} {})".format, inner, st.sampled_from(["AND", "OR"]), inner),
        st.builds("(NOT {})".format, inner),
        *[st.builds("({} {} {})".format, one, comparison, one | st.just("NULL")) for one in alike],
        st.builds("({} {} {})".format, times(below), comparison, day),
        st.builds("({} {} {})".format, inner, comparison, numbers(below)),
        *[st.builds("({} {}IN ({}, {}))".format, one, st.sampled_from(["", "NOT "]), one, one | st.just("NULL")) for one in alike],
        *[st.builds("({} {}BETWEEN {} AND {})".format, one, st.sampled_from(["", "NOT "]), one, one | st.just("NULL")) for one in alike],
        *[st.builds("({} IS {}NULL)".format, one, st.sampled_from(["", "NOT "])) for one in alike],
        st.builds("({} IS {})".format, inner, st.sampled_from(["TRUE", "FALSE", "NOT TRUE", "NOT FALSE"])),
        st.builds("({} {}{} {})".format, texts(below), st.sampled_from(["", "NOT "]), st.sampled_from(["LIKE", "ILIKE"]), patterns()),
        st.builds(
            "({} {}{} {} ESCAPE {})".format,
            texts(below),
            st.sampled_from(["", "NOT "]),
            st.sampled_from(["LIKE", "ILIKE"]),
            escaped_patterns(),
            st.sampled_from(["'!'", "'!'", "''"]),
        ),
        st.builds("CASE WHEN {} THEN {} ELSE {} END".format, inner, inner, inner),
        st.builds("CASE {} WHEN {} THEN {} END".format, texts(below), texts(below), inner),
    )


def patterns() -> Sql:
    """Patterns of LIKE."""
    return st.text(alphabet="aAb%_ßłŁ(.", max_size=4).map(quoted)


def escaped_patterns() -> Sql:
    """Patterns that no `!` ends."""
    return st.lists(st.sampled_from(["a", "A", "b", "%", "_", "!%", "!_", "!!", "!a", "ß"]), max_size=4).map("".join).map(quoted)


@cache
def over_context() -> Sql:
    """Conditions on values of the request context: as numbers, texts, conditions and times, beside columns of the same kind."""
    key = st.sampled_from(CONTEXT_KEYS).map("context.{}".format)
    comparison = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
    beside = st.one_of(numbers(1), texts(1), times(1), conditions(1), key)
    simple = st.one_of(
        key,
        st.builds("({} {} {})".format, key, comparison, beside),
        st.builds("({} {}IN ({}, {}))".format, key, st.sampled_from(["", "NOT "]), TEXTS.map(quoted), TEXTS.map(quoted)),
        st.builds("({} BETWEEN {} AND {})".format, key, numbers(0), numbers(0)),
        st.builds("({} IS {}NULL)".format, key, st.sampled_from(["", "NOT "])),
        st.builds("({} LIKE {})".format, key, patterns()),
        st.builds("(coalesce({}, {}) {} {})".format, key, numbers(0), comparison, numbers(0)),
        st.builds("(greatest({}, {}) {} {})".format, key, key, comparison, texts(0)),
        st.builds("(year({}) > 2000)".format, key),
        st.builds("(round({} / 3, 1) {} {})".format, key, comparison, numbers(0)),
        st.builds("CASE WHEN {} THEN {} ELSE flag END".format, key, key),
    )
    return st.one_of(
        simple, st.builds("({} {} {})".format, simple, st.sampled_from(["AND", "OR"]), simple), st.builds("NOT {}".format, simple)
    )


@st.composite
def unparenthesised(draw: st.DrawFn) -> str:
    """Operands and operators in a row, so that only precedence says what binds what."""
    operand = st.one_of(named("bool", "int", "float"), st.sampled_from(["1", "TRUE", "NULL", "NOT flag", "- age", "NOT lapsed"]))
    operators = [
        "AND",
        "OR",
        "AND NOT",
        "OR NOT",
        "=",
        "<",
        ">=",
        "+",
        "-",
        "*",
        "/",
        "%",
        "IS NULL AND",
        "IS TRUE OR",
        "IS NOT NULL =",
        "IN (1, 2) OR",
    ]
    operators += ["NOT IN (TRUE) AND", "BETWEEN 1 AND 2 OR", "BETWEEN - 3 AND"]
    text = draw(operand)
    for _ in range(draw(st.integers(1, 4))):
        text += f" {draw(st.sampled_from(operators))} {draw(operand)}"
    return text
