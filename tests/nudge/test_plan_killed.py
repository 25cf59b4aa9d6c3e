"""`nudge plan` killed at whatever moment: nothing half done shows, nobody goes on, and made again it is that of an undisturbed run."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nudge.ground.workspace import Workspace
from tests.conftest import ROOT
from tests.nudge.shops import CATALOG, Shop

PEOPLE = 600
IN_SMALL_STEPS = """
import sys
from nudge.cli import main
from serving.plans import audiences, publication
publication.DECISIONS_AT_ONCE, audiences.ROWS_AT_ONCE = 10, 3
sys.argv[0] = "nudge"
main()
"""
CONTACTS = f"SELECT 'c-' || i AS contact_id, 18 + i % 60 AS age, i % 3 = 0 AS \"Has Loan\" FROM range({PEOPLE}) r(i)"
CONSENTS = f"""SELECT 'c-' || i AS contact_id, 'email_marketing' AS purpose, 'granted' AS status, TIMESTAMP '2026-10-01' AS changed_at
  FROM range({PEOPLE}) r(i)"""
LIMITS = [{"id": "budget", "measure": "cost", "max": 90}, {"id": "least", "action": "loan", "measure": "contacts", "min": 40}]


@pytest.fixture
def ingested(shop: Shop) -> Shop:
    policy = [{"id": "month", "max": 2, "per_days": 30}]
    catalog = {**CATALOG, "constraints": LIMITS, "contact_policy": policy, "controls": {"holdout": 0.1, "salt": "s"}}
    shop.write(catalog=catalog, sources={"contacts": CONTACTS, "consents": CONSENTS})
    assert shop.run("ingest").code == 0
    assert shop.run("features", "build").code == 0
    return shop


class Planning:
    """`nudge plan` as a process group of its own, in steps so small that any of them can be caught."""

    def __init__(self, folder: Path) -> None:
        arguments = ["plan", "-w", str(folder), "--json", "--progress", "--workers", "2"]
        command = [sys.executable, "-c", IN_SMALL_STEPS, *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, text=True, **pipes)  # type: ignore[call-overload]

    def heard(self, message: str) -> None:
        """Wait until it says so."""
        for line in self.process.stderr:
            if message in line:
                return
        raise AssertionError(f"it never said '{message}'")

    def saw(self, there: Callable[[], bool]) -> None:
        """Wait until something is there, as long as it goes on."""
        while not there() and self.process.poll() is None:
            time.sleep(0.001)

    def kill(self, *, all_at_once: bool) -> list[int]:
        """Kill the whole tree, or the one that the others work for; returns whom it had begun."""
        begun = _descendants(self.process.pid)
        (os.killpg if all_at_once else os.kill)(self.process.pid, signal.SIGKILL)
        self.process.communicate(timeout=60)
        return begun

    def done(self) -> dict[str, Any]:
        """Let it end by itself."""
        out, said = self.process.communicate(timeout=300)
        assert self.process.returncode == 0, said
        document: dict[str, Any] = json.loads(out)
        return document


def _descendants(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(one) for task in tasks for one in (task / "children").read_text(encoding="utf-8").split()]
    except OSError:
        return []
    return [*children, *(one for child in children for one in _descendants(child))]


def _all_gone(pids: list[int]) -> bool:
    def lives(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    deadline = time.monotonic() + 30
    while any(map(lives, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(lives, pids))


def _kept(folder: Path) -> int:
    with sqlite3.connect(f"file:{folder}/state/ledger.db?mode=ro", uri=True) as ledger:
        return int(ledger.execute("SELECT count(*) FROM decisions").fetchone()[0])


def _digests(folder: Path) -> dict[str, str]:
    """The files of all plans by their paths, without the manifests, which say when a plan was made."""
    found = [path for path in sorted((folder / "exports").glob("plan-*/*")) if path.name != "manifest.json"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def _nothing_half_done(folder: Path) -> None:
    """What has its name is whole."""
    for plan in (folder / "exports").glob("plan-*"):
        manifest = json.loads((plan / "manifest.json").read_text(encoding="utf-8"))
        assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in plan.iterdir() if path.name in manifest["files"]} == (
            manifest["files"]
        )


def test_a_killed_plan_leaves_nothing_half_done_and_made_again_is_the_plan_of_an_undisturbed_run(ingested: Shop, tmp_path: Path) -> None:
    folder, rng = ingested.folder, random.Random(16)
    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(folder, undisturbed)
    expected = Planning(undisturbed).done()

    def some_are_kept(at_least: int) -> Callable[[], bool]:
        return lambda: _kept(folder) >= at_least

    def a_file_is_begun(name: str) -> Callable[[], bool]:
        return lambda: any((folder / "exports").glob(f".plan-*/{name}"))

    moments: list[tuple[str, Callable[[], bool], bool]] = [
        ("decided", lambda: True, False),
        ("keeping", some_are_kept(rng.randrange(20, 200)), True),
        ("keeping", some_are_kept(rng.randrange(250, 500)), False),
        ("writing", a_file_is_begun(rng.choice(["plan.parquet", "audience_email.csv"])), True),
    ]
    for message, seen, all_at_once in moments:
        planning = Planning(folder)
        planning.heard(message)
        planning.saw(seen)
        time.sleep(rng.uniform(0.0, 0.05))
        assert _all_gone(planning.kill(all_at_once=all_at_once))
        assert planning.process.returncode == -signal.SIGKILL
        _nothing_half_done(folder)
        assert ingested.run("verify-ledger").document["intact"]
    assert 0 < _kept(folder) <= PEOPLE
    made = Planning(folder).done()
    assert made["plan_id"] == expected["plan_id"]
    assert _digests(folder) == _digests(undisturbed) != {}
    _every_decision_once(folder, made["plan_id"])
    assert ingested.run("verify-ledger").document["intact"]
    left = [path.name for place in ("exports", "state", "state/plans") for path in (folder / place).glob(".*")]
    assert [name for name in left if "plan" in name or "population" in name] == []


def _every_decision_once(folder: Path, plan_id: str) -> None:
    with Workspace.open(folder).open_ledger() as ledger:
        records = [one for page in ledger.decision_pages(1_000) for one in page]
    assert sorted(one.contact_id for one in records) == sorted(f"c-{number}" for number in range(PEOPLE))
    assert {one.plan_id for one in records} == {plan_id}
