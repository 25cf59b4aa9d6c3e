"""The pictures of console and reports: there where there is something to draw, texts as texts, nothing loaded, no colour lost by night."""

from __future__ import annotations

import re
from typing import Any

from serving.console import words
from serving.console.charts import charts
from serving.console.drawing import SEGMENTS
from serving.console.estimates import estimates, through_time

INTERVAL = {"value": 2.0, "low": 1.0, "high": 3.0}
MONTHS = [(f"2026-{month:02}", INTERVAL) for month in range(1, 13)]


def goal(**changes: Any) -> dict[str, Any]:
    known = {"id": "profit", "baseline": 100.0, "target": 200.0, "progress": 0.5, "status": "at_risk"}
    return {**known, "forecast": {"value": 180.0, "low": 150.0, "high": 210.0}, **changes}


def test_an_estimate_is_drawn_with_its_name_as_text_in_the_ink_of_the_page() -> None:
    drawn = estimates([("e-mail & more", INTERVAL)], "profit")
    assert "e-mail &amp; more</text>" in drawn
    assert "currentColor" in drawn and "#010203" not in drawn
    assert re.findall(r'<svg class="(\w+)" role="img" aria-label="profit"', drawn) == ["broad", "narrow"]
    assert not re.search(r'(href|src)="(?!#)', drawn)


def test_names_are_drawn_as_they_are_written_be_they_formulas_numbers_or_styles() -> None:
    names = ["save $5 or $10", "a$\\frac$b", "offer 1.2345", 'style="a:b"', "#010203"]
    drawn = estimates([(name, INTERVAL) for name in names], "profit")
    assert set(names) <= set(re.findall(r">([^<]*)</text>", drawn))


def test_the_marks_of_small_figures_differ() -> None:
    drawn = estimates([("x", {"value": 0.002, "low": 0.001, "high": 0.005})], "profit")
    for element in drawn.split("</svg>")[:2]:
        marks = re.findall(r">(\d\.\d+)</text>", element)
        assert len(marks) > 2 and len(marks) == len(set(marks))


def test_no_two_marks_of_money_or_of_shares_say_the_same() -> None:
    small = estimates([("x", {"value": 0.004, "low": -0.02, "high": 0.007})], "return", percent=True)
    missing = charts("data", {"tables": {"t": {"rows": 1_000, "columns": {"age": {"nulls": 13}}}}})
    dropped = [{"channel": "web", "now": {"profit": 5.0}, "loss": 1.0}]
    channels = charts("channels", {"currency": "PLN", "channels": [], "drop": {"drops": dropped}})
    for drawn in (small, *missing.values(), *channels.values()):
        marks = re.findall(r">(\S?[\d.,]+%?)</text>", drawn.split("</svg>")[0])
        assert len(marks) > 4 and len(marks) == len(set(marks))


def test_what_is_surely_above_zero_and_what_is_not_have_different_colours() -> None:
    good, unsure = (estimates([("x", {**INTERVAL, "low": low})], "profit") for low in (1.0, -1.0))
    assert good.replace("1.0", "") != unsure.replace("-1.0", "")
    assert "#3f9c6b" in good and "#3f9c6b" not in unsure


def test_where_nothing_is_known_nothing_is_drawn() -> None:
    assert estimates([("x", {"value": 1.0, "low": None, "high": None})], "profit") == ""
    assert through_time([("2026-01", INTERVAL)], "profit") == ""
    assert charts("goals", {"goals": [goal(progress=None)]}) == {}
    assert charts("leads", {}) == {}


def test_a_goal_whose_forecast_is_far_away_keeps_the_others_readable() -> None:
    wild = goal(id="wild", forecast={"value": 0.0, "low": -90_000.0, "high": 90_000.0})
    (drawn,) = charts("goals", {"goals": [goal(), wild]}).values()
    assert "profit" in drawn and "wild" in drawn
    assert {int(one) for one in re.findall(r">.?(\d+)%</text>", drawn)} <= set(range(0, 201, 5))


def test_the_same_document_gives_the_same_page() -> None:
    assert estimates([("x", INTERVAL)], "profit") == estimates([("x", INTERVAL)], "profit")


