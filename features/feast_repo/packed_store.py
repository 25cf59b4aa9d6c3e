"""Feast's online stores with one packed vector a contact instead of one value a feature.

Feast writes and reads one protobuf value per feature: about a thousand rows a second. These stores hand Feast's own store a single value
per contact, the packed vector (`features.packing`), under the feature name ``vector``; keys, tables and transactions stay Feast's. Names
and types are those of the registry's view, and ``get_online_features``, ``materialize`` and ``write_to_online_store`` work as ever. Views
without a contract pass through unchanged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
from feast import FeatureView, RepoConfig
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from decisioning.errors import Unavailable
from decisioning.vocabulary import Dtype
from features.contract import FeatureContract, stored_name
from features.feast_repo.definitions import CONTRACT_TAG
from features.online import VECTOR
from features.packing import NULL_INT, Packing

ValuesByName: TypeAlias = dict[str, Value]
Row: TypeAlias = tuple[EntityKey, ValuesByName, datetime, datetime | None]
Progress: TypeAlias = Callable[[int], Any] | None

_FIELDS: dict[Dtype, str] = {
    "bool": "bool_val",
    "int": "int64_val",
    "float": "double_val",
    "string": "string_val",
    "date": "unix_timestamp_val",
    "timestamp": "unix_timestamp_val",
}
_ARROW: dict[Dtype, pa.DataType] = {
    "bool": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "string": pa.string(),
    "date": pa.timestamp("us"),
    "timestamp": pa.timestamp("us"),
}
_MICROSECONDS = 1_000_000


class PackedStore(OnlineStore):
    """What a Feast online store of packed vectors does over any other; to be mixed in before it."""

    # A store may batch the reads of several views past `online_read`; reading view by view keeps the unpacking in one place.
    _read_features_per_fv = OnlineStore._read_features_per_fv
    _read_features_per_fv_async = OnlineStore._read_features_per_fv_async

    def online_write_batch(self, config: RepoConfig, table: FeatureView, data: list[Row], progress: Progress) -> None:
        """Write rows of values, packed where the view has a contract."""
        packing = packing_of(table)
        super().online_write_batch(config, table, data if packing is None else _packed(packing, data), progress)  # type: ignore[safe-super]

    def online_read(
        self, config: RepoConfig, table: FeatureView, entity_keys: list[EntityKey], requested_features: list[str] | None = None
    ) -> list[tuple[datetime | None, ValuesByName | None]]:
        """Read rows of values, unpacked where the view has a contract."""
        packing = packing_of(table)
        asked = requested_features if packing is None else [VECTOR]
        rows = super().online_read(config, table, entity_keys, asked)  # type: ignore[safe-super]
        return rows if packing is None else _unpacked(packing, rows)

    async def online_read_async(
        self, config: RepoConfig, table: FeatureView, entity_keys: list[EntityKey], requested_features: list[str] | None = None
    ) -> list[tuple[datetime | None, ValuesByName | None]]:
        """`online_read` for the stores that read asynchronously."""
        packing = packing_of(table)
        asked = requested_features if packing is None else [VECTOR]
        rows = await super().online_read_async(config, table, entity_keys, asked)
        return rows if packing is None else _unpacked(packing, rows)

    def write_vectors(self, config: RepoConfig, table: FeatureView, vectors: Iterable[tuple[str, bytes]], as_of: datetime) -> None:
        """Write the packed vectors of contacts, as (contact_id, vector), all of one as_of."""
        super().online_write_batch(config, table, _vector_rows(vectors, as_of), None)  # type: ignore[safe-super, arg-type]

    def read_vectors(self, config: RepoConfig, table: FeatureView, contact_ids: Sequence[str]) -> list[bytes | None]:
        """The packed vectors of contacts; None where there is none."""
        rows = super().online_read(config, table, [_key(contact_id) for contact_id in contact_ids], [VECTOR])  # type: ignore[safe-super]
        return [_vector_of(values) for _, values in rows]


class PackedSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """Configuration of `PackedSqliteOnlineStore`: that of Feast's SQLite store."""

    type: Literal["features.feast_repo.packed_store.PackedSqliteOnlineStore"] = "features.feast_repo.packed_store.PackedSqliteOnlineStore"  # type: ignore[assignment]


