"""The figures of a business by hand, and what they do where something is missing."""

from __future__ import annotations

import numpy as np
import pytest

from measurement.content import content_effectiveness
from measurement.roi import HEADS, KPI_BY_ID, KPIS, TALLIES, figures, ranked, share_interval

TALLIED: dict[str, list[float]] = {
    "incremental_revenue": [300_000.0, 0.0],
    "attributed_revenue": [600_000.0, 10.0],
    "marketing_cost": [60_000.0, 0.0],
    "new_customers": [600, 0],
    "contacts": [10_000, 0],
    "converters": [800, 0],
    "clv_before": [1_000.0, 0.0],
    "clv_after": [1_500.0, 0.0],
    "clv_contacts": [100, 0],
    "cycle_days": [90.0, 0.0],
    "cycles": [30, 0],
}


def value(name: str) -> list[float]:
    found = figures(KPI_BY_ID[name], TALLIED)
    assert found is not None
    return [float(one) for one in found.value]


def test_the_return_on_300_000_for_60_000_is_400_percent() -> None:
    assert value("incremental_roi")[0] == 4.0
    assert value("attributed_roi")[0] == 9.0  # the same marketing, on attributed money: labelled, and not the same


def test_figures_by_hand() -> None:
    assert value("cac")[0] == 100.0
    assert value("conversion_rate")[0] == 0.08
    assert value("clv_change")[0] == 5.0
    assert value("cycle_days")[0] == 3.0


def test_nothing_over_nothing_is_not_defined() -> None:
    assert all(np.isnan(value(name)[1]) for name in ("incremental_roi", "cac", "conversion_rate", "clv_change"))


def test_a_figure_without_its_sums_is_not_there() -> None:
    assert figures(KPI_BY_ID["lead_acceptance"], TALLIED) is None


def test_every_figure_is_made_of_known_sums_and_stands_under_one_of_the_four_heads() -> None:
    assert {name for kpi in KPIS for name in kpi.needs} <= set(TALLIES)
    assert {kpi.head for kpi in KPIS} == set(HEADS)
    assert len(KPI_BY_ID) == len(KPIS)


def test_the_interval_of_a_share_holds_it_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    for share in (0.01, 0.2, 0.5):
        low, high = share_interval(rng.binomial(400, share, 4_000), np.full(4_000, 400))
        assert np.mean((low <= share) & (share <= high)) == pytest.approx(0.95, abs=0.025)


def test_few_leads_with_much_money_rank_above_many_leads_with_little() -> None:
    tallies: dict[str, list[float]] = {"leads_qualified": [400, 50], "revenue": [10_000.0, 300_000.0]}
    assert ranked(["A", "B"], tallies) == ["B", "A"]
    assert ranked(["A", "B"], {**tallies, "marketing_cost": [0.0, 295_000.0]}) == ["A", "B"]
    # Incremental money, where it is known, counts before all else.
    assert ranked(["A", "B"], {**tallies, "incremental_revenue": [9_000.0, 500.0]}) == ["A", "B"]


def test_content_effectiveness_of_1_500_over_1_000_is_150_percent() -> None:
    found = content_effectiveness([1_400.0, 1_600.0, 900.0, 1_100.0], [3, 9, 0, 2])
    assert found is not None
    assert (found.ratio.value, found.consumers, found.others) == (1.5, 2, 2)


def test_the_interval_of_content_effectiveness_holds_the_true_ratio() -> None:
    held = []
    for rng in (np.random.default_rng(seed) for seed in range(300)):
        often = rng.integers(0, 6, 400)
        found = content_effectiveness(rng.gamma(2.0, np.where(often >= 3, 30.0, 20.0)), often)
        assert found is not None
        held.append(1.5 in found.ratio)
    assert np.mean(held) == pytest.approx(0.95, abs=0.035)


def test_content_that_nobody_or_everybody_consumes_has_no_effectiveness() -> None:
    assert content_effectiveness([10.0, 20.0], [0, 0]) is None
    assert content_effectiveness([10.0, 20.0], [5, 5]) is None
    assert content_effectiveness([], []) is None
