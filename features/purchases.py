"""What a contact bought: recency, frequency and money, by purchase days.

A purchase is an event with ``value > 0``. Purchases of one day (UTC) are one purchase day: what BG/NBD counts as a transaction. Days are
counted from midnight, so that ``days_since_first_purchase = last_gap_days + days_since_last_purchase`` exactly, and the first is never less
than the second.
"""

from __future__ import annotations

import duckdb

from features.contract import FeatureSpec
from features.shapes import NOT_YET, NOTHING, ZERO_IF_NONE, StandardFeatures, WindowFeature, counted, elapsed, exists, money
from features.streams import MONEY_UNIT, Measure, Stream, Total

_SOURCE = "events.value"
_DAYS = Total("purchases", "days")
_MONEY = Total("purchases", "money")
_FIRST_DAY_MONEY = Total("purchases", "first_day_money")
_FIRST_DAY = Total("purchases", "first_day")
_LAST_DAY = Total("purchases", "last_day")

_STREAM = Stream(
    "purchases",
    "contact_id",
    f"""SELECT contact_id, moment, day, TRY_CAST(round(value * {MONEY_UNIT}) AS HUGEINT) AS money,
        row_number() OVER (PARTITION BY contact_id, day ORDER BY moment) = 1 AS starts_day,
        day = min(day) OVER (PARTITION BY contact_id) AS on_first_day
        FROM (SELECT contact_id, occurred_at AS moment, CAST(occurred_at AS DATE) AS day, value
              FROM events WHERE value > 0 AND occurred_at IS NOT NULL)""",
    (
        Measure("days", "count", "starts_day"),
        Measure("money", "sum", "money IS NOT NULL", "money"),
        Measure("first_day_money", "sum", "money IS NOT NULL AND on_first_day", "money"),
        Measure("first_day", "first", value="day"),
        Measure("last_day", "last", value="day"),
    ),
)


def purchases(connection: duckdb.DuckDBPyConnection) -> StandardFeatures:
    """Recency, frequency and money of the purchases."""
    if not exists(connection, "events", "value > 0 AND occurred_at IS NOT NULL"):
        return NOTHING
    days, spent = ("purchases", "days"), ("purchases", "money")
    features = (
        counted("purchase_count", days, None, _SOURCE, "Days with a purchase, all time"),
        counted("purchase_count_365d", days, 365, _SOURCE, "Purchase days that began in the window"),
        money("purchase_value_365d", spent, 365, _SOURCE, "Money of the purchases"),
        _mean(),
        elapsed("days_since_first_purchase", _FIRST_DAY, _SOURCE, "From the midnight (UTC) of the first purchase day"),
        elapsed("days_since_last_purchase", _LAST_DAY, _SOURCE, "From the midnight (UTC) of the last purchase day"),
        _gap(),
        _repeat_days(),
        _repeat_mean(),
    )
    return StandardFeatures(features, (_STREAM,))


def _mean() -> WindowFeature:
    spec = FeatureSpec("purchase_value_mean", "float", "money", NOT_YET, None, _SOURCE, "Mean money of a purchase day")
    return WindowFeature(spec, f"{_MONEY.sql} / {MONEY_UNIT}.0 / {_DAYS.sql}", (_MONEY, _DAYS))


def _gap() -> WindowFeature:
    spec = FeatureSpec("last_gap_days", "float", "days", NOT_YET, None, _SOURCE, "First to last purchase day (t_x of BG/NBD)")
    return WindowFeature(spec, f"{_LAST_DAY.sql} - {_FIRST_DAY.sql}", (_LAST_DAY, _FIRST_DAY))


def _repeat_days() -> WindowFeature:
    spec = FeatureSpec("repeat_purchase_days", "int", "count", ZERO_IF_NONE, None, _SOURCE, "Purchase days after the first (x of BG/NBD)")
    return WindowFeature(spec, f"greatest(coalesce({_DAYS.sql}, 0) - 1, 0)", (_DAYS,))


def _repeat_mean() -> WindowFeature:
    rule, text = "NULL: no second purchase day before as_of", "Mean money of a purchase day after the first (m of Gamma-Gamma)"
    spec = FeatureSpec("repeat_purchase_value_mean", "float", "money", rule, None, _SOURCE, text)
    repeat_money = f"{_MONEY.sql} - coalesce({_FIRST_DAY_MONEY.sql}, 0)"
    return WindowFeature(spec, f"({repeat_money}) / {MONEY_UNIT}.0 / nullif({_DAYS.sql} - 1, 0)", (_MONEY, _FIRST_DAY_MONEY, _DAYS))
