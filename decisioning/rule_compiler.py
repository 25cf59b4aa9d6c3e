"""From a parsed SQL expression to a function on arrays, checking columns and types on the way. Used by `rules.py` alone.

One entry a node type in `Compiler._NODES`: what is not there is outside the subset.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np
from sqlglot import exp

from decisioning import sql_values as sql
from decisioning.sql_values import Array
from decisioning.vocabulary import Dtype, null_column

if TYPE_CHECKING:
    from decisioning.rules import Rows

Kind: TypeAlias = Literal["bool", "number", "string", "timestamp", "null", "any"]
"""The type of a value in an expression; `any` is a key of the request context, `null` the literal NULL."""

_KIND_OF: dict[Dtype, Kind] = {"bool": "bool", "int": "number", "float": "number", "string": "string", "date": "timestamp", "timestamp": "timestamp"}
_DTYPE_OF: dict[Kind, Dtype] = {"bool": "bool", "number": "float", "string": "string", "timestamp": "timestamp", "null": "float", "any": "string"}


class Problem(Exception):
    """What is wrong with an expression, and the span of characters where."""

    def __init__(self, what: str, span: tuple[int, int], *, name: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what, self.span, self.name, self.hint = what, span, name, hint


@dataclass(frozen=True)
class Node:
    """A compiled piece: its type, its function, and its value where it is a literal."""

    kind: Kind
    evaluate: Callable[[Rows], Array]
    literal: object = None


def _span(tree: exp.Expression) -> tuple[int, int]:
    places = [(node.meta["start"], node.meta["end"]) for node in tree.walk() if "start" in node.meta]
    return (min(p[0] for p in places), max(p[1] for p in places)) if places else (0, 0)


class Compiler:
    """Compiles one expression against a feature contract, remembering which columns and context keys it reads."""

    def __init__(self, dtypes: Mapping[str, Dtype]) -> None:
        self.dtypes = dtypes
        self.columns: list[str] = []
        self.context_keys: list[str] = []

    def compile(self, tree: exp.Expression) -> Node:
        """The function of `tree`, or a `Problem`."""
        for kind, method in self._NODES.items():
            if isinstance(tree, kind):
                return method(self, tree)
        raise Problem(f"{tree.key.upper()} is outside the SQL subset of conditions", _span(tree))

    def as_kind(self, node: Node, wanted: Kind, tree: exp.Expression) -> Node:
        """`node` read as `wanted`; booleans and numbers stand for one another, as in DuckDB."""
        if node.kind == wanted:
            return node
        if node.kind == "null":
            empty = null_column(_DTYPE_OF[wanted], 1)[0]
            dtype = object if wanted == "string" else None
            return Node(wanted, lambda rows: np.asarray(empty, dtype=dtype))
        if node.kind == "any":
            return Node(wanted, lambda rows: _read_context(node.evaluate(rows).item(), wanted))
        if {node.kind, wanted} == {"bool", "number"}:
            turn = (lambda a: sql.with_nulls(a != 0, a)) if wanted == "bool" else (lambda a: a)
            return Node(wanted, lambda rows: turn(node.evaluate(rows)))
        if wanted == "timestamp" and isinstance(node.literal, str):
            return Node("timestamp", _constant(_timestamp(node.literal, tree)), node.literal)
        raise Problem(f"a {wanted} is needed here, this is a {node.kind}", _span(tree))

    def _same_kind(self, trees: list[exp.Expression]) -> tuple[Kind, list[Node]]:
        """All of `trees` read as one type: that of the first that has one (times win over texts, for `day >= '2026-01-01'`)."""
        nodes = [self.compile(tree) for tree in trees]
        kinds = [node.kind for node in nodes if node.kind not in ("null", "any")]
        kind: Kind = "timestamp" if "timestamp" in kinds else (kinds[0] if kinds else "string")
        if kind == "bool" and "number" in kinds:
            kind = "number"
        return kind, [self.as_kind(node, kind, tree) for node, tree in zip(nodes, trees, strict=True)]

    def _call(self, function: Callable[..., Array], kind: Kind, nodes: list[Node]) -> Node:
        return Node(kind, lambda rows: function(*[node.evaluate(rows) for node in nodes]))

    # one method a kind of node -----------------------------------------------------------------------------------

    def _column(self, tree: exp.Column) -> Node:
        name = tree.name
        if tree.table == "context" or (not tree.table and name == "context"):
            if not tree.table:
                raise Problem("`context` needs a key: context.intent", _span(tree))
            self._remember(self.context_keys, name)
            return Node("any", lambda rows: np.asarray(rows.context.get(name), dtype=object))
        if tree.table:
            raise Problem(f"columns carry no table name; '{tree.table}' is not known", _span(tree))
        found = name if name in self.dtypes else next((one for one in self.dtypes if one.lower() == name.lower()), None)
        if found is None:
            raise Problem(f"unknown column '{name}'", _span(tree), name=name)
        self._remember(self.columns, found)
        dtype = self.dtypes[found]
        absent = null_column(dtype, 1)
        return Node(_KIND_OF[dtype], lambda rows: rows.columns.get(found, absent))

    @staticmethod
    def _remember(names: list[str], name: str) -> None:
        if name not in names:
            names.append(name)

    def _literal(self, tree: exp.Literal) -> Node:
        if tree.is_string:
            return Node("string", _constant(np.asarray(tree.this, dtype=object)), str(tree.this))
        return Node("number", _constant(np.asarray(float(tree.this))), float(tree.this))

    def _boolean(self, tree: exp.Boolean) -> Node:
        return Node("bool", _constant(np.asarray(float(tree.this))), bool(tree.this))

    def _null(self, tree: exp.Null) -> Node:
        return Node("null", _constant(np.asarray(np.nan)))

    def _cast(self, tree: exp.Cast) -> Node:
        if tree.to.this in (exp.DataType.Type.DATE, exp.DataType.Type.TIMESTAMP) and isinstance(tree.this, exp.Literal) and tree.this.is_string:
            return Node("timestamp", _constant(_timestamp(str(tree.this.this), tree)), tree.this.this)
        raise Problem("only DATE '…' and TIMESTAMP '…' literals may be cast", _span(tree))

    def _connect(self, tree: exp.Connector) -> Node:
        function = sql.and_ if isinstance(tree, exp.And) else sql.or_
        sides = [self.as_kind(self.compile(side), "bool", side) for side in (tree.left, tree.right)]
        return self._call(function, "bool", sides)

    def _not(self, tree: exp.Not) -> Node:
        return self._call(sql.not_, "bool", [self.as_kind(self.compile(tree.this), "bool", tree.this)])

    def _compare(self, tree: exp.Binary) -> Node:
        _, sides = self._same_kind([tree.left, tree.right])
        return self._call(sql.compare(_COMPARISONS[type(tree)]), "bool", sides)

    def _arithmetic(self, tree: exp.Binary) -> Node:
        sides = [self.as_kind(self.compile(side), "number", side) for side in (tree.left, tree.right)]
        return self._call(_ARITHMETIC[type(tree)], "number", sides)

    def _negate(self, tree: exp.Neg) -> Node:
        return self._call(np.negative, "number", [self.as_kind(self.compile(tree.this), "number", tree.this)])

    def _in(self, tree: exp.In) -> Node:
        if not tree.expressions:
            raise Problem("IN takes a list of values", _span(tree))
        _, (value, *options) = self._same_kind([tree.this, *tree.expressions])
        equal = sql.compare(operator.eq)

        def evaluate(rows: Rows) -> Array:
            looked_for, answer = value.evaluate(rows), np.asarray(0.0)
            for option in options:
                answer = sql.or_(answer, equal(looked_for, option.evaluate(rows)))
            return answer

        return Node("bool", evaluate)

    def _between(self, tree: exp.Between) -> Node:
        _, nodes = self._same_kind([tree.this, tree.args["low"], tree.args["high"]])
        at_least, at_most = sql.compare(operator.ge), sql.compare(operator.le)
        return self._call(lambda value, low, high: sql.and_(at_least(value, low), at_most(value, high)), "bool", nodes)

    def _is(self, tree: exp.Is) -> Node:
        node = self.compile(tree.this)
        if isinstance(tree.expression, exp.Null):
            return Node("bool", lambda rows: sql.is_null(node.evaluate(rows)).astype(float))
        if isinstance(tree.expression, exp.Boolean):
            wanted, condition = float(tree.expression.this), self.as_kind(node, "bool", tree.this)
            return Node("bool", lambda rows: (condition.evaluate(rows) == wanted).astype(float))
        raise Problem("IS takes NULL, TRUE or FALSE", _span(tree))

    def _case(self, tree: exp.Case | exp.If) -> Node:
        branches = tree.args.get("ifs") or [tree]
        when = [exp.EQ(this=tree.this, expression=branch.this) if isinstance(tree, exp.Case) and tree.this else branch.this for branch in branches]
        conditions = [self.as_kind(self.compile(one), "bool", one) for one in when]
        default = tree.args.get("default") or tree.args.get("false") or exp.Null()
        kind, values = self._same_kind([*[branch.args["true"] for branch in branches], default])

        def evaluate(rows: Rows) -> Array:
            results = [value.evaluate(rows) for value in values]
            return sql.case([condition.evaluate(rows) for condition in conditions], results[:-1], results[-1])

        return Node(kind, evaluate)

    def _variadic(self, tree: exp.Func) -> Node:
        kind, nodes = self._same_kind([tree.this, *tree.expressions])
        return self._call(_VARIADIC[type(tree)], kind, nodes)

    def _absolute(self, tree: exp.Abs) -> Node:
        return self._call(np.abs, "number", [self.as_kind(self.compile(tree.this), "number", tree.this)])

    def _round(self, tree: exp.Round) -> Node:
        digits = tree.args.get("decimals") or exp.Literal.number(0)
        nodes = [self.as_kind(self.compile(one), "number", one) for one in (tree.this, digits)]
        return self._call(sql.round_half_away, "number", nodes)

    def _text_function(self, tree: exp.Func) -> Node:
        function = str.lower if isinstance(tree, exp.Lower) else str.upper
        return self._call(sql.on_text(function), "string", [self.as_kind(self.compile(tree.this), "string", tree.this)])

    def _like(self, tree: exp.Like | exp.ILike) -> Node:
        pattern = self.compile(tree.expression).literal
        if not isinstance(pattern, str):
            raise Problem("LIKE takes a fixed pattern in quotes", _span(tree.expression))
        matches = sql.like(pattern, ignore_case=isinstance(tree, exp.ILike))
        return self._call(matches, "bool", [self.as_kind(self.compile(tree.this), "string", tree.this)])

    def _date_part(self, part: str, tree: exp.Expression, value: exp.Expression) -> Node:
        name = {"dayofweek": "dow", "dayofyear": "doy", "dayofmonth": "day", "weekday": "dow"}.get(part.lower(), part.lower())
        if name not in sql.DATE_PARTS:
            raise Problem(f"unknown date part '{part}'", _span(tree), hint=f"allowed: {', '.join(sql.DATE_PARTS)}")
        return self._call(sql.date_part(name), "number", [self.as_kind(self.compile(value), "timestamp", value)])

    def _extract(self, tree: exp.Extract) -> Node:
        return self._date_part(tree.this.name, tree, tree.expression)

    def _named_part(self, tree: exp.Func) -> Node:
        return self._date_part(tree.key.replace("dayof", "dayof").replace("_", ""), tree, tree.this)

    def _anonymous(self, tree: exp.Anonymous) -> Node:
        name = tree.name.lower()
        if name in ("date_part", "datepart") and len(tree.expressions) == 2 and isinstance(tree.expressions[0], exp.Literal):
            return self._date_part(str(tree.expressions[0].this), tree, tree.expressions[1])
        raise Problem(f"the function {name} is outside the SQL subset of conditions", _span(tree))

    def _paren(self, tree: exp.Paren) -> Node:
        return self.compile(tree.this)

    _NODES: ClassVar[dict[Any, Callable[[Any, Any], Node]]] = {
        exp.Column: _column, exp.Literal: _literal, exp.Boolean: _boolean, exp.Null: _null, exp.Cast: _cast, exp.Paren: _paren,
        exp.And: _connect, exp.Or: _connect, exp.Not: _not,
        exp.EQ: _compare, exp.NEQ: _compare, exp.GT: _compare, exp.GTE: _compare, exp.LT: _compare, exp.LTE: _compare,
        exp.Add: _arithmetic, exp.Sub: _arithmetic, exp.Mul: _arithmetic, exp.Div: _arithmetic, exp.Mod: _arithmetic, exp.IntDiv: _arithmetic,
        exp.Neg: _negate, exp.In: _in, exp.Between: _between, exp.Is: _is, exp.Case: _case, exp.If: _case,
        exp.Coalesce: _variadic, exp.Least: _variadic, exp.Greatest: _variadic, exp.Abs: _absolute, exp.Round: _round,
        exp.Lower: _text_function, exp.Upper: _text_function, exp.Like: _like, exp.ILike: _like, exp.Extract: _extract,
        exp.Year: _named_part, exp.Quarter: _named_part, exp.Month: _named_part, exp.Day: _named_part, exp.DayOfWeek: _named_part,
        exp.DayOfYear: _named_part, exp.DayOfMonth: _named_part, exp.Hour: _named_part, exp.Minute: _named_part, exp.Second: _named_part,
        exp.Anonymous: _anonymous,
    }  # fmt: skip


_COMPARISONS: dict[Any, Callable[[Any, Any], Any]] = {
    exp.EQ: operator.eq, exp.NEQ: operator.ne, exp.GT: operator.gt, exp.GTE: operator.ge, exp.LT: operator.lt, exp.LTE: operator.le,
}  # fmt: skip
_ARITHMETIC: dict[Any, Callable[[Array, Array], Array]] = {
    exp.Add: sql.arithmetic(operator.add), exp.Sub: sql.arithmetic(operator.sub), exp.Mul: sql.arithmetic(operator.mul),
    exp.Div: sql.arithmetic(np.divide), exp.Mod: sql.modulo, exp.IntDiv: sql.integer_divide,
}  # fmt: skip
_VARIADIC: dict[Any, Callable[..., Array]] = {exp.Coalesce: sql.coalesce, exp.Least: sql.least, exp.Greatest: sql.greatest}


def _constant(value: Array) -> Callable[[Rows], Array]:
    return lambda rows: value


def _timestamp(text: str, tree: exp.Expression) -> Array:
    try:
        return np.asarray(np.datetime64(text.strip(), "us"))
    except ValueError:
        raise Problem(f"'{text}' is not a date or time", _span(tree)) from None


def _read_context(value: object, wanted: Kind) -> Array:
    """A value of the request context as `wanted`; what cannot be read so is NULL."""
    if wanted == "string":
        return np.asarray(None if value is None else str(value), dtype=object)
    try:
        if wanted == "timestamp":
            return np.asarray(np.datetime64("NaT" if value is None else str(value).removesuffix("Z"), "us"))
        number = float(value) if isinstance(value, bool | int | float | str) else np.nan
    except ValueError:
        number = {"true": 1.0, "false": 0.0}.get(str(value).strip().lower(), np.nan)
        return np.asarray(np.datetime64("NaT", "us")) if wanted == "timestamp" else np.asarray(number)
    return np.asarray(number if np.isfinite(number) else np.nan)
