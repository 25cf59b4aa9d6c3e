"""Whatever comes in whatever order: no cap, no limit and no exploration budget is exceeded, counted from the ledger's rows alone."""

from __future__ import annotations

import itertools
import json
import shutil
import sqlite3
import tempfile
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from decisioning.catalog import parse_catalog
from decisioning.decide import decide
from decisioning.stages import House as Stages
from ledger.store import Ledger
from serving.realtime import deciding
from serving.realtime.decision_ids import derived_decision_id
from serving.realtime.decision_inputs import inputs_from_json
from serving.schemas.decisions import DecisionRequest, OutcomeIn, SuppressionIn
from tests.serving.planning import bind, make
from tests.serving.small_house import CATALOG, DTYPES, NOW, House

CONTACTS = ["c-0", "c-1", "żółć", "c-3", "c-4", "c-5", "c-6"]
ACCOUNT = dict(zip(CONTACTS, ["firm", "firm", "firm", "shop", "shop", None, None], strict=True))
MARKET = dict(zip(CONTACTS, ["PL", "PL", "CZ", "CZ", None, None, "PL"], strict=True))
PERIOD_DAYS = 10
DAY = 86_400_000_000

CHANNELS = {
    "web": {"direction": "inbound", "cost": 0.25, "placements": ["home_hero", "offer_strip"]},
    "email": {"direction": "outbound", "cost": 0.5, "purpose": "email_marketing"},
    "sms": {"direction": "outbound", "cost": 1.5, "purpose": "email_marketing"},
}


def action(action_id: str, value: float, *treatments: dict[str, str], **more: Any) -> dict[str, Any]:
    prior = {"propensity": 0.2, "uplift": 0.1, "evidence": 20}
    return {"id": action_id, "goal": "sale", "value": value, "cold_start": prior, "treatments": list(treatments), **more}


ACTIONS = [
    action("loan", 100, {"id": "loan_email", "channel": "email"}, {"id": "loan_hero", "channel": "web", "placement": "home_hero"}),
    action("card", 60, {"id": "card_email", "channel": "email"}, {"id": "card_sms", "channel": "sms"}, group="cards"),
    action("pen", 30, {"id": "pen_sms", "channel": "sms"}, {"id": "pen_strip", "channel": "web", "placement": "offer_strip"}),
    action("notice", 0, {"id": "notice_sms", "channel": "sms"}, kind="mandatory", eligibility="city = 'Brno'"),
]
POLICIES = [
    {"id": "email_week", "channel": "email", "max": 1, "per_days": 7},
    {"id": "any_month", "max": 3, "per_days": 30},
    {"id": "firm", "scope": "account", "max": 2, "per_days": 7},
    {"id": "each", "action": "*", "max": 1, "per_days": 4},
    {"id": "cards", "group": "cards", "scope": "account", "max": 1, "per_days": 30},
    {"id": "quiet", "action": "*", "after": "reject", "suppress_days": 3},
]
CONSTRAINTS = [
    {"id": "money", "measure": "cost", "max": 4.0},
    {"id": "mails", "channel": "email", "measure": "contacts", "max": 3},
    {"id": "heroes", "treatment": "loan_hero", "measure": "contacts", "max": 2},
    {"id": "poland", "market": "PL", "measure": "contacts", "max": 2},
    {"id": "closed", "action": "pen", "measure": "contacts", "max": 0},
]


@st.composite
def catalogs(draw: st.DrawFn) -> dict[str, Any]:
    """Some of the policies and constraints, one or two treatments a contact, with or without exploration."""
    method = draw(st.sampled_from(["squarecb", "thompson", "epsilon_greedy"]))
    return {
        **CATALOG,
        "channels": CHANNELS,
        "actions": ACTIONS,
        "period_days": PERIOD_DAYS,
        "treatments_per_contact": draw(st.sampled_from([1, 2])),
        "contact_policy": draw(st.lists(st.sampled_from(POLICIES), unique_by=lambda one: one["id"], max_size=4)),
        "constraints": draw(st.lists(st.sampled_from(CONSTRAINTS), unique_by=lambda one: one["id"], max_size=3)),
        "exploration": {"method": method, "gamma": 1.0, "epsilon": 0.9, "budget": draw(st.sampled_from([0.0, 3.0]))},
        "controls": draw(st.sampled_from([{}, {"random": 0.4}, {"holdout": 0.3, "propensity_only": 0.4}])),
    }


