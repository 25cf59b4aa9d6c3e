"""Laws of plans and decisions with everything at once: accounts, several treatments, minimums, control groups, exploration."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec import structs

from decisioning.candidates import Situation
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.control import GROUPS
from decisioning.decide import decide
from decisioning.errors import Infeasible
from decisioning.history import History, firms_of
from decisioning.plan import Plan, plan
from decisioning.stages import House
from tests.conftest import LAW_CASES
from tests.decisioning.strategies import (
    DAY,
    NOW,
    Business,
    businesses,
    columns_of,
    compiled,
    history_of,
    house_of,
    make_action,
    make_catalog,
    scores_of,
    situation_of,
)

FIRMS = np.array(["north", "south", None], dtype=object)
POLICIES: list[dict[str, Any]] = [
    {"id": "firm_any", "scope": "account", "max": 3, "per_days": 7},
    {"id": "firm_mail", "scope": "account", "channel": "email", "max": 1, "per_days": 7},
    {"id": "mail", "channel": "email", "max": 1, "per_days": 7},
    {"id": "own", "action": "*", "max": 1, "per_days": 14},
    {"id": "any", "max": 2, "per_days": 30},
]
CONSTRAINTS: list[dict[str, Any]] = [
    {"id": "money", "measure": "cost", "max": 9.0},
    {"id": "calls", "channel": "call", "measure": "contacts", "max": 2},
    {"id": "cards", "action": "card", "measure": "contacts", "min": 2, "max": 5},
    {"id": "poland", "market": "PL", "measure": "contacts", "max": 4},
]
CONTROLS: dict[str, Any] = {"holdout": 0.15, "random": 0.2, "propensity_only": 0.15, "no_levers": 0.1, "eligible_only": 0.1}


@dataclass(frozen=True)
class Whole:
    """A house, everybody in it, and what happened to them: touches as (row, action, channel, days ago)."""

    house: House
    situation: Situation
    history: History
    touches: list[tuple[int, str, str, int]]

    @property
    def catalog(self) -> CompiledCatalog:
        return self.house.catalog


@st.composite
def wholes(draw: st.DrawFn) -> Whole:
    """A business of up to 14 contacts in two firms, under any of the policies, constraints and control groups."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    catalog = compiled(
        make_catalog(
            [
                make_action("loan", lever=1.5),
                make_action("card", eligibility="age >= 18"),
                make_action("app", applicability="debt_ratio < 0.5"),
            ],
            contact_policy=draw(st.lists(st.sampled_from(POLICIES), unique_by=lambda one: one["id"])),
            constraints=draw(st.lists(st.sampled_from(CONSTRAINTS), unique_by=lambda one: one["id"])),
            controls=draw(st.sampled_from([{}, CONTROLS])),
            exploration=draw(st.sampled_from([{}, {"budget": 100.0}, {"budget": 100.0, "method": "epsilon_greedy", "epsilon": 0.5}])),
            treatments_per_contact=draw(st.integers(1, 3)),
        )
    )
    n = draw(st.integers(0, 14))
    accounts = rng.choice(FIRMS, n) if n else np.zeros(0, dtype=object)
    columns = {**columns_of(n), "account_id": accounts, "market": rng.choice(np.array(["PL", "DE", None], dtype=object), n)}
    columns |= {"age": rng.integers(10, 60, n).astype(float), "debt_ratio": rng.random(n)}
    granted = {"marketing": rng.random(n) < 0.8, "phone": rng.random(n) < 0.8}
    situation = situation_of(n, columns=columns, granted=granted, seeds=np.array([f"d-{row}" for row in range(n)], dtype=object))
    shape = (n, len(catalog.treatments))
    scores = scores_of(shape, uplift=rng.choice([-0.02, 0.01, 0.05, 0.09], shape), propensity=rng.choice([0.05, 0.1, 0.2], shape))
    touches = (
        [
            (int(rng.integers(n)), str(rng.choice(["loan", "card"])), str(rng.choice(["email", "call"])), int(rng.integers(1, 20)))
            for _ in range(rng.integers(0, 8))
        ]
        if n
        else []
    )
    house = replace(house_of(catalog, situation, scores), allowance=draw(st.sampled_from([0.0, 50.0])))
    return Whole(house, situation, past(situation, touches), touches)


