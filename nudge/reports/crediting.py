"""Attribution, sales to firms, the strict chain and content, from the tables of `facts` and `tallies`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from measurement.attribution import RULES, Credit
from measurement.attribution_markov import markov
from measurement.attribution_shapley import Sampling, shapley
from measurement.chain import STAGES, strict_chain
from measurement.content import REGULARLY, content_effectiveness
from measurement.firms import Deals, FirmTouches, firm_credit
from measurement.touch_paths import Paths
from nudge.reports.facts import Facts

_SEED = 7
_MICROSECONDS_A_DAY = 86_400_000_000


def attribution(facts: Facts) -> dict[str, Any] | None:
    """Each model's conversions and money a channel; None where no conversion followed a touch.

    A path is the touches of a contact whose action has the sale for its goal, within the goal's window before it; touches that no sale
    followed are a path that ended in none.
    """
    paths = _paths(facts)
    if paths is None or paths.conversions.sum() == 0:
        return None
    found: dict[str, Credit] = {name: rule(paths) for name, rule in RULES.items()}
    found["markov"] = markov(paths)
    found["shapley"] = shapley(paths)
    found["shapley_rate"] = shapley(paths, game="rate", sampling=Sampling(np.random.default_rng(_SEED)))
    channels = [{"channel": name, **_of_models(found, place)} for place, name in enumerate(paths.channels)]
    return {
        "conversions": float(paths.conversions.sum()),
        "value": float(paths.value.sum()),
        "paths": int(paths.conversions.size),
        "models": list(found),
        "channels": sorted(channels, key=lambda one: -one["value"]["shapley"]),
    }


def _of_models(found: Mapping[str, Credit], place: int) -> dict[str, dict[str, float]]:
    return {
        "conversions": {name: float(credit.conversions[place]) for name, credit in found.items()},
        "value": {name: float(credit.value[place]) for name, credit in found.items()},
    }


def _paths(facts: Facts) -> Paths | None:
    names = facts.texts("coalesce(channel, 'unknown')", "staged")
    table = facts.db.execute(_PATHS, {"names": names}).fetchnumpy()
    if len(table["path"]) == 0:
        return None
    path = np.asarray(table["path"], dtype=np.int64)
    touch = np.asarray(table["channel"], dtype=np.int64)
    first = np.flatnonzero(np.diff(path, prepend=path[0] - 1))
    sold = np.asarray(table["sold"], dtype=np.float64)[first]
    value = np.nan_to_num(np.ma.filled(np.ma.asarray(table["value"]).astype(np.float64), 0.0))[first]
    days = np.ma.filled(np.ma.asarray(table["days"]).astype(np.float64), np.nan)
    known = None if np.isnan(days).any() else np.maximum(days, 0.0)
    return Paths(tuple(names), touch, np.append(first, path.size).astype(np.int64), sold, value, 1.0 - sold, known)


_PATHS = """
WITH sale AS (
  SELECT outcome_id, contact_id, outcome, occurred_at, coalesce(value, 0.0) AS value, window_us, touch_id FROM happened
  WHERE kind = 'conversion' AND behaviour = 'positive'
), met AS (
  SELECT s.outcome_id, t.touch_id, coalesce(t.channel, 'unknown') AS channel, t.occurred_at,
         date_diff('microsecond', t.occurred_at, s.occurred_at) / 86400e6 AS days, s.value
  FROM sale s JOIN staged t ON s.contact_id = t.contact_id AND s.outcome = t.goal
    AND s.occurred_at > t.occurred_at AND s.occurred_at <= t.occurred_at + to_microseconds(s.window_us)
  UNION ALL
  SELECT s.outcome_id, t.touch_id, coalesce(t.channel, 'unknown'), t.occurred_at, NULL, s.value
  FROM sale s JOIN staged t ON s.touch_id = t.touch_id WHERE t.occurred_at IS NULL OR s.occurred_at IS NULL
), unsold AS (
  SELECT contact_id, goal, touch_id, coalesce(channel, 'unknown') AS channel, occurred_at,
         date_diff('microsecond', occurred_at, max(occurred_at) OVER (PARTITION BY contact_id, goal)) / 86400e6 AS days
  FROM staged ANTI JOIN met USING (touch_id)
), whole AS (
  SELECT outcome_id AS path, touch_id, channel, occurred_at, days, value, 1.0 AS sold FROM met
  UNION ALL SELECT -dense_rank() OVER (ORDER BY contact_id, goal), touch_id, channel, occurred_at, days, 0.0, 0.0 FROM unsold
)
SELECT path, list_position($names, channel) - 1 AS channel, days, value, sold FROM whole ORDER BY path, occurred_at, touch_id
"""


def firms(facts: Facts) -> dict[str, Any] | None:
    """Sales to firms where somebody was touched before, each once; None where no contact belongs to a firm."""
    sales = facts.db.execute(
        """SELECT p.account_id, epoch_us(h.occurred_at) AS moment, coalesce(h.value, 0.0) AS value
        FROM happened h JOIN people p USING (contact_id)
        WHERE p.account_id IS NOT NULL AND h.kind = 'conversion' AND h.behaviour = 'positive' AND h.occurred_at IS NOT NULL"""
    ).fetchnumpy()
    touched = facts.db.execute(
        """SELECT account_id, contact_id, coalesce(channel, 'unknown') AS channel, cost, epoch_us(occurred_at) AS moment FROM staged
        WHERE account_id IS NOT NULL AND occurred_at IS NOT NULL"""
    ).fetchnumpy()
    if len(touched["moment"]) == 0 or len(sales["moment"]) == 0:
        return None
    names, codes = np.unique(
        np.concatenate([np.asarray(one["account_id"], dtype=object).astype(str) for one in (sales, touched)]), return_inverse=True
    )
    contact = np.unique(np.asarray(touched["contact_id"]), return_inverse=True)[1]
    of_sales, value = codes[: len(sales["moment"])], np.asarray(sales["value"], dtype=np.float64)
    longest = facts.number("SELECT coalesce(max(window_us), 0) FROM kinds WHERE kind = 'conversion'")
    found = firm_credit(
        Deals(of_sales, _days(sales["moment"]), value),
        FirmTouches(codes[len(of_sales) :], contact, _days(touched["moment"])),
        within=longest / _MICROSECONDS_A_DAY,
    )
    revenue, cost = float(value[found.counts].sum()), float(np.asarray(touched["cost"], dtype=np.float64).sum())
    channels, place = np.unique(np.asarray(touched["channel"], dtype=object).astype(str), return_inverse=True)
    by_channel = np.bincount(place, weights=found.by_touch, minlength=len(channels))
    return {
        "firms": len(np.unique(codes[len(of_sales) :])),
        "firms_with_sales": len(np.unique(of_sales[found.counts])),
        "sales": int(found.counts.sum()),
        "attributed_revenue": revenue,
        "marketing_cost": cost,
        "attributed_roi": (revenue - cost) / cost if cost > 0 else None,
        "channels": [{"channel": name, "attributed_revenue": float(by_channel[k])} for k, name in enumerate(channels.tolist())],
        "accounts": len(names),
    }


def _days(moments: Any) -> np.ndarray:
    return np.asarray(moments, dtype=np.float64) / _MICROSECONDS_A_DAY


def chain(facts: Facts) -> dict[str, Any] | None:
    """How many contacts came how far in the strict chain, and the sales at its end; None where no lead is known of."""
    if not facts.number("SELECT count(*) FROM lead_steps WHERE step = 'found'"):
        return None
    table = facts.db.execute(_CHAIN).fetchnumpy()
    contact = np.unique(np.asarray(table["contact_id"]), return_inverse=True)[1]
    stage, value = np.asarray(table["stage"], dtype=np.int64), np.nan_to_num(np.ma.filled(np.ma.asarray(table["value"]).astype(float), 0.0))
    found = strict_chain(contact, stage, np.asarray(table["moment"], dtype=np.float64))
    sold = stage == len(STAGES) - 1
    return {
        "stages": [{"stage": name, "contacts": int(found.contacts[k])} for k, name in enumerate(STAGES)],
        "sales": int(sold.sum()),
        "sales_that_count": int(found.counts.sum()),
        "revenue": float(value[sold].sum()),
        "revenue_that_counts": float(value[found.counts].sum()),
    }


_CHAIN = """
SELECT contact_id, 0 AS stage, epoch_us(occurred_at) AS moment, 0.0 AS value FROM staged WHERE occurred_at IS NOT NULL
UNION ALL SELECT contact_id, 1, epoch_us(occurred_at), 0.0 FROM happened WHERE occurred_at IS NOT NULL
  AND (kind = 'impression' OR (kind = 'response' AND behaviour = 'positive'))
