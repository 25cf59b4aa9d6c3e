"""What training has read and worked with goes back to the system while it goes on."""

from __future__ import annotations

import ctypes
import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

EVERY_S = 1.0
"""A fit of many rows works for some seconds on some hundred megabytes of its own."""


def give_back() -> None:
    """What rows were read by is as large as they are: Feast leaves it in circles of references, Arrow and DuckDB keep what they freed."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    duckdb.connect().close()  # whatever database is closed, DuckDB then lets go what all of them have freed
    _trim()


@contextmanager
def giving_back() -> Iterator[None]:
    """Meanwhile the C library gives back what was freed, every second.

    It keeps the holes between what several threads hold until it is asked.
    """
    done = threading.Event()

    def ask_again() -> None:
        while not done.wait(EVERY_S):
            _trim()

    asking = threading.Thread(target=ask_again, name="giving memory back", daemon=True)
    asking.start()
    try:
        yield
    finally:
        done.set()
        asking.join()


def _trim() -> None:
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's own
    if trim is not None:
        trim(0)
