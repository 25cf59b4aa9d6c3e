"""A world is a function of its arguments, and hands over tables in the shape of the contract."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from decisioning.errors import NotFound, RequestError
from simulation.truth import load_truth
from simulation.world import END, World

TABLES = ("accounts", "consents", "contacts", "events", "interactions", "outcomes")


def hashes(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.rglob("*.*"))}


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        World.generate(contacts=400, days=80, seed=5).write(tmp_path / name / "raw")
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    assert set(hashes(tmp_path / "a")) == {f"raw/{name}.parquet" for name in TABLES} | {"truth/truth.npz"}


def test_another_seed_is_another_world_with_other_effects() -> None:
    one, two = (World.generate(contacts=3_000, days=80, seed=seed) for seed in (1, 2))
    assert not one.tables["events"].equals(two.tables["events"])
    assert not np.allclose(one.truth.uplift.mean(axis=0), two.truth.uplift.mean(axis=0), atol=1e-4)


def test_the_truth_reads_back_as_it_was_written(tmp_path: Path) -> None:
    world = World.generate(contacts=300, days=80, seed=5)
    world.write(tmp_path / "raw")
    again = load_truth(tmp_path / "truth")
    for name in world.truth.__dataclass_fields__:
        assert np.array_equal(getattr(again, name), getattr(world.truth, name)), name


def test_a_folder_without_truth_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no simulated truth"):
        load_truth(tmp_path)


@pytest.mark.parametrize(("contacts", "days", "seed", "field"), [(0, 90, 1, "contacts"), (10, 20, 1, "days"), (10, 90, -1, "seed")])
def test_arguments_that_make_no_world_are_refused(contacts: int, days: int, seed: int, field: str) -> None:
    with pytest.raises(RequestError) as refusal:
        World.generate(contacts=contacts, days=days, seed=seed)
    assert refusal.value.field == field


@pytest.mark.parametrize("contacts", [1, 2, 25])
def test_a_tiny_bank_is_a_bank(contacts: int, tmp_path: Path) -> None:
    world = World.generate(contacts=contacts, days=60, seed=3)
    world.write(tmp_path / "raw")
    assert world.truth.profit.shape[0] == contacts
    assert pq.read_table(tmp_path / "raw" / "contacts.parquet").num_rows >= 1


def test_nothing_happens_at_or_after_the_end(world: World) -> None:
    for name, column in (
        ("events", "occurred_at"),
        ("outcomes", "occurred_at"),
        ("interactions", "occurred_at"),
        ("consents", "changed_at"),
    ):
        assert pc.max(world.tables[name][column]).as_py() < END.astype(object), name


def test_events_are_many_but_bounded(world: World) -> None:
    per_contact = world.tables["events"].num_rows / len(world.truth.contact_ids)
    assert 15 < per_contact < 60


def test_only_card_payments_carry_money_and_it_is_positive(world: World) -> None:
    events = world.tables["events"]
    paid = events.filter(pc.field("event_type") == "card_payment")
    assert paid["value"].null_count == 0
    assert pc.min(paid["value"]).as_py() > 0
    others = events.filter(pc.field("event_type") != "card_payment")
    assert others["value"].null_count == others.num_rows


def test_attributes_come_in_every_type_and_with_nulls(world: World) -> None:
    contacts = world.tables["contacts"]
    types = {str(field.type) for field in contacts.schema}
    assert {"bool", "int64", "double", "string", "date32[day]", "timestamp[us]", "decimal128(14, 2)"} <= types
    assert sum(contacts[name].null_count > 0 for name in contacts.column_names) >= 10
    assert len(pc.unique(contacts["city"])) > 200


def test_a_contact_has_one_row_a_state_and_never_two_of_one_moment(world: World) -> None:
    contacts = world.tables["contacts"]
    pairs = set(zip(contacts["contact_id"].to_pylist(), contacts["valid_from"].to_pylist(), strict=True))
    assert len(pairs) == contacts.num_rows > len(world.truth.contact_ids)
    assert set(contacts["contact_id"].to_pylist()) == set(world.truth.contact_ids.tolist())


def test_firms_have_several_contacts_and_every_link_leads_somewhere(world: World) -> None:
    links = world.tables["contacts"]["account_id"].drop_null()
    known = set(world.tables["accounts"]["account_id"].to_pylist())
    assert set(links.to_pylist()) <= known
    assert 0.04 < len(links) / world.tables["contacts"].num_rows < 0.12


def test_weekends_and_christmas_show_in_the_events() -> None:
    whole_year = World.generate(contacts=1_500, days=360, seed=4).tables["events"]
    logins = whole_year.filter(pc.field("event_type") == "login")["occurred_at"]
    by_day = np.bincount(pc.day_of_week(logins).to_numpy(), minlength=7)
    assert by_day[5:].mean() < 0.8 * by_day[:5].mean()
    payments = whole_year.filter(pc.field("event_type") == "card_payment")["occurred_at"]
    by_month = np.bincount(pc.month(payments).to_numpy(), minlength=13)
    assert by_month[12] > 1.1 * by_month[6]
