"""The level of responses follows what comes, in versions that decisions name and are made again with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ledger.store import Ledger
from nudge.ground.workspace import Workspace
from nudge.verbs.features_ready import ensure_online
from nudge.verbs.ingesting import ingest_workspace
from nudge.verbs.snapshot_source import WorkspaceSnapshots
from serving.realtime.levels import LEVELS, Adapting, levels_for, renew_levels
from serving.realtime.snapshot import SnapshotHolder
from serving.schemas.decisions import DecisionRequest, OutcomeIn
from serving.service import Service
from tests.nudge.test_own_log import CATALOG

DAY = timedelta(days=1)
PROMISED = 0.2
"""What the cold start expects of a response."""


@dataclass
class Street:
    """A cold workspace whose visitors may buy more than was promised."""

    workspace: Workspace
    ledger: Ledger
    now: datetime = datetime(2026, 3, 1, tzinfo=UTC)
    service: Service = field(init=False)
    source: WorkspaceSnapshots = field(init=False)
    holder: SnapshotHolder = field(init=False)

    def __post_init__(self) -> None:
        self.source = WorkspaceSnapshots(self.workspace, self.ledger)
        self.holder = SnapshotHolder(self.source)
        self.service = Service(self.holder, self.ledger, clock=lambda: self.now)

    def visitors(self, first: int, count: int, *, buys: float, seed: int = 1) -> list[dict[str, Any]]:
        """Some come by, and of those who see the loan a share buys it a day later."""
        rng = np.random.default_rng(seed)
        asked = [DecisionRequest(contact_id=f"c{first + i}", channel="web", placements=["hero"]) for i in range(count)]
        answers = [one for one in self.service.decide_many(asked) if isinstance(one, dict)]
        self.service.record_outcomes(
            [
                OutcomeIn(event_id=one["decision_id"], decision_id=one["decision_id"], outcome="sale", occurred_at=self.now + DAY)
                for one in answers
                if one["actions"] and one["actions"][0]["action_id"] == "loan" and rng.random() < buys
            ]
        )
        return answers

    def adapt(self) -> int | None:
        """The version of the levels after measuring a month later."""
        self.now += timedelta(days=20)
        how = self.workspace.adapting or Adapting()
        levels = renew_levels(self.ledger, self.workspace.catalog, None, how, self.now)
        self.holder.refresh()
        return None if levels is None else levels.version


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace ready to decide: making it takes longer than all tests."""
    folder = tmp_path_factory.mktemp("street")
    catalog = {**CATALOG, "controls": {}, "exploration": {"method": "squarecb", "budget": 0}, "actions": CATALOG["actions"][:1]}
    (folder / "catalog.yaml").write_text(yaml.safe_dump(catalog), encoding="utf-8")
    workspace = _with_ledger(folder, "first")
    ingest_workspace(workspace, quarantine=False, progress=lambda *_: None)
    ensure_online(workspace, lambda *_: None)
    return folder


def _with_ledger(folder: Path, name: str) -> Workspace:
    config = {
        "name": "street",
        "sources": {"contacts": "SELECT 'c' || i AS contact_id, 20 + i % 51 AS age FROM range(100) r(i)"},
        "stores": {"tracking": f"sqlite:///{folder}/mlflow.db", "ledger": f"sqlite:///{folder}/{name}.db"},
        "adaptive": {"on": True, "half_life_days": 30},
    }
    (folder / "nudge.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return Workspace.open(folder)


@pytest.fixture
def street(town: Path, tmp_path: Path) -> Iterator[Street]:
    workspace = _with_ledger(town, tmp_path.name)
    with workspace.open_ledger() as ledger:
        yield Street(workspace, ledger)


def test_a_level_that_moved_is_served_named_and_made_again(street: Street) -> None:
    street.visitors(0, 600, buys=0.35)
    assert street.adapt() == 1

    (after,) = street.visitors(0, 1, buys=0.0)
    told = after["actions"][0]

    assert after["versions"]["models"] == {LEVELS: 1}
    assert 0.29 < told["propensity"] < 0.36
    assert told["baseline"] > 0.15 and told["uplift"] > 0.05
    assert street.service.replay(after["decision_id"]) == {"decision_id": after["decision_id"], "identical": True, "differences": []}


def test_decisions_of_before_are_still_made_again_as_they_were(street: Street) -> None:
    first = street.visitors(0, 600, buys=0.35)[0]
    street.adapt()

    assert first["versions"]["models"] == {}
    assert street.service.replay(first["decision_id"])["identical"]


def test_the_next_version_is_measured_against_what_the_models_said_not_against_the_last_one(street: Street) -> None:
    street.visitors(0, 600, buys=0.35)
    street.adapt()
    first = levels_for(street.ledger, None)
    street.visitors(600, 600, buys=0.35, seed=2)
    street.adapt()
    second = levels_for(street.ledger, None)

    assert first is not None and second is not None
    assert second.shifts["loan", "web"] == pytest.approx(first.shifts["loan", "web"], abs=0.2)


def test_nothing_is_kept_where_nothing_moved_and_no_new_version_where_nothing_new_came(street: Street) -> None:
    street.visitors(0, 400, buys=PROMISED, seed=4)
    assert street.adapt() is None

    street.visitors(400, 600, buys=0.4)
    version = street.adapt()
    street.now -= timedelta(days=20)
    assert version == 1 and street.adapt() == 1


def test_levels_of_another_model_do_not_count(street: Street) -> None:
    street.ledger.keep_levels({"propensity": 7, "measured_at": "", "shifts": [["loan", "web", 0.5]]})

    assert levels_for(street.ledger, None) is None
    assert levels_for(street.ledger, 7) is not None
