"""The standard features: what happened in the days before as_of.

A window of W days holds what happened at or after ``as_of - W days`` and before ``as_of``. Only what a workspace's tables support is
offered: without money in the events there are no purchases, without times in the interactions no touches.
"""

from __future__ import annotations

import duckdb

from features.contract import FeatureSpec
from features.firms import firms
from features.purchases import purchases
from features.sessions import sessions
from features.shapes import (
    NOTHING,
    TOUCHED,
    Group,
    StandardFeatures,
    WindowFeature,
    counted,
    days_to_as_of,
    elapsed,
    exists,
    frequent,
    newest,
    window,
)
from features.sources import literal, quoted
from features.streams import Measure, Stream, Total


def standard_features(connection: duckdb.DuckDBPyConnection) -> StandardFeatures:
    """The standard features that the opened tables support; where two would have one name, the earlier stands."""
    features: dict[str, WindowFeature] = {}
    streams: list[Stream] = []
    for group in GROUPS:
        made = group(connection)
        streams += made.streams
        for feature in made.features:
            features.setdefault(feature.spec.name, feature)
    return StandardFeatures(tuple(features.values()), tuple(streams))


def events(connection: duckdb.DuckDBPyConnection) -> StandardFeatures:
    """Events of any type, and tenure: by window, by type, by channel."""
    if not exists(connection, "events", "occurred_at IS NOT NULL"):
        known = exists(connection, "contacts", "valid_from IS NOT NULL")
        return StandardFeatures((_tenure(None),), ()) if known else NOTHING
    first, last = Total("events", "first"), Total("events", "last")
    measures = [Measure("all"), Measure("first", "first"), Measure("last", "last")]
    made = [counted(f"events_{days}d", ("events", "all"), days, "events", "Events of any type") for days in (7, 30, 90, 365)]
    made += [elapsed("days_since_last_event", last, "events", "Time since the last event"), _tenure(first)]
    types = frequent(connection, "events", "event_type", "occurred_at IS NOT NULL")
    for value, name in types.items():
        of_type, source = f"event_type = {literal(value)}", f"events.event_type={value}"
        measures += [Measure(f"type {name}", "count", of_type), Measure(f"last {name}", "last", of_type)]
        made += [counted(f"{name}_count_{days}d", ("events", f"type {name}"), days, source, f"Events {value}") for days in (30, 365)]
        made.append(elapsed(f"days_since_last_{name}", Total("events", f"last {name}"), source, f"Time since the last event {value}"))
    channels = frequent(connection, "events", "channel", "occurred_at IS NOT NULL")
    for value, name in channels.items():
        on_channel = f"channel = {literal(value)}"
        measures += [Measure(f"channel {name}", "count", on_channel), Measure(f"last on {name}", "last", on_channel)]
        source, of = f"events.channel={value}", ("events", f"channel {name}")
        made.append(counted(f"events_{name}_90d", of, 90, source, f"Events on channel {value}"))
    last_of = {value: Total("events", f"last {name}") for value, name in types.items()}
    made.append(newest("last_event_type", "events.event_type", last, last_of, "The type of the newest event"))
    if channels:
        last_on = {value: Total("events", f"last on {name}") for value, name in channels.items()}
        made.append(newest("last_event_channel", "events.channel", last, last_on, "The channel of the newest event"))
    facts = "SELECT contact_id, occurred_at AS moment, event_type, channel FROM events"
    return StandardFeatures(tuple(made), (Stream("events", "contact_id", facts, tuple(measures)),))


def _tenure(first_event: Total | None) -> WindowFeature:
    known = "CASE WHEN e.first_known < e.as_of THEN e.first_known END"
    since = known if first_event is None else f"least({first_event.sql}, {known})"
    rule = "NULL: neither an event nor valid_from before as_of"
    spec = FeatureSpec(
        "tenure_days", "float", "days", rule, None, "events, contacts.valid_from", "From the first event or valid_from to as_of"
    )
    return WindowFeature(spec, days_to_as_of(since), () if first_event is None else (first_event,))


