"""A plan whose offers are kept in files is the plan whose offers are kept in memory, and leaves none behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from decisioning.errors import Unavailable
from decisioning.plan_offers import Shelf
from serving.plans import population
from serving.plans.crew import Crew
from serving.plans.file_shelf import FileShelf
from serving.plans.planner import Means, make_plan
from tests.serving.planning import make
from tests.serving.small_house import CATALOG, small_house

LIMITS = {"constraints": [{"id": "money", "measure": "cost", "max": 8.0}]}
CONTACTS = [f"c-{number}" for number in range(60)]


@pytest.mark.parametrize("exploration", [{}, {"exploration": {"method": "thompson", "budget": 40.0}}])
def test_where_offers_are_kept_and_how_many_work_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exploration: dict[str, object]
) -> None:
    monkeypatch.setattr(population, "CHUNK_CONTACTS", 13)
    with small_house(tmp_path, {**CATALOG, **LIMITS, **exploration}) as house, Crew(2) as crew:
        house.consent(*CONTACTS)
        house.known.rows = {**house.known.rows, **{one: {"age": 15.0 + place} for place, one in enumerate(CONTACTS)}}
        plain = make(house, CONTACTS)
        folder = tmp_path / "shelf"
        folder.mkdir()
        heard: list[int] = []
        means = Means(heard.append, lambda: FileShelf(folder), crew.by_threads)
        again = make_plan(plain.population, plain.snapshot, house.ledger, plain.created_at, means)
        assert again.plan_id == plain.plan_id
        assert np.unique(plain.plan.treatment).size >= 2
        for name in ("contact", "rank", "treatment", "priority", "selection_prob", "segment", "reason", "control_group"):
            np.testing.assert_array_equal(getattr(again.plan, name), getattr(plain.plan, name))
        for name, values in plain.plan.factors.items():
            np.testing.assert_array_equal(again.plan.factors[name], values)
        assert again.plan.allocation.bound == plain.plan.allocation.bound
        assert heard == [13, 26, 39, 52, 60] * 2
        assert list(folder.iterdir()) == []


def test_columns_come_back_as_they_were_put(tmp_path: Path) -> None:
    for shelf in (Shelf(), FileShelf(tmp_path)):
        shelf.put("contact", np.arange(5, dtype=np.int32))
        shelf.put("value", np.array([0.5]))
        shelf.put("contact", np.arange(3, dtype=np.int32))
        assert shelf.column("contact", np.int32).tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
        assert shelf.column("nothing", np.bool_).tolist() == []
        room = shelf.empty(4, np.float64)
        room[:] = 7.5
        assert (room.sum(), shelf.column("value", np.float64).tolist(), len(shelf.empty(0, np.int8))) == (30.0, [0.5], 0)


def test_a_folder_that_cannot_be_written_and_a_full_disk_are_said_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match="cannot be written to"):
        FileShelf(tmp_path / "nowhere").put("contact", np.arange(3))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(Unavailable, match="No space left"):
        FileShelf(tmp_path).empty(1_000, np.float64)
