"""Packed vectors in SQLite: one contact read within microseconds, versions swapped in one transaction.

Two tables a view: the vectors by (version, contact), and one row that says which version is read. A reader asks for both in one
statement, so it needs to know nothing of versions and keeps none in memory. Versions are written in short transactions (events get in
between), become current in one, and are removed in short ones. An event's change is in the file when `change` returns; the log is not
forced to disk for each, so power loss may take the last ones away, a killed process none.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from decisioning.errors import Conflict, Unavailable
from features.online import Carried, Change, Kept, Materialised, Stored, at_most, key_of, note_key
from features.sources import quoted

ROWS_AT_ONCE = 5_000
"""Rows of one transaction: how long an event waits while a version is written."""

_MOST_KEYS = 1_000
_PAGE_BYTES = 8_192
"""A contact takes half a kilobyte and more: fewer pages are split while a version is written than with SQLite's own four kilobytes."""
_MAPPED_BYTES = 1 << 30
_WAIT_SECONDS = 5.0


class SqliteVectors:
    """The packed vectors of an online store in SQLite; one connection a thread.

    Parameters
    ----------
    path : Path
        The database; it may hold other tables.
    table : str
        The first part of its tables' names: Feast's name of the view's table.
    """

    def __init__(self, path: Path, table: str) -> None:
        self._path = path
        self._rows, self._current, self._notes = (quoted(f"{table}_{part}") for part in ("packed", "version", "events"))
        self._note_keys = quoted(f"{table}_event_keys")
        of_current = f"FROM {self._rows} WHERE version = (SELECT version FROM {self._current})"
        self._one = f"SELECT vector {of_current} AND contact = ?"
        self._some = f"SELECT contact, vector {of_current} AND contact IN "
        self._next = f"SELECT contact, vector, recent {of_current} AND contact > ? ORDER BY contact LIMIT ?"
        self._local = threading.local()

    # --- reading --------------------------------------------------------------------------------------------------------------------

    def read(self, contact_ids: Sequence[str]) -> list[bytes | None]:
        """The vectors of contacts in their order, all of one version; None where there is none.

        Raises
        ------
        Unavailable
            Where the store cannot be read.
        """
        try:
            connection = self._reader()
            if len(contact_ids) == 1:
                row = connection.execute(self._one, (key_of(contact_ids[0]),)).fetchone()
                return [row[0] if row else None]
            return self._many(connection, [key_of(contact_id) for contact_id in contact_ids])
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def _many(self, connection: sqlite3.Connection, keys: list[bytes]) -> list[bytes | None]:
        found: dict[bytes, bytes] = {}
        if len(keys) > _MOST_KEYS:  # several statements, one version
            connection.execute("BEGIN")
        try:
            for start in range(0, len(keys), _MOST_KEYS):
                some = keys[start : start + _MOST_KEYS]
                found.update(connection.execute(f"{self._some}({','.join('?' * len(some))})", some).fetchall())
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        return [found.get(key) for key in keys]

    def pages(self, size: int) -> Iterator[list[Stored]]:
        """Everybody in the order of their ids, at most `size` at a time; each page is of the version that is read then."""
        last = b""
        while True:
            try:
                rows = self._reader().execute(self._next, (last, size)).fetchall()
            except sqlite3.Error as error:
                raise self._unreadable(error) from error
            if not rows:
                return
            yield rows
            last = rows[-1][0]

    def current(self) -> Materialised | None:
        """The materialisation that is read; None where there is no store, or it was never materialised."""
        if not self._path.exists():
            return None
        columns = "as_of, contract_hash, contacts, materialized_at"
        try:
            row = self._reader().execute(f"SELECT {columns} FROM {self._current} WHERE version IS NOT NULL").fetchone()
        except sqlite3.Error as error:
            if "no such table" in str(error):
                return None
            raise self._unreadable(error) from error
        return Materialised(*row) if row else None

    def _reader(self) -> sqlite3.Connection:
        try:
            return self._local.reader
        except AttributeError:
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            connection = sqlite3.connect(uri, uri=True, timeout=_WAIT_SECONDS, check_same_thread=False, isolation_level=None)
            connection.execute(f"PRAGMA mmap_size = {_MAPPED_BYTES}")
            self._local.reader = connection
            return connection

    def _unreadable(self, error: sqlite3.Error) -> Unavailable:
        return Unavailable("the online store cannot be read", field=self._path.name, got=str(error))

    # --- versions -------------------------------------------------------------------------------------------------------------------

    def replace(self, rows: Iterable[Sequence[Stored]], about: Materialised, carried: Carried) -> int:
        """Write a new version from batches of rows and let it be the current one; returns the contacts.

        Raises
        ------
        Conflict
            Where another process began to write a version meanwhile.
        Unavailable
            Where the database cannot be written.
        """
        with self._writing() as connection:
            version = self._begin(connection)
            self._remove_others(connection, version)
            written = 0
            put = f"INSERT INTO {self._rows} VALUES ({version}, ?, ?, ?)"
            for some in at_most(ROWS_AT_ONCE, rows):
                with _transaction(connection):
                    self._still_mine(connection, version)
                    connection.executemany(put, some)
                written += len(some)
            self._carry(connection, version, about, carried)
            self._remove_others(connection, version)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return written

    def _begin(self, connection: sqlite3.Connection) -> int:
        """A new version's number, under which nobody else writes."""
        with _transaction(connection):
            [(version,)] = connection.execute(f"SELECT 1 + max(coalesce(version, 0), coalesce(writing, 0)) FROM {self._current}").fetchall()
            connection.execute(f"UPDATE {self._current} SET writing = ?", (version,))
        return int(version)

    def _still_mine(self, connection: sqlite3.Connection, version: int) -> None:
        [(writing,)] = connection.execute(f"SELECT writing FROM {self._current}").fetchall()
        if writing != version:
            raise Conflict("another process materialises the features", hint="the one that began last counts")

    def _carry(self, connection: sqlite3.Connection, version: int, about: Materialised, carried: Carried) -> None:
        """Bring the noted events into the new version, the last of them in the transaction in which it becomes current."""
        done, more, known = 0, True, list[tuple[int]]()
        next_notes = f"SELECT id, note FROM {self._notes} WHERE id > ? ORDER BY id LIMIT {ROWS_AT_ONCE}"
        while more:
            with _transaction(connection):
                self._still_mine(connection, version)
                notes = connection.execute(next_notes, (done,)).fetchall()
                known += [(number,) for number, note in notes if not self._bring(connection, version, carried(note))]
                more = len(notes) == ROWS_AT_ONCE
                if not more:
                    connection.executemany(f"DELETE FROM {self._notes} WHERE id = ?", known)
                    self._let_count(connection, version, about)
            done = notes[-1][0] if notes else done

    def _bring(self, connection: sqlite3.Connection, version: int, step: tuple[str, Change] | None) -> bool:
        """Take a step in a version; returns whether there was one."""
        if step is not None:
            self._change(connection, version, *step)
        return step is not None

    def _let_count(self, connection: sqlite3.Connection, version: int, about: Materialised) -> None:
        connection.execute(
            f"UPDATE {self._current} SET version = ?, as_of = ?, contract_hash = ?, contacts = ?, materialized_at = ?",
            (version, about.as_of, about.contract_hash, about.contacts, about.materialized_at),
        )

    def _remove_others(self, connection: sqlite3.Connection, version: int) -> None:
        """Remove what is neither this version nor the current one."""
        old = f"SELECT rowid FROM {self._rows} WHERE version < ? AND version IS NOT (SELECT version FROM {self._current})"
        while True:
            with _transaction(connection):
                removed = connection.execute(f"DELETE FROM {self._rows} WHERE rowid IN ({old} LIMIT {ROWS_AT_ONCE})", (version,)).rowcount
            if removed < ROWS_AT_ONCE:
                return

    # --- single contacts ------------------------------------------------------------------------------------------------------------

    def write(self, rows: Iterable[tuple[str, bytes]], about: Materialised) -> None:
        """Write vectors into the current version, or into a first one; what happened lately stays."""
        with self._writing() as connection, _transaction(connection):
            version = self._version(connection)
            if version is None:
                [(version,)] = connection.execute(f"SELECT 1 + coalesce(writing, 0) FROM {self._current}").fetchall()
                self._let_count(connection, version, about)
            connection.executemany(
                f"INSERT INTO {self._rows} VALUES ({version}, ?, ?, NULL) "
                "ON CONFLICT (version, contact) DO UPDATE SET vector = excluded.vector",
                [(key_of(contact_id), vector) for contact_id, vector in rows],
            )

    def change(self, contact_id: str, change: Change, note: bytes | None, *, once: bool = False) -> bool:
        """Change one contact's vector, alone: nobody else's change in between is lost. Returns whether anything was changed.

        With `once` a change that is noted in the same words is made already, and not made again.

        Raises
        ------
        Unavailable
            Where the database cannot be written, or nothing was materialised.
        """
        with self._writing() as connection, _transaction(connection):
            version = self._version(connection)
            if version is None:
                raise Unavailable("no features are in the online store", hint="run nudge features materialize")
            key = note_key(note) if once and note is not None else None
            if key is not None and connection.execute(f"SELECT 1 FROM {self._notes} WHERE key = ?", (key,)).fetchone():
                return True
            changed = self._change(connection, version, contact_id, change)
            if changed and note is not None:
                connection.execute(f"INSERT INTO {self._notes} (note, key) VALUES (?, ?)", (note, key))
        return changed

    def notes(self) -> list[bytes]:
        """What is noted: changes that the materialised rows do not know."""
        with self._writing() as connection:
            return [note for (note,) in connection.execute(f"SELECT note FROM {self._notes} ORDER BY id").fetchall()]

    def _change(self, connection: sqlite3.Connection, version: int, contact_id: str, change: Change) -> bool:
        key = key_of(contact_id)
        row = connection.execute(f"SELECT vector, recent FROM {self._rows} WHERE version = ? AND contact = ?", (version, key)).fetchone()
        new = change(Kept(*row) if row else Kept(None, None))
        if new is None:
            return False
        connection.execute(
            f"INSERT INTO {self._rows} VALUES (?, ?, ?, ?) "
            "ON CONFLICT (version, contact) DO UPDATE SET vector = excluded.vector, recent = excluded.recent",
            (version, key, *new),
        )
        return True

    def _version(self, connection: sqlite3.Connection) -> int | None:
        [(version,)] = connection.execute(f"SELECT version FROM {self._current}").fetchall()
        return version

    def forget(self, contact_ids: Collection[str], noted: Callable[[bytes], bool]) -> int:
        """Remove contacts from every version, and the notes that `noted` tells to be theirs, from the file too; returns the vectors."""
        if not self._path.exists():
            return 0
        with self._writing() as connection:
            connection.execute("PRAGMA secure_delete = ON").fetchall()
            with _transaction(connection):
                versions = connection.execute(f"SELECT DISTINCT version FROM {self._rows}").fetchall()
                gone = [(version, key_of(one)) for one in contact_ids for (version,) in versions]
                removed = connection.executemany(f"DELETE FROM {self._rows} WHERE version = ? AND contact = ?", gone).rowcount
                notes = connection.execute(f"SELECT id, note FROM {self._notes}").fetchall()
                connection.executemany(f"DELETE FROM {self._notes} WHERE id = ?", [(number,) for number, note in notes if noted(note)])
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return removed

    def clear(self) -> None:
        """Remove every version and every note."""
        with self._writing() as connection, _transaction(connection):
            for table in (self._rows, self._notes):
                connection.execute(f"DELETE FROM {table}")
            connection.execute(f"UPDATE {self._current} SET version = NULL")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            connection: sqlite3.Connection | None = getattr(self._local, "writer", None)
            if connection is None or not self._path.exists():
                connection = self._local.writer = self._open_for_writing()
            yield connection
        except sqlite3.Error as error:
            raise Unavailable("the online store cannot be written", field="stores.online", got=str(error)) from error

    def _open_for_writing(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_WAIT_SECONDS, check_same_thread=False, isolation_level=None)
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # of a new file
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("PRAGMA synchronous = NORMAL")
        with _transaction(connection):
            connection.execute(
                f"""CREATE TABLE IF NOT EXISTS {self._rows} (version INTEGER NOT NULL, contact BLOB NOT NULL, vector BLOB NOT NULL,
                recent BLOB, PRIMARY KEY (version, contact))"""
            )
            connection.execute(
                f"""CREATE TABLE IF NOT EXISTS {self._current} (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER, writing INTEGER,
                as_of INTEGER, contract_hash TEXT, contacts INTEGER, materialized_at INTEGER)"""
            )
            connection.execute(f"INSERT OR IGNORE INTO {self._current} (one) VALUES (1)")
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {self._notes} (id INTEGER PRIMARY KEY AUTOINCREMENT, note BLOB NOT NULL, key BLOB)"
            )
            if "key" not in {row[1] for row in connection.execute(f"PRAGMA table_info({self._notes})").fetchall()}:
                connection.execute(f"ALTER TABLE {self._notes} ADD COLUMN key BLOB")  # of a version that noted without keys
            connection.execute(f"CREATE UNIQUE INDEX IF NOT EXISTS {self._note_keys} ON {self._notes} (key)")
        return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing; whoever else wants to write waits."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