def past(situation: Situation, touches: list[tuple[int, str, str, int]]) -> History:
    """The touches by contact and by account."""
    dated = [(row, action, channel, NOW - DAY * days) for row, action, channel, days in touches]
    plain = history_of(situation, dated)
    accounts = np.asarray(situation.columns["account_id"], dtype=object)
    of_firms = {**plain.touches, "account_id": np.array([accounts[row] for row in plain.touch_row], dtype=object)}
    known = np.array([one is not None for one in of_firms["account_id"]], dtype=bool)
    nothing = {"account_id": np.zeros(0, dtype=object), "outcome": np.zeros(0, dtype=object), "at": np.zeros(0, dtype="datetime64[us]")}
    return structs.replace(plain, firms=firms_of(accounts, {name: column[known] for name, column in of_firms.items()}, nothing))


def counted(whole: Whole, made: list[tuple[int, int]]) -> None:
    """Assert that the choices (row, column), with the past, break no cap, consent or eligibility: counted in the plainest way."""
    catalog, accounts = whole.catalog, whole.situation.columns["account_id"]
    everything = [(row, *names(catalog, column), 0) for row, column in made] + whole.touches
    for policy in catalog.catalog.contact_policy:
        totals: Counter[Any] = Counter()
        new: set[Any] = set()
        for place, (row, action, channel, days) in enumerate(everything):
            unit = accounts[row] if policy.scope == "account" else row
            if unit is None or days >= (policy.per_days or 0) or policy.channel not in (None, channel):
                continue
            key = (unit, action) if policy.action == "*" else unit
            totals[key] += 1
            new |= {key} if place < len(made) else set()
        assert all(totals[key] <= (policy.max or 0) for key in new), policy.id
    for row, column in made:
        action, channel = names(catalog, column)
        purpose = catalog.catalog.channels[channel].purpose
        assert purpose is None or whole.situation.granted[purpose][row]
        assert action != "card" or whole.situation.columns["age"][row] >= 18


def names(catalog: CompiledCatalog, column: int) -> tuple[str, str]:
    action, treatment = catalog.treatments[column]
    return action.id, treatment.channel


def planned(whole: Whole) -> Plan:
    try:
        return plan(whole.house, [(whole.situation, whole.history)])
    except Infeasible:
        assume(False)
        raise


@settings(max_examples=LAW_CASES)
@given(wholes())
def test_a_plan_breaks_no_cap_no_consent_and_no_limit_whatever_the_catalogue(whole: Whole) -> None:
    made, catalog = planned(whole), whole.catalog
    chosen = [(int(row), int(column)) for row, column in zip(made.contact, made.treatment, strict=True) if column >= 0]
    counted(whole, chosen)
    of_contact = Counter(row for row, _ in chosen)
    assert max(of_contact.values(), default=0) <= catalog.catalog.treatments_per_contact
    assert len({(row, names(catalog, column)[0]) for row, column in chosen}) == len(chosen)  # no action twice
    markets = whole.situation.columns["market"]
    for one in catalog.catalog.constraints:
        used = sum(catalog.use_per_contact[one.id][column] for row, column in chosen if one.market is None or markets[row] == one.market)
        assert (one.min or 0) - 1e-9 <= used <= (np.inf if one.max is None else one.max) + 1e-9
    held_out = {row for row, group in zip(made.contact, made.control_group, strict=True) if group == "holdout"}
    assert not held_out & set(of_contact)
    assert ((made.selection_prob > 0) & (made.selection_prob <= 1)).all()
    assert made.expected_cost <= whole.house.allowance + 1e-9
    assert set(made.contact.tolist()) == set(range(len(whole.situation.contact_ids)))


