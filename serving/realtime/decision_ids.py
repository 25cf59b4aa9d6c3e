"""Ids that sort by time (UUID version 7, RFC 9562), and ids that derive from what they name."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from datetime import datetime


def new_decision_id(now: datetime) -> str:
    """A new id: 48 bits of milliseconds, then 74 random bits.

    Examples
    --------
    >>> from datetime import UTC
    >>> new_decision_id(datetime(2026, 11, 22, tzinfo=UTC))[:13]
    '01a2008d-7400'
    """
    return _uuid7(now, int.from_bytes(secrets.token_bytes(10), "big"))


def derived_decision_id(now: datetime, *parts: str) -> str:
    """The id of the decision named by `parts`: the same parts and moment give the same id."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return _uuid7(now, int.from_bytes(digest[:10], "big"))


def _uuid7(now: datetime, bits: int) -> str:
    milliseconds = int(now.timestamp() * 1000) & ((1 << 48) - 1)
    value = milliseconds << 80 | bits & ((1 << 80) - 1)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))
