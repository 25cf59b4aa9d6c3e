"""A slate: what may stand beside what has been chosen, said for one candidate at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from decisioning.contact_policy import Room, rooms
from decisioning.decide import decide
from decisioning.select import Slate, select
from tests.decisioning.strategies import NOW, Business, businesses, compiled, history_of, house_of, make_action, make_catalog, situation_of

PLACES = ("hero", "strip", "footer")


def rendered(action_id: str, places: list[str]) -> dict[str, object]:
    """An action with an e-mail and a treatment in each of `places`."""
    treatments = [{"id": f"{action_id}_{place}", "channel": "web", "placement": place} for place in places]
    return make_action(action_id, treatments=[{"id": f"{action_id}_email", "channel": "email"}, *treatments])


CATALOG = compiled(make_catalog([rendered("a", ["hero", "strip"]), rendered("b", ["hero"]), rendered("c", []), rendered("d", ["strip"])]))
N = len(CATALOG.treatments)
MASKS = st.lists(st.booleans(), min_size=N, max_size=N).map(np.array)
CAPS = st.builds(
    lambda unit, left, members: Room(np.array([unit]), np.array([left]), members), st.sampled_from([0, -1]), st.integers(0, 2), MASKS
)


def may_stand(column: int, slate: Slate) -> bool:
    """The definition, one rule after another."""
    action, treatment = slate.catalog.treatments[column]
    others = [slate.catalog.treatments[one] for one in slate.chosen]
    if any(action.id == other.id for other, _ in others):
        return False
    if slate.placements and (treatment.placement not in slate.placements or treatment.placement in {one.placement for _, one in others}):
        return False
    for room in slate.rooms:
        beside = sum(bool(room.members[one]) for one in slate.chosen)
        if room.unit_of[0] >= 0 and room.members[column] and beside >= room.left[room.unit_of[0]]:
            return False
    used = sum(slate.uses[one] for one in slate.chosen) + slate.uses[column]
    return not slate.chosen or all(used[k] <= slate.left[k] for k in np.flatnonzero(slate.uses[column]))


@given(
    places=st.sampled_from([(), ("hero",), ("strip", "hero"), ("footer", "hero"), ("nowhere",)]),
    caps=st.lists(CAPS, max_size=3),
    uses=st.lists(st.integers(0, 3), min_size=2 * N, max_size=2 * N),
    left=st.tuples(st.integers(0, 6), st.just(np.inf)),
    order=st.permutations(range(N)),
)
def test_what_is_free_is_what_no_rule_of_the_slate_forbids(
    places: tuple[str, ...], caps: list[Room], uses: list[int], left: tuple[float, float], order: list[int]
) -> None:
    slate = Slate(CATALOG, places, 4, caps, np.array(uses, dtype=float).reshape(N, 2), np.array(left, dtype=float))
    while len(slate.chosen) < slate.limit:
        first_of_many = not slate.chosen and not places
        expected = [column for column in order if first_of_many or may_stand(column, slate)]
        assert slate.free(np.array(order)).tolist() == expected
        if not expected:
            return
        slate.take(expected[0])
    assert slate.free(np.array(order)).tolist() == []


def test_a_placement_that_nothing_is_rendered_for_stays_empty() -> None:
    assert select(np.arange(N), Slate(CATALOG, ("footer",), 2)) == []


@given(businesses(), st.integers(2, 4))
def test_no_slate_breaks_a_cap_that_counts_each_action(business: Business, limit: int) -> None:
    contact = situation_of(
        1, contact_ids=business.situation.contact_ids[:1], columns={k: v[:1] for k, v in business.situation.columns.items()}
    )
    chosen = decide(business.house, contact, history_of(contact), limit=limit).chosen
    for room in rooms(business.house.catalog, contact, history_of(contact)):
        assert room.members[list(chosen)].sum() <= room.left[room.unit_of[0]]


def test_what_was_said_once_too_often_is_not_said_in_a_slate() -> None:
    catalog = compiled(make_catalog(contact_policy=[{"id": "each", "action": "*", "max": 1, "per_days": 7}]))
    contact = situation_of()
    history = history_of(contact, [(0, "loan", "email", NOW)])
    chosen = decide(house_of(catalog, contact), contact, history, limit=3).chosen
    assert {catalog.treatments[column][0].id for column in chosen} == {"card"}
