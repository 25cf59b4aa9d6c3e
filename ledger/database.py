"""Engine and transactions: the one place where SQLite and PostgreSQL differ.

SQLite runs in WAL mode with synchronous=FULL, so a commit is on disk when it returns; a write begins with BEGIN IMMEDIATE, so two writers
queue instead of failing half-way. Within a process writers also queue on a lock: SQLite itself would make them sleep and poll. No commit
copies the log into the file: `checkpoints` does, beside them.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, partial
from typing import Any

from sqlalchemy import Connection, Engine, Insert, Table, create_engine, event, exc, insert, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import QueuePool

from decisioning.errors import ConfigError, Conflict, Unavailable
from ledger import schema
from ledger.checkpoints import NET_PAGES, Checkpoints
from ledger.transactions import Begin, Kept, Transaction, begun

BUSY_SECONDS = 15.0
"""How long a SQLite write waits for another process's write before the ledger counts as unavailable."""

_SECONDS_BETWEEN_TRIES = 0.0005

POOL_SIZE = 40
"""SQLite connections kept open at most: one for each thread of a server's thread pool."""

KEPT_OPEN = 8
"""SQLite connections kept ready; PostgreSQL's are looked at each time, since servers go away."""

_PATIENT = f"PRAGMA busy_timeout={round(BUSY_SECONDS * 1e3)}"

_COPIED_SECONDS = 5.0
"""How long somebody else's copying of the log is waited for, where it has to be cut: SQLite itself waits for readers and writers only."""

_NOBODY_WAITS: AbstractContextManager[Any] = nullcontext()
_HELD_THERE = "held_there"  # the name of a cursor that PostgreSQL keeps; one is open at a time in a transaction
_STRIPES = 64
_STRIPE_SPACE = 7_201_123
_SCHEMA_LOCK = 7_201_122  # any fixed number: PostgreSQL's advisory lock while the tables are created


class Database:
    """One engine with `reading` and `writing` transactions; a database that cannot answer raises `Unavailable`.

    Raises
    ------
    ConfigError
        The URL is not one of a database that the ledger supports.
    Unavailable, Conflict
        The database cannot be opened; it belongs to something else or to another version.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self._place = self._engine.url.render_as_string(hide_password=True)
        self.dialect = self._engine.dialect.name
        self._queue: AbstractContextManager[Any] = threading.Lock() if self.dialect == "sqlite" else nullcontext()
        embedded = self.dialect == "sqlite"
        self._kept = Kept(self._open_for_good, KEPT_OPEN) if embedded else Kept(self._engine.connect, 0)
        self._begins: tuple[Begin, Begin] = (_begin_reading, _begin_writing) if embedded else (begun, begun)
        self._checkpoints = Checkpoints(str(self._engine.url.database), self._own_connection, self._queue)
        self._closed = False
        self._file: tuple[str, int] | None = None
        try:
            self._prepare()
            self._file = _identity(self._engine.url)
        except BaseException:
            self._engine.dispose()
            raise

    def _prepare(self) -> None:
        if self.dialect == "sqlite":
            with self._saying(opening=True), self._engine.connect() as conn:
                _write_ahead_log(conn)
        with self.writing(opening=True) as conn:
            if self.dialect == "postgresql":
                conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
            schema.prepare(conn, shared=self.dialect == "postgresql")

    def reading(self) -> AbstractContextManager[Connection]:
        """A transaction that sees one consistent state and writes nothing."""
        self._refuse_if_gone()
        return Transaction(self._kept, self._begins[0], _NOBODY_WAITS, self._translated)

    def writing(self, *, opening: bool = False) -> AbstractContextManager[Connection]:
        """A write transaction: committed, and on disk, when the block ends; rolled back when it raises."""
        self._refuse_if_gone()
        return Transaction(self._kept, self._begins[1], self._queue, self._opening if opening else self._translated, self._written)

    def _open_for_good(self) -> Connection:
        """A connection that SQLAlchemy takes to be within a transaction until it is closed: transactions begin and end in the driver."""
        conn = self._engine.connect()
        conn.begin()
        return conn

    def _written(self) -> None:
        if self.dialect == "sqlite":
            self._checkpoints.written()

    def overwrite_log(self) -> None:
        """Let SQLite's log hold nothing of what was overwritten or removed; what readers still read is left to the next call."""
        if self.dialect == "sqlite":
            self._refuse_if_gone()
            until = time.monotonic() + _COPIED_SECONDS
            with self._saying(), self._engine.connect() as conn:
                while not _log_cut(conn) and time.monotonic() < until:
                    time.sleep(0.02)

    def close(self) -> None:
        """Give every connection back; any later call raises `Unavailable`."""
        self._closed = True
        self._checkpoints.close()
        self._kept.close()
        self._engine.dispose()

    def _own_connection(self) -> sqlite3.Connection:
        """A connection outside the pool that waits for nobody's lock."""
        dialect = self._engine.dialect
        places, named = dialect.create_connect_args(self._engine.url)
        conn: sqlite3.Connection = dialect.connect(*places, **{**named, "timeout": 0.0})  # type: ignore[assignment]
        conn.isolation_level = None
        return conn

    def _refuse_if_gone(self) -> None:
        if self._closed:
            raise Unavailable("the ledger is closed", field="stores.ledger")
        if self._file is not None and _identity(self._engine.url) != self._file:
            # SQLite would go on writing into a file that no name leads to any more
            raise Unavailable(
                "the ledger's file was removed or replaced", field="stores.ledger", got=self._file[0], hint="restart after putting it back"
            )

    @contextmanager
    def _saying(self, *, opening: bool = False) -> Iterator[None]:
        try:
            yield
        except exc.SQLAlchemyError as error:
            said = self._translated(error, opening=opening)
            if said is error:
                raise
            raise said from error

    def _opening(self, error: BaseException) -> BaseException:
        return self._translated(error, opening=True)

    def _translated(self, error: BaseException, *, opening: bool = False) -> BaseException:
        """What a database's error is to our callers; our own mistakes, such as a broken constraint or wrong SQL, stay what they are."""
        hint = f"check {self._place}"
        if isinstance(error, exc.OperationalError | exc.InterfaceError | exc.TimeoutError):
            what = "the ledger cannot be opened" if opening else "the ledger cannot answer now"
            return Unavailable(what, field="stores.ledger", got=_reason(error), hint=hint)
        if isinstance(error, exc.DatabaseError) and (opening or type(error) is exc.DatabaseError):
            kind = Conflict if opening else Unavailable
            return kind("this is not a readable ledger", field="stores.ledger", got=_reason(error), hint=hint)
        return error


