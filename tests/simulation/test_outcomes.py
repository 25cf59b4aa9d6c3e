"""Outcomes follow from touches, in time, and from contacts' own wishes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from simulation.actions import ACTIONS
from simulation.world import World

REACTION_DAYS = {"click": 7, "reject": 7, "unsubscribe": 30}


def reactions(world: World) -> pa.Table:
    touched = world.tables["interactions"].select(["interaction_id", "contact_id", "occurred_at", "action_id"])
    touched = touched.rename_columns(["interaction_id", "touched_contact", "touched_at", "action_id"])
    return world.tables["outcomes"].filter(pc.is_valid(pc.field("interaction_id"))).join(touched, "interaction_id", join_type="inner")


@pytest.mark.parametrize("outcome", REACTION_DAYS)
def test_a_reaction_follows_its_own_touch_within_its_window(world: World, outcome: str) -> None:
    rows = reactions(world).filter(pc.field("outcome") == outcome)
    assert rows.num_rows > 30
    assert rows["contact_id"].equals(rows["touched_contact"])
    assert "no_action" not in set(rows["action_id"].to_pylist())
    after = (rows["occurred_at"].to_numpy() - rows["touched_at"].to_numpy()) / np.timedelta64(1, "D")
    assert 0 < after.min() <= after.max() <= REACTION_DAYS[outcome]


def test_goals_carry_no_interaction_for_the_bank_does_not_know_the_cause(world: World) -> None:
    goals = world.tables["outcomes"].filter(pc.is_null(pc.field("interaction_id")))
    assert set(goals["outcome"].to_pylist()) == {action.goal for action in ACTIONS}
    assert set(goals["behaviour"].to_pylist()) == {"positive"}


def test_every_outcome_has_its_own_event_id(world: World) -> None:
    ids = world.tables["outcomes"]["event_id"]
    assert len(pc.unique(ids)) == len(ids)


@pytest.mark.parametrize("action", [action for action in ACTIONS if action.once], ids=lambda action: action.id)
def test_a_goal_that_sets_a_flag_happens_once_and_shows_in_the_contacts_row(world: World, action: object) -> None:
    goal, flag = action.goal, action.once  # type: ignore[attr-defined]
    rows = world.tables["outcomes"].filter(pc.field("outcome") == goal)
    assert len(pc.unique(rows["contact_id"])) == rows.num_rows > 100
    states = world.tables["contacts"].filter(pc.field(flag)).group_by("contact_id").aggregate([("valid_from", "min")])
    since = dict(zip(states["contact_id"].to_pylist(), states["valid_from_min"].to_pylist(), strict=True))
    for row in rows.slice(0, 300).to_pylist():
        assert since[row["contact_id"]] == row["occurred_at"]


def test_nobody_who_has_the_product_is_offered_it_again(world: World) -> None:
    once = {action.id: action.goal for action in ACTIONS if action.once}
    goals = world.tables["outcomes"]
    reached = {(row["contact_id"], row["outcome"]): row["occurred_at"] for row in goals.to_pylist() if row["outcome"] in once.values()}
    offers = world.tables["interactions"].filter(pc.is_in(pc.field("action_id"), pa.array(list(once)))).to_pylist()
    assert len(offers) > 1_000
    for offer in offers:
        at = reached.get((offer["contact_id"], once[offer["action_id"]]))
        assert at is None or at >= offer["as_of"]


def test_money_of_a_response_averages_to_its_value(world: World) -> None:
    cards = world.tables["outcomes"].filter(pc.field("outcome") == "card_opened")["value"].to_numpy()
    assert abs(cards.mean() - 220) < 4 * cards.std() / np.sqrt(len(cards))


def test_contacts_convert_on_their_own_before_any_pilot(world: World) -> None:
    begins = pc.min(world.tables["interactions"]["occurred_at"])
    before = world.tables["outcomes"].filter(pc.field("occurred_at") < begins)
    assert before.num_rows > 10_000
    assert set(before["outcome"].to_pylist()) == {action.goal for action in ACTIONS}
