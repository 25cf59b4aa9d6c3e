"""What had accumulated before a cut, against one fact after the other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.accumulated import DAY, Cuts, Kind, Running

Fact = tuple[int, int, bool, int]
"""Key, moment in days, whether it counts, value."""

KEYS, DAYS = st.integers(0, 3), st.integers(-3, 6)
FACTS = st.lists(st.tuples(KEYS, DAYS, st.booleans(), st.integers(-5, 5)), max_size=12).map(sorted)
BY_HAND: dict[Kind, Callable[[list[int]], int]] = {"count": len, "sum": sum, "first": lambda of: of[0], "last": lambda of: of[-1]}


def column(values: list[int]) -> np.ndarray:
    return np.array(values, dtype=np.int64)


@given(facts=FACTS, cuts=st.lists(st.tuples(KEYS, DAYS), max_size=6), days_before=st.integers(0, 4), kind=st.sampled_from(list(BY_HAND)))
def test_a_total_is_that_of_the_facts_that_count_before_the_cut(
    facts: list[Fact], cuts: list[tuple[int, int]], days_before: int, kind: Kind
) -> None:
    places, days, counts, values = (list(part) for part in zip(*facts, strict=True)) if facts else ([], [], [], [])
    looked = Cuts(column(places), column(days) * DAY, column([key for key, _ in cuts]), column([at for _, at in cuts]) * DAY)
    total, none = Running(np.array(counts, dtype=bool)).total(kind, column(values), looked.start, looked.until(days_before))
    for row, (key, at) in enumerate(cuts):
        known = [value for place, day, counted, value in facts if place == key and day < at - days_before and counted]
        assert none[row] == (not known and kind != "count")
        if not none[row]:
            assert total[row] == BY_HAND[kind](known)


@pytest.mark.parametrize("days_before", [0, 2])
def test_a_sum_beyond_64_bits_is_exact(days_before: int) -> None:
    looked = Cuts(column([0, 0, 0]), column([1, 2, 3]) * DAY, column([0]), column([3 + days_before]) * DAY)
    running = Running(np.ones(3, dtype=bool))
    total, _ = running.total("sum", np.array([10**30, 1, 10**31], dtype=object), looked.start, looked.until(days_before))
    assert total[0] == 10**30 + 1
