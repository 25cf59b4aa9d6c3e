"""While a batch is decided the event loop stands back: what comes meanwhile is read in one go.

A process runs Python in one thread at a time. A request that is read while others are decided takes the interpreter from the thread that
decides, which takes it back, dozens of times in a batch, and gains nothing by it: it waits for that batch anyway. So whoever was read is
followed by a rest: the loop waits, without the interpreter, until the batch is over.

It does not rest where somebody needs several rounds of the loop: while connections are made, of which uvloop takes one a round, or while
the framework answers anybody.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

LONGEST_SECONDS = 0.03
"""Of one rest: a full batch takes some twenty milliseconds, and where one takes long whoever is to be refused waits no longer than this."""

_ROUNDS = 2
"""Of the event loop, after which what had come is known: a connection is taken, then its protocol hears of it; a request is read, then its
task runs."""


@dataclass
class Lull:
    """When the loop rests. `begins` and `ends` are the deciding thread's to call; the rest is the loop's own."""

    _over: threading.Event = field(init=False, default_factory=threading.Event)
    _planned: bool = field(init=False, default=False)
    _connections: int = field(init=False, default=0)
    _others: int = field(init=False, default=0)
    _rested_since: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._over.set()

    def begins(self) -> None:
        """A batch is decided from now on."""
        self._over.clear()

    def ends(self) -> None:
        """It is over: its answers are to be written."""
        self._over.set()

    def rest(self, loop: asyncio.AbstractEventLoop) -> None:
        """After the next rounds of the loop, until the batch in hand is over, if there is one."""
        if not self._planned and not self._over.is_set():
            self._planned = True
            loop.call_soon(self._rest, loop, self._connections, _ROUNDS - 1)

    def somebody_new(self) -> None:
        """A connection was made, and more may wait to be."""
        self._connections += 1

    @contextmanager
    def awake(self) -> Iterator[None]:
        """No rest meanwhile."""
        self._others += 1
        try:
            yield
        finally:
            self._others -= 1

    def came(self) -> float:
        """Since when whoever asks now may have waited, by `perf_counter`: since the loop's rest began, if it has just had one."""
        return perf_counter() if self._rested_since is None else self._rested_since

    def _rest(self, loop: asyncio.AbstractEventLoop, connections: int, rounds: int) -> None:
        if connections != self._connections:
            loop.call_soon(self._rest, loop, self._connections, _ROUNDS - 1)
            return
        if rounds:
            loop.call_soon(self._rest, loop, connections, rounds - 1)
            return
        self._planned = False
        if not self._others and not self._over.is_set():
            self._rested_since = perf_counter()
            self._over.wait(LONGEST_SECONDS)
            loop.call_soon(self._rise, loop, self._rested_since, _ROUNDS - 1)

    def _rise(self, loop: asyncio.AbstractEventLoop, since: float, rounds: int) -> None:
        if rounds:
            loop.call_soon(self._rise, loop, since, rounds - 1)
        elif self._rested_since == since:  # no other rest has begun meanwhile
            self._rested_since = None
