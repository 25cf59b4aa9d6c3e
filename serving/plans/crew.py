"""Work that falls into parts, done by several processes: the interpreter runs one thread at a time, and a plan has more than one core.

What is done, and in which order its results come, does not depend on how many do it.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, TypeVar

from decisioning.errors import Unavailable

LOG = logging.getLogger(__name__)
_Part = TypeVar("_Part")
_Done = TypeVar("_Done")

MOST_WORKERS = 4
"""More than four cannot be fed: what they make is written by one."""


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Crew(AbstractContextManager["Crew"]):
    """Processes that work for this one until its block ends; with one worker everything is done here.

    They begin anew instead of as copies of this process, which may hold threads and locks that a copy would wait for in vain. However this
    process ends, they end.

    Parameters
    ----------
    workers : int
    """

    def __init__(self, workers: int = 1) -> None:
        self._workers = max(1, min(workers, MOST_WORKERS))
        self._pool: ProcessPoolExecutor | None = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def begin(self, work: Callable[[_Part], _Done], part: _Part) -> None:
        """Have the processes started, by a little work each, before they are needed: it takes a while, and memory for a moment.

        Where they cannot be started this process works alone.
        """
        pool = self._started()
        if pool is None:
            return
        try:
            for _ in range(self._workers):
                pool.submit(work, part)
        except (OSError, BrokenProcessPool) as error:
            LOG.warning("no processes can help to make the plan: %s", error)
            self.__exit__(None, None, None)
            self._workers = 1

    def in_order(self, work: Callable[[_Part], _Done], parts: Iterable[_Part]) -> Iterator[_Done]:
        """What `work` makes of each part, in their order; a few parts are under way at a time, whatever their number.

        Both must be values that can be sent to another process.

        Raises
        ------
        Unavailable
            A process was ended from outside.
        """
        pool = self._started()
        if pool is None:
            yield from map(work, parts)
            return
        try:
            yield from _ahead(pool, work, parts, self._workers)
        except BrokenProcessPool:
            hint = "was memory short? a plan made by one worker takes less"
            raise Unavailable("a process that helped to make the plan was ended", hint=hint) from None

    def by_threads(self, work: Callable[[_Part], _Done], parts: Iterable[_Part], /) -> Iterator[_Done]:
        """The same with threads, for work that leaves the interpreter to others most of the time: nothing has to be sent."""
        if self._workers == 1:
            yield from map(work, parts)
            return
        with ThreadPoolExecutor(self._workers) as pool:
            yield from _ahead(pool, work, parts, self._workers - 1)

    def _started(self) -> ProcessPoolExecutor | None:
        """None where this process works alone: as it was asked to, or because the system lets processes share no locks."""
        if self._pool is None and self._workers > 1:
            try:
                self._pool = ProcessPoolExecutor(self._workers, multiprocessing.get_context("spawn"), initializer=_begin)
            except (OSError, ImportError, NotImplementedError) as error:
                LOG.warning("no processes can help to make the plan: %s", error)
        return self._pool


ALONE = Crew()
"""Nobody but this process."""


def _ahead(pool: Executor, work: Callable[[_Part], _Done], parts: Iterable[_Part], waiting: int) -> Iterator[_Done]:
    """Results in order; beside the one that is waited for, so many parts are under way."""
    under_way = deque[Future[_Done]]()
    for part in parts:
        under_way.append(pool.submit(work, part))
        if len(under_way) > waiting:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


def _begin() -> None:
    """Leave an interruption to the process that is worked for, and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)
