"""Training twice, in processes that hash and thread differently, writes the same bytes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

TRAIN = """
import sys
from pathlib import Path
from features.store import FeatureDoor, OnlineConfig
from tests.training.workspaces import END, write_business
from training.context import TrainingContext
from training.run import train
from training.tracking import Tracker

folder, store, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
catalog = write_business(folder, contacts=500)
door = FeatureDoor(folder, project=name, online=OnlineConfig())
door.build(END)
tracker = Tracker(f"sqlite:///{store}/mlflow.db", name, Path(store) / "artifacts", workspace_id=name)
train(TrainingContext(folder, name, name, 7, catalog, door, tracker))
for model in ("propensity", "uplift", "clv"):
    print(tracker.champion_bundle(model).path)
"""


def bundle_files(folder: Path, store: Path, name: str, environment: dict[str, str]) -> dict[str, str]:
    """The SHA-256 of every file of the three bundles that a process of its own trained."""
    folder.mkdir()
    command = [sys.executable, "-c", TRAIN, str(folder), str(store), name]
    ran = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, cwd=Path(__file__).parents[2])
    assert ran.returncode == 0, ran.stderr[-2000:]
    paths = [Path(line) for line in ran.stdout.splitlines()[-3:]]
    files = {f"{number}/{path.name}": path for number, bundle in enumerate(paths) for path in bundle.iterdir()}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


def test_the_same_seed_and_data_give_the_same_bytes_whatever_the_hash_seed_and_the_threads(tmp_path: Path, mlflow_store: Path) -> None:
    one = bundle_files(tmp_path / "one", mlflow_store, "one", {"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
    two = bundle_files(tmp_path / "two", mlflow_store, "two", {"PYTHONHASHSEED": "2", "OMP_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "2"})

    assert len(one) >= 3
    assert one == two
