"""Audiences: the four segments, the newest plan, and what it would be under other limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from decisioning.catalog import Catalog
from decisioning.errors import NudgeError, RequestError
from serving.console import words
from serving.console.console import SAMPLE, Console
from serving.console.contact import SEGMENTS
from serving.console.forms import amount
from serving.console.population import customer_segments, value_finder
from serving.schemas.plans import PlanIn

_LIMIT = "limit:"
_FORMS = ("csv", "parquet", "ndjson")


def audiences(console: Console, fields: Mapping[str, str]) -> dict[str, Any]:
    """What the page shows: the fields hold the limits that are asked about, and `making`, the job of a plan that is being made."""
    segments, kept, offered = console.segments(), console.report("segments"), console.report("value-finder")
    newest, problem = _newest(console)
    return {
        "title": "Audiences",
        "figures": [segments, kept, offered],
        "segments": segments,
        "segment_rows": [] if segments.document is None else _segments(segments.document),
        "kept": kept,
        "customer_segments": [] if kept.document is None else customer_segments(kept.document),
        "offered": offered,
        "finder": None if offered.document is None else value_finder(offered.document),
        "plan": None if newest is None else _plan(newest, console.catalog),
        "problem": problem,
        "limits": _limits(console.catalog, fields),
        "sample": SAMPLE,
        "question": _question(console, fields),
        "making": _making(console, fields.get("making", "")),
    }


def _segments(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "segment": one["segment"],
            "meaning": SEGMENTS[one["segment"]],
            "contacts": one["contacts"],
            "share": one["share"],
            "baseline": words.percent(one["baseline"]),
            "uplift": words.percent(one["uplift"]),
            "profit": words.money(one["profit"], document["currency"]),
        }
        for one in document["segments"]
    ]


def _newest(console: Console) -> tuple[dict[str, Any] | None, str | None]:
    """The newest plan's manifest, or why there is none."""
    try:
        kept = console.service.plans.listed()["plans"]
        return (console.service.plans.plan(kept[0]["plan_id"])["result"], None) if kept else (None, None)
    except NudgeError as error:
        return None, str(error)


def _plan(manifest: Mapping[str, Any], catalog: Catalog) -> dict[str, Any]:
    currency = catalog.currency
    return {
        "id": manifest["plan_id"],
        "created_at": manifest["created_at"],
        "as_of": manifest["as_of"],
        "old": manifest["catalog"] != catalog.fingerprint,
        "contacts": manifest["contacts"],
        "selected": manifest["selected"],
        "profit": words.money(manifest["expected_profit"], currency),
        "incremental": manifest["incremental"],
        "gap": words.percent(manifest["optimality_gap"]),
        "channels": [
            (name, manifest["by_channel"].get(name, 0)) for name in catalog.channels if f"audience_{name}.csv" in manifest["files"]
        ],
        "actions": sorted(
            ((name, number) for name, number in manifest["by_action"].items() if name != "no_action"), key=lambda one: -one[1]
        ),
        "left_alone": manifest["by_action"].get("no_action", 0),
        "constraints": [constraint_line(one, currency) for one in manifest["constraints"]],
        "forms": _FORMS,
    }


def constraint_line(one: Mapping[str, Any], currency: str) -> dict[str, Any]:
    """A constraint of a plan in words: used, limit, left, and what one more unit would bring."""

    def said(value: float | None) -> str | None:
        return None if value is None else words.money(value, currency) if one["measure"] == "cost" else words.count(value)

    price = one["shadow_price"]
    unit = f"one {currency} more of budget" if one["measure"] == "cost" else "one contact more"
    worth = f"{unit} would bring {words.money(price, currency)}" if price > 0 else "more of it would bring nothing: it is not used up"
    return {
        "id": one["id"],
        "used": said(one["used"]),
        "limit": said(one["limit"]),
        "least": said(one["min"]),
        "left": said(one["slack"]),
        "share": one["used"] / one["limit"] if one["limit"] else None,
        "worth": worth,
        "binds": price > 0,
    }


