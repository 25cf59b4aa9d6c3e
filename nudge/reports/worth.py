"""What contacting was worth by comparison: contacts decided here against their control groups, logged touches against logged controls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from decisioning.control import HOLDOUT, TREATED
from measurement.arrays import summed
from measurement.intervals import Interval
from measurement.lift import Known, Layers, Lift, Sums, difference, layers, lift
from nudge.reports.facts import Facts, Span

BEFORE_DAYS = 90
"""How far back contacts are looked at for what takes noise away: money, conversions and events before they were decided on."""

FEWEST = 30
"""Rows on either side below which a part of the history is not compared."""

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measured:
    """Rows to compare: money that came in, what was spent, and what was known before."""

    contact: npt.NDArray[np.uint64]
    revenue: FloatArray
    cost: FloatArray
    before: FloatArray

    def of(self, rows: npt.NDArray[np.bool_]) -> Measured:
        """Some of them."""
        return Measured(self.contact[rows], self.revenue[rows], self.cost[rows], self.before[rows])


def programme(facts: Facts, span: Span) -> tuple[dict[str, Layers], dict[str, int]]:
    """Profit and revenue a contact of those decided here, group against group; and how many contacts each group has.

    Everybody who was decided on counts in his group, whatever he got (by intention to treat), from his first decision in the span on.
    """
    # Everything that was ever decided is summed up in `decided` already.
    first = "SELECT * FROM decided" if span == Span() else _FIRST_DECIDED.format(span=span.holds("occurred_at"))
    facts.db.execute(_DECIDED.format(first=first, span=span.holds("occurred_at"), days=BEFORE_DAYS, end=span.holds("o.occurred_at")))
    names = facts.texts("control_group", "of_decided")
    places = "SELECT * REPLACE (list_position($names, control_group) - 1 AS control_group) FROM of_decided"
    table = facts.db.execute(places, {"names": names}).fetchnumpy()
    code = np.asarray(table["control_group"], dtype=np.int64)
    counts = dict(zip(names, np.bincount(code, minlength=len(names)).tolist(), strict=True))
    if counts.get(TREATED, 0) < 2 or len(counts) < 2 or not answered(facts):
        return {}, counts
    rows = _measured(table)

    def compared(money: FloatArray) -> Layers:
        found = layers(money, code, names.index(TREATED), Known(rows.before))
        lifts = {names[int(one)]: made for one, made in found.lifts.items()}
        return Layers(lifts, {names[int(one)]: size for one, size in found.too_small.items()})

    return {"profit": compared(rows.revenue - rows.cost), "revenue": compared(rows.revenue)}, counts


@dataclass(frozen=True)
class Month:
    """What deciding was worth in one month, a contact, against the holdout: contacts on both sides, and profit or loss."""

    month: str
    treated: int
    control: int
    profit: Interval


def programme_by_month(facts: Facts, span: Span) -> list[Month]:
    """Month by month what those decided here brought in, less what was spent, against the holdout; needs `programme`.

    Everybody counts from the month of his first decision on, with the money of that month after it. Months with fewer than `FEWEST`
    contacts on either side are left out.
    """
    table = facts.db.execute(_BY_MONTH.format(money=span.holds("o.occurred_at"), spent=span.holds("t.occurred_at"))).fetchall()
    sums: dict[int, dict[str, tuple[int, float, float]]] = {}
    for month, group, new, total, squares in table:
        sums.setdefault(int(month), {})[str(group)] = (int(new), float(total), float(squares))
    known, found = {TREATED: 0, HOLDOUT: 0}, list[Month]()
    for month, groups in sorted(sums.items()):
        here = {group: groups.get(group, (0, 0.0, 0.0)) for group in (TREATED, HOLDOUT)}
        known = {group: known[group] + new for group, (new, _, _) in here.items()}
        treated, control = (Sums(known[group], total, squares) for group, (_, total, squares) in here.items())
        if min(known.values()) >= FEWEST:
            name = f"{month // 100}-{month % 100:02}"
            found.append(Month(name, treated.contacts, control.contacts, difference(treated, control)))
    return found


def answered(facts: Facts) -> bool:
    """Whether any conversion is known from after the first decision: without, nothing can have come of it yet."""
    return bool(
        facts.one(
            """SELECT coalesce((SELECT max(known_at) FROM happened WHERE kind = 'conversion')
            > (SELECT min(occurred_at) FROM first_decided), FALSE)"""
        )[0]
    )


@dataclass(frozen=True, eq=False)
class History:
    """Logged touches against logged controls.

    `randomised` says that the log kept the controls' probabilities; `open_rows` are too young to be counted.
    """

    profit: Lift
    revenue: Lift
    randomised: bool
    open_rows: int
    clipped: int


@dataclass(frozen=True, eq=False)
class Logged:
    """Every logged touch and control whose windows are closed: arrays of shape (n,). A control has no channel, action and stage."""

    rows: Measured
    exposed: FloatArray
    selection_prob: FloatArray
    code: npt.NDArray[np.intp]
    of_row: Mapping[str, npt.NDArray[np.str_]]
    moment: npt.NDArray[np.datetime64]
    open_rows: int

    def of(self, rows: npt.NDArray[np.bool_]) -> Logged:
        """Some of them."""
        code = np.unique(self.code[rows], return_inverse=True)[1]
        some = {name: column[rows] for name, column in self.of_row.items()}
        return Logged(self.rows.of(rows), self.exposed[rows], self.selection_prob[rows], code, some, self.moment[rows], self.open_rows)


def read_logged(facts: Facts, span: Span) -> Logged | None:
    """The logged touches and controls with the money after them; None where there are no touches or no controls.

    A row's money is that of all conversions within their windows after it. Needs `tallies.prepare`.
    """
    facts.db.execute(_LOGGED.format(span=span.holds("occurred_at"), days=BEFORE_DAYS))
    if facts.number("SELECT count(DISTINCT exposed) FROM logged") < 2:
        return None
    _money(facts)
    longest = facts.number("SELECT coalesce(max(window_us), 0) FROM kinds WHERE kind = 'conversion'")
    facts.db.execute(f"SET VARIABLE closed = (SELECT max(known_at) FROM happened) - to_microseconds({longest})")
    closed = "occurred_at IS NULL OR occurred_at <= getvariable('closed')"
    open_rows = facts.number(f"SELECT count(*) FROM logged WHERE NOT ({closed})")
    table = facts.db.execute(f"SELECT * FROM logged JOIN money USING (row_id) WHERE {closed}").fetchnumpy()
    rows = _measured(table)
    return Logged(
        rows,
        np.asarray(table["exposed"], dtype=np.float64),
        _floats(table["selection_prob"]),
        np.unique(rows.contact, return_inverse=True)[1],
        {name: np.asarray(table[name], dtype=object).astype(str) for name in ("channel", "action_id", "stage")},
        np.ma.filled(np.ma.asarray(table["occurred_at"]).astype("datetime64[us]"), np.datetime64("NaT")),
        open_rows,
    )


def compare(logged: Logged, touches: npt.NDArray[np.bool_] | None = None) -> History | None:
    """What logged touches were worth against the logged controls; None where either side is too small.

    A control of probability p of being one stands for (1 - p) / p touched rows: so the comparison is with those who were touched. Rows of
    one contact belong together. With `touches`, shape (n,), only these count (those of a channel), against the controls of the same
    contacts, each contact's controls standing for as many as his touches: whom a channel may reach differs from whom it may not in more
    than the touch.
    """
    exposed = logged.exposed
    weight, randomised, clipped = _weights(exposed, logged.selection_prob)
    kept = np.ones(exposed.size, dtype=np.bool_)
    if touches is not None:
        kept = (exposed == 0) | touches
        plain = np.ones(exposed.size) if weight is None else weight
        weight = _within_contacts(exposed * kept, plain * kept, logged.code)
        kept = weight > 0
    sides = [int((exposed[kept] == side).sum()) for side in (1, 0)]
    if min(sides) < (2 if touches is None else FEWEST):
        return None
    rows = logged.rows.of(kept)
    known = Known(rows.before, None if weight is None else weight[kept], logged.code[kept])
    profit, revenue = (lift(money, exposed[kept], known) for money in (rows.revenue - rows.cost, rows.revenue))
    return History(profit, revenue, randomised, logged.open_rows, clipped)


LEAST_PROBABILITY = 0.01
"""A control less likely than this would count for a hundred touched: it counts for as many as this says."""


def _weights(exposed: FloatArray, probability: FloatArray) -> tuple[FloatArray | None, bool, int]:
    control = exposed == 0
    if np.isnan(probability[control]).any():
        return None, False, 0
    kept = np.clip(probability, LEAST_PROBABILITY, 1.0 - LEAST_PROBABILITY)
    clipped = int((kept[control] != probability[control]).sum())
    return np.where(control, (1.0 - kept) / kept, 1.0), True, clipped


def _within_contacts(exposed: FloatArray, weight: FloatArray, code: npt.NDArray[np.intp]) -> FloatArray:
    """Weights by which each contact's controls stand for as many as his touches; 0 for a contact without both."""
    touches, controls = summed(code, exposed, int(code.max()) + 1), summed(code, weight * (1 - exposed), int(code.max()) + 1)
    both = (touches > 0) & (controls > 0)
    share = np.divide(touches, controls, out=np.zeros_like(touches), where=both)
    return np.where(exposed == 1, both[code].astype(np.float64), weight * (1 - exposed) * share[code])


