from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

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


def test_money_is_counted_from_the_start_inclusive_to_the_end_exclusive(business: tuple[Path, FeatureDoor]) -> None:
    workspace, door = business
    ids, _ = door.population(END)
    data = workspace / "data"

    halves = [money_between(data, ids, END - 200 * DAY, END - 100 * DAY), money_between(data, ids, END - 100 * DAY, END)]

    np.testing.assert_allclose(halves[0] + halves[1], money_between(data, ids, END - 200 * DAY, END))
    assert purchase_span(data, END).purchases > 1000
    assert purchase_span(data, END - 300 * DAY).purchases == 0
    assert purchase_span(workspace, END).purchases == 0
