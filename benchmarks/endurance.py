"""Ten minutes at 70 % of capacity while models are swapped, events and outcomes stream in, and Redis is killed and started twice.

`make bench ONLY=endurance` (capacity by `wrk`, then an open loop that asks at 70 % of it whatever the server does, a minute before and
after it all; the features come from a real `redis-server`; NUDGE_MINUTES=10). A demo bank of 2,000 contacts with two trained versions
of its models is served by `nudge serve` as anybody would. Afterwards: no answer of 5xx, every outcome that was acknowledged is in the
ledger, no cap is exceeded, the memory is flat.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from benchmarks.commands import run
from benchmarks.endurance_checks import caps_exceeded, outcomes_missing
from benchmarks.endurance_stream import Stream
from benchmarks.http_load import Open, Requests, Run, Server, load, need_wrk, open_load, posting, started
from benchmarks.online import redis_options
from benchmarks.results import Figure
from nudge.ground.workspace import Workspace

CONTACTS, SHARE, CLIENTS = 2_000, 0.7, 64
SWAP_SECONDS, SEGMENT_SECONDS, QUIET_SECONDS = 20.0, 30.0, 60.0


def measure() -> Sequence[Figure]:
    """The run, in segments, and what is left behind."""
    need_wrk()
    minutes = float(os.environ.get("NUDGE_MINUTES", "10"))
    with tempfile.TemporaryDirectory(prefix="nudge-endurance-") as name:
        folder = Path(name)
        workspace = folder / "bank"
        with Redis(folder) as redis:
            prepare(workspace, redis.address)
            command = [sys.executable, "-m", "nudge", "serve", "-w", str(workspace)]
            with started(command, requests(), {}) as server:
                seen = endure(server, workspace, redis, minutes * 60)
        exceeded = caps_exceeded(workspace)
        missing = outcomes_missing(workspace, seen.stream.acknowledged)
    return figures(seen, exceeded, missing, minutes)


def prepare(workspace: Path, redis: str) -> None:
    """The demo bank with its features on Redis and two versions of each model."""
    run("init", workspace, "--example", "demo")
    run("simulate", "-w", workspace, "--contacts", CONTACTS, "--days", 200, "--seed", 7)
    config = workspace / "nudge.yaml"
    given = yaml.safe_load(config.read_text(encoding="utf-8"))
    given["stores"] = {**given.get("stores", {}), "online": {"type": "redis", "connection_string": redis}}
    given["stores"]["tracking"] = f"sqlite:///{workspace}/mlflow.db"
    config.write_text(yaml.safe_dump(given), encoding="utf-8")
    for arguments in (["ingest"], ["features", "build"], ["train"]):
        run(*arguments, "-w", workspace)
    given["seed"] = int(given.get("seed", 7)) + 1
    config.write_text(yaml.safe_dump(given), encoding="utf-8")
    run("train", "-w", workspace)
    run("features", "materialize", "-w", workspace)
    run("plan", "-w", workspace, "--prices-only")


def requests() -> Requests:
    """Half ask what to show on the site, half what to send by e-mail, which counts under the caps."""
    web = '{{"contact_id": "c-{:07d}", "channel": "web", "placements": ["home_hero"], "limit": 1, "context": {{"intent": "borrow"}}}}'
    email = '{{"contact_id": "c-{:07d}", "channel": "email"}}'
    return posting("/v1/decisions", [(web if i % 2 else email).format(i) for i in (1 + 7 * turn % CONTACTS for turn in range(CONTACTS))])


class Redis:
    """A Redis of our own, that can be killed and started again with what it held."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise RuntimeError("the features are on Redis, which is not installed. Hint: apt-get install redis-server")
        self.address, options = redis_options(folder)
        self._command = [program, *options, "--appendonly", "yes"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it reads what it held."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        """As a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Redis:
        self.start()
        time.sleep(1.0)
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


@dataclass
class Seen:
    """What one run saw."""

    capacity: Run
    stream: Stream
    before: Open
    segments: list[Open] = field(default_factory=list)
    after: list[Open] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    swaps: int = 0
    kills: int = 0


def endure(server: Server, workspace: Path, redis: Redis, seconds: float) -> Seen:
    """Load in segments; swaps, streams and kills beside it."""
    capacity = load(server, clients=CLIENTS)
    rps = SHARE * capacity.rps
    before = open_load(server, rps=rps, seconds=QUIET_SECONDS)
    seen = Seen(capacity, Stream(server.address), before)
    over = threading.Event()
    beside = [
        threading.Thread(target=_swap, args=(workspace, over, seen)),
        threading.Thread(target=_disturb, args=(redis, over, seen, seconds)),
        threading.Thread(target=_watch, args=(server.pid, over, seen)),
        threading.Thread(target=seen.stream.run, args=(over,)),
    ]
    for thread in beside:
        thread.start()
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        found = open_load(server, rps=rps, seconds=SEGMENT_SECONDS)
        said = f"p50 {found.latency_ms(0.5):.0f} p99 {found.latency_ms(0.99):.0f} ms, {dict(found.statuses)}"
        print(f"  {said} memory {seen.memory_mb[-1:]} swaps {seen.swaps} kills {seen.kills}", file=sys.stderr, flush=True)
        seen.segments.append(found)
    over.set()
    for thread in beside:
        thread.join()
    seen.after.append(open_load(server, rps=rps, seconds=QUIET_SECONDS))
    return seen


def _swap(workspace: Path, over: threading.Event, seen: Seen) -> None:
    """Every 20 s another version of the models is the champion."""
    tracker = Workspace.open(workspace).tracker
    while not over.wait(SWAP_SECONDS):
        for model in ("propensity", "uplift", "clv"):
            versions = [one.version for one in tracker.versions(model)]
            tracker.move_alias(model, "champion", versions[seen.swaps % len(versions)])
        seen.swaps += 1


def _disturb(redis: Redis, over: threading.Event, seen: Seen, seconds: float) -> None:
    """Redis is killed after a third and after two thirds of the time, and started again five seconds later."""
    for _ in range(2):
        if over.wait(seconds / 3):
            return
        redis.kill()
        seen.kills += 1
        time.sleep(5.0)
        redis.start()


def _watch(pid: int, over: threading.Event, seen: Seen) -> None:
    while not over.wait(5.0):
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        seen.memory_mb.append(next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024)


def figures(seen: Seen, exceeded: int, missing: int, minutes: float) -> list[Figure]:
    """What was promised, and how long answers took before and under it all."""
    stream = seen.stream
    quarter = max(1, len(seen.memory_mb) // 4)
    early, late = (sum(part) / len(part) for part in (seen.memory_mb[quarter : 2 * quarter], seen.memory_mb[-quarter:]))
    rps = sum(one.rps() for one in seen.segments) / len(seen.segments)
    answers = {
        status: sum(one.statuses.get(status, 0) for one in seen.segments) for status in {s for one in seen.segments for s in one.statuses}
    }
    return [
        Figure("endurance.minutes under load", minutes, "minutes"),
        Figure("endurance.decisions", rps, "requests/s", "capacity", seen.capacity.rps),
        Figure("endurance.decisions asked for", sum(one.asked for one in seen.segments), "requests"),
        Figure("endurance.decisions refused with 429", answers.get(429, 0), "requests"),
        Figure("endurance.decisions answered 5xx", sum(many for status, many in answers.items() if status >= 500), "requests", goal="<= 0"),
        Figure("endurance.decisions without an answer", answers.get(0, 0), "requests", goal="<= 0"),
        Figure("endurance.answers of 5xx to events and outcomes", stream.failed, "requests", goal="<= 0"),
        Figure("endurance.outcomes acknowledged", len(stream.acknowledged), "outcomes"),
        Figure("endurance.acknowledged outcomes that are lost", missing, "outcomes", goal="<= 0"),
        Figure("endurance.events acknowledged", stream.events, "events"),
        Figure("endurance.caps exceeded", exceeded, "contacts x caps", goal="<= 0"),
        Figure("endurance.swaps of all models", seen.swaps, "swaps"),
        Figure("endurance.kills of Redis", seen.kills, "kills"),
        Figure("endurance.memory, last quarter", late, "MB", "second quarter", early, "<= 1.05 x"),
        *_latencies("before", [seen.before]),
        *_latencies("during", seen.segments),
        Figure("endurance.p99 during, worst segment", max(one.latency_ms(0.99) for one in seen.segments), "ms"),
        *_latencies("after", seen.after),
    ]


def _latencies(when: str, runs: Sequence[Open]) -> list[Figure]:
    """Of the answers 200, the mean over the runs."""
    return [
        Figure(f"endurance.p{share:.0f} {when}", sum(one.latency_ms(share / 100) for one in runs) / len(runs), "ms") for share in (50, 99)
    ]