def _measured(table: dict[str, Any]) -> Measured:
    before = np.column_stack([_floats(table[name]) for name in ("money_before", "conversions_before", "events_before")])
    return Measured(
        np.asarray(table["contact_id"]),
        np.nan_to_num(_floats(table["revenue"])),
        np.nan_to_num(_floats(table["cost"])),
        np.log1p(np.maximum(np.nan_to_num(before), 0.0)),  # money is skewed: its logarithm explains more
    )


def _floats(values: Any) -> FloatArray:
    return np.asarray(np.ma.filled(np.ma.asarray(values).astype(np.float64), np.nan))


def _money(facts: Facts) -> None:
    """The table `money`: row_id, revenue. Running sums of a contact's money, looked up at a row's time and at its window's end."""
    if facts.number("SELECT count(*) FROM logged WHERE occurred_at IS NOT NULL") == 0:
        facts.db.execute(
            """CREATE OR REPLACE TEMP TABLE money AS SELECT row_id, sum(h.value) AS revenue FROM logged l LEFT JOIN
            (SELECT * FROM happened WHERE kind = 'conversion' AND behaviour = 'positive') h ON h.touch_id = l.row_id GROUP BY row_id"""
        )
        return
    windows = [row[0] for row in facts.db.execute("SELECT DISTINCT window_us FROM kinds WHERE kind = 'conversion'").fetchall()]
    parts = [_IN_WINDOW.format(window=int(one)) for one in windows]
    everything = " UNION ALL ".join(parts) or "SELECT NULL AS row_id, 0.0 AS revenue WHERE FALSE"
    facts.db.execute(f"CREATE OR REPLACE TEMP TABLE money AS SELECT row_id, sum(revenue) AS revenue FROM ({everything}) GROUP BY row_id")


