"""Rules: what is refused and how, context by use, and what an answer says of the rows it read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from decisioning.errors import RuleError
from decisioning.rules import Rows, compile_condition, compile_value
from decisioning.vocabulary import Dtype

CONTRACT: dict[str, Dtype] = {
    "age": "int",
    "amount": "float",
    "has_loan": "bool",
    "city": "string",
    "opened": "date",
    "last_seen": "timestamp",
    "Recency (days)": "float",
    "order": "int",
    'say "hi"': "bool",
}
OUTSIDE = "is outside the SQL subset of conditions"
CHAINED = "comparisons cannot be chained: combine them with AND, or put one in parentheses"
ONE_EXPRESSION = "cannot be read as an SQL expression"

REFUSED_CONDITIONS = [
    ("agee >= 18", "unknown column 'agee'", "did you mean 'age'?"),
    ("recency > 3", "unknown column 'recency'", "if this is a text, it stands in single quotes: 'recency'"),
    ('city = "Warsaw"', "unknown column 'Warsaw'", "if this is a text, it stands in single quotes: 'Warsaw'"),
    ("city = ’Warsaw’", "unknown column '’Warsaw’'", "if this is a text, it stands in single quotes: 'Warsaw'"),
    ("has_loan = 'yes'", "a bool is needed here, this is a string", "true and false are written without quotes"),
    ("age > '18'", "a number is needed here, this is a string", "numbers are written without quotes"),
    ("city = 3", "a string is needed here, this is a number", "a text stands in single quotes: '3'"),
    ("age > 18 && has_loan", f"ARRAYOVERLAPS {OUTSIDE}", "conditions are combined with AND"),
    ("age > 18 || has_loan", f"DPIPE {OUTSIDE}", "conditions are combined with OR; texts cannot be joined"),
    ("city ~ 'a.*'", f"REGEXPLIKE {OUTSIDE}", "LIKE knows % for any text and _ for any one character"),
    ("date_diff('day', opened, last_seen) > 3", f"DATEDIFF {OUTSIDE}", "use a feature that counts, such as days_since_last_event"),
    ("age IS DISTINCT FROM order", f"NULLSAFENEQ {OUTSIDE}", "write NOT (a = b OR (a IS NULL AND b IS NULL))"),
    ("age => 18 AND city = '=<'", ONE_EXPRESSION, "=> is written >="),
    ("age ≥ 18", ONE_EXPRESSION, "≥ is written >="),
    ("city = '≥' AND", ONE_EXPRESSION, None),
    ("contacts.age > 3", "columns carry no table name; 'contacts' is not known", None),
    ("x.context.intent = 'a'", "columns carry no table name; 'x.context' is not known", None),
    ("context = 'a'", "unknown column 'context'", "the request's context is read by its keys: context.intent"),
    ("city > 3", "a string is needed here, this is a number", None),
    ("age > 'old'", "a number is needed here, this is a string", None),
    ("age + city > 3", "a number is needed here, this is a string", None),
    ("has_loan + 1 > 1", "a number is needed here, this is a bool", "CASE WHEN ... THEN 1 ELSE 0 END makes a number of it"),
    ("opened - last_seen > 3", "a number is needed here, this is a date", None),
    ("city", "a bool is needed here, this is a string", None),
    ("lower(age) = 'a'", "a string is needed here, this is a number", None),
    ("year(age) = 3", "a timestamp is needed here, this is a number", None),
    ("opened > '2026'", "'2026' is not a date", "write it as '2026-01-31'"),
    ("opened > '2026-02-30'", "'2026-02-30' is not a date", "write it as '2026-01-31'"),
    ("opened > '2026-01-01 10:00'", "'2026-01-01 10:00' is not a date", "write it as '2026-01-31'"),
    ("last_seen > 'today'", "'today' is not a timestamp", "write it as '2026-01-31 10:00:00'"),
    ("last_seen > TIMESTAMP '2026-01-01 10:00+02'", "'2026-01-01 10:00+02' is not a timestamp", "write it as '2026-01-31 10:00:00'"),
    ("coalesce(city, opened) = city", "a date is needed here, this is a string", None),
    ("age = 1 = has_loan", CHAINED, None),
    ("18 < age < 60", CHAINED, None),
    ("age BETWEEN 1 AND 2 IN (true)", CHAINED, None),
    ("now() > last_seen", f"NOW {OUTSIDE}", "rules have no clock: use a feature such as days_since_last_event, or the action's `valid`"),
    ("last_seen < current_timestamp", f"CURRENTTIMESTAMP {OUTSIDE}", "rules have no clock"),
    ("max(age) > 3", f"MAX {OUTSIDE}", None),
    ("count(*) > 3", f"COUNT {OUTSIDE}", None),
    ("sum(age) OVER () > 3", f"WINDOW {OUTSIDE}", None),
    ("log(age) > 3", f"LOG {OUTSIDE}", None),
    ("age // 2 = 1", f"INTDIV {OUTSIDE}", None),
    ("age ^ 2 > 3", f"POW {OUTSIDE}", None),
    ("random() < 0.5", f"RAND {OUTSIDE}", None),
    ("levenshtein(city, 'a') < 3", f"LEVENSHTEIN {OUTSIDE}", None),
    ("make_me_rich(age)", f"MAKE_ME_RICH {OUTSIDE}", None),
    ("(SELECT true)", f"SELECT {OUTSIDE}", None),
    ("EXISTS (SELECT 1)", f"EXISTS {OUTSIDE}", None),
    ("age IN (SELECT 1)", "IN takes a list of values", None),
    ("age IN order", "IN takes a list of values", None),
    ("age BETWEEN SYMMETRIC 3 AND 1", f"BETWEEN with SYMMETRIC {OUTSIDE}", None),
    ("city LIKE 'a' ESCAPE '!!'", "ESCAPE takes one character in quotes", None),
    ("city LIKE 'a' ESCAPE city", ONE_EXPRESSION, None),
    ("city LIKE 'a!!!' ESCAPE '!'", "the pattern ends with its escape character", None),
    ("city LIKE city", "LIKE takes a fixed pattern in quotes", None),
    ("round(amount, age) > 3", "round takes a fixed whole number of digits, at most 15", None),
    ("round(amount, 1, 2) > 3", f"ROUND with TRUNCATE {OUTSIDE}", None),
    ("CAST(age AS VARCHAR) = '3'", "only DATE '...' and TIMESTAMP '...' are casts that conditions may use", None),
    ("TRY_CAST('2026-01-01' AS DATE) < opened", f"TRYCAST {OUTSIDE}", None),
    ("extract(century FROM opened) = 21", "unknown date part 'century'", "allowed: year, quarter"),
    ("age > 1e400", "this number is too large", None),
    ("age IS 3", "IS takes NULL, TRUE or FALSE", None),
    ("SELECT true", ONE_EXPRESSION, None),
    ("DROP TABLE contacts", ONE_EXPRESSION, None),
    ("age > 3; DROP TABLE contacts", "is one expression, without a semicolon", None),
    ("age > 3;", "is one expression, without a semicolon", None),
    ("age > 3, age < 5", ONE_EXPRESSION, None),
    ("age >", ONE_EXPRESSION, None),
    ("age > = 3", ONE_EXPRESSION, None),
    ("(age > 3", ONE_EXPRESSION, None),
    ("city = 'x", ONE_EXPRESSION, None),
    ("", "is empty", None),
    ("   ", "is empty", None),
    ("-- nothing", ONE_EXPRESSION, None),
    ("(" * 3000 + "age" + ")" * 3000, "is nested too deeply", None),
]


@pytest.mark.parametrize(("text", "what", "hint"), REFUSED_CONDITIONS)
def test_what_is_not_a_condition_of_the_subset_is_refused_in_words(text: str, what: str, hint: str | None) -> None:
    with pytest.raises(RuleError) as refusal:
        compile_condition(text, CONTRACT, path="actions[0].eligibility")
    assert str(refusal.value).startswith(f"actions[0].eligibility: {what}")
    assert hint is None or f"Hint: {hint}" in str(refusal.value)


def test_an_unknown_column_is_underlined_where_it_stands() -> None:
    with pytest.raises(RuleError) as refusal:
        compile_condition("age >= 18 AND citty = 'Łódź'", CONTRACT, path="actions[3].eligibility")
    assert str(refusal.value) == (
        "actions[3].eligibility: unknown column 'citty'\n  age >= 18 AND citty = 'Łódź'\n                ^^^^^\nHint: did you mean 'city'?"
    )


@pytest.mark.parametrize(
    ("text", "underlined"),
    [
        ("age > 3\n  AND oops < 4", "    AND oops < 4\n        ^^^^"),
        ("age > 3\n AND max(age) < 4", "   AND max(age) < 4\n       ^^^"),
        ("age > 'x'", "  age > 'x'\n        ^^^"),
        ("age > 3; age", "  age > 3; age\n         ^"),
        ("age > 3\n  AND AND", "    AND AND\n        ^^^"),
        ("city = 'x", "  city = 'x\n  ^^^^^^^^^"),
        ("current_date", "  current_date\n  ^^^^^^^^^^^^"),
    ],
)
def test_the_place_is_underlined_in_its_own_line(text: str, underlined: str) -> None:
    with pytest.raises(RuleError) as refusal:
        compile_condition(text, CONTRACT, path="eligibility")
    assert underlined in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("city", "a number is needed here, this is a string"),
        ("has_loan", "a number is needed here, this is a bool"),
        ("age > 3", "a number is needed here, this is a bool"),
        ("opened", "a number is needed here, this is a date"),
        ("agee * 2", "unknown column 'agee'"),
        ("", "is empty"),
    ],
)
def test_a_value_is_a_number(text: str, what: str) -> None:
    with pytest.raises(RuleError, match=what):
        compile_value(text, CONTRACT, path="actions[0].value")


@pytest.mark.parametrize(
    ("text", "column", "value"),
    [
        ('"Recency (days)" > 3', "Recency (days)", 5.0),
        ('"order" = 2', "order", 2.0),
        ('"say ""hi"""', 'say "hi"', 1.0),
        ("AGE > 3", "age", 5.0),
    ],
)
def test_a_column_of_any_name_can_be_read(text: str, column: str, value: float) -> None:
    (expression,) = compile_condition(text, CONTRACT, path="eligibility")
    assert expression.columns == (column,)
    assert expression.holds(Rows({column: np.array([value, np.nan])}, 2)).tolist() == [True, False]