@settings(max_examples=LAW_CASES)
@given(wholes(), st.integers(1, 4), st.integers(0, 13))
def test_a_decision_breaks_no_cap_no_consent_and_no_limit_whatever_the_catalogue(whole: Whole, limit: int, row: int) -> None:
    n = len(whole.situation.contact_ids)
    assume(n)
    row %= n
    alone, room = one_contact(whole, row), {"money": 4.5, "calls": 1.0, "cards": 1.0, "poland": 2.0}
    made = decide(replace(whole.house, room=room), alone.situation, alone.history, limit=limit)
    counted(alone, [(0, column) for column in made.chosen])
    assert len(made.chosen) <= limit
    for one in whole.catalog.catalog.constraints:
        inside = one.market is None or alone.situation.columns["market"][0] == one.market
        used = sum(whole.catalog.use_per_contact[one.id][column] for column in made.chosen) if inside else 0.0
        assert one.max is None or used <= room[one.id] + 1e-9
    assert GROUPS[int(made.appraisal.groups[0])] != "holdout" or not made.chosen
    assert all(0 < one <= 1 for one in made.selection_probs) and 0 < made.no_action_prob <= 1
    assert made.expected_cost <= whole.house.allowance + 1e-9


def one_contact(whole: Whole, row: int) -> Whole:
    """The contact in `row` alone, with what happened to its colleagues."""
    situation, accounts = whole.situation, whole.situation.columns["account_id"]
    alone = structs.replace(
        situation,
        contact_ids=situation.contact_ids[[row]],
        columns={name: column[[row]] for name, column in situation.columns.items()},
        granted={purpose: yes[[row]] for purpose, yes in situation.granted.items()},
        seeds=situation.seeds_or_ids[[row]],
    )
    own = [(0, *rest) for who, *rest in whole.touches if who == row]
    mine = past(alone, own)
    firm = [(0, *rest) for who, *rest in whole.touches if accounts[who] is not None and accounts[who] == accounts[row]]
    history = structs.replace(mine, firms=past(alone, firm).firms)
    return _Alone(whole.house, alone, history, own, firm)


@dataclass(frozen=True)
class _Alone(Whole):
    """One contact; an account-wide policy counts the touches of the whole firm."""

    of_firm: list[tuple[int, str, str, int]]


@settings(max_examples=LAW_CASES)
@given(businesses(), st.randoms(use_true_random=False), st.integers(0, 10_000))
def test_permuting_the_catalogues_actions_permutes_the_answer(business: Business, random: Any, place: int) -> None:
    catalog, n = business.house.catalog, len(business.situation.contact_ids)
    order = list(range(len(catalog.actions)))
    random.shuffle(order)
    data = catalog.catalog.model_dump(mode="json")
    turned = compiled({**data, "actions": [data["actions"][one] for one in order]})
    columns = np.array([catalog.column_of[treatment.id] for _, treatment in turned.treatments], dtype=np.int64)
    known = business.house.score.scores  # type: ignore[attr-defined]
    parts = {name: getattr(known, name)[:, columns] for name in ("propensity", "uplift", "value", "opt_out_risk")}
    house = house_of(turned, business.situation, replace(known, **parts, base_rate=known.base_rate[columns]))
    made, again = (plan(one, [(business.situation, business.history)]) for one in (business.house, house))
    for row in range(n):
        worth = made.priority[row]
        ties = np.isclose(_priorities(business.house, business, row), worth).sum() if made.treatment[row] >= 0 else 1
        if ties == 1:
            assert _ids(catalog, int(made.treatment[row])) == _ids(turned, int(again.treatment[row]))
        assert worth == again.priority[row]


def _priorities(house: House, business: Business, row: int) -> np.ndarray:
    from decisioning.stages import appraise_candidates

    appraisal = appraise_candidates(house, business.situation, business.history)
    return np.where(appraisal.candidates.alive[row], appraisal.economics.priority[row], np.nan)


def _ids(catalog: CompiledCatalog, column: int) -> str | None:
    return None if column < 0 else catalog.treatments[column][1].id
