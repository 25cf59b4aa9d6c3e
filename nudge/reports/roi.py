"""`nudge report roi`: what marketing brought in, by comparison and by attribution, and every figure under its head."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

from decisioning.control import HOLDOUT, TREATED
from measurement.intervals import Interval
from measurement.launching import Design, minimum_detectable_effect, required_contacts, sample_ratio
from measurement.lift import Layers, Lift
from measurement.roi import HEADS, KPI_BY_ID, KPIS, Figures, Kpi, figures, ranked
from nudge.reports.crediting import attribution, chain, content, firms
from nudge.reports.distinct import DIMENSIONS
from nudge.reports.facts import Facts, Span
from nudge.reports.tallies import Tallied, prepare, tally
from nudge.reports.worth import FEWEST, History, Logged, compare, programme, programme_by_month, read_logged

NOT_RANDOMISED = "the log does not say with what probability its controls were left alone: the comparison may be unfair"


def roi_report(facts: Facts, span: Span) -> dict[str, Any]:
    """The figures of the report.

    Returns
    -------
    dict
        `incremental`: what contacting was worth by comparison; `heads`: every figure of the whole; `by`: of every slice; `attribution`,
        `firms`, `chain`, `content`; `launch`: what the control groups can show; `unmeasured`: figures that nothing here measures.
    """
    prepare(facts, span)
    compared, groups, sizes = _comparisons(facts, span)
    sums = _with_incremental(tally(facts, "all"), compared)
    by = {name: rows_of(tally(facts, name)) for name in DIMENSIONS if name != "all"}
    by["period"].sort(key=lambda row: str(row["name"]))  # months are read in their order
    return {
        "report": "roi",
        **period_of(facts, span),
        "currency": facts.catalog.currency,
        "incremental": {**compared, "attributed_beyond": _attributed_beyond(sums, compared)},
        "heads": {head: _head(head, sums, compared) for head in HEADS},
        "by": by,
        "attribution": attribution(facts),
        "firms": firms(facts),
        "chain": chain(facts),
        "content": content(facts),
        "launch": launch(facts, sizes, groups),
        "unmeasured": [kpi.id for kpi in KPIS if figures(kpi, sums) is None],
    }


def _attributed_beyond(sums: Mapping[str, np.ndarray], compared: Mapping[str, Any]) -> float | None:
    """The attributed return less the incremental one: by how much attribution overstates it."""
    basis = basis_of(compared)
    found = figures(KPI_BY_ID["attributed_roi"], sums)
    if basis is None or basis["roi"] is None or basis["roi"]["value"] is None or found is None or not found.value.size:
        return None
    return number(float(found.value[0]) - basis["roi"]["value"])


def _comparisons(facts: Facts, span: Span) -> tuple[dict[str, Any], dict[str, Layers], dict[str, int]]:
    groups, sizes = programme(facts, span)
    read = read_logged(facts, span)
    logged = None if read is None else compare(read)
    made = {"programme": _programme(groups), "history": None if logged is None else _history(logged), "by_month": _by_month(read)}
    made["programme_by_month"] = [
        {"month": one.month, "treated": one.treated, "control": one.control, "profit": interval(one.profit)}
        for one in (programme_by_month(facts, span) if groups else ())
    ]
    return made, groups, sizes


def _by_month(read: Logged | None) -> list[dict[str, Any]]:
    """What logged touches were worth month by month; months with too few of either side are left out."""
    if read is None or np.isnat(read.moment).all():
        return []
    months, found = read.moment.astype("datetime64[M]"), []
    for month in np.unique(months[~np.isnat(months)]):
        here = months == month
        sides = [int((read.exposed[here] == side).sum()) for side in (1, 0)]
        made = compare(read.of(here)) if min(sides) >= FEWEST else None
        if made is not None:
            found.append({"month": str(month), "treated": sides[0], "control": sides[1], "profit": interval(made.profit.per_contact)})
    return found


def whole_sums(facts: Facts, span: Span) -> dict[str, np.ndarray]:
    """The sums of the whole, with those that a comparison gives; needs `tallies.prepare`."""
    return _with_incremental(tally(facts, "all"), _comparisons(facts, span)[0])


def period_of(facts: Facts, span: Span) -> dict[str, Any]:
    """What a report is about: from when to when, and how new the data are."""
    return {
        "period": {"begin": iso(span.begin), "end": iso(span.end)},
        "as_of": iso(facts.newest),
    }


def iso(moment: datetime | None) -> str | None:
    """A naive UTC time for JSON."""
    return None if moment is None else f"{moment.isoformat()}Z"


def number(value: float) -> float | None:
    """A number for JSON: None where it is not finite."""
    return float(value) if math.isfinite(value) else None


def interval(found: Interval | None) -> dict[str, Any] | None:
    """An interval for JSON."""
    return None if found is None else {"value": number(found.value), "low": number(found.low), "high": number(found.high)}


def lift_document(profit: Lift, revenue: Lift) -> dict[str, Any]:
    """A comparison: who against whom, a contact and in all, and the return on what was spent."""
    cost = revenue.total.value - profit.total.value
    return {
        "treated": profit.treated.contacts,
        "control": profit.control.contacts,
        "profit": {
            "per_contact": interval(profit.per_contact),
            "always_valid": interval(profit.always_valid),
            "total": interval(profit.total),
            "relative": interval(profit.relative),
        },
        "revenue": {"per_contact": interval(revenue.per_contact), "total": interval(revenue.total)},
        "cost": cost,
        "roi": interval(_return(profit.total, cost)) if cost > 0 else None,
        "variance_reduction": number(profit.variance_reduction),
        "covariates_used": profit.covariates_used,
    }


def _return(total: Interval, cost: float) -> Interval:
    """The total is after cost already, and the cost is known: only the money that came in is uncertain."""
    return Interval(total.value / cost, total.low / cost, total.high / cost, total.standard_error / cost)


def _programme(groups: Mapping[str, Layers]) -> dict[str, Any] | None:
    if not groups or not groups["profit"].lifts:
        return None
    profit, revenue = groups["profit"], groups["revenue"]
    return {
        "layers": [{"control_group": name, **lift_document(one, revenue.lifts[name])} for name, one in profit.lifts.items()],
        "too_small": dict(profit.too_small),
    }


def _history(logged: History) -> dict[str, Any]:
    return {
        **lift_document(logged.profit, logged.revenue),
        "randomised": logged.randomised,
        "open_rows": logged.open_rows,
        "clipped": logged.clipped,
        "note": None if logged.randomised else NOT_RANDOMISED,
    }


def basis_of(compared: Mapping[str, Any]) -> dict[str, Any] | None:
    """The comparison that incremental figures are of: the programme against its holdout, else logged touches against logged controls."""
    made = compared["programme"]
    found = next((one for one in made["layers"] if one["control_group"] == HOLDOUT), None) if made else None
    return found or compared["history"]


def _with_incremental(whole: Tallied, compared: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The sums of the whole, with those that a comparison gives."""
    sums = dict(whole.sums)
    if not whole.names:
        return sums
    basis = basis_of(compared)
    if basis is not None and basis["revenue"]["total"]["value"] is not None:
        sums["incremental_revenue"] = np.array([basis["revenue"]["total"]["value"]])
        sums["incremental_profit"] = np.array([basis["profit"]["total"]["value"]])
        sums["marketing_cost_compared"] = np.array([basis["cost"]])
    return sums


