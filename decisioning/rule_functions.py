"""What the functions of the SQL subset mean: CASE, coalesce, round, LIKE, date parts and their like. Used by `rules.py` alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sqlglot import exp

from decisioning import sql_values as sql
from decisioning.date_parts import DATE_PARTS, OTHER_NAMES, date_part
from decisioning.rule_compiler import Compiler, Method, Tree, call, span_of
from decisioning.rule_nodes import Node, Problem
from decisioning.rule_operators import refuse_chained
from decisioning.sql_values import Array

_VARIADIC: dict[Any, Callable[..., Array]] = {exp.Coalesce: sql.coalesce, exp.Least: sql.least, exp.Greatest: sql.greatest}
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
    count = len(when)
    return call(lambda *values: sql.case(values[:count], values[count:-1], values[-1]), kind, [*when, *then])


def _variadic(compiler: Compiler, tree: Tree) -> Node:
    kind, nodes = compiler.same_kind([tree.this, *tree.expressions])
    return call(_VARIADIC[type(tree)], kind, nodes)


def _absolute(compiler: Compiler, tree: Tree) -> Node:
    return call(np.abs, "number", [compiler.typed(tree.this, "number")])


def _round(compiler: Compiler, tree: Tree) -> Node:
    decimals = tree.args.get("decimals")
    written = "0" if decimals is None else str(decimals.sql())
    if not re.fullmatch(r"-?\d{1,2}", written) or abs(int(written)) > _MOST_DIGITS:
        raise Problem(f"round takes a fixed whole number of digits, at most {_MOST_DIGITS}", span_of(decimals))
    return call(partial(sql.round_half_away, digits=int(written)), "number", [compiler.typed(tree.this, "number")])


def _text_function(compiler: Compiler, tree: Tree) -> Node:
    return call(sql.lower if isinstance(tree, exp.Lower) else sql.upper, "string", [compiler.typed(tree.this, "string")])


def _like(compiler: Compiler, tree: Tree) -> Node:
    pattern = tree.expression
    if not (isinstance(pattern, exp.Literal) and pattern.is_string):
        raise Problem("LIKE takes a fixed pattern in quotes", span_of(pattern))
    refuse_chained(tree, tree.this)
    matches = sql.like(str(pattern.this), ignore_case=isinstance(tree, exp.ILike))
    return call(matches, "bool", [compiler.typed(tree.this, "string")])


def _named_part(compiler: Compiler, tree: Tree) -> Node:
    return _date_part(compiler, _PART_OF[type(tree)], tree, tree.this)


def _extract(compiler: Compiler, tree: Tree) -> Node:
    return _date_part(compiler, str(tree.this.name), tree, tree.expression)


def _anonymous(compiler: Compiler, tree: Tree) -> Node:
    """Functions that the parser does not know by name: some of DuckDB's date parts are among them."""
    name, arguments = str(tree.name).lower(), tree.expressions
    if name in ("date_part", "datepart") and len(arguments) == 2 and isinstance(arguments[0], exp.Literal):
        return _date_part(compiler, str(arguments[0].this), tree, arguments[1])
    if name in OTHER_NAMES and len(arguments) == 1:
        return _date_part(compiler, name, tree, arguments[0])
    raise compiler.outside(tree)


def _date_part(compiler: Compiler, part: str, tree: Tree, value: Tree) -> Node:
    name = OTHER_NAMES.get(part.lower(), part.lower())
    if name not in DATE_PARTS:
        raise Problem(f"unknown date part '{part.lower()}'", span_of(tree), hint=f"allowed: {', '.join(DATE_PARTS)}")
    return call(date_part(name), "number", [compiler.typed(value, "timestamp")])


FUNCTIONS: dict[Any, Method] = {
    exp.Case: Method(_case, ("ifs", "default")),
    exp.If: Method(_if, ("true", "false")),
    exp.Abs: Method(_absolute),
    exp.Round: Method(_round, ("decimals",)),
    exp.Lower: Method(_text_function),
    exp.Upper: Method(_text_function),
    exp.Like: Method(_like),
    exp.ILike: Method(_like),
    exp.Extract: Method(_extract),
    exp.Anonymous: Method(_anonymous),
    **dict.fromkeys(_VARIADIC, Method(_variadic)),
    **dict.fromkeys(_PART_OF, Method(_named_part)),
}
