"""Online features beside Feast's SDK: reading a contact, materialising everybody, one event.

Everything is measured in one run, in turns where times are small. Feast's `materialize` is timed on 10,000 contacts (its time is
proportional), ours on a million. Redis is a server of the machine's own, started for the run; without one (or without the extra
``redis``) its figures are left out.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.commands import ROOT
from benchmarks.online_world import FEATURES, write_world
from benchmarks.results import Figure

CONTACTS = int(os.environ.get("ONLINE_CONTACTS", "1000000"))
PEER_CONTACTS = 10_000
EVENTS_A_CONTACT = 5

SDK = "Feast {}, get_online_features on {}"


def measure() -> list[Figure]:
    """Reading and writing, embedded and on Redis."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="nudge-online-") as name, redis_server(Path(name)) as redis:
        small, big = Path(name) / "small", Path(name) / "big"
        for folder, contacts in ((small, PEER_CONTACTS), (big, CONTACTS)):
            write_world(folder, contacts=contacts, events=contacts * EVENTS_A_CONTACT)
            run("build", folder)
        for store, address in (("embedded", ""), ("Redis", redis)):
            if store == "Redis" and not redis:
                continue
            figures += writing(store, address, small, big)
            figures += reading(store, address, small)
    return figures


def writing(store: str, redis: str, small: Path, big: Path) -> list[Figure]:
    """Materialising: ours a million, Feast's ten thousand."""
    theirs, few, ours = (run("feast_materialise", small, redis), run("materialise", small, redis), run("materialise", big, redis))
    name = f"online.{store}: materialise {CONTACTS:,} x {FEATURES}"
    peer = f"Feast's materialize, {PEER_CONTACTS:,} contacts"
    goal = ">= 50 x" if store == "embedded" else None
    return [
        Figure(name, ours["rows"] / ours["cpu"], "rows a CPU second", peer, theirs["rows"] / theirs["cpu"], goal),
        Figure(f"{name}, seconds", ours["wall"], "seconds"),
        Figure(f"{name}, memory", ours["gigabytes"], "GB", goal="<= 2"),
        Figure(
            f"online.{store}: materialise {PEER_CONTACTS:,} x {FEATURES}",
            few["rows"] / few["cpu"],
            "rows a CPU second",
            peer,
            theirs["rows"] / theirs["cpu"],
        ),
    ]


def reading(store: str, redis: str, folder: Path) -> list[Figure]:
    """One contact, many contacts, one event."""
    taken = run("read", folder, redis)
    one, hundred = (SDK.format(contacts, "SQLite" if store == "embedded" else "Redis") for contacts in ("one contact", "100 contacts"))
    goal = ">= 50 x" if store == "embedded" else ">= 8 x"

    def a_second(what: str, contacts: int) -> float:
        return contacts * 1e6 / taken[what]

    sdk_one, sdk_hundred = a_second("sdk of one", 1), a_second("sdk of 100", 100)
    name = f"online.{store}: one vector, redis-py's bare GET of it"
    floor = [Figure(name, a_second("redis-py's GET", 1), "1/s", one, sdk_one)] if redis else []
    return [
        *floor,
        Figure(f"online.{store}: one contact, columns", a_second("columns of one", 1), "1/s", one, sdk_one, goal),
        Figure(f"online.{store}: one contact, as a decision's rules read it", a_second("rules of one", 1), "1/s", one, sdk_one),
        Figure(f"online.{store}: one contact, values", a_second("values of one", 1), "1/s", one, sdk_one, goal),
        Figure(f"online.{store}: one contact, packed", a_second("vector of one", 1), "1/s", one, sdk_one, goal),
        Figure(f"online.{store}: 100 contacts, columns", a_second("columns of 100", 100), "contacts/s", hundred, sdk_hundred),
        Figure(f"online.{store}: 1,000 contacts, columns", a_second("columns of 1000", 1000), "contacts/s", hundred, sdk_hundred),
        Figure(f"online.{store}: one event", taken["event"] / 1000, "ms", goal="<= 0.5"),
    ]


def run(what: str, folder: Path, redis: str = "") -> dict[str, float]:
    """One run of `benchmarks.online_runs` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.online_runs", what, str(folder), *([redis] if redis else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"  {what} {folder.name} {'on Redis' if redis else ''}: {found}", file=sys.stderr, flush=True)
    return found


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """The address of a Redis of our own; empty where there is none."""
    program = shutil.which("redis-server")
    if program is None or importlib.util.find_spec("hiredis") is None:
        yield ""
        return
    address, options = redis_options(folder)
    with subprocess.Popen([program, *options], stdout=subprocess.DEVNULL) as process:
        try:
            time.sleep(1.0)
            yield address
        finally:
            process.terminate()


def redis_options(folder: Path) -> tuple[str, list[str]]:
    """The address of a Redis that keeps its files in `folder`, and the options to start it with, on a port that is free."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = str(found.getsockname()[1])
    return f"127.0.0.1:{port}", ["--port", port, "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
