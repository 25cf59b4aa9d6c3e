"""Reading contacts from the SQLite online store within microseconds.

Feast's store keeps a contact's packed vector in its own table, under its own key. Serving reads that row without Feast: importing Feast
takes seconds, and its read path a hundred times as long as the row itself. The layout of key and value is Feast's (entity key
serialization version 3, protobuf), and a test holds the two together.
"""

from __future__ import annotations

import sqlite3
import struct
import threading
from collections.abc import Sequence
from pathlib import Path

from decisioning.errors import Unavailable
from features.sources import quoted

ONLINE_FILE = "state/online_store.db"
"""The embedded online store, within a workspace."""

VIEW = "contact_features"
"""Feast's view of a contact's features; with the project before it, the name of its table."""

VECTOR = "vector"
"""The one feature that is stored for a contact: all of them, packed."""

_STRING = 2  # feast.types.Value: ValueType.STRING
_JOIN_KEY = b"contact_id"
_KEY_PREFIX = struct.pack("<III", 1, _STRING, len(_JOIN_KEY)) + _JOIN_KEY + struct.pack("<I", _STRING)
_BYTES_FIELD = 0x0A  # protobuf: field 1 (bytes_val), length-delimited
_MOST_KEYS = 500


class SqliteVectors:
    """The packed vectors of an online store in SQLite; one read-only connection a thread.

    Parameters
    ----------
    path : Path
        The database of Feast's online store.
    table : str
        Feast's table of the view.
    feature : str
        The feature under which the vector is stored.
    """

    def __init__(self, path: Path, table: str, feature: str) -> None:
        self._path = path
        self._feature = feature
        self._table = quoted(table)
        self._select = f"SELECT entity_key, value FROM {self._table} WHERE feature_name = ? AND entity_key IN "
        self._local = threading.local()

    def read(self, contact_ids: Sequence[str]) -> list[bytes | None]:
        """The vectors of contacts in their order; None where there is none.

        Raises
        ------
        Unavailable
            Where the store cannot be read.
        """
        keys = [entity_key(contact_id) for contact_id in contact_ids]
        vectors: dict[bytes, bytes] = {}
        try:
            connection = self._connection()
            for start in range(0, len(keys), _MOST_KEYS):
                some = keys[start : start + _MOST_KEYS]
                sql = f"{self._select}({','.join('?' * len(some))})"
                vectors.update(connection.execute(sql, (self._feature, *some)).fetchall())
        except sqlite3.Error as error:
            raise Unavailable("the online store cannot be read", field=str(self._path.name), got=str(error)) from error
        return [bytes_value(vectors[key]) if key in vectors else None for key in keys]

    def any(self) -> bytes | None:
        """One of the vectors; None where there is no store, no table or no row."""
        if not self._path.exists():
            return None
        try:
            row = self._connection().execute(f"SELECT value FROM {self._table} WHERE feature_name = ? LIMIT 1", (self._feature,)).fetchone()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return None
            raise Unavailable("the online store cannot be read", field=str(self._path.name), got=str(error)) from error
        return bytes_value(row[0]) if row else None

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0, check_same_thread=False)
            self._local.connection = connection
        return connection


def entity_key(contact_id: str) -> bytes:
    """Feast's serialized entity key of a contact."""
    value = contact_id.encode()
    return _KEY_PREFIX + struct.pack("<I", len(value)) + value


def bytes_value(serialized: bytes) -> bytes | None:
    """The bytes in a serialized Feast value; None where it holds something else."""
    if not serialized or serialized[0] != _BYTES_FIELD:
        return None
    length, shift, position = 0, 0, 1
    while True:
        byte = serialized[position]
        length |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return serialized[position : position + length]
