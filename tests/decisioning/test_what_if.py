"""The change that an explanation names is the one that changes the choice, and no smaller one of its kind does."""

from __future__ import annotations

from hypothesis import given, settings

from decisioning.candidates import Situation
from decisioning.decide import decide
from decisioning.explanation.explain import Change, explain_decision
from decisioning.explanation.what_if import what_if
from decisioning.history import History
from decisioning.stages import House
from decisioning.vocabulary import NO_ACTION
from tests.decisioning.changes import PRICES, ROOMS, alone, explained, first_choice, moved, without
from tests.decisioning.strategies import (
    Business,
    businesses,
)


@given(businesses(constraints=True), PRICES, ROOMS)
@settings(max_examples=150)
def test_lifting_a_rule_in_thought_and_in_the_catalogue_give_the_same_choice(
    business: Business, prices: dict[str, float], room: dict[str, float]
) -> None:
    house, situation, history = alone(business, prices, room)
    decision = decide(house, situation, history)
    seen, changes = what_if(house, decision.appraisal), explain_decision(house, decision).changes
    today = first_choice(house, situation, history)
    for rule in seen.rules:
        truly = first_choice(*without(rule, house, situation), history)
        reported = [change for change in changes if change.rules == (rule,)]
        assert [change.then for change in reported] == ([truly] if truly != today else [])


@given(businesses(), PRICES)
@settings(max_examples=150)
def test_two_rules_are_named_together_only_where_neither_is_enough(business: Business, prices: dict[str, float]) -> None:
    house, situation, history = alone(business, prices)
    decision = decide(house, situation, history)
    for change in explain_decision(house, decision).changes:
        if len(change.rules) < 2:
            continue
        for rule in change.rules:
            assert first_choice(*without(rule, house, situation), history) != change.then
        pair = change.rules
        first, then = without(pair[0], house, situation)
        assert first_choice(*without(pair[1], first, then), history) == change.then


@given(businesses(constraints=True), PRICES)
@settings(max_examples=200)
def test_beyond_the_named_number_the_choice_is_the_named_one_and_short_of_it_it_is_not_changed(
    business: Business, prices: dict[str, float]
) -> None:
    house, situation, history = alone(business, prices)
    today = first_choice(house, situation, history)
    for change in explained(house, situation, history).changes:
        if change.to != "lifted":
            assert isinstance(change.to, float) and isinstance(change.now, float)
            toward = 1.0 if change.beyond == "above" else -1.0
            little = 1e-7 * max(1.0, abs(change.to))
            beyond = first_choice(moved(change, change.to + toward * little, house), situation, history)
            assert beyond != today
            assert beyond == change.then or is_level(change, house, situation, history, beyond)
            short = change.to - toward * little
            if (short - change.now) * toward > 0:
                assert first_choice(moved(change, short, house), situation, history) == today


def is_level(change: Change, house: House, situation: Situation, history: History, other: str) -> bool:
    """Whether two candidates are so equal at the tipping point that rounding decides between them."""
    assert isinstance(change.to, float)
    priority = what_if(moved(change, change.to, house), decide(house, situation, history).appraisal).preference
    worth = [0.0 if one == NO_ACTION else priority[house.catalog.column_of[one]] for one in (other, change.then)]
    return bool(abs(worth[0] - worth[1]) < 1e-6)
