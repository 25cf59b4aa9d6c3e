"""`nudge serve` as a process of its own: killed under load, and given new versions under load."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from nudge.ground.workspace import Workspace
from tests.nudge.shops import CATALOG, Shop

CALLERS = 4


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """`nudge serve` on a free port, ready; stopped afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "nudge", "serve", "-w", str(folder), "--port", str(port), "--quiet"]
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            _await_ready(address, process)
            yield address, process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(timeout=30)


def _await_ready(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, (process.stderr.read() if process.stderr else b"").decode()
        try:
            if httpx.get(f"{address}/health/ready", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("the server never became ready")


class Caller:
    """Decides and reports outcomes in a loop until the server is gone; remembers what was acknowledged."""

    def __init__(self, address: str, number: int) -> None:
        self.address = address
        self.number = number
        self.decisions: list[str] = []
        self.outcomes: list[str] = []
        self.statuses: set[int] = set()
        self.versions: set[str] = set()
        self.stop = threading.Event()

    def __call__(self) -> None:
        with httpx.Client(base_url=self.address, timeout=20) as client:
            turn = 0
            while not self.stop.is_set():
                turn += 1
                try:
                    self._once(client, turn)
                except httpx.TransportError:  # the server is gone
                    self.statuses.add(-1)
                    return

    def _once(self, client: httpx.Client, turn: int) -> None:
        contact = f"c-{(self.number * 50 + turn) % 200}"
        answer = client.post("/v1/decisions", json={"contact_id": contact, "channel": "web", "placements": ["home_hero"]})
        self.statuses.add(answer.status_code)
        decision = answer.json()
        self.decisions.append(decision["decision_id"])
        self.versions.add(decision["versions"]["catalog"])
        event_id = f"e-{self.number}-{turn}"
        outcome = {"event_id": event_id, "decision_id": decision["decision_id"], "outcome": "sale", "value": 1.0}
        accepted = client.post("/v1/outcomes", json=[outcome])
        self.statuses.add(accepted.status_code)
        if accepted.json()["accepted"] == 1:
            self.outcomes.append(event_id)


@pytest.fixture
def ready_shop(shop: Shop) -> Shop:
    assert shop.run("ingest").code == 0
    return shop


def _calling(address: str) -> tuple[list[Caller], ThreadPoolExecutor, list[Any]]:
    callers = [Caller(address, number) for number in range(CALLERS)]
    pool = ThreadPoolExecutor(CALLERS)
    return callers, pool, [pool.submit(caller) for caller in callers]


def test_a_server_killed_under_load_loses_nothing_that_a_caller_has_seen(ready_shop: Shop) -> None:
    with serving(ready_shop.folder) as (address, process):
        callers, pool, running = _calling(address)
        while sum(len(caller.outcomes) for caller in callers) < 40:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)  # in the middle of what the callers are doing
        process.wait(timeout=30)
        for one in running:
            one.result()
        pool.shutdown()
    decisions = [one for caller in callers for one in caller.decisions]
    outcomes = {one for caller in callers for one in caller.outcomes}
    with Workspace.open(ready_shop.folder).open_ledger() as ledger:
        assert all(ledger.decision(one) is not None for one in decisions)
        kept = {outcome.event_id for one in decisions for outcome in ledger.outcomes_for(one)}
    assert outcomes <= kept
    assert len(outcomes) >= 40


def test_a_new_catalogue_and_new_prices_are_swapped_in_without_one_failed_request(ready_shop: Shop) -> None:
    catalog_file = ready_shop.folder / "catalog.yaml"
    with serving(ready_shop.folder) as (address, _):
        callers, pool, running = _calling(address)
        _await_version(callers, f"{CATALOG['version']}#")
        for version in ("2", "3", "4"):
            temporary = catalog_file.with_suffix(".new")
            temporary.write_text(yaml.safe_dump({**CATALOG, "version": version}))
            temporary.replace(catalog_file)
            with Workspace.open(ready_shop.folder).open_ledger() as ledger:
                ledger.set_prices({"id": f"p-{version}", "prices": {"budget": 0.1}})
            _await_version(callers, f"{version}#")
        for caller in callers:
            caller.stop.set()
        for one in running:
            one.result()
        pool.shutdown()
        answer = httpx.post(f"{address}/v1/decisions", json={"contact_id": "c-1"}).json()
    assert {status for caller in callers for status in caller.statuses} == {200, 202}
    assert answer["versions"]["prices"] == "p-4"
    assert {version.split("#")[0] for caller in callers for version in caller.versions} == {"1", "2", "3", "4"}


def _await_version(callers: list[Caller], prefix: str) -> None:
    for _ in range(600):
        if any(version.startswith(prefix) for caller in callers for version in caller.versions):
            return
        time.sleep(0.1)
    raise AssertionError(f"no answer ever came from catalogue {prefix}")
