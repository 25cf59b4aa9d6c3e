"""How much of the best possible month does real time earn, contact after contact, at a plan's prices?

Contacts arrive at random over a month, each with the same treatments and a worth of its own; money, calls and vouchers are limited, and
one action has a minimum volume. Prices come from a plan on a forecast of the month; then the month differs from the forecast. The best
possible month is the allocation of all who came, known in advance: its bound. What is missing of the minimum is charged at the price that
the allocation has for it, so that nobody gains by ignoring it (that bound holds for anybody who is charged so).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.results import Figure
from decisioning.allocation import NONE, Allocation, Limits, Offers, allocate
from decisioning.price_book import Line, PriceBook, current_prices
from decisioning.vocabulary import FloatArray

CONTACTS, SEEDS, PERIOD_DAYS = 10_000, 5, 30
FIRST_COME, PUBLISHED, ADAPTIVE = "first come, first served", "published prices", "adaptive prices"
POLICIES = (FIRST_COME, PUBLISHED, ADAPTIVE)

# One column a treatment: mail, web and call of what sells; a voucher by mail; mail and call of what has to reach its volume.
_WORTH = np.array([2.0, 1.5, 14.0, 12.0, 1.0, 4.0])
_COST = np.array([0.1, 0.0, 9.0, 8.0, 0.1, 9.0])
_IS_CALL = np.array([0.0, 0.0, 1.0, 0.0, 0.0, 1.0])
_IS_VOUCHER = np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0])
_HAS_A_MINIMUM = np.array([0.0, 0.0, 0.0, 0.0, 1.0, 1.0])
_USES = np.column_stack([_COST, _IS_CALL, _IS_VOUCHER, _HAS_A_MINIMUM])
_NAMES = ("money", "calls", "vouchers", "volume")
_MOST_A_CONTACT = np.array([1.2, 0.07, 0.1, np.inf])
_LEAST_A_CONTACT = np.array([0.0, 0.0, 0.0, 0.15])
_RICH, _RICH_SHARE = 3.0, 0.25
_BEGINS = np.datetime64("2026-11-01", "us")
_DAYS_OF_A_WEEK = np.array([1.0, 1.0, 1.1, 1.0, 1.2, 0.7, 0.6])


@dataclass(frozen=True)
class Drift:
    """How a month differs from its forecast: how many come, the share of the rich at its beginning and end, and who comes late."""

    traffic: float = 1.0
    rich: tuple[float, float] = (_RICH_SHARE, _RICH_SHARE)
    late: float = 0.0


DRIFTS: dict[str, Drift] = {
    "as forecast": Drift(),
    "half as many again": Drift(traffic=1.5),
    "a third fewer": Drift(traffic=0.67),
    "richer": Drift(rich=(0.45, 0.45)),
    "poorer": Drift(rich=(0.1, 0.1)),
    "richer towards the end": Drift(rich=(0.1, 0.45)),
    "most of them late": Drift(late=1.0),
}


@dataclass(frozen=True)
class Month:
    """Who came: `at` in fractions of the period, ascending, shape (n,), and the priority of each treatment, shape (n, n_treatments)."""

    at: FloatArray
    value: FloatArray


@dataclass(frozen=True)
class Run:
    """What a policy earned in a month and what it used of each limit."""

    profit: float
    used: FloatArray


def simulate(drift: Drift, contacts: int, rng: np.random.Generator) -> Month:
    """A month of about `contacts` times the drift's traffic: by days of the week and hours of the day, at random within them."""
    at = _arrivals(rng.poisson(contacts * drift.traffic), drift.late, rng)
    rich = rng.random(len(at)) < drift.rich[0] + (drift.rich[1] - drift.rich[0]) * at
    size = (len(at), len(_WORTH))
    taste = rng.lognormal(-0.3, 0.8, size) * np.where(rich, _RICH, 1.0)[:, None]
    return Month(at, taste * _WORTH - _COST)


