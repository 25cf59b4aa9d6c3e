"""The console of a small workspace with a plan: a shop whose actions decide by their cold start, so that nothing has to be trained."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi import FastAPI
from fastapi.testclient import TestClient

from nudge.desks.console import WorkspaceConsole
from nudge.desks.leads import WorkspaceLeads
from nudge.desks.models import WorkspaceModels
from nudge.desks.plans import WorkspacePlans
from nudge.desks.reports import WorkspaceReports
from nudge.ground.workspace import Workspace
from nudge.verbs.evaluating import evaluate_workspace
from nudge.verbs.features_ready import materialize
from nudge.verbs.ingesting import ingest_workspace
from nudge.verbs.opening import open_service
from nudge.verbs.planning import PlanOptions, plan_workspace
from serving.app import create_app
from serving.schemas.plans import PlanIn
from tests.nudge.shops import CATALOG, CONSENTS, CONTACTS

LEAD = {
    "fit": [{"when": "age >= 40", "points": 20, "because": "old enough to decide"}],
    "behaviour": [{"when": "age >= 70", "points": 30}],
    "asked": [{"id": "budget", "ask": "What is your budget?", "answer": "city", "points": [{"when": "city = 'city 1'", "points": 5}]}],
    "grades": {"A": 20},
    "threshold": {"score": 30, "grade": "A"},
    "owner": "anna",
}


class Desk(WorkspaceConsole):
    """Evaluates in this process: another one would have to load every library anew."""

    def evaluation(self) -> dict[str, Any]:
        return evaluate_workspace(self._workspace, say=silent)


class Plans(WorkspacePlans):
    """Plans in this process, at once."""

    def start(self, asked: PlanIn) -> dict[str, Any]:
        options = PlanOptions(dry_run=bool(asked.dry_run))
        made = plan_workspace(Workspace.open(self._workspace.folder), out=self._workspace.folder / "exports", options=options, say=silent)
        return self.plan(made["plan_id"])


def silent(text: str, done: int = 0, total: int = 0, /) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, mlflow_tables: Path) -> Workspace:
    """Ingested, planned for once, with its features ready for real time; the tests of a file share it and what they change in it."""
    folder = tmp_path_factory.mktemp("shop")
    shutil.copy(mlflow_tables, folder)
    tracking = f"sqlite:///{folder}/mlflow.db"
    config = {"name": "shop", "sources": {"contacts": CONTACTS, "consents": CONSENTS}, "stores": {"tracking": tracking}}
    (folder / "nudge.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (folder / "catalog.yaml").write_text(
        yaml.safe_dump({**CATALOG, "lead": LEAD, "controls": {"holdout": 0.1}, "segments": {"young": "age < 30"}}), encoding="utf-8"
    )
    made = Workspace.open(folder)
    ingest_workspace(made, quarantine=False, progress=silent)
    plan_workspace(made, out=folder / "exports", options=PlanOptions(), say=silent)
    materialize(made)
    return made


@pytest.fixture(scope="module")
def app(workspace: Workspace) -> FastAPI:
    service = open_service(workspace, watch=True)
    service.models, service.reports = WorkspaceModels(workspace), WorkspaceReports(workspace)
    service.plans, service.leads = Plans(workspace), WorkspaceLeads(workspace)
    service.console = Desk(workspace, service)
    return create_app(service)


@pytest.fixture(scope="module")
def shown(app: FastAPI) -> Iterator[TestClient]:
    """A browser without a screen."""
    with TestClient(app) as opened:
        yield opened
