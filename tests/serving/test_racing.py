"""Two decisions at the same moment: a cap, a capacity and a budget each have one last slot, and one decision gets it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ledger.store import Ledger
from serving.schemas.decisions import DecisionRequest
from tests.conftest import ROOT
from tests.serving.planning import bind, make, treatments
from tests.serving.small_house import CATALOG, House, small_house

CALLERS = 8
FIRM = {"contact_policy": [{"id": "firm_week", "scope": "account", "max": 2, "per_days": 7}]}
MAILS = {"contact_policy": [], "constraints": [{"id": "mails", "channel": "email", "measure": "contacts", "max": 5}]}
BUDGET = {"contact_policy": [], "constraints": [{"id": "money", "measure": "cost", "max": 2.2}]}


def consent_all(house: House, contacts: list[str]) -> None:
    house.consent(*contacts)
    house.known.rows = {**house.known.rows, **{one: {"age": 40.0, "account_id": "firm"} for one in contacts}}


def at_once(house: House, contacts: list[str]) -> list[dict[str, Any]]:
    """Every contact asked about its e-mail by a thread of its own, all let go together."""
    gate = threading.Barrier(len(contacts))

    def ask(contact_id: str) -> dict[str, Any]:
        gate.wait()
        return house.service.decide(DecisionRequest(contact_id=contact_id, channel="email"))

    with ThreadPoolExecutor(len(contacts)) as pool:
        return list(pool.map(ask, contacts))


def mailed(answers: list[dict[str, Any]]) -> int:
    return sum(bool(answer["actions"]) for answer in answers)


def test_threads_cannot_both_take_the_last_slot_of_a_cap(tmp_path: Path) -> None:
    with small_house(tmp_path) as house:
        consent_all(house, ["adult"])
        answers = at_once(house, ["adult"] * CALLERS)
        assert mailed(answers) == 1
        refused = [answer["no_action"] for answer in answers if not answer["actions"]]
        assert {one["reason"] for one in refused} == {"all_filtered"}


@pytest.mark.parametrize(("catalog", "slots"), [(FIRM, 2), (MAILS, 5), (BUDGET, 4)])
def test_threads_share_what_an_account_and_a_period_allow(tmp_path: Path, catalog: dict[str, Any], slots: int) -> None:
    contacts = [f"c-{n}" for n in range(CALLERS)]
    with small_house(tmp_path, {**CATALOG, **catalog}) as house:
        consent_all(house, contacts)
        assert mailed(at_once(house, contacts)) == slots
        assert mailed([house.service.decide(DecisionRequest(contact_id=one, channel="email")) for one in contacts]) == 0


def test_whom_a_plan_without_any_cap_has_chosen_is_decided_for_at_the_same_moment(tmp_path: Path) -> None:
    mails = [{**one, "treatments": [each for each in one["treatments"] if each["channel"] == "email"]} for one in CATALOG["actions"]]
    actions = [one for one in mails if one["treatments"]]
    with small_house(tmp_path, {**CATALOG, "actions": actions, "contact_policy": [], "constraints": []}) as house:
        consent_all(house, ["adult"])
        assert treatments(bind(house, make(house, ["adult"])))["adult"]
        assert house.service.decide(DecisionRequest(contact_id="adult", channel="email"))["actions"]


def test_a_batch_counts_its_own_decisions(tmp_path: Path) -> None:
    contacts = [f"c-{n}" for n in range(CALLERS)]
    for place, (catalog, slots) in enumerate([(FIRM, 2), (MAILS, 5), (BUDGET, 4)]):
        (tmp_path / str(place)).mkdir()
        with small_house(tmp_path / str(place), {**CATALOG, **catalog}) as house:
            consent_all(house, contacts)
            answers = house.service.decide_many([DecisionRequest(contact_id=one, channel="email") for one in contacts])
            assert mailed([one for one in answers if isinstance(one, dict)]) == slots
    with small_house(tmp_path) as house:
        consent_all(house, ["adult"])
        answers = house.service.decide_many([DecisionRequest(contact_id="adult", channel="email")] * 4)
        assert [bool(one["actions"]) for one in answers if isinstance(one, dict)] == [True, False, False, False]


RACER = """
import json, sys
from serving.schemas.decisions import DecisionRequest
from tests.serving.small_house import House
from ledger.store import Ledger

for heat in iter(sys.stdin.readline, ""):
    url, catalog, contacts = json.loads(heat)
    with Ledger.open(url) as ledger:
        house = House(ledger, catalog)
        house.known.rows = {one: {"age": 40.0, "account_id": "firm"} for one in contacts}
        print("ready", flush=True)
        sys.stdin.readline()
        answers = [house.service.decide(DecisionRequest(contact_id=one, channel="email")) for one in contacts]
        print(json.dumps(sum(len(one["actions"]) for one in answers)), flush=True)
"""
RACERS = 3


@pytest.fixture(scope="module")
def racers() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that race in every heat: what they load takes longer than all heats together."""
    made = [
        subprocess.Popen([sys.executable, "-c", RACER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(RACERS)
    ]
    yield made
    for one in made:
        one.communicate(timeout=60)
        assert one.returncode == 0


def race(racers: list[subprocess.Popen[str]], url: str, catalog: dict[str, Any], of_each: list[list[str]]) -> int:
    """Lets all racers go together, each with its contacts: the mails that they chose in all."""
    for one, contacts in zip(racers, of_each, strict=True):
        tell(one, json.dumps([url, catalog, contacts]))
    assert [said(one) for one in racers] == ["ready"] * RACERS
    for one in racers:
        tell(one, "go")
    return sum(int(said(one)) for one in racers)


def tell(racer: subprocess.Popen[str], line: str) -> None:
    assert racer.stdin is not None
    racer.stdin.write(f"{line}\n")
    racer.stdin.flush()


def said(racer: subprocess.Popen[str]) -> str:
    assert racer.stdout is not None
    return racer.stdout.readline().strip()


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_processes_cannot_take_more_than_there_is(
    request: pytest.FixtureRequest, racers: list[subprocess.Popen[str]], tmp_path: Path, database: str
) -> None:
    apart = [[f"c-{n}-{racer}" for n in range(4)] for racer in range(RACERS)]
    scenes: list[tuple[dict[str, Any], list[list[str]], int]] = [
        ({}, [["adult"] * 3] * RACERS, 1),
        (FIRM, apart, 2),
        (MAILS, apart, 5),
        (BUDGET, apart, 4),
    ]
    mails = []
    for place, (catalog, of_each, _) in enumerate(scenes):
        url = f"sqlite:///{tmp_path}/{place}.db" if database == "sqlite" else request.getfixturevalue("new_postgres_database")()
        whole = {**CATALOG, **catalog}
        with Ledger.open(url) as ledger:
            House(ledger, whole).consent(*{one for part in of_each for one in part})
        mails.append(race(racers, url, whole, of_each))
    assert mails == [slots for *_, slots in scenes]


def test_threads_on_postgresql_cannot_take_more_than_there_is(new_postgres_database: Callable[[], str]) -> None:
    contacts = [f"c-{n}" for n in range(CALLERS)]
    for catalog, slots in [(FIRM, 2), (MAILS, 5), (BUDGET, 4)]:
        with Ledger.open(new_postgres_database()) as ledger:
            house = House(ledger, {**CATALOG, **catalog})
            consent_all(house, contacts)
            assert mailed(at_once(house, contacts)) == slots
