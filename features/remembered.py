"""The vectors that were read last, for when their store does not answer: some thousands of contacts, for an hour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic

import numpy as np

from features.online_recent import DAY
from features.packing import as_of_of

MOST_REMEMBERED = 10_000
"""Contacts; a vector is some hundred bytes."""

SECONDS_REMEMBERED = 3_600.0
"""How long what was read may stand in for the store."""


def fresh(vectors: list[bytes | None], max_age_days: float | None, now: np.datetime64) -> list[bytes | None]:
    """The vectors with None for those that were known too long before `now`."""
    if max_age_days is None:
        return vectors
    oldest = now.astype("datetime64[us]") - np.timedelta64(round(max_age_days * DAY), "us")
    return [None if vector is None or as_of_of(vector) < oldest else vector for vector in vectors]


class RememberedVectors:
    """The vectors of the contacts that were read last; threads may share one.

    Parameters
    ----------
    clock : callable
        Seconds that only grow.

    Examples
    --------
    >>> seen = RememberedVectors()
    >>> seen.keep(["a", "b"], [b"A", b"B"])
    >>> seen.keep(["a"], [None])  # who is unknown now is forgotten
    >>> seen.recall(["a", "b", "c"])
    [None, b'B', None]
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[bytes, float]] = {}

    def keep(self, contact_ids: Sequence[str], vectors: Sequence[bytes | None]) -> None:
        """Remember what was just read; the contacts read longest ago make room."""
        kept, now = self._kept, self._clock()
        for contact_id, vector in zip(contact_ids, vectors, strict=True):
            kept.pop(contact_id, None)  # so that it moves to the end
            if vector is not None:
                kept[contact_id] = (vector, now)
        while len(kept) > MOST_REMEMBERED:
            try:
                kept.pop(next(iter(kept)), None)
            except (StopIteration, RuntimeError):  # another thread has made room meanwhile
                return

    def recall(self, contact_ids: Sequence[str]) -> list[bytes | None]:
        """The vectors of contacts in their order, None where none is remembered, or not lately enough."""
        oldest = self._clock() - SECONDS_REMEMBERED
        found = (self._kept.get(contact_id) for contact_id in contact_ids)
        return [None if one is None or one[1] < oldest else one[0] for one in found]