def _identity(url: URL) -> tuple[str, int] | None:
    """The path of a SQLite file and what tells it from another of that name: inode 0 where it is gone; None for other databases."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    try:
        return url.database, os.stat(url.database).st_ino
    except FileNotFoundError:
        return url.database, 0


def _log_cut(conn: Connection) -> bool:
    """Copy SQLite's log into the file and cut it to nothing; whether that could be done."""
    cursor = conn.connection.cursor()
    try:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [(busy, *_)] = cursor.fetchall()
    finally:
        cursor.close()
    return not busy


def driver_run(conn: Connection, text: str, values: Any, *, many: bool = False, held_there: bool = False) -> Any:
    """The driver's own cursor after running `text` within the transaction of `conn`; with `held_there` a server keeps the rows meanwhile.

    Raises
    ------
    sqlalchemy.exc.DBAPIError
        What the driver raises, under SQLAlchemy's names.
    """
    driver: Any = conn.dialect.loaded_dbapi
    connection: Any = conn.connection.dbapi_connection
    cursor: Any = connection.cursor(name=_HELD_THERE) if held_there and conn.dialect.name == "postgresql" else connection.cursor()
    try:
        (cursor.executemany if many else cursor.execute)(text, values)
    except driver.Error as error:
        cursor.close()
        raise exc.DBAPIError.instance(text, None, error, driver.Error, dialect=conn.dialect) from error
    return cursor


