"""The standard features: what happened in the days before as_of, as SQL over running totals.

A window of W days holds what happened at or after ``as_of - W days`` and before ``as_of``. Only what a workspace's tables support is
offered: without money in the events there are no purchases, without times in the interactions no touches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import duckdb

from decisioning.vocabulary import NO_ACTION, Dtype
from features.contract import FeatureSpec, unique_identifiers
from features.sources import Table, literal, quoted
from features.streams import MONEY_UNIT, Measure, Stream, Total

MOST_VALUES = 12
"""Of event types, channels and purposes the most frequent get features of their own, at most so many."""

_DAY = "86400000000.0"
_NOTHING = "never: 0 where nothing happened"
_NEVER_YET = "NULL: it never happened before as_of"


@dataclass(frozen=True)
class WindowFeature:
    """A feature, its SQL over `totals` (as columns beside ``entity_rows e``), and the totals it needs."""

    spec: FeatureSpec
    sql: str
    totals: tuple[Total, ...]


@dataclass(frozen=True)
class StandardFeatures:
    """The standard features of a workspace and the streams under them."""

    features: tuple[WindowFeature, ...]
    streams: tuple[Stream, ...]


def standard_features(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, Table]) -> StandardFeatures:
    """The standard features that the opened tables support; where two would have one name, the earlier stands."""
    features: dict[str, WindowFeature] = {}
    streams: list[Stream] = []
    for group in (_purchases, _events, _touches, _outcomes, _consents, _accounts):
        stream, made = group(connection, tables)
        streams += stream
        for feature in made:
            features.setdefault(feature.spec.name, feature)
    return StandardFeatures(tuple(features.values()), tuple(streams))


Group = tuple[list[Stream], list[WindowFeature]]


# --- purchases: events with money ---------------------------------------------------------------------------------------------------


def _purchases(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, Table]) -> Group:
    if not _exists(connection, "events", "value > 0 AND occurred_at IS NOT NULL"):
        return [], []
    stream = Stream(
        "purchases",
        "contact_id",
        f"""SELECT contact_id, occurred_at AS moment, TRY_CAST(round(value * {MONEY_UNIT}) AS HUGEINT) AS money, CAST(occurred_at AS DATE) AS day,
            row_number() OVER (PARTITION BY contact_id, CAST(occurred_at AS DATE) ORDER BY occurred_at) = 1 AS starts_day,
            CAST(occurred_at AS DATE) = min(CAST(occurred_at AS DATE)) OVER (PARTITION BY contact_id) AS on_first_day
            FROM events WHERE value > 0 AND occurred_at IS NOT NULL""",
        (
            Measure("days", "count(*) FILTER (starts_day)"),
            Measure("money", "sum(money)"),
            Measure("first_day_money", "sum(money) FILTER (on_first_day)"),
            Measure("first_day", "min(day)", "min"),
            Measure("last_day", "max(day)", "max"),
        ),
    )
    days, money, first_day_money = (Total("purchases", name) for name in ("days", "money", "first_day_money"))
    first_day, last_day = Total("purchases", "first_day"), Total("purchases", "last_day")
    mean = f"{money.sql} / {MONEY_UNIT}.0 / {days.sql}"
    repeat_mean = f"({money.sql} - coalesce({first_day_money.sql}, 0)) / {MONEY_UNIT}.0 / nullif({days.sql} - 1, 0)"
    gap = f"CAST({last_day.sql} - {first_day.sql} AS DOUBLE)"
    no_repeat, source = "NULL: no second purchase day before as_of", "events.value"
    return [stream], [
        _counted("purchase_count", "purchases", "days", None, source, "Days with a purchase, all time"),
        _counted("purchase_count_365d", "purchases", "days", 365, source, "Purchase days that began in the last 365 days"),
        _money("purchase_value_365d", "purchases", "money", 365, source, "Money of the purchases of the last 365 days"),
        _feature("purchase_value_mean", "float", "money", _NEVER_YET, source, "Mean money of a purchase day", mean, days, money),
        _since("days_since_first_purchase", first_day, source, "From the midnight (UTC) of the first purchase day to as_of"),
        _since("days_since_last_purchase", last_day, source, "From the midnight (UTC) of the last purchase day to as_of"),
        _feature("last_gap_days", "float", "days", _NEVER_YET, source, "First to last purchase day", gap, first_day, last_day),
        _feature(
            "repeat_purchase_days",
            "int",
            "count",
            _NOTHING,
            source,
            "Purchase days after the first",
            f"greatest(coalesce({days.sql}, 0) - 1, 0)",
            days,
        ),
        _feature(
            "repeat_purchase_value_mean",
            "float",
            "money",
            no_repeat,
            source,
            "Mean money of a purchase day after the first",
            repeat_mean,
            days,
            money,
            first_day_money,
        ),
    ]


# --- events of any kind -------------------------------------------------------------------------------------------------------------


def _events(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, Table]) -> Group:
    known_since = _exists(connection, "contacts", "valid_from IS NOT NULL")
    if not _exists(connection, "events", "occurred_at IS NOT NULL"):
        return [], [_tenure(None)] if known_since else []
    types = _frequent(connection, "events", "event_type", "occurred_at IS NOT NULL")
    channels = _frequent(connection, "events", "channel", "occurred_at IS NOT NULL")
    measures = [Measure("all", "count(*)"), Measure("first", "min(moment)", "min"), Measure("last", "max(moment)", "max")]
    features = [_counted(f"events_{days}d", "events", "all", days, "events", "Events of any type") for days in (7, 30, 90, 365)]
    features += [
        _since("days_since_last_event", Total("events", "last"), "events", "Time since the last event"),
        _tenure(Total("events", "first")),
    ]
    for event_type, name in types.items():
        of_type, source = f"event_type = {literal(event_type)}", f"events.event_type={event_type}"
        measures += [
            Measure(f"type {name}", f"count(*) FILTER ({of_type})"),
            Measure(f"last {name}", f"max(moment) FILTER ({of_type})", "max"),
        ]
        features += [
            _counted(f"{name}_count_{days}d", "events", f"type {name}", days, source, f"Events {event_type}") for days in (30, 365)
        ]
        features.append(
            _since(f"days_since_last_{name}", Total("events", f"last {name}"), source, f"Time since the last event {event_type}")
        )
    for channel, name in channels.items():
        measures.append(Measure(f"channel {name}", f"count(*) FILTER (channel = {literal(channel)})"))
        features.append(
            _counted(f"events_{name}_90d", "events", f"channel {name}", 90, f"events.channel={channel}", f"Events on channel {channel}")
        )
    facts = "SELECT contact_id, occurred_at AS moment, event_type, channel FROM events"
    return [Stream("events", "contact_id", facts, tuple(measures))], features


def _tenure(first_event: Total | None) -> WindowFeature:
    known = "CASE WHEN e.first_known < e.as_of THEN e.first_known END"
    since = known if first_event is None else f"least({first_event.sql}, {known})"
    totals = () if first_event is None else (first_event,)
    null_rule = "NULL: neither an event nor valid_from before as_of"
    text = "From the first event or valid_from to as_of"
    return _feature("tenure_days", "float", "days", null_rule, "events, contacts.valid_from", text, _days_since(since), *totals)


# --- touches, responses, consents ---------------------------------------------------------------------------------------------------


def _touches(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, Table]) -> Group:
    touched = f"action_id <> {literal(NO_ACTION)} AND occurred_at IS NOT NULL"
    if not _exists(connection, "interactions", touched):
        return [], []
    measures = [Measure("all", "count(*)"), Measure("last", "max(moment)", "max")]
    features = [
        _counted(f"touches_{days}d", "touches", "all", days, "interactions", "Touches: interactions with an action") for days in (7, 30, 90)
    ]
    for channel, name in _frequent(connection, "interactions", "channel", touched).items():
        measures.append(Measure(f"channel {name}", f"count(*) FILTER (channel = {literal(channel)})"))
        source = f"interactions.channel={channel}"
        features.append(_counted(f"touches_{name}_30d", "touches", f"channel {name}", 30, source, f"Touches on channel {channel}"))
    features.append(_since("days_since_last_touch", Total("touches", "last"), "interactions", "Time since the last touch"))
    facts = f"SELECT contact_id, occurred_at AS moment, channel FROM interactions WHERE {touched}"
    return [Stream("touches", "contact_id", facts, tuple(measures))], features


def _outcomes(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, Table]) -> Group:
    if not _exists(connection, "outcomes", "occurred_at IS NOT NULL"):
        return [], []
    facts = """SELECT coalesce(outcomes.contact_id, interactions.contact_id) AS contact_id, outcomes.occurred_at AS moment,
        coalesce(behaviour, 'positive') AS behaviour
        FROM outcomes LEFT JOIN interactions ON outcomes.contact_id IS NULL AND outcomes.interaction_id = interactions.interaction_id"""
    measures = (
        Measure("positive", "count(*) FILTER (behaviour = 'positive')"),
        Measure("negative", "count(*) FILTER (behaviour = 'negative')"),
    )
    features = [_counted(f"responses_{days}d", "outcomes", "positive", days, "outcomes", "Positive outcomes") for days in (90, 365)]
    features.append(_counted("negative_outcomes_365d", "outcomes", "negative", 365, "outcomes", "Negative outcomes"))
    if _exists(connection, "interactions", f"action_id <> {literal(NO_ACTION)} AND occurred_at IS NOT NULL"):
        responses, touches = _window("outcomes", "positive", 365), _window("touches", "all", 365)
        rate, null_rule = f"({responses[0]}) / nullif({touches[0]}, 0)", "NULL: no touch in the window"
        text = "Positive outcomes per touch in the last 365 days"
        totals = (*responses[1], *touches[1])
        features.append(
            _feature("response_rate_365d", "float", "share", null_rule, "outcomes, interactions", text, rate, *totals, window_days=365)
        )
    return [Stream("outcomes", "contact_id", facts, measures)], features


def _consents(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, Table]) -> Group:
    purposes = _frequent(connection, "consents", "purpose", "changed_at IS NOT NULL")
    if not purposes:
        return [], []
    measures, features = [], []
    for purpose, name in purposes.items():
        # Two answers at one moment: only if every one grants is it a consent.
        measures.append(Measure(name, f"bool_and(status = 'granted') FILTER (purpose = {literal(purpose)})", "last"))
        total, text = Total("consents", name), f"The latest status of {purpose} is granted"
        rule = "never: false without a status before as_of"
        features.append(
            _feature(f"consent_{name}", "bool", "flag", rule, f"consents.purpose={purpose}", text, f"coalesce({total.sql}, false)", total)
        )
    facts = "SELECT contact_id, changed_at AS moment, purpose, status FROM consents"
    return [Stream("consents", "contact_id", facts, tuple(measures))], features


# --- the firm of a contact ----------------------------------------------------------------------------------------------------------


def _accounts(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, Table]) -> Group:
    if not _exists(connection, "contacts", "account_id IS NOT NULL"):
        return [], []
    # A contact who is known from a moment on is known at that moment: hence one microsecond earlier under an exclusive cut.
    membership = """SELECT account_id, since - INTERVAL 1 MICROSECOND AS moment, 1 AS joined FROM memberships
        WHERE account_id IS DISTINCT FROM before
        UNION ALL SELECT before, since - INTERVAL 1 MICROSECOND, -1 FROM memberships WHERE before IS DISTINCT FROM account_id"""
    streams = [Stream("account_contacts", "account_id", membership, (Measure("all", "sum(joined)"),), clock="known_at")]
    features = [_counted("account_contacts", "account_contacts", "all", None, "contacts.account_id", "Contacts of the firm known by as_of")]
    if _exists(connection, "events", "occurred_at IS NOT NULL"):
        money = f"sum(TRY_CAST(round(value * {MONEY_UNIT}) AS HUGEINT)) FILTER (value > 0)"
        facts = _of_account("SELECT contact_id, occurred_at, value FROM events")
        streams.append(Stream("account_events", "account_id", facts, (Measure("all", "count(*)"), Measure("money", money))))
        features.append(_counted("account_events_90d", "account_events", "all", 90, "events", "Events of the firm's contacts"))
        if _exists(connection, "events", "value > 0 AND occurred_at IS NOT NULL"):
            text = "Money of the firm's purchases of the last 365 days"
            features.append(_money("account_purchase_value_365d", "account_events", "money", 365, "events.value", text))
    touched = f"action_id <> {literal(NO_ACTION)} AND occurred_at IS NOT NULL"
    if _exists(connection, "interactions", touched):
        facts = _of_account(f"SELECT contact_id, occurred_at FROM interactions WHERE {touched}")
        streams.append(Stream("account_touches", "account_id", facts, (Measure("all", "count(*)"),)))
        features.append(_counted("account_touches_30d", "account_touches", "all", 30, "interactions", "Touches of the firm's contacts"))
    return streams, features


def _of_account(facts: str) -> str:
    """The facts by the firm that their contact belonged to when they happened."""
    return f"""SELECT memberships.account_id, facts.occurred_at AS moment, facts.* EXCLUDE (contact_id, occurred_at) FROM ({facts}) facts
        ASOF JOIN memberships ON facts.contact_id = memberships.contact_id AND facts.occurred_at >= memberships.since"""


# --- the few shapes a feature has ---------------------------------------------------------------------------------------------------


def _window(stream: str, measure: str, window_days: int | None) -> tuple[str, tuple[Total, ...]]:
    until = Total(stream, measure)
    if window_days is None:
        return f"coalesce({until.sql}, 0)", (until,)
    start = Total(stream, measure, window_days)
    return f"coalesce({until.sql}, 0) - coalesce({start.sql}, 0)", (until, start)


def _counted(name: str, stream: str, measure: str, window_days: int | None, source: str, text: str) -> WindowFeature:
    sql, totals = _window(stream, measure, window_days)
    return _feature(name, "int", "count", _NOTHING, source, text, sql, *totals, window_days=window_days)


def _money(name: str, stream: str, measure: str, window_days: int, source: str, text: str) -> WindowFeature:
    sql, totals = _window(stream, measure, window_days)
    return _feature(name, "float", "money", _NOTHING, source, text, f"({sql}) / {MONEY_UNIT}.0", *totals, window_days=window_days)


def _since(name: str, moment: Total, source: str, text: str) -> WindowFeature:
    return _feature(name, "float", "days", _NEVER_YET, source, text, _days_since(moment.sql), moment)


def _days_since(moment: str) -> str:
    return f"(epoch_us(e.as_of) - epoch_us(CAST({moment} AS TIMESTAMP))) / {_DAY}"


def _feature(
    name: str, dtype: Dtype, unit: str, null_rule: str, source: str, text: str, sql: str, *totals: Total, window_days: int | None = None
) -> WindowFeature:
    return WindowFeature(FeatureSpec(name, dtype, unit, null_rule, window_days, source, text), sql, totals)


# --- what the tables hold -----------------------------------------------------------------------------------------------------------


def _exists(connection: duckdb.DuckDBPyConnection, table: str, condition: str) -> bool:
    return connection.execute(f"SELECT 1 FROM {table} WHERE {condition} LIMIT 1").fetchone() is not None


def _frequent(connection: duckdb.DuckDBPyConnection, table: str, column: str, condition: str) -> dict[str, str]:
    """The most frequent values of a column with their identifiers, in alphabetical order."""
    rows = connection.execute(
        f"SELECT {quoted(column)}, count(*) FROM {table} WHERE {quoted(column)} IS NOT NULL AND {condition} "
        f"GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MOST_VALUES}"
    ).fetchall()
    return unique_identifiers(sorted(str(value) for value, _ in rows))
