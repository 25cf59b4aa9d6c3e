"""The short way for one contact says what the stages say: the same removals in the same words, the same money to the last bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from decisioning.arbitration import ranking, segment_of
from decisioning.candidates import Candidates
from decisioning.explanation import explain_no_action, explain_nothing
from decisioning.lines import Line, line_of
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
        asked = structs.replace(situation, channel=channel, placements=placements, context={"intent": intent}, actions=actions)
        assert_same(appraise_one(house, asked, history), appraise_candidates(house, structs.replace(asked), history))


@settings(max_examples=LAW_CASES)
@given(business=BOTH)
def test_any_channel_and_placement_is_the_ordinary_question(business: Business) -> None:
    for row in range(len(business.situation.contact_ids)):
        situation, history = rows_of(business, [row])
        short = appraise_one(business.house, situation, history)
        assert_same(short, appraise_candidates(business.house, structs.replace(situation), history))


def alike(one: Line, other: Line) -> bool:
    return all(
        a == b or (isinstance(a, float) and np.isnan([a, b]).all())
        for a, b in zip(structs.astuple(one), structs.astuple(other), strict=True)
    )


@settings(max_examples=LAW_CASES)
@given(business=BOTH)
def test_a_line_read_off_lists_is_the_line_of_the_arrays_and_names_their_segment(business: Business) -> None:
    catalog = business.house.catalog
    for row in range(len(business.situation.contact_ids)):
        seen = appraise_one(business.house, *rows_of(business, [row]))
        if not isinstance(seen, OneAppraisal):
            continue
        arrays = seen.as_arrays
        segments = segment_of(arrays.scores, arrays.economics)[0]
        assert seen.ranked == ranking(arrays.candidates.alive[0], catalog.mandatory, arrays.economics.priority[0]).tolist()
        if not seen.ranked:
            assert explain_nothing(seen) == explain_no_action(arrays, catalog, 0)
        for column in range(len(catalog.treatments)):
            line = line_of(seen, catalog, column)
            assert alike(line, line_of(arrays, catalog, column))
            assert line.segment == segments[column]
            assert np.array_equal(line.baseline, arrays.scores.baseline[0, column], equal_nan=True)
