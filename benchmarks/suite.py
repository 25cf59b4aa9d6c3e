"""The benchmarks by name: each measures, and returns its figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks import (
    allocation,
    bank,
    big_catalog,
    closed_loop,
    clv,
    demo_banks,
    endurance,
    hillstrom_plan,
    hillstrom_uplift,
    hot_path,
    http,
    leads,
    million,
    off_policy,
    online,
    peers,
    point_in_time,
    promotion,
    real_time_month,
    report_truth,
    reports,
    scoring,
    small_effects,
    training_cost,
    uplift_policies,
)
from benchmarks.results import Figure

Benchmark = Callable[[], Sequence[Figure]]

BENCHMARKS: dict[str, Benchmark] = {
    "small_effects": small_effects.measure,
    "uplift_policies": uplift_policies.measure,
    "hillstrom_uplift": hillstrom_uplift.measure,
    "demo_banks": demo_banks.measure,
    "hillstrom_plan": hillstrom_plan.measure,
    "real_time_month": real_time_month.measure,
    "big_catalog": big_catalog.measure,
    "allocation": allocation.measure,
    "clv": clv.measure,
    "bank": bank.measure,
    "leads": leads.measure,
    "scoring": scoring.measure,
    "http": http.measure,
    "hot_path": hot_path.measure,
    "online": online.measure,
    "point_in_time": point_in_time.measure,
    "off_policy": off_policy.measure,
    "promotion": promotion.measure,
    "reports": reports.measure,
    "report_truth": report_truth.measure,
}

OPTIONAL: dict[str, Benchmark] = {
    "peers": peers.measure,
    "endurance": endurance.measure,
    "million": million.measure,
    "closed_loop": closed_loop.measure,
    "training_cost": training_cost.measure,
}
"""Run by name only: they take long, or need what `make setup` does not install."""
