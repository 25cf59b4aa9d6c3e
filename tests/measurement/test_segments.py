"""Segments against plain counting, uplift in each against simulated truth; who is not served; which channel to drop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurement.channels import PlanPart, drops
from measurement.segments import lifts, movements, sizes, transitions
from measurement.value_finder import CLASSES, find_value

BOOLS = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=30)


@given(BOOLS)
def test_sizes_and_overlaps_are_those_of_plain_counting(rows: list[tuple[bool, bool, bool]]) -> None:
    columns = {name: np.array([row[k] for row in rows]) for k, name in enumerate("abc")}
    found = sizes(columns)
    for i, one in enumerate(columns.values()):
        for j, other in enumerate(columns.values()):
            assert found.both[i, j] == sum(x and y for x, y in zip(one, other, strict=True))
            assert 0 <= found.alike[i, j] <= 1
    assert found.in_none == sum(not any(row) for row in rows)


@given(BOOLS, st.integers(0, 9))
def test_whoever_was_in_a_segment_stayed_or_went_or_is_gone(rows: list[tuple[bool, bool, bool]], seed: int) -> None:
    before, after, known_after = ({"s": np.array([row[k] for row in rows])} for k in range(3))
    known = np.random.default_rng(seed).random(len(rows)) < 0.7
    moved = movements(before, after, known, known_after["s"])["s"]
    assert moved.stayed + moved.went + moved.gone == (before["s"] & known).sum()
    assert moved.stayed + moved.came + moved.new == (after["s"] & known_after["s"]).sum()


def test_everybody_moves_from_one_segment_to_one() -> None:
    rng = np.random.default_rng(1)
    before, after = rng.integers(0, 4, 500), rng.integers(0, 4, 500)
    table = transitions(before, after, 4)
    assert table.sum() == 500
    assert table[2].sum() == (before == 2).sum()
    assert table[1, 3] == ((before == 1) & (after == 3)).sum()


def test_the_uplift_of_each_segment_is_that_of_its_members() -> None:
    rng = np.random.default_rng(3)
    young, exposed = rng.random(20_000) < 0.3, (rng.random(20_000) < 0.8).astype(float)
    outcome = rng.normal(size=20_000) + exposed * np.where(young, 2.0, -0.5)
    few = np.zeros(20_000, dtype=bool)
    few[:30] = True
    found = lifts(outcome, exposed, {"young": young, "old": ~young, "few": few})
    assert found["young"] is not None
    assert found["old"] is not None
    assert 2.0 in found["young"].per_contact
    assert -0.5 in found["old"].per_contact
    assert found["few"] is None


def test_contacts_are_sorted_by_the_best_that_is_left_to_them() -> None:
    rng = np.random.default_rng(2)
    open_ = rng.random((300, 4)) < 0.4
    propensity, profit = rng.random((300, 4)), rng.normal(size=(300, 4))
    found = find_value(open_, propensity, profit, ["a", "a", "b", "c"], wanted_from=0.5)
    for row in range(300):
        left = [k for k in range(4) if open_[row, k]]
        wanted = [k for k in left if propensity[row, k] >= 0.5]
        expected = 0 if not left else 1 if not wanted else 3 if any(profit[row, k] > 0 for k in wanted) else 2
        assert found.of[row] == expected
    assert sum(found.counts.values()) == 300
    under = 300 - found.counts[CLASSES[3]]
    for one in found.missing:
        assert one.no_candidate + one.unwanted + one.not_worth_it == one.contacts == under


def test_the_kind_that_most_are_left_without_is_named_first() -> None:
    open_ = np.array([[True, False, False]] * 8 + [[True, True, False]] * 2)
    found = find_value(open_, np.full((10, 3), 0.5), np.full((10, 3), -1.0), ["sales", "service", "care"], wanted_from=0.1)
    assert [(one.kind, one.no_candidate) for one in found.missing] == [("care", 10), ("service", 8), ("sales", 0)]


def test_an_unknown_propensity_is_not_wanted_and_no_treatment_serves_nobody() -> None:
    found = find_value(np.ones((2, 1), dtype=bool), np.full((2, 1), np.nan), np.ones((2, 1)), ["a"], wanted_from=0.1)
    assert found.counts[CLASSES[1]] == 2
    empty = find_value(np.zeros((2, 0), dtype=bool), np.zeros((2, 0)), np.zeros((2, 0)), [])
    assert empty.counts[CLASSES[0]] == 2


def test_the_channel_that_costs_least_to_drop_comes_first() -> None:
    parts = {"mail": PlanPart(70.0, 1.0, 50), "call": PlanPart(30.0, 20.0, 2), "sms": PlanPart(-2.0, 3.0, 5)}
    without = {"mail": PlanPart(60.0), "call": PlanPart(90.0), "sms": PlanPart(101.0)}
    found = drops(PlanPart(98.0), parts, without)
    assert [one.channel for one in found] == ["sms", "call", "mail"]
    assert (found[0].loss, found[0].kept_share) == (-3.0, None)
    assert found[1].earned_elsewhere == pytest.approx(22.0)
    assert all(one.now.profit == one.loss + one.earned_elsewhere for one in found)


def test_a_channel_that_the_plan_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="fax"):
        drops(PlanPart(1.0), {}, {"fax": PlanPart(1.0)})
