"""Decisions over HTTP beside a bare ASGI echo and two peers in the same run: requests a second, CPU a request, how evenly, and overloaded.

Capacity comes from closed loops (`wrk`, Debian: `apt-get install wrk`); latency against load, and what three times the capacity does, from
open ones. CPU is that of the server's processes, from /proc. The picture is `docs/img/latency_against_load.svg`.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import http_peers
from benchmarks.commands import ROOT
from benchmarks.http_load import Open, Run, Server, load, need_wrk, open_load, posting, started
from benchmarks.http_world import CONTACTS, FOLDER, LEDGER, fill_ledger, prepare
from benchmarks.results import Figure
from tests import postgres

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9, 1.1, 1.5, 3.0)
"""Offered load as shares of the capacity."""

OVERLOAD = 3.0
PICTURE = ROOT / "docs" / "img" / "latency_against_load.svg"
_OPEN_SECONDS = 6


def measure() -> Sequence[Figure]:
    """Echo, peers, one worker, two workers, latency against load, overload."""
    need_wrk()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        http_peers.prepare(folder)
        os.sync()  # what preparing has written is not the server's to wait for
        with serving("echo", folder) as server:
            echo = load(server, clients=16)
        with http_peers.tutorial(folder) as server:
            tutorial = load(server, clients=16)
        with http_peers.mlflow_serve(folder) as server:
            mlflow = load(server, clients=16)
        with serving("app", folder) as server:
            one = load(server, clients=16)
            alone = load(server, clients=1)
            loads = [open_load(server, rps=share * one.rps, seconds=_OPEN_SECONDS) for share in SHARES]
        with serving("app", folder, workers=2) as server:
            two = load(server, clients=64)
        on_postgresql = _on_postgresql(folder)
    _draw(loads, one.rps)
    return [*_capacity(echo, one, alone, two), *_peers(one, tutorial, mlflow), *_overload(loads, one), *on_postgresql]


def _on_postgresql(folder: Path) -> list[Figure]:
    """The same with the ledger in a PostgreSQL of this machine, which waits for its disk as SQLite does."""
    programs = postgres.binaries()
    if programs is None:
        print("http: no PostgreSQL on this machine, so no figures of a ledger there", file=sys.stderr)
        return []
    with postgres.server(programs, durable=True) as url:
        fill_ledger(url)
        with serving("app", folder, ledger=url) as server:
            one = load(server, clients=16)
        with serving("app", folder, workers=2, ledger=url) as server:
            two = load(server, clients=64)
    return [
        Figure("http.decisions on PostgreSQL, 1 worker, 16 clients", one.rps, "requests/s"),
        Figure("http.decisions on PostgreSQL, 2 workers, 64 clients", two.rps, "requests/s", "1 worker, 16 clients", one.rps),
        Figure("http.p99 on PostgreSQL, 2 workers, 64 clients", two.p99_ms, "ms"),
        Figure("http.failed on PostgreSQL, 2 workers, 64 clients", two.refused + two.broken, "requests", goal="<= 0"),
    ]


def _capacity(echo: Run, one: Run, alone: Run, two: Run) -> list[Figure]:
    peer = "bare ASGI echo"
    return [
        Figure("http.decisions, 1 worker, 16 clients", one.rps, "requests/s", peer, echo.rps, ">= 0.2 x"),
        Figure("http.CPU a decision", one.cpu_us, "us CPU", peer, echo.cpu_us, "<= 8 x"),
        Figure("http.p99, 16 clients", one.p99_ms, "ms", "p50", one.p50_ms, "<= 5 x"),
        Figure("http.failed, 1 worker, 16 clients", one.refused + one.broken, "requests", goal="<= 0"),
        Figure("http.one client alone", alone.p50_ms, "ms p50"),
        Figure("http.decisions, 2 workers, 64 clients", two.rps, "requests/s", "1 worker, 16 clients", one.rps, ">= 1.6 x"),
        Figure("http.p99, 2 workers, 64 clients", two.p99_ms, "ms", goal="<= 50"),
        Figure("http.failed, 2 workers, 64 clients", two.refused + two.broken, "requests", goal="<= 0"),
    ]


def _peers(one: Run, tutorial: Run, mlflow: Run) -> list[Figure]:
    name = "the tutorial's service: Feast SDK, one DataFrame of all candidates"
    return [
        Figure("http.decisions beside the tutorial", one.rps, "requests/s", name, tutorial.rps, ">= 50 x"),
        Figure("http.CPU a decision beside the tutorial", one.cpu_us, "us CPU", name, tutorial.cpu_us),
        Figure("http.decisions beside MLflow", one.rps, "requests/s", "mlflow models serve, the propensities alone", mlflow.rps, ">= 10 x"),
        Figure("http.CPU a decision beside MLflow", one.cpu_us, "us CPU", "mlflow models serve, the propensities alone", mlflow.cpu_us),
    ]


def _overload(loads: Sequence[Open], one: Run) -> list[Figure]:
    flood = loads[SHARES.index(OVERLOAD)]
    calm = loads[SHARES.index(0.7)]
    refused = flood.statuses.get(429, 0) + flood.statuses.get(503, 0)
    shed = flood.latency_ms(0.5, 429)
    lost = sum(sum(count for status, count in one_load.statuses.items() if status not in (200, 429, 503)) for one_load in loads)
    return [
        Figure("http.70 % of capacity, p50", calm.latency_ms(0.5), "ms"),
        Figure("http.70 % of capacity, p99", calm.latency_ms(0.99), "ms"),
        Figure("http.3 x capacity, decided", flood.rps(200), "requests/s", "capacity", one.rps, ">= 0.8 x"),
        Figure("http.3 x capacity, refused with 429", refused / flood.seconds, "requests/s"),
        Figure("http.3 x capacity, a refusal, p50", shed if math.isfinite(shed) else 0.0, "ms", goal="<= 100"),
        Figure("http.3 x capacity, a decision, p99", flood.latency_ms(0.99), "ms"),
        Figure("http.3 x capacity, what the load itself takes", flood.own_cpu_seconds / flood.seconds, "of a core"),
        Figure("http.neither decided nor refused, any load", lost, "requests", goal="<= 0"),
    ]


@contextmanager
def serving(what: str, folder: Path, *, workers: int = 1, ledger: str = "") -> Iterator[Server]:
    """A server of `http_world` on a free port, warm; `ledger` is the URL of another than the folder's."""
    command = [sys.executable, "-m", "benchmarks.http_world", what, "--workers", str(workers)]
    with started(command, posting("/v1/decisions", bodies()), {FOLDER: str(folder), LEDGER: ledger}) as server:
        yield server