UNION ALL SELECT contact_id, 1, epoch_us(occurred_at), 0.0 FROM events WHERE content_id IS NOT NULL
UNION ALL SELECT contact_id, 2, epoch_us(occurred_at), 0.0 FROM lead_steps WHERE step = 'found' AND occurred_at IS NOT NULL
UNION ALL SELECT contact_id, 3, epoch_us(occurred_at), 0.0 FROM lead_steps WHERE step = 'leads_qualified'
  AND occurred_at IS NOT NULL
UNION ALL SELECT contact_id, 4, epoch_us(occurred_at), value FROM happened
  WHERE occurred_at IS NOT NULL AND kind = 'conversion' AND behaviour = 'positive'
"""


def content(facts: Facts) -> dict[str, Any] | None:
    """B / A: revenue of buyers who regularly consumed content before they bought, over that of buyers who did not; None without content."""
    table = facts.db.execute(
        """WITH bought AS (
          SELECT contact_id, sum(value) AS revenue, min(occurred_at) AS first_at FROM happened
          WHERE kind = 'conversion' AND behaviour = 'positive' AND value > 0 GROUP BY contact_id
        ) SELECT b.revenue, count(e.content_id) AS consumed FROM bought b LEFT JOIN events e ON e.contact_id = b.contact_id
          AND e.content_id IS NOT NULL AND (b.first_at IS NULL OR e.occurred_at < b.first_at) GROUP BY b.contact_id, b.revenue"""
    ).fetchnumpy()
    found = content_effectiveness(np.asarray(table["revenue"], dtype=np.float64), np.asarray(table["consumed"], dtype=np.float64))
    if found is None:
        return None
    return {
        "ratio": found.ratio.value,
        "low": found.ratio.low,
        "high": found.ratio.high,
        "regularly_from": REGULARLY,
        "buyers_with": found.consumers,
        "buyers_without": found.others,
        "mean_revenue_with": found.mean_of_consumers,
        "mean_revenue_without": found.mean_of_others,
    }
