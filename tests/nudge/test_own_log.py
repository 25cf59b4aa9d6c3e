"""A workspace without any history decides from its cold start, and learns from what it logged itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import yaml
from mlflow import MlflowClient

from ledger.records import DecisionRecord
from ledger.store import Ledger
from nudge.ground.workspace import Workspace
from nudge.verbs.features_ready import ensure_online
from nudge.verbs.ingesting import ingest_workspace
from nudge.verbs.snapshot_source import WorkspaceSnapshots, load_models, load_versions
from nudge.verbs.training import train_workspace
from serving.realtime.snapshot import SnapshotHolder
from serving.replaying.would_have import LeftOut, Remaking, Rival
from serving.schemas.decisions import DecisionRequest, OutcomeIn
from serving.service import Service
from training.own_log import OwnLog, read_own_log
from training.served_chance import selection_chances

CONTACTS = 3000
START = datetime(2026, 3, 1, tzinfo=UTC)
AS_OF = START + timedelta(days=30)
CATALOG: dict[str, Any] = {
    "version": "1",
    "currency": "PLN",
    "time_zone": "UTC",
    "channels": {"web": {"direction": "inbound", "placements": ["hero"]}, "email": {"direction": "outbound", "purpose": "mail"}},
    "outcomes": {
        "sale": {"kind": "conversion", "window_days": 7},
        "opened": {"kind": "conversion", "window_days": 7},
    },
    "actions": [
        {
            "id": "loan",
            "goal": "sale",
            "value": 100,
            "cold_start": {"propensity": 0.2, "uplift": 0.05},
            "treatments": [{"id": "loan_hero", "channel": "web", "placement": "hero"}],
        },
        {
            "id": "card",
            "goal": "opened",
            "value": "age",
            "cold_start": {"propensity": 0.2, "uplift": 0.04},
            "treatments": [{"id": "card_hero", "channel": "web", "placement": "hero"}],
        },
        {"id": "letter", "goal": "sale", "value": 100, "treatments": [{"id": "letter_email", "channel": "email"}]},
    ],
    "controls": {"holdout": 0.3, "random": 0.3, "propensity_only": 0.05, "salt": "s"},
    "exploration": {"method": "squarecb", "budget": 2e6, "gamma": 3},
}


def true_uplift(action: str, age: np.ndarray) -> np.ndarray:
    """The loan is for the young, the card for the old."""
    return 0.25 - 0.3 * (age - 20.0) / 50.0 if action == "loan" else -0.05 + 0.3 * (age - 20.0) / 50.0


@dataclass(frozen=True)
class World:
    """A cold workspace that has decided once for everybody and heard what followed."""

    workspace: Workspace
    ledger: Ledger
    records: list[DecisionRecord]

    @property
    def own(self) -> OwnLog:
        actions = [action.id for action in self.workspace.catalog.actions]
        found = read_own_log(self.ledger, self.workspace.door.contract, actions, as_of=None, most=10**6)
        assert found is not None
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("cold")
    contacts = f"SELECT 'c' || i AS contact_id, 20 + i % 51 AS age, (i * 7919) % 3 = 0 AS vip FROM range({CONTACTS}) r(i)"
    config = {"name": "cold", "sources": {"contacts": contacts}, "stores": {"tracking": f"sqlite:///{folder}/mlflow.db"}}
    (folder / "nudge.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (folder / "catalog.yaml").write_text(yaml.safe_dump(CATALOG), encoding="utf-8")
    workspace = Workspace.open(folder)
    ingest_workspace(workspace, quarantine=False, progress=_quiet)
    ensure_online(workspace, _quiet)
    with workspace.open_ledger() as ledger:
        decided_ids = _one_day(workspace, ledger)
        records = ledger.decisions_by_id(decided_ids)
        yield World(workspace, ledger, [records[one] for one in decided_ids])


def _quiet(*_: object) -> None:
    """Nobody follows."""


def _one_day(workspace: Workspace, ledger: Ledger) -> list[str]:
    """Everybody comes by once; who buys does so a day later."""
    now, rng = [START], np.random.default_rng(1)
    service = Service(SnapshotHolder(WorkspaceSnapshots(workspace, ledger)), ledger, clock=lambda: now[0])
    ids: list[str] = []
    for start in range(0, CONTACTS, 500):
        now[0] += timedelta(hours=1)
        asked = [DecisionRequest(contact_id=f"c{i}", channel="web", placements=["hero"]) for i in range(start, start + 500)]
        answers = [one for one in service.decide_many(asked) if isinstance(one, dict)]
        ids += [one["decision_id"] for one in answers]
        service.record_outcomes([outcome for one in answers for outcome in _what_follows(one, now[0] + timedelta(days=1), rng)])
    return ids


def _what_follows(answer: dict[str, Any], at: datetime, rng: np.random.Generator) -> list[OutcomeIn]:
    contact_id, shown = answer["contact_id"], {one["action_id"] for one in answer["actions"]}
    age = np.array(20.0 + int(contact_id[1:]) % 51)
    chances = {goal: 0.15 + float(true_uplift(action, age)) * (action in shown) for goal, action in (("sale", "loan"), ("opened", "card"))}
    return [
        OutcomeIn(event_id=f"{goal} {contact_id}", decision_id=answer["decision_id"], outcome=goal, occurred_at=at)
        for goal, chance in chances.items()
        if rng.random() < chance
    ]


def test_the_chance_of_a_choice_is_the_one_that_making_the_decision_again_gives(world: World) -> None:
    models = load_versions(world.workspace, {})
    remaking = Remaking(world.ledger, lambda versions: load_versions(world.workspace, versions), {"champion": Rival(models)})
    catalog = remaking.then(world.records[0].trace["versions"]).catalog
    compared: dict[str, int] = {}
    for record in world.records[::9]:
        try:
            exact = remaking.remade(record).selection_prob
        except LeftOut:
            continue
        assert selection_chances(record, catalog) == pytest.approx([exact], abs=1e-9)
        compared[record.control_group] = compared.get(record.control_group, 0) + 1

    assert min(compared[group] for group in ("nudge", "holdout", "random", "propensity_only")) >= 5


def test_weighted_by_their_chances_the_rows_of_each_action_stand_for_everybody(world: World) -> None:
    rows = world.own.rows.to_pydict()
    action, weight = np.array(rows["action_id"]), 1.0 / np.array(rows["selection_prob"])

    for name in ("loan", "card", "no_action"):
        own = weight[action == name]
        assert abs(own.sum() - CONTACTS) < 4 * np.sqrt((own * (own - 1)).sum())


def test_an_action_that_the_request_could_not_get_is_not_compared_with_doing_nothing(world: World) -> None:
    reachable = world.own.reachable

    assert reachable["loan"].all()
    assert not reachable["letter"].any()


def test_what_a_cold_start_logged_teaches_the_true_effects(world: World) -> None:
    document = train_workspace(world.workspace, as_of=AS_OF, only=None, say=_quiet)
    models = load_models(world.workspace)
    age = np.arange(20.0, 71.0)
    columns, seen_from = {"age": age, "vip": np.zeros(51)}, np.datetime64("2000-01-01", "us")

    assert {one["name"] for one in document["models"]} == {"cold-propensity", "cold-uplift"}
    assert models.propensity is not None and models.uplift is not None
    for action in ("loan", "card"):
        head, truth = models.uplift.heads[action], true_uplift(action, age)
        uplift = models.uplift.uplift(columns, seen_from, [(action, None)])[:, 0]
        propensity = models.propensity.propensity(columns, seen_from, [(action, None)])[:, 0]
        assert abs(head.average_effect - 0.1) < 3 * head.standard_error
        assert np.corrcoef(uplift, truth)[0, 1] > 0.9
        assert np.abs(propensity - (0.15 + truth)).mean() < 0.06
    client = MlflowClient(world.workspace.config.stores.tracking)
    params = client.get_run(document["models"][1]["run_id"]).data.params
    assert (params["interactions_of_ledger"], params["interactions_ingested"]) == (str(CONTACTS), "0")
    assert params["selection_prob_estimated_share"] == "0.0"


def test_the_same_log_and_as_of_give_the_version_that_is_there(world: World) -> None:
    first = train_workspace(world.workspace, as_of=AS_OF, only="propensity", say=_quiet)
    again = train_workspace(world.workspace, as_of=AS_OF, only="propensity", say=_quiet)
    before_anything = world.own.digest

    assert again["models"][0]["cached"]
    assert again["models"][0]["version"] == first["models"][0]["version"]
    assert before_anything == world.own.digest


def test_as_of_leaves_out_what_came_later(world: World) -> None:
    actions = [action.id for action in world.workspace.catalog.actions]
    until = np.datetime64("2026-03-01T02:30:00", "us")
    early = read_own_log(world.ledger, world.workspace.door.contract, actions, as_of=until, most=10**6)
    nothing = read_own_log(world.ledger, world.workspace.door.contract, actions, as_of=np.datetime64("2026-01-01", "us"), most=10**6)

    assert early is not None and len(early) == 1000 and early.outcomes.num_rows == 0
    assert nothing is None
