"""The standard windows against a naive reading of the same facts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.build import infer_contract
from tests.features.workspaces import Pair, built_rows, day, write_table

CONTACTS = [f"c{number}" for number in range(8)]
FIRMS = {contact: f"f{number % 3}" if number < 6 else None for number, contact in enumerate(CONTACTS)}
AS_OFS = [day(value) for value in (0, 3, 30.5, 400, 401)]


def facts_of(rng: np.random.Generator, size: int) -> list[dict[str, Any]]:
    # Few distinct moments: ties, several purchases a day and facts exactly at an as_of or a window's edge all happen.
    moments = [day(int(value) / 4) for value in rng.integers(-4 * 380, 4 * 402, size)] + [at - timedelta(days=30) for at in AS_OFS] + AS_OFS
    return [{"contact_id": str(rng.choice(CONTACTS)), "occurred_at": at} for at in moments]


@pytest.fixture(scope="module")
def tables() -> dict[str, list[dict[str, Any]]]:
    rng = np.random.default_rng(11)
    events = facts_of(rng, 300)
    for event in events:
        event["event_type"] = str(rng.choice(["login", "Cart add", "purchase"]))
        event["value"] = float(rng.choice([0.1, 0.2, 19.99, 0.0])) if event["event_type"] == "purchase" else None
        event["channel"] = rng.choice(["web", "app", None])
    interactions = facts_of(rng, 80)
    for number, interaction in enumerate(interactions):
        interaction |= {
            "interaction_id": f"i{number}",
            "action_id": str(rng.choice(["no_action", "loan"])),
            "channel": str(rng.choice(["email", "sms"])),
        }
    outcomes = facts_of(rng, 60)
    for outcome in outcomes:
        outcome |= {"outcome": "any", "behaviour": rng.choice(["positive", "negative", "neutral", None])}
    for outcome in outcomes[:20]:
        interaction = interactions[int(rng.integers(len(interactions)))]
        outcome |= {"contact_id": None, "interaction_id": interaction["interaction_id"]}
    consents = [
        {
            "contact_id": fact["contact_id"],
            "purpose": str(rng.choice(["email", "phone"])),
            "status": str(rng.choice(["granted", "denied", "revoked"])),
            "changed_at": fact["occurred_at"] + timedelta(seconds=number),
        }
        for number, fact in enumerate(facts_of(rng, 40))
    ]
    contacts = [{"contact_id": contact, "account_id": FIRMS[contact]} for contact in CONTACTS]
    return {"contacts": contacts, "events": events, "interactions": interactions, "outcomes": outcomes, "consents": consents}


@pytest.fixture(scope="module")
def rows(tables: dict[str, list[dict[str, Any]]], tmp_path_factory: pytest.TempPathFactory) -> dict[Pair, dict[str, Any]]:
    workspace = tmp_path_factory.mktemp("windows")
    for name, table in tables.items():
        write_table(workspace, name, table)
    return built_rows(workspace, pairs=[(contact, at) for contact in CONTACTS for at in AS_OFS])


class Naive:
    """Every standard feature of one contact at one as_of, one fact after the other."""

    def __init__(self, tables: dict[str, list[dict[str, Any]]], contact: str, at: datetime) -> None:
        contact_of = {row["interaction_id"]: row["contact_id"] for row in tables["interactions"]}
        before = {name: [row for row in tables[name] if row["occurred_at"] < at] for name in ("events", "interactions", "outcomes")}
        touched = [row for row in before["interactions"] if row["action_id"] != "no_action"]
        firm = {other for other in CONTACTS if FIRMS[contact] is not None and FIRMS[other] == FIRMS[contact]}
        self.at = at
        self.events = [row for row in before["events"] if row["contact_id"] == contact]
        self.touches = [row for row in touched if row["contact_id"] == contact]
        self.outcomes = [row for row in before["outcomes"] if (row["contact_id"] or contact_of[row["interaction_id"]]) == contact]
        self.firm_events = [row for row in before["events"] if row["contact_id"] in firm]
        self.firm_touches = [row for row in touched if row["contact_id"] in firm]
        self.firm = firm
        self.consents = sorted(
            (row for row in tables["consents"] if row["contact_id"] == contact and row["changed_at"] < at),
            key=lambda row: row["changed_at"],
        )
        self.days: dict[datetime, list[dict[str, Any]]] = {}
        for row in sorted(self.events, key=lambda row: row["occurred_at"]):
            if (row["value"] or 0) > 0:
                self.days.setdefault(row["occurred_at"].replace(hour=0, minute=0), []).append(row)

    def within(self, rows: list[dict[str, Any]], days: int, **wanted: str) -> list[dict[str, Any]]:
        start = self.at - timedelta(days=days)
        return [row for row in rows if row["occurred_at"] >= start and all(row[key] == value for key, value in wanted.items())]

    def since(self, moments: list[datetime], pick: Callable[[list[datetime]], datetime] = max) -> float | None:
        return (self.at - pick(moments)).total_seconds() / 86400 if moments else None

    def responses(self, days: int) -> int:
        return sum(row["behaviour"] in ("positive", None) for row in self.within(self.outcomes, days))

    def consent(self, purpose: str) -> bool:
        statuses = [row["status"] for row in self.consents if row["purpose"] == purpose]
        return bool(statuses) and statuses[-1] == "granted"

    def newest(self, column: str) -> str | None:
        last = max((row["occurred_at"] for row in self.events), default=None)
        # A channel that is not known says nothing where another event of the same moment has one.
        return min((row[column] for row in self.events if row["occurred_at"] == last and row[column] is not None), default=None)

    def money(self, rows: list[dict[str, Any]]) -> float:
        return float(sum(row["value"] or 0 for row in rows))

    def features(self) -> dict[str, Any]:
        times = [row["occurred_at"] for row in self.events]
        day_starts, money = list(self.days), [self.money(rows) for rows in self.days.values()]
        touches_365 = len(self.within(self.touches, 365))
        found: dict[str, Any] = {f"events_{days}d": len(self.within(self.events, days)) for days in (7, 30, 90, 365)}
        found |= {f"touches_{days}d": len(self.within(self.touches, days)) for days in (7, 30, 90)}
        found |= {f"touches_{channel}_30d": len(self.within(self.touches, 30, channel=channel)) for channel in ("email", "sms")}
        found |= {f"events_{channel}_90d": len(self.within(self.events, 90, channel=channel)) for channel in ("web", "app")}
        for event_type, name in (("login", "login"), ("Cart add", "cart_add")):
            found |= {f"{name}_count_{days}d": len(self.within(self.events, days, event_type=event_type)) for days in (30, 365)}
            found[f"days_since_last_{name}"] = self.since([row["occurred_at"] for row in self.events if row["event_type"] == event_type])
        found |= {f"consent_{purpose}": self.consent(purpose) for purpose in ("email", "phone")}
        return found | {
            "days_since_last_event": self.since(times),
            "last_event_type": self.newest("event_type"),
            "last_event_channel": self.newest("channel"),
            "tenure_days": self.since(times, min),
            "days_since_last_touch": self.since([row["occurred_at"] for row in self.touches]),
            "responses_90d": self.responses(90),
            "responses_365d": self.responses(365),
            "negative_outcomes_365d": len(self.within(self.outcomes, 365, behaviour="negative")),
            "responses_per_touch_365d": self.responses(365) / touches_365 if touches_365 else None,
            "purchase_count": len(self.days),
            "purchase_count_365d": sum(rows[0]["occurred_at"] >= self.at - timedelta(days=365) for rows in self.days.values()),
            "purchase_value_365d": self.money(self.within(self.events, 365)),
            "purchase_value_mean": sum(money) / len(money) if money else None,
            "days_since_first_purchase": self.since(day_starts, min),
            "days_since_last_purchase": self.since(day_starts),
            "last_gap_days": float((max(day_starts) - min(day_starts)).days) if day_starts else None,
            "repeat_purchase_days": max(len(money) - 1, 0),
            "repeat_purchase_value_mean": sum(money[1:]) / (len(money) - 1) if len(money) > 1 else None,
            "account_contacts": len(self.firm),
            "account_events_90d": len(self.within(self.firm_events, 90)),
            "account_purchase_value_365d": self.money(self.within(self.firm_events, 365)),
            "account_touches_30d": len(self.within(self.firm_touches, 30)),
        }


def test_every_window_equals_the_naive_reading(tables: dict[str, list[dict[str, Any]]], rows: dict[Pair, dict[str, Any]]) -> None:
    for (contact, at), row in rows.items():
        expected = Naive(tables, contact, at).features()
        known = {name: value for name, value in expected.items() if value is not None}
        assert {name for name in expected if row[name] is None} == expected.keys() - known, (contact, at)
        texts = {name: value for name, value in known.items() if isinstance(value, str)}
        numbers = {name: value for name, value in known.items() if name not in texts}
        assert {name: row[name] for name in numbers} == pytest.approx(numbers, rel=1e-12, abs=1e-12), (contact, at)
        assert {name: row[name] for name in texts} == texts, (contact, at)


def test_the_naive_reading_covers_every_standard_feature(tables: dict[str, list[dict[str, Any]]], rows: dict[Pair, dict[str, Any]]) -> None:
    covered = set(Naive(tables, "c0", AS_OFS[0]).features())
    assert set(rows["c0", AS_OFS[0]]) - covered == {"account_id", "purchase_count_30d"}  # events of type purchase, like any other type


def test_the_days_of_a_purchase_history_add_up(rows: dict[Pair, dict[str, Any]]) -> None:
    bought = [row for row in rows.values() if row["purchase_count"]]
    assert bought
    assert all(row["days_since_first_purchase"] == row["last_gap_days"] + row["days_since_last_purchase"] for row in bought)


def test_money_adds_up_to_the_cent_however_long_the_past(tmp_path: Path) -> None:
    # As floats, ten payments of 0.10 after a million would not leave 1.0 behind.
    events = [{"contact_id": "c", "event_type": "p", "occurred_at": day(-400), "value": 1e6 + 0.1}]
    events += [{"contact_id": "c", "event_type": "p", "occurred_at": day(-number), "value": 0.1} for number in range(1, 11)]
    write_table(tmp_path, "contacts", [{"contact_id": "c"}])
    write_table(tmp_path, "events", events)
    assert built_rows(tmp_path, as_of=day(0))["c", day(0)]["purchase_value_365d"] == 1.0


def test_money_beyond_64_bits_adds_up_too(tmp_path: Path) -> None:
    write_table(tmp_path, "contacts", [{"contact_id": "c"}])
    # As doubles the smallest would be lost beside the largest, which is beyond 64 bits in millionths.
    spent = {-500: 2.0**62, -100: 3.0, -50: 4.0}
    events = [{"contact_id": "c", "event_type": "p", "occurred_at": day(at), "value": value} for at, value in spent.items()]
    write_table(tmp_path, "events", events)
    rows = built_rows(tmp_path, pairs=[("c", day(-400)), ("c", day(0))])
    assert [row["purchase_value_365d"] for row in rows.values()] == [2.0**62, 7.0]


def test_the_windows_are_the_same_however_many_facts_are_read_at_once(
    tables: dict[str, list[dict[str, Any]]], rows: dict[Pair, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("features.streams.ROWS_AT_ONCE", 60)  # some 400 events, 40 of each contact
    for name, table in tables.items():
        write_table(tmp_path, name, table)
    assert built_rows(tmp_path, pairs=list(rows)) == rows


def test_what_the_tables_do_not_support_is_not_offered(tmp_path: Path) -> None:
    write_table(tmp_path, "contacts", [{"contact_id": "c", "age": 40}])
    assert infer_contract(tmp_path).names == ("age",)
    write_table(tmp_path, "events", [{"contact_id": "c", "event_type": "login", "occurred_at": day(-1)}])
    names = infer_contract(tmp_path).names
    assert "login_count_30d" in names
    assert not [name for name in names if name.startswith(("purchase", "touches", "account", "consent", "response"))]


def test_only_the_most_frequent_event_types_get_windows_of_their_own(tmp_path: Path) -> None:
    write_table(tmp_path, "contacts", [{"contact_id": "c"}])
    events = [{"contact_id": "c", "event_type": f"t{number:02}", "occurred_at": day(-1)} for number in range(40) for _ in range(number + 1)]
    write_table(tmp_path, "events", events)
    assert [name for name in infer_contract(tmp_path).names if name.endswith("_count_30d")] == [
        f"t{number}_count_30d" for number in range(28, 40)
    ]


def test_a_contact_who_changes_firms_leaves_the_past_where_it_was(tmp_path: Path) -> None:
    write_table(
        tmp_path,
        "contacts",
        [
            {"contact_id": "mover", "account_id": "old", "valid_from": day(-50)},
            {"contact_id": "mover", "account_id": "new", "valid_from": day(-10)},
            {"contact_id": "stayer", "account_id": "old", "valid_from": day(-50)},
            {"contact_id": "host", "account_id": "new", "valid_from": day(-50)},
        ],
    )
    write_table(tmp_path, "events", [{"contact_id": "mover", "event_type": "login", "occurred_at": day(at)} for at in (-40, -30, -5)])
    rows = built_rows(tmp_path, pairs=[("stayer", day(0)), ("host", day(0)), ("host", day(-20)), ("mover", day(-10))])
    assert [row["account_events_90d"] for row in rows.values()] == [0, 1, 0, 2]
    assert {pair: row["account_contacts"] for pair, row in rows.items()} == {
        ("host", day(-20)): 1,
        ("host", day(0)): 2,
        ("mover", day(-10)): 2,
        ("stayer", day(0)): 1,
    }
