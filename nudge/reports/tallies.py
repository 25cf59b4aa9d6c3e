"""Sums by whatever one slices: of touches, of what followed them, of money; what `measurement.roi` makes its figures of.

An outcome that names its touch belongs to it; any other belongs to the contact's newest touch within the outcome's window: a conversion to
a touch whose action has it for a goal, a response or an opt-out to any. What follows a touch counts where and when the touch was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from nudge.reports.distinct import DIMENSIONS, count_contacts
from nudge.reports.facts import LEAD_EVENTS, Facts, Span, numbered

COMPLAINT_WORDS = ("compl", "spam")
"""An opt-out whose name has one of these is a complaint, any other an unsubscription."""

STAGES = ("new", "engaged", "customer", "unknown")
"""Funnel stage of a contact when it was touched: nothing known, has responded, has converted; unknown where nothing has a time."""


@dataclass(frozen=True, eq=False)
class Tallied:
    """The sums of each group: `names` and, for each sum, an array in their order."""

    names: Sequence[str]
    sums: Mapping[str, npt.NDArray[np.float64]]


def prepare(facts: Facts, span: Span) -> None:
    """Make the table `touched`, one row a touch in the span with what it led to, and count it in all dimensions at once.

    `cube` has the sums of every cell, `who` the contacts of every group, `everybody` what belongs to no touch, by market and month.
    """
    complaint = " OR ".join(f"contains(lower(outcome), '{word}')" for word in COMPLAINT_WORDS)
    facts.db.execute(_STAGED.format(span=span.holds("t.occurred_at")))
    facts.db.execute(_CREDITED)
    facts.db.execute(_TOUCHED.format(complaint=complaint))
    keys = ", ".join(f"{sql} AS by_{name}" for name, sql in DIMENSIONS.items())
    facts.db.execute(_CUBE.format(keys=keys))
    count_contacts(facts)
    _count_everybody(facts, span)


def tally(facts: Facts, dimension: str, market: str | None = None) -> Tallied:
    """The sums of every group of a dimension, largest first; of the whole, sums that belong to no touch as well. Needs `prepare`.

    With `market`, by month of the contacts of that market alone.
    """
    of = (dimension, market or "")
    if market is not None and dimension != "period":
        raise ValueError(f"of one market there are months; got {dimension}")
    table = facts.db.execute(_TALLY.format(by=dimension), {"dimension": of[0], "market": of[1]}).fetchnumpy()
    groups: list[Any] = table.pop("name").tolist()
    names = [_month(one) if dimension == "period" else str(one) for one in groups]
    sums = {name: np.asarray(np.ma.filled(np.ma.asarray(values).astype(np.float64), 0.0)) for name, values in table.items()}
    for name in _unmeasurable(facts):
        sums.pop(name, None)
    if dimension == "all" and not names and facts.number("SELECT count(*) FROM lead_steps"):
        names, sums = ["all"], {}  # nobody was touched, and sales got leads all the same
    if dimension in ("all", "market", "period"):
        sums |= _of_everybody(facts, dimension, names, market)
    return Tallied(names, sums)


def _unmeasurable(facts: Facts) -> list[str]:
    """Sums of what the catalogue has no word for: nothing is not the same as none."""
    outcomes = facts.catalog.outcomes
    kinds = {one.kind for one in outcomes.values()}
    complaints = any(one.kind == "opt_out" and any(word in name.lower() for word in COMPLAINT_WORDS) for name, one in outcomes.items())
    there = {
        "opens": "impression" in kinds,
        "clicks": any(one.kind == "response" and one.behaviour == "positive" for one in outcomes.values()),
        "rejections": any(one.kind == "response" and one.behaviour == "negative" for one in outcomes.values()),
        "unsubscribes": "opt_out" in kinds,
        "complaints": complaints,
        "triggers": bool(facts.catalog.triggers),
    }
    return [name for name, known in there.items() if not known]


def _count_everybody(facts: Facts, span: Span) -> None:
    """The table `everybody`: revenue, visits and leads of whoever it was, touched or not, by market and month."""
    asked = {
        "revenue": ("happened", "sum(value)", "kind = 'conversion' AND behaviour = 'positive'"),
        "visits": ("visits", "count(*)", "TRUE"),
    }
    if facts.number("SELECT count(*) FROM lead_steps"):
        asked |= {name: ("lead_steps", "count(*)", f"step = '{name}'") for name in LEAD_EVENTS}
        asked |= {name: ("lead_steps", f"sum({column})", "step = 'leads_won'") for name, column in _OF_WON.items()}
    if not facts.number("SELECT count(*) FROM events"):
        asked.pop("visits")
    if _compare_lifetime_values(facts, span):
        sums = {"clv_before": "sum(clv_before)", "clv_after": "sum(clv_after)", "clv_contacts": "count(*)"}
        asked |= {name: ("lifetime_values", expression, "TRUE") for name, expression in sums.items()}
    parts = [
        f"SELECT '{name}' AS figure, coalesce(p.market, 'unknown') AS market, year(x.occurred_at) * 100 + month(x.occurred_at) AS period, "
        f"{expression} AS value FROM {table} x LEFT JOIN people p USING (contact_id) "
        f"WHERE {condition} AND {span.holds('x.occurred_at')} GROUP BY ALL"
        for name, (table, expression, condition) in asked.items()
    ]
    listed = ", ".join(f"('{name}')" for name in asked)
    facts.db.execute(
        f"CREATE OR REPLACE TEMP TABLE everybody AS {' UNION ALL '.join(parts)};"
        f"CREATE OR REPLACE TEMP TABLE figures AS SELECT * FROM (VALUES {listed}) t(figure)"
    )


def _compare_lifetime_values(facts: Facts, span: Span) -> bool:
    """The table `lifetime_values`: what a contact was worth by the first and by the last plan of the span; False where there is but one."""
    holds = span.holds("as_of")
    ends = facts.db.execute(f"SELECT path, as_of FROM plans WHERE {holds} ORDER BY as_of, created_at DESC").fetchall()
    last = [path for path, as_of in ends if as_of == ends[-1][1]][:1]
    if len({as_of for _, as_of in ends}) < 2:
        return False
    rows = "read_parquet($path) WHERE contact_id IS NOT NULL AND isfinite(clv)"
    worth = f"SELECT {numbered('contact_id')}, any_value(clv) AS clv FROM {rows} GROUP BY 1"
    try:
        for name, path in (("clv_first", ends[0][0]), ("clv_last", last[0])):
            facts.db.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {worth}", {"path": path})
    except duckdb.Error:  # a damaged plan says nothing of worth, and is no reason to say nothing else
        return False
    facts.db.execute(
        """CREATE OR REPLACE TEMP TABLE lifetime_values AS SELECT contact_id, NULL::TIMESTAMP AS occurred_at,
        f.clv AS clv_before, l.clv AS clv_after FROM clv_first f JOIN clv_last l USING (contact_id)"""
    )
    return facts.number("SELECT count(*) FROM lifetime_values") > 0


def _of_everybody(facts: Facts, dimension: str, names: Sequence[str], market: str | None) -> dict[str, npt.NDArray[np.float64]]:
    by = {"all": "'all'", "market": "market"}.get(dimension, "period")
    here = "TRUE" if market is None else "market = $market"
    asked = f"SELECT figure, {by}, sum(value) FROM everybody WHERE {here} GROUP BY ALL"
    found: dict[str, dict[Any, float]] = {row[0]: {} for row in facts.db.execute("SELECT figure FROM figures").fetchall()}
    for figure, group, value in facts.db.execute(asked, {} if market is None else {"market": market}).fetchall():
        found[figure][_month(group) if dimension == "period" else group] = value
    if dimension == "period":  # the change is over the whole span, and of no month
        found = {figure: rows for figure, rows in found.items() if not figure.startswith("clv_")}
    return {figure: np.array([float(rows.get(one) or 0.0) for one in names]) for figure, rows in found.items()}


def _month(number: int | None) -> str:
    """`2026-03` for 202603: the months are made texts only once they are counted."""
    return "unknown" if number is None else f"{number // 100}-{number % 100:02}"


_OF_WON = {"lead_revenue": "revenue", "lead_days": "days"}


_STAGED = """
CREATE OR REPLACE TEMP TABLE past AS
  SELECT contact_id, min(occurred_at) FILTER (kind = 'conversion') AS converted_at, min(occurred_at) AS responded_at
  FROM happened WHERE behaviour = 'positive' AND kind IN ('conversion', 'response') AND occurred_at IS NOT NULL GROUP BY contact_id;
