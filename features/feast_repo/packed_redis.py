"""Feast's Redis online store with one packed vector a contact; needs the extra ``redis``."""

from __future__ import annotations

from typing import Any, Literal

from feast import RepoConfig
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from features.feast_repo.packed_store import PackedStore
from features.online_redis import RedisVectors
from features.online_redis_client import redis_settings


class PackedRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """Configuration of `PackedRedisOnlineStore`: that of Feast's Redis store; the connection string may be a URL too."""

    type: Literal["features.feast_repo.packed_redis.PackedRedisOnlineStore"] = "features.feast_repo.packed_redis.PackedRedisOnlineStore"  # type: ignore[assignment]


class PackedRedisOnlineStore(PackedStore, RedisOnlineStore):
    """Feast's Redis online store with one packed vector a contact."""

    _packed: RedisVectors | None = None

    def _vectors(self, config: RepoConfig) -> RedisVectors:
        if self._packed is None:
            self._packed = RedisVectors(config.online_store.connection_string, config.project)
        return self._packed

    # For the views that pass through, and so that a URL does for them as well.
    def _get_client(self, online_store_config: Any) -> Redis:
        if self._client is None:
            self._client = Redis(**redis_settings(online_store_config.connection_string))
        return self._client

    async def _get_client_async(self, online_store_config: Any) -> AsyncRedis:
        if self._client_async is None:
            self._client_async = AsyncRedis(**redis_settings(online_store_config.connection_string))
        return self._client_async
