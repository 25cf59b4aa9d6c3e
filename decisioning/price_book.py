"""What real time pays for what it uses: the shadow prices that a plan published, kept in step with how fast each limit is used up.

A plan's prices are bid prices (Talluri and van Ryzin, An analysis of bid-price controls for network revenue management, 1998): a candidate
is worth taking when it is worth more than the limits it uses. They hold for a period. Within it each price follows the dual subgradient in
its accumulated form (follow the regularised leader; Balseiro and Gur, Learning in repeated auctions with budgets, 2019; Balseiro, Lu,
Mirrokni, The best of many worlds: dual mirror descent for online allocation problems, 2023)::

    price(t) = max(0, price(0) + response * scale * (used(t) - due(t)) / still due(t))

    due(t) = planned + (limit - planned) * elapsed(t)           still due(t) = (limit - planned) * (1 - elapsed(t))

so what is used faster than it is due becomes dearer, and what is left over becomes cheaper, whatever the forecast was. A deviation counts
against what is still due, as if the plan were solved again with what is left (Jasin and Kumar, A re-solving heuristic with bounded revenue
loss for network revenue management with customer choice, 2012): a price that was published too low then settles where the limit lasts
to the end of the period. Against the whole limit instead it would settle short of it, and the limit would be gone before the end. The
benchmark `real_time_month` measures it.

A price is a function of the published price, the time and the meter alone: every process that reads the same meters pays the same. A
minimum is the mirror image, a bonus that grows while the volume is behind and ends when it is reached.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from decisioning.catalog import Catalog

RESPONSE = 1.0
"""By how many times its scale a price moves when as much is used beyond what is due as is still due."""

_LAST_STRETCH = 0.02
"""At least this fraction of a period counts as still to come, so that the last few uses of a limit do not toss its price about."""

WITHOUT_PLAN = "no-plan"
_MICROSECONDS_A_DAY = 86_400_000_000
_EPOCH = np.datetime64(0, "us")


@dataclass(frozen=True)
class Line:
    """One constraint in the book.

    Attributes
    ----------
    most : float
        Units of money or contacts that may be used in a period; infinity where there is no `max`.
    least : float
        Units that should be reached in a period; 0 where there is no `min`.
    price : float
        As published, money for one more unit; below 0 where the minimum binds: a bonus.
    scale : float
        Money a unit earns on average: by what measure a price moves. At least the size of `price`.
    planned : float
        Units that the plan itself reserved when it was published; they count in its first period.
    """

    most: float
    least: float = 0.0
    price: float = 0.0
    scale: float = 0.0
    planned: float = 0.0


@dataclass(frozen=True)
class Period:
    """One stretch of the book's time: `number` from 0, `elapsed` in [0, 1), `begins_at` UTC."""

    number: int
    elapsed: float
    begins_at: np.datetime64


@dataclass(frozen=True)
class PriceBook:
    """Published prices: from `begins_at` (UTC), period after period of `period_days`, one line a constraint of the catalogue."""

    id: str
    begins_at: np.datetime64
    period_days: float
    lines: Mapping[str, Line]

    @classmethod
    def without_plan(cls, catalog: Catalog) -> PriceBook:
        """The book before any plan: nothing has a price, but no limit is exceeded in any period either."""
        return cls(WITHOUT_PLAN, _EPOCH, catalog.period_days, {one.id: Line(_most(one.max), one.min or 0.0) for one in catalog.constraints})

    def under(self, catalog: Catalog) -> PriceBook:
        """The book with the limits of `catalog` as they are now; a constraint it does not know has no price yet."""
        lines = {}
        for one in catalog.constraints:
            known = self.lines.get(one.id, Line(np.inf))
            lines[one.id] = Line(_most(one.max), one.min or 0.0, known.price, known.scale, known.planned)
        return PriceBook(self.id, self.begins_at, catalog.period_days, lines)

    def period(self, now: np.datetime64) -> Period:
        """The period that `now` lies in; a moment before the book began counts as its beginning.

        Examples
        --------
        >>> book = PriceBook("p-1", np.datetime64("2026-11-01", "us"), 30.0, {})
        >>> book.period(np.datetime64("2026-12-16", "us"))
        Period(number=1, elapsed=0.5, begins_at=np.datetime64('2026-12-01T00:00:00.000000'))
        """
        return _period(self.begins_at, self.period_days, now)

    def used_at_first(self, number: int) -> dict[str, float]:
        """What the meters of period `number` begin with: in the first, what the plan reserved."""
        return {name: line.planned if number == 0 else 0.0 for name, line in self.lines.items()}


@lru_cache(maxsize=256)  # the decisions of a batch are of one moment, and each step asks for it
def _period(begins_at: np.datetime64, period_days: float, now: np.datetime64) -> Period:
    span = round(period_days * _MICROSECONDS_A_DAY)
    since = max(0, int((now.astype("datetime64[us]") - begins_at.astype("datetime64[us]")).astype(np.int64)))
    number = since // span
    return Period(number, (since - number * span) / span, begins_at + np.timedelta64(number * span, "us"))


def current_prices(book: PriceBook, now: np.datetime64, used: Mapping[str, float]) -> dict[str, float]:
    """What one more unit of each constraint costs now, money; below 0 it is a bonus. `used` is what the running period's meters show.

    Examples
    --------
    >>> book = PriceBook("p-1", np.datetime64("2026-11-01", "us"), 30.0, {"calls": Line(most=100.0, price=5.0, scale=5.0)})
    >>> half = np.datetime64("2026-11-16", "us")
    >>> [current_prices(book, half, {"calls": used})["calls"] for used in (50.0, 60.0, 0.0)]
    [5.0, 6.0, 0.0]
    """
    period = book.period(now)
    first = book.used_at_first(period.number)
    return {name: _price(line, used.get(name, first[name]), first[name], period.elapsed) for name, line in book.lines.items()}


def room_left(book: PriceBook, now: np.datetime64, used: Mapping[str, float]) -> dict[str, float]:
    """Units of each constraint that may still be used in the running period, never below 0; infinity where there is no `max`."""
    first = book.used_at_first(book.period(now).number)
    return {name: max(0.0, line.most - used.get(name, first[name])) for name, line in book.lines.items()}


def _price(line: Line, used: float, planned: float, elapsed: float) -> float:
    step = RESPONSE * max(line.scale, abs(line.price))
    dear = bonus = 0.0
    if math.isfinite(line.most) and line.most > 0:
        dear = max(0.0, max(0.0, line.price) + step * _ahead(used, line.most, planned, elapsed))
    if used < line.least:
        bonus = max(0.0, max(0.0, -line.price) - step * _ahead(used, line.least, planned, elapsed))
    return dear - bonus


def _ahead(used: float, limit: float, planned: float, elapsed: float) -> float:
    """What is used beyond what is due, as a fraction of what is still due; of the whole limit where the plan reserved it all."""
    open_at_first = max(0.0, limit - planned)
    still_due = (open_at_first or limit) * max(1.0 - elapsed, _LAST_STRETCH)
    return (used - planned - open_at_first * elapsed) / still_due


def _most(limit: float | None) -> float:
    return np.inf if limit is None else limit
