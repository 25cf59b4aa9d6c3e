"""Asks a server at the times of a schedule, whatever it does: reads a job as JSON on stdin, writes what it saw on stdout.

`python -m benchmarks.open_loop`; see `http_load.open_load`. A request is sent on a connection that is free, else on a new one. Latency
counts from the time on the schedule, so what the loop itself could not send in time counts too. Status 0 is no answer at all.

It shares the machine with the server, so it does as little as it can: no task and no stream a request, what comes is looked at once.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from contextlib import suppress
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

MOST_CONNECTIONS = 4_000
ANSWERS_WITHIN_SECONDS = 15.0
_LENGTH = b"\r\ncontent-length: "
_END = b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection, which carries one request at a time."""

    def __init__(self, loop: OpenLoop) -> None:
        self._loop = loop
        self._transport: Any = None
        self._asked: tuple[bytes, float] | None = None
        self._used = False
        self._came = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        self._transport = transport

    def ask(self, request: bytes, due: float) -> None:
        """Send a request; its answer is noted when it is there."""
        self._asked = request, due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Note the answer once all of it has come."""
        came = self._came + data if self._came else data
        end = came.find(_END)
        if end < 0 or self._asked is None or len(came) < end + len(_END) + _length(came[:end].lower()):
            self._came = came
            return
        (_, due), self._asked, self._came, self._used = self._asked, None, b"", True
        self._loop.answered(int(came[9:12]), due)
        self._loop.free.append(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Ask again elsewhere where the server had closed a kept connection before it saw the request, as every HTTP client does."""
        if self in self._loop.free:
            self._loop.free.remove(self)
        self._loop.connections -= 1
        if self._asked is not None:
            request, due = self._asked
            if self._used and not self._came:
                self._loop.ask(request, due)
            else:
                self._loop.answered(0, due)


class OpenLoop:
    """One run: `rps` requests a second for `seconds`."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._host, self._port = urlsplit(job["address"]).hostname, urlsplit(job["address"]).port
        head = f"POST {job['path']} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
        bodies = [body.encode() for body in job["bodies"]]
        self._requests = [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]
        self._rps, self._seconds = float(job["rps"]), float(job["seconds"])
        self._open: set[float] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self.free: list[Connection] = []
        self.connections = 0
        self.latencies_ms: dict[int, list[float]] = defaultdict(list)

    async def run(self) -> dict[str, Any]:
        """Ask, wait for the answers, say what was seen."""
        count = int(self._rps * self._seconds)
        begun = perf_counter() + 0.05
        for number in range(count):
            due = begun + number / self._rps
            wait = due - perf_counter()
            if wait > 0 or not number % 16:
                await asyncio.sleep(max(0.0, wait))
            self._open.add(due)
            self.ask(self._requests[number % len(self._requests)], due)
        last = perf_counter() + ANSWERS_WITHIN_SECONDS
        while self._open and perf_counter() < last:
            await asyncio.sleep(0.01)
        self.latencies_ms[0] += [ANSWERS_WITHIN_SECONDS * 1e3] * len(self._open)
        return {"asked": count, "latencies_ms": self.latencies_ms}

    def ask(self, request: bytes, due: float) -> None:
        """Send it on a free connection, or on a new one."""
        if self.free:
            self.free.pop().ask(request, due)
        elif self.connections < MOST_CONNECTIONS:
            self.connections += 1
            task = asyncio.get_running_loop().create_task(self._connect(request, due))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        else:
            self.answered(0, due)

    async def _connect(self, request: bytes, due: float) -> None:
        try:
            _, made = await asyncio.get_running_loop().create_connection(lambda: Connection(self), self._host, self._port)
        except OSError:
            self.connections -= 1
            self.answered(0, due)
        else:
            made.ask(request, due)

    def answered(self, status: int, due: float) -> None:
        """Note an answer; one that comes after the run was over is none."""
        if due in self._open:
            self._open.discard(due)
            self.latencies_ms[status].append((perf_counter() - due) * 1e3)


def _length(head: bytes) -> int:
    """The length of a body, from the head of its answer in small letters."""
    begin = head.find(_LENGTH) + len(_LENGTH)
    with suppress(ValueError):
        return int(head[begin:].split(b"\r\n", 1)[0])
    raise ValueError(f"an answer without a length: {head!r}")


if __name__ == "__main__":
    import uvloop

    print(json.dumps(uvloop.run(OpenLoop(json.load(sys.stdin)).run())))
