"""The chance of a choice is how often it is drawn."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from decisioning.candidates import Scores, Situation
from decisioning.catalog import Controls, parse_catalog
from decisioning.compiled_catalog import CompiledCatalog, compile_catalog
from decisioning.decide import chance_of, decide
from decisioning.history import History
from decisioning.stages import House
from decisioning.vocabulary import BoolArray

DRAWS = 500
ACTIONS: list[dict[str, Any]] = [
    {"id": name, "goal": "sale", "value": 10, "treatments": [{"id": f"{name}_{place}", "channel": "web", "placement": place}]}
    for name, place in (("a", "hero"), ("b", "hero"), ("c", "strip"), ("d", "strip"))
]
UPLIFT = np.array([[0.30, 0.25, 0.20, -0.10]])


def a_catalog(actions: list[dict[str, Any]] = ACTIONS, **changes: Any) -> CompiledCatalog:
    catalog = {
        "version": "1",
        "currency": "PLN",
        "time_zone": "Europe/Warsaw",
        "channels": {"web": {"direction": "inbound", "placements": ["hero", "strip"]}},
        "outcomes": {"sale": {"kind": "conversion", "window_days": 30}},
        "actions": actions,
        "exploration": {"method": "epsilon_greedy", "epsilon": 0.6, "budget": 1e6},
        **changes,
    }
    return compile_catalog(parse_catalog(catalog), {})


def scored(situation: Situation, alive: BoolArray) -> Scores:
    same = np.full_like(UPLIFT, 0.5)
    return Scores(same, UPLIFT, np.full_like(UPLIFT, 10.0), np.zeros_like(UPLIFT), np.zeros(1), np.full(4, 0.2), ("model",) * 4)


def a_situation(seed: str, placements: tuple[str, ...]) -> Situation:
    return Situation(np.array(["c"], dtype=object), {}, np.datetime64("2026-11-22", "us"), {}, {}, "web", placements, np.array([seed]))


NO_PAST = History.of(["c"], {"contact_id": np.array([])}, {"contact_id": np.array([])})


@pytest.mark.parametrize("placements", [("hero",), ("hero", "strip")])
@pytest.mark.parametrize(("group", "first_kind"), [("nudge", "default"), ("nudge", "mandatory"), ("random", "default")])
def test_the_chance_of_a_choice_is_how_often_it_is_drawn(placements: tuple[str, ...], group: str, first_kind: str) -> None:
    controls = {} if group == "nudge" else {"controls": {"random": 1.0}}
    house = House(a_catalog([{**ACTIONS[0], "kind": first_kind}, *ACTIONS[1:]], **controls), scored, allowance=100.0)

    drawn = Counter(decide(house, a_situation(str(n), placements), NO_PAST, limit=len(placements)).chosen for n in range(DRAWS))
    chances = {choice: chance_of(house, a_situation("x", placements), NO_PAST, choice, limit=len(placements)) for choice in drawn}

    assert sum(chances.values()) == pytest.approx(1.0, abs=0.01)
    for choice, chance in chances.items():
        assert drawn[choice] / DRAWS == pytest.approx(chance, abs=5 * np.sqrt(chance * (1 - chance) / DRAWS) + 1e-9)
    assert chance_of(house, a_situation("x", placements), NO_PAST, (3,), limit=len(placements)) < 0.5


def test_without_exploring_the_chance_is_one_or_nothing() -> None:
    house = House(a_catalog(), scored)
    situation = a_situation("x", ("hero",))

    assert [chance_of(house, situation, NO_PAST, choice) for choice in ((0,), (1,), ())] == [1.0, 0.0, 0.0]


def test_the_group_without_contact_gets_nothing_for_sure() -> None:
    house = House(a_catalog(controls=Controls(holdout=1.0).model_dump()), scored, allowance=100.0)
    situation = a_situation("x", ("hero",))

    assert [chance_of(house, situation, NO_PAST, choice) for choice in ((0,), ())] == [0.0, 1.0]
