"""What columns, literals and operators of the SQL subset mean: one function a kind of node. Used by `rules.py` alone."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import replace
from functools import partial, reduce
from typing import Any

import numpy as np
from sqlglot import exp

from decisioning.errors import nearest
from decisioning.rules import sql_scalars as one
from decisioning.rules import sql_values as sql
from decisioning.rules.compiler import NOT, Compiler, Method, Tree, call, span_of, time_literal
from decisioning.rules.nodes import KIND_OF, Kind, Meaning, Node, Problem, constant, context_node
from decisioning.vocabulary import null_column


def _comparison(comparison: Callable[[Any, Any], bool]) -> Meaning:
    return Meaning(sql.compare(comparison), one.compare(comparison))


_COMPARISONS: dict[Any, Meaning] = {
    exp.EQ: _comparison(operator.eq),
    exp.NEQ: _comparison(operator.ne),
    exp.GT: _comparison(operator.gt),
    exp.GTE: _comparison(operator.ge),
    exp.LT: _comparison(operator.lt),
    exp.LTE: _comparison(operator.le),
}
_ARITHMETIC: dict[Any, Meaning] = {
    exp.Add: Meaning(sql.arithmetic(operator.add), one.arithmetic(operator.add)),
    exp.Sub: Meaning(sql.arithmetic(operator.sub), one.arithmetic(operator.sub)),
    exp.Mul: Meaning(sql.arithmetic(operator.mul), one.arithmetic(operator.mul)),
    exp.Div: Meaning(sql.arithmetic(np.divide), one.arithmetic(operator.truediv)),
    exp.Mod: Meaning(sql.modulo, one.arithmetic(math.fmod)),
}
_AND = Meaning(lambda *sides: reduce(sql.and_, sides), one.and_)
_OR = Meaning(lambda *sides: reduce(sql.or_, sides), one.or_)
_NEGATIVE = Meaning(np.negative, one.strictly(operator.neg))
_IN = Meaning(lambda looked_for, *options: sql.is_one_of(looked_for, options), one.is_one_of)
_BETWEEN = Meaning(sql.between, one.between)
_IS_NULL = Meaning(lambda value: sql.is_null(value).astype(float), one.is_null)
_IS_TRUTH = {truth: Meaning(partial(sql.is_exactly, float(truth)), one.is_exactly(float(truth))) for truth in (True, False)}

_NEEDS_PARENTHESES = {*_COMPARISONS, exp.In, exp.Between, exp.Like, exp.ILike, exp.Escape, exp.Not}

_TYPOGRAPHIC = "‘’‚“”„`"

_CASTS: dict[str, Kind] = {"DATE": "date", "TIMESTAMP": "timestamp", "TIMESTAMPNTZ": "timestamp"}


def _column(compiler: Compiler, tree: Tree) -> Node:
    name = str(tree.name)
    qualifiers = [str(tree.args[part].name) for part in ("catalog", "db", "table") if tree.args.get(part)]
    if len(qualifiers) == 1 and qualifiers[0].lower() in compiler.facts:
        about = qualifiers[0].lower()
        key = name if about == "context" else f"{about}.{name}"
        _remember(compiler.context_keys, key)
        return replace(context_node(key, "string"), kind="any")
    if qualifiers:
        raise Problem(f"columns carry no table name; '{'.'.join(qualifiers)}' is not known", span_of(tree))
    found = name if name in compiler.dtypes else next((one for one in compiler.dtypes if one.lower() == name.lower()), None)
    if found is None:
        raise Problem(f"unknown column '{name}'", span_of(tree), hint=_meant(name, compiler))
    _remember(compiler.columns, found)
    dtype = compiler.dtypes[found]
    absent = null_column(dtype, 1)
    return Node(KIND_OF[dtype], lambda rows: rows.columns.get(found, absent), operator.itemgetter(found))


def _meant(name: str, compiler: Compiler) -> str:
    """What may have been meant by the name of no column: a text in double quotes, in typographic ones or in none reads as a name."""
    if name.lower() == "context":
        return "the request's context is read by its keys: context.intent"
    return nearest(name, compiler.dtypes) or f"if this is a text, it stands in single quotes: '{name.strip(_TYPOGRAPHIC)}'"


def _remember(names: list[str], name: str) -> None:
    if name not in names:
        names.append(name)


def _literal(_compiler: Compiler, tree: Tree) -> Node:
    if tree.is_string:
        return constant(str(tree.this), "string", literal=str(tree.this))
    number = float(tree.this)
    if not np.isfinite(number):
        raise Problem("this number is too large", span_of(tree))
    return constant(number, "number", literal=number)


def _boolean(_compiler: Compiler, tree: Tree) -> Node:
    return constant(bool(tree.this), "bool", literal=bool(tree.this))


def _null(_compiler: Compiler, _tree: Tree) -> Node:
    return constant(None, "null")


def _cast(_compiler: Compiler, tree: Tree) -> Node:
    kind = _CASTS.get(tree.to.this.name)
    if kind is None or not (isinstance(tree.this, exp.Literal) and tree.this.is_string):
        raise Problem("only DATE '...' and TIMESTAMP '...' are casts that conditions may use", span_of(tree))
    return time_literal(str(tree.this.this), kind, tree)


def _paren(compiler: Compiler, tree: Tree) -> Node:
    return compiler.compile(tree.this)


def _connect(compiler: Compiler, tree: Tree) -> Node:
    sides = [compiler.typed(side, "bool") for side in tree.flatten(unnest=False)]
    return call(_AND if isinstance(tree, exp.And) else _OR, "bool", sides)


def _not(compiler: Compiler, tree: Tree) -> Node:
    return call(NOT, "bool", [compiler.typed(tree.this, "bool")])


def refuse_chained(tree: Tree, *sides: Tree) -> None:
    """A `Problem` where a comparison stands beside another one without parentheses: what that means is a matter of the parser."""
    if any(type(side) in _NEEDS_PARENTHESES for side in sides):
        raise Problem("comparisons cannot be chained: combine them with AND, or put one in parentheses", span_of(tree))


def _compare(compiler: Compiler, tree: Tree) -> Node:
    refuse_chained(tree, tree.this, tree.expression)
    _, sides = compiler.same_kind([tree.this, tree.expression])
    return call(_COMPARISONS[type(tree)], "bool", sides)


def _arithmetic(compiler: Compiler, tree: Tree) -> Node:
    sides = [compiler.typed(side, "number") for side in (tree.this, tree.expression)]
    return call(_ARITHMETIC[type(tree)], "number", sides)


def _negative(compiler: Compiler, tree: Tree) -> Node:
    return call(_NEGATIVE, "number", [compiler.typed(tree.this, "number")])


def _in(compiler: Compiler, tree: Tree) -> Node:
    if not tree.expressions:
        raise Problem("IN takes a list of values", span_of(tree))
    refuse_chained(tree, tree.this)
    _, nodes = compiler.same_kind([tree.this, *tree.expressions])
    return call(_IN, "bool", nodes)


def _between(compiler: Compiler, tree: Tree) -> Node:
    trees = [tree.this, tree.args["low"], tree.args["high"]]
    refuse_chained(tree, *trees)
    _, nodes = compiler.same_kind(trees)
    return call(_BETWEEN, "bool", nodes)


def _is(compiler: Compiler, tree: Tree) -> Node:
    if isinstance(tree.expression, exp.Null):
        return call(_IS_NULL, "bool", [compiler.compile(tree.this)])
    if isinstance(tree.expression, exp.Boolean):
        return call(_IS_TRUTH[bool(tree.expression.this)], "bool", [compiler.typed(tree.this, "bool")])
    raise Problem("IS takes NULL, TRUE or FALSE", span_of(tree))


OPERATORS: dict[Any, Method] = {
    exp.Column: Method(_column, ("table", "db", "catalog")),
    exp.Literal: Method(_literal, ("is_string",)),
    exp.Boolean: Method(_boolean),
    exp.Null: Method(_null),
    exp.Cast: Method(_cast, ("to",)),
    exp.Paren: Method(_paren),
    exp.And: Method(_connect),
    exp.Or: Method(_connect),
    exp.Not: Method(_not),
    exp.Neg: Method(_negative),
    exp.In: Method(_in, ("query", "unnest", "field")),
    exp.Between: Method(_between, ("low", "high")),
    exp.Is: Method(_is),
    **dict.fromkeys(_COMPARISONS, Method(_compare)),
    **dict.fromkeys(_ARITHMETIC, Method(_arithmetic)),
}