_RUNNING = """SELECT contact_id, occurred_at,
  sum(value) OVER (PARTITION BY contact_id ORDER BY occurred_at RANGE UNBOUNDED PRECEDING) AS total
  FROM happened WHERE kind = 'conversion' AND behaviour = 'positive' AND window_us = {window} AND occurred_at IS NOT NULL"""

_IN_WINDOW = (
    """SELECT * FROM (WITH running AS ("""
    + _RUNNING
    + """), until AS (
    SELECT l.row_id, coalesce(r.total, 0.0) AS total FROM (SELECT row_id, contact_id, occurred_at + to_microseconds({window}) AS moment
      FROM logged) l ASOF LEFT JOIN running r ON l.contact_id = r.contact_id AND l.moment >= r.occurred_at
  ), since AS (
    SELECT l.row_id, coalesce(r.total, 0.0) AS total FROM logged l ASOF LEFT JOIN running r
      ON l.contact_id = r.contact_id AND l.occurred_at >= r.occurred_at
  ) SELECT row_id, until.total - since.total AS revenue FROM until JOIN since USING (row_id))"""
)

_BEFORE = """
  LEFT JOIN (SELECT contact_id, count(*) AS events_before, sum(value) AS spent FROM events, start
    WHERE occurred_at < start.at_first AND occurred_at >= start.at_first - INTERVAL {days} DAY GROUP BY contact_id) e USING (contact_id)
  LEFT JOIN (SELECT contact_id, count(*) AS conversions_before, sum(value) AS earned FROM happened, start
    WHERE kind = 'conversion' AND occurred_at < start.at_first AND occurred_at >= start.at_first - INTERVAL {days} DAY
    GROUP BY contact_id) h USING (contact_id)
"""

