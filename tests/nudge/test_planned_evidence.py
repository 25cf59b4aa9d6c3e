"""A plan's decisions made again: at the prices that the plan published, its own models do what the plan did."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from ledger.records import DecisionRecord
from ledger.store import Ledger
from serving.plans.archive import PlanArchive
from serving.replaying.would_have import LeftOut, Remade, Remaking, Rival
from serving.replaying.would_have_planned import remade_of_plan
from tests.nudge.test_ledger_evidence import BELIEFS, CATALOG, ServedHouse
from tests.serving.planning import bind, make
from training.comparison import CHALLENGER, CHAMPION

CONTACTS = [f"c-{n}" for n in range(60)]
LIMITED = {**CATALOG, "constraints": [{"id": "heroes", "channel": "web", "measure": "contacts", "max": 20}]}


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServedHouse, str, PlanArchive]]:
    folder = tmp_path_factory.mktemp("planned")
    with Ledger.open(f"sqlite:///{folder}/ledger.db") as ledger:
        house, archive = ServedHouse(ledger, {**LIMITED, "exploration": {"budget": 0.0}}), PlanArchive(folder / "plans")
        made = bind(house, make(house, CONTACTS))
        archive.keep(made)
        yield house, made.plan_id, archive


def again(planned: tuple[ServedHouse, str, PlanArchive]) -> dict[str, Remade | LeftOut]:
    house, plan_id, archive = planned
    remaking = Remaking(house.ledger, house.source.models, {name: Rival(one) for name, one in BELIEFS.items()})
    records = records_of(house)
    found = remade_of_plan(plan_id, records, remaking, archive)
    return {record.contact_id: one for record, one in zip(records, found, strict=True)}


def records_of(house: ServedHouse) -> list[DecisionRecord]:
    return [one for contact in CONTACTS for one in house.ledger.decisions_of(contact, 1)]


def test_the_champion_would_do_what_the_plan_did_and_the_challenger_something_else(planned: tuple[ServedHouse, str, PlanArchive]) -> None:
    made = [one for one in again(planned).values() if isinstance(one, Remade)]

    chosen = [one for one in made if one.logged]
    assert 0 < len(chosen) <= 20
    assert all(one.logged == ("loan_hero",) for one in chosen)
    assert all(one.selection_prob == 1.0 for one in made)
    # Everybody is alike here, so the price of a hero is what it brings: a contact's best is the loan or, at that price, nothing.
    assert {one.does[CHAMPION] for one in made} <= {("loan_hero",), ()}
    assert {one.does[CHALLENGER] for one in made} == {("card_hero",)}
    assert {one.open_at_random for one in made} == {("loan_hero", "card_hero")}
    assert all(one.profit["loan_hero"] == pytest.approx(100 * 0.2 - 1.0) for one in made)


def test_contacts_of_control_groups_are_left_out_with_the_reason(planned: tuple[ServedHouse, str, PlanArchive]) -> None:
    groups = {record.contact_id: record.control_group for record in records_of(planned[0])}

    found = again(planned)

    assert {groups[contact] for contact, one in found.items() if isinstance(one, LeftOut)} == {"holdout", "random"}
    assert {str(one) for one in found.values() if isinstance(one, LeftOut)} == {"of control groups in a plan"}
    assert {groups[contact] for contact, one in found.items() if isinstance(one, Remade)} == {"nudge"}


def test_a_plan_whose_inputs_are_gone_is_left_out_whole(planned: tuple[ServedHouse, str, PlanArchive], tmp_path: Path) -> None:
    house, plan_id, _ = planned

    found = again((house, plan_id, PlanArchive(tmp_path)))
    unknown = again((house, "plan-of-nobody", PlanArchive(tmp_path)))

    assert {str(one) for one in found.values()} == {"of plans whose inputs are gone"}
    assert {str(one) for one in unknown.values()} == {"of plans that published no prices"}


def test_a_choice_that_was_overtaken_is_left_out(planned: tuple[ServedHouse, str, PlanArchive]) -> None:
    house, plan_id, archive = planned
    record = next(one for one in records_of(house) if one.control_group == "nudge")
    remaking = Remaking(house.ledger, house.source.models, {name: Rival(one) for name, one in BELIEFS.items()})

    (found,) = remade_of_plan(plan_id, [structs.replace(record, trace={**record.trace, "raced": {}})], remaking, archive)

    assert str(found) == "of plans, overtaken by another decision"
