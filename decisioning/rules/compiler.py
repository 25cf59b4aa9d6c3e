"""From a parsed SQL expression to a function on arrays, checking columns and types on the way. Used by `rules.py` alone.

The compiler knows types; what each kind of node means stands in two tables, `operators.OPERATORS` and `functions.FUNCTIONS`.
What is in neither, or says more than its entry reads, is outside the subset.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlglot import exp

from decisioning.rules import sql_scalars as one
from decisioning.rules import sql_values as sql
from decisioning.rules.nodes import Kind, Meaning, Node, Problem, Span, constant, context_node, read_time
from decisioning.vocabulary import Dtype

Tree: TypeAlias = Any
"""A node of sqlglot, whose base class carries another name in each major version."""

_READ_BY_ALL = {"this", "expression", "expressions", "negate"}
_NO_MEANING = {"ignore_nulls", "typed", "safe", "is_nvl"}
"""Notes that sqlglot makes for other dialects; they change nothing of what DuckDB reads."""

NOT = Meaning(sql.not_, one.strictly(one.negation))
_TRUTH = Meaning(sql.truth, one.strictly(one.truth))

_NUMBER = re.compile(r"\s*[-+]?\d*\.?\d+\s*")
_CLOCKS = {"now", "today", "currentdate", "currenttimestamp", "currenttime", "localtimestamp", "localtime"}
_NO_CLOCK = "rules have no clock: use a feature such as days_since_last_event, or the action's `valid`"
_AS_NUMBER = "CASE WHEN ... THEN 1 ELSE 0 END makes a number of it"
_PATTERN = "LIKE knows % for any text and _ for any one character"
_SPAN_OF_TIME = "use a feature that counts, such as days_since_last_event, or compare with DATE '2026-01-31'"
_INSTEAD = {
    "arrayoverlaps": "conditions are combined with AND",
    "dpipe": "conditions are combined with OR; texts cannot be joined",
    "nullsafeeq": "write a = b OR (a IS NULL AND b IS NULL)",
    "nullsafeneq": "write NOT (a = b OR (a IS NULL AND b IS NULL))",
    **dict.fromkeys(("regexplike", "similarto", "glob", "contains", "startswith", "endswith"), _PATTERN),
    **dict.fromkeys(("datediff", "interval", "datetrunc", "timestamptrunc"), _SPAN_OF_TIME),
    **dict.fromkeys(_CLOCKS, _NO_CLOCK),
}
"""What to write instead of what is outside the subset, by its name."""


@dataclass(frozen=True)
class Method:
    """How one kind of node is compiled. `reads` names what `compile` reads of it besides `this` and `expression(s)`."""

    compile: Callable[[Compiler, Tree], Node]
    reads: tuple[str, ...] = ()


class Compiler:
    """Compiles one expression against a feature contract, remembering which columns and context keys it reads."""

    def __init__(self, text: str, dtypes: Mapping[str, Dtype], methods: Mapping[Any, Method], facts: tuple[str, ...]) -> None:
        self.text = text
        self.dtypes = dtypes
        self.methods = methods
        self.facts = facts
        self.columns: list[str] = []
        self.context_keys: list[str] = []

    def compile(self, tree: Tree) -> Node:
        """The function of `tree`, or a `Problem`."""
        method = self.methods.get(type(tree))
        if method is None:
            raise self.outside(tree)
        known = _READ_BY_ALL | _NO_MEANING | set(method.reads)
        for name, value in tree.args.items():
            if value and name not in known:
                raise Problem(f"{tree.key.upper()} with {name.upper()} is outside the SQL subset of conditions", span_of(tree))
        node = method.compile(self, tree)
        return call(NOT, "bool", [node]) if tree.args.get("negate") else node

    def typed(self, tree: Tree, wanted: Kind) -> Node:
        """`tree` compiled and read as `wanted`."""
        return self.as_kind(self.compile(tree), wanted, tree)

    def as_kind(self, node: Node, wanted: Kind, tree: Tree) -> Node:
        """`node` read as `wanted`: a number is a condition (not zero), a text in quotes a time, a context value what is needed."""
        if node.kind == wanted:
            return node
        if node.kind == "null":
            return constant(None, wanted)
        if node.kind == "any":
            return context_node(node.context_key, wanted)
        if (node.kind, wanted) == ("number", "bool"):
            return call(_TRUTH, "bool", [node])
        if (node.kind, wanted) == ("date", "timestamp"):
            return Node(wanted, node.on_arrays, node.on_row)
        if wanted in ("date", "timestamp") and isinstance(node.literal, str):
            return time_literal(node.literal, wanted, tree)
        raise Problem(f"a {wanted} is needed here, this is a {node.kind}", span_of(tree), hint=_conversion(node, wanted))

    def same_kind(self, trees: Sequence[Tree]) -> tuple[Kind, list[Node]]:
        """All of `trees` read as one type; beside numbers, a condition counts 1 or 0, as in DuckDB."""
        nodes = [self.compile(tree) for tree in trees]
        kind = common_kind([node.kind for node in nodes])
        return kind, [
            Node(kind, node.on_arrays, node.on_row) if (node.kind, kind) == ("bool", "number") else self.as_kind(node, kind, tree)
            for node, tree in zip(nodes, trees, strict=True)
        ]

    def outside(self, tree: Tree) -> Problem:
        """The refusal of a node that no method compiles, under its name."""
        name = str(tree.name if isinstance(tree, exp.Anonymous) else tree.key)
        word = re.search(rf"\b{re.escape(name)}\b", self.text, re.IGNORECASE)
        span = (word.start(), word.end() - 1) if word else span_of(tree)
        return Problem(f"{name.upper()} is outside the SQL subset of conditions", span, hint=_INSTEAD.get(name.lower()))


def _conversion(node: Node, wanted: Kind) -> str | None:
    """How to make what is `wanted` of a node of another kind."""
    if (node.kind, wanted) == ("bool", "number"):
        return _AS_NUMBER
    if isinstance(node.literal, str) and wanted == "bool":
        return "true and false are written without quotes"
    if isinstance(node.literal, str) and wanted == "number" and _NUMBER.fullmatch(node.literal):
        return "numbers are written without quotes"
    return f"a text stands in single quotes: '{node.literal:g}'" if isinstance(node.literal, float) and wanted == "string" else None


def call(meaning: Meaning, kind: Kind, nodes: Sequence[Node]) -> Node:
    """`meaning` of what `nodes` are, as a node of `kind`; of constants it is one, worked out now."""
    on_row = meaning.on_row(*[node.on_row for node in nodes])
    if all(isinstance(node.on_row, one.Constant) for node in nodes):
        return constant(on_row(one.Row({}, {})), kind)
    return Node(kind, lambda rows: meaning.on_arrays(*[node.on_arrays(rows) for node in nodes]), on_row)


def span_of(tree: Tree) -> Span | None:
    """Where `tree` stands in the text, as far as the parser noted it."""
    places = [(node.meta["start"], node.meta["end"]) for node in tree.walk() if "start" in node.meta]
    return (min(p[0] for p in places), max(p[1] for p in places)) if places else None


def common_kind(kinds: Sequence[Kind]) -> Kind:
    """The one type that values of `kinds` are compared in; the first of them where there is none, so that the others are refused.

    Examples
    --------
    >>> common_kind(["null", "date", "string"]), common_kind(["bool", "number"]), common_kind(["any", "null"])
    ('date', 'number', 'string')
    """
    given = [kind for kind in kinds if kind not in ("null", "any")]
    if not given:
        return "string" if "any" in kinds else "null"
    if set(given) == {"bool", "number"}:
        return "number"
    if "timestamp" in given:
        return "timestamp"
    return "date" if "date" in given else given[0]


def time_literal(text: str, kind: Kind, tree: Tree) -> Node:
    """The day or moment that a text in quotes writes."""
    value = read_time(text, kind)
    if value is None:
        written = "2026-01-31" if kind == "date" else "2026-01-31 10:00:00"
        raise Problem(f"'{text}' is not a {kind}", span_of(tree), hint=f"write it as '{written}'")
    return constant(value, kind)
