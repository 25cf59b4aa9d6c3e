"""SQLite's log is copied into the file beside the writers, and stays bounded whatever happens."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger import checkpoints, database
from ledger.checkpoints import Checkpoints
from ledger.store import Ledger
from tests.ledger.conftest import NOW, decision, email

PATIENCE_SECONDS = 20.0
COPYING = """
import fcntl, sys, time
with open(sys.argv[1], "r+b") as shared:
    fcntl.lockf(shared, fcntl.LOCK_EX, 1, 121)
    print("copying", flush=True)
    time.sleep(0.5)
"""
"""Another process that holds SQLite's lock of whoever copies the log."""

PAGE = 4_096


def _write(ledger: Ledger, count: int, name: str = "d") -> None:
    for number in range(count):
        ledger.record_decisions([decision(f"{name}-{number}", email(), contact_id=f"c-{number}", trace={"long": "x" * 20_000})])


def _until(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true() and time.monotonic() < deadline:
        time.sleep(0.01)
    return true()


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies are made as often as can be."""
    for name, value in (("_WORTH_BYTES", 1), ("_LONG_PAGES", 20), ("_SECONDS_BETWEEN", 0.001), ("_SECONDS_UNTIL_IDLE", 0.1)):
        monkeypatch.setattr(checkpoints, name, value)


@pytest.mark.usefixtures("busy")
def test_what_was_written_comes_home_into_the_file_and_the_log_is_cut_when_nobody_writes(tmp_path: Path, sqlite_url: str) -> None:
    log = tmp_path / "ledger.db-wal"
    with Ledger.open(sqlite_url) as ledger:
        _write(ledger, 60)
        assert _until(lambda: log.stat().st_size == 0)
        (tmp_path / "alone").mkdir()
        shutil.copy(tmp_path / "ledger.db", tmp_path / "alone" / "ledger.db")  # without its log
        _write(ledger, 1, "later")
    with Ledger.open(f"sqlite:///{tmp_path}/alone/ledger.db") as alone:
        assert alone.decision("d-59") is not None and alone.decision("later-0") is None
        assert alone.verify().intact


@pytest.mark.usefixtures("busy")
def test_a_reader_who_takes_his_time_sees_one_state_and_stops_no_writer(tmp_path: Path, sqlite_url: str) -> None:
    with Ledger.open(sqlite_url) as ledger, ledger._database.reading() as conn:
        before = conn.exec_driver_sql("SELECT count(*) FROM decisions").scalar_one()
        _write(ledger, 60)
        assert conn.exec_driver_sql("SELECT count(*) FROM decisions").scalar_one() == before == 0
        assert (tmp_path / "ledger.db-wal").stat().st_size > 60 * 20_000, "what a reader has not seen through was cut away"
    with Ledger.open(sqlite_url) as again:
        assert again.decision("d-59") is not None and again.verify().intact


def test_the_log_stays_bounded_where_nothing_copies_it_but_the_commits(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "NET_PAGES", 100)
    monkeypatch.setattr(Checkpoints, "written", lambda _self: None)
    with Ledger.open(sqlite_url) as ledger:
        longest = 0
        for turn in range(10):
            _write(ledger, 10, f"d{turn}")
            longest = max(longest, (tmp_path / "ledger.db-wal").stat().st_size)
    assert longest < 200 * PAGE


def test_a_copy_that_fails_costs_no_decision(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, busy: None) -> None:
    tried: list[bool] = []

    def refuse(_self: object) -> sqlite3.Connection:
        tried.append(True)
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(database.Database, "_own_connection", refuse)
    with Ledger.open(sqlite_url) as ledger:
        _write(ledger, 5)
        assert _until(lambda: bool(tried))
        _write(ledger, 5, "later")
        assert ledger.decision("later-4") is not None


def test_an_erasure_waits_for_who_copies_the_log_and_leaves_nothing_in_it(tmp_path: Path, sqlite_url: str) -> None:
    with Ledger.open(sqlite_url) as ledger:
        ledger.record_decisions([decision("d-1", email(), contact_id="jan.kowalski@poczta")])
        with subprocess.Popen([sys.executable, "-c", COPYING, f"{tmp_path}/ledger.db-shm"], stdout=subprocess.PIPE) as other:
            assert other.stdout is not None and other.stdout.readline() == b"copying\n"
            ledger.erase("jan.kowalski@poczta", NOW)
        assert (tmp_path / "ledger.db-wal").stat().st_size == 0
