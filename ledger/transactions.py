"""Transactions on connections that are kept open: taking one from the pool, and giving it back, costs more than a small transaction itself.

A few are enough, the others go back to the pool, and the one that was used last is used next: what it has read of a SQLite file is still
in its memory, as long as nobody else has written. One on which anything went wrong is never used again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

Translate = Callable[[BaseException], BaseException]
"""What to raise in the place of what the database raised."""

Begin = Callable[[Connection], Callable[[], object]]
"""Begins a transaction on a connection; returns what commits it."""


def begun(conn: Connection) -> Callable[[], object]:
    """Begin as SQLAlchemy does."""
    return conn.begin().commit


class Kept:
    """Connections between their transactions; threads may share it.

    Parameters
    ----------
    connect : callable
        A new connection.
    most : int
        How many are kept at most: 0 where the pool has to look at each before it is used again.
    """

    def __init__(self, connect: Callable[[], Connection], most: int) -> None:
        self._connect = connect
        self._most = most
        self._free: list[Connection] = []

    def take(self) -> Connection:
        """A connection that is the caller's until it gives it back or closes it."""
        try:
            return self._free.pop()
        except IndexError:
            return self._connect()

    def give_back(self, conn: Connection) -> None:
        """A connection whose transaction has ended well."""
        if len(self._free) < self._most:
            self._free.append(conn)
        else:
            conn.close()

    def close(self) -> None:
        """Close those that are free, and from now on those that are given back."""
        self._most = 0
        while self._free:
            self._free.pop().close()


class Transaction(AbstractContextManager[Connection]):
    """One transaction: committed when its block ends, rolled back when it raises.

    Parameters
    ----------
    kept : Kept
    begin : callable
        What begins it and returns what commits it.
    queue : context manager
        Held from before it begins until it has ended.
    translate : callable
        What to raise for what the database raises.
    done : callable, optional
        Called when it is committed.
    """

    __slots__ = ("_begin", "_conn", "_done", "_end", "_kept", "_queue", "_translate")

    _conn: Connection
    _end: Callable[[], object]

    def __init__(
        self, kept: Kept, begin: Begin, queue: AbstractContextManager[Any], translate: Translate, done: Callable[[], None] | None = None
    ) -> None:
        self._kept = kept
        self._begin = begin
        self._queue = queue
        self._translate = translate
        self._done = done

    def __enter__(self) -> Connection:
        self._queue.__enter__()
        try:
            self._conn = self._kept.take()
            try:
                self._end = self._begin(self._conn)
            except BaseException:
                self._conn.close()
                raise
        except BaseException as error:
            self._queue.__exit__(None, None, None)
            self._say(error)
            raise
        return self._conn

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if error is not None:
                with suppress(SQLAlchemyError):  # a server that has gone away has rolled back by itself; what is said is what went wrong
                    self._conn.close()
                self._say(error)
                return
            self._commit()
        finally:
            self._queue.__exit__(None, None, None)
        if self._done is not None:
            self._done()

    def _commit(self) -> None:
        try:
            self._end()
        except BaseException as error:
            self._conn.close()
            self._say(error)
            raise
        self._kept.give_back(self._conn)

    def _say(self, error: BaseException) -> None:
        """Raise it in other words, where there are any."""
        said = self._translate(error)
        if said is not error:
            raise said from error
