"""The funnel of a population: every candidate is counted once, and two populations counted apart add up to both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from decisioning.arbitration import ranking
from decisioning.candidates import Scores, Situation
from decisioning.decide import decide
from decisioning.explanation.funnel import SPREAD, STAGES, Funnel, funnel_of
from decisioning.explanation.sensitivity import CHANGES, first_choices
from decisioning.history import History
from decisioning.stages import House, appraise_candidates
from decisioning.vocabulary import BoolArray, FloatArray, Stage
from tests.decisioning.changes import PRICES
from tests.decisioning.strategies import (
    Business,
    FixedScores,
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


def of_rows(business: Business, rows: slice) -> tuple[Situation, History]:
    """Some of the contacts, with their past."""
    everyone, past = business.situation, business.history
    situation = structs.replace(
        everyone,
        contact_ids=everyone.contact_ids[rows],
        columns={name: column[rows] for name, column in everyone.columns.items()},
        granted={purpose: yes[rows] for purpose, yes in everyone.granted.items()},
    )
    return situation, History.of(situation.contact_ids.tolist(), past.touches, past.outcomes)


def funnel(business: Business, rows: slice = slice(None)) -> Funnel:
    return funnel_of(appraise_candidates(business.house, *of_rows(business, rows)), business.house.catalog)


def treatment_ids(business: Business) -> list[str]:
    return [treatment.id for _, treatment in business.house.catalog.treatments]


@given(businesses(constraints=True), st.integers(0, 8))
def test_the_funnels_of_two_populations_add_up_to_that_of_both(business: Business, cut: int) -> None:
    assert funnel(business, slice(cut)) + funnel(business, slice(cut, None)) == funnel(business)


@given(businesses())
def test_adding_nobody_changes_nothing(business: Business) -> None:
    assert funnel(business) + Funnel() == Funnel() + funnel(business) == funnel(business)
    assert funnel(business, slice(0)) == Funnel()


@given(businesses())
def test_every_candidate_is_taken_out_once_by_one_rule_or_is_left(business: Business) -> None:
    counted = funnel(business)
    alive = appraise_candidates(business.house, business.situation, business.history).candidates.alive
    taken = {stage: sum(counted.of("taken", stage, name) for name in treatment_ids(business)) for stage in STAGES}
    assert sum(taken.values()) + int(alive.sum()) == alive.size
    for stage in STAGES:
        assert taken[stage] == sum(number for key, number in counted.counts.items() if key[:2] == ("rule", stage))


@given(businesses())
def test_contacts_only_get_fewer_from_stage_to_stage(business: Business) -> None:
    counted = funnel(business)
    left = [counted.of("before", stage) for stage in STAGES] + [counted.of("after")]
    assert left[0] == counted.of("contacts") == len(business.situation.contact_ids)
    assert left == sorted(left, reverse=True)
    nothing = sum(number for key, number in counted.counts.items() if key[0] == "nothing")
    assert left[-1] + nothing == counted.of("contacts")


@given(businesses())
def test_the_first_choices_are_those_of_decisions_made_one_by_one(business: Business) -> None:
    counted, names = funnel(business), treatment_ids(business)
    chosen = [decide(business.house, *of_rows(business, slice(row, row + 1))).chosen for row in range(len(business.situation.contact_ids))]
    for column, name in enumerate(names):
        assert counted.of("chosen", name) == sum(one[:1] == (column,) for one in chosen)


@given(businesses())
def test_every_contact_is_in_one_class_of_every_spread(business: Business) -> None:
    counted = funnel(business)
    for what in ("actions", "treatments", "relevant actions"):
        assert sum(counted.of("left", what, name) for name in SPREAD) == counted.of("contacts")
    assert counted.of("left", "actions", "0") == counted.of("contacts") - counted.of("after")


@given(businesses(constraints=True))
def test_a_factor_that_is_neutral_already_sways_nobody(business: Business) -> None:
    counted = funnel(replace(business, house=replace(business.house, prices={})))
    assert [counted.of("swayed", factor, change) for factor in ("context_weight", "shadow_cost") for change in CHANGES] == [0] * 8


@given(
    st.integers(1, 6).flatmap(
        lambda n: st.tuples(
            st.lists(st.booleans(), min_size=n, max_size=n),
            st.lists(st.booleans(), min_size=n, max_size=n),
            st.lists(st.sampled_from([-1.0, 0.0, 2.0, 3.0, float("nan"), float("-inf")]), min_size=n, max_size=n),
        )
    )
)
def test_the_first_choice_of_many_is_the_first_of_the_ranking(drawn: tuple[list[bool], list[bool], list[float]]) -> None:
    alive, mandatory, preference = (np.array(part) for part in drawn)
    ranked = ranking(alive, mandatory, preference)
    assert first_choices(alive[None], mandatory, preference[None]).tolist() == [ranked[0] if len(ranked) else -1]


WITHOUT: dict[str, Callable[[House], House]] = {
    "lever": lambda house: replace(house, catalog=replace(house.catalog, lever=np.ones_like(house.catalog.lever))),
    "cost": lambda house: replace(house, catalog=replace(house.catalog, cost=np.zeros_like(house.catalog.cost))),
    "shadow_cost": lambda house: replace(house, prices={}),
    "opt_out_risk": lambda house: rescored(house, lambda scores: replace(scores, opt_out_risk=np.zeros_like(scores.opt_out_risk))),
    "uplift": lambda house: rescored(
        house, lambda scores: replace(scores, uplift=np.where(np.isnan(scores.propensity), scores.uplift, scores.propensity))
    ),
}
"""The business in which a factor says nothing."""


def rescored(house: House, change: Callable[[Scores], Scores]) -> House:
    known = house.score
    assert isinstance(known, FixedScores)
    return replace(house, score=FixedScores(known.row_of, change(known.scores)))


@given(businesses(constraints=True), PRICES)
@settings(max_examples=60)
def test_a_factor_sways_those_who_are_decided_otherwise_in_a_business_without_it(business: Business, prices: dict[str, float]) -> None:
    business = replace(business, house=replace(business.house, prices=prices))
    counted = funnel(business)
    alone = [of_rows(business, slice(row, row + 1)) for row in range(len(business.situation.contact_ids))]
    some = [one for one in alone if appraise_candidates(business.house, *one).relevant.any()]
    assert counted.of("comparable") == len(some)
    for factor, without in WITHOUT.items():
        pairs = [(decide(business.house, *one).chosen, decide(without(business.house), *one).chosen) for one in some]
        assert sum(counted.of("swayed", factor, change) for change in CHANGES) == sum(today != then for today, then in pairs)
        assert counted.of("swayed", factor, "no_action") == sum(bool(today) and not then for today, then in pairs)
        assert counted.of("swayed", factor, "an action") == sum(bool(then) and not today for today, then in pairs)


def test_every_stage_has_its_place_in_the_funnel() -> None:
    assert sorted(STAGES) == sorted(get_args(Stage))


# cases to be read ---------------------------------------------------------------------------------------------------


def email_only(action_id: str, **more: Any) -> dict[str, Any]:
    return make_action(action_id, treatments=[{"id": f"{action_id}_email", "channel": "email"}], **more)


def case(data: dict[str, Any], granted: list[bool] | None = None, ages: list[float] | None = None, **scores: FloatArray | float) -> Funnel:
    catalog = compiled(data)
    length = len(ages or granted or [True])
    yes: BoolArray = np.array(granted or [True] * length)
    situation = situation_of(length, granted={"marketing": yes}, columns=columns_of(length, age=ages or [40.0] * length))
    house = house_of(catalog, situation, scores_of((length, len(catalog.treatments)), **scores))
    return funnel_of(appraise_candidates(house, situation, history_of(situation)), catalog)


def swayed(counted: Funnel, factor: str) -> dict[str, int]:
    return {change: counted.of("swayed", factor, change) for change in CHANGES if counted.of("swayed", factor, change)}


def test_a_small_population_is_counted_as_one_would_by_hand() -> None:
    data = make_catalog([email_only("loan", eligibility="age >= 30"), email_only("card")])
    counted = case(data, granted=[True, True, False], ages=[20.0, 40.0, 40.0])
    assert (counted.of("taken", "eligibility", "loan_email"), counted.of("taken", "eligibility", "card_email")) == (1, 0)
    assert (counted.of("rule", "consent", "marketing"), counted.of("rule contacts", "consent", "marketing")) == (2, 1)
    assert [counted.of("before", stage) for stage in ("consent", "contact_policy")] == [3, 2]
    assert (counted.of("chosen", "loan_email"), counted.of("chosen", "card_email")) == (1, 1)
    assert (counted.of("action", "card"), counted.of("channel", "email"), counted.of("channel", "call")) == (2, 2, 0)
    assert counted.of("nothing", "nudge", "all_filtered") == 1
    assert [counted.of("left", "actions", name) for name in SPREAD] == [1, 1, 1, 0, 0]


def test_a_lever_that_decides_is_seen_to_decide() -> None:
    counted = case(make_catalog([email_only("loan"), email_only("card", lever=3.0)]), uplift=np.array([[0.08, 0.05]]))
    assert swayed(counted, "lever") == {"another action": 1}
    assert swayed(counted, "value") == {}


def test_without_the_costs_what_was_not_worth_it_becomes_worth_it() -> None:
    counted = case(make_catalog([email_only("loan", cost=6.0)]))
    assert counted.of("comparable") == 1
    assert swayed(counted, "cost") == {"an action": 1}


def test_ranked_by_response_a_contact_who_would_be_driven_away_is_contacted() -> None:
    counted = case(make_catalog([email_only("loan")]), uplift=-0.05, propensity=0.3)
    assert swayed(counted, "uplift") == {"an action": 1}


def test_of_values_that_are_all_the_mean_the_greater_uplift_wins() -> None:
    data = make_catalog([email_only("loan"), email_only("card")])
    counted = case(data, uplift=np.array([[0.01, 0.05]]), value=np.array([[1000.0, 100.0]]))
    assert swayed(counted, "value") == {"another action": 1}


def test_an_opt_out_risk_that_says_no_is_seen_to_say_no() -> None:
    counted = case(make_catalog([email_only("loan")]), opt_out_risk=0.01)
    assert swayed(counted, "opt_out_risk") == {"an action": 1}
    assert swayed(counted, "lever") == {}


def test_a_shadow_price_that_says_no_is_seen_to_say_no() -> None:
    catalog = compiled(make_catalog([email_only("loan")], constraints=[{"id": "mails", "measure": "contacts", "max": 1}]))
    situation = situation_of()
    house = house_of(catalog, situation, prices={"mails": 10.0})
    counted = funnel_of(appraise_candidates(house, situation, history_of(situation)), catalog)
    assert swayed(counted, "shadow_cost") == {"an action": 1}
    assert counted.of("nothing", "nudge", "limits") == 1