CREATE OR REPLACE TEMP TABLE staged AS
  SELECT t.*, c.issue, c.goal, p.market, p.account_id,
         CASE WHEN t.occurred_at IS NULL THEN 'unknown' WHEN s.converted_at < t.occurred_at THEN 'customer'
           WHEN s.responded_at < t.occurred_at THEN 'engaged' ELSE 'new' END AS stage
  FROM (SELECT * FROM touches t WHERE {span}) t LEFT JOIN past s USING (contact_id)
  LEFT JOIN catalog c USING (action_id) LEFT JOIN people p USING (contact_id);
"""

_CREDITED = """
CREATE OR REPLACE TEMP TABLE credited AS
  WITH ordered AS (
    SELECT *, row_number() OVER (PARTITION BY contact_id, kind ORDER BY occurred_at, outcome_id) AS place,
           coalesce(
             lag(occurred_at) OVER (PARTITION BY contact_id, outcome ORDER BY occurred_at, outcome_id), TIMESTAMP '1900-01-01'
           ) AS before
    FROM happened
  ), named AS (SELECT o.*, t.touch_id AS to_touch FROM ordered o LEFT JOIN (SELECT touch_id FROM staged) t USING (touch_id)),
  by_goal AS (
    SELECT o.* REPLACE (t.touch_id AS to_touch)
    FROM (SELECT * FROM named WHERE to_touch IS NULL AND touch_id IS NULL AND kind = 'conversion') o
    ASOF JOIN (SELECT touch_id, contact_id, goal, occurred_at FROM staged) t
      ON o.contact_id = t.contact_id AND o.outcome = t.goal AND o.occurred_at > t.occurred_at
    WHERE o.occurred_at <= t.occurred_at + to_microseconds(o.window_us)
  ), by_contact AS (
    SELECT o.* REPLACE (t.touch_id AS to_touch)
    FROM (SELECT * FROM named WHERE to_touch IS NULL AND touch_id IS NULL AND kind <> 'conversion') o
    ASOF JOIN (SELECT touch_id, contact_id, occurred_at FROM staged) t ON o.contact_id = t.contact_id AND o.occurred_at > t.occurred_at
    WHERE o.occurred_at <= t.occurred_at + to_microseconds(o.window_us)
  ), all_of_them AS (
    SELECT * FROM named WHERE to_touch IS NOT NULL UNION ALL SELECT * FROM by_goal UNION ALL SELECT * FROM by_contact
  )
  SELECT a.to_touch AS touch_id, a.kind, a.behaviour, a.outcome, a.value, a.place,
         date_diff('microsecond', f.occurred_at, a.occurred_at) / 86400e6 AS cycle_days
  FROM all_of_them a ASOF LEFT JOIN (SELECT contact_id, goal, occurred_at FROM staged WHERE occurred_at IS NOT NULL) f
    ON a.contact_id = f.contact_id AND a.outcome = f.goal AND a.before < f.occurred_at
