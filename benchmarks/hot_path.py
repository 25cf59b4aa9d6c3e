"""Where a decision's CPU goes: the world of `http`, sixteen requests at a time as a busy server takes them.

Deciding is timed without HTTP: each stage by the CPU clock of its thread, less what is timed within it. What HTTP adds is the CPU of the
event loop's thread in a server of its own under sixteen clients, beside that of all its others; left out where there is no `wrk`.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.http import bodies, serving
from benchmarks.http_load import load, seconds_by_thread
from benchmarks.http_world import prepare, service_of
from benchmarks.results import Figure
from ledger.store import Ledger
from ledger.transactions import Transaction
from serving.realtime import choosing, deciding
from serving.schemas import hot_requests
from serving.service import Service

AT_ONCE, DECISIONS, REPEATS = 16, 800, 5

STAGES: dict[str, tuple[Any, str]] = {
    "reading the past, consents and meters": (Ledger, "standing"),
    "gathering what is known of each contact": (deciding, "gather_many"),
    "placements, conditions, consents and policies": (choosing, "open_one"),
    "scoring": (choosing, "_score"),
    "worth and ranking": (choosing, "_chosen"),
    "the answer and its reasons": (deciding, "response_body"),
    "the record for audit and replay": (deciding, "decision_record"),
    "keeping it in the ledger": (Ledger, "record_decisions"),
    "the commit": (Transaction, "_commit"),
}
"""What is counted to each stage: where its function is looked up, and its name."""

HTTP = "HTTP and JSON: the event loop"
REST = "the rest"


def measure() -> Sequence[Figure]:
    """CPU a decision, alone, in batches and over HTTP, and the share of each stage."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        loop, others = _over_http(folder) if shutil.which("wrk") else (0.0, 1.0)
        service = service_of(folder)
        asked = [body.encode() for body in bodies()[:DECISIONS]]
        try:
            decide_all(service, asked[:160], AT_ONCE)
            batched = min(_cpu_us(service, asked, AT_ONCE) for _ in range(REPEATS))
            alone = min(_cpu_us(service, asked, 1) for _ in range(REPEATS))
            shares = stage_shares(service, asked)
        finally:
            service.close()
    http = loop / (loop + others)
    figures = [
        Figure("hot_path.CPU a decision, 16 at once", batched, "us CPU"),
        Figure("hot_path.CPU a decision, alone", alone, "us CPU"),
    ]
    if http:
        figures += [
            Figure("hot_path.CPU a decision over HTTP, 16 clients", loop + others, "us CPU"),
            Figure(f"hot_path.{HTTP}", http, "share of a decision"),
        ]
    return [*figures, *(Figure(f"hot_path.{stage}", share * (1.0 - http), "share of a decision") for stage, share in shares.items())]


def _over_http(folder: Path) -> tuple[float, float]:
    """CPU microseconds a decision of the event loop's thread, and of all others."""
    with serving("app", folder) as server:
        before = seconds_by_thread(server.pid)
        run = load(server, clients=AT_ONCE)
        after = seconds_by_thread(server.pid)
    spent = {thread: seconds - before.get(thread, 0.0) for thread, seconds in after.items()}
    loop = spent.pop(server.pid) / run.requests * 1e6
    return loop, sum(spent.values()) / run.requests * 1e6


def decide_all(service: Service, asked: Sequence[bytes], at_once: int) -> None:
    """Decide on bodies, so many at a time."""
    for start in range(0, len(asked), at_once):
        service.decide_many([one for body in asked[start : start + at_once] for one in hot_requests.one_decision(body) or ()])


def _cpu_us(service: Service, asked: Sequence[bytes], at_once: int) -> float:
    before = time.process_time()
    decide_all(service, asked, at_once)
    return (time.process_time() - before) / len(asked) * 1e6


class Watch:
    """The CPU seconds of functions by stage, each without those of the stages that it calls."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._within = [0.0]

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time counted to a stage."""

        def run(*given: Any, **named: Any) -> Any:
            self._within.append(0.0)
            begun = time.thread_time()
            try:
                return function(*given, **named)
            finally:
                took = time.thread_time() - begun
                self.seconds[stage] += took - self._within.pop()
                self._within[-1] += took

        return run


@contextmanager
def _watched(watch: Watch) -> Iterator[None]:
    patches = [mock.patch.object(place, name, watch.timed(stage, getattr(place, name))) for stage, (place, name) in STAGES.items()]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in patches:
            one.stop()


def stage_shares(service: Service, asked: Sequence[bytes]) -> dict[str, float]:
    """The share of each stage in deciding, and what is in none of them; they sum to 1."""
    watch = Watch()
    with _watched(watch):
        watch.timed(REST, decide_all)(service, asked, AT_ONCE)
    whole = sum(watch.seconds.values())
    return {stage: watch.seconds[stage] / whole for stage in (*STAGES, REST)}