def bodies() -> list[str]:
    """Half of the requests ask what to show on the site, half what to send by e-mail."""
    web = (
        '{{"contact_id": "c-{}", "channel": "web", "placements": ["hero"], "limit": 3, "context": {{"intent": "borrow", "device": "app"}}}}'
    )
    email = '{{"contact_id": "c-{}", "channel": "email", "context": {{"intent": "borrow"}}}}'
    return [(web if i % 2 else email).format(i) for i in (7 * turn % CONTACTS for turn in range(2_000))]


def _draw(loads: Sequence[Open], capacity: float) -> None:
    from matplotlib.figure import Figure as Picture

    picture = Picture(figsize=(8.0, 3.4), layout="constrained")
    latency, answered = picture.subplots(1, 2)
    shares = [100 * share for share in SHARES]
    for share, style, name in ((0.5, "o-", "p50"), (0.99, "s--", "p99")):
        latency.plot(shares, [one.latency_ms(share) for one in loads], style, label=f"decided, {name}", color="#2e6f9e", markersize=4)
    latency.plot(shares, [one.latency_ms(0.5, 429) for one in loads], "^:", label="refused (429), p50", color="#c0504d", markersize=4)
    latency.set_yscale("log")
    latency.set_ylabel("milliseconds from the schedule")
    answered.plot(shares, [100 * one.rps(200) / capacity for one in loads], "o-", label="decided", color="#2e6f9e", markersize=4)
    answered.plot(shares, [100 * one.rps(429) / capacity for one in loads], "^:", label="refused (429)", color="#c0504d", markersize=4)
    answered.set_ylabel("answers a second, % of capacity")
    for axes in (latency, answered):
        axes.set_xlabel("offered load, % of capacity")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#eeeeee")
        axes.legend(frameon=False)
    picture.savefig(PICTURE, metadata={"Date": None})
