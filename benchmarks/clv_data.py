"""What the CLV benchmark measures on: the published sample of CDNOW, whole example workspaces, a simulated business of a million buyers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.small_world import Array
from decisioning.catalog import Catalog, parse_catalog
from features.ingest import ingest
from features.store import FeatureDoor, OnlineConfig
from nudge.verbs.examples import init_workspace

DATA = Path(os.environ.get("NUDGE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
CUT = np.datetime64("1997-09-30")


@dataclass(frozen=True)
class Workspace:
    """An example workspace with its features built."""

    folder: Path
    catalog: Catalog
    door: FeatureDoor


def workspace(example: str, data: Path, as_of: np.datetime64, horizon_days: float, folder: Path) -> Workspace:
    """What `nudge init`, `ingest` and `features build` make; money is neither discounted nor cut to its margin, as in published tables."""
    init_workspace(folder, example, {"data": str(data)})
    config: dict[str, Any] = yaml.safe_load((folder / "nudge.yaml").read_text(encoding="utf-8"))
    raw = yaml.safe_load((folder / "catalog.yaml").read_text(encoding="utf-8"))
    catalog = parse_catalog({**raw, "horizon_days": horizon_days, "clv": {"annual_discount_rate": 0.0}})
    ingest(folder, config["sources"], outcomes=catalog.outcomes, actions=set(catalog.action_by_id), now=datetime(2026, 1, 1, tzinfo=UTC))
    door = FeatureDoor(folder, project=example, online=OnlineConfig())
    door.build(as_of)
    return Workspace(folder, catalog, door)


def cdnow_sample() -> Array:
    """The one-in-ten sample of the published studies, one row a customer: x, t_x and T in weeks, mean money of the repeat days."""
    days_of: dict[str, dict[np.datetime64, float]] = {}
    for line in (DATA / "cdnow_sample.txt").read_text(encoding="ascii").splitlines():
        _, customer, day, _, dollars = line.split()
        date = np.datetime64(f"{day[:4]}-{day[4:6]}-{day[6:]}")
        spent = days_of.setdefault(customer, {})
        spent[date] = spent.get(date, 0.0) + float(dollars)
    return np.array([_statistics(spent) for spent in days_of.values()])


def _statistics(spent: dict[np.datetime64, float]) -> list[float]:
    past = sorted(day for day in spent if day <= CUT)
    week = np.timedelta64(7, "D")
    money = float(np.mean([spent[day] for day in past[1:]])) if len(past) > 1 else np.nan
    return [len(past) - 1, (past[-1] - past[0]) / week, (CUT - past[0]) / week, money]


@dataclass(frozen=True)
class Buyers:
    """Simulated buyers at a moment: x, t_x, T in days, mean money of the repeat days; and what comes over the next days."""

    repeat: Array
    last_gap: Array
    age: Array
    mean_money: Array
    future_money: Array


class SimulatedShop:
    """Buyers who buy at their own rate, leave at their own time and spend around their own mean: the truth of Pareto/NBD x Gamma-Gamma."""

    def __init__(self, buyers: int, seed: int, longest_days: float) -> None:
        rng = self._rng = np.random.default_rng(seed)
        self.start = rng.integers(0, 360, buyers).astype(np.float64)
        self._rate = rng.gamma(0.8, 1 / 40.0, buyers)
        self._leaves = rng.exponential(1 / rng.gamma(1.2, 1 / 300.0, buyers))
        self._price = 60.0 / rng.gamma(4.0, 1 / 3.0, buyers)
        active = np.minimum(self._leaves, longest_days - self.start)
        count = rng.poisson(self._rate * active)
        self._who = np.repeat(np.arange(buyers), count)
        # Whole days, as the features count them; two purchases of one day are one.
        self._when = np.ceil(rng.random(len(self._who)) * active[self._who])
        key = np.unique(self._who * 100_000 + self._when.astype(np.int64))
        self._who, self._when = key // 100_000, (key % 100_000).astype(np.float64)
        self._money = rng.gamma(6.0, self._price[self._who] / 6.0)

    def at(self, day: float, future_days: float) -> Buyers:
        """What is known on a day, and the money of the days after it."""
        known = self.start < day
        n = len(self.start)
        absolute = self.start[self._who] + self._when
        past, future = absolute <= day, (absolute > day) & (absolute <= day + future_days)
        repeat = np.bincount(self._who[past], minlength=n).astype(np.float64)
        money = np.bincount(self._who[past], self._money[past], minlength=n)
        last = np.zeros(n)
        np.maximum.at(last, self._who[past], self._when[past])
        mean = np.where(repeat > 0, money / np.maximum(repeat, 1.0), np.nan)
        to_come = np.bincount(self._who[future], self._money[future], minlength=n)
        return Buyers(repeat[known], last[known], (day - self.start)[known], mean[known], to_come[known].astype(np.float64))