class Spending(RuleBasedStateMachine):
    """A house in use; the test keeps by itself which book held when something was decided."""

    decisions: Bundle[str] = Bundle("decisions")

    @initialize(catalog=catalogs())
    def open(self, catalog: dict[str, Any]) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.catalog = parse_catalog(catalog)
        self.house = House(Ledger.open(f"sqlite:///{self.folder}/ledger.db"), catalog)
        self.house.consent(*CONTACTS)
        self.house.known.rows = {
            one: {"age": 40.0, "account_id": ACCOUNT[one], "market": MARKET[one], "city": "Brno" if one == "c-5" else "Łódź"}
            for one in CONTACTS
        }
        self.book: tuple[str, datetime] | None = None
        self.period_of: dict[str, tuple[str, int]] = {}
        self.plans_cost: dict[tuple[str, int], float] = {}
        self.checked: set[str] = set()
        self.events = 0
        self._costs: dict[str, float] = {}
        self.patch = pytest.MonkeyPatch()
        numbers = itertools.count()
        self.patch.setattr(deciding, "new_decision_id", lambda now: derived_decision_id(now, "drawn", str(next(numbers))))

    def teardown(self) -> None:
        if hasattr(self, "house"):
            self.patch.undo()
            self.house.ledger.close()
            shutil.rmtree(self.folder)

    def period(self) -> tuple[str, int]:
        name, begins_at = self.book or ("none", datetime(1970, 1, 1, tzinfo=NOW.tzinfo))
        return name, max(0, (self.house.clock.now - begins_at) // timedelta(days=PERIOD_DAYS))

    def answered(self, answers: list[Any]) -> list[str]:
        ids = [one["decision_id"] for one in answers if isinstance(one, dict)]
        self.period_of |= {one: self.period_of.get(one, self.period()) for one in ids}
        return ids

    @rule(
        target=decisions, contact=st.sampled_from(CONTACTS), channel=st.sampled_from([None, "web", "email", "sms"]), limit=st.integers(1, 3)
    )
    def decide(self, contact: str, channel: str | None, limit: int) -> Any:
        request = DecisionRequest(contact_id=contact, channel=channel, limit=limit)
        return multiple(*self.answered([self.house.service.decide(request)]))

    @rule(target=decisions, contacts=st.lists(st.sampled_from(CONTACTS), min_size=2, max_size=6), retry=st.booleans())
    def batch(self, contacts: list[str], retry: bool) -> Any:
        requests = [
            DecisionRequest(contact_id=one, channel="email" if n % 2 else None, request_id=f"r-{one}" if retry else None)
            for n, one in enumerate(contacts)
        ]
        return multiple(*self.answered(self.house.service.decide_many(requests)))

    @rule(decision_id=decisions, outcome=st.sampled_from(["sale", "reject"]))
    def outcome(self, decision_id: str, outcome: str) -> None:
        self.events += 1
        receipt = self.house.service.record_outcomes([OutcomeIn(event_id=f"e-{self.events}", decision_id=decision_id, outcome=outcome)])
        assert receipt["accepted"] == 1

    @rule(contact=st.sampled_from(CONTACTS), channel=st.sampled_from([None, "email"]), days=st.sampled_from([-1, 5]))
    def suppress(self, contact: str, channel: str | None, days: int) -> None:
        self.house.service.suppress(contact, SuppressionIn(until=self.house.clock.now + timedelta(days=days), channel=channel))

    @rule(hours=st.sampled_from([1, 30, 24 * 4, 24 * 8, 24 * 35, -30]))
    def wait(self, hours: int) -> None:
        self.house.clock.advance(hours=hours)

    @rule(between=st.lists(st.sampled_from(CONTACTS), max_size=3), prices_only=st.sampled_from([False, False, True]))
    def plan(self, between: list[str], prices_only: bool) -> None:
        self.last = self.house.clock.now
        self._plan(between, prices_only)

    @precondition(lambda self: hasattr(self, "last"))
    @rule(prices_only=st.booleans())
    def plan_again(self, prices_only: bool) -> None:
        """For the same moment, whatever has happened since."""
        self._plan([], prices_only)

    def _plan(self, between: list[str], prices_only: bool) -> None:
        moment = self.last.replace(tzinfo=None)
        made = make(self.house, CONTACTS, np.datetime64(moment, "us"))
        for contact in between:
            self.answered([self.house.service.decide(DecisionRequest(contact_id=contact, channel="email"))])
        held = bind(self.house, made, prices_only=prices_only)
        book = self.house.ledger.prices()
        assert book is not None
        if self.book is None or self.book[0] != book["id"]:
            self.book = book["id"], datetime.fromisoformat(book["begins_at"]).replace(tzinfo=NOW.tzinfo)
        if not prices_only:
            self.period_of |= dict.fromkeys(held.decision_ids, (held.plan_id, 0))
            self.plans_cost[held.plan_id, 0] = held.plan.expected_cost

    # what the ledger says ----------------------------------------------------------------------------------------

    def rows(self, statement: str) -> list[dict[str, Any]]:
        conn = sqlite3.connect(f"file:{self.folder}/ledger.db?mode=ro", uri=True)
        conn.row_factory = sqlite3.Row
        try:
            return [dict(one) for one in conn.execute(statement)]
        finally:
            conn.close()

    def selections(self) -> list[dict[str, Any]]:
        """In the order in which they were written."""
        found = self.rows("SELECT * FROM selections ORDER BY rowid")  # those of decisions go in by their ids
        return [{**one, "market": MARKET[one["contact_id"]], "group": self.catalog.action_by_id[one["action_id"]].group} for one in found]

    def is_exempt(self, one: dict[str, Any]) -> bool:
        return self.catalog.action_by_id[one["action_id"]].kind != "default"

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        if not hasattr(self, "house"):
            return
        used: dict[tuple[str, tuple[str, int]], float] = defaultdict(float)
        shown: set[tuple[Any, ...]] = set()
        redeemed: Counter[tuple[str, str]] = Counter()
        for one in self.selections():
            period = self.period_of[one["decision_id"]]
            if one["redeems"] is not None:
                redeemed[one["redeems"], one["treatment_id"]] += 1
                continue
            if one["direction"] == "inbound":
                once = (period, one["contact_id"], one["treatment_id"])
                if one["plan_id"] is not None or once in shown:
                    continue  # a plan's banner is counted when it is shown, and once a contact and period
                shown.add(once)
            for limit in self.catalog.constraints:
                if of(limit, one):
                    used[limit.id, period] += one["cost"] if limit.measure == "cost" else 1
        assert all(times == 1 for times in redeemed.values())
        most = {limit.id: limit.max for limit in self.catalog.constraints}
        for (name, period), units in used.items():
            assert units <= (most[name] or 0) + 1e-9, (name, period, units)

    @invariant()
    def no_cap_is_exceeded(self) -> None:
        """Each selection is looked at once, when it is new: was there room for it beside all that had been written before?"""
        if not hasattr(self, "house"):
            return
        everything = self.selections()
        answered = {one["decision_id"] for one in self.rows("SELECT decision_id FROM outcomes")}
        for place, new in enumerate(everything):
            if new["decision_id"] in self.checked or self.is_exempt(new):
                continue
            earlier = [one for one in everything[:place] if not (self.is_exempt(one) and same_answer(one, new))]
            before = [one for one in earlier if is_touch(one, new, everything[:place], answered)]
            for cap in self.catalog.contact_policy:
                if cap.max is not None and of(cap, new):
                    counted = [one for one in before if of(cap, one) and same_unit(cap, one, new)]
                    recent = [one for one in counted if one["decided_at"] > new["decided_at"] - (cap.per_days or 0) * DAY]
                    assert len(recent) < cap.max, (cap.id, new, recent)
        self.checked |= {one["decision_id"] for one in everything}

    @invariant()
    def no_more_is_given_up_to_learn_than_the_budget(self) -> None:
        if not hasattr(self, "house") or not self.catalog.exploration.budget:
            return
        given_up = defaultdict(float, self.plans_cost)
        for row in self.rows("SELECT decision_id, trace FROM decisions WHERE plan_id IS NULL"):
            cost = self._costs.get(row["decision_id"])
            given_up[self.period_of[row["decision_id"]]] += self._cost(row) if cost is None else cost
        assert all(cost <= self.catalog.exploration.budget + 1e-9 for cost in given_up.values()), dict(given_up)

    def _cost(self, row: dict[str, Any]) -> float:
        """The expected cost of a decision, made again from what was kept of it."""
        trace, snapshot = json.loads(row["trace"]), self.house.snapshots.current
        situation, history = inputs_from_json({**trace["inputs"], "features": trace["features"]}, DTYPES)  # type: ignore[arg-type]
        stages = Stages(snapshot.catalog, snapshot.scorer, trace["prices"], trace["room"], trace["allowance"])
        cost = decide(stages, situation, history, limit=trace["request"]["limit"] or 1).expected_cost
        self._costs[row["decision_id"]] = cost
        return cost


def of(entry: Any, one: dict[str, Any]) -> bool:
    """Whether a policy or a constraint speaks of this selection."""
    names = {"channel": "channel", "group": "group", "treatment": "treatment_id", "market": "market", "action": "action_id"}
    wanted = {column: getattr(entry, key, None) for key, column in names.items()}
    return all(value in (None, "*", one[column]) for column, value in wanted.items())


def same_unit(cap: Any, one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether a cap counts both together: of the same contact or account, and with `*` of the same action."""
    unit = "account_id" if cap.scope == "account" else "contact_id"
    return one[unit] is not None and one[unit] == other[unit] and (cap.action != "*" or one["action_id"] == other["action_id"])


def same_answer(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether both were chosen at once: what no cap holds back counts for the answers that follow, not for the one that it is in."""
    return one["decision_id"] == other["decision_id"] or (one["plan_id"] is not None and one["plan_id"] == other["plan_id"])


def is_touch(one: dict[str, Any], new: dict[str, Any], before: list[dict[str, Any]], answered: set[str]) -> bool:
    """Whether `one` had touched its contact, or was about to, when `new` was chosen."""
    redeemed = {(later["redeems"], later["treatment_id"]) for later in [*before, new] if later["redeems"] is not None}
    if (one["decision_id"], one["treatment_id"]) in redeemed:
        return False
    if one["direction"] == "inbound":
        return one["decision_id"] in answered
    return one["decision_id"] in answered or one["reserved_until"] > new["decided_at"]


@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
def test_nothing_is_ever_overspent() -> None:
    run_state_machine_as_test(
        Spending,
        settings=settings(max_examples=15, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck)),
    )