def test_of_two_columns_that_differ_in_case_the_exact_one_is_read() -> None:
    (expression,) = compile_condition("Age > 3", {"age": "int", "Age": "int"}, path="eligibility")
    assert expression.columns == ("Age",)


@pytest.mark.parametrize(
    "text",
    [
        "CONTEXT.intent = 'borrow'",
        "cAsE wHeN age > 3 tHeN CASE WHEN has_loan THEN false ELSE true END eLsE false eNd",
        "- - age = +40 AND -age < -3",
        "age NOT IN (1, 2) AND age NOT BETWEEN 1 AND 2 AND age IS NOT NULL AND age NOTNULL",
        "YEAR(opened) = 2026 AND date_part('year', opened) = 2026 AND EXTRACT(year FROM opened) = 2026 AND isoyear(opened) = 2026",
        "city LIKE 'a!%%' ESCAPE '!' AND city NOT LIKE 'a!_%' ESCAPE '!' AND city ILIKE 'A!%B' ESCAPE '!'",
        "city = 'a%b' AND NOT has_loan AND has_loan = 0 AND has_loan IS FALSE",
        "age == 40 AND age != 41 AND age <> 42 AND mod(age, 7) = 5 AND age % 7 = 5",
        "ifnull(amount, 3) = 3 AND amount ISNULL AND if(has_loan, 1, 2) = 2",
        "opened >= '2026-01-01' AND opened < DATE '2027-01-01' AND opened < '2027-01-01'::DATE",
        "age > 1e1 -- a remark",
    ],
)
def test_odd_spellings_that_duckdb_reads_are_read_alike(text: str) -> None:
    columns = {
        "age": np.array([40.0]),
        "amount": np.array([np.nan]),
        "has_loan": np.array([0.0]),
        "city": np.array(["a%b"], dtype=object),
        "opened": np.array(["2026-03-01"], dtype="datetime64[us]"),
    }
    rows = Rows(columns, 1, {"intent": "borrow"})
    parts = compile_condition(text, CONTRACT, path="eligibility")
    assert [part.on_row(rows.only) for part in parts] == [True] * len(parts)
    assert [part.on_arrays(rows).tolist() for part in parts] == [[1.0]] * len(parts)


