"""Decisions over HTTP, beside a bare ASGI echo in the same run: requests a second, CPU a request, how evenly, and under a flood.

The load is `wrk` (Debian: `apt-get install wrk`). CPU is that of the server's processes, from /proc.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.commands import ROOT
from benchmarks.http_world import CONTACTS, FOLDER, prepare
from benchmarks.results import Figure

SECONDS = 8
_TICKS = os.sysconf("SC_CLK_TCK")
_LUA = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local turn = %d
request = function()
  turn = turn + 7
  local i = turn %% %d
  if i %% 2 == 1 then
    return wrk.format(nil, "/v1/decisions", nil, string.format('{"contact_id": "c-%%d", "channel": "web", "placements": ["hero"], "limit": 3, "context": {"intent": "borrow", "device": "mobile"}}', i))
  end
  return wrk.format(nil, "/v1/decisions", nil, string.format('{"contact_id": "c-%%d", "channel": "email", "context": {"intent": "borrow"}}', i))
end
done = function(summary, latency, requests)
  io.write(string.format("RESULT {\\"requests\\": %%d, \\"us\\": %%d, \\"p50\\": %%d, \\"p99\\": %%d, \\"status\\": %%d, \\"broken\\": %%d}\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""  # noqa: E501 - Lua, a line a statement


@dataclass(frozen=True)
class Run:
    """What one load saw: requests a second, CPU microseconds a request, milliseconds of latency, and how many were not answered 2xx."""

    rps: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    refused: int
    broken: int


def measure() -> Sequence[Figure]:
    """Echo, one worker, two workers, and overload."""
    if shutil.which("wrk") is None:
        raise RuntimeError("the load comes from wrk, which is not installed. Hint: apt-get install wrk")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        with serving("echo", folder) as address:
            echo = load(address, clients=16)
        with serving("app", folder) as address:
            one = load(address, clients=16)
            alone = load(address, clients=1)
            flood = load(address, clients=512)
        with serving("app", folder, workers=2) as address:
            two = load(address, clients=64)
    peer = "bare ASGI echo"
    return [
        Figure("http.decisions, 1 worker, 16 clients", one.rps, "requests/s", peer, echo.rps, ">= 0.2 x"),
        Figure("http.CPU a decision", one.cpu_us, "us CPU", peer, echo.cpu_us, "<= 8 x"),
        Figure("http.p99, 16 clients", one.p99_ms, "ms", "p50", one.p50_ms, "<= 5 x"),
        Figure("http.one client alone", alone.p50_ms, "ms p50"),
        Figure("http.decisions, 2 workers, 64 clients", two.rps, "requests/s", "1 worker, 16 clients", one.rps, ">= 1.6 x"),
        Figure("http.p99, 2 workers, 64 clients", two.p99_ms, "ms", goal="<= 50"),
        Figure("http.failed, 2 workers, 64 clients", two.refused + two.broken, "requests", goal="<= 0"),
        Figure("http.answered under 512 clients", flood.rps - flood.refused / SECONDS, "requests/s", "16 clients", one.rps, ">= 0.8 x"),
        Figure("http.p99, 512 clients", flood.p99_ms, "ms"),
        Figure("http.broken, 512 clients", flood.broken, "requests", goal="<= 0"),
    ]


@contextmanager
def serving(what: str, folder: Path, *, workers: int = 1) -> Iterator[tuple[str, int]]:
    """A server of `http_world` on a free port: its address and its process, warm."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    factory = ["--factory"] if what == "app" else []
    command = [sys.executable, "-m", "uvicorn", f"benchmarks.http_world:{what}", *factory, "--port", str(port), "--workers", str(workers)]
    command += ["--log-level", "warning", "--no-access-log", "--no-server-header"]
    environment = {**os.environ, FOLDER: str(folder), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True) as process:
        try:
            _await(port, process)
            load((f"http://127.0.0.1:{port}", process.pid), clients=16, seconds=2)
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            os.killpg(process.pid, signal.SIGTERM)


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    body = json.dumps({"contact_id": "c-1", "channel": "web"}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/decisions", body, {"Content-Type": "application/json"})
    for _ in range(3_000):  # the first start after a change compiles
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            with urllib.request.urlopen(request, timeout=60):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server never answered")


def load(server: tuple[str, int], *, clients: int, seconds: int = SECONDS) -> Run:
    """Keep the server busy with so many connections for so long."""
    address, pid = server
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_LUA % (time.time_ns() % CONTACTS, CONTACTS))
        script.flush()
        before = cpu_seconds(pid)
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", "-s", script.name, address]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        spent = cpu_seconds(pid) - before
    found = re.search(r"RESULT (.*)", done.stdout)
    assert found is not None, done.stdout
    seen = json.loads(found[1])
    rps = seen["requests"] / seen["us"] * 1e6
    return Run(rps, spent / seen["requests"] * 1e6, seen["p50"] / 1e3, seen["p99"] / 1e3, seen["status"], seen["broken"])


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its children."""
    children = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS + sum(cpu_seconds(child) for child in children)
