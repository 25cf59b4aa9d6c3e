"""The Feast objects of a workspace: one entity, one source, one view, one service, built from its applied contract.

``feast apply`` imports this file and collects the objects at its end, those of the workspace that NUDGE_WORKSPACE names.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.errors import FeastExtrasDependencyImportError, FeastModuleImportError, FeatureViewNotFoundException
from feast.types import Bool, Float64, Int64, PrimitiveFeastType, String, UnixTimestamp

from decisioning.errors import Conflict, Unavailable
from decisioning.vocabulary import Dtype
from features.build import TIMESTAMP_COLUMN
from features.built import read_built
from features.contract import FeatureContract, FeatureSpec, stored_name
from features.online import ONLINE_FILE, VIEW
from features.quiet import quiet

SERVICE = "nudge"
CONTRACT_TAG = "contract"
HASH_TAG = "contract_hash"
SQLITE_STORE = "features.feast_repo.packed_store.PackedSqliteOnlineStore"
REDIS_STORE = "features.feast_repo.packed_redis.PackedRedisOnlineStore"

_ROW = "nudge_row"

FEAST_TYPES: dict[Dtype, PrimitiveFeastType] = {
    "bool": Bool,
    "int": Int64,
    "float": Float64,
    "string": String,
    "date": UnixTimestamp,
    "timestamp": UnixTimestamp,
}


@dataclass(frozen=True)
class Definitions:
    """What is applied to the registry."""

    contact: Entity
    source: FileSource
    view: FeatureView
    service: FeatureService


def definitions(contract: FeatureContract, rows: str) -> Definitions:
    """The Feast objects of a contract over feature rows.

    Parameters
    ----------
    contract : FeatureContract
    rows : str
        Absolute path or glob of the parquet files that `features.build` wrote.
    """
    contact = Entity(name="contact", join_keys=["contact_id"], value_type=ValueType.STRING, description="Whom we decide for")
    source = FileSource(name="feature_rows", path=rows, timestamp_field=TIMESTAMP_COLUMN)
    view = FeatureView(
        name=VIEW,
        entities=[contact],
        # A row holds at its own as_of only: a window that ends elsewhere is another value.
        ttl=timedelta(microseconds=1),
        schema=[Field(name="contact_id", dtype=String), *map(_field, contract.specs)],
        source=source,
        online=True,
        tags={CONTRACT_TAG: contract.to_json(), HASH_TAG: contract.hash},
    )
    service = FeatureService(name=SERVICE, features=[view], tags={HASH_TAG: contract.hash})
    return Definitions(contact, source, view, service)


def _field(spec: FeatureSpec) -> Field:
    tags = {"unit": spec.unit, "null_rule": spec.null_rule, "source": spec.source, "dtype": spec.dtype}
    if spec.window_days is not None:
        tags["window_days"] = str(spec.window_days)
    return Field(name=stored_name(spec.name), dtype=FEAST_TYPES[spec.dtype], description=spec.description, tags=tags)


def open_store(workspace_dir: Path, project: str, online_type: str, connection_string: str | None) -> FeatureStore:
    """Feast's store of a workspace: SQL registry and online store in ``state/``, rows in DuckDB.

    Raises
    ------
    Unavailable
        Where the online store's client is not installed.
    """
    state = workspace_dir / "state"
    state.mkdir(parents=True, exist_ok=True)
    online: dict[str, object] = {"type": SQLITE_STORE, "path": str(workspace_dir / ONLINE_FILE)}
    if online_type == "redis":
        # Feast keeps a row that is as new as the one given; materialising the same as_of again must replace it.
        online = {"type": REDIS_STORE, "connection_string": connection_string or "localhost:6379", "skip_dedup": True}
    try:
        config = RepoConfig(
            project=project,
            provider="local",
            registry={"registry_type": "sql", "path": f"sqlite:///{state / 'registry.db'}"},
            offline_store={"type": "duckdb"},
            online_store=online,
            entity_key_serialization_version=3,
            repo_path=workspace_dir,
        )
        return FeatureStore(config=config)
    except (FeastExtrasDependencyImportError, FeastModuleImportError) as error:
        raise Unavailable("the online store's client is not installed", got=online_type, hint="pip install 'nudge-nba[redis]'") from error


def apply(store: FeatureStore, contract: FeatureContract, rows: str) -> FeatureView:
    """The registered view of a contract over `rows`; applied first where the registry has none or another."""
    try:
        view = store.get_feature_view(VIEW)
    except FeatureViewNotFoundException:
        view = None
    source = None if view is None else view.batch_source
    if view is None or view.tags.get(HASH_TAG) != contract.hash or not isinstance(source, FileSource) or source.path != rows:
        wanted = definitions(contract, rows)
        store.apply([wanted.contact, wanted.source, wanted.view, wanted.service])
        view = store.get_feature_view(VIEW)
    return view


_ONE_READER = threading.Lock()
"""Feast reads through one DuckDB connection of the whole process, which refuses a second caller."""


def retrieve(store: FeatureStore, contract: FeatureContract, pairs: pa.Table) -> pa.Table:
    """Feast's historical features of (contact_id, as_of) pairs, in their order, under our names.

    Raises
    ------
    Conflict
        Where the rows went away because another process built them anew.
    """
    entities = pairs.select(["contact_id"]).to_pandas()
    entities[TIMESTAMP_COLUMN] = pairs.column("as_of").cast(pa.timestamp("us", tz="UTC")).to_pandas()
    entities[_ROW] = range(pairs.num_rows)
    asked = [f"{VIEW}:{stored_name(name)}" for name in contract.names]
    try:
        with quiet(), _ONE_READER:
            found = store.get_historical_features(entities, asked).to_arrow().sort_by(_ROW)
    except duckdb.IOException as error:
        raise Conflict("the features were built anew meanwhile", hint="run the command again") from error
    return found.select([stored_name(name) for name in contract.names]).rename_columns(list(contract.names))


def applied_definitions(workspace_dir: Path) -> Definitions:
    """The Feast objects of a workspace's current build."""
    built = read_built(workspace_dir)
    return definitions(built.contract, built.files)


if _workspace := os.environ.get("NUDGE_WORKSPACE"):
    _applied = applied_definitions(Path(_workspace).absolute())
    contact, source, view, service = _applied.contact, _applied.source, _applied.view, _applied.service