@pytest.mark.parametrize(
    ("text", "context", "holds"),
    [
        ("context.intent = 'borrow'", {"intent": "borrow"}, True),
        ("context.intent = 'borrow'", {"intent": 3}, False),
        ("context.intent = 'true'", {"intent": True}, True),
        ("context.intent = 'borrow'", {}, False),
        ("context.intent IS NULL", {}, True),
        ("context.intent IS NULL", {"intent": None}, True),
        ("context.cart_value > 100", {"cart_value": 120}, True),
        ("context.cart_value > 100", {"cart_value": "120.5"}, True),
        ("context.cart_value > 100", {"cart_value": "a lot"}, False),
        ("context.cart_value > 100", {"cart_value": [200]}, False),
        ("context.cart_value > 100", {"cart_value": {"a": 1}}, False),
        ("context.cart_value > 100", {"cart_value": "inf"}, False),
        ("context.cart_value > 100", {"cart_value": 10**400}, False),
        ("context.cart_value > age", {"cart_value": 41}, True),
        ("context.returning", {"returning": True}, True),
        ("context.returning", {"returning": "true"}, True),
        ("context.returning", {"returning": 7}, True),
        ("NOT context.returning", {"returning": 7}, False),
        ("NOT context.returning", {"returning": "FALSE"}, True),
        ("NOT context.returning", {"returning": "perhaps"}, False),
        ("context.now >= TIMESTAMP '2026-01-01 10:00'", {"now": "2026-01-01T10:00:00Z"}, True),
        ("context.now >= TIMESTAMP '2026-01-01 10:00'", {"now": "2026-01-01T11:00:00+02:00"}, False),
        ("context.now >= TIMESTAMP '2026-01-01 10:00'", {"now": datetime(2026, 1, 1, 10, tzinfo=UTC)}, True),
        ("context.now >= TIMESTAMP '2026-01-01 10:00'", {"now": "soon"}, False),
        ("context.day = DATE '2026-01-01'", {"day": "2026-01-01T11:00:00"}, True),
        ("context.one = context.other", {"one": "a", "other": "a"}, True),
        ("coalesce(context.one, 'x') = 'x'", {}, True),
        ("lower(context.device) LIKE 'mob%'", {"device": "Mobile"}, True),
        ("context.device IN ('mobile', 'tablet')", {"device": "tablet"}, True),
        ("greatest(context.a, context.b) = 'z'", {"a": "y", "b": "z"}, True),
    ],
)
def test_a_value_of_the_context_is_read_as_what_it_is_used_as(text: str, context: dict[str, Any], holds: bool) -> None:
    (expression,) = compile_condition(text, CONTRACT, path="when")
    assert expression.holds(Rows({"age": np.array([40.0, 40.0])}, 2, context)).tolist() == [holds, holds]
    assert set(expression.context_keys) <= {"intent", "cart_value", "returning", "now", "day", "one", "other", "device", "a", "b"}


