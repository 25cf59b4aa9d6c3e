"""A plan that is only asked about: other limits than the catalogue's, or a sample of the contacts in the place of all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from decisioning.catalog import Catalog, Constraint, parse_catalog
from decisioning.errors import RequestError, nearest

_RANGE = ".."
_COUNTED = ("contacts", "selected", "treatments")
_COUNTS = ("by_channel", "by_action", "by_segment", "by_control_group")
_MONEY = ("expected_profit", "exploration_cost")
_OF_LIMIT = ("used", "limit", "min", "slack", "excess", "cost")


@dataclass(frozen=True)
class LimitChange:
    """Other bounds for the constraint `id`; a bound that is None stays as it is."""

    id: str
    max: float | None = None
    min: float | None = None


def parse_limit(text: str, catalog: Catalog) -> LimitChange:
    """The change that `ID=NUMBER` or `ID=MIN..MAX` asks for; one number is the maximum, of a constraint with a minimum alone the minimum.

    Raises
    ------
    RequestError
        It has another form, or the catalogue has no such constraint.
    """
    name, equals, amount = text.rpartition("=")
    least, two, most = amount.partition(_RANGE)
    try:
        numbers = [None if not one else _amount(one) for one in (least, most)]
    except ValueError:
        numbers = [None, None]
    if not equals or numbers == [None, None]:
        raise RequestError(
            "is no changed limit", field="--limit", got=f"'{text}'", allowed="ID=NUMBER or ID=MIN..MAX, such as budget=40000"
        )
    if two:
        return LimitChange(name, min=numbers[0], max=numbers[1])
    found = _constraint(catalog, name, "--limit")
    return LimitChange(name, min=numbers[0]) if found.max is None else LimitChange(name, max=numbers[0])


def _amount(text: str) -> float:
    amount = float(text)
    if not math.isfinite(amount) or amount < 0:
        raise ValueError("not an amount")
    return amount


def _constraint(catalog: Catalog, name: str, field: str) -> Constraint:
    known = {one.id: one for one in catalog.constraints}
    if name not in known:
        allowed = ", ".join(known) or "none: the catalogue has no constraints"
        raise RequestError("is no constraint of the catalogue", field=field, got=name, allowed=allowed, hint=nearest(name, known))
    return known[name]


def with_limits(catalog: Catalog, changes: Sequence[LimitChange], *, share: float = 1.0) -> Catalog:
    """The catalogue with other limits, for `share` of the population: that part of each limit and of the exploration budget.

    Raises
    ------
    RequestError
        A constraint is not in the catalogue, or its bounds would contradict each other.
    """
    wanted = {change.id: change for change in changes}
    for name in wanted:
        _constraint(catalog, name, "constraints")
    rows = []
    for one in catalog.constraints:
        change = wanted.get(one.id, LimitChange(one.id))
        least, most = (_first(*pair) for pair in ((change.min, one.min), (change.max, one.max)))
        if least is not None and most is not None and least > most:
            raise RequestError("the minimum is above the maximum", field=f"constraints.{one.id}", got=f"{least:g} and {most:g}")
        bounds = {"min": _times(least, share), "max": _times(most, share)}
        rows.append({**one.model_dump(mode="json"), **bounds})
    data = catalog.model_dump(mode="json") | {"constraints": rows}
    data["exploration"] = {**data["exploration"], "budget": catalog.exploration.budget * share}
    return parse_catalog(data)


def _first(changed: float | None, otherwise: float | None) -> float | None:
    return otherwise if changed is None else changed


def _times(amount: float | None, factor: float) -> float | None:
    return None if amount is None else amount * factor


def of_everyone(summary: dict[str, Any], contacts: int) -> dict[str, Any]:
    """The summary of a plan for a sample as an estimate for all `contacts`: money and counts times as many; prices are what they are.

    Examples
    --------
    >>> of_everyone({"contacts": 100, "selected": 10, "expected_profit": 5.5, "constraints": []}, 1000)["selected"]
    100
    """
    sampled = summary["contacts"]
    factor = contacts / sampled if sampled else 1.0
    estimate = dict(summary)
    estimate |= {name: round(summary[name] * factor) for name in _COUNTED if name in summary}
    estimate |= {name: summary[name] * factor for name in _MONEY if name in summary}
    estimate |= {name: {key: round(count * factor) for key, count in summary[name].items()} for name in _COUNTS if name in summary}
    estimate["constraints"] = [{**one, **{name: _times(one[name], factor) for name in _OF_LIMIT}} for one in summary["constraints"]]
    return estimate | {"sample": {"contacts": sampled, "of": contacts}}