def _arrivals(count: int, late: float, rng: np.random.Generator) -> FloatArray:
    hours = np.arange(PERIOD_DAYS * 24)
    rate = _DAYS_OF_A_WEEK[hours // 24 % 7] * (1.0 + 0.9 * np.sin((hours % 24 - 8) * np.pi / 12))
    rate = rate * (1.0 + late * (2.0 * hours / len(hours) - 1.0) * 0.8)
    hour = rng.choice(hours, count, p=rate / rate.sum())
    return np.sort((hour + rng.random(count)) / len(hours))


def limits_of(contacts: int) -> Limits:
    """The month's limits, set for a forecast of `contacts`."""
    return Limits(np.ceil(_MOST_A_CONTACT * contacts), np.floor(_LEAST_A_CONTACT * contacts))


def best_in_hindsight(month: Month, limits: Limits) -> Allocation:
    """The allocation of all who came."""
    contact, treatment = (part.ravel() for part in np.indices(month.value.shape))
    first = np.zeros(len(contact), dtype=np.bool_)
    offers = Offers(contact, treatment, month.value.ravel(), treatment, _USES, first, treatment)
    return allocate(offers, limits, len(month.at))


def publish(plan: Allocation, month: Month, limits: Limits) -> PriceBook:
    """The price book of a plan: each price, and what a unit of its limit earned on average as the scale by which it moves."""
    taken = plan.choice[plan.choice != NONE]
    uses = _USES[taken % len(_WORTH)]
    earned = month.value.ravel()[taken] @ (uses > 0)
    scales = np.maximum(earned / np.maximum(uses.sum(axis=0), 1.0), 0.0)
    lines = {
        name: Line(float(limits.most[place]), float(limits.least[place]), float(plan.shadow_prices[place]), float(scales[place]))
        for place, name in enumerate(_NAMES)
    }
    return PriceBook("p-1", _BEGINS, float(PERIOD_DAYS), lines)


Prices = Callable[[float, Mapping[str, float]], FloatArray]
"""The price of each limit at a moment (a fraction of the period), given what is used."""


def prices_of(policy: str, book: PriceBook) -> Prices:
    """The prices that each of the policies asks."""
    published = np.array([book.lines[name].price for name in _NAMES])
    if policy == FIRST_COME:
        return lambda _at, _used: np.zeros(len(_NAMES))
    if policy == PUBLISHED:
        return lambda _at, _used: published
    microseconds = PERIOD_DAYS * 86_400_000_000

    def adaptive(at: float, used: Mapping[str, float]) -> FloatArray:
        now = current_prices(book, _BEGINS + np.timedelta64(int(at * microseconds), "us"), used)
        return np.array([now[name] for name in _NAMES])

    return adaptive


def play(month: Month, limits: Limits, prices: Prices) -> Run:
    """Contact after contact: the best treatment after prices that is worth more than nothing and fits what is left."""
    used, profit = np.zeros(len(_NAMES)), 0.0
    for at, value in zip(month.at.tolist(), month.value, strict=True):
        asked = prices(at, dict(zip(_NAMES, used.tolist(), strict=True)))
        worth = np.where((used + _USES <= limits.most).all(axis=1), value - _USES @ asked, -np.inf)
        best = int(worth.argmax())
        if worth[best] > 0:
            used = used + _USES[best]
            profit += float(value[best])
    return Run(profit, used)


def charged(run: Run, limits: Limits, hindsight: Allocation) -> float:
    """The profit of `run`, less what it misses of minimums at their price in hindsight, money."""
    missing = np.maximum(limits.least - run.used, 0.0)
    return run.profit - float(missing @ np.maximum(-hindsight.shadow_prices, 0.0))


@dataclass(frozen=True)
class Forecast:
    """What was expected of the month, and what the plan on it published."""

    limits: Limits
    book: PriceBook

    @classmethod
    def of(cls, contacts: int, seed: int) -> Forecast:
        """A plan on `contacts` drawn from the forecast."""
        limits, expected = limits_of(contacts), simulate(Drift(), contacts, np.random.default_rng([seed, 0]))
        return cls(limits, publish(best_in_hindsight(expected, limits), expected, limits))


def shares(forecast: Forecast, month: Month) -> dict[str, float]:
    """What each policy earns of the best possible month, charged for what it misses."""
    hindsight = best_in_hindsight(month, forecast.limits)
    runs = {policy: play(month, forecast.limits, prices_of(policy, forecast.book)) for policy in POLICIES}
    return {policy: charged(run, forecast.limits, hindsight) / hindsight.bound for policy, run in runs.items()}


def all_shares(contacts: int = CONTACTS, seeds: int = SEEDS) -> dict[str, dict[str, FloatArray]]:
    """By drift and policy, one share a seed."""
    found: dict[str, dict[str, list[float]]] = {name: {policy: [] for policy in POLICIES} for name in DRIFTS}
    for seed in range(seeds):
        forecast = Forecast.of(contacts, seed)
        for name, drift in DRIFTS.items():
            month = simulate(drift, contacts, np.random.default_rng([seed, 1]))
            for policy, share in shares(forecast, month).items():
                found[name][policy].append(share)
    return {name: {policy: np.array(one) for policy, one in by_policy.items()} for name, by_policy in found.items()}


def standard_error(values: FloatArray) -> float:
    """Of the mean over the seeds."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def measure() -> Sequence[Figure]:
    """The share of the best possible month that each policy earns, month by month."""
    found = all_shares()
    figures = [
        Figure(
            f"real_time_month.{policy}, {name}",
            float(by_policy[policy].mean()),
            f"of the best month in hindsight (SE {standard_error(by_policy[policy]):.2g})",
            peer=PUBLISHED if policy == ADAPTIVE else None,
            peer_value=float(by_policy[PUBLISHED].mean()) if policy == ADAPTIVE else None,
            goal=">= 0.95" if policy == ADAPTIVE else None,
        )
        for policy in (FIRST_COME, ADAPTIVE)
        for name, by_policy in found.items()
    ]
    for other in (FIRST_COME, PUBLISHED):
        more = sum(bool(by_policy[ADAPTIVE].mean() > by_policy[other].mean()) for by_policy in found.values())
        figures.append(
            Figure(f"real_time_month.adaptive prices earn more than {other}", more, f"of {len(found)} months", goal=f">= {len(found)}")
        )
    return figures