def figure_of_whole(kpi: Kpi, sums: Mapping[str, np.ndarray]) -> Figures | None:
    """A figure of the whole; the incremental return is on the cost of those who were compared, and no others."""
    if kpi.id == "incremental_roi" and "marketing_cost_compared" in sums:
        return figures(kpi, {**sums, "marketing_cost": sums["marketing_cost_compared"]})
    return figures(kpi, sums)


def _head(head: str, sums: Mapping[str, np.ndarray], compared: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows, basis = [], basis_of(compared)
    uncertain = (
        {}
        if basis is None
        else {
            "incremental_roi": basis["roi"],
            "incremental_profit": basis["profit"]["total"],
            "incremental_revenue": basis["revenue"]["total"],
        }
    )
    for kpi in KPIS:
        found = figure_of_whole(kpi, sums) if kpi.head == head else None
        if found is None or found.value.size == 0:
            continue
        value, low, high = (number(float(one[0])) for one in (found.value, found.low, found.high))
        if uncertain.get(kpi.id) is not None:
            low, high = uncertain[kpi.id]["low"], uncertain[kpi.id]["high"]
        rows.append({"kpi": kpi.id, "unit": kpi.unit, "meaning": kpi.meaning, "value": value, "low": low, "high": high})
    return rows


def rows_of(tallied: Tallied) -> list[dict[str, Any]]:
    """Every figure of every group, best first by the money that is left."""
    columns = {kpi.id: figures(kpi, tallied.sums) for kpi in KPIS}
    place = {name: k for k, name in enumerate(tallied.names)}
    ordered = ranked(tallied.names, tallied.sums) if tallied.names else []
    return [
        {"name": name, **{key: number(float(found.value[place[name]])) for key, found in columns.items() if found is not None}}
        for name in ordered
    ]


def launch(facts: Facts, sizes: Mapping[str, int], groups: Mapping[str, Layers]) -> dict[str, Any] | None:
    """What the control groups can show: the smallest effect, the contacts for an effect of a tenth of a contact's money, the ratio check.

    Before anything was decided it speaks of the population as it is, and of the money that contacts brought in the last period.
    """
    shares = {name: share for name, share in facts.catalog.controls.shares.items() if share > 0}
    holdout = shares.get(HOLDOUT, 0.0)
    spread, mean, contacts = _money_of_a_period(facts)
    if not shares or contacts < 2:
        return None
    treated = 1.0 - sum(shares.values())
    # Of the money that covariates explain, as much as they did: nothing is promised before it was seen.
    seen = groups["profit"].lifts.get(HOLDOUT) if groups else None
    reduction = min(max(seen.variance_reduction, 0.0), 0.99) if seen is not None else 0.0
    rows = []
    for looks in (False, True):
        if not 0 < holdout < 1 or treated <= 0:
            break
        design = Design(spread, holdout / (holdout + treated), reduction, always_valid=looks)
        within = round(contacts * (holdout + treated))
        effect = 0.1 * mean
        rows.append(
            {
                "always_valid": looks,
                "contacts": within,
                "minimum_detectable_effect": number(minimum_detectable_effect(design, within)),
                "required_contacts_for_a_tenth": required_contacts(design, effect) if effect > 0 else None,
            }
        )
    document: dict[str, Any] = {"spread": spread, "mean": mean, "population": contacts, "holdout": rows, "sample_ratio": None}
    if sizes:
        check = sample_ratio(sizes, {TREATED: max(treated, 0.0), **shares})
        document["sample_ratio"] = {
            "groups": [{"control_group": k, "contacts": n, "expected": check.expected[k]} for k, n in check.observed.items()],
            "p_value": check.p_value,
            "alarm": check.alarm,
        }
    return document


def _money_of_a_period(facts: Facts) -> tuple[float, float, int]:
    """Standard deviation and mean of a contact's money in the last period of the catalogue's length, and how many contacts there are."""
    days = float(facts.catalog.period_days)
    (spread, mean, contacts) = facts.one(
        f"""SELECT coalesce(stddev_samp(coalesce(m.value, 0)), 0), coalesce(avg(coalesce(m.value, 0)), 0), count(*)
          FROM people p LEFT JOIN (
          SELECT contact_id, sum(value) AS value FROM happened WHERE kind = 'conversion' AND behaviour = 'positive' AND (occurred_at IS NULL
            OR occurred_at > (SELECT max(known_at) FROM happened WHERE kind = 'conversion') - to_microseconds({round(days * 86400e6)}))
          GROUP BY contact_id) m USING (contact_id)"""
    )
    return float(str(spread)), float(str(mean)), int(str(contacts))
