"""A plan that explores: within its budget, with the probabilities it states, never beyond a limit, the same from the same seeds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from decisioning.plan import Plan, plan
from tests.decisioning.strategies import compiled, history_of, house_of, make_action, make_catalog, scores_of, situation_of

WEB_ONLY = [make_action(name, treatments=[{"id": f"{name}_web", "channel": "web"}]) for name in ("loan", "card", "app")]
UPLIFT = np.array([0.05, 0.04, 0.02])


def explored(n: int, allowance: float, *, salt: str = "a", method: str = "squarecb", effects: Any = UPLIFT, **more: Any) -> Plan:
    exploration = {"method": method, "budget": 1000.0}
    catalog = compiled(make_catalog(WEB_ONLY, exploration=exploration, **more))
    seeds = np.array([f"{salt}-{row}" for row in range(n)], dtype=object)
    situation = situation_of(n, seeds=seeds)
    scores = replace(scores_of((n, 3), uplift=np.tile(effects, (n, 1))), evidence=np.array([200.0, 150.0, 60.0]))
    house = house_of(catalog, situation, scores, allowance=allowance)
    return plan(house, [(situation, history_of(situation))])


def given_up(made: Plan) -> float:
    """Money that the drawn choices earn less than the best would."""
    best, chosen = UPLIFT.max() * 100, np.append(UPLIFT * 100, 0.0)[made.treatment]
    return float((best - chosen).sum())


@pytest.mark.parametrize("method", ["squarecb", "thompson", "epsilon_greedy"])
def test_a_plan_gives_up_what_its_budget_allows_and_no_more(method: str) -> None:
    made = explored(4_000, 60.0, method=method)
    assert 0 < made.expected_cost <= 60.0 + 1e-9
    assert 0 < given_up(made) < 2 * 60.0
    assert given_up(explored(4_000, 0.0, method=method)) == 0.0


@pytest.mark.parametrize("method", ["squarecb", "thompson", "epsilon_greedy"])
def test_the_stated_probabilities_are_those_of_the_draws(method: str) -> None:
    n = 3_000 if method == "thompson" else 20_000
    made = explored(n, n / 5, method=method)
    stated = {int(column): made.selection_prob[made.treatment == column] for column in np.unique(made.treatment)}
    assert all(np.ptp(values) < 1e-9 for values in stated.values())  # all contacts are alike
    expected = np.array([values[0] for values in stated.values()])
    assert 0.999 < expected.sum() <= 1.0 + 1e-9  # what nobody drew is not among them
    observed = [len(values) for values in stated.values()]
    assert chisquare(observed, expected / expected.sum() * n).pvalue > 1e-4


def test_exploring_never_goes_beyond_a_limit_nor_below_a_minimum() -> None:
    limits = [
        {"id": "cards", "action": "card", "measure": "contacts", "max": 25},
        {"id": "loans", "action": "loan", "measure": "contacts", "min": 1900},
    ]
    made = explored(2_000, 2_000.0, constraints=limits)
    assert (made.treatment == 1).sum() <= 25
    assert (made.treatment == 0).sum() >= 1900
    assert made.allocation.used.tolist() == [(made.treatment == 1).sum(), (made.treatment == 0).sum()]


def test_what_was_drawn_says_so_and_no_more_say_that_a_minimum_asked_for_them_than_it_lacked() -> None:
    effects = np.array([0.05, -0.001, -0.03])  # a card is worth less than nothing, and so is an app
    limits = [
        {"id": "cards", "action": "card", "measure": "contacts", "min": 15},
        {"id": "apps", "action": "app", "measure": "contacts", "min": 1},
    ]
    made = explored(2_000, 900.0, effects=effects, constraints=limits)
    word = np.array([one.split(":")[0] for one in made.reason])
    assert set(word[made.treatment == 0].tolist()) == {""}
    assert set(word[made.treatment == -1].tolist()) == {"exploration"}
    assert (made.treatment == 1).sum() > 15
    assert set(word[made.treatment == 1].tolist()) <= {"exploration", "minimum"}
    for column, least in ((1, 15), (2, 1)):
        drawn = (word[made.treatment == column] == "exploration").sum()
        assert (word[made.treatment == column] == "minimum").sum() == max(0, least - drawn)


def test_the_same_seeds_draw_the_same_and_others_differently() -> None:
    first, again, other = explored(500, 100.0), explored(500, 100.0), explored(500, 100.0, salt="b")
    assert first.treatment.tolist() == again.treatment.tolist()
    assert first.treatment.tolist() != other.treatment.tolist()


def test_the_random_control_group_is_drawn_evenly_and_says_so() -> None:
    catalog = compiled(make_catalog(WEB_ONLY, controls={"random": 1.0}))
    situation = situation_of(9_000, seeds=np.array([f"d-{row}" for row in range(9_000)], dtype=object))
    made = plan(house_of(catalog, situation), [(situation, history_of(situation))])
    assert set(made.control_group.tolist()) == {"random"}
    assert np.allclose(made.selection_prob, 1 / 3)
    assert chisquare(np.bincount(made.treatment, minlength=3)).pvalue > 1e-4
