"""A plan's true worth, and draws of what would follow it."""

from __future__ import annotations

import numpy as np
import pytest

from decisioning.errors import DataError
from simulation.replay import respond, true_profit
from simulation.world import World


def test_no_action_earns_nothing_whatever_it_is_called(world: World) -> None:
    contacts = world.truth.contact_ids[:3]
    assert true_profit(world.truth, contacts, [None, "no_action", float("nan")]).tolist() == [0.0, 0.0, 0.0]  # type: ignore[list-item]


def test_a_row_earns_the_profit_of_its_candidate(world: World) -> None:
    truth = world.truth
    rng = np.random.default_rng(0)
    contact, k = rng.integers(0, len(truth.contact_ids), 500), rng.integers(0, len(truth.treatment_ids), 500)
    earned = true_profit(truth, truth.contact_ids[contact], truth.treatment_ids[k])
    assert np.allclose(earned, truth.profit[contact, k])


@pytest.mark.parametrize(
    ("contacts", "treatments", "message"),
    [
        (["c-0000001"], ["no_such"], "treatment_id: the simulated world does not know it; got no_such"),
        (["x"], [None], "contact_id: the simulated world does not know it; got x"),
        (["c-0000001"], [], "one treatment a contact"),
    ],
)
def test_a_plan_that_does_not_fit_the_world_is_refused(world: World, contacts: list[str], treatments: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        true_profit(world.truth, contacts, treatments)


def test_drawn_outcomes_follow_baseline_uplift_and_opt_out_risk(world: World) -> None:
    truth, k = world.truth, world.truth.treatment_ids.tolist().index("term_deposit_call")
    a, c = truth.action_of[k], truth.channel_of[k]
    contacts = truth.contact_ids
    drawn = respond(truth, contacts, np.full(len(contacts), truth.treatment_ids[k]), np.random.default_rng(2))
    counted = {name: int((drawn["outcome"] == name).sum()) for name in (truth.goals[a], "loan_taken", "unsubscribe")}
    chances = {
        truth.goals[a]: truth.propensity[:, k],
        "loan_taken": truth.baseline[:, truth.goals.tolist().index("loan_taken")],
        "unsubscribe": truth.opt_out[:, c],
    }
    for name, chance in chances.items():
        assert abs(counted[name] - chance.sum()) < 4 * np.sqrt((chance * (1 - chance)).sum()), name


def test_without_a_touch_nobody_opts_out_and_goals_are_reached_all_the_same(world: World) -> None:
    contacts = world.truth.contact_ids
    drawn = respond(world.truth, contacts, [None] * len(contacts), np.random.default_rng(2))
    assert "unsubscribe" not in set(drawn["outcome"])
    assert len(drawn["row"]) > len(contacts) / 2
    assert set(drawn["treatment_id"]) == {None}


def test_the_same_generator_draws_the_same_outcomes(world: World) -> None:
    contacts = world.truth.contact_ids[:200]
    plan = [world.truth.treatment_ids[0]] * 200
    one, two = (respond(world.truth, contacts, plan, np.random.default_rng(9)) for _ in range(2))
    assert all(np.array_equal(one[name], two[name], equal_nan=name in ("value", "row")) for name in one)
