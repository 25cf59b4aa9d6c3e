"""Load on a server over HTTP, and what it costs the server: closed loops by `wrk` (Debian: `apt-get install wrk`), open ones by `OpenLoop`.

A closed loop asks again when it was answered: it finds a server's capacity. An open loop asks at the times of a schedule whatever the
server does, and latency counts from the schedule: that is what callers live through.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.commands import ROOT

_TICKS = os.sysconf("SC_CLK_TCK")
_DONE = """
done = function(summary, latency, requests)
  io.write(string.format("RESULT {\\"requests\\": %d, \\"us\\": %d, \\"p50\\": %d, \\"p99\\": %d, \\"status\\": %d, \\"broken\\": %d}\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""  # noqa: E501 - Lua, a line a statement


@dataclass(frozen=True)
class Requests:
    """What is asked, in turn: bodies that are posted as JSON to a path."""

    path: str
    bodies: Sequence[str]

    def lua(self, delay_ms: int) -> str:
        """The script for wrk; `delay_ms` is what a connection waits before it asks again, more or less by half."""
        bodies = ",\n".join(f"[==[{body}]==]" for body in self.bodies)
        wait = f"delay = function() return math.random({delay_ms // 2}, {delay_ms * 3 // 2}) end\n" if delay_ms else ""
        return (
            f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nlocal bodies = {{{bodies}}}\n'
            f"math.randomseed({time.time_ns() % 1_000_003})\nlocal turn = math.random(#bodies)\n"
            f"request = function()\n  turn = turn % #bodies + 1\n"
            f'  return wrk.format(nil, "{self.path}", nil, bodies[turn])\nend\n{wait}{_DONE}'
        )


def posting(path: str, bodies: Sequence[str]) -> Requests:
    """Bodies in turn."""
    return Requests(path, bodies)


@dataclass(frozen=True)
class Server:
    """A server under load: where it answers, its process, and what it is asked."""

    address: str
    pid: int
    requests: Requests


@dataclass(frozen=True)
class Run:
    """What one load saw: how many requests were answered 2xx, those a second, CPU microseconds each, milliseconds of latency of all
    answers, and how many requests were refused, or not answered at all."""

    requests: int
    rps: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    refused: int
    broken: int


@contextmanager
def started(command: Sequence[str], requests: Requests, environment: Mapping[str, str]) -> Iterator[Server]:
    """A server process on a free port (`--port` is added), warm."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    own = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    with subprocess.Popen([*command, "--port", str(port)], cwd=ROOT, env=own, start_new_session=True) as process:
        server = Server(f"http://127.0.0.1:{port}", process.pid, requests)
        try:
            _await(server, process)
            load(server, clients=16, seconds=2)
            yield server
        finally:
            with suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(process.pid, signal.SIGTERM)


def _await(server: Server, process: subprocess.Popen[bytes]) -> None:
    body = server.requests.bodies[0].encode()
    request = urllib.request.Request(server.address + server.requests.path, body, {"Content-Type": "application/json"})
    for _ in range(3_000):  # the first start after a change compiles
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            with urllib.request.urlopen(request, timeout=60):
                return
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"the server answers {error.code}: {error.read().decode(errors='replace')[:500]}") from None
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server never answered")


def need_wrk() -> None:
    """Raise a `RuntimeError` with the hint where there is no wrk."""
    if shutil.which("wrk") is None:
        raise RuntimeError("the load comes from wrk, which is not installed. Hint: apt-get install wrk")


def load(server: Server, *, clients: int, seconds: float = 8, delay_ms: int = 0) -> Run:
    """Keep the server busy with so many connections for so long; each waits `delay_ms` on average before it asks again."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(server.requests.lua(delay_ms))
        script.flush()
        before = cpu_seconds(server.pid)
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:g}s", "--timeout", "30s", "-s", script.name, server.address]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        spent = cpu_seconds(server.pid) - before
    found = re.search(r"RESULT (.*)", done.stdout)
    assert found is not None, done.stdout
    seen = json.loads(found[1])
    answered = seen["requests"] - seen["status"]
    cpu_us = spent / max(answered, 1) * 1e6
    return Run(answered, answered / seen["us"] * 1e6, cpu_us, seen["p50"] / 1e3, seen["p99"] / 1e3, seen["status"], seen["broken"])


@dataclass(frozen=True)
class Open:
    """What an open loop saw of `asked` requests: how many answers of each status, the milliseconds from the schedule to each answer, and
    the CPU seconds that it took for itself."""

    asked: int
    seconds: float
    own_cpu_seconds: float
    statuses: Mapping[int, int]
    latencies_ms: Mapping[int, Sequence[float]]

    def latency_ms(self, share: float, status: int = 200) -> float:
        """That share of the answers of a status came within so long; NaN without any."""
        ordered = sorted(self.latencies_ms.get(status, ()))
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")

    def rps(self, status: int = 200) -> float:
        """Answers of a status a second."""
        return self.statuses.get(status, 0) / self.seconds


def open_load(server: Server, *, rps: float, seconds: float) -> Open:
    """Ask at a constant rate for so long, in a process of its own."""
    job = {"address": server.address, "path": server.requests.path, "bodies": list(server.requests.bodies), "rps": rps, "seconds": seconds}
    command = [sys.executable, "-m", "benchmarks.open_loop"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, cwd=ROOT, check=False)
    try:
        seen = json.loads(done.stdout)
    except json.JSONDecodeError:
        seen = None
    if done.returncode or seen is None:
        said = f"it wrote {len(done.stdout)} characters, {done.stdout[:60]!r} first; its errors: {done.stderr.strip()[-2_000:] or 'none'}"
        raise RuntimeError(f"the load ended with {done.returncode}; {said}")
    latencies = {int(status): found for status, found in seen["latencies_ms"].items()}
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Open(seen["asked"], seconds, own, {status: len(found) for status, found in latencies.items()}, latencies)


def seconds_by_thread(pid: int) -> dict[int, float]:
    """User and system time of each thread of a process; the one that has the process's own number began it."""
    found: dict[int, float] = {}
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):  # it has ended meanwhile
            fields = (thread / "stat").read_text().rsplit(")", 1)[1].split()
            found[int(thread.name)] = (int(fields[11]) + int(fields[12])) / _TICKS
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its children."""
    try:
        children = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:  # it has ended meanwhile
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS + sum(cpu_seconds(child) for child in children)
