"""`--period` and goals.yaml: what they mean, and what they refuse."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from decisioning.errors import ConfigError, RequestError
from measurement.roi import KPI_BY_ID
from nudge.reports.facts import Span
from nudge.reports.goals_file import known_as, parse_goals
from nudge.reports.periods import parse_period
from nudge.reports.roi import figure_of_whole

NEWEST = datetime(2026, 11, 20, 12)  # noqa: DTZ001 - as DuckDB has it


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("2026", "2026-01-01", "2027-01-01"),
        ("2026-q1", "2026-01-01", "2026-04-01"),
        ("2026-12", "2026-12-01", "2027-01-01"),
        ("2026-08-01..2026-08-15", "2026-08-01", "2026-08-15"),
    ],
)
def test_a_period_is_from_its_first_moment_to_before_the_next(text: str, begin: str, end: str) -> None:
    assert parse_period(text, NEWEST) == Span(datetime.fromisoformat(begin), datetime.fromisoformat(end))


def test_days_count_back_from_the_newest_row_and_no_period_is_everything() -> None:
    found = parse_period("90d", NEWEST)
    assert found.begin is not None
    assert found.end is not None
    assert found.end > NEWEST
    assert found.end - found.begin == timedelta(days=90)
    assert parse_period(None, NEWEST) == Span()


@pytest.mark.parametrize("text", ["", "last month", "2026-13", "2026-Q5", "2026-05-01..2026-04-01", "0d", "0000", "9999"])
def test_what_is_no_period_is_refused_with_what_is_one(text: str) -> None:
    with pytest.raises(RequestError, match="2026-Q3"):
        parse_period(text, NEWEST)


def test_days_back_from_nothing_are_refused() -> None:
    with pytest.raises(RequestError, match="nothing here has a time"):
        parse_period("30d", None)


GOAL: dict[str, Any] = {"id": "g", "kpi": "cac", "baseline": 120, "target": 90, "deadline": "2026-12-31", "owner": "Ada"}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({**GOAL, "owners": "x"}, "owners"),
        ({key: value for key, value in GOAL.items() if key != "owner"}, "owner"),
        ({**GOAL, "deadline": "soon"}, "deadline"),
        ({**GOAL, "target": 120}, "nothing to reach"),
        ({**GOAL, "target": float("nan")}, "target"),
        ({**GOAL, "start": "2027-01-01"}, "start"),
    ],
)
def test_a_goal_that_is_not_smart_is_refused_by_the_path_of_its_key(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        parse_goals([wrong])


def test_two_goals_of_one_id_are_refused_and_no_goals_are_none() -> None:
    with pytest.raises(ConfigError, match="twice"):
        parse_goals({"goals": [GOAL, GOAL]})
    assert parse_goals(None) == ()
    with pytest.raises(ConfigError, match="neither"):
        parse_goals("more")


def test_a_misspelt_figure_has_a_nearest_one() -> None:
    assert known_as("conversion_rat") == "did you mean 'conversion_rate'?"
    assert known_as("cac") is None


def test_the_incremental_return_is_on_the_cost_of_those_who_were_compared() -> None:
    sums = {"incremental_revenue": 150.0, "marketing_cost": 200.0, "marketing_cost_compared": 100.0}
    found = figure_of_whole(KPI_BY_ID["incremental_roi"], {name: np.array([one]) for name, one in sums.items()})
    assert found is not None and found.value[0] == pytest.approx(0.5)
