"""Asks a server at the times of a schedule, whatever it does: reads a job as JSON on stdin, writes what it saw on stdout.

`python -m benchmarks.open_loop`; see `http_load.open_load`. A request is sent on a connection that is free, else on a new one. Latency
counts from the time on the schedule, so what the loop itself could not send in time counts too. Status 0 is no answer at all.
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


class OpenLoop:
    """One run: `rps` requests a second for `seconds`."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._host, self._port = urlsplit(job["address"]).hostname, urlsplit(job["address"]).port
        head = f"POST {job['path']} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
        bodies = [body.encode() for body in job["bodies"]]
        self._requests = [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]
        self._rps, self._seconds = float(job["rps"]), float(job["seconds"])
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._open = 0
        self.latencies_ms: dict[int, list[float]] = defaultdict(list)

    async def run(self) -> dict[str, Any]:
        """Ask, wait for the answers, say what was seen."""
        count = int(self._rps * self._seconds)
        begun = perf_counter() + 0.05
        tasks = []
        for number in range(count):
            due = begun + number / self._rps
            wait = due - perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            tasks.append(asyncio.create_task(self._ask(self._requests[number % len(self._requests)], due)))
        await asyncio.wait(tasks, timeout=ANSWERS_WITHIN_SECONDS)
        for task in tasks:
            if not task.done():
                task.cancel()
                self.latencies_ms[0].append(ANSWERS_WITHIN_SECONDS * 1e3)
        return {"asked": count, "latencies_ms": self.latencies_ms}

    async def _ask(self, request: bytes, due: float) -> None:
        try:
            status = await self._answered(request)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            status = 0
        self.latencies_ms[status].append((perf_counter() - due) * 1e3)

    async def _answered(self, request: bytes) -> int:
        """The status; once more where the server had closed a kept connection before it saw the request, as every HTTP client does."""
        while self._free:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                return await self._on(*self._free.pop(), request)
        if self._open < MOST_CONNECTIONS:
            self._open += 1
            return await self._on(*await asyncio.open_connection(self._host, self._port), request)
        return 0

    async def _on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
        await reader.readexactly(length)
        self._free.append((reader, writer))
        return int(head.split(b" ", 2)[1])


if __name__ == "__main__":
    import uvloop

    print(json.dumps(uvloop.run(OpenLoop(json.load(sys.stdin)).run())))
