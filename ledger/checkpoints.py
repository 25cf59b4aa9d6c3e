"""SQLite's log brought home beside the writers: no decision waits for it.

What is committed stands in the log (`ledger.db-wal`) and has to be copied into the file one day. Left to itself SQLite does that inside the
commit that makes the log long: one commit in some fifty then takes several times as long as the others. Here a thread does it on a
connection of its own: it copies what it can while others write, and only where the log has grown long does it keep this process's writers
away for the little that is left, so that the log begins anew. Once nobody writes any more the log is cut to nothing.

The log stays bounded without the thread too: a commit that finds it longer than `NET_PAGES` copies it itself.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from typing import Any

LOG = logging.getLogger(__name__)

NET_PAGES = 16_384
"""Pages of 4 kB (64 MB) in the log beyond which a commit copies them itself."""

_LONG_PAGES = 4_096
_WORTH_BYTES = 2_000_000
_SECONDS_BETWEEN = 0.5
_SECONDS_UNTIL_IDLE = 5.0


class Checkpoints:
    """Copies the log of one SQLite file from time to time, from the first `written` until `close`.

    Parameters
    ----------
    path : str
        The database file.
    connect : callable
        A connection of the thread's own, which waits for nobody.
    queue : lock
        Held by this process's writers while they write.
    """

    def __init__(self, path: str, connect: Callable[[], sqlite3.Connection], queue: AbstractContextManager[Any]) -> None:
        self._log = f"{path}-wal"
        self._connect = connect
        self._queue = queue
        self._due = threading.Event()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def written(self) -> None:
        """Something was committed."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="nudge-checkpoints", daemon=True)
            self._thread.start()
        self._due.set()

    def close(self) -> None:
        """Stop; a log that is being copied is copied to its end first."""
        self._over.set()
        self._due.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        """Wait until something is written, copy it a moment later; a while after the last of it, cut the log."""
        idle = True
        while not self._over.is_set():
            if self._due.wait(None if idle else _SECONDS_UNTIL_IDLE):
                self._over.wait(_SECONDS_BETWEEN)
                self._due.clear()
                idle = False
                self._quietly(self._copy)
            else:
                idle = True
                self._quietly(self._cut)

    def _quietly(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Do it unless the log is short; what fails is tried again after the next commit."""
        try:
            if not self._over.is_set() and os.stat(self._log).st_size >= _WORTH_BYTES:
                with closing(self._connect()) as conn:
                    work(conn)
        except (sqlite3.Error, OSError) as error:
            LOG.debug("the ledger's log could not be copied now", exc_info=error)

    def _copy(self, conn: sqlite3.Connection) -> None:
        """Copy beside the writers; of a long log the rest without them, so that the next of them begins it anew."""
        _, pages, _ = conn.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if pages >= _LONG_PAGES:
            conn.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            with self._queue:
                conn.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()

    def _cut(self, conn: sqlite3.Connection) -> None:
        with self._queue:
            conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
