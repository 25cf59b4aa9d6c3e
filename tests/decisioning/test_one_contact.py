"""The short way for one contact says what the stages say: the same removals in the same words, the same money to the last bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from decisioning.candidates import Candidates
from decisioning.one_contact import appraise_one
from decisioning.one_worth import OneAppraisal
from decisioning.stages import Appraisal, House, appraise_candidates
from tests.conftest import LAW_CASES
from tests.decisioning.strategies import Business, businesses
from tests.decisioning.test_laws import rows_of

PRICES = {"budget": 0.75, "calls": 3.0, "abroad": 1.5}
ROOM = st.fixed_dictionaries({name: st.sampled_from([0.0, 0.5, 2.0, np.inf]) for name in PRICES})
BOTH = st.booleans().flatmap(lambda limited: businesses(constraints=limited))


def removals(candidates: Candidates) -> list[tuple[str, str, str] | None]:
    found = [candidates.removal(0, column) for column in range(candidates.removed_by.shape[1])]
    return [None if one is None else (one.stage, one.rule, one.detail(0)) for one in found]


def assert_same(seen: Appraisal | OneAppraisal, long: Appraisal) -> None:
    short = seen.as_arrays if isinstance(seen, OneAppraisal) else seen
    assert removals(short.candidates) == removals(long.candidates)
    np.testing.assert_array_equal(short.candidates.alive, long.candidates.alive)
    np.testing.assert_array_equal(short.relevant, long.relevant)
    np.testing.assert_array_equal(short.groups, long.groups)
    scored = [one is None or one[0] in ("score", "allocation", "arbitrate", "control") for one in removals(long.candidates)]
    for name in ("effect", "context_weight", "cost", "shadow_cost", "profit", "priority"):
        np.testing.assert_array_equal(getattr(short.economics, name)[0, scored], getattr(long.economics, name)[0, scored])
    np.testing.assert_array_equal(short.preference[0, scored], long.preference[0, scored])


@settings(max_examples=LAW_CASES)
@given(
    business=BOTH,
    room=ROOM,
    channel=st.sampled_from([None, "email", "call", "web"]),
    placements=st.sampled_from([(), ("hero",), ("hero", "strip"), ("none-such",)]),
    intent=st.sampled_from(["borrow", "save", None]),
    named=st.integers(0, 3),
)
def test_one_contact_is_appraised_as_the_stages_say(
    business: Business, room: dict[str, float], channel: str | None, placements: tuple[str, ...], intent: Any, named: int
) -> None:
    house: House = replace(business.house, prices=PRICES, room=room)
    actions = tuple(one.id for one in business.house.catalog.catalog.actions[:named])
    for row in range(len(business.situation.contact_ids)):
        situation, history = rows_of(business, [row])
        asked = replace(situation, channel=channel, placements=placements, context={"intent": intent}, actions=actions)
        assert_same(appraise_one(house, asked, history), appraise_candidates(house, replace(asked), history))


@settings(max_examples=LAW_CASES)
@given(business=BOTH)
def test_any_channel_and_placement_is_the_ordinary_question(business: Business) -> None:
    for row in range(len(business.situation.contact_ids)):
        situation, history = rows_of(business, [row])
        short = appraise_one(business.house, situation, history)
        assert_same(short, appraise_candidates(business.house, replace(situation), history))
