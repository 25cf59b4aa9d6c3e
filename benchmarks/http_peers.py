"""Two peers of the HTTP benchmark: the service that tutorials teach, and `mlflow models serve` of the pyfunc that Nudge logs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks import http_world, tutorial_server
from benchmarks.big_world import NOW, contact_columns
from benchmarks.commands import ROOT
from benchmarks.http_load import Server, posting, started

PYFUNC = "pyfunc"


def prepare(folder: Path) -> None:
    """Make both, beside the world that `http_world.prepare` has made in `folder`."""
    (folder / "tutorial").mkdir()
    tutorial_server.prepare(folder / "tutorial")
    save_pyfunc(folder)


def save_pyfunc(folder: Path) -> None:
    """The propensity model of `http_world`, as `nudge train` logs it."""
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import infer_signature

    models = http_world.models_of(folder)
    assert models.propensity is not None
    models.propensity.save(folder / "bundle")
    arms = [[f"a{action}", channel] for action in range(http_world.ACTIONS) for channel in ("email", "call", "web")]
    mlflow.pyfunc.save_model(
        folder / PYFUNC,
        loader_module="training.pyfunc_model",
        data_path=str(folder / "bundle"),
        model_config={"model": "propensity", "arms": arms},
        infer_code_paths=False,
        pip_requirements=[],
        signature=infer_signature(pd.DataFrame(contact_columns(64, np.random.default_rng(1))), params={"as_of": str(NOW)}),
    )


@contextmanager
def tutorial(folder: Path) -> Iterator[Server]:
    """FastAPI, Feast's SDK on SQLite, one predict over a DataFrame of all candidates."""
    command = [sys.executable, "-m", "uvicorn", "benchmarks.tutorial_server:app", "--factory", "--log-level", "warning", "--no-access-log"]
    bodies = [tutorial_server.body(number).decode() for number in range(tutorial_server.CONTACTS)]
    environment = {tutorial_server.FOLDER: str(folder / "tutorial")}
    with started(command, posting("/v1/decisions", bodies), environment) as server:
        yield server


@contextmanager
def mlflow_serve(folder: Path) -> Iterator[Server]:
    """`mlflow models serve` in this environment, one worker: 60 propensities of one contact, its features in the request."""
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder / PYFUNC), "--env-manager", "local", "--workers", "1"]
    beside = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # it starts `uvicorn` by its name
    with started(
        command,
        posting("/invocations", _rows(64)),
        {"PATH": beside, "PYTHONPATH": str(ROOT), "UVICORN_LOG_LEVEL": "warning", "UVICORN_ACCESS_LOG": "false"},
    ) as server:
        yield server


def _rows(count: int) -> list[str]:
    """Requests of one contact each, with its features."""
    columns = contact_columns(count, np.random.default_rng(1))
    bodies = []
    for row in range(count):
        values = [_plain(column[row]) for column in columns.values()]
        frame = {"columns": list(columns), "data": [values]}
        bodies.append(json.dumps({"dataframe_split": frame, "params": {"as_of": str(NOW)}}))
    return bodies


def _plain(value: object) -> object:
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else str(value)
    number = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(number, float) and not np.isfinite(number) else number
