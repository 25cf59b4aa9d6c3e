"""What the functions of the SQL subset mean: CASE, coalesce, round, LIKE, date parts and their like. Used by `rules.py` alone."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sqlglot import exp

from decisioning.rules import sql_scalars as one
from decisioning.rules import sql_values as sql
from decisioning.rules.compiler import NOT, Compiler, Method, Tree, call, span_of
from decisioning.rules.date_parts import DATE_PARTS, OTHER_NAMES
from decisioning.rules.nodes import Meaning, Node, Problem
from decisioning.rules.operators import refuse_chained

_VARIADIC: dict[Any, Meaning] = {
    exp.Coalesce: Meaning(sql.coalesce, one.coalesce),
    exp.Least: Meaning(sql.least, one.extreme(operator.le)),
    exp.Greatest: Meaning(sql.greatest, one.extreme(operator.ge)),
}
_ABSOLUTE = Meaning(np.abs, one.strictly(abs))


def _of_text(function: Callable[[str], str]) -> Meaning:
    return Meaning(sql.on_texts(function), one.strictly(function))


_OF_TEXT: dict[Any, Meaning] = {exp.Lower: _of_text(sql.lower), exp.Upper: _of_text(sql.upper)}
_PART_OF: dict[Any, str] = {
    exp.Year: "year",
    exp.Quarter: "quarter",
    exp.Month: "month",
    exp.Week: "week",
    exp.WeekOfYear: "week",
    exp.Day: "day",
    exp.DayOfMonth: "day",
    exp.DayOfWeek: "dow",
    exp.DayOfWeekIso: "isodow",
    exp.DayOfYear: "doy",
    exp.Hour: "hour",
    exp.Minute: "minute",
    exp.Second: "second",
    exp.TimeToUnix: "epoch",
}
_MOST_DIGITS = 15


def _case(compiler: Compiler, tree: Tree) -> Node:
    branches = tree.args["ifs"]
    conditions = [branch.this for branch in branches]
    if tree.this is not None:
        subject = exp.Paren(this=tree.this.copy())
        conditions = [exp.EQ(this=subject.copy(), expression=exp.Paren(this=condition.copy())) for condition in conditions]
    return _branches(compiler, conditions, [branch.args["true"] for branch in branches], tree.args.get("default"))


def _if(compiler: Compiler, tree: Tree) -> Node:
    return _branches(compiler, [tree.this], [tree.args["true"]], tree.args.get("false"))


def _branches(compiler: Compiler, conditions: list[Tree], results: list[Tree], default: Tree | None) -> Node:
    when = [compiler.typed(condition, "bool") for condition in conditions]
    kind, then = compiler.same_kind([*results, default if default is not None else exp.Null()])
    return call(_choice(len(when)), kind, [*when, *then])


def _choice(count: int) -> Meaning:
    """CASE of `count` conditions, followed by as many results and the default."""
    return Meaning(
        lambda *values: sql.case(values[:count], values[count:-1], values[-1]),
        lambda *values: one.case(values[:count], values[count:-1], values[-1]),
    )


def _variadic(compiler: Compiler, tree: Tree) -> Node:
    kind, nodes = compiler.same_kind([tree.this, *tree.expressions])
    return call(_VARIADIC[type(tree)], kind, nodes)


def _absolute(compiler: Compiler, tree: Tree) -> Node:
    return call(_ABSOLUTE, "number", [compiler.typed(tree.this, "number")])


def _round(compiler: Compiler, tree: Tree) -> Node:
    decimals = tree.args.get("decimals")
    written = "0" if decimals is None else str(decimals.sql())
    if not re.fullmatch(r"-?\d{1,2}", written) or abs(int(written)) > _MOST_DIGITS:
        raise Problem(f"round takes a fixed whole number of digits, at most {_MOST_DIGITS}", span_of(decimals))
    digits = int(written)
    meaning = Meaning(partial(sql.round_half_away, digits=digits), one.strictly(one.round_half_away(digits)))
    return call(meaning, "number", [compiler.typed(tree.this, "number")])


def _text_function(compiler: Compiler, tree: Tree) -> Node:
    return call(_OF_TEXT[type(tree)], "string", [compiler.typed(tree.this, "string")])


def _like(compiler: Compiler, tree: Tree) -> Node:
    return _matching(compiler, tree, escape="")


def _matching(compiler: Compiler, tree: Tree, escape: str) -> Node:
    pattern = tree.expression
    if not (isinstance(pattern, exp.Literal) and pattern.is_string):
        raise Problem("LIKE takes a fixed pattern in quotes", span_of(pattern))
    if escape and re.fullmatch(f"(?:[^{re.escape(escape)}]|{re.escape(escape)}.)*", pattern.this, re.DOTALL) is None:
        raise Problem("the pattern ends with its escape character", span_of(pattern))
    refuse_chained(tree, tree.this)
    matches = sql.like(str(pattern.this), escape=escape, ignore_case=isinstance(tree, exp.ILike))
    meaning = Meaning(sql.where_texts(matches), one.strictly(matches))
    return call(meaning, "bool", [compiler.typed(tree.this, "string")])


def _escape(compiler: Compiler, tree: Tree) -> Node:
    """LIKE ... ESCAPE: a NOT before the LIKE is noted at the LIKE."""
    inner, character = tree.this, tree.expression
    if not isinstance(inner, exp.Like | exp.ILike):
        raise Problem("ESCAPE belongs to a LIKE", span_of(tree))
    if not (isinstance(character, exp.Literal) and character.is_string and len(character.this) <= 1):
        raise Problem("ESCAPE takes one character in quotes", span_of(character))
    node = _matching(compiler, inner, str(character.this))
    return call(NOT, "bool", [node]) if inner.args.get("negate") else node


def _named_part(compiler: Compiler, tree: Tree) -> Node:
    return _date_part(compiler, _PART_OF[type(tree)], tree, tree.this)


def _extract(compiler: Compiler, tree: Tree) -> Node:
    return _date_part(compiler, str(tree.this.name), tree, tree.expression)


def _anonymous(compiler: Compiler, tree: Tree) -> Node:
    """Functions that the parser does not know by name: some of DuckDB's date parts are among them."""
    name, arguments = str(tree.name).lower(), tree.expressions
    if name in ("date_part", "datepart") and len(arguments) == 2 and isinstance(arguments[0], exp.Literal):
        return _date_part(compiler, str(arguments[0].this), tree, arguments[1])
    if (name in OTHER_NAMES or name in DATE_PARTS) and len(arguments) == 1:
        return _date_part(compiler, name, tree, arguments[0])
    raise compiler.outside(tree)


def _date_part(compiler: Compiler, part: str, tree: Tree, value: Tree) -> Node:
    name = OTHER_NAMES.get(part.lower(), part.lower())
    if name not in DATE_PARTS:
        raise Problem(f"unknown date part '{part.lower()}'", span_of(tree), hint=f"allowed: {', '.join(DATE_PARTS)}")
    return call(DATE_PARTS[name], "number", [compiler.typed(value, "timestamp")])


FUNCTIONS: dict[Any, Method] = {
    exp.Case: Method(_case, ("ifs", "default")),
    exp.If: Method(_if, ("true", "false")),
    exp.Abs: Method(_absolute),
    exp.Round: Method(_round, ("decimals",)),
    exp.Lower: Method(_text_function),
    exp.Upper: Method(_text_function),
    exp.Like: Method(_like),
    exp.ILike: Method(_like),
    exp.Escape: Method(_escape),
    exp.Extract: Method(_extract),
    exp.Anonymous: Method(_anonymous),
    **dict.fromkeys(_VARIADIC, Method(_variadic)),
    **dict.fromkeys(_PART_OF, Method(_named_part)),
}
