"""Laws of the two compositions, for any business: one decision and a plan agree, order does not matter, nothing is violated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from decisioning.candidates import Situation
from decisioning.decide import decide
from decisioning.history import History
from decisioning.plan import Plan, plan
from tests.conftest import LAW_CASES
from tests.decisioning.strategies import (
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


def rows_of(business: Business, rows: list[int]) -> tuple[Situation, History]:
    """Some contacts of a business, in that order, with their past."""
    situation, history, wanted = business.situation, business.history, np.array(rows, dtype=np.int64)
    place = {row: new for new, row in enumerate(rows)}

    def past(row_of: np.ndarray, columns: Mapping[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        kept = np.isin(row_of, wanted)
        return np.array([place[row] for row in row_of[kept].tolist()], dtype=np.int64), {name: one[kept] for name, one in columns.items()}

    part = structs.replace(
        situation,
        contact_ids=situation.contact_ids[wanted],
        columns={name: column[wanted] for name, column in situation.columns.items()},
        granted={purpose: yes[wanted] for purpose, yes in situation.granted.items()},
    )
    return part, History(*past(history.touch_row, history.touches), *past(history.outcome_row, history.outcomes))


def planned(business: Business, *chunks: list[int]) -> Plan:
    return plan(business.house, [rows_of(business, rows) for rows in chunks])


def everyone(business: Business) -> list[int]:
    return list(range(len(business.situation.contact_ids)))


def treatments(made: Plan, business: Business, rows: list[int]) -> dict[str, str | None]:
    """The treatment of each contact of `rows`, in whose order they were planned for."""
    ids, contacts = [*(treatment.id for _, treatment in business.house.catalog.treatments), None], business.situation.contact_ids[rows]
    return {str(contacts[place]): ids[k] for place, k in zip(made.contact.tolist(), made.treatment.tolist(), strict=True)}


@settings(max_examples=LAW_CASES)
@given(businesses())
def test_a_plan_without_constraints_decides_as_one_decision_does(business: Business) -> None:
    made = planned(business, everyone(business))
    for row in everyone(business):
        decision = decide(business.house, *rows_of(business, [row]), limit=1)
        assert list(decision.chosen) == [one for one in [int(made.treatment[row])] if one >= 0]
        if decision.chosen:
            economics, scores = decision.appraisal.economics, decision.appraisal.scores
            column = decision.chosen[0]
            assert made.priority[row] == economics.priority[0, column]
            assert made.factors["profit"][row] == economics.profit[0, column]
            np.testing.assert_equal(made.factors["uplift"][row], scores.uplift[0, column])


@settings(max_examples=LAW_CASES)
@given(businesses(constraints=True), st.randoms(use_true_random=False))
def test_permuting_the_contacts_permutes_the_plan(business: Business, random: Any) -> None:
    shuffled = everyone(business)
    random.shuffle(shuffled)
    first, second = planned(business, everyone(business)), planned(business, shuffled)
    assert treatments(first, business, everyone(business)) == treatments(second, business, shuffled)
    assert first.priority[shuffled].tolist() == second.priority.tolist()
    assert [first.reason[row] for row in shuffled] == list(second.reason)
    assert [first.segment[row] for row in shuffled] == list(second.segment)
    assert first.allocation.shadow_prices.tolist() == second.allocation.shadow_prices.tolist()


@settings(max_examples=LAW_CASES)
@given(businesses(constraints=True), st.integers(0, 8))
def test_a_plan_in_chunks_is_the_plan_of_all(business: Business, cut: int) -> None:
    rows = everyone(business)
    whole, parts = planned(business, rows), planned(business, rows[:cut], rows[cut:])
    assert treatments(whole, business, rows) == treatments(parts, business, rows)
    assert whole.reason.tolist() == parts.reason.tolist()


@settings(max_examples=LAW_CASES)
@given(businesses(constraints=True))
def test_no_constraint_consent_or_cap_is_ever_violated(business: Business) -> None:
    made, catalog = planned(business, everyone(business)), business.house.catalog
    use = {"budget": 0.0, "calls": 0, "abroad": 0}
    for row, column in enumerate(made.treatment.tolist()):
        if column < 0:
            continue
        action, treatment = catalog.treatments[column]
        purpose = catalog.catalog.channels[treatment.channel].purpose
        assert purpose is None or business.situation.granted[purpose][row]
        assert action.kind != "default" or not _caps_used_up(business, row, action.id, treatment.channel)
        use["budget"] += made.factors["cost"][row]
        use["calls"] += treatment.channel == "call"
        use["abroad"] += business.situation.columns["market"][row] == "DE"
    assert all(use[one.id] <= (one.max or 0) for one in catalog.catalog.constraints)
    assert made.allocation.used.tolist() == pytest.approx(list(use.values()))


def _caps_used_up(business: Business, row: int, action_id: str, channel: str) -> bool:
    """The caps of `strategies.POLICIES`, counted once more in the plainest way."""
    policies = {policy.id for policy in business.house.catalog.catalog.contact_policy}
    past = business.history
    touches = [
        (past.touches["action_id"][k], past.touches["channel"][k], (NOW - past.touches["at"][k]) / np.timedelta64(1, "D"))
        for k in np.flatnonzero(past.touch_row == row)
    ]
    rejects = [
        (past.outcomes["action_id"][k], (NOW - past.outcomes["at"][k]) / np.timedelta64(1, "D"))
        for k in np.flatnonzero(past.outcome_row == row)
        if past.outcomes["outcome"][k] == "reject"
    ]
    reached = {
        "email_week": channel == "email" and sum(c == "email" and days < 7 for _, c, days in touches) >= 1,
        "any_month": sum(days < 30 for *_, days in touches) >= 3,
        "each": sum(a == action_id and days < 14 for a, _, days in touches) >= 1,
        "after_reject": any(a == action_id and days < 30 for a, days in rejects),
    }
    return any(reached[policy] for policy in policies & set(reached))


@settings(max_examples=LAW_CASES)
@given(businesses(constraints=True))
def test_everyone_gets_a_treatment_or_a_reason(business: Business) -> None:
    made = planned(business, everyone(business))
    assert [bool(reason) for reason in made.reason] == (made.treatment < 0).tolist()
    assert np.isfinite(made.priority).all()
    assert (made.factors["profit"][made.treatment >= 0] == made.factors["profit"][made.treatment >= 0]).all()
    assert np.isnan(made.factors["profit"][made.treatment < 0]).all()


@settings(max_examples=LAW_CASES)
@given(businesses(), st.integers(0, 10_000))
def test_raising_one_value_never_lowers_its_treatments_rank(business: Business, place: int) -> None:
    row = [place % len(business.situation.contact_ids)]
    situation, history = rows_of(business, row)
    before = decide(business.house, situation, history, limit=99)
    if not before.chosen:
        return
    column = before.chosen[place % len(before.chosen)]
    scores = business.house.score.scores  # type: ignore[attr-defined]
    value = scores.value.copy()
    effect = before.appraisal.economics.effect[0, column]
    value[row[0], column] += np.where(effect >= 0, 50.0, -50.0)
    house = house_of(business.house.catalog, business.situation, replace(scores, value=value))
    after = decide(house, situation, history, limit=99)
    assert after.chosen.index(column) <= before.chosen.index(column)


def test_a_plan_finds_its_own_prices_and_leaves_nobody_for_equal_worth() -> None:
    constraints = [{"id": "calls", "channel": "call", "measure": "contacts", "max": 3}]
    call_only = make_action("visit", treatments=[{"id": "visit_call", "channel": "call"}])
    catalog = compiled(make_catalog([call_only], constraints=constraints))
    situation = situation_of(10, columns=columns_of(10))
    scores = scores_of((10, 1), uplift=np.linspace(0.05, 0.095, 10)[:, None])
    house = house_of(catalog, situation, scores, prices={"calls": 1000.0})
    made = plan(house, [(situation, history_of(situation))])
    assert made.treatment.tolist() == [-1] * 7 + [0] * 3
    assert made.reason[0].startswith("limits: what it would use of the budgets and capacities is worth more elsewhere")
    # the eighth best earns 8 - 4, the seventh 7.5 - 4: in between is what one more call is worth
    assert 3.9 < made.allocation.shadow_prices[0] <= 4.5
    np.testing.assert_allclose(made.shadow_cost[7:], made.allocation.shadow_prices[0])


def test_who_wins_among_equals_does_not_follow_the_order_of_contacts() -> None:
    constraints = [{"id": "calls", "channel": "call", "measure": "contacts", "max": 100}]
    catalog = compiled(make_catalog([make_action("visit", treatments=[{"id": "v", "channel": "call"}])], constraints=constraints))
    situation = situation_of(200)
    made = plan(house_of(catalog, situation, scores_of((200, 1), uplift=0.09)), [(situation, history_of(situation))])
    assert made.allocation.used.tolist() == [100.0]
    assert 30 < (made.treatment[:100] >= 0).sum() < 70


def test_a_plan_for_nobody_is_empty() -> None:
    catalog = compiled(make_catalog(constraints=[{"id": "budget", "measure": "cost", "max": 5}]))
    situation = situation_of(0)
    for chunks in ([], [(situation, history_of(situation))]):
        made = plan(house_of(catalog, situation), chunks)
        assert (made.contact.tolist(), made.treatment.tolist(), made.reason.tolist()) == ([], [], [])
        assert made.allocation.slack.tolist() == [5.0]
