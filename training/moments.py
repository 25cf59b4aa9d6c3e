"""Until when a training run reads: the interactions, what CLV learns from, and what followed the ingested interactions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.context import ModelName
from training.dataset import default_as_of, ingested_until
from training.own_log import OwnLog

_AT_ONCE = np.timedelta64(1, "us")


@dataclass(frozen=True)
class Moments:
    """The exclusive cuts in time of a training run.

    Attributes
    ----------
    interactions, spending : datetime64[us]
        Of the interactions, and of what CLV learns from: what was ingested ends where it ends.
    ingested_until : datetime64[us] or None
        Until when it is known what followed the ingested interactions; None: until `interactions`.
    """

    interactions: np.datetime64
    spending: np.datetime64
    ingested_until: np.datetime64 | None

    @classmethod
    def of(cls, data_dir: Path, own: OwnLog | None, as_of: np.datetime64 | None) -> Moments:
        """At `as_of`, by default just after the newest row that was ingested or that the ledger has.

        Who names a later moment than that says that all until then was ingested: a campaign whose last response came before its windows
        closed has nothing else that could say so.

        Raises
        ------
        NotFound
            Nothing was ingested, and there is no as_of.
        """
        asked, until = None if as_of is None else as_of.astype("datetime64[us]"), ingested_until(data_dir)
        if asked is not None and until is None:
            return cls(asked, asked, None)
        ingested = default_as_of(data_dir)
        newest = ingested if own is None or own.newest_at is None else max(ingested, np.datetime64(own.newest_at, "us") + _AT_ONCE)
        if asked is None:
            return cls(newest, ingested, until)
        return cls(asked, asked, None if asked > newest else until)

    def of_model(self, model: ModelName) -> np.datetime64:
        """The cut of what a model learns from."""
        return self.spending if model == "clv" else self.interactions
