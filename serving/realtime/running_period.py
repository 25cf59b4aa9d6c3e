"""The running period of the price book, as its meters show it: what things cost now, what is left, what may be given up to learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from decisioning.catalog import Catalog
from decisioning.exploration import allowance_now
from decisioning.price_book import PriceBook, current_prices, room_left
from ledger.store import Ledger

EXPLORATION = "~exploration"
"""The meter of what exploring costs, in money of expected profit; no id of a constraint begins so."""


@dataclass(frozen=True)
class RunningPeriod:
    """What a decision at one moment has to pay and may use.

    Attributes
    ----------
    key : str
        Names the period whose meters count.
    prices, room : mapping constraint id -> money, units
    allowance : float
        Money that one decision may give up to explore.
    used_at_first : mapping constraint id -> units
        What the period's meters begin with.
    """

    key: str
    prices: Mapping[str, float]
    room: Mapping[str, float]
    allowance: float
    used_at_first: Mapping[str, float]


def running_period(book: PriceBook, catalog: Catalog, ledger: Ledger, now: np.datetime64) -> RunningPeriod:
    """The period that `now` lies in; the ledger is asked only where the catalogue limits something or explores.

    Raises
    ------
    Unavailable
        The ledger does not answer.
    """
    key = metered(book, catalog, now)
    return period_of(book, catalog, {} if key is None else ledger.meters(key), now)


def metered(book: PriceBook, catalog: Catalog, now: np.datetime64) -> str | None:
    """The key of the period that `now` lies in, None where nothing is metered."""
    return f"{book.id}/{book.period(now).number}" if catalog.constraints or catalog.exploration.budget > 0 else None


def period_of(book: PriceBook, catalog: Catalog, used: Mapping[str, float], now: np.datetime64) -> RunningPeriod:
    """The period that `now` lies in, with meters that show `used`."""
    period = book.period(now)
    budget = catalog.exploration.budget
    allowance = 0.0
    if budget > 0:
        spent = used.get(EXPLORATION, 0.0)
        allowance = allowance_now(budget, spent, elapsed=period.elapsed, head_start=min(1.0, 1.0 / catalog.period_days))
    return RunningPeriod(
        key=f"{book.id}/{period.number}",
        prices=current_prices(book, now, used),
        room=room_left(book, now, used),
        allowance=allowance,
        used_at_first=book.used_at_first(period.number),
    )
