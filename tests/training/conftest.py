"""A tracker on a fresh SQLite store, and the smallest run that can be published."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from training.model_run import ModelRun
from training.tracking import Tracker

AS_OF = np.datetime64("2026-11-22T00:00:00", "us")


@dataclass(frozen=True)
class EmptyBundle:
    """A bundle that saves and answers nothing."""

    contract_hash: str = "0123456789ab"
    feature_dtypes: Mapping[str, str] = field(default_factory=lambda: {"age": "int", "city": "string", "vip": "bool", "joined": "date"})

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        (directory / "bundle.json").write_text(json.dumps({"kind": "empty"}))


def a_run(model: str = "uplift", **changes: object) -> ModelRun:
    example = {
        "age": np.array([30.0, np.nan]),
        "city": np.array(["Łódź", None], dtype=object),
        "vip": np.array([1.0, np.nan]),
        "joined": np.array(["2025-01-01", "NaT"], dtype="datetime64[us]"),
    }
    given = {
        "model": model,
        "bundle": EmptyBundle(),
        "arms": [("loan", "email"), ("loan", None)],
        "example": example,
        "as_of": AS_OF,
        "params": {"seed": 7, "weird (name)": 1},
        "metrics": {"auc": 0.7, "qini.loan": 0.04},
        "plots": {"calibration.png": b"\x89PNG"},
        "data_hashes": {"interactions": "ab12"},
        "model_card": "# A model",
    }
    return ModelRun(**{**given, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def mlflow_store(tmp_path_factory: pytest.TempPathFactory, mlflow_tables: Path) -> Path:
    """One database for all tests, who differ by project name."""
    folder = tmp_path_factory.mktemp("mlflow")
    shutil.copy(mlflow_tables, folder)
    return folder


@pytest.fixture
def make_tracker(mlflow_store: Path, request: pytest.FixtureRequest) -> Callable[..., Tracker]:
    """A tracker of a project that no other test uses; `workspace_id` tells two workspaces apart."""
    project = f"p{abs(hash(request.node.nodeid)) % 10**10}"

    def make(workspace_id: str = "here") -> Tracker:
        return Tracker(f"sqlite:///{mlflow_store}/mlflow.db", project, mlflow_store / "artifacts", workspace_id=workspace_id)

    return make


@pytest.fixture
def tracker(make_tracker: Callable[..., Tracker]) -> Tracker:
    return make_tracker()
