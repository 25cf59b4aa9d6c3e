"""Many small fits at once: one thread a core, each fit on one thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import TypeVar

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_shared: ContextVar[ThreadPoolExecutor | None] = ContextVar("shared pool of fits", default=None)


def fit_each(jobs: Mapping[Key, Callable[[], Value]], *, workers: int) -> dict[Key, Value]:
    """The result of every job, in the order of the jobs; the first error is raised.

    LightGBM and BLAS release Python's lock while they compute, so actions fit side by side. Inside, BLAS is held to one thread: on
    matrices of this size more threads wait for each other longer than they compute.

    Parameters
    ----------
    jobs : mapping of key to function without arguments
    workers : int
        Threads, for example the number of cores; within `run_stages` its pool is used instead.

    Examples
    --------
    >>> fit_each({"loan": lambda: 1 + 1, "card": lambda: 2 + 2}, workers=2)
    {'loan': 2, 'card': 4}
    """
    shared = _shared.get()
    if shared is not None:
        return _results(shared, jobs)
    with threadpool_limits(limits=1), ThreadPoolExecutor(max_workers=workers) as pool:
        return _results(pool, jobs)


def run_stages(stages: Mapping[Key, Callable[[], Value]], *, workers: int) -> dict[Key, Value]:
    """The result of every stage, in their order, while the fits of all stages share one pool: none waits for another's longest fit.

    Each stage runs on a thread of its own and mostly waits for its `fit_each`. A stage may have stages of its own, which share the pool. A
    job of `fit_each` may call `fit_each` itself: it gets a pool of its own, so it cannot wait for the workers that wait for it. Once an
    error or Ctrl-C leaves this function, the stages that still run end at their next fit.

    Parameters
    ----------
    stages : mapping of key to function without arguments
    workers : int
        Threads that fit; of stages within a stage, those of the outer ones.

    Examples
    --------
    >>> run_stages({"both": lambda: fit_each({1: lambda: "a", 2: lambda: "b"}, workers=2), "none": dict}, workers=2)
    {'both': {1: 'a', 2: 'b'}, 'none': {}}
    """
    with threadpool_limits(limits=1), ThreadPoolExecutor(max_workers=max(1, len(stages))) as threads, _sharing(workers):
        running = {key: threads.submit(copy_context().run, stage) for key, stage in stages.items()}
        return {key: future.result() for key, future in running.items()}


@contextmanager
def _sharing(workers: int) -> Iterator[None]:
    if _shared.get() is not None:
        yield
        return
    pool = ThreadPoolExecutor(max_workers=workers)
    before = _shared.set(pool)
    try:
        yield
    finally:
        _shared.reset(before)
        pool.shutdown(cancel_futures=True)


def _results(pool: ThreadPoolExecutor, jobs: Mapping[Key, Callable[[], Value]]) -> dict[Key, Value]:
    running = {key: pool.submit(job) for key, job in jobs.items()}
    return {key: future.result() for key, future in running.items()}
