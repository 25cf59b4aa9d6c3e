"""Several processes work at a plan: the same comes of it, in the same order, and none of them outlives it."""

from __future__ import annotations

import errno
import itertools
import math
import multiprocessing
import operator
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest

from decisioning.errors import Unavailable
from ledger.bulk import Batch, Written
from ledger.records import DecisionRecord
from serving.plans import crew as crew_module
from serving.plans import publication
from serving.plans.crew import ALONE, Crew
from serving.plans.planner import PlannedPopulation
from tests.conftest import ROOT
from tests.serving.planning import make, treatments
from tests.serving.small_house import CATALOG, House, small_house

PARENT = """
import time
from serving.plans.crew import Crew

with Crew(2) as crew:
    list(crew.in_order(abs, [1] * 4))
    print(*crew._pool._processes, flush=True)
    list(crew.in_order(time.sleep, [60.0] * 2))
"""


def test_results_come_in_the_order_of_the_parts_however_many_work() -> None:
    parts = list(range(40))
    with Crew(2) as crew:
        assert list(crew.in_order(math.sqrt, parts)) == list(ALONE.in_order(math.sqrt, parts)) == [math.sqrt(one) for one in parts]
        assert len(set(crew.in_order(operator.methodcaller("__call__"), [os.getpid] * 20)) - {os.getpid()}) >= 1


def test_processes_that_were_begun_are_those_that_work() -> None:
    with Crew(2) as crew, Crew(1) as alone:
        crew.begin(abs, 0)
        alone.begin(abs, 0)
        assert crew._pool is not None and alone._pool is None
        begun = set(crew._pool._processes)
        assert set(crew.in_order(operator.methodcaller("__call__"), [os.getpid] * 6)) <= begun
        assert len(begun) == 2


def test_what_a_part_raises_is_raised_here_and_the_others_go_on() -> None:
    with Crew(2) as crew:
        with pytest.raises(ValueError, match="math domain error"):
            list(crew.in_order(math.sqrt, [4.0, -1.0]))
        assert list(crew.in_order(math.sqrt, [9.0])) == [3.0]


def test_where_processes_can_share_nothing_one_does_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(crew_module, "ProcessPoolExecutor", no_locks)
    with Crew(2) as crew:
        assert list(crew.in_order(operator.methodcaller("__call__"), [os.getpid] * 3)) == [os.getpid()] * 3


def test_where_processes_cannot_be_started_one_does_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    start = SpawnProcess.start

    def only_one(process: SpawnProcess) -> None:
        if multiprocessing.active_children():
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        start(process)

    monkeypatch.setattr(SpawnProcess, "start", only_one)
    with Crew(2) as crew:
        crew.begin(abs, 0)
        assert list(crew.in_order(operator.methodcaller("__call__"), [os.getpid] * 3)) == [os.getpid()] * 3
        assert not multiprocessing.active_children()


def test_a_process_that_is_ended_from_outside_ends_the_plan_with_a_plain_message() -> None:
    with Crew(2) as crew, pytest.raises(Unavailable, match="helped to make the plan was ended"):
        list(crew.in_order(os._exit, [1, 1]))


def test_the_processes_end_with_the_one_that_they_work_for_however_it_ends() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert parent.stdout is not None
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(workers) == 2
    parent.send_signal(signal.SIGKILL)
    parent.wait(timeout=30)
    deadline = time.monotonic() + 30
    while any(_lives(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_lives(pid) for pid in workers)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


CONTACTS = [f"c-{number}" for number in range(40)]


@contextmanager
def _planning(folder: Path, workers: int) -> Iterator[tuple[House, PlannedPopulation, Crew]]:
    folder.mkdir()
    with small_house(folder, CATALOG) as house, Crew(workers) as crew:
        house.consent(*CONTACTS)
        house.known.rows = {**house.known.rows, **{one: {"age": 40.0 + len(one)} for one in CONTACTS}}
        yield house, make(house, CONTACTS), crew


def _kept(house: House) -> list[DecisionRecord]:
    assert house.ledger.verify().intact
    return [one for page in house.ledger.decision_pages(1_000) for one in page]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publication, "DECISIONS_AT_ONCE", 7)


def test_what_is_kept_of_a_plan_is_the_same_whatever_the_number_of_processes(tmp_path: Path) -> None:
    found = []
    for workers in (1, 2):
        with _planning(tmp_path / str(workers), workers) as (house, planned, crew):
            heard: list[int] = []
            assert treatments(publication.publish(planned, house.ledger, crew, heard.append)) == treatments(planned)
            assert heard == [7, 14, 21, 28, 35, 40]
            found.append(_kept(house))
    assert found[0] == found[1]
    assert len(found[0]) == len(CONTACTS)


def test_a_plan_that_ended_while_its_decisions_were_kept_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _planning(tmp_path / "house", 2) as (house, planned, crew):
        record, calls = house.ledger.bulk.record, itertools.count()

        def ends_at_the_third(batch: Batch, written: Written) -> set[str]:
            return record(batch, written) if next(calls) < 2 else 1 // 0  # type: ignore[return-value]

        with monkeypatch.context() as ended:
            ended.setattr(house.ledger.bulk, "record", ends_at_the_third)
            with pytest.raises(ZeroDivisionError):
                publication.publish(planned, house.ledger, crew)
        begun = _kept(house)
        assert len(begun) == 14
        assert house.ledger.prices() is None
        assert treatments(publication.publish(planned, house.ledger, crew)) == treatments(planned)
        whole = _kept(house)
        assert len(whole) == len(CONTACTS)
        assert all(one in whole for one in begun)
