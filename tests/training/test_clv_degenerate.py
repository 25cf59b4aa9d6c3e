"""Businesses that no textbook has: CLV is learned, or refused in words, and what is served is finite."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.store import FeatureDoor, OnlineConfig
from tests.training.workspaces import END, a_catalog
from training.backtest import moments_before
from training.fit_clv import TREES, FittedClv, fit_clv

DAY_US = 86_400_000_000
Events = list[tuple[str, float, float]]
"""(contact, days before END, value)."""


def fit(workspace: Path, events: Events, contacts: int) -> FittedClv | str:
    data = workspace / "data"
    data.mkdir(parents=True)
    ids = [f"c{i:04d}" for i in range(contacts)]
    pq.write_table(pa.table({"contact_id": ids, "age": np.arange(contacts) % 50 + 20}), data / "contacts.parquet")
    if events:
        who, before, value = zip(*events, strict=True)
        moments = END - (np.array(before) * DAY_US).astype("timedelta64[us]")
        table = {"contact_id": list(who), "event_type": ["purchase"] * len(who), "occurred_at": pa.array(moments, pa.timestamp("us"))}
        pq.write_table(pa.table({**table, "value": np.array(value, dtype=float)}), data / "events.parquet")
    (data / "manifest.json").write_text(json.dumps({"newest_at": str(END) + "Z"}))
    door = FeatureDoor(workspace, project="odd", online=OnlineConfig())
    door.build(END)
    found = fit_clv(data, a_catalog(clv={"annual_discount_rate": 0.0}), door, END, seed=7)
    if isinstance(found, FittedClv):
        ids_now, columns = door.population(END)
        clv = found.bundle.clv(columns, END)
        assert len(clv) == len(ids_now) == contacts
        assert np.isfinite(clv).all()
        assert (clv >= 0).all()
        low, high = found.bundle.interval(columns, END)
        assert np.isnan(low).all() or (low <= high).all()
    return found


def steady(contacts: int, seed: int = 0, price: float = 20.0) -> Events:
    rng = np.random.default_rng(seed)
    found: Events = []
    for i in range(contacts):
        start, rate = rng.uniform(30, 200), rng.gamma(1.0, 1 / 25.0)
        days = [start, *(start - np.cumsum(rng.exponential(1 / rate, 60)))]
        found += [(f"c{i:04d}", day, rng.gamma(4.0, price / 4.0)) for day in days if day > 0.1]
    return found


def test_where_everybody_bought_once_lightgbm_alone_learns_who_is_still_to_buy(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    found = fit(tmp_path, [(f"c{i:04d}", rng.uniform(1, 200), 30.0) for i in range(600)], contacts=900)
    assert isinstance(found, FittedClv) or "too few buyers bought twice" in found
    if isinstance(found, FittedClv):
        assert found.served == TREES
        assert any("too few buyers bought twice" in note for note in found.notes)


def test_where_all_was_bought_on_one_day_there_is_no_history_to_learn_from(tmp_path: Path) -> None:
    found = fit(tmp_path, [(f"c{i:04d}", 5.5, 30.0) for i in range(300)], contacts=300)
    assert isinstance(found, str)
    assert "days of purchases; 21 are needed" in found


def test_without_events_and_with_refunds_alone_there_is_nothing_to_learn(tmp_path: Path) -> None:
    none = fit(tmp_path / "none", [], contacts=50)
    refunds = fit(tmp_path / "refunds", [(f"c{i % 50:04d}", 3.0 * i, -20.0) for i in range(60)], contacts=50)
    assert none == refunds == "0 purchases (events with value > 0); 50 are needed"


def test_refunds_are_no_purchases_and_change_nothing(tmp_path: Path) -> None:
    rows = steady(400)
    plain = fit(tmp_path / "plain", rows, contacts=400)
    refunded = fit(tmp_path / "refunded", rows + [(f"c{i:04d}", 50.0, -1e6) for i in range(0, 400, 3)], contacts=400)
    assert isinstance(plain, FittedClv)
    assert isinstance(refunded, FittedClv)
    assert plain.predicted["btyd"].sum() == pytest.approx(refunded.predicted["btyd"].sum(), rel=1e-9)


def test_one_contact_alone_is_refused(tmp_path: Path) -> None:
    found = fit(tmp_path, [("c0000", 2.0 * day, 10.0) for day in range(1, 90)], contacts=1)
    assert isinstance(found, str)
    assert "too few buyers bought twice; got 1" in found


def test_a_hundred_thousand_purchases_of_one_contact_do_not_break_the_others(tmp_path: Path) -> None:
    machine = [("c0399", 200.0 * k / 100_000 + 0.001, 1.0) for k in range(100_000)]
    found = fit(tmp_path, steady(399) + machine, contacts=400)
    assert isinstance(found, FittedClv)
    assert found.predicted["btyd"][:399].sum() == pytest.approx(found.money[:399].sum(), rel=0.4)


def test_one_price_for_all_is_a_price(tmp_path: Path) -> None:
    found = fit(tmp_path, [(who, day, 25.0) for who, day, _ in steady(400)], contacts=400)
    assert isinstance(found, FittedClv)
    assert "mean money" in found.bundle.method


def test_moments_lie_half_a_window_apart_and_leave_a_window_of_history() -> None:
    found = moments_before(END, 60.0, 200.0)
    assert [int((END - at) / np.timedelta64(1, "D")) for at in found] == [60, 90, 120]
    assert len(moments_before(END, 30.0, 1000.0)) == 5
    assert moments_before(END, 60.0, 100.0) == []
