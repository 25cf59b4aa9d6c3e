"""A plan under minimum volumes, with several treatments a contact, for accounts and for control groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decisioning.arbitration import use_of
from decisioning.candidates import Situation
from decisioning.decide import decide
from decisioning.errors import Infeasible
from decisioning.history import History, firms_of
from decisioning.plan import Plan, plan
from decisioning.plan_offers import Profiles
from decisioning.stages import House, appraise_candidates
from serving.http.http_errors import status_of
from tests.decisioning.strategies import (
    DAY,
    NOW,
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

MAIL_AND_CALL = [{"id": "loan_mail", "channel": "email"}, {"id": "loan_call", "channel": "call"}]


def only(action_id: str, channel: str, **more: Any) -> dict[str, Any]:
    """An action with one treatment."""
    return make_action(action_id, treatments=[{"id": f"{action_id}_{channel}", "channel": channel}], **more)


def planned(data: dict[str, Any], uplift: Any, situation: Situation | None = None, history: History | None = None) -> Plan:
    """The plan of a catalogue for contacts of these uplifts, shape (n_contacts, n_treatments); a response is worth 100."""
    catalog, effects = compiled(data), np.array(uplift, dtype=float)
    known = situation or situation_of(len(effects))
    scores = scores_of(effects.shape, uplift=effects, propensity=0.5)
    return plan(house_of(catalog, known, scores), [(known, history or history_of(known))])


def ids(made: Plan, data: dict[str, Any]) -> list[str | None]:
    treatments = [treatment["id"] for action in data["actions"] for treatment in action["treatments"]]
    return [treatments[k] if k >= 0 else None for k in made.treatment.tolist()]


# --- minimum volumes -------------------------------------------------------------------------------------------------------------------


def test_a_minimum_gives_the_unprofitable_to_whom_it_costs_least_and_says_so() -> None:
    data = make_catalog([only("visit", "call")], constraints=[{"id": "visit_min", "action": "visit", "measure": "contacts", "min": 3}])
    made = planned(data, [[0.01], [0.06], [0.03], [-0.02]])  # worth -3, 2, -1 and -6 after a call at 4
    assert ids(made, data) == ["visit_call", "visit_call", "visit_call", None]
    assert made.reason[0] == "minimum: `visit_min` asks for it; without it doing nothing would be worth more"
    assert made.reason[1] == ""
    assert made.reason[3].startswith("not_worth_it")
    assert made.allocation.shadow_prices[0] < 0
    assert made.allocation.cost_of_limit.tolist() == pytest.approx([4.0])
    np.testing.assert_allclose(made.priority[:3], np.array([-3.0, 2.0, -1.0]) - made.allocation.shadow_prices[0])


def test_what_no_minimum_asks_for_still_has_to_beat_no_action() -> None:
    constraints = [{"id": "visit_min", "action": "visit", "measure": "contacts", "min": 1}]
    data = make_catalog([only("visit", "call"), only("card", "email")], constraints=constraints)
    made = planned(data, [[-0.02, 0.001], [0.06, 0.001]])
    assert ids(made, data) == [None, "visit_call"]


def test_a_minimum_of_a_market_is_met_in_that_market() -> None:
    constraints = [{"id": "german_calls", "channel": "call", "market": "DE", "measure": "contacts", "min": 2}]
    data = make_catalog([only("visit", "call")], constraints=constraints)
    situation = situation_of(4, columns=columns_of(4, market=["PL", "DE", None, "DE"]))
    made = planned(data, [[0.01], [0.01], [0.01], [0.02]], situation)
    assert ids(made, data) == [None, "visit_call", None, "visit_call"]
    assert made.reason[0].startswith("not_worth_it")


def test_constraints_that_clash_are_named_with_what_they_ask_and_what_is_possible() -> None:
    constraints = [
        {"id": "calls", "channel": "call", "measure": "contacts", "max": 2},
        {"id": "visit_min", "action": "visit", "measure": "contacts", "min": 5},
        {"id": "money", "measure": "cost", "max": 1000},
    ]
    data = make_catalog([only("visit", "call"), only("card", "email")], constraints=constraints)
    with pytest.raises(Infeasible) as refused:
        planned(data, [[0.09, 0.05]] * 8)
    assert refused.value.what == "`visit_min` asks for 5 contacts and `calls` leaves room for at most 2 contacts: they clash by 3 contacts"
    assert refused.value.hint == "lower the `min` of `visit_min` to 2 contacts, or raise the `max` of `calls` to 5 contacts"
    assert status_of(refused.value) == 409


def test_a_minimum_beyond_the_population_says_how_far() -> None:
    data = make_catalog([only("visit", "call")], constraints=[{"id": "spend", "channel": "call", "measure": "cost", "min": 50}])
    with pytest.raises(Infeasible) as refused:
        planned(data, [[0.09]] * 10)
    expected = "`spend` asks for 50 of cost and the population has room for at most 40 of cost: it is out of reach by 10 of cost"
    assert refused.value.what == expected


def test_what_only_shares_of_contacts_could_meet_is_said_so() -> None:
    data = make_catalog([only("visit", "call")], constraints=[{"id": "spend", "measure": "cost", "min": 5, "max": 7}])
    with pytest.raises(Infeasible, match="no plan of whole contacts was found that meets `spend`, though shares of contacts would"):
        planned(data, [[0.09]] * 10)


# --- several treatments a contact --------------------------------------------------------------------------------------------------------


def test_a_contact_gets_as_many_treatments_as_the_catalogue_allows_each_of_another_action() -> None:
    data = make_catalog([make_action("loan", treatments=MAIL_AND_CALL), only("card", "email"), only("visit", "call")])
    data["treatments_per_contact"] = 2
    made = planned(data, [[0.05, 0.2, 0.1, 0.05], [0.0, 0.0, 0.01, 0.0]])
    assert ids(made, data) == ["loan_call", "card_email", "card_email"]
    assert made.contact.tolist() == [0, 0, 1]
    assert made.rank.tolist() == [1, 2, 1]
    assert len(made.allocation.taken) == 3


def test_a_contact_policy_leaves_room_for_so_many_treatments_of_one_plan() -> None:
    policy = [{"id": "mails", "channel": "email", "max": 3, "per_days": 7}]
    actions = [only(name, "email") for name in ("a", "b", "c")]
    data = make_catalog(actions, contact_policy=policy, treatments_per_contact=3)
    situation = situation_of(2)
    history = history_of(situation, touches=[(0, "a", "email", NOW - DAY), (0, "b", "email", NOW - DAY)])
    made = planned(data, [[0.03, 0.05, 0.04]] * 2, situation, history)
    assert made.contact.tolist() == [0, 1, 1, 1]
    assert ids(made, data) == ["b_email", "b_email", "c_email", "a_email"]


def test_who_gets_nothing_still_has_a_row_with_a_reason() -> None:
    data = make_catalog([only("a", "email"), only("b", "email")], treatments_per_contact=2)
    made = planned(data, [[-0.1, -0.1], [0.1, 0.2]])
    assert made.contact.tolist() == [0, 1, 1]
    assert [bool(reason) for reason in made.reason] == [True, False, False]


@settings(max_examples=60)
@given(businesses(), st.integers(2, 4))
def test_a_plan_of_several_treatments_without_constraints_is_a_decision_of_as_many(business: Any, several: int) -> None:
    catalog = business.house.catalog
    more = catalog.catalog.model_copy(update={"treatments_per_contact": several})
    house = House(type(catalog)(**{**vars(catalog), "catalog": more}), business.house.score)
    made = plan(house, [(business.situation, business.history)])
    for row in range(len(business.situation.contact_ids)):
        alone = Situation(
            contact_ids=business.situation.contact_ids[[row]],
            columns={name: column[[row]] for name, column in business.situation.columns.items()},
            now=business.situation.now,
            granted={purpose: yes[[row]] for purpose, yes in business.situation.granted.items()},
        )
        past = [
            (0, business.history.touches["action_id"][k], business.history.touches["channel"][k], business.history.touches["at"][k])
            for k in np.flatnonzero(business.history.touch_row == row)
        ]
        outcomes = [
            (0, business.history.outcomes["action_id"][k], business.history.outcomes["outcome"][k], business.history.outcomes["at"][k])
            for k in np.flatnonzero(business.history.outcome_row == row)
        ]
        decision = decide(house, alone, history_of(alone, past, outcomes), limit=several)
        mine = made.treatment[made.contact == row]
        worth = decision.appraisal.economics.priority[0]
        chosen = [k for k in mine.tolist() if k >= 0]
        mandatory = [k for k in chosen if catalog.mandatory[k]]
        # the plan is the best set under the caps, a slate takes the best first: never worth less, and the same where nothing stands between
        assert len({catalog.treatments[k][0].id for k in chosen}) == len(chosen) <= several
        assert mandatory == [k for k in decision.chosen if catalog.mandatory[k]]
        assert np.nan_to_num(worth[chosen]).sum() >= np.nan_to_num(worth[list(decision.chosen)]).sum() - 1e-9


# --- accounts ----------------------------------------------------------------------------------------------------------------------------


def with_firms(situation: Situation, firms: list[str | None], touched: list[str]) -> History:
    """A past in which the accounts `touched` were called yesterday, once a mention, by way of contacts who are not in the plan."""
    quiet = history_of(situation)
    touches = {
        "account_id": np.array(touched, dtype=object),
        "action_id": np.array(["visit"] * len(touched), dtype=object),
        "channel": np.array(["call"] * len(touched), dtype=object),
        "at": np.array([NOW - DAY] * len(touched), dtype="datetime64[us]"),
    }
    nothing = {**{name: column[:0] for name, column in touches.items()}, "outcome": np.array([], dtype=object)}
    return History(
        quiet.touch_row, quiet.touches, quiet.outcome_row, quiet.outcomes, firms_of(np.array(firms, dtype=object), touches, nothing)
    )


def test_five_buyers_of_one_firm_are_not_all_called() -> None:
    policy = [{"id": "firm_week", "scope": "account", "channel": "call", "max": 2, "per_days": 7}]
    data = make_catalog([only("visit", "call")], contact_policy=policy)
    situation = situation_of(7)
    firms: list[str | None] = ["acme"] * 5 + [None, None]
    made = planned(data, [[0.06], [0.09], [0.07], [0.08], [0.05], [0.06], [0.06]], situation, with_firms(situation, firms, []))
    assert np.flatnonzero(made.treatment >= 0).tolist() == [1, 3, 5, 6]
    held_back = "contact_policy: what `firm_week` allows the account goes to others of it"
    assert made.reason.tolist() == [held_back, "", held_back, "", held_back, "", ""]


def test_who_the_budget_leaves_out_is_told_so_though_the_firm_has_had_its_share_too() -> None:
    policy = [{"id": "firm_week", "scope": "account", "max": 1, "per_days": 7}]
    constraints = [{"id": "calls", "channel": "call", "measure": "contacts", "max": 1}]
    data = make_catalog([only("visit", "call")], contact_policy=policy, constraints=constraints)
    situation = situation_of(4)
    made = planned(data, [[0.09], [0.05], [0.06], [0.01]], situation, with_firms(situation, ["acme", "acme", None, "acme"], []))
    assert np.flatnonzero(made.treatment >= 0).tolist() == [0]
    assert [one.split(":")[0] for one in made.reason] == ["", "limits", "limits", "not_worth_it"]


def test_what_an_account_has_had_takes_from_its_room() -> None:
    policy = [{"id": "firm_week", "scope": "account", "channel": "call", "max": 2, "per_days": 7}]
    data = make_catalog([only("visit", "call")], contact_policy=policy)
    situation = situation_of(4)
    made = planned(data, [[0.06], [0.09], [0.07], [0.08]], situation, with_firms(situation, ["a", "a", "b", "b"], ["a", "b", "b"]))
    assert np.flatnonzero(made.treatment >= 0).tolist() == [1]


def test_an_account_is_one_account_in_all_chunks() -> None:
    policy = [{"id": "firm_week", "scope": "account", "max": 1, "per_days": 7}]
    catalog = compiled(make_catalog([only("visit", "call")], contact_policy=policy))
    everyone = situation_of(4)
    house = house_of(catalog, everyone, scores_of((4, 1), uplift=np.array([[0.06], [0.07], [0.09], [0.08]])))
    firms = with_firms(everyone, ["a", "b", "a", "b"], []).firms
    assert firms is not None
    chunks = []
    for rows in (slice(0, 2), slice(2, 4)):
        part = Situation(
            everyone.contact_ids[rows],
            {name: column[rows] for name, column in everyone.columns.items()},
            NOW,
            {purpose: yes[rows] for purpose, yes in everyone.granted.items()},
        )
        quiet = history_of(part)
        own = type(firms)(firms.unit[rows], firms.touches, firms.outcomes)
        chunks.append((part, History(quiet.touch_row, quiet.touches, quiet.outcome_row, quiet.outcomes, own)))
    assert np.flatnonzero(plan(house, chunks).treatment >= 0).tolist() == [2, 3]


# --- control groups and profiles ----------------------------------------------------------------------------------------------------------


def test_the_random_group_gets_what_it_draws_though_it_is_worth_less_and_before_the_others() -> None:
    constraints = [{"id": "mails", "channel": "email", "measure": "contacts", "max": 40}]
    data = make_catalog([only("a", "email"), only("b", "email")], controls={"random": 0.5, "salt": "s"}, constraints=constraints)
    made = planned(data, [[0.2, -0.001]] * 60)
    drawn = np.asarray(made.control_group) == "random"
    assert 15 < drawn.sum() < 40
    assert (made.treatment[drawn] >= 0).all()
    assert set(made.treatment[drawn].tolist()) == {0, 1}
    assert set(made.treatment[~drawn].tolist()) == {0, -1}


@settings(max_examples=40)
@given(businesses(constraints=True))
def test_a_profile_uses_of_a_constraint_what_its_candidate_does(business: Any) -> None:
    catalog = business.house.catalog
    appraisal = appraise_candidates(business.house, business.situation, business.history)
    shape = (len(business.situation.contact_ids), len(catalog.treatments))
    row, column = (part.ravel() for part in np.mgrid[: shape[0], : shape[1]])
    profiles = Profiles.of(catalog)
    of_each = profiles.uses[profiles.of_candidates(appraisal, row, column)]
    for place, constraint in enumerate(catalog.catalog.constraints):
        np.testing.assert_array_equal(of_each[:, place], use_of(constraint, catalog, business.situation).ravel())
