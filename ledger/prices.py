"""The published price book: shadow prices that a plan hands to real time. Every book is kept; the newest row holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert, select

from ledger import codec
from ledger.schema import PRICES

_NEWEST = select(PRICES.c.book).order_by(PRICES.c.id.desc()).limit(1)


def publish(conn: Connection, book: Mapping[str, Any]) -> None:
    """Make `book` the price book that holds."""
    conn.execute(insert(PRICES), {"book": codec.to_json(book)})


def newest(conn: Connection) -> dict[str, Any] | None:
    """The price book that holds, None before the first."""
    book = conn.execute(_NEWEST).scalar_one_or_none()
    return None if book is None else dict(json.loads(book))