_BY_MONTH = """
WITH gained AS (
  SELECT f.contact_id, f.control_group, year(o.occurred_at) * 100 + month(o.occurred_at) AS month, o.value AS money
  FROM happened o JOIN first_decided f ON f.contact_id = o.contact_id
  WHERE o.kind = 'conversion' AND o.behaviour = 'positive' AND o.occurred_at > f.occurred_at AND {money}
  UNION ALL SELECT f.contact_id, f.control_group, year(t.occurred_at) * 100 + month(t.occurred_at), -t.cost
  FROM touches t JOIN first_decided f USING (contact_id) WHERE t.source = 'ledger' AND t.cost <> 0 AND {spent}
), each AS (SELECT control_group, month, sum(money) AS money FROM gained GROUP BY contact_id, control_group, month),
parts AS (
  SELECT month, control_group, 0 AS new, sum(money) AS total, sum(money * money) AS squares FROM each GROUP BY ALL
  UNION ALL SELECT year(occurred_at) * 100 + month(occurred_at), control_group, count(*), 0.0, 0.0 FROM first_decided GROUP BY ALL
)
SELECT month, control_group, sum(new), coalesce(sum(total), 0.0), coalesce(sum(squares), 0.0) FROM parts GROUP BY ALL
"""

_FIRST_DECIDED = """SELECT contact_id, arg_min(control_group, occurred_at) AS control_group, min(occurred_at) AS occurred_at
  FROM kept_decisions WHERE {span} GROUP BY contact_id"""

_DECIDED = (
    """
CREATE OR REPLACE TEMP TABLE first_decided AS
  {first};
CREATE OR REPLACE TEMP TABLE start AS SELECT min(occurred_at) AS at_first FROM first_decided;
CREATE OR REPLACE TEMP TABLE of_decided AS
  SELECT d.contact_id, d.control_group, coalesce(r.revenue, 0.0) AS revenue, coalesce(c.cost, 0.0) AS cost,
         coalesce(e.spent, 0.0) + coalesce(h.earned, 0.0) AS money_before, coalesce(conversions_before, 0) AS conversions_before,
         coalesce(events_before, 0) AS events_before
  FROM first_decided d
  LEFT JOIN (SELECT o.contact_id, sum(o.value) AS revenue FROM happened o JOIN first_decided f ON f.contact_id = o.contact_id
    WHERE o.kind = 'conversion' AND o.behaviour = 'positive' AND o.occurred_at > f.occurred_at AND {end}
    GROUP BY o.contact_id) r USING (contact_id)
  LEFT JOIN (SELECT contact_id, sum(cost) AS cost FROM touches WHERE source = 'ledger' AND {span} GROUP BY contact_id) c USING (contact_id)
"""
    + _BEFORE
)

_LOGGED = (
    """
CREATE OR REPLACE TEMP TABLE rows_of_log AS
  SELECT touch_id AS row_id, contact_id, occurred_at, cost, 1 AS exposed, NULL::DOUBLE AS selection_prob,
         coalesce(channel, 'unknown') AS channel, action_id, stage
  FROM staged WHERE source = 'history'
  UNION ALL SELECT row_id, contact_id, occurred_at, 0.0, 0, selection_prob, '', '', '' FROM controls WHERE {span};
CREATE OR REPLACE TEMP TABLE start AS SELECT min(occurred_at) AS at_first FROM rows_of_log;
CREATE OR REPLACE TEMP TABLE logged AS
  SELECT l.*, coalesce(e.spent, 0.0) + coalesce(h.earned, 0.0) AS money_before, coalesce(conversions_before, 0) AS conversions_before,
         coalesce(events_before, 0) AS events_before
  FROM rows_of_log l
"""
    + _BEFORE
)
