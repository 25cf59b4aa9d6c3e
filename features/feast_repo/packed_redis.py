"""Feast's Redis online store with one packed vector a contact; needs Feast's extra ``redis``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Literal

from feast import FeatureView, RepoConfig
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from redis.exceptions import RedisError

from decisioning.errors import Unavailable
from features.feast_repo.packed_store import PackedStore

ROWS_AT_ONCE = 10_000
"""Feast sends one batch as one pipeline: what bounds its memory."""


class PackedRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """Configuration of `PackedRedisOnlineStore`: that of Feast's Redis store."""

    type: Literal["features.feast_repo.packed_redis.PackedRedisOnlineStore"] = "features.feast_repo.packed_redis.PackedRedisOnlineStore"  # type: ignore[assignment]


class PackedRedisOnlineStore(PackedStore, RedisOnlineStore):
    """Feast's Redis online store with one packed vector a contact."""

    def replace_vectors(self, config: RepoConfig, table: FeatureView, vectors: Iterable[tuple[str, bytes]], as_of: datetime) -> None:
        """Replace the contacts' vectors one by one; a contact who is no longer given keeps the last one.

        Raises
        ------
        Unavailable
            Where the server cannot be reached.
        """
        rest = iter(vectors)
        try:
            while some := list(islice(rest, ROWS_AT_ONCE)):
                self.write_vectors(config, table, some, as_of)
        except RedisError as error:
            raise Unavailable("the online store cannot be written", field="stores.online", got=str(error)) from error

    def read_vectors(self, config: RepoConfig, table: FeatureView, contact_ids: Sequence[str]) -> list[bytes | None]:
        """The packed vectors of contacts; None where there is none.

        Raises
        ------
        Unavailable
            Where the server cannot be reached.
        """
        try:
            return super().read_vectors(config, table, contact_ids)
        except RedisError as error:
            raise Unavailable("the online store cannot be read", field="stores.online", got=str(error)) from error
