"""The law of as_of: features ignore what happened at or after it."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.features.workspaces import built_rows, day, write_table

CONTACTS = ("a", "b", "c")
AS_OF = day(0)
PAIRS = [(contact, at) for contact in CONTACTS for at in (AS_OF, day(-20))]

Facts = dict[str, list[dict[str, Any]]]

ALWAYS_THERE: Facts = {
    "events": [{"contact_id": "a", "event_type": "buy", "channel": "web", "occurred_at": day(-100), "value": 5.0}],
    "interactions": [{"interaction_id": "i", "contact_id": "a", "action_id": "loan", "channel": "email", "occurred_at": day(-99)}],
    "outcomes": [{"interaction_id": "i", "contact_id": None, "outcome": "x", "behaviour": "positive", "occurred_at": day(-98)}],
    "consents": [{"contact_id": "a", "purpose": "email", "status": "granted", "changed_at": day(-97)}],
}


@st.composite
def facts(draw: st.DrawFn, first_day: float, last_day: float, prefix: str) -> Facts:
    """A few facts of every table between two days, on the edge of the day that begins too."""
    moments = st.floats(first_day, last_day).map(lambda value: day(round(value * 8) / 8)).filter(lambda at: at >= day(first_day))
    numbers = iter(range(1000))

    def rows(time: str, **columns: st.SearchStrategy[Any]) -> list[dict[str, Any]]:
        return draw(st.lists(st.fixed_dictionaries({"contact_id": st.sampled_from(CONTACTS), time: moments, **columns}), max_size=4))

    channel = st.sampled_from(["web", "email"])
    interactions = rows("occurred_at", action_id=st.sampled_from(["loan", "no_action"]), channel=channel)
    for row in interactions:
        row["interaction_id"] = f"{prefix}{next(numbers)}"
    return {
        "events": rows(
            "occurred_at", event_type=st.sampled_from(["buy", "look"]), channel=channel, value=st.sampled_from([None, 0.1, 7.25])
        ),
        "interactions": interactions,
        "outcomes": rows("occurred_at", outcome=st.just("x"), behaviour=st.sampled_from(["positive", "negative", "neutral"])),
        "consents": rows("changed_at", purpose=st.just("email"), status=st.sampled_from(["granted", "revoked"])),
    }


def together(*parts: Facts) -> Facts:
    return {table: [row for part in parts for row in part[table]] for table in ALWAYS_THERE}


def features(tables: Facts, pairs: list[tuple[str, datetime]]) -> dict[tuple[str, datetime], dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        contacts = [{"contact_id": contact, "account_id": "f" if contact < "c" else None, "age": 30} for contact in CONTACTS]
        write_table(Path(folder), "contacts", contacts)
        for name, rows in tables.items():
            write_table(Path(folder), name, rows)
        return built_rows(Path(folder), pairs=pairs)


@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(past=facts(-400, 0, "p"), future=facts(0, 60, "f"))
def test_features_ignore_what_happened_at_or_after_as_of(past: Facts, future: Facts) -> None:
    known = features(together(ALWAYS_THERE, past), PAIRS)
    later = features(together(ALWAYS_THERE, past, future), PAIRS)
    assert {pair: {name: row[name] for name in known[pair]} for pair, row in later.items()} == known


@settings(max_examples=3, suppress_health_check=[HealthCheck.too_slow])
@given(past=facts(-400, 0, "p"))
def test_a_row_does_not_depend_on_what_else_is_asked(past: Facts) -> None:
    tables = together(ALWAYS_THERE, past)
    everything = features(tables, PAIRS)
    assert features(tables, [PAIRS[3]]) == {PAIRS[3]: everything[PAIRS[3]]}


@pytest.mark.parametrize(("table", "feature"), [("events", "events_7d"), ("interactions", "touches_7d"), ("outcomes", "responses_90d")])
def test_a_fact_counts_right_after_it_happened_and_not_at_its_own_moment(table: str, feature: str) -> None:
    after = day(-98.999999)
    pairs = [("a", ALWAYS_THERE[table][0]["occurred_at"]), ("a", after if table == "interactions" else day(-97.5))]
    before_it, after_it = (features(ALWAYS_THERE, pairs)[pair][feature] for pair in pairs)
    assert (before_it, after_it) == (0, 1)
