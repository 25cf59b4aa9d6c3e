"""A bundle laid out for MLflow: the bundle, the loader and the room `estimators`, so that the logged model answers by itself."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import estimators
from training import pyfunc_model
from training.model_run import ModelRun

LOADER_MODULE = "nudge_pyfunc"


@dataclass(frozen=True)
class StagedModel:
    """Folders and files to hand to MLflow."""

    bundle: Path
    code: tuple[Path, Path]


@contextmanager
def staged(run: ModelRun) -> Iterator[StagedModel]:
    """The files of a model in a temporary folder, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="nudge-") as folder:
        stage = Path(folder)
        run.bundle.save(stage / "bundle")
        loader = stage / f"{LOADER_MODULE}.py"
        shutil.copy(pyfunc_model.__file__, loader)
        rooms = stage / "nudge_rooms"
        room = Path(str(estimators.__file__)).parent
        shutil.copytree(room, rooms / "estimators", ignore=shutil.ignore_patterns("__pycache__"))
        yield StagedModel(stage / "bundle", (loader, rooms))


def example_frame(run: ModelRun) -> pd.DataFrame:
    """The run's example rows as a data frame of the features that the model reads."""
    columns = {name: np.asarray(run.example[name]) for name in run.bundle.feature_dtypes if name in run.example}
    return pd.DataFrame({name: _nanoseconds(values) for name, values in columns.items()})


def answers(run: ModelRun) -> list[str]:
    """The columns that the model's `predict` returns."""
    return [run.model] if run.model in ("clv", "lead") else [pyfunc_model.arm_name(arm) for arm in run.arms]


def _nanoseconds(values: np.ndarray) -> np.ndarray:
    return values.astype("datetime64[ns]") if np.issubdtype(values.dtype, np.datetime64) else values
