"""Feast's online stores with one packed vector a contact instead of one value a feature.

Feast writes and reads one protobuf value per feature: about a thousand rows a second. These stores keep a view that has a contract in
`features.online` (packed vectors, versions), where serving reads it without Feast. Names and types are those of the registry's view, and
``get_online_features``, ``materialize`` and ``write_to_online_store`` work as ever. Views without a contract pass through unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
from feast import Entity, FeatureView, RepoConfig
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from decisioning.vocabulary import Dtype
from features.contract import FeatureContract, stored_name
from features.feast_repo.definitions import CONTRACT_TAG
from features.online import VIEW, Materialised, OnlineVectors
from features.online_sqlite import SqliteVectors
from features.packing import NULL_INT, Packing, Scalar, as_of_of

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
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PackedStore(OnlineStore):
    """What a Feast online store of packed vectors does over any other; to be mixed in before it.

    Views with a contract are read and written through `features.online.OnlineVectors`, all others as Feast does it.
    """

    # A store may batch the reads of several views past `online_read`; reading view by view keeps the unpacking in one place.
    _read_features_per_fv = OnlineStore._read_features_per_fv
    _read_features_per_fv_async = OnlineStore._read_features_per_fv_async

    def _vectors(self, config: RepoConfig) -> OnlineVectors:
        raise NotImplementedError

    def online_write_batch(self, config: RepoConfig, table: FeatureView, data: list[Row], progress: Progress) -> None:
        packing = packing_of(table)
        if packing is None:
            super().online_write_batch(config, table, data, progress)  # type: ignore[safe-super]
        elif data:
            self._vectors(config).write(_packed(packing, data), _about(packing, data))
            if progress:
                progress(len(data))

    async def online_write_batch_async(self, config: RepoConfig, table: FeatureView, data: list[Row], progress: Progress) -> None:
        if packing_of(table) is None:
            await super().online_write_batch_async(config, table, data, progress)
        else:
            self.online_write_batch(config, table, data, progress)

    def online_read(
        self, config: RepoConfig, table: FeatureView, entity_keys: list[EntityKey], requested_features: list[str] | None = None
    ) -> list[tuple[datetime | None, ValuesByName | None]]:
        packing = packing_of(table)
        if packing is None:
            return super().online_read(config, table, entity_keys, requested_features)  # type: ignore[safe-super]
        vectors = self._vectors(config).read([key.entity_values[0].string_val for key in entity_keys])
        return [_unpacked(packing, vector) for vector in vectors]

    async def online_read_async(
        self, config: RepoConfig, table: FeatureView, entity_keys: list[EntityKey], requested_features: list[str] | None = None
    ) -> list[tuple[datetime | None, ValuesByName | None]]:
        if packing_of(table) is None:
            return await super().online_read_async(config, table, entity_keys, requested_features)
        return self.online_read(config, table, entity_keys, requested_features)

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        if any(packing_of(table) is not None for table in tables_to_delete):
            self._vectors(config).clear()
        to_delete, to_keep = ([t for t in tables if packing_of(t) is None] for tables in (tables_to_delete, tables_to_keep))
        super().update(config, to_delete, to_keep, entities_to_delete, entities_to_keep, partial)  # type: ignore[safe-super]

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        if any(packing_of(table) is not None for table in tables):
            self._vectors(config).clear()
        super().teardown(config, tables, entities)  # type: ignore[safe-super]


class PackedSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """Configuration of `PackedSqliteOnlineStore`: that of Feast's SQLite store."""

    type: Literal["features.feast_repo.packed_store.PackedSqliteOnlineStore"] = "features.feast_repo.packed_store.PackedSqliteOnlineStore"  # type: ignore[assignment]


class PackedSqliteOnlineStore(PackedStore, SqliteOnlineStore):
    """Feast's SQLite online store with one packed vector a contact."""

    _packed: SqliteVectors | None = None

    def _vectors(self, config: RepoConfig) -> SqliteVectors:
        if self._packed is None:
            self._packed = SqliteVectors(Path(self._get_db_path(config)), f"{config.project}_{VIEW}")
        return self._packed


def packing_of(table: FeatureView) -> Packing | None:
    """The layout of a view's vectors, or None for a view that is not of a contract."""
    text = table.tags.get(CONTRACT_TAG)
    return _packing(text) if text else None


@lru_cache(maxsize=8)
def _packing(contract: str) -> Packing:
    return Packing(FeatureContract.from_json(contract))


def _about(packing: Packing, data: list[Row]) -> Materialised:
    """What a store says of itself that Feast alone has filled."""
    as_of = min(_microseconds(timestamp) for _, _, timestamp, _ in data)
    return Materialised(as_of, packing.contract.hash, len(data), _microseconds(datetime.now(UTC)))


def _packed(packing: Packing, data: list[Row]) -> list[tuple[str, bytes]]:
    columns = {}
    for spec in packing.contract.specs:
        name = stored_name(spec.name)
        column = [_plain(values.get(name), spec.dtype) for _, values, _, _ in data]
        columns[spec.name] = pa.chunked_array([pa.array(column, type=_ARROW[spec.dtype])])
    moments = np.array([_microseconds(timestamp) for _, _, timestamp, _ in data], dtype="datetime64[us]")
    vectors = packing.pack(pa.table(columns), moments)
    return [(key.entity_values[0].string_val, vector) for (key, *_), vector in zip(data, vectors, strict=True)]


def _plain(value: Value | None, dtype: Dtype) -> object:
    if value is None or value.WhichOneof("val") in (None, "null_val"):
        return None
    plain = getattr(value, value.WhichOneof("val"))
    if dtype not in ("date", "timestamp"):
        return plain
    return None if plain == NULL_INT else plain * _MICROSECONDS  # Feast writes a missing time as the smallest integer


def _microseconds(moment: datetime) -> int:
    """Microseconds since 1970 UTC; a time without a zone is UTC, as Feast has it."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (aware - _EPOCH) // timedelta(microseconds=1)


def _unpacked(packing: Packing, vector: bytes | None) -> tuple[datetime | None, ValuesByName | None]:
    values = packing.values(vector)
    if vector is None or values is None:
        return None, None
    moment = as_of_of(vector).astype(datetime).replace(tzinfo=UTC)
    return moment, {stored_name(spec.name): _value(values[spec.name], spec.dtype) for spec in packing.contract.specs}


def _value(plain: Scalar, dtype: Dtype) -> Value:
    if plain is None:
        return Value()
    if isinstance(plain, datetime):
        return Value(unix_timestamp_val=_microseconds(plain) // _MICROSECONDS)
    if isinstance(plain, date):
        return Value(unix_timestamp_val=(plain - _EPOCH.date()).days * 86_400)
    return Value(**{_FIELDS[dtype]: plain})
