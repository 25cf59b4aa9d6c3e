"""A connection to Redis a thread: many commands in one round trip, a bounded wait, and what happens when the server goes away.

redis-py connects, authenticates and encrypts, hiredis packs and parses. Commands go to redis-py's connection directly: its own command
layer takes longer than the server does. Both come with the extra ``redis``.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from decisioning.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from redis import Connection

DEFAULT_ADDRESS = "localhost:6379"
WAIT_SECONDS = 0.25
"""How long an answer may take, and a connection; ``socket_timeout`` and ``socket_connect_timeout`` change it."""

AGAIN_AFTER_SECONDS = 0.25
"""After a server has not answered, everyone is refused at once for so long; then it is tried again."""

Command: TypeAlias = tuple[bytes, ...]
_Result = TypeVar("_Result")


def redis_settings(connection_string: str) -> dict[str, Any]:
    """Keyword arguments of redis-py's `Redis` from a URL (``redis://``, ``rediss://``, ``unix://``) or Feast's ``host:port,db=0,ssl=true``.

    Raises
    ------
    ConfigError
        Where it is neither.

    Examples
    --------
    >>> redis_settings("127.0.0.1:6379,db=2,password=x")["db"]
    2
    """
    waits = {"socket_timeout": WAIT_SECONDS, "socket_connect_timeout": WAIT_SECONDS}
    try:
        if "://" in connection_string:
            return waits | _of_url(connection_string)
        address, *pairs = connection_string.split(",")
        host, _, port = address.rpartition(":")
        settings = {key: _value(text) for key, text in (pair.split("=", 1) for pair in pairs)}
        return {**waits, "host": host or "localhost", "port": int(port), **settings}
    except ValueError as error:
        raise ConfigError(
            "not a Redis server",
            field="stores.online.connection_string",
            got=f"{type(error).__name__} reading it",  # never the text itself: it may hold a password
            allowed="redis://HOST:PORT/DB, rediss://..., or HOST:PORT,db=0,password=...",
        ) from error


def _of_url(url: str) -> dict[str, Any]:
    from redis.connection import SSLConnection, UnixDomainSocketConnection, parse_url

    settings = dict(parse_url(url))
    kind = settings.pop("connection_class", None)
    if kind is UnixDomainSocketConnection:
        settings["unix_socket_path"] = settings.pop("path")
    elif kind is SSLConnection:
        settings["ssl"] = True
    return settings


def _value(text: str) -> object:
    """Feast reads a value as JSON where it is JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


class Line:
    """An open connection: commands go out together, the answers come back in their order."""

    def __init__(self, connection: Any) -> None:
        from hiredis import pack_command

        self._connection: Connection = connection
        self._pack: Any = pack_command
        self.once = False
        """Whether what was sent must not be sent again."""

    def ask(self, *commands: Command) -> list[Any]:
        """The answers to commands, sent in one go."""
        connection = self._connection
        connection.send_packed_command([b"".join(map(self._pack, commands))])
        return [connection.read_response() for _ in commands]

    def close(self) -> None:
        """Forget the connection and what was asked over it."""
        self._connection.disconnect()


class RedisLines:
    """One line a thread to a Redis server.

    Parameters
    ----------
    connection_string : str
        As `redis_settings` takes it.

    Raises
    ------
    ConfigError, Unavailable
        Where it is not one; where redis-py or hiredis is not installed.
    """

    def __init__(self, connection_string: str) -> None:
        try:
            import hiredis  # noqa: F401
            from redis import Redis, exceptions
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError as error:
            raise Unavailable("the online store's client is not installed", got="redis", hint="pip install 'nudge-nba[redis]'") from error
        never = Retry(NoBackoff(), 0)  # redis-py would try for eight seconds, and the request with it
        self._pool = Redis(**redis_settings(connection_string), retry=never).connection_pool
        self._gone = (exceptions.ConnectionError, exceptions.TimeoutError, OSError)
        self._error = exceptions.RedisError
        self._late = exceptions.TimeoutError
        self.no_script = exceptions.NoScriptError
        """What is raised for a script that the server does not have."""
        self._local = threading.local()
        self._down_until = 0.0

    def run(self, work: Callable[[Line], _Result], *, doing: str) -> _Result:
        """What `work` makes over this thread's line; a line that has gone dead since it was last used is replaced once.

        Raises
        ------
        Unavailable
            Where the server does not answer, or refuses.
        """
        if time.monotonic() < self._down_until:
            raise self._unavailable(doing, "no answer a moment ago")
        while True:
            line: Line | None = getattr(self._local, "line", None)
            was_used = line is not None
            try:
                line = line or self._open()
                return work(line)
            except self._gone as error:
                self._drop(line)
                if was_used and line is not None and not line.once and not isinstance(error, self._late):
                    continue
                self._down_until = time.monotonic() + AGAIN_AFTER_SECONDS
                raise self._unavailable(doing, type(error).__name__) from error
            except self._error as error:
                self._drop(line)
                raise self._unavailable(doing, str(error)) from error
            except BaseException:
                self._drop(line)  # it may stand in the middle of a transaction
                raise

    def _open(self) -> Line:
        connection = self._pool.make_connection()
        connection.connect()
        line = self._local.line = Line(connection)
        return line

    def _drop(self, line: Line | None) -> None:
        self._local.line = None
        if line is not None:
            line.close()

    def _unavailable(self, doing: str, got: str) -> Unavailable:
        return Unavailable(f"the online store cannot be {doing}", field="stores.online", got=got, hint="is the Redis server running?")