class PackedSqliteOnlineStore(PackedStore, SqliteOnlineStore):
    """Feast's SQLite online store with one packed vector a contact."""

    def replace_vectors(self, config: RepoConfig, table: FeatureView, vectors: Iterable[tuple[str, bytes]], as_of: datetime) -> None:
        """Replace every contact's vector in one transaction: a reader sees the old ones or the new ones, never a mixture.

        Raises
        ------
        Unavailable
            Where the database cannot be written.
        """
        connection = self._get_conn(config)
        name = f"{config.project}_{table.name}".replace('"', '""')
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            self.update(config, [], [table], [], [], partial=True)
            # Feast's writing commits what is open on its connection, or rolls it back.
            connection.execute(f'DELETE FROM "{name}"')
            self.write_vectors(config, table, vectors, as_of)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise Unavailable("the online store cannot be written", field="stores.online", got=str(error)) from error
        finally:
            connection.rollback()


def packing_of(table: FeatureView) -> Packing | None:
    """The layout of a view's vectors, or None for a view that is not of a contract."""
    text = table.tags.get(CONTRACT_TAG)
    return Packing(FeatureContract.from_json(text)) if text else None


def _key(contact_id: str) -> EntityKey:
    return EntityKey(join_keys=["contact_id"], entity_values=[Value(string_val=contact_id)])


def _vector_rows(vectors: Iterable[tuple[str, bytes]], as_of: datetime) -> Iterator[Row]:
    for contact_id, vector in vectors:
        yield _key(contact_id), {VECTOR: Value(bytes_val=vector)}, as_of, None


def _vector_of(values: ValuesByName | None) -> bytes | None:
    value = (values or {}).get(VECTOR)
    return value.bytes_val if value is not None and value.bytes_val else None


def _packed(packing: Packing, data: list[Row]) -> list[Row]:
    columns = {}
    for spec in packing.contract.specs:
        name = stored_name(spec.name)
        column = [_plain(values.get(name), spec.dtype) for _, values, _, _ in data]
        columns[spec.name] = pa.chunked_array([pa.array(column, type=_ARROW[spec.dtype])])
    moments = np.array([_naive_utc(timestamp) for _, _, timestamp, _ in data], dtype="datetime64[us]")
    vectors = packing.pack(pa.table(columns), moments)
    return [(key, {VECTOR: Value(bytes_val=vector)}, at, created) for (key, _, at, created), vector in zip(data, vectors, strict=True)]


def _plain(value: Value | None, dtype: Dtype) -> object:
    if value is None or value.WhichOneof("val") in (None, "null_val"):
        return None
    plain = getattr(value, value.WhichOneof("val"))
    if dtype not in ("date", "timestamp"):
        return plain
    return None if plain == NULL_INT else plain * _MICROSECONDS  # Feast writes a missing time as the smallest integer


def _naive_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _unpacked(
    packing: Packing, rows: list[tuple[datetime | None, ValuesByName | None]]
) -> list[tuple[datetime | None, ValuesByName | None]]:
    columns, found = packing.unpack([_vector_of(values) for _, values in rows])
    result: list[tuple[datetime | None, ValuesByName | None]] = []
    for row, (moment, _) in enumerate(rows):
        if not found[row]:
            result.append((None, None))
            continue
        result.append((moment, {stored_name(s.name): _value(columns[s.name][row], s.dtype) for s in packing.contract.specs}))
    return result


def _value(plain: Any, dtype: Dtype) -> Value:
    if plain is None or plain != plain:  # NaN and NaT differ from themselves
        return Value()
    if dtype in ("date", "timestamp"):
        return Value(unix_timestamp_val=int(plain.astype(np.int64)) // _MICROSECONDS)
    casts: dict[Dtype, Callable[[Any], object]] = {"bool": bool, "int": int, "float": float, "string": str}
    return Value(**{_FIELDS[dtype]: casts[dtype](plain)})