"""

_TOUCHED = """
CREATE OR REPLACE TEMP TABLE touched AS
  WITH led AS (
    SELECT touch_id, bool_or(kind = 'impression') AS opened, bool_or(kind = 'response' AND behaviour = 'positive') AS clicked,
           bool_or(kind = 'response' AND behaviour = 'negative') AS rejected, bool_or(kind = 'opt_out' AND NOT ({complaint})) AS left_us,
           bool_or(kind = 'opt_out' AND ({complaint})) AS complained,
           count(*) FILTER (kind = 'conversion' AND behaviour = 'positive') AS conversions,
           count(*) FILTER (kind = 'conversion' AND behaviour = 'positive' AND place = 1) AS first_conversions,
           sum(value) FILTER (kind = 'conversion' AND behaviour = 'positive') AS revenue,
           sum(cycle_days) FILTER (kind = 'conversion' AND cycle_days >= 0) AS cycle_days,
           count(cycle_days) FILTER (kind = 'conversion' AND cycle_days >= 0) AS cycles
    FROM credited GROUP BY touch_id
  )
  SELECT s.*, l.* EXCLUDE (touch_id) FROM staged s LEFT JOIN led l USING (touch_id)
"""

_CUBE = """
CREATE OR REPLACE TEMP TABLE cube AS
SELECT {keys}, count(*) AS touches, count(*) FILTER (direction = 'outbound') AS sends,
       count(*) FILTER (direction = 'inbound') AS impressions, count(*) FILTER (triggered) AS triggers, count(*) FILTER (opened) AS opens,
       count(*) FILTER (clicked) AS clicks, count(*) FILTER (rejected) AS rejections, sum(conversions) AS conversions,
       sum(first_conversions) AS new_customers, sum(conversions - first_conversions) AS reconversions,
       sum(revenue) AS attributed_revenue, sum(cost) AS marketing_cost, sum(cycle_days) AS cycle_days, sum(cycles) AS cycles
FROM touched GROUP BY ALL
"""

_TALLY = """
WITH summed AS (
  SELECT by_{by} AS name, sum(COLUMNS(* EXCLUDE (by_all, by_channel, by_issue, by_action, by_stage, by_market, by_period)))
  FROM cube WHERE $market IN ('', by_market) GROUP BY 1
) SELECT s.*, w.contacts, w.unsubscribes, w.complaints, w.converters
FROM summed s JOIN who w ON w.name IS NOT DISTINCT FROM s.name::VARCHAR AND w.dimension = $dimension AND w.market = $market
ORDER BY touches DESC, s.name
"""
