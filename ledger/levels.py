"""How far the level of responses has moved since the models were trained, in numbered versions; the newest holds, every one is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert, select

from ledger import codec
from ledger.schema import LEVELS

_NEWEST = select(LEVELS.c.id, LEVELS.c.body).order_by(LEVELS.c.id.desc()).limit(1)


def keep(conn: Connection, body: Mapping[str, Any]) -> int:
    """Keep the levels as a new version; returns its number."""
    done = conn.execute(insert(LEVELS).returning(LEVELS.c.id), {"body": codec.to_json(body)})
    return int(done.scalar_one())


def read(conn: Connection, version: int | None) -> tuple[int, dict[str, Any]] | None:
    """A version and its number, the newest where None is asked for; None where there is none."""
    row = conn.execute(_NEWEST if version is None else select(LEVELS.c.id, LEVELS.c.body).where(LEVELS.c.id == version)).one_or_none()
    return None if row is None else (int(row.id), dict(json.loads(row.body)))