def insert_missing(conn: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert the rows whose primary key is new, leave the others as they were."""
    if rows:
        conn.execute(_insert_missing(conn.dialect.name, table), rows)


def insert_rows(conn: Connection, table: Table, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert many rows of plain values for the columns `names`: straight to the driver, at half the time of a statement a row."""
    statement = insert(table).compile(dialect=conn.dialect, column_keys=names)
    order = [list(names).index(name) for name in statement.positiontup or ()]
    if not order:
        values: list[Any] = [dict(zip(names, row, strict=True)) for row in rows]
    else:
        values = list(rows) if order == list(range(len(names))) else [tuple(row[i] for i in order) for row in rows]
    conn.exec_driver_sql(str(statement), values)


@cache
def _insert_missing(dialect: str, table: Table) -> Any:
    return upsert(dialect, table).on_conflict_do_nothing()


def serialise(conn: Connection, keys: Iterable[str]) -> None:
    """Let no other write transaction that names one of `keys` go on before this one has ended.

    SQLite has one writer at a time anyway. In PostgreSQL the keys share a few advisory locks, taken in one order, so that a plan of a
    million contacts needs no million locks and two writers never wait for each other in a circle.
    """
    if conn.dialect.name != "postgresql":
        return
    for stripe in sorted({zlib.crc32(key.encode()) % _STRIPES for key in keys}):
        conn.execute(text("SELECT pg_advisory_xact_lock(:space, :stripe)"), {"space": _STRIPE_SPACE, "stripe": stripe})


def upsert(dialect: str, table: Table) -> Any:
    """The dialect's INSERT, the one with `on_conflict_do_nothing` and `on_conflict_do_update`."""
    kind: type[Insert] = {"sqlite": sqlite.Insert, "postgresql": postgresql.Insert}[dialect]
    return kind(table)


def _engine(url: str) -> Engine:
    parsed = _parsed(url)
    try:
        if parsed.get_backend_name() != "sqlite":
            return create_engine(parsed, pool_pre_ping=True)
        engine = create_engine(parsed, connect_args={"timeout": BUSY_SECONDS}, poolclass=QueuePool, pool_size=POOL_SIZE, max_overflow=0)
    except exc.NoSuchModuleError as error:
        raise ConfigError("SQLAlchemy knows no such driver", field="stores.ledger", got=parsed.drivername) from error
    except ImportError as error:
        raise ConfigError(
            "the database driver is not installed", field="stores.ledger", got=error.name, hint="pip install 'psycopg[binary]'"
        ) from error
    event.listen(engine, "connect", _sqlite_connection)
    return engine


def _parsed(url: str) -> URL:
    allowed = "sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"
    try:
        parsed = make_url(url)
    except exc.ArgumentError as error:
        raise ConfigError("not a database URL", field="stores.ledger", allowed=allowed) from error
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise ConfigError(
            "the ledger does not support this database", field="stores.ledger", got=parsed.get_backend_name(), allowed=allowed
        )
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")  # SQLAlchemy's own default is its predecessor
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ConfigError("a ledger in memory would lose every decision", field="stores.ledger", got=url, allowed="sqlite:///FILE")
    return parsed


def _sqlite_connection(dbapi: Any, _record: object) -> None:
    dbapi.isolation_level = None  # the driver begins no transaction by itself: `_begin_reading` and `_begin_writing` do
    for pragma in ("synchronous=FULL", "foreign_keys=ON", f"wal_autocheckpoint={NET_PAGES}"):
        dbapi.execute(f"PRAGMA {pragma}")


def _begin_reading(conn: Connection) -> Callable[[], object]:
    driver_run(conn, "BEGIN", ())
    return partial(_commit, conn)


def _begin_writing(conn: Connection) -> Callable[[], object]:
    """BEGIN IMMEDIATE, tried again every half a millisecond while another process writes.

    SQLite's own waiting sleeps longer from time to time, up to a tenth of a second: of several workers one then sleeps while the others
    take turns, and its callers wait for many transactions instead of one.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    driver_run(conn, "PRAGMA busy_timeout=0", ())
    try:
        while not _has_begun(conn, last=time.monotonic() > deadline):
            time.sleep(_SECONDS_BETWEEN_TRIES)
    finally:
        driver_run(conn, _PATIENT, ())
    return partial(_commit, conn)


def _has_begun(conn: Connection, *, last: bool) -> bool:
    """Whether the writing begins now; another process that has the database is an error only at the last try."""
    try:
        driver_run(conn, "BEGIN IMMEDIATE", ())
    except exc.OperationalError as error:
        if last or not _is_busy(error):
            raise
        return False
    return True


def _commit(conn: Connection) -> None:
    driver_run(conn, "COMMIT", ())


def _is_busy(error: exc.OperationalError) -> bool:
    """Whether another has the database: SQLite's code for that, or one that says more precisely why."""
    return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def _write_ahead_log(conn: Connection) -> None:
    """Switch the file to WAL; it stays so. SQLite does not wait for other openers here, so we do."""
    deadline = time.monotonic() + BUSY_SECONDS
    cursor = conn.connection.cursor()
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.Error as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise exc.DBAPIError.instance("PRAGMA journal_mode=WAL", None, error, sqlite3.Error) from error
            time.sleep(0.01)


def _reason(error: Exception) -> str:
    """The driver's own words, one line, without the SQL and its values."""
    words = str(getattr(error, "orig", None) or error).strip()
    return words.splitlines()[0] if words else type(error).__name__
