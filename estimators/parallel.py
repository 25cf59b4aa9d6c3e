"""Many small fits at once: one thread a core, each fit on one thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


def fit_each(jobs: Mapping[Key, Callable[[], Value]], *, workers: int) -> dict[Key, Value]:
    """The result of every job, in the order of the jobs; the first error is raised.

    LightGBM and BLAS release Python's lock while they compute, so actions fit side by side. Inside, BLAS is held to one thread: on
    matrices of this size more threads wait for each other longer than they compute.

    Parameters
    ----------
    jobs : mapping of key to function without arguments
    workers : int
        Threads, for example the number of cores.

    Examples
    --------
    >>> fit_each({"loan": lambda: 1 + 1, "card": lambda: 2 + 2}, workers=2)
    {'loan': 2, 'card': 4}
    """
    with threadpool_limits(limits=1), ThreadPoolExecutor(max_workers=workers) as pool:
        running = {key: pool.submit(job) for key, job in jobs.items()}
        return {key: future.result() for key, future in running.items()}
