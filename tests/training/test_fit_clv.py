from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.built import read_built
from features.store import FeatureDoor, OnlineConfig
from tests.training.workspaces import END, a_catalog, write_business
from training.fit_clv import BTYD, FittedClv, fit_clv
from training.spending import money_between, purchase_span

DAY = np.timedelta64(1, "D")


@pytest.fixture(scope="module")
def business(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FeatureDoor]:
    workspace = tmp_path_factory.mktemp("clv")
    write_business(workspace, contacts=1500, days=200)
    door = FeatureDoor(workspace, project="clv", online=OnlineConfig())
    door.build(END)
    return workspace, door


def test_the_chosen_model_predicts_the_money_of_the_test_window(business: tuple[Path, FeatureDoor]) -> None:
    workspace, door = business

    found = fit_clv(workspace / "data", a_catalog(), door, END, seed=7)

    assert isinstance(found, FittedClv)
    assert found.window_days == 66
    assert found.predicted[BTYD].mean() == pytest.approx(found.money.mean(), rel=0.25)
    ids, columns = door.population(END)
    clv = found.bundle.clv(columns, END)
    spent = money_between(workspace / "data", ids, END - 200 * DAY, END)
    assert clv.min() >= 0
    assert np.corrcoef(clv, spent)[0, 1] > 0.7
    # Everybody's rate is constant: a year is worth about 365 / 200 of what 200 days brought, discounted by half a year.
    assert clv.mean() == pytest.approx(spent.mean() * 365 / 200 / 1.05, rel=0.3)


@pytest.mark.parametrize(
    ("days", "reason"),
    [(193, "7 days of purchases; 21 are needed"), (300, "0 purchases (events with value > 0); 50 are needed")],
)
def test_a_short_history_is_refused_in_words(business: tuple[Path, FeatureDoor], days: int, reason: str) -> None:
    workspace, door = business

    assert fit_clv(workspace / "data", a_catalog(), door, END - days * DAY, seed=7) == reason


def test_the_past_is_learned_from_contacts_drawn_before_their_features_are_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.backtest.MOST_CONTACTS", 250)
    write_business(tmp_path, contacts=400, days=200)
    door = FeatureDoor(tmp_path, project="drawn", online=OnlineConfig())
    door.build(END)
    found = fit_clv(tmp_path / "data", a_catalog(), door, END, seed=7)
    assert isinstance(found, FittedClv)
    [more] = read_built(tmp_path).folder.glob("more-*.parquet")
    built = pq.read_table(more).column("contact_id")
    assert len(built) == 250 * len(str(found.facts["moments"]).split(", "))
    # Not one sample of contacts but one for each moment.
    assert 250 < len(set(built.to_pylist())) <= 400


def test_all_moments_of_the_past_are_retrieved_at_once(business: tuple[Path, FeatureDoor], monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, door = business
    asked: list[int] = []
    historical = door.historical
    monkeypatch.setattr(door, "historical", lambda ids, at: asked.append(len(np.unique(at))) or historical(ids, at))
    found = fit_clv(workspace / "data", a_catalog(), door, END, seed=7)
    assert isinstance(found, FittedClv)
    assert asked == [1 + len(str(found.facts["moments"]).split(", "))]


def test_money_is_counted_in_whole_millionths_whatever_the_order(tmp_path: Path) -> None:
    events = {"contact_id": ["c"] * 10, "occurred_at": pa.array([END - DAY] * 10, pa.timestamp("us")), "value": [0.1] * 10}
    pq.write_table(pa.table(events), tmp_path / "events.parquet")
    assert money_between(tmp_path, np.array(["c", "d"], dtype=object), END - 2 * DAY, END).tolist() == [1.0, 0.0]


def test_money_is_counted_from_the_start_inclusive_to_the_end_exclusive(business: tuple[Path, FeatureDoor]) -> None:
    workspace, door = business
    ids, _ = door.population(END)
    data = workspace / "data"

    halves = [money_between(data, ids, END - 200 * DAY, END - 100 * DAY), money_between(data, ids, END - 100 * DAY, END)]

    np.testing.assert_allclose(halves[0] + halves[1], money_between(data, ids, END - 200 * DAY, END))
    assert purchase_span(data, END).purchases > 1000
    assert purchase_span(data, END - 300 * DAY).purchases == 0
    assert purchase_span(workspace, END).purchases == 0