def test_no_picture_has_a_style_of_its_own_and_no_id_stands_twice_on_a_page() -> None:
    drawn = estimates([("x", INTERVAL)], "profit") + estimates([("x", INTERVAL)], "return") + through_time(MONTHS, "profit")
    assert "style" not in drawn
    ids = re.findall(r' id="([^"]+)"', drawn)
    assert ids and len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", drawn)) <= set(ids)


def test_months_stand_in_their_order_and_a_narrow_window_names_as_many_as_it_has_room_for() -> None:
    broad, narrow = (one.split("</svg>")[0] for one in through_time(MONTHS, "profit").split("<svg ")[1:])
    assert re.findall(r">(\w+ 2026)</text>", broad) == [words.month(name) for name, _ in MONTHS]
    assert re.findall(r">(\w+ 2026)</text>", narrow) == ["Jan 2026", "Apr 2026", "Jul 2026", "Oct 2026"]


def test_the_map_draws_every_tile_in_the_colour_of_its_segment() -> None:
    tiles = [
        {"row": 0, "column": 0, "contacts": 1, "segment": "do_not_disturb"},
        {"row": 1, "column": 0, "contacts": 9, "segment": "persuadable"},
        {"row": 1, "column": 1, "contacts": 4, "segment": "persuadable"},
    ]
    document = {"map": {"baseline_edges": [0.0, 0.1, 0.2], "uplift_edges": [-0.1, 0.0, 0.1], "tiles": tiles}}
    (drawn,) = charts("segment map", document).values()
    assert drawn.count(f'fill="{SEGMENTS["persuadable"]}"') == 2 * 2 and drawn.count(f'fill="{SEGMENTS["do_not_disturb"]}"') == 2
    assert charts("segment map", {"map": None}) == {}


def test_policies_are_drawn_against_the_champion() -> None:
    found = [{"name": name, "gain": -1.0, "gain_low": -2.0, "gain_high": low} for name, low in (("champion", 0.0), ("random", -0.5))]
    (drawn,) = charts("evaluation", {"policies": found, "currency": "PLN"}).values()
    assert "random</text>" in drawn and "champion</text>" not in drawn


def test_a_legend_that_is_longer_than_a_narrow_window_is_broken_into_lines() -> None:
    names = ["first", "last", "linear", "position_based", "time_decay", "markov"]
    rows = [{"channel": "web", "value": dict.fromkeys(names, 1.0)}]
    document = {"currency": "PLN", "incremental": {"programme": None, "history": None, "programme_by_month": [], "by_month": []}}
    (drawn,) = charts("roi", {**document, "attribution": {"channels": rows, "models": names}}).values()
    narrow = drawn.split("<svg ")[2]
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', narrow)[1])  # type: ignore[index]
    keys = [float(re.search(rf'x="([\d.]+)"[^>]*>{name}<', narrow)[1]) for name in ("first touch", "first and last most")]  # type: ignore[index]
    assert max(keys) < width / 2


def test_what_contacting_was_worth_in_a_segment_says_whether_it_was_decided_here_or_logged() -> None:
    found = {"profit": {"per_contact": INTERVAL}}
    offer = {"contacts": 2, "uplift": {"persuadable": 2}}
    rows = [{"segment": name, "share": 0.5, "programme": found, "history": found} for name in ("young", "old")]
    drawn = charts(
        "segments", {"currency": "PLN", "segments": rows, "offers": {"everybody": offer, "segments": {"young": offer, "old": offer}}}
    )
    names = re.findall(r">((?:young|old), [^<]*)</text>", drawn["What contacting was worth in each"].split("</svg>")[0])
    assert sorted(names) == ["old, decided here", "old, logged", "young, decided here", "young, logged"]


def test_of_models_the_ranking_by_uplift_is_drawn_action_by_action() -> None:
    metrics = {"qini.visit": 0.2, "qini_low.visit": 0.1, "qini_high.visit": 0.3, "qini.buy": 0.1}
    models = [{"name": "clv", "metrics": {"gini": 0.5}}, {"name": "uplift", "metrics": metrics}]
    drawn = charts("models", {"models": models})["The champions' figures"]
    assert ">visit</text>" in drawn
    assert ">buy</text>" not in drawn, "it has no interval"
    assert charts("models", {"models": models[:1]}) == {}