def _limits(catalog: Catalog, fields: Mapping[str, str]) -> list[dict[str, Any]]:
    """The limits that can be asked about, as fields of the form."""
    return [
        {
            "field": f"{_LIMIT}{one.id}",
            "id": one.id,
            "now": _written(one.max),
            "value": fields.get(f"{_LIMIT}{one.id}", _written(one.max)),
            "unit": catalog.currency if one.measure == "cost" else "contacts",
        }
        for one in catalog.constraints
        if one.max is not None
    ]


def _written(amount: float) -> str:
    """A number as it is typed, to the last digit.

    Examples
    --------
    >>> _written(6300.0), _written(0.125)
    ('6300', '0.125')
    """
    return f"{amount:.0f}" if amount == int(amount) else repr(amount)


def asked_limits(fields: Mapping[str, str], catalog: Catalog) -> dict[str, float]:
    """The limits of a form that differ from the catalogue's.

    Raises
    ------
    RequestError
        One of them is no amount, or no limit of the catalogue.
    """
    now = {one.id: one.max for one in catalog.constraints if one.max is not None}
    found = {}
    for name in fields:
        if not name.startswith(_LIMIT):
            continue
        limit = name.removeprefix(_LIMIT)
        if limit not in now:
            raise RequestError("is no limit of the catalogue", field="limit", got=limit, allowed=", ".join(now))
        value = amount(fields, name)
        if value != now[limit]:
            found[limit] = value
    return found


def make(console: Console, fields: Mapping[str, str]) -> str:
    """Write changed limits into the catalogue, and have the plan made; the job.

    Raises
    ------
    RequestError
        A limit cannot be changed.
    """
    limits = asked_limits(fields, console.catalog)
    if limits:
        console.desk.change_limits(limits)
    return str(console.service.plans.start(PlanIn())["id"])


def _question(console: Console, fields: Mapping[str, str]) -> dict[str, Any] | None:
    """What the plan would be under the limits of the form, beside what it is under those of now."""
    if not any(name.startswith(_LIMIT) for name in fields):
        return None
    try:
        limits = asked_limits(fields, console.catalog)
    except RequestError as error:
        return {"state": "failed", "reason": str(error)}
    if not limits:
        return {"state": "failed", "reason": "every limit is as it is now: change one first"}
    figure = console.question(limits)
    if figure.document is None:
        return {"state": "making" if figure.making else "failed", "reason": figure.problem or "try again in a moment"}
    return {"state": "done", **_compared(figure.document["then"], figure.document["now"], console.catalog.currency)}


def _compared(asked: Mapping[str, Any], base: Mapping[str, Any], currency: str) -> dict[str, Any]:
    difference = asked["expected_profit"] - base["expected_profit"]
    kept = {one["id"]: one for one in base["constraints"]}
    channels = sorted({*asked["by_channel"], *base["by_channel"]})
    return {
        "profit": words.money(asked["expected_profit"], currency),
        "profit_now": words.money(base["expected_profit"], currency),
        "difference": words.money(abs(difference), currency),
        "better": difference > 0,
        "same": abs(difference) < 0.005,
        "selected": asked["selected"],
        "selected_now": base["selected"],
        "constraints": [(constraint_line(kept[one["id"]], currency), constraint_line(one, currency)) for one in asked["constraints"]],
        "channels": [(name, base["by_channel"].get(name, 0), asked["by_channel"].get(name, 0)) for name in channels],
        "sampled": asked.get("sample"),
    }


def _making(console: Console, job: str) -> dict[str, Any] | None:
    """How far a plan is that is being made."""
    if not job:
        return None
    try:
        one = console.service.plans.plan(job)
    except NudgeError as error:
        return {"state": "failed", "reason": str(error)}
    state = {"completed": "done", "failed": "failed"}.get(one["status"], "making")
    return {"state": state, "progress": one["progress"], "message": one["message"], "reason": one["reason"], "plan_id": one["plan_id"]}
