"""The pictures of the reports: there where there is something to draw, texts as texts, nothing loaded, no colour lost by night."""

from __future__ import annotations

import re
from typing import Any

from nudge.reports.charts import charts, estimates, through_time

INTERVAL = {"value": 2.0, "low": 1.0, "high": 3.0}


def goal(**changes: Any) -> dict[str, Any]:
    known = {"id": "profit", "baseline": 100.0, "target": 200.0, "progress": 0.5, "status": "at_risk"}
    return {**known, "forecast": {"value": 180.0, "low": 150.0, "high": 210.0}, **changes}


def test_an_estimate_is_drawn_with_its_name_as_text_in_the_ink_of_the_page() -> None:
    drawn = estimates([("e-mail & more", INTERVAL)], "profit")
    assert "e-mail &amp; more</text>" in drawn
    assert "currentColor" in drawn and "#010203" not in drawn
    assert re.search(r'<svg role="img" aria-label="profit"', drawn)
    assert not re.search(r'(href|src)="(?!#)', drawn)


def test_what_is_surely_above_zero_and_what_is_not_have_different_colours() -> None:
    good, unsure = (estimates([("x", {**INTERVAL, "low": low})], "profit") for low in (1.0, -1.0))
    assert good.replace("1.0", "") != unsure.replace("-1.0", "")
    assert "#3f9c6b" in good and "#3f9c6b" not in unsure


def test_where_nothing_is_known_nothing_is_drawn() -> None:
    assert estimates([("x", {"value": 1.0, "low": None, "high": None})], "profit") == ""
    assert through_time([("2026-01", INTERVAL)], "profit") == ""
    assert charts({"report": "goals", "goals": [goal(progress=None)]}) == {}
    assert charts({"report": "models"}) == {}


def test_a_goal_whose_forecast_is_far_away_keeps_the_others_readable() -> None:
    wild = goal(id="wild", forecast={"value": 0.0, "low": -90_000.0, "high": 90_000.0})
    (drawn,) = charts({"report": "goals", "goals": [goal(), wild]}).values()
    assert "profit" in drawn and "wild" in drawn
    assert {int(one) for one in re.findall(r">.?(\d+)%</text>", drawn)} <= {0, 25, 50, 75, 100, 125, 150, 175, 200}


def test_the_same_document_gives_the_same_page() -> None:
    assert estimates([("x", INTERVAL)], "profit") == estimates([("x", INTERVAL)], "profit")
