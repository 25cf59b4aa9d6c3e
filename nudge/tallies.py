"""Sums by whatever one slices: of touches, of what followed them, of money; what `measurement.roi` makes its figures of.

An outcome that names its touch belongs to it; any other belongs to the contact's newest touch within the outcome's window: a conversion to
a touch whose action has it for a goal, a response or an opt-out to any. What follows a touch counts where and when the touch was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nudge.facts import LEAD_EVENTS, Facts, Span

COMPLAINT_WORDS = ("compl", "spam")
"""An opt-out whose name has one of these is a complaint, any other an unsubscription."""

DIMENSIONS: Mapping[str, str] = {
    "all": "'all'",
    "channel": "coalesce(channel, 'unknown')",
    "issue": "coalesce(issue, 'unknown')",
    "action": "action_id",
    "stage": "stage",
    "market": "coalesce(market, 'unknown')",
    "period": "year(occurred_at) * 100 + month(occurred_at)",
}
"""Ways to slice, as SQL over `touched`."""

STAGES = ("new", "engaged", "customer", "unknown")
"""Funnel stage of a contact when it was touched: nothing known, has responded, has converted; unknown where nothing has a time."""


@dataclass(frozen=True, eq=False)
class Tallied:
    """The sums of each group: `names` and, for each sum, an array in their order."""

    names: Sequence[str]
    sums: Mapping[str, npt.NDArray[np.float64]]


def prepare(facts: Facts, span: Span) -> None:
    """Make the table `touched`: one row a touch in the span, with what it led to."""
    complaint = " OR ".join(f"contains(lower(outcome), '{word}')" for word in COMPLAINT_WORDS)
    facts.db.execute(_STAGED.format(span=span.holds("t.occurred_at")))
    facts.db.execute(_CREDITED)
    facts.db.execute(_VISITS)
    facts.db.execute(_TOUCHED.format(complaint=complaint))


def tally(facts: Facts, dimension: str, span: Span, market: str | None = None) -> Tallied:
    """The sums of every group of a dimension, largest first; of the whole, sums that belong to no touch as well.

    With `market`, of the contacts of that market alone.
    """
    here = "TRUE" if market is None else f"market = '{market.replace(chr(39), chr(39) * 2)}'"
    table = facts.db.execute(_TALLY.format(by=DIMENSIONS[dimension], here=here)).fetchnumpy()
    groups: list[Any] = table.pop("name").tolist()
    names = [_month(one) if dimension == "period" else str(one) for one in groups]
    sums = {name: np.asarray(np.ma.filled(np.ma.asarray(values).astype(np.float64), 0.0)) for name, values in table.items()}
    for name in _unmeasurable(facts):
        sums.pop(name, None)
    if dimension == "all" and not names and facts.number("SELECT count(*) FROM lead_steps"):
        names, sums = ["all"], {}  # nobody was touched, and sales got leads all the same
    if dimension in ("all", "market", "period"):
        sums |= _of_everybody(facts, dimension, names, f"{span.holds('x.occurred_at')} AND {here}")
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


def _of_everybody(facts: Facts, dimension: str, names: Sequence[str], condition_of_all: str) -> dict[str, npt.NDArray[np.float64]]:
    """Revenue, visits and leads of whoever it was, touched or not."""
    by = {"all": "'all'", "market": "coalesce(p.market, 'unknown')"}.get(dimension, "year(x.occurred_at) * 100 + month(x.occurred_at)")
    joined = "LEFT JOIN people p USING (contact_id)"
    asked = {
        "revenue": ("happened", "sum(value)", "kind = 'conversion' AND behaviour = 'positive'"),
        "visits": ("visits", "count(*)", "TRUE"),
    }
    if facts.number("SELECT count(*) FROM lead_steps"):
        asked |= {name: ("lead_steps", "count(*)", f"step = '{name}'") for name in LEAD_EVENTS}
        asked |= {name: ("lead_steps", f"sum({column})", "step = 'leads_won'") for name, column in _OF_WON.items()}
    if not facts.number("SELECT count(*) FROM events"):
        asked.pop("visits")
    found = {}
    for name, (table, expression, condition) in asked.items():
        sql = f"SELECT {by} AS name, {expression} FROM {table} x {joined} WHERE {condition} AND {condition_of_all} GROUP BY 1"
        rows = {_month(key) if dimension == "period" else key: value for key, value in facts.db.execute(sql).fetchall()}
        found[name] = np.array([float(rows.get(one) or 0.0) for one in names])
    return found


def _month(number: int | None) -> str:
    """`2026-03` for 202603: the months are made texts only once they are counted."""
    return "unknown" if number is None else f"{number // 100}-{number % 100:02}"


_OF_WON = {"lead_revenue": "revenue", "lead_days": "days"}


_STAGED = """
CREATE OR REPLACE TEMP TABLE past AS
  SELECT contact_id, occurred_at, sum(CAST(kind = 'conversion' AS INTEGER)) OVER w AS conversions, count(*) OVER w AS responses
  FROM happened WHERE behaviour = 'positive' AND kind IN ('conversion', 'response') AND occurred_at IS NOT NULL
  WINDOW w AS (PARTITION BY contact_id ORDER BY occurred_at RANGE UNBOUNDED PRECEDING);
CREATE OR REPLACE TEMP TABLE staged AS
  SELECT t.*, c.issue, c.goal, p.market, p.account_id,
         CASE WHEN t.occurred_at IS NULL THEN 'unknown' WHEN s.conversions > 0 THEN 'customer'
           WHEN s.responses > 0 THEN 'engaged' ELSE 'new' END AS stage
  FROM (SELECT * FROM touches t WHERE {span}) t ASOF LEFT JOIN past s ON t.contact_id = s.contact_id AND t.occurred_at > s.occurred_at
  LEFT JOIN catalog c USING (action_id) LEFT JOIN people p ON p.contact_id = t.contact_id;
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

_VISITS = """
CREATE TEMP TABLE IF NOT EXISTS visits AS
  SELECT contact_id, min(occurred_at) AS occurred_at FROM events WHERE session_id IS NOT NULL GROUP BY contact_id, session_id
  UNION ALL SELECT contact_id, occurred_at FROM events
  WHERE session_id IS NULL AND value IS NULL AND (SELECT count(session_id) FROM events) = 0
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

_TALLY = """
SELECT {by} AS name, count(DISTINCT contact_id) AS contacts, count(*) AS touches, count(*) FILTER (direction = 'outbound') AS sends,
       count(*) FILTER (direction = 'inbound') AS impressions, count(*) FILTER (triggered) AS triggers, count(*) FILTER (opened) AS opens,
       count(*) FILTER (clicked) AS clicks, count(*) FILTER (rejected) AS rejections,
       count(DISTINCT contact_id) FILTER (left_us) AS unsubscribes, count(DISTINCT contact_id) FILTER (complained) AS complaints,
       sum(conversions) AS conversions, count(DISTINCT contact_id) FILTER (conversions > 0) AS converters,
       sum(first_conversions) AS new_customers, sum(conversions - first_conversions) AS reconversions,
       sum(revenue) AS attributed_revenue, sum(cost) AS marketing_cost, sum(cycle_days) AS cycle_days, sum(cycles) AS cycles
FROM touched WHERE {here} GROUP BY 1 ORDER BY touches DESC, name
"""
