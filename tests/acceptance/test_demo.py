"""The demo: what policies truly earn in simulated banks that nobody tuned for, and that batch and real time decide alike in them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from fastapi.testclient import TestClient

from nudge.ground.workspace import Workspace
from nudge.server import application
from nudge.verbs.features_ready import ensure_online
from nudge.verbs.planning import PlanOptions, plan_workspace
from nudge.verbs.snapshot_source import WorkspaceSnapshots
from serving.app import create_app
from serving.realtime.snapshot import SnapshotHolder
from serving.service import Service
from tests.acceptance.conftest import Bank
from tests.console.browsing import CHECKS, CONTRASTS, LEAST_CONTRAST, Window, browser, needs_chromium, served
from tests.console.pages import PAGES

__all__ = ["browser"]

SEEDS = (1, 2)
"""Two small banks here; `make bench ONLY=demo_banks` takes five of the full size."""

COMPARED = 5_000


@pytest.mark.parametrize("seed", SEEDS)
def test_nudge_earns_clearly_more_than_ranking_by_response(seed: int, bank: Callable[[int], Bank]) -> None:
    earned = {row["policy"]: row["true_profit"] for row in bank(seed).document["policies"]}
    assert earned["oracle"] > earned["Nudge"] > max(earned["random"], 0.0)
    assert earned["Nudge"] - earned["propensity-greedy"] > 0.2 * earned["oracle"]


def planned_and_decided(workspace: Workspace, contacts: int) -> tuple[dict[str, Any], list[str | None], list[str | None]]:
    """The manifest of the plan, and the treatments of the same contacts in the plan and over HTTP, as of the same moment."""
    manifest = plan_workspace(workspace, out=workspace.folder / "exports", options=PlanOptions(), say=lambda *_: None)
    table = pq.read_table(next(path for path in manifest["files"] if path.endswith("plan.parquet"))).slice(0, contacts)
    moment = datetime.fromisoformat(manifest["as_of"])
    ensure_online(workspace, lambda _: None)
    ledger = workspace.open_ledger()
    service = Service(SnapshotHolder(WorkspaceSnapshots(workspace, ledger)), ledger, lambda: moment)
    decided: list[str | None] = []
    with TestClient(create_app(service)) as client:
        ids = table["contact_id"].to_pylist()
        for start in range(0, len(ids), 1_000):
            asked = [{"contact_id": one, "dry_run": True} for one in ids[start : start + 1_000]]
            for answer in client.post("/v1/decisions:batch", json=asked).json():
                decided.append(answer["actions"][0]["treatment_id"] if answer["actions"] else None)
    return manifest, table["treatment_id"].to_pylist(), decided


def test_the_plan_and_the_batch_api_give_the_same_contacts_the_same_treatments(bank: Callable[[int], Bank]) -> None:
    _, planned, decided = planned_and_decided(bank(1).workspace, COMPARED)
    assert len(decided) == COMPARED
    assert len(set(planned)) > 10
    assert decided == planned


@needs_chromium
def test_every_page_of_the_console_is_whole_and_readable_on_the_demo(bank: Callable[[int], Bank], browser: Any) -> None:
    workspace = bank(1).workspace
    (contact_id,) = (
        pq.read_table(workspace.folder / "data" / "contacts.parquet", columns=["contact_id"]).slice(0, 1)["contact_id"].to_pylist()
    )
    with served(application(workspace, may_be_open=True)) as address:
        window, found = Window(browser, address, "day"), {}
        for path in (*PAGES, f"/console/contact?id={contact_id}"):
            page = window.look(path)
            found[path] = [*page.evaluate(CHECKS), *page.evaluate(CONTRASTS, LEAST_CONTRAST), *window.wrong]
            window.wrong.clear()
        goals = window.look("/").locator("table").get_by_text("marketing pays").count()
        window.context.close()
    assert {path: problems for path, problems in found.items() if problems} == {}
    assert goals == 1


def test_they_do_so_under_binding_limits_but_for_the_last_contact_of_each_limit(bank: Callable[[int], Bank]) -> None:
    workspace = bank(2).workspace
    catalog = yaml.safe_load((workspace.folder / "catalog.yaml").read_text(encoding="utf-8"))
    catalog["constraints"] = [
        {"id": "budget", "measure": "cost", "max": 60},
        {"id": "apps", "channel": "app", "measure": "contacts", "max": 900},
        {"id": "heroes", "channel": "web", "measure": "contacts", "max": 900},
        {"id": "cards", "action": "credit_card", "measure": "contacts", "min": 500, "max": 2000},
    ]
    catalog["contact_policy"].append({"id": "firm", "scope": "account", "channel": "email", "max": 1, "per_days": 7})
    (workspace.folder / "catalog.yaml").write_text(yaml.safe_dump(catalog, allow_unicode=True), encoding="utf-8")
    manifest, planned, decided = planned_and_decided(Workspace.open(workspace.folder), 1_500)
    assert all(one["used"] <= (one["limit"] or 0) + 1e-9 for one in manifest["constraints"])
    assert sum(abs(one["shadow_price"]) > 0 for one in manifest["constraints"]) >= 2
    different = sum(one != other for one, other in zip(planned, decided, strict=True))
    assert different <= len(manifest["constraints"])