def touches(connection: duckdb.DuckDBPyConnection) -> StandardFeatures:
    """Touches: interactions with an action, by window and by channel."""
    if not exists(connection, "interactions", TOUCHED):
        return NOTHING
    measures = [Measure("all"), Measure("last", "last")]
    text = "Touches: interactions with an action"
    made = [counted(f"touches_{days}d", ("touches", "all"), days, "interactions", text) for days in (7, 30, 90)]
    for value, name in frequent(connection, "interactions", "channel", TOUCHED).items():
        measures.append(Measure(f"channel {name}", "count", f"channel = {literal(value)}"))
        source, of = f"interactions.channel={value}", ("touches", f"channel {name}")
        made.append(counted(f"touches_{name}_30d", of, 30, source, f"Touches on channel {value}"))
    made.append(elapsed("days_since_last_touch", Total("touches", "last"), "interactions", "Time since the last touch"))
    facts = f"SELECT contact_id, occurred_at AS moment, channel FROM interactions WHERE {TOUCHED}"
    return StandardFeatures(tuple(made), (Stream("touches", "contact_id", facts, tuple(measures)),))


def responses(connection: duckdb.DuckDBPyConnection) -> StandardFeatures:
    """Outcomes: positive ones (an outcome without a behaviour counts as one), negative ones, and responses per touch."""
    if not exists(connection, "outcomes", "occurred_at IS NOT NULL"):
        return NOTHING
    facts = """SELECT coalesce(outcomes.contact_id, interactions.contact_id) AS contact_id, outcomes.occurred_at AS moment,
        coalesce(behaviour, 'positive') AS behaviour
        FROM outcomes LEFT JOIN interactions ON outcomes.contact_id IS NULL AND outcomes.interaction_id = interactions.interaction_id"""
    measures = tuple(Measure(kind, "count", f"behaviour = '{kind}'") for kind in ("positive", "negative"))
    made = [counted(f"responses_{days}d", ("outcomes", "positive"), days, "outcomes", "Positive outcomes") for days in (90, 365)]
    made.append(counted("negative_outcomes_365d", ("outcomes", "negative"), 365, "outcomes", "Negative outcomes"))
    if exists(connection, "interactions", TOUCHED):
        made.append(_responses_per_touch())
    return StandardFeatures(tuple(made), (Stream("outcomes", "contact_id", facts, measures),))


def _responses_per_touch() -> WindowFeature:
    responded, outcome_totals = window("outcomes", "positive", 365)
    touched, touch_totals = window("touches", "all", 365)
    rule, text = "NULL: no touch in the window", "Positive outcomes per touch: above 1 where a touch has several"
    spec = FeatureSpec("responses_per_touch_365d", "float", "count", rule, 365, "outcomes, interactions", text)
    return WindowFeature(spec, f"({responded}) / nullif({touched}, 0)", (*outcome_totals, *touch_totals))


def consents(connection: duckdb.DuckDBPyConnection) -> StandardFeatures:
    """Consents: the latest status per purpose; absence is never consent."""
    measures, made, statuses = [], [], []
    for value, name in frequent(connection, "consents", "purpose", "changed_at IS NOT NULL").items():
        granted = quoted(f"granted {name}")
        # Two answers at one moment: only if every one grants is it a consent.
        statuses.append(f"bool_and(status = 'granted') FILTER (purpose = {literal(value)}) AS {granted}")
        measures.append(Measure(name, "last", f"{granted} IS NOT NULL", granted))
        rule, text = "never: false without a status before as_of", f"The latest status of {value} is granted"
        spec = FeatureSpec(f"consent_{name}", "bool", "flag", rule, None, f"consents.purpose={value}", text)
        latest = Total("consents", name)
        made.append(WindowFeature(spec, f"coalesce({latest.sql}, false)", (latest,)))
    facts = f"SELECT {', '.join(['contact_id', 'changed_at AS moment', *statuses])} FROM consents GROUP BY contact_id, changed_at"
    return StandardFeatures(tuple(made), (Stream("consents", "contact_id", facts, tuple(measures)),))


GROUPS: tuple[Group, ...] = (purchases, events, sessions, touches, responses, consents, firms)
"""Every kind of standard features, in the order in which names are given."""
