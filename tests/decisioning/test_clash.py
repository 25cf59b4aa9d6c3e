"""Limits that contradict one another are named, and by how much: never a plan half made."""

from __future__ import annotations

import numpy as np
import pytest

from decisioning.allocation import Limits, LocalCap, Offers, allocate
from decisioning.errors import Infeasible
from tests.decisioning.test_allocation import offers_of


def clash_of(offers: Offers, most: list[float], least: list[float], n_contacts: int) -> list[tuple[int, str, float]]:
    with pytest.raises(Infeasible) as refused:
        allocate(offers, Limits(np.array(most), np.array(least)), n_contacts)
    return [(one.limit, one.side, pytest.approx(one.by)) for one in refused.value.clash]


def test_a_minimum_that_is_too_high_clashes_with_the_population_alone() -> None:
    offers = offers_of([1.0] * 4, [[1.0, 1.0]] * 4)
    assert clash_of(offers, [np.inf, 100.0], [6.0, 0.0], 4) == [(0, "least", 2.0)]


def test_a_minimum_clashes_with_the_capacity_that_is_below_it() -> None:
    offers = offers_of([1.0] * 9, [[1.0, 1.0, 0.5]] * 9)
    assert clash_of(offers, [np.inf, 5.0, 100.0], [8.0, 0.0, 0.0], 9) == [(0, "least", 3.0), (1, "most", 3.0)]


def test_two_minimums_clash_over_one_budget_that_either_could_have() -> None:
    offers = offers_of([1.0] * 10, [[1.0, 0.0, 2.0]] * 5 + [[0.0, 1.0, 3.0]] * 5)
    clash = clash_of(offers, [np.inf, np.inf, 17.0], [4.0, 4.0, 0.0], 10)
    assert clash == [(0, "least", 1.5), (1, "least", 1.0), (2, "most", 3.0)]


def test_a_minimum_in_a_market_nobody_is_in_is_out_of_reach_by_all_of_it() -> None:
    assert clash_of(offers_of([1.0, 2.0], [[0.0, 1.0]] * 2), [np.inf, 5.0], [3.0, 0.0], 2) == [(0, "least", 3.0)]


def test_two_minimums_clash_where_each_contact_can_serve_one_of_them_only() -> None:
    offers = offers_of([1.0] * 6, [[1.0, 0.0], [0.0, 1.0]] * 3, contact=[0, 0, 1, 1, 2, 2], treatment=[0, 1] * 3)
    assert clash_of(offers, [np.inf, np.inf], [2.0, 2.0], 3) == [(0, "least", 1.0), (1, "least", 1.0)]


def test_what_only_divided_offers_could_meet_is_said_to_be_so() -> None:
    offers = offers_of([1.0] * 3, [[18.0]] * 3)
    with pytest.raises(Infeasible, match="no allocation of whole offers was found that meets every minimum") as refused:
        allocate(offers, Limits(np.array([35.0]), np.array([20.0])), 3)
    assert refused.value.clash == ()


def test_a_cap_can_put_a_minimum_out_of_reach() -> None:
    cap = LocalCap(np.zeros(4, dtype=int), np.array([1]), np.array([True]))
    with pytest.raises(Infeasible) as refused:
        allocate(offers_of([1.0] * 4, [[1.0]] * 4), Limits(np.array([np.inf]), np.array([3.0])), 4, caps=[cap])
    assert [(one.limit, one.side, round(one.by, 6)) for one in refused.value.clash] == [(0, "least", 2.0)]
