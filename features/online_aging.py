"""Everybody's online features at a later moment than that of their vectors: what time alone has changed since.

A vector is as of its materialisation, or of its contact's newest event. What is computed from what happened to the contact (windows, days
since, sessions) is computed anew here, from the same definitions; attributes and what `OnlineFeatures.kept` names stay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from decisioning.vocabulary import Columns
from features.online import OnlineVectors, Stored, contact_of
from features.online_events import OnlineFeatures, Windows
from features.online_recent import Recent
from features.packing import as_of_of
from features.remembered import fresh


@dataclass(frozen=True)
class Aging:
    """The contacts of an online store, as time goes by.

    Parameters
    ----------
    vectors : OnlineVectors
    features : OnlineFeatures
    max_age_days : float or None
        What was known longer ago than this counts as unknown.
    """

    vectors: OnlineVectors
    features: OnlineFeatures
    max_age_days: float | None = None

    def pages(self, names: Collection[str], now: np.datetime64, size: int) -> Iterator[tuple[list[str], Columns]]:
        """Everybody with their features, those of `names` as of `now` (UTC) or of their vector where that is later.

        At most `size` contacts at a time; somebody may come twice.

        Raises
        ------
        Unavailable
            Where the store cannot be read.
        """
        for page in self.vectors.pages(size):
            yield [contact_of(key) for key, _, _ in page], self._columns(page, names, now)

    def _columns(self, page: Sequence[Stored], names: Collection[str], now: np.datetime64) -> Columns:
        vectors = fresh([vector for _, vector, _ in page], self.max_age_days, now)
        at = int(now.astype("datetime64[us]").astype(np.int64))
        columns, found = self.features.unpacked(vectors, at)
        wanted = {name: self.features.computed[name] for name in names if name in self.features.computed}
        if not wanted:
            return columns
        aged = {name: columns[name].copy() for name in wanted}
        for place in np.flatnonzero(found).tolist():
            _, vector, kept = page[place]
            recent = None if kept is None else Recent.from_bytes(kept, self.features.codes)
            if recent is None:
                continue
            windows = Windows(recent, max(at, int(as_of_of(vector).astype(np.int64))))
            for name, compute in wanted.items():
                aged[name][place] = compute(windows)  # type: ignore[assignment]  # None is NULL: NaN among numbers
        return {**columns, **aged}
