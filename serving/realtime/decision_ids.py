"""Ids that sort by time (UUID version 7, RFC 9562), and ids that derive from what they name."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator
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
    return next(derived_decision_ids(now, parts[:-1], parts[-1:]))


def derived_decision_ids(now: datetime, parts: Iterable[str], last: Iterable[str]) -> Iterator[str]:
    """The ids of many decisions, whose names differ in their `last` part."""
    begun = hashlib.sha256("".join(f"{part}\0" for part in parts).encode())
    milliseconds = _milliseconds(now)
    for one in last:
        named = begun.copy()
        named.update(one.encode())
        yield _text(milliseconds, int.from_bytes(named.digest()[:10], "big"))


def _uuid7(now: datetime, bits: int) -> str:
    return _text(_milliseconds(now), bits)


def _milliseconds(now: datetime) -> int:
    return int(now.timestamp() * 1000) & ((1 << 48) - 1)


def _text(milliseconds: int, bits: int) -> str:
    value = milliseconds << 80 | bits & ((1 << 80) - 1)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
