"""Feast's Redis online store with one packed vector a contact; needs Feast's extra ``redis``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import Literal

from feast import FeatureView, RepoConfig
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig

from features.feast_repo.packed_store import PackedStore

ROWS_AT_ONCE = 10_000
"""Feast sends one batch as one pipeline: what bounds its memory."""


class PackedRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """Configuration of `PackedRedisOnlineStore`: that of Feast's Redis store."""

    type: Literal["features.feast_repo.packed_redis.PackedRedisOnlineStore"] = "features.feast_repo.packed_redis.PackedRedisOnlineStore"  # type: ignore[assignment]


class PackedRedisOnlineStore(PackedStore, RedisOnlineStore):
    """Feast's Redis online store with one packed vector a contact."""

    def replace_vectors(self, config: RepoConfig, table: FeatureView, vectors: Iterable[tuple[str, bytes]], as_of: datetime) -> None:
        """Replace the contacts' vectors one by one; a contact who is no longer given keeps the last one."""
        rest = iter(vectors)
        while some := list(islice(rest, ROWS_AT_ONCE)):
            self.write_vectors(config, table, some, as_of)