def test_a_column_that_is_not_there_is_null() -> None:
    (expression,) = compile_condition("city IS NULL AND age IS NULL OR has_loan", CONTRACT, path="eligibility")
    assert expression.holds(Rows({}, 2)).tolist() == [True, True]


def test_no_rows_at_all_give_no_answers() -> None:
    (expression,) = compile_condition("age > 3 OR city = 'a'", CONTRACT, path="eligibility")
    rows = Rows({"age": np.zeros(0), "city": np.zeros(0, dtype=object)}, 0)
    assert expression.holds(rows).tolist() == []


def test_a_condition_is_cut_at_its_top_level_ands_only() -> None:
    parts = compile_condition("(age > 18 AND NOT has_loan) AND (city = 'a' OR amount > 2) AND age BETWEEN 1 AND 90", CONTRACT, path="e")
    assert [part.text for part in parts] == ["age > 18", "NOT has_loan", "city = 'a' OR amount > 2", "age BETWEEN 1 AND 90"]


def test_what_a_condition_read_is_said_in_words() -> None:
    text = "age > 1 OR has_loan OR city = 'a' OR opened > DATE '2026-01-01' OR last_seen IS NULL OR amount > 0.5 OR context.intent = 'a'"
    (expression,) = compile_condition(text, CONTRACT, path="eligibility")
    columns = {
        "age": np.array([22.0, np.nan]),
        "has_loan": np.array([1.0, np.nan]),
        "city": np.array(["Łódź", None], dtype=object),
        "opened": np.array(["2026-03-01", "NaT"], dtype="datetime64[us]"),
        "last_seen": np.array(["2026-03-01T10:30:00.5", "NaT"], dtype="datetime64[us]"),
        "amount": np.array([0.125, np.nan]),
    }
    rows = Rows(columns, 2, {"intent": "borrow"})
    assert expression.reads(rows, 0) == (
        "age is 22, has_loan is true, city is 'Łódź', opened is 2026-03-01, last_seen is 2026-03-01 10:30:00, amount is 0.125, "
        "context.intent is 'borrow'"
    )
    assert expression.reads(rows, 1).count("NULL") == 6


def test_a_constant_condition_says_so() -> None:
    (expression,) = compile_condition("true", CONTRACT, path="eligibility")
    assert (expression.holds(Rows({}, 1)).tolist(), expression.reads(Rows({}, 1), 0)) == ([True], "it is constant")
