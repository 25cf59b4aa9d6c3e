"""The strict chain, against a plain search over all orders; and sales to firms, once."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurement.chain import STAGES, strict_chain
from measurement.firms import Deals, FirmTouches, firm_credit

EVENTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 8)), min_size=1, max_size=24)


@given(EVENTS)
def test_a_sale_counts_where_some_events_before_it_make_the_whole_chain(events: list[tuple[int, int, int]]) -> None:
    contact, stage, at = (np.array(one) for one in zip(*events, strict=True))
    found = strict_chain(contact, stage, at)
    for place, (who, what, when) in enumerate(events):
        before = [[e[2] for e in events if e[0] == who and e[1] == k] for k in range(4)]
        chained = any(list(times) == sorted(times) and times[-1] <= when for times in itertools.product(*before))
        assert found.counts[place] == (what == 4 and chained)


@given(EVENTS)
def test_each_stage_is_reached_by_no_more_contacts_than_the_one_before(events: list[tuple[int, int, int]]) -> None:
    contact, stage, at = (np.array(one) for one in zip(*events, strict=True))
    found = strict_chain(contact, stage, at)
    assert (np.diff(found.contacts) <= 0).all()
    assert (np.diff(found.reached, axis=1)[~np.isnan(np.diff(found.reached, axis=1))] >= 0).all()


def test_a_lead_from_before_he_was_targeted_does_not_count_and_one_after_does() -> None:
    stages = [2, 0, 1, 3, 4]
    early = strict_chain(np.zeros(5, dtype=int), np.array(stages), np.arange(5))
    assert not early.counts.any()
    both = strict_chain(np.zeros(6, dtype=int), np.array([*stages, 2]), [0, 1, 2, 4, 5, 3])
    assert both.counts.tolist() == [False, False, False, False, True, False]


def test_a_sale_too_long_after_does_not_count() -> None:
    contact, stage, at = np.zeros(5, dtype=int), np.arange(5), np.array([0, 1, 2, 3, 90])
    assert strict_chain(contact, stage, at, within=90).counts[4]
    assert not strict_chain(contact, stage, at, within=89).counts.any()


def test_stages_that_are_none_are_refused() -> None:
    assert len(STAGES) == 5
    with pytest.raises(ValueError, match="stage"):
        strict_chain(np.zeros(1, dtype=int), np.array([5]), [0])


DEALS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(1, 99)), max_size=8)
TOUCHES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=14)
FIRM_OF = [0, 0, 1, 2, -1, 0]


@given(DEALS, TOUCHES)
def test_every_sale_counts_once_and_only_for_people_touched_there_before(
    deals: list[tuple[int, int, int]], touches: list[tuple[int, int]]
) -> None:
    firm, sold_at, value = (np.array([one[k] for one in deals], dtype=float) for k in range(3))
    contact, at = (np.array([one[k] for one in touches], dtype=float) for k in range(2))
    who = contact.astype(int)
    found = firm_credit(
        Deals(firm.astype(int), sold_at, value), FirmTouches(np.array(FIRM_OF)[who] if who.size else who, who, at), within=5
    )
    expected = np.zeros(6)
    for f, when, money in deals:
        people = {c for c, touched in touches if FIRM_OF[c] == f and when - 5 <= touched <= when}
        for one in people:
            expected[one] += money / len(people)
    assert found.by_contact == pytest.approx(expected[: found.by_contact.size])
    assert found.by_touch.sum() == pytest.approx(value[found.counts].sum())
    assert found.by_contact.sum() == pytest.approx(value[found.counts].sum())
