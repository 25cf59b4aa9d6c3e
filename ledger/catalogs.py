"""Every catalogue that decided something, by its fingerprint, so that its decisions can be made again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from ledger import codec
from ledger.database import insert_missing
from ledger.schema import CATALOGS


def catalog_key(fingerprint: str, contract_hash: str) -> str:
    """Names a catalogue together with the feature contract that it was compiled against."""
    return f"{fingerprint} {contract_hash}"


def keep(conn: Connection, fingerprint: str, body: Mapping[str, Any]) -> None:
    """Keep a catalogue; one that is there already stays."""
    insert_missing(conn, CATALOGS, [{"fingerprint": fingerprint, "body": codec.to_json(body)}])


def by_fingerprint(conn: Connection, fingerprint: str) -> dict[str, Any] | None:
    """The catalogue as it was, None where it was never kept."""
    body = conn.execute(select(CATALOGS.c.body).where(CATALOGS.c.fingerprint == fingerprint)).scalar_one_or_none()
    return None if body is None else dict(json.loads(body))
