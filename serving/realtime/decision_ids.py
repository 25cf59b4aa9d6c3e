"""Ids that sort by time (UUID version 7, RFC 9562), and ids that derive from what they name."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from decisioning.vocabulary import TextArray


def new_decision_id(now: datetime) -> str:
    """A new id: 48 bits of milliseconds, then 74 random bits.

    Examples
    --------
    >>> from datetime import UTC
    >>> new_decision_id(datetime(2026, 11, 22, tzinfo=UTC))[:13]
    '01a2008d-7400'
    """
    return _texts(now, [secrets.token_bytes(10)])[0]


def derived_decision_id(now: datetime, *parts: str) -> str:
    """The id of the decision named by `parts`: the same parts and moment give the same id."""
    return derived_decision_ids(now, parts[:-1], parts[-1:])[0]


def derived_decision_ids(now: datetime, parts: Iterable[str], last: Iterable[str]) -> list[str]:
    """The ids of many decisions, whose names differ in their `last` part."""
    begun = hashlib.sha256("".join(f"{part}\0" for part in parts).encode())

    def digest(one: str) -> bytes:
        named = begun.copy()
        named.update(one.encode())
        return named.digest()[:10]

    return _texts(now, map(digest, last))


@dataclass(frozen=True)
class DerivedIds:
    """The ids of many decisions, derived when they are asked for: an id kept takes a hundred bytes, and a plan has a million.

    Attributes
    ----------
    now, parts : of `derived_decision_ids`
    last : array of str, shape (n,)
    """

    now: datetime
    parts: tuple[str, ...]
    last: TextArray

    def __len__(self) -> int:
        return len(self.last)

    def __getitem__(self, rows: Any) -> Any:
        """The id of one; or those of some, which are not derived before they are asked for."""
        last = self.last[rows]
        return derived_decision_id(self.now, *self.parts, last) if isinstance(last, str) else DerivedIds(self.now, self.parts, last)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tolist())

    def tolist(self) -> list[str]:
        """All of them."""
        return derived_decision_ids(self.now, self.parts, self.last.tolist())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> TextArray:
        return np.array([*self.tolist()], dtype=object)


def _texts(now: datetime, tails: Iterable[bytes]) -> list[str]:
    """The ids of a moment, one for each ten bytes, of which six bits make room for version and variant."""
    time = (int(now.timestamp() * 1000) & ((1 << 48) - 1)).to_bytes(6, "big")
    found = bytearray(b"".join(time + tail for tail in tails))
    found[6::16] = bytes(0x70 | one & 0x0F for one in found[6::16])
    found[8::16] = bytes(0x80 | one & 0x3F for one in found[8::16])
    digits = found.hex()
    return [_dashed(digits[start : start + 32]) for start in range(0, len(digits), 32)]


def _dashed(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
