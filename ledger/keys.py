"""Who may call the API: keys as digests, with their scopes, and what became of them.

A key holds 256 random bits. Nobody can try so many, so a plain SHA-256 of it is enough where a password would need a slow hash: who reads
this table cannot call. Keys are never removed: a key that was revoked still says that keys are in use.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, select, update

from ledger import codec, deeds
from ledger.database import Database
from ledger.schema import API_KEYS


@dataclass(frozen=True)
class ApiKey:
    """A key as it is kept: `digest` is the SHA-256 of its text, `expires_at` and `revoked_at` are None where it does not end."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    digest: bytes
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Whether it may be used."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class Keys:
    """The keys of a ledger. What is done to them is kept among the ledger's deeds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, key: ApiKey) -> None:
        """Keep a new key."""
        row = {
            "key_id": key.key_id,
            "name": key.name,
            "scopes": json.dumps(key.scopes),
            "digest": key.digest,
            "created_at": codec.micros(key.created_at),
            "expires_at": None if key.expires_at is None else codec.micros(key.expires_at),
        }
        with self._database.writing() as conn:
            conn.execute(API_KEYS.insert(), row)
            deeds.add(conn, "key_created", key.created_at, {"key_id": key.key_id, "name": key.name, "scopes": list(key.scopes)})

    def all(self) -> list[ApiKey]:
        """Every key that was ever made, oldest first."""
        with self._database.reading() as conn:
            return [_key(row) for row in conn.execute(select(API_KEYS).order_by(API_KEYS.c.created_at, API_KEYS.c.key_id))]

    def revoke(self, key_id: str, now: datetime) -> ApiKey | None:
        """End a key now; one that was revoked before stays as it was. None where there is no such key."""
        chosen = API_KEYS.c.key_id == key_id
        with self._database.writing() as conn:
            ended = conn.execute(update(API_KEYS).where(chosen, API_KEYS.c.revoked_at.is_(None)).values(revoked_at=codec.micros(now)))
            row = conn.execute(select(API_KEYS).where(chosen)).one_or_none()
            if ended.rowcount:
                deeds.add(conn, "key_revoked", now, {"key_id": key_id})
        return None if row is None else _key(row)


def _key(row: Row[tuple[object, ...]]) -> ApiKey:
    found = row._mapping
    ends = [None if found[name] is None else codec.moment(found[name]) for name in ("expires_at", "revoked_at")]
    return ApiKey(
        found["key_id"], found["name"], tuple(json.loads(found["scopes"])), bytes(found["digest"]), codec.moment(found["created_at"]), *ends
    )
